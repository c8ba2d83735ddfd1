"""
Bare-metal agents and a data quality gate as Apache Airflow operators.

What a DAG author writes can be imported from here; each name is loaded when it is
first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_agent_provider.core.limits import Limits
    from airflow_agent_provider.hooks.llm import LLMHook
    from airflow_agent_provider.operators.quality import QualityAgentOperator
    from airflow_agent_provider.quality.checks.catalogue import (
        AcceptedValues,
        Between,
        CustomQuery,
        CustomSql,
        Fresh,
        HasSchema,
        Matches,
        NotNull,
        RowCount,
        Unique,
    )
    from airflow_agent_provider.sources.files import Files
    from airflow_agent_provider.sources.sql import Query, Table

__version__ = "0.1.0"

_HOMES = {
    "Limits": "core.limits",
    "LLMHook": "hooks.llm",
    "QualityAgentOperator": "operators.quality",
    **dict.fromkeys(
        (
            "AcceptedValues",
            "Between",
            "CustomQuery",
            "CustomSql",
            "Fresh",
            "HasSchema",
            "Matches",
            "NotNull",
            "RowCount",
            "Unique",
        ),
        "quality.checks.catalogue",
    ),
    "Files": "sources.files",
    "Query": "sources.sql",
    "Table": "sources.sql",
}

__all__ = [
    "AcceptedValues",
    "Between",
    "CustomQuery",
    "CustomSql",
    "Files",
    "Fresh",
    "HasSchema",
    "LLMHook",
    "Limits",
    "Matches",
    "NotNull",
    "QualityAgentOperator",
    "Query",
    "RowCount",
    "Table",
    "Unique",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
