"""DataFrames: bounds and nulls of all rows, the rest of some, and never all columns of a wide one."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from airflow_agent_provider.sources.ingest import ingest
from airflow_agent_provider.summary.summary import Bounds


def field(summary, name):
    [found] = [one for one in summary.fields if one.name == name]
    return found


def test_bounds_means_and_nulls_are_of_all_rows():
    """Also where other statistics come from a part of them, which is said."""
    frame = pd.DataFrame({"delay": range(100_000), "fare": [*([1.5] * 99_998), np.nan, np.inf]})
    summary = ingest(frame, bounds=Bounds(rows=10))
    assert (summary.row_count, summary.measured_rows) == (100_000, 10)
    delay, fare = field(summary, "delay"), field(summary, "fare")
    assert (delay.statistics["min"], delay.statistics["max"], delay.statistics["mean"]) == (
        0,
        99_999,
        49_999.5,
    )
    assert (fare.nulls, fare.statistics["not_finite"], fare.statistics["mean"]) == (1, 1, 1.5)
    assert "missing values, bounds and means are of all rows" in summary.notes[0]


@pytest.mark.parametrize(
    ("values", "types", "statistics"),
    [
        (
            pd.array([1, None, 3], dtype="Int64"),
            ("integer",),
            {"min": 1, "max": 3, "mean": 2.0, "distinct": 2},
        ),
        ([2**62, 2**62 + 1, 2**62 + 2], ("integer",), {"min": 2**62, "max": 2**62 + 2}),
        ([True, False, True], ("boolean",), {"true": 2}),
        (pd.array([True, None, False], dtype="boolean"), ("boolean",), {"true": 1}),
        (["a", None, "a"], ("text",), {"distinct": 1, "frequent": [["a", 2]]}),
        (pd.Categorical(["x", "y", "x"]), ("text",), {"distinct": 2, "frequent": [["x", 2], ["y", 1]]}),
        ([{"k": 1}, [1, 2], "t"], ("list", "object", "text"), {"min_items": 2}),
        ([b"ab", b"", None], ("bytes",), {"min_bytes": 0, "max_bytes": 2}),
        (
            pd.to_datetime(["2013-02-08 12:00", None, "2013-02-09"], utc=False, format="mixed"),
            ("timestamp",),
            {"earliest": "2013-02-08T12:00:00", "latest": "2013-02-09T00:00:00"},
        ),
        (
            pd.to_datetime(["2013-02-08 12:00", "2013-02-09", None], format="mixed").tz_localize(
                "Asia/Tokyo"
            ),
            ("timestamp",),
            {"earliest": "2013-02-08T03:00:00", "latest": "2013-02-08T15:00:00"},
        ),
        (pd.array([1.5, None, 2.5], dtype="Float64"), ("number",), {"min": 1.5, "max": 2.5, "mean": 2.0}),
        ([None, None, None], (), {}),
        ([np.nan] * 3, (), {}),
        ([1j, 2j, 3j], ("other",), {}),
        (pd.to_timedelta([1, 2, 3], unit="s"), ("other",), {}),
        (pd.period_range("2013-01", periods=3, freq="M"), ("other",), {}),
    ],
)
def test_each_type_of_column_has_its_statistics(values, types, statistics):
    """Whatever pandas calls it."""
    summary = ingest(pd.DataFrame({"x": values}))
    found = field(summary, "x")
    assert found.types == types
    assert statistics.items() <= found.statistics.items()
    assert found.nulls == int(pd.Series(values).isna().sum())
    summary.to_prompt()


@settings(deadline=None, max_examples=60)
@given(
    some.lists(
        some.none() | some.integers(-(2**63), 2**63 - 1) | some.floats() | some.text(max_size=5), max_size=30
    )
)
def test_any_column_of_mixed_objects_is_read(values):
    """No cell makes an error, and nulls are counted as pandas counts them."""
    frame = pd.DataFrame({"x": pd.Series(values, dtype=object)})
    found = field(ingest(frame), "x")
    assert found.nulls == sum(one is None or (isinstance(one, float) and math.isnan(one)) for one in values)


def test_a_wide_frame_is_described_by_its_first_columns():
    """Two thousand columns, a hundred described; the rest is counted."""
    frame = pd.DataFrame(np.zeros((50, 2000)), columns=[f"c{n}" for n in range(2000)])
    summary = ingest(frame, sensitive=["c1999"])
    assert len(summary.fields) == 100
    assert "1,900 of 2,000 columns are left out" in summary.notes
    assert len(summary.to_prompt(2000)) <= 2000


def test_odd_column_names_stay_apart():
    """Numbers, tuples, a name twice, line breaks."""
    frame = pd.DataFrame([[1, 2, 3, 4, 5]], columns=["a", "a", 7, ("x", "y"), "b\nc"])
    summary = ingest(frame)
    assert [one.name for one in summary.fields] == ["a", '"a#2"', '"7"', '"x.y"', '"b\\nc"']
    assert summary.sample == ({"a": 1, "a#2": 2, "7": 3, "x.y": 4, "b\nc": 5},)


def test_sensitive_columns_are_left_out():
    """Sample, bounds and frequent values; missing values stay."""
    frame = pd.DataFrame({"Email": ["j@x.org", None, "j@x.org"], "salary": [987654, 1, 2], "n": [1, 2, 3]})
    summary = ingest(frame, sensitive=["email", "salary"])
    written = summary.to_prompt() + str(summary.to_json())
    assert "j@x.org" not in written
    assert "987654" not in written
    assert field(summary, "Email").nulls == 1
    assert summary.sample[0] == {"Email": "(sensitive)", "salary": "(sensitive)", "n": 1}


def test_a_frame_without_rows_or_columns_is_described_all_the_same():
    """Empty is no error."""
    assert ingest(pd.DataFrame()).row_count == 0
    summary = ingest(pd.DataFrame({"a": pd.Series([], dtype="int64")}))
    assert (summary.row_count, field(summary, "a").declared, field(summary, "a").nulls) == (0, "int64", 0)


def test_the_sample_is_spread_over_the_frame_and_the_index_named():
    """The first rows of sorted data look all alike."""
    frame = pd.DataFrame({"n": range(1000)}, index=pd.Index(range(1000), name="flight"))
    summary = ingest(frame, bounds=Bounds(sample_rows=4))
    assert summary.sample == ({"n": 0}, {"n": 250}, {"n": 500}, {"n": 750})
    assert summary.facts == {"index": ["flight"]}


def test_a_frame_is_not_changed():
    """It belongs to the caller."""
    frame = pd.DataFrame({"a": [1, None], "b": ["x", "y"]})
    before = frame.copy()
    ingest(frame)
    pd.testing.assert_frame_equal(frame, before)
