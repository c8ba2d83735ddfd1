"""Schema: the form that was agreed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from airflow_agent_provider.quality.checks.base import Check, Measured, Outcome
from airflow_agent_provider.quality.results import Column, Dimension, Kind

if TYPE_CHECKING:
    from sqlglot import exp

    from airflow_agent_provider.quality.expressions import Expressions

KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class HasSchema(Check):
    """
    The batch has the columns that were agreed, of the agreed kinds or types.

    :param columns: by column name a kind (``number``, ``text``, ``time``, ``boolean``,
        ``other``), one of the engine's type names (``integer``), or None for any.
    :param extra: whether other columns may be there too.
    """

    dimension: ClassVar[Dimension] = "schema"

    columns: Mapping[str, str | None] = field(hash=False)
    extra: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.columns, Mapping) or not self.columns:
            self.refuse("columns", "must map at least one column name to its kind or type")
        for name, wanted in self.columns.items():
            if not isinstance(name, str) or not name.strip():
                self.refuse("columns", f"{name!r} is no column name")
            if wanted is not None and (not isinstance(wanted, str) or not wanted.strip()):
                self.refuse("columns", f"{name!r} must have a kind ({', '.join(KINDS)}), a type name or None")
        if str(self.extra).lower() not in {"true", "false"}:
            self.refuse("extra", "must be true or false")
        self.settle("extra", str(self.extra).lower() == "true")

    @property
    def identity(self) -> str:
        return "has_schema"

    def measures(self, sql: Expressions) -> dict[str, exp.Expr]:  # noqa: ARG002  # no row is read
        return {}

    def judge(self, measured: Measured) -> Outcome:
        missing = [name for name in self.columns if name not in measured.columns]
        differing = [
            f"{name} is {measured.columns[name].type}, not {wanted}"
            for name, wanted in self.columns.items()
            if name in measured.columns and wanted is not None and not _fits(measured.columns[name], wanted)
        ]
        added = [] if self.extra else [name for name in measured.columns if name not in self.columns]
        flaws = len(missing) + len(differing) + len(added)
        parts = [
            f"{what}: {', '.join(which)}"
            for what, which in (("missing", missing), ("differing", differing), ("not agreed", added))
            if which
        ]
        expected = len(self.columns) + len(added)
        message = "; ".join(parts) or f"all {expected} agreed columns are there"
        return Outcome(not flaws, message, flaws, 0, ratio=(expected - flaws) / expected)

    def _shown(self) -> tuple[Any, ...]:
        return tuple(self.columns)


def _fits(column: Column, wanted: str) -> bool:
    """Compare by kind or by type name; lengths and precisions are left aside."""
    name = wanted.strip().lower()
    if name in KINDS:
        return name == column.kind
    return name in {column.type.lower(), column.type.lower().partition("(")[0].strip()}
