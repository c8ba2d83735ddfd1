"""Completeness: values that are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from airflow_agent_provider.quality.checks.base import Measured, RowCheck
from airflow_agent_provider.quality.results import Dimension

if TYPE_CHECKING:
    from sqlglot import exp

    from airflow_agent_provider.quality.expressions import Expressions


@dataclass(frozen=True)
class NotNull(RowCheck):
    """
    Every row has a value in the column.

    Only NULL counts as missing: an empty text is a value, and so is NaN.

    :param column: any column.
    """

    dimension: ClassVar[Dimension] = "completeness"

    column: str

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_column("column")

    @property
    def used_columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def related_metrics(self) -> tuple[str, ...]:
        return (f"{self.column}.null_share", f"{self.column}.null_count")

    def failing(self, sql: Expressions) -> exp.Expr:
        return sql.is_null(self.column)

    def measures(self, sql: Expressions) -> dict[str, exp.Expr]:
        # The same count that the profile asks for, so that both cost one.
        return {"values": sql.count_values(self.column)}

    def failing_rows(self, measured: Measured) -> int:
        return measured.row_count - int(measured.values["values"])

    def complaint(self, share: str) -> str:
        return f"{share} have no {self.column}"
