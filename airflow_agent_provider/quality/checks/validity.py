"""Validity: values that can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from airflow_agent_provider.core.spec import pending
from airflow_agent_provider.quality.checks.base import Measured, RowCheck, as_number
from airflow_agent_provider.quality.checks.pattern import portable
from airflow_agent_provider.quality.checks.timeliness import as_moment
from airflow_agent_provider.quality.results import Dimension, Kind

if TYPE_CHECKING:
    from sqlglot import exp

    from airflow_agent_provider.quality.expressions import Expressions

Bound: TypeAlias = float | str | date | None


@dataclass(frozen=True)
class ValueCheck(RowCheck):
    """Base of the checks that say which values of a column are good; NULL does not fail."""

    dimension: ClassVar[Dimension] = "validity"

    column: str

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_column("column")

    @property
    def used_columns(self) -> tuple[str, ...]:
        return (self.column,)

    def is_good(self, sql: Expressions) -> exp.Expr:
        """Give the condition that is true of a good value."""
        raise NotImplementedError

    def failing(self, sql: Expressions) -> exp.Expr:
        return sql.has_value_but_not(self.column, self.is_good(sql))

    def measures(self, sql: Expressions) -> dict[str, exp.Expr]:
        # All values less the good ones: the first count is one that the profile needs anyway.
        return {"values": sql.count_values(self.column), "good": sql.count_where(self.is_good(sql))}

    def failing_rows(self, measured: Measured) -> int:
        return int(measured.values["values"]) - int(measured.values["good"])


@dataclass(frozen=True)
class AcceptedValues(ValueCheck):
    """
    Each value is one of a list; NULL does not fail.

    :param column: a text, number or boolean column.
    :param values: the values, of the column's kind.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("text", "number", "boolean")

    values: Sequence[str | float | bool]

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.values, str) and pending(self.values):
            return
        if isinstance(self.values, str) or not isinstance(self.values, (Sequence, set, frozenset)):
            self.refuse("values", "must be a list of values")
        values = sorted(self.values, key=repr) if isinstance(self.values, (set, frozenset)) else self.values
        if not values:
            self.refuse("values", "must hold at least one value")
        if not all(isinstance(one, (str, bool)) or as_number(one) is not None for one in values):
            self.refuse("values", "must be texts, finite numbers or booleans; NULL never fails")
        self.settle("values", tuple(values))

    @property
    def related_metrics(self) -> tuple[str, ...]:
        return (f"{self.column}.top", f"{self.column}.distinct_count")

    def is_good(self, sql: Expressions) -> exp.Expr:
        return sql.is_among(self.column, self.values, self.label)

    def complaint(self, share: str) -> str:
        return f"{share} have a {self.column} that is not one of the {len(self.values)} accepted values"


@dataclass(frozen=True)
class Between(ValueCheck):
    """
    Each value lies between two bounds, both included; NULL does not fail, NaN does.

    A date as upper bound of a timestamp column is its midnight, as in SQL.

    :param column: a number or time column.
    :param minimum: a number, date, time or ISO 8601 text; None for no lower bound.
    :param maximum: likewise; None for no upper bound.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("number", "time")

    minimum: Bound = None
    maximum: Bound = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.minimum is None and self.maximum is None:
            self.refuse("minimum", "give minimum, maximum or both")
        self._settle_bound("minimum")
        self._settle_bound("maximum")
        if self.minimum is None or self.maximum is None or pending((self.minimum, self.maximum)):
            return
        if isinstance(self.minimum, str) != isinstance(self.maximum, str):
            self.refuse("minimum", f"is not comparable with maximum={self.maximum!r}")
        low, high = (as_moment(one) if isinstance(one, str) else one for one in (self.minimum, self.maximum))
        if low > high:  # type: ignore[operator]  # of one kind by now
            self.refuse("minimum", f"must be at most maximum={self.maximum!r}")

    def _settle_bound(self, parameter: str) -> None:
        """Bring a bound to its plain form: a finite number or ISO 8601 text."""
        value = getattr(self, parameter)
        if value is None or pending(value):
            return
        if isinstance(value, (date, datetime)):
            self.settle(parameter, value.isoformat())
            return
        number = as_number(value)
        if number is None and (not isinstance(value, str) or as_moment(value) is None):
            self.refuse(parameter, "must be a finite number, or a date or time in ISO 8601")
        self.settle(parameter, value.strip() if number is None else number)

    @property
    def related_metrics(self) -> tuple[str, ...]:
        return (f"{self.column}.min", f"{self.column}.max")

    def is_good(self, sql: Expressions) -> exp.Expr:
        return sql.is_within(self.column, self.minimum, self.maximum, self.label)

    def complaint(self, share: str) -> str:
        if self.maximum is None:
            return f"{share} have a {self.column} below {self.minimum}"
        if self.minimum is None:
            return f"{share} have a {self.column} above {self.maximum}"
        return f"{share} have a {self.column} outside {self.minimum} to {self.maximum}"

    def _shown(self) -> tuple[Any, ...]:
        return (self.column, self.minimum, self.maximum)


@dataclass(frozen=True)
class Matches(ValueCheck):
    """
    Each value, as a whole, matches a regular expression; NULL does not fail.

    The pattern means the same in every engine (see
    :mod:`airflow_agent_provider.quality.checks.pattern`); one that cannot is refused.

    :param column: a text column.
    :param pattern: regular expression for the entire value; a leading ``(?i)``
        ignores case.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("text",)

    pattern: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.pattern, str) or not self.pattern:
            self.refuse("pattern", "must be a regular expression")
        if not pending(self.pattern):
            try:
                portable(self.pattern)
            except ValueError as error:
                self.refuse("pattern", str(error))

    @property
    def related_metrics(self) -> tuple[str, ...]:
        return tuple(f"{self.column}.{metric}" for metric in ("length_min", "length_max", "distinct_count"))

    def is_good(self, sql: Expressions) -> exp.Expr:
        return sql.matches(self.column, portable(self.pattern))

    def complaint(self, share: str) -> str:
        return f"{share} have a {self.column} that does not match the pattern"
