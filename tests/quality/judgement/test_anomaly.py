"""How unlike its history a batch is: found, named, calibrated, and silent where it knows too little."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.quality.anomaly import Detector, prediction_p
from airflow_agent_provider.quality.distance import resolution


def batches(number, *, seed=1, columns=6, rows=1000):
    """Batches that differ by chance alone."""
    chance = random.Random(seed)
    return [
        {
            "row_count": rows * math.exp(chance.gauss(0, 0.05)),
            **{f"c{n}.mean": chance.gauss(n, 1) for n in range(columns)},
            **{f"c{n}.std": 5.0 for n in range(columns)},
            "t.null_share": abs(chance.gauss(0.02, 0.005)),
        }
        for _ in range(number)
    ]


def test_a_batch_far_outside_is_flagged_and_the_feature_named(detector):
    """First among the deviations is what was changed."""
    *history, batch = batches(25)
    anomaly = detector.compare({**batch, "t.null_share": 0.5}, history)
    assert anomaly.flagged
    assert anomaly.p_value < detector.alpha / 100
    first = anomaly.deviations[0]
    assert (first.feature, first.found, first.outside) == ("t.null_share", 0.5, True)
    assert first.share > 0.9
    assert len(first.history) == 24
    assert "t.null_share 0.5 against 0.0" in anomaly.note


def test_below_the_minimum_nothing_is_said_but_that(detector):
    """A cold start is no verdict: there is no check either."""
    history = batches(7)
    anomaly = detector.compare({"row_count": 1e9}, history)
    assert anomaly.p_value is None
    assert not anomaly.flagged
    assert anomaly.note == "cold start: 7 of 8 batches; judged by its checks alone"
    assert detector.check(anomaly) is None


def test_good_batches_are_flagged_about_as_often_as_stated():
    """The point of a p-value, for short and long histories and for skewed data."""
    for size, alpha, skewed in ((8, 0.05, False), (14, 0.05, True), (30, 0.05, False), (30, 0.01, False)):
        detector, flagged = Detector(alpha=alpha), 0
        for trial in range(150):
            chosen = batches(size + 1, seed=1000 * size + trial)
            if skewed:
                chosen = [{name: math.exp(value / 9) for name, value in one.items()} for one in chosen]
            flagged += detector.compare(chosen[-1], chosen[:-1]).flagged
        # Two standard deviations of 150 draws above the stated rate.
        assert flagged / 150 <= alpha + 2 * math.sqrt(alpha * (1 - alpha) / 150)


def test_the_largest_so_far_is_told_from_the_far_away(detector):
    """A rank alone cannot: both would be first of 31."""
    history = batches(30)
    usual = sorted(row["c0.mean"] for row in history)
    slightly = detector.compare({**history[3], "c0.mean": usual[-1] + 0.1}, history)
    far = detector.compare({**history[3], "c0.mean": usual[-1] + 30}, history)
    assert slightly.p_value > 0.05
    assert far.p_value < 1e-6


def test_a_weekly_rhythm_is_no_anomaly(detector):
    """A Saturday is like the Saturdays, although far from the mean."""
    weekly = [
        {**one, "row_count": one["row_count"] * (0.3 if day % 7 == 5 else 1)}
        for day, one in enumerate(batches(48))
    ]
    assert not detector.compare(weekly[47], weekly[:47]).flagged
    assert weekly[47]["row_count"] < 400


def test_a_slow_drift_is_no_anomaly(detector):
    """Each batch is a little above the one before: the new one has neighbours only behind it."""
    drifting = [{**one, "c0.mean": day / 3} for day, one in enumerate(batches(40))]
    assert not detector.compare(drifting[39], drifting[:39]).flagged


def test_differences_below_the_resolution_do_not_count(detector):
    """A history that never moved does not make one row more a catastrophe."""
    still = [{"row_count": 100_000.0, "a.null_share": 0.0, "b.length_max": 7.0}] * 20
    near = {"row_count": 100_001.0, "a.null_share": 0.009, "b.length_max": 8.0}
    assert detector.compare(near, still).p_value == pytest.approx(0.5)
    assert detector.compare({**near, "a.null_share": 0.2}, still).flagged


def test_a_resolution_follows_the_kind_of_feature():
    """Shares in points, lengths in characters, numbers in their own spread, the rest in per cent."""
    past = [
        {
            "a.std": 20.0,
            "a.mean": 1e6,
            "d.range_s": 86_400.0,
            "d.lag_s": 5.0,
            "x.length_mean": 50.0,
            "z.mean": 0.0,
        }
    ]
    known = {
        "row_count": 0.01,
        "a.null_share": 0.01,
        "a.mean": 2.0,
        "a.max": 20.0,
        "x.length_max": 1.0,
        "x.length_mean": 0.5,
        "d.lag_s": 8_640.0,
        "z.mean": 1.0,
    }
    assert {name: resolution(name, past) for name in known} == pytest.approx(known)


def test_what_only_one_side_has_is_left_out(detector):
    """A new metric has no history yet, an undefined one no value: neither is odd."""
    history = batches(20)
    batch = {name: value for name, value in history[5].items() if name != "c1.mean"}
    compared = detector.compare({**batch, "new.mean": 1e9}, history)
    assert not compared.flagged
    assert {"c1.mean", "new.mean"}.isdisjoint(one.feature for one in compared.deviations)


def test_a_metric_that_half_the_history_lacks_is_not_compared(detector):
    """Less than half is filled up with the others' median and says nothing."""
    history = batches(20)
    late = [{**one, "late.mean": 1.0} if day >= 15 else one for day, one in enumerate(history)]
    early = [{**one, "early.mean": 1.0 + day / 100} if day >= 5 else one for day, one in enumerate(history)]
    assert not detector.compare({**history[0], "late.mean": 1e6}, late).flagged
    found = detector.compare({**history[0], "early.mean": 1e6}, early)
    assert found.deviations[0].feature == "early.mean"
    assert len(found.deviations[0].history) == 15


