"""
The report as markdown, for a ticket, a chat or a task's log.

Text from outside is escaped for markdown and for the HTML that many viewers let
through: a column called ``<img src=x>`` or ``[click](http://...)`` stays text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from airflow_agent_provider.quality.figures import batch_name, figure, printable, span
from airflow_agent_provider.quality.report import QualityReport

# An underscore inside a word is no emphasis; "://" would become a link, "@name" a mention.
_SPECIAL = re.compile(r"[\\`*\[\]|~<>&@#]|(?<![^\W_])_|_(?![^\W_])|:(?=//)")


def esc(text: object) -> str:
    """Make a text mean itself, on one line."""
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", printable(" ".join(str(text).split())))


def code(text: object) -> str:
    """Make a text a code span, on one line; a span cannot hold its own fence, nor a table cell a bar."""
    inner = printable(" ".join(str(text).split())).replace("`", "'").replace("|", "\\|")
    return f"`{inner}`" if inner else ""


def render(report: QualityReport) -> str:
    """Write the report of one batch."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: QualityReport) -> Iterator[str]:
    score = "none" if report.quality_score is None else f"{report.quality_score:.4f}"
    verdict = report.verdict.value.replace("_", " ")
    yield f"# {esc(report.dataset)}, {esc(batch_name(report.batch_key))}: {verdict}"
    yield ""
    outcome = f"Score **{score}**, threshold {report.threshold:g}, {report.row_count:,} rows."
    yield f"{outcome} {report.recommended_action}"
    if report.failed:
        yield from ("", "## Found", "")
        for place, one in enumerate(report.failed, 1):
            yield f"{place}. {code(one.name)} ({one.severity}, {one.dimension}): {esc(one.message)}"
    yield from ("", "## History", "", f"{esc(report.anomaly.note)}.", "")
    outside = [one for one in report.anomaly.deviations if one.outside]
    if outside:
        yield from ("| figure | this batch | accepted batches | part of the distance |", "|---|--:|---|--:|")
        for part in outside:
            past = span(min(part.history), max(part.history))
            yield f"| {code(part.feature)} | {figure(part.found)} | {past} | {part.share:.0%} |"
    if report.diagnosis:
        yield from (
            "",
            "## Diagnosis",
            "",
            "Written by a model after the verdict stood; it decided nothing.",
            "",
        )
        for claim in report.diagnosis:
            yield f"- {esc(claim.claim)} ({', '.join(code(name) for name in claim.evidence)})"
    if report.contributions:
        yield from ("", "## Score", "", "| check | outcome | could earn | earned |", "|---|---|--:|--:|")
        for check, gain in zip(report.checks, report.contributions, strict=True):
            outcome = "passed" if check.passed else f"failed ({check.severity})"
            yield f"| {code(check.name)} | {outcome} | {gain.share:.4f} | {gain.earned:.4f} |"
