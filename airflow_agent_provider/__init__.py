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
    from airflow_agent_provider.quality.checks.completeness import NotNull
    from airflow_agent_provider.quality.checks.consistency import CustomQuery, CustomSql
    from airflow_agent_provider.quality.checks.schema import HasSchema
    from airflow_agent_provider.quality.checks.timeliness import Fresh
    from airflow_agent_provider.quality.checks.uniqueness import Unique
    from airflow_agent_provider.quality.checks.validity import AcceptedValues, Between, Matches
    from airflow_agent_provider.quality.checks.volume import RowCount
    from airflow_agent_provider.quality.verdict import Policy
    from airflow_agent_provider.routing.budget import Budget
    from airflow_agent_provider.sources.files import Files
    from airflow_agent_provider.sources.ingest import ingest
    from airflow_agent_provider.sources.sql import Query, Table

__version__ = "0.1.0"

_HOMES = {
    "AcceptedValues": "quality.checks.validity",
    "Between": "quality.checks.validity",
    "Budget": "routing.budget",
    "CustomQuery": "quality.checks.consistency",
    "CustomSql": "quality.checks.consistency",
    "Files": "sources.files",
    "Fresh": "quality.checks.timeliness",
    "HasSchema": "quality.checks.schema",
    "LLMHook": "hooks.llm",
    "Limits": "core.limits",
    "Matches": "quality.checks.validity",
    "NotNull": "quality.checks.completeness",
    "Policy": "quality.verdict",
    "QualityAgentOperator": "operators.quality",
    "Query": "sources.sql",
    "RowCount": "quality.checks.volume",
    "Table": "sources.sql",
    "Unique": "quality.checks.uniqueness",
    "ingest": "sources.ingest",
}

__all__ = [
    "AcceptedValues",
    "Between",
    "Budget",
    "CustomQuery",
    "CustomSql",
    "Files",
    "Fresh",
    "HasSchema",
    "LLMHook",
    "Limits",
    "Matches",
    "NotNull",
    "Policy",
    "QualityAgentOperator",
    "Query",
    "RowCount",
    "Table",
    "Unique",
    "ingest",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
