"""
A batch in an engine as a summary: measured where it lies, a few rows fetched.

Sensitive columns are taken out before the engine is asked: their values are neither
read nor counted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlglot import exp

from airflow_agent_provider.exceptions import EmptyBatch
from airflow_agent_provider.quality.batch import Batch
from airflow_agent_provider.quality.expressions import as_text
from airflow_agent_provider.quality.results import Column, ColumnProfile, Profile
from airflow_agent_provider.quality.scan import scan
from airflow_agent_provider.summary.fields import Fields, part_name
from airflow_agent_provider.summary.rows import sample
from airflow_agent_provider.summary.summary import Bounds, Field, Summary
from airflow_agent_provider.summary.values import HIDDEN, plain, short, shown

TYPES = {"number": "number", "text": "text", "time": "timestamp", "boolean": "boolean", "other": "other"}
NAMES = {
    "mean": "mean",
    "std": "std",
    "nan_count": "not_finite",
    "p05": "p05",
    "p50": "p50",
    "p95": "p95",
    "length_min": "min_length",
    "length_max": "max_length",
    "distinct_count": "distinct",
    "top": "frequent",
}


def summarise_batch(
    batch: Batch, kind: str, bounds: Bounds, sensitive: Collection[str], label: str
) -> Summary:
    """
    Summarise an open batch.

    :raises DataError: when it cannot be measured.
    :raises SourceUnavailable: when the engine does not answer.
    """
    known = batch.columns()
    columns = known[: bounds.fields]
    fields = Fields(bounds, sensitive)
    hidden = {one.name for one in columns if (node := fields.declare([one.name])) and node.sensitive}
    open_ = tuple(one for one in columns if one.name not in hidden)
    try:
        profile = scan(_Narrow(batch, open_), ()).profile
    except EmptyBatch:
        profile = Profile(0, ())
    notes = fields.notes()
    if len(columns) < len(known):
        notes.append(f"{len(known) - len(columns):,} of {len(known):,} columns are left out")
    if any(one.precision != "exact" for column in profile.columns for one in column.metrics.values()):
        notes.append("distinct and frequent values and quantiles are estimated")
    profiles = {one.column.name: one for one in profile.columns}
    return Summary(
        kind=kind,
        label=label,
        row_count=profile.row_count,
        measured_rows=profile.row_count,
        fields=tuple(_field(one, profiles.get(one.name), sensitive=one.name in hidden) for one in columns),
        sample=_sample(batch, columns, hidden, bounds) if profile.row_count else (),
        notes=tuple(notes),
    )


class _Narrow:
    """A batch of which only some columns are known."""

    def __init__(self, whole: Batch, shown: tuple[Column, ...]) -> None:
        self.label, self.dialect, self.relation = whole.label, whole.dialect, whole.relation
        self._whole, self._shown = whole, shown

    def columns(self) -> tuple[Column, ...]:
        return self._shown

    def sample(self, every: int) -> str:
        return self._whole.sample(every)

    def rows(self, sql: str, *, max_rows: int) -> list[dict[str, Any]]:
        return self._whole.rows(sql, max_rows=max_rows)

    def write_quarantine(self, target: str, batch_key: str, sql: str) -> int:
        return self._whole.write_quarantine(target, batch_key, sql)


def _field(column: Column, profile: ColumnProfile | None, *, sensitive: bool) -> Field:
    metrics: dict[str, Any] = {name: one.value for name, one in profile.metrics.items()} if profile else {}
    nulls = metrics.get("null_count")
    statistics = {
        NAMES[name]: value for name, value in metrics.items() if name in NAMES and value is not None
    }
    low, high = ("earliest", "latest") if column.kind == "time" else ("min", "max")
    if metrics.get("min") is not None:
        statistics = {low: metrics["min"], high: metrics["max"], **statistics}
    if isinstance(frequent := statistics.get("frequent"), list):
        statistics["frequent"] = [[short(str(text), len(str(text))), number] for text, number in frequent]
    return Field(
        name=part_name(column.name),
        types=(TYPES[column.kind],),
        nullable=nulls > 0 if isinstance(nulls, int) else None,
        nulls=nulls if isinstance(nulls, int) else None,
        statistics=statistics,
        declared=part_name(column.type),
        sensitive=sensitive,
    )


def _sample(
    batch: Batch, columns: Sequence[Column], hidden: Collection[str], bounds: Bounds
) -> tuple[Any, ...]:
    """Fetch the first rows; texts are cut in the engine."""
    if not bounds.sample_rows:
        return ()
    aliases = {one.name: f"c{number}" for number, one in enumerate(columns) if one.name not in hidden}
    wanted = [exp.alias_(_cut(one, bounds), aliases[one.name]) for one in columns if one.name in aliases]
    query = exp.select(*wanted or [exp.alias_(exp.Null(), "nothing")]).from_(
        batch.relation, dialect=batch.dialect
    )
    found = batch.rows(query.limit(bounds.sample_rows).sql(batch.dialect), max_rows=bounds.sample_rows)

    def show(row: dict[str, Any], value_chars: int) -> dict[str, Any]:
        return {
            short(one.name, bounds.value_chars): HIDDEN
            if one.name in hidden
            else _shown(row[aliases[one.name]], value_chars)
            for one in columns
        }

    return sample(found, show, bounds)


def _cut(column: Column, bounds: Bounds) -> exp.Expr:
    value = exp.column(column.name, quoted=True)
    if column.kind in {"number", "boolean", "time"}:
        return value
    return exp.Substring(
        this=as_text(value), start=exp.Literal.number(1), length=exp.Literal.number(bounds.value_chars + 1)
    )


def _shown(value: Any, value_chars: int) -> Any:
    if isinstance(value, str) and len(value) > value_chars:
        return f"{short(value[:value_chars], value_chars)}…"
    return shown(plain(value), value_chars)
