"""Every exact metric against pandas, on drawn batches."""

import math
import tempfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from airflow_agent_provider.engines.duckdb import open_files
from airflow_agent_provider.quality.scan import scan

ROWS = some.integers(1, 30)
INTEGERS = some.integers(-(10**9), 10**9) | some.sampled_from([0, 1, 1, 1])
FLOATS = some.floats(-1e9, 1e9) | some.sampled_from([0.1, 2.5, math.nan, math.inf, -math.inf])
TEXTS = some.text(alphabet="abzé\"' \n%", max_size=4) | some.sampled_from(["", "", "NULL", "a", "🙂"])
MOMENTS = some.datetimes(min_value=pd.Timestamp("1700-01-01"), max_value=pd.Timestamp("2200-01-01"))
TYPES = {
    "i": (INTEGERS, pa.int64()),
    "f": (FLOATS, pa.float64()),
    "t": (TEXTS, pa.string()),
    "b": (some.booleans(), pa.bool_()),
    "at": (MOMENTS, pa.timestamp("us")),
}


@some.composite
def batches(draw):
    rows = draw(ROWS)
    return {
        name: draw(some.lists(values | some.none(), min_size=rows, max_size=rows))
        for name, (values, _) in TYPES.items()
    }


def numbers(values):
    """What pandas says of a column of numbers; NaN and infinities left out."""
    present = [value for value in values if value is not None]
    finite = pd.Series([value for value in present if math.isfinite(value)], dtype=float)
    if finite.empty:
        metrics = dict.fromkeys(("min", "max", "mean", "std", "p05", "p50", "p95"))
    else:
        quantiles = finite.quantile([0.05, 0.5, 0.95])
        metrics = {"min": finite.min(), "max": finite.max(), "mean": finite.mean()}
        metrics |= {"std": finite.std() if len(finite) > 1 else None}
        metrics |= dict(zip(("p05", "p50", "p95"), quantiles, strict=True))
    return metrics, len(present) - len(finite)


def texts(values):
    lengths = pd.Series([len(value) for value in values if value is not None], dtype=float)
    if lengths.empty:
        return dict.fromkeys(("length_min", "length_max", "length_mean"))
    return {"length_min": lengths.min(), "length_max": lengths.max(), "length_mean": lengths.mean()}


def times(values):
    present = [value for value in values if value is not None]
    if not present:
        return {"min": None, "max": None}
    return {"min": min(present).isoformat(), "max": max(present).isoformat()}


def common(values):
    """What pandas says of any column: NULLs, distinct values, the counts of the most frequent ones."""
    present = pd.Series([value for value in values if value is not None], dtype=object)
    nulls = len(values) - len(present)
    # NaN is a value like the others, so it is counted under a name that equals itself.
    named = present.map(lambda value: "nan" if isinstance(value, float) and math.isnan(value) else value)
    return {
        "null_count": nulls,
        "null_share": nulls / len(values),
        "distinct_count": named.nunique(),
        "top": list(named.value_counts().head(5)),
    }


def expected_of(columns):
    i, _ = numbers(columns["i"])
    f, strange = numbers(columns["f"])
    trues = [value for value in columns["b"] if value is not None]
    own = {
        "i": i,
        "f": f | {"nan_count": strange},
        "t": texts(columns["t"]),
        "b": {"true_share": sum(trues) / len(trues) if trues else None},
        "at": times(columns["at"]),
    }
    return {name: common(columns[name]) | own[name] for name in columns}


def assert_measured(profile, columns):
    """Hold each metric of each column against pandas; floats to 10 digits, all else exactly."""
    expected = expected_of(columns)
    found = {one.column.name: one.metrics for one in profile.columns}
    assert profile.row_count == len(columns["i"])
    for name, metrics in expected.items():
        assert set(found[name]) == set(metrics)
        for metric, value in metrics.items():
            measured = found[name][metric]
            shown = [count for _, count in measured.value] if metric == "top" else measured.value
            assert measured.precision == "exact"
            number = isinstance(value, float) and not isinstance(value, bool)
            assert shown == (pytest.approx(value, rel=1e-9, abs=1e-7) if number else value), (name, metric)


@given(columns=batches())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_exact_metrics_equal_pandas(columns):
    """Every metric of the full profile, of each kind of column, is what pandas computes of the same values."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "batch.parquet"
        pq.write_table(
            pa.table({name: pa.array(columns[name], kind) for name, (_, kind) in TYPES.items()}), path
        )
        with open_files([str(path)], "parquet", label="drawn") as batch:
            assert_measured(scan(batch, []).profile, columns)
