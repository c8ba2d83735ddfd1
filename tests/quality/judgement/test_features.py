"""A profile becomes the same finite numbers every time, whatever is missing from it."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_agent_provider.quality.features import features, split
from airflow_agent_provider.quality.results import Column, ColumnProfile, Measurement, Profile

NOON = datetime(2013, 2, 8, 12, tzinfo=UTC)


def column(kind, name="c", **metrics):
    return ColumnProfile(
        Column(name, kind, kind), {key: Measurement(value) for key, value in metrics.items()}
    )


def of(one, *, rows=100, **options):
    found = features(Profile(rows, (one,)), **options)
    assert found.pop("row_count") == pytest.approx(rows)
    return {split(name)[1]: value for name, value in found.items()}


def test_counts_become_shares():
    """Of the rows for nulls, of the values for the rest: twice the rows is no other batch."""
    small = column("text", null_count=20, distinct_count=40, top=[["x", 8], ["y", 2]], length_mean=3.5)
    large = column("text", null_count=40, distinct_count=80, top=[["x", 16], ["y", 4]], length_mean=3.5)
    expected = {"null_share": 0.2, "distinct_share": 0.5, "top_share": 0.1, "length_mean": 3.5}
    assert of(small) == pytest.approx(expected)
    assert of(large, rows=200) == pytest.approx(expected)


def test_numbers_give_their_moments_and_quantiles():
    """By the name that the profile gives them."""
    metrics = {"min": 1, "max": 9, "mean": 4.5, "std": 2.0, "p05": 1.5, "p50": 4.0, "p95": 8.5}
    assert of(column("number", **metrics)) == pytest.approx(metrics)


def test_a_boolean_gives_its_share_and_not_how_many_values_it_has():
    """Two of few rows are many, two of many are few; it says nothing."""
    assert of(column("boolean", null_share=0.0, true_share=0.3, distinct_count=2)) == pytest.approx({
        "null_share": 0.0,
        "true_share": 0.3,
    })


def test_times_give_range_and_lag():
    """Lag is counted from the batch's own moment, and times without a zone are taken as UTC."""
    one = column("time", min="2013-02-08T00:00:00", max="2013-02-08T11:00:00+00:00")
    assert of(one) == pytest.approx({"range_s": 39_600})
    assert of(one, batch_at=NOON) == pytest.approx({"range_s": 39_600, "lag_s": 3_600})


@pytest.mark.parametrize("text", ["12:30:00.5.1", "infinity", "20130-01-01", ""])
def test_a_time_that_cannot_be_read_gives_no_feature(text):
    """Databases hold times that Python does not."""
    assert of(column("time", min=text, max=text)) == {}


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "12", [["x", 1]]])
def test_what_is_undefined_gives_no_feature(value):
    """A mean of nothing is not zero."""
    assert of(column("number", mean=value)) == {}


def test_a_column_of_nulls_has_only_its_share_of_nulls():
    """Nothing is divided by zero values."""
    one = column("text", null_count=100, distinct_count=0, top=[], length_mean=None)
    assert of(one) == {"null_share": 1.0}


def test_a_light_profile_gives_what_it_has():
    """A share of nulls that was measured as such serves too; an unknown metric is passed over."""
    assert of(column("number", null_share=0.25, skew=3.0)) == {"null_share": 0.25}


def test_nan_and_repeated_keys_are_features():
    """Both are dirt that no other feature shows."""
    assert of(column("number", nan_count=5)) == {"nan_share": 0.05}
    assert of(column("other", duplicate_count=4, duplicate_share=0.04)) == {"duplicate_share": 0.04}


def test_a_column_may_be_called_anything():
    """Also like a metric or with dots: the metric is what follows the last one."""
    found = features(Profile(10, (column("number", "a.b", mean=1), column("number", "row_count", mean=2))))
    assert found == {"row_count": 10.0, "a.b.mean": 1.0, "row_count.mean": 2.0}
    assert split("a.b.mean") == ("a.b", "mean")
    assert split("row_count") == ("", "row_count")


steady = settings(deadline=None, derandomize=True, database=None)
texts = st.sampled_from(["", "x", "nan", "2013-02-08", "9999-12-31T23:59:59+00:00"])
values = st.one_of(st.none(), st.floats(), st.integers(), texts, st.booleans())
metrics = st.dictionaries(
    st.sampled_from("null_count distinct_count min max mean std length_mean".split()), values
)


@steady
@given(metrics, st.sampled_from(["number", "text", "time", "boolean", "other"]), st.integers(0, 10**12))
def test_every_feature_is_a_finite_number(found, kind, rows):
    """Whatever a profile holds."""
    result = features(Profile(rows, (column(kind, **found),)), batch_at=NOON)
    assert all(isinstance(value, float) and math.isfinite(value) for value in result.values())
