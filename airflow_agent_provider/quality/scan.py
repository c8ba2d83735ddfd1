"""
Measure a batch: columns, one statement, the profile, the checks' results.

The scan is pure: it asks the :class:`Batch` and computes. Check results are made
of exact counts alone, so a rerun gives the same score, and so does another
engine that holds the same rows.

Order of events: describe the columns (reads no rows), hold the checks against
them, run the statement, evaluate. A full profile first asks for the number of
rows, which decides whether heavy metrics are exact or sampled; Parquet answers
that from its footer.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlglot import exp

from airflow_agent_provider.exceptions import (
    ColumnNotFound,
    ConfigurationError,
    DataError,
    EmptyBatch,
    PermanentError,
)
from airflow_agent_provider.quality.batch import Batch
from airflow_agent_provider.quality.checks.base import Check, Measured
from airflow_agent_provider.quality.expressions import Expressions, count_rows
from airflow_agent_provider.quality.metrics import (
    Depth,
    Plan,
    plan_column,
    profile_column,
    sample_every,
    with_key,
)
from airflow_agent_provider.quality.results import CheckResult, Column, Profile
from airflow_agent_provider.quality.statement import Statement

NEAR_NAMES = 3
SHOWN_NAMES = 20


@dataclass(frozen=True, slots=True)
class Scan:
    """
    What a scan gives.

    :param results: one for each check, in their order.
    :param sql: the statement that was run, for evidence.
    """

    profile: Profile
    results: tuple[CheckResult, ...]
    sql: str
    columns: tuple[Column, ...]


def scan(
    batch: Batch,
    checks: Sequence[Check],
    *,
    profile: Depth = "full",
    reference_time: datetime | None = None,
    key: Sequence[str] = (),
) -> Scan:
    """
    Measure a batch in one pass over its rows.

    :param profile: ``none`` measures what the checks need, ``light`` adds counts,
        bounds and moments, ``full`` adds distinct counts, quantiles, frequent values
        and lengths; see :mod:`airflow_agent_provider.quality.metrics`.
    :param reference_time: the moment that freshness is counted from; aware, or in UTC.
    :param key: columns that should identify a row; the profile then tells how many
        rows share theirs.
    :raises ColumnNotFound: when a check or the key names a column that is not there.
    :raises ConfigurationError: when a check does not fit its column's kind.
    :raises EmptyBatch: when there are no rows.
    """
    columns = {column.name: column for column in batch.columns()}
    require_columns(batch, checks, columns, key)
    sql = Expressions(batch.dialect, columns)
    every = sample_every(_row_count(batch)) if profile == "full" else 1

    statement = Statement(batch, every)
    total = statement.add(count_rows())
    asked = [{name: statement.add(one) for name, one in check.measures(sql).items()} for check in checks]
    plans: list[Plan] = []
    if profile != "none":
        plans = [plan_column(column, sql, statement, profile, every) for column in columns.values()]
    repeated = statement.add(sql.count_repeated(key)) if key else None

    values = _read(statement, batch, checks, sql)
    row_count = int(values[total])
    if row_count == 0:
        raise _empty(batch)
    profiles = tuple(profile_column(plan, values, row_count, every) for plan in plans)
    if repeated is not None:
        profiles = with_key(profiles, key, int(values[repeated]), row_count)
    profiled = Profile(row_count, profiles)
    measured = [
        Measured(row_count, columns, {name: values[alias] for name, alias in aliases.items()}, reference_time)
        for aliases in asked
    ]
    results = [check.evaluate(one) for check, one in zip(checks, measured, strict=True)]
    return Scan(profiled, _named(results, profiled), ";\n".join(statement.ran), tuple(columns.values()))


def require_columns(
    batch: Batch, checks: Sequence[Check], columns: Mapping[str, Column], key: Sequence[str] = ()
) -> None:
    """
    Hold the checks against the columns that there are.

    :raises ColumnNotFound: naming the check, the column and the names that come near.
    :raises ConfigurationError: when a column is of a kind that the check cannot use.
    """
    wanted = [(check.label, name, check.kinds) for check in checks for name in check.used_columns]
    wanted += [("key", name, ()) for name in key]
    for label, name, kinds in wanted:
        if name not in columns:
            raise ColumnNotFound(f"{label}: {batch.label} has no column {name!r}{_near(name, columns)}")
        if kinds and columns[name].kind not in kinds:
            column = columns[name]
            raise ConfigurationError(
                f"{label}: column {name!r} of {batch.label} is {column.type} ({column.kind}); "
                f"this check takes {' or '.join(kinds)}"
            )


def _near(name: str, columns: Mapping[str, Column]) -> str:
    folded = {one.lower(): one for one in columns}
    near = [folded[one] for one in difflib.get_close_matches(name.lower(), folded, NEAR_NAMES)]
    if near:
        return f"; did you mean {' or '.join(near)}?"
    shown = ", ".join(list(columns)[:SHOWN_NAMES])
    return f"; it has {shown}{', ...' if len(columns) > SHOWN_NAMES else ''}"


def _row_count(batch: Batch) -> int:
    counted = exp.select(exp.alias_(count_rows(), "n")).from_(batch.relation, dialect=batch.dialect)
    rows = int(batch.rows(counted.sql(batch.dialect), max_rows=1)[0]["n"])
    if rows == 0:
        raise _empty(batch)
    return rows


def _empty(batch: Batch) -> EmptyBatch:
    return EmptyBatch(
        f"{batch.label}: 0 rows; nothing can be measured. Check the filter and whether the load has run"
    )


def _read(statement: Statement, batch: Batch, checks: Sequence[Check], sql: Expressions) -> dict[str, Any]:
    try:
        return statement.read()
    except DataError:
        _blame(batch, checks, sql)
        raise


def _blame(batch: Batch, checks: Sequence[Check], sql: Expressions) -> None:
    """Find the check that the engine refuses, by asking each alone; only ever after an error."""
    for check in checks:
        alone = Statement(batch)
        for measure in check.measures(sql).values():
            alone.add(measure)
        try:
            alone.read()
        except PermanentError as error:
            raise type(error)(f"{check.label}: {error}") from None


def _named(results: Sequence[CheckResult], profile: Profile) -> tuple[CheckResult, ...]:
    """Make names unique, and keep only the metrics that the profile has."""
    known = profile.metric_ids()
    seen: dict[str, int] = {}
    named = []
    for result in results:
        seen[result.name] = place = seen.get(result.name, 0) + 1
        name = result.name if place == 1 else f"{result.name} #{place}"
        metrics = tuple(one for one in result.metrics if one in known)
        named.append(replace(result, name=name, metrics=metrics))
    return tuple(named)
