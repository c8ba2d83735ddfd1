"""
The profile: which metrics a column has, and how each is obtained.

=================  ==========  =====  ==================================================
metric             of kind     depth  what it is
=================  ==========  =====  ==================================================
``null_count``     any         light  rows with NULL
``null_share``     any         light  of the rows, in [0, 1]
``min``, ``max``   number      light  least and greatest finite number
``min``, ``max``   time        light  earliest and latest, ISO 8601 (UTC if zoned)
``mean``, ``std``  number      light  of finite numbers; ``std`` divides by n - 1
``nan_count``      float       light  rows with NaN or an infinity; other metrics leave
                                      them out
``true_share``     boolean     light  of the rows with a value
``distinct_count`` any of the  full   different values, NULL left out
                   four
``p05 p50 p95``    number      full   quantiles, interpolated linearly
``top``            any of the  full   the 5 most frequent values as ``[text, count]``, cut
                   four               to 80 characters, ties in order of the text
``length_min``     text        full   characters; likewise ``length_max``, ``length_mean``
``duplicate_count``  key       full   rows that share their key with another row;
                                      ``duplicate_share`` of the rows
=================  ==========  =====  ==================================================

Kind ``other`` (nested values, JSON, bytes, time of day) is only asked for NULLs.

Up to ``EXACT_ROWS`` rows all is exact. Above, ``p05 p50 p95`` and ``top`` come
from about ``SAMPLE_ROWS`` rows, the same ones in each run, and say ``sampled``;
``top`` then holds only values that were seen at least 10 times, their counts scaled
up to the batch. ``distinct_count`` is ``approximate``
(HyperLogLog) in DuckDB. Postgres has none, so there it is ``sampled``: the Duj1
estimator of Haas and Stokes (1998, "Estimating the number of classes in a finite
population"), which Postgres' own ANALYZE uses, from the number of values and of
values seen once.

Means are kept to 12 significant digits: threads add up in any order, and the last
digits with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from sqlglot import exp

from airflow_agent_provider.quality.expressions import Expressions, as_double, as_text, count_rows
from airflow_agent_provider.quality.results import Column, ColumnProfile, Measurement, Precision, Value
from airflow_agent_provider.quality.statement import Statement

Depth = Literal["none", "light", "full"]

EXACT_ROWS = 200_000
SAMPLE_ROWS = 100_000
TOP = 5
TOP_CHARS = 80
LEAST_SEEN = 10  # in a sample; below that a count says next to nothing of the batch
SIGNIFICANT_DIGITS = 12
QUANTILES = {"p05": 0.05, "p50": 0.5, "p95": 0.95}
KEY_TYPE = "key"
DATE_CHARS = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Where a column's metrics will be found, before there are values.

    :param aliases: the statement's aliases by the name of the part that they give.
    """

    column: Column
    aliases: Mapping[str, str]