def test_a_column_that_vanished_counts_as_nulls(detector):
    """It is odd, also where no check looks at the schema."""
    history = batches(20)
    batch = {name: value for name, value in history[5].items() if not name.startswith("t.")}
    anomaly = detector.compare(batch, history)
    assert anomaly.flagged
    assert (anomaly.deviations[0].feature, anomaly.deviations[0].found) == ("t.null_share", 1.0)


def test_batches_with_nothing_in_common_are_not_compared(detector):
    """Said in words, with no p-value."""
    anomaly = detector.compare({"a.mean": 1.0}, [{"b.mean": 1.0}] * 10)
    assert anomaly.p_value is None
    assert anomaly.note == "not compared: the history has no feature in common with the batch"


def test_the_window_keeps_the_latest():
    """Older batches describe another time."""
    old = [{"row_count": 10.0 + n % 3} for n in range(50)]
    new = [{"row_count": 1000.0 + 9 * (n % 5)} for n in range(10)]
    compared = Detector(window=10).compare({"row_count": 1005.0}, old + new)
    assert compared.history_size == 10
    assert not compared.flagged
    assert Detector(window=10).compare({"row_count": 11.0}, old + new).flagged


def test_the_check_is_graded_by_distance(detector, profile):
    """Full credit when ordinary, part of it when odd, none and more weight when far away."""
    distances = [1 + n % 5 / 10 for n in range(20)]

    def graded(p_value):
        anomaly = detector.compare(batches(1)[0], batches(20, seed=2))
        changed = type(anomaly)(**{**{n: getattr(anomaly, n) for n in anomaly.__slots__}, "p_value": p_value})
        return detector.check(changed)

    ordinary, odd, far = graded(0.3), graded(0.005), graded(1e-5)
    assert (ordinary.passed, ordinary.credit, ordinary.severity) == (True, 1.0, "warning")
    assert (odd.passed, odd.credit, odd.severity) == (False, 0.5, "warning")
    assert (far.passed, far.credit, far.severity) == (False, 0.0, "error")
    assert {one.dimension for one in (ordinary, odd, far)} == {"distribution"}
    assert prediction_p(1.2, distances) > 0.4


@pytest.mark.parametrize(
    "wrong",
    [
        {"neighbours": 0},
        {"alpha": 0.0},
        {"alpha": math.nan},
        {"alpha": 1.0},
        {"minimum_history": 3},
        {"window": 7},
    ],
)
def test_a_parameter_without_sense_is_refused(wrong):
    """By name, when the detector is made."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Detector(**wrong)


steady = settings(deadline=None, derandomize=True, database=None, max_examples=50)
numbers = st.floats(allow_nan=False, allow_infinity=False)
vectors = st.fixed_dictionaries({
    "row_count": st.floats(0, 1e15),
    "a.mean": numbers,
    "a.max": numbers,
    "b.null_share": st.floats(0, 1),
})


@steady
@given(vectors, st.lists(vectors, min_size=8, max_size=12))
def test_any_finite_features_give_a_probability(batch, history):
    """Also the largest numbers there are; the shares of the distance add up to one."""
    anomaly = Detector(neighbours=3).compare(batch, history)
    assert 0 < anomaly.p_value <= 1
    assert all(math.isfinite(one.share) for one in anomaly.deviations)
    assert anomaly.deviations == () or sum(one.share for one in anomaly.deviations) == pytest.approx(1.0)


@steady
@given(st.randoms(use_true_random=False))
def test_the_order_of_features_does_not_matter(chance):
    """The same numbers give the same p-value, to the last digit."""
    *history, batch = batches(12, columns=3)
    names = list(batch)
    chance.shuffle(names)
    turned = [{name: one[name] for name in names} for one in [*history, batch]]
    assert Detector().compare(batch, history) == Detector().compare(turned[-1], turned[:-1])
