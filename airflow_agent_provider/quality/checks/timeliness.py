"""Timeliness: recent enough."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_agent_provider.core.spec import pending
from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.quality.checks.base import Check, Measured, Outcome
from airflow_agent_provider.quality.results import Dimension, Kind

if TYPE_CHECKING:
    from sqlglot import exp

    from airflow_agent_provider.quality.expressions import Expressions

HOUR_S = 3600.0


@dataclass(frozen=True)
class Fresh(Check):
    """
    The newest value of a time column is at most so many hours old.

    Age is counted from a reference time that is passed in, never from the wall
    clock: a rerun of an old batch gives the old answer. Times without a zone are
    taken as UTC. A newest value that lies after the reference has age 0.

    :param column: a date or timestamp column.
    :param hours: greatest age.
    :param reference: ISO 8601 time, usually a template such as
        ``"{{ data_interval_end }}"``; default: the run's own reference time.
    """

    dimension: ClassVar[Dimension] = "timeliness"
    kinds: ClassVar[tuple[Kind, ...]] = ("time",)

    column: str
    hours: float = 24.0
    reference: str | date | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_column("column")
        if self.hours is None:
            self.refuse("hours", "must be a number of at least 0")
        self.settle_number("hours", least=0)
        if isinstance(self.reference, (date, datetime)):
            self.settle("reference", self.reference.isoformat())
        if self.reference is not None and not pending(self.reference) and as_moment(self.reference) is None:
            self.refuse("reference", "must be an ISO 8601 time, e.g. 2013-02-08T00:00:00+00:00")

    @property
    def used_columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def related_metrics(self) -> tuple[str, ...]:
        return (f"{self.column}.max",)

    def measures(self, sql: Expressions) -> dict[str, exp.Expr]:
        return {"newest": sql.newest(self.column)}

    def judge(self, measured: Measured) -> Outcome:
        now = as_moment(self.reference) if self.reference is not None else measured.reference_time
        if now is None:
            raise ConfigurationError(
                f"{self.label}: there is no time to count the age from; give reference=, "
                'e.g. "{{ data_interval_end }}"'
            )
        text = measured.values["newest"]
        newest = as_moment(text)
        if newest is None:
            flaw = "no row has a value" if text is None else "the newest value is no time of years 1 to 9999"
            return Outcome(
                False, f"{self.column}: {flaw}; {self.hours:g} hours of age allowed", None, self.hours
            )
        age = max(0.0, (_in_utc(now) - newest).total_seconds() / HOUR_S)
        message = f"the newest {self.column} is {age:.1f} hours old; {self.hours:g} hours allowed"
        return Outcome(
            age <= self.hours, message, age, self.hours, ratio=self.hours / age if age > self.hours else 1.0
        )

    def _shown(self) -> tuple[Any, ...]:
        return (self.column, self.hours)


def as_moment(text: Any) -> datetime | None:
    """Read an ISO 8601 date or time as a time in UTC; None when it is none."""
    try:
        return _in_utc(datetime.fromisoformat(str(text).strip()))
    except (ValueError, OverflowError):
        return None


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
