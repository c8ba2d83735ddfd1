"""Volume: as much as it should be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_agent_provider.core.spec import pending
from airflow_agent_provider.quality.checks.base import Check, Measured, Outcome
from airflow_agent_provider.quality.results import Dimension

if TYPE_CHECKING:
    from sqlglot import exp

    from airflow_agent_provider.quality.expressions import Expressions


@dataclass(frozen=True)
class RowCount(Check):
    """
    The batch has at least ``minimum`` and at most ``maximum`` rows.

    A batch of no rows is an ``EmptyBatch`` error whatever the bounds are: nothing
    can be measured of it.
    """

    dimension: ClassVar[Dimension] = "volume"

    minimum: int | None = None
    maximum: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.minimum is None and self.maximum is None:
            self.refuse("minimum", "give minimum, maximum or both")
        self.settle_number("minimum", least=0)
        self.settle_number("maximum", least=1)
        bounds = (self.minimum, self.maximum)
        if None not in bounds and not pending(bounds) and bounds[0] > bounds[1]:  # type: ignore[operator]
            self.refuse("minimum", f"must be at most maximum={self.maximum!r}")

    @property
    def related_metrics(self) -> tuple[str, ...]:
        return ("row_count",)

    @property
    def identity(self) -> str:
        return "row_count"

    def measures(self, sql: Expressions) -> dict[str, exp.Expr]:  # noqa: ARG002  # counted anyway
        return {}

    def judge(self, measured: Measured) -> Outcome:
        rows = measured.row_count
        if self.minimum is not None and rows < self.minimum:
            message = f"{rows} rows; at least {self.minimum} expected"
            return Outcome(False, message, rows, self.minimum, ratio=rows / self.minimum)
        if self.maximum is not None and rows > self.maximum:
            message = f"{rows} rows; at most {self.maximum} expected"
            return Outcome(False, message, rows, self.maximum, ratio=self.maximum / rows)
        allowed = self.minimum if self.maximum is None else self.maximum
        return Outcome(True, f"{rows} rows, as expected", rows, allowed)

    def _shown(self) -> tuple[Any, ...]:
        return (self.minimum,) if self.maximum is None else (self.minimum, self.maximum)