def sample_every(row_count: int) -> int:
    """Tell how thin the sample of that many rows is: 1 when all rows are read."""
    return 1 if row_count <= EXACT_ROWS else -(-row_count // SAMPLE_ROWS)


def plan_column(column: Column, sql: Expressions, statement: Statement, depth: Depth, every: int) -> Plan:
    """Add a column's measures to the statement."""
    aliases = {"non_null": statement.add(sql.count_values(column.name))}
    aliases |= {part: statement.add(one) for part, one in _light(column, sql).items()}
    if depth == "full" and column.kind != "other":
        aliases |= _frequencies(column, sql, statement, every)
        aliases |= {part: statement.add(one, "sample") for part, one in _quantiles(column, sql).items()}
        aliases |= {part: statement.add(one) for part, one in _lengths(column, sql).items()}
    return Plan(column, aliases)


def profile_column(plan: Plan, values: Mapping[str, Any], row_count: int, every: int) -> ColumnProfile:
    """Make a column's metrics of the values that came back."""
    found = {part: values[alias] for part, alias in plan.aliases.items()}
    metrics = _light_metrics(plan.column, found, row_count)
    if "top_values" in found:
        metrics |= _full_metrics(plan.column, found, every)
    return ColumnProfile(plan.column, metrics)


def with_key(
    columns: tuple[ColumnProfile, ...], key: Sequence[str], repeated: int, row_count: int
) -> tuple[ColumnProfile, ...]:
    """Add how many rows share their key: to the key's column, or as a column ``a+b`` of its own."""
    counted = {"duplicate_count": Measurement(repeated), "duplicate_share": Measurement(repeated / row_count)}
    if [one for one in columns if (one.column.name,) == tuple(key)]:
        return tuple(
            ColumnProfile(one.column, {**one.metrics, **counted}) if one.column.name == key[0] else one
            for one in columns
        )
    return (*columns, ColumnProfile(Column("+".join(key), KEY_TYPE, "other"), counted))


def plain(value: Any) -> Value:
    """Turn a number as a driver gives it into an int or a finite float; None when it is neither."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return int(value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) < float("inf") else None


def rounded(value: Any) -> Value:
    """Keep the digits of a mean that do not depend on the order in which it was summed."""
    number = plain(value)
    return float(f"{float(number):.{SIGNIFICANT_DIGITS}g}") if isinstance(number, (int, float)) else None


def iso(value: Any) -> str | None:
    """Write a time that came as text in ISO 8601; years beyond 9999 and infinities stay as they came."""
    if value is None:
        return None
    text = str(value)
    try:
        return text if len(text) == DATE_CHARS else datetime.fromisoformat(text).isoformat()
    except ValueError:
        return text


def _light(column: Column, sql: Expressions) -> dict[str, exp.Expr]:
    value = sql.column(column.name)
    if column.kind == "time":
        return {"min": as_text(exp.Min(this=value)), "max": as_text(exp.Max(this=value.copy()))}
    if column.kind == "boolean":
        return {"true": sql.count_where(value)}
    if column.kind != "number":
        return {}
    number = sql.finite(column.name)
    bound = as_double(number) if sql.is_float(column.name) else number
    parts: dict[str, exp.Expr] = {
        "min": exp.Min(this=bound),
        "max": exp.Max(this=bound.copy()),
        "mean": exp.Avg(this=number.copy()),
        "std": exp.StddevSamp(this=as_double(number.copy())),
    }
    return parts | ({"finite": exp.Count(this=number.copy())} if sql.can_be_infinite(column.name) else {})


def _light_metrics(column: Column, found: Mapping[str, Any], row_count: int) -> dict[str, Measurement]:
    nulls = row_count - int(found["non_null"])
    metrics = {"null_count": Measurement(nulls), "null_share": Measurement(nulls / row_count)}
    if column.kind == "time":
        metrics |= {name: Measurement(iso(found[name])) for name in ("min", "max")}
    if column.kind == "number":
        metrics |= {name: Measurement(plain(found[name])) for name in ("min", "max")}
        metrics |= {name: Measurement(rounded(found[name])) for name in ("mean", "std")}
    if "finite" in found:
        metrics["nan_count"] = Measurement(int(found["non_null"]) - int(found["finite"]))
    if "true" in found:
        share = int(found["true"]) / int(found["non_null"]) if found["non_null"] else None
        metrics["true_share"] = Measurement(share)
    return metrics


def _quantiles(column: Column, sql: Expressions) -> dict[str, exp.Expr]:
    """Ask for all quantiles at once, so that the values are kept and sorted once."""
    if column.kind != "number":
        return {}
    number = as_double(sql.finite(column.name))
    shares = exp.Array(expressions=[exp.Literal.number(share) for share in QUANTILES.values()])
    if sql.dialect == "duckdb":
        return {"quantiles": exp.Anonymous(this="QUANTILE_CONT", expressions=[number, shares])}
    order = exp.Order(expressions=[exp.Ordered(this=number)])
    return {"quantiles": exp.WithinGroup(this=exp.PercentileCont(this=shares), expression=order)}


def _lengths(column: Column, sql: Expressions) -> dict[str, exp.Expr]:
    if column.kind != "text":
        return {}
    # Anonymous: sqlglot writes its own Length as a CASE over BLOB and text in DuckDB.
    length = exp.Anonymous(this="LENGTH", expressions=[sql.text(column.name)])
    return {
        "length_min": exp.Min(this=length),
        "length_max": exp.Max(this=length.copy()),
        "length_mean": exp.Avg(this=length.copy()),
    }


def _frequencies(column: Column, sql: Expressions, statement: Statement, every: int) -> dict[str, str]:
    """Add what is read off the table of a column's values and their counts."""
    text = as_text(exp.column("value"))
    ties = (
        exp.Collate(this=text, expression=exp.to_identifier("C", quoted=True))
        if sql.dialect == "postgres"
        else text
    )
    order = [exp.Ordered(this=exp.column("n"), desc=True, nulls_first=True), exp.Ordered(this=ties)]
    groups, most = statement.groups(sql.column(column.name), order, TOP)
    shown = exp.Anonymous(this="LEFT", expressions=[text.copy(), exp.Literal.number(TOP_CHARS)])
    parts = {
        "top_values": exp.select(_listed(shown, order)).from_(most),
        "top_counts": exp.select(_listed(exp.column("n"), order)).from_(most),
    }
    if every > 1:
        parts["sampled"] = exp.select(exp.Sum(this=exp.column("n"))).from_(groups)
    if every == 1 or sql.dialect != "duckdb":
        parts["groups"] = exp.select(count_rows()).from_(groups)
        parts["once"] = exp.select(count_rows()).from_(groups).where("n = 1")
    aliases = {part: statement.add(one.subquery(), "scalar") for part, one in parts.items()}
    if "groups" not in parts:
        aliases["approximate"] = statement.add(exp.ApproxDistinct(this=sql.column(column.name)))
    return aliases


def _listed(value: exp.Expr, order: Sequence[exp.Expr]) -> exp.Expr:
    ordered = exp.Order(this=value, expressions=[one.copy() for one in order])
    return exp.ArrayAgg(this=ordered)


def _full_metrics(column: Column, found: Mapping[str, Any], every: int) -> dict[str, Measurement]:
    precision: Precision = "exact" if every == 1 else "sampled"
    metrics = {"distinct_count": _distinct(found, every)}
    if "quantiles" in found:
        quantiles = found["quantiles"] or [None] * len(QUANTILES)
        metrics |= {
            name: Measurement(rounded(one), precision) for name, one in zip(QUANTILES, quantiles, strict=True)
        }
    spell = {"number": _number_text, "time": iso}.get(column.kind, str)
    scale = int(found["non_null"]) / int(found["sampled"]) if found.get("sampled") else 1
    most = zip(found["top_values"] or [], found["top_counts"] or [], strict=True)
    enough = 1 if every == 1 else LEAST_SEEN
    top: list[list[str | int]] = [[str(spell(one)), round(int(n) * scale)] for one, n in most if n >= enough]
    metrics["top"] = Measurement(top, precision)
    if "length_min" in found:
        metrics |= {name: Measurement(plain(found[name])) for name in ("length_min", "length_max")}
        metrics["length_mean"] = Measurement(rounded(found["length_mean"]))
    return metrics


def _distinct(found: Mapping[str, Any], every: int) -> Measurement:
    if "approximate" in found:
        return Measurement(int(found["approximate"]), "approximate")
    values = int(found["groups"])
    if every == 1:
        return Measurement(values)
    seen = int(found["sampled"] or 0)
    if seen == 0:
        return Measurement(0, "sampled")
    once = int(found["once"])
    population = max(int(found["non_null"]), seen)
    estimate = seen * values / (seen - once + once * seen / population)
    return Measurement(round(min(max(estimate, values), population)), "sampled")


def _number_text(text: str) -> str:
    """Write a number alike whichever engine wrote it: ``10.0`` and ``10.00`` become ``10``."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if not number.is_finite():
        return str(float(number))
    short = f"{abs(number) if number == 0 else number:f}"  # 0 and -0 are one value to the engines
    return short.rstrip("0").rstrip(".") if "." in short else short
