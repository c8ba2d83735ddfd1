"""The checks that a DAG author writes; importing them costs no SQL library."""

from airflow_agent_provider.quality.checks.base import Check, RowCheck
from airflow_agent_provider.quality.checks.catalogue import CHECKS, parse_checks
from airflow_agent_provider.quality.checks.completeness import NotNull
from airflow_agent_provider.quality.checks.consistency import CustomQuery, CustomSql
from airflow_agent_provider.quality.checks.schema import HasSchema
from airflow_agent_provider.quality.checks.timeliness import Fresh
from airflow_agent_provider.quality.checks.uniqueness import Unique
from airflow_agent_provider.quality.checks.validity import AcceptedValues, Between, Matches
from airflow_agent_provider.quality.checks.volume import RowCount

__all__ = [
    "CHECKS",
    "AcceptedValues",
    "Between",
    "Check",
    "CustomQuery",
    "CustomSql",
    "Fresh",
    "HasSchema",
    "Matches",
    "NotNull",
    "RowCheck",
    "RowCount",
    "Unique",
    "parse_checks",
]
