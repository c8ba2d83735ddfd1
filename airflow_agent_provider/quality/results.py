"""
What measuring a batch gives: columns, metrics, profile, check results.

Plain immutable values between the rooms of the quality gate: the scan makes
them, the judgement reads them, the report shows them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Kind = Literal["number", "text", "time", "boolean", "other"]
Precision = Literal["exact", "approximate", "sampled"]
Severity = Literal["info", "warning", "error", "critical"]
Dimension = Literal[
    "completeness", "uniqueness", "validity", "consistency", "timeliness", "volume", "distribution", "schema"
]
QUOTING = frozenset({"min", "max", "top", "p05", "p50", "p95"})
"""Metrics that are values of rows."""
Value: TypeAlias = float | int | str | bool | list[list[str | int]] | None


@dataclass(frozen=True, slots=True)
class Column:
    """
    A column as the engine describes it.

    :param type: the engine's own type name, for people.
    :param kind: what the metrics care about.
    """

    name: str
    type: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Measurement:
    """
    One metric's value.

    :param value: a number, text (ISO 8601 for times), None when undefined, or for
        ``top`` a list of ``[value, count]`` pairs.
    :param precision: how it was obtained.
    """

    value: Value
    precision: Precision = "exact"


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """A column and its metrics by name: null_count, distinct_count, min, max, mean, ..."""

    column: Column
    metrics: dict[str, Measurement]


@dataclass(frozen=True, slots=True)
class Profile:
    """
    The batch as numbers.

    :param row_count: rows, exact.
    """

    row_count: int
    columns: tuple[ColumnProfile, ...]

    def metric_ids(self) -> dict[str, Measurement]:
        """Give every metric under the id by which evidence cites it, ``column.metric``."""
        ids = {
            f"{one.column.name}.{name}": value for one in self.columns for name, value in one.metrics.items()
        }
        return {"row_count": Measurement(self.row_count), **ids}

    def hiding(self, names: Collection[str]) -> Profile:
        """Give the profile without the metrics that quote values of these columns."""
        return replace(
            self,
            columns=tuple(
                replace(
                    one, metrics={name: value for name, value in one.metrics.items() if name not in QUOTING}
                )
                if one.column.name in names
                else one
                for one in self.columns
            ),
        )


@dataclass(frozen=True, slots=True)
class CheckResult:
    """
    One check's outcome.

    :param name: the check as its author wrote it, e.g. ``NotNull('tailnum')``; unique in a report.
    :param found: what was measured, in the unit of ``allowed`` (for row checks the failing share).
    :param allowed: the bound that it was held against.
    :param credit: what it earns in the score: 1 when passed, else in [0, 1).
    :param failing_rows: rows that fail, where the check is about rows.
    :param metrics: ids of the metrics it was decided from.
    :param message: one sentence for people; no row values.
    """

    name: str
    dimension: Dimension
    severity: Severity
    passed: bool
    credit: float
    found: float | None
    allowed: float | None
    message: str
    failing_rows: int | None = None
    columns: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
