"""The checks there are, and reading them from a form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from airflow_agent_provider.core.spec import parse
from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.quality.checks.base import Check
from airflow_agent_provider.quality.checks.completeness import NotNull
from airflow_agent_provider.quality.checks.consistency import CustomQuery, CustomSql
from airflow_agent_provider.quality.checks.schema import HasSchema
from airflow_agent_provider.quality.checks.timeliness import Fresh
from airflow_agent_provider.quality.checks.uniqueness import Unique
from airflow_agent_provider.quality.checks.validity import AcceptedValues, Between, Matches
from airflow_agent_provider.quality.checks.volume import RowCount

CHECKS: tuple[type[Check], ...] = (
    RowCount,
    NotNull,
    Unique,
    AcceptedValues,
    Between,
    Matches,
    Fresh,
    HasSchema,
    CustomSql,
    CustomQuery,
)


def parse_checks(written: Any) -> tuple[Check, ...]:
    """
    Read checks as a UI form gives them.

    :param written: a list of ``{"type": "not_null", "column": "tailnum"}`` or of
        checks, or the JSON text of such a list; None and empty text give no check.
    :raises ConfigurationError: naming the check by its place in the list.
    """
    if written is None:
        return ()
    if isinstance(written, str):
        try:
            written = json.loads(written or "[]")
        except ValueError as error:
            raise ConfigurationError(f"checks: not JSON: {error}") from None
    if isinstance(written, str) or not isinstance(written, Sequence):
        raise ConfigurationError(f"checks: must be a list of checks, not {type(written).__name__}")
    return tuple(parse(one, CHECKS, noun=f"check {place}") for place, one in enumerate(written, start=1))
