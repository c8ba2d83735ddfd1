"""Uniqueness: there once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_agent_provider.core.spec import pending
from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.quality.checks.base import RowCheck
from airflow_agent_provider.quality.results import Dimension

if TYPE_CHECKING:
    from sqlglot import exp

    from airflow_agent_provider.quality.expressions import Expressions


@dataclass(frozen=True, init=False)
class Unique(RowCheck):
    """
    No two rows share the same values in the columns; exact, never estimated.

    All rows of a repeated key fail, since none of them can be called the right one.
    Rows with a NULL in any of the columns are left out, as by an SQL UNIQUE constraint.

    :param columns: one or more columns, ``Unique("time_hour", "carrier", "flight")``.
    """

    dimension: ClassVar[Dimension] = "uniqueness"

    columns: tuple[str, ...]

    def __init__(
        self,
        *columns: str,
        severity: str = "error",
        tolerance: float = 0.0,
        name: str | None = None,
    ) -> None:
        self.settle("columns", columns)
        self.settle("severity", severity)
        self.settle("tolerance", tolerance)
        self.settle("name", name)
        self.__post_init__()

    @classmethod
    def build(cls, **values: Any) -> Unique:
        """Accept ``column`` for ``columns`` too, as the other checks spell it."""
        if "column" in values and "columns" not in values:
            values["columns"] = values.pop("column")
        if "columns" not in values:
            raise ConfigurationError("Unique: missing field 'columns'")
        return super().build(**values)

    def __post_init__(self) -> None:
        super().__post_init__()
        written: Any = self.columns
        names = [written] if isinstance(written, str) else written
        if not isinstance(names, (tuple, list)) or not names:
            self.refuse("columns", "must name at least one column")
        if not all(isinstance(one, str) and one.strip() for one in names):
            self.refuse("columns", "each must name a column")
        if len(set(names)) < len(names) and not pending(names):
            self.refuse("columns", "must not name a column twice")
        self.settle("columns", tuple(names))

    @property
    def used_columns(self) -> tuple[str, ...]:
        return self.columns

    @property
    def related_metrics(self) -> tuple[str, ...]:
        return tuple(
            f"{column}.{metric}" for column in self.columns for metric in ("distinct_count", "null_count")
        )

    def failing(self, sql: Expressions) -> exp.Expr:
        return sql.is_repeated(self.columns)

    def measures(self, sql: Expressions) -> dict[str, exp.Expr]:
        # Counting the groups costs a third of looking each row up in them.
        return {"failing": sql.count_repeated(self.columns)}

    def complaint(self, share: str) -> str:
        return f"{share} share their {', '.join(self.columns)} with another row"
