"""
A profile as a vector: what batches are compared by.

A feature is one number of a batch under a name such as ``dep_time.null_share``,
in the unit that people read; scaling is the business of whoever compares
(:mod:`~airflow_agent_provider.quality.distance`), so that a stored history outlives
a change of method. Features are shares rather than counts, for a batch twice as
large is no dirtier. Of each column:

====================  ==============================================================
``null_share``        nulls among the rows
``distinct_share``    distinct values among the values (not of booleans: two is all)
``top_share``         the most frequent value among the values
``true_share``        of booleans
``nan_share``         NaN and infinities among the rows
``duplicate_share``   rows that share their key with another row, of a key
``min max mean std``  of numbers; also ``p05 p50 p95``
``length_min``        of texts, in characters; also ``length_max length_mean``
``range_s``           of times: seconds from the earliest to the latest
``lag_s``             of times: seconds from the latest to the batch's own time
====================  ==============================================================

and ``row_count`` of the batch. The choice follows the descriptive statistics of
Redyuk, Kaoudi, Markl and Schelter, "Automating Data Quality Validation for Dynamic
Data Ingestion" (EDBT 2021, https://doi.org/10.5441/002/edbt.2021.07). A metric that
the profile leaves out, that is undefined or not finite gives no feature.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime

from airflow_agent_provider.quality.results import ColumnProfile, Measurement, Profile, Value

ROW_COUNT = "row_count"
NULL_SHARE = "null_share"
SHARES = frozenset({NULL_SHARE, "distinct_share", "top_share", "true_share", "nan_share", "duplicate_share"})
NUMBERS = ("min", "max", "mean", "std", "p05", "p50", "p95")
LENGTHS = ("length_min", "length_max", "length_mean")


def features(profile: Profile, *, batch_at: datetime | None = None) -> dict[str, float]:
    """
    Describe a batch by named finite numbers, always in the same order.

    :param batch_at: the moment that the batch stands for, with a time zone; without it there is no
        ``lag_s``. Never the moment of measuring: a backfill would look years late.
    """
    found = {ROW_COUNT: float(profile.row_count)}
    for one in profile.columns:
        for metric, value in _column(one, profile.row_count, batch_at):
            if value is not None and math.isfinite(value):
                found[f"{one.column.name}.{metric}"] = value
    return found


def split(feature: str) -> tuple[str, str]:
    """Give a feature's column and metric; the column is empty for ``row_count``."""
    column, _, metric = feature.rpartition(".")
    return column, metric


def _column(
    one: ColumnProfile, row_count: int, batch_at: datetime | None
) -> Iterator[tuple[str, float | None]]:
    metrics, kind = one.metrics, one.column.kind
    nulls = _number(metrics, "null_count")
    values = row_count - (nulls or 0.0)
    yield NULL_SHARE, _share(nulls, row_count) if nulls is not None else _number(metrics, NULL_SHARE)
    if kind == "boolean":
        yield "true_share", _number(metrics, "true_share")
    else:
        yield "distinct_share", _share(_number(metrics, "distinct_count"), values)
    yield "nan_share", _share(_number(metrics, "nan_count"), row_count)
    yield "duplicate_share", _number(metrics, "duplicate_share")
    yield "top_share", _share(_top_count(metrics), values)
    for metric in NUMBERS if kind == "number" else LENGTHS if kind == "text" else ():
        yield metric, _number(metrics, metric)
    if kind == "time":
        earliest, latest = _moment(metrics, "min"), _moment(metrics, "max")
        yield "range_s", _seconds(earliest, latest)
        yield "lag_s", _seconds(latest, batch_at)


def _value(metrics: dict[str, Measurement], name: str) -> Value:
    return metrics[name].value if name in metrics else None


def _number(metrics: dict[str, Measurement], name: str) -> float | None:
    value = _value(metrics, name)
    return float(value) if isinstance(value, (int, float)) else None


def _share(count: float | None, of: float) -> float | None:
    return None if count is None or of <= 0 else count / of


def _top_count(metrics: dict[str, Measurement]) -> float | None:
    top = _value(metrics, "top")
    return float(top[0][1]) if isinstance(top, list) and top else None


def _moment(metrics: dict[str, Measurement], name: str) -> datetime | None:
    value = _value(metrics, name)
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:  # a time of day, or a year that Python cannot hold
        return None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds()
