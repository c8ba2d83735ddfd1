"""Consistency: values that agree with each other and with what the author knows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_agent_provider.core.spec import pending
from airflow_agent_provider.quality.checks.base import Check, Measured, Outcome, RowCheck, as_number
from airflow_agent_provider.quality.results import Dimension

if TYPE_CHECKING:
    from sqlglot import exp

    from airflow_agent_provider.quality.expressions import Expressions

SHOWN_CHARS = 60


@dataclass(frozen=True)
class CustomSql(RowCheck):
    """
    Every row satisfies a condition, ``CustomSql("arr_time is null or dep_time is not null")``.

    As in an SQL CHECK constraint, a row for which the condition is NULL does not fail.

    :param condition: one SQL expression in the batch's dialect.
    """

    dimension: ClassVar[Dimension] = "consistency"

    condition: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.condition, str) or not self.condition.strip():
            self.refuse("condition", "must be an SQL condition")

    @property
    def identity(self) -> str:
        return f"custom_sql({_digest(self.condition)})"

    def failing(self, sql: Expressions) -> exp.Expr:
        return sql.violates(self.condition, self.label)

    def complaint(self, share: str) -> str:
        return f"{share} break {self.name or 'the condition'}"

    def _shown(self) -> tuple[Any, ...]:
        return (_shortened(self.condition),)


@dataclass(frozen=True)
class CustomQuery(Check):
    """
    A scalar query gives a number within bounds.

    The query is part of the one statement and may read the batch under the name
    ``batch``: ``CustomQuery("select count(distinct origin) from batch", minimum=3)``.

    :param query: one SELECT of one row and one numeric column.
    :param minimum: least allowed, or None.
    :param maximum: greatest allowed, or None.
    """

    dimension: ClassVar[Dimension] = "consistency"

    query: str
    minimum: float | None = None
    maximum: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.query, str) or not self.query.strip():
            self.refuse("query", "must be a SELECT of one number")
        if self.minimum is None and self.maximum is None:
            self.refuse("minimum", "give minimum, maximum or both")
        self.settle_number("minimum")
        self.settle_number("maximum")
        bounds = (self.minimum, self.maximum)
        if None not in bounds and not pending(bounds) and self.minimum > self.maximum:  # type: ignore[operator]
            self.refuse("minimum", f"must be at most maximum={self.maximum!r}")

    @property
    def identity(self) -> str:
        return f"custom_query({_digest(self.query)})"

    def measures(self, sql: Expressions) -> dict[str, exp.Expr]:
        return {"value": sql.scalar(self.query, self.label)}

    def judge(self, measured: Measured) -> Outcome:
        found = as_number(measured.values["value"])
        what = self.name or "the query"
        if found is None:
            bound = self.minimum if self.maximum is None else self.maximum
            return Outcome(False, f"{what} gave no number", None, bound)
        if self.minimum is not None and found < self.minimum:
            ratio = found / self.minimum if found > 0 else 0.0
            return Outcome(
                False,
                f"{what} gave {found:g}; at least {self.minimum:g} expected",
                found,
                self.minimum,
                ratio,
            )
        if self.maximum is not None and found > self.maximum:
            ratio = self.maximum / found if self.maximum > 0 else 0.0
            return Outcome(
                False, f"{what} gave {found:g}; at most {self.maximum:g} expected", found, self.maximum, ratio
            )
        allowed = self.minimum if self.maximum is None else self.maximum
        return Outcome(True, f"{what} gave {found:g}, as expected", found, allowed)

    def _shown(self) -> tuple[Any, ...]:
        return (_shortened(self.query),)


def _digest(sql: str) -> str:
    """Name SQL by what it says, not by how it is spaced."""
    return hashlib.sha256(" ".join(sql.split()).encode()).hexdigest()[:8]


def _shortened(sql: str) -> str:
    text = " ".join(sql.split())
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 3]}..."
