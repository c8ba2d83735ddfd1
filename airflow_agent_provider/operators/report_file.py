"""Writing a report where people find it: whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_agent_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow_agent_provider.quality.report import QualityReport

FORMS = {".html": "to_html", ".md": "to_markdown", ".json": "to_json"}


def require_form(path: str) -> None:
    """
    Refuse a path whose ending names no form of the report.

    :raises ConfigurationError: names the endings that there are.
    """
    if not path.endswith(tuple(FORMS)):
        raise ConfigurationError(f"report_path={path!r}: must end in {', '.join(FORMS)}")


def write_report(report: QualityReport, path: str) -> None:
    """
    Write the report in the form that the path's ending names.

    :param path: a local path, or a URL that ``ObjectStoragePath`` knows, such as ``s3://conn@bucket/key.html``.
    """
    [form] = [method for ending, method in FORMS.items() if path.endswith(ending)]
    text: str = getattr(report, form)()
    if "://" in path:
        from airflow.sdk import ObjectStoragePath

        # An object appears in its store when it is complete.
        ObjectStoragePath(path).write_text(text, encoding="utf-8")
        return
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.draft")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
