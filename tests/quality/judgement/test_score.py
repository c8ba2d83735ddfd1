"""The score is an exact weighted mean: it adds up, it falls when a check falls, it is never NaN."""

import math
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.quality.results import CheckResult
from airflow_agent_provider.quality.score import weigh
from airflow_agent_provider.quality.verdict import Policy

steady = settings(deadline=None, derandomize=True, database=None)
POLICY = Policy()
severities = st.sampled_from(["info", "warning", "error", "critical"])
credits_ = st.one_of(st.just(0.0), st.just(1.0), st.floats(0, 1))


def result(number, severity, credit):
    return CheckResult(f"check {number}", "validity", severity, credit == 1.0, credit, 0.0, 0.0, "")


checks = st.lists(st.tuples(severities, credits_), max_size=12).map(
    lambda drawn: [result(number, *one) for number, one in enumerate(drawn)]
)


def shown(numbers):
    """Add figures as a reader would: by the decimals that are shown."""
    return sum((Decimal(f"{number:.4f}") for number in numbers), Decimal(0))


@steady
@given(checks)
def test_contributions_add_up_to_the_score(found):
    """To the last digit that is shown; and all that could be earned is 1."""
    score = weigh(found, POLICY)
    if score.value is None:
        assert all(one.severity == "info" for one in found)
    else:
        assert shown(one.earned for one in score.contributions) == Decimal(f"{score.value:.4f}")
        assert shown(one.share for one in score.contributions) == 1
        assert shown(one.lost for one in score.contributions) == 1 - Decimal(f"{score.value:.4f}")


@steady
@given(checks)
def test_the_score_is_the_weighted_mean_rounded_down(found):
    """Within one step of the mean in plain floating point, never above it."""
    weights = [POLICY.weight(one.severity) for one in found]
    if sum(weights) > 0:
        mean = math.fsum(w * one.credit for w, one in zip(weights, found, strict=True)) / sum(weights)
        score = weigh(found, POLICY).value
        assert mean - 0.0001 - 1e-9 <= score <= mean + 1e-9


@steady
@given(checks, st.data())
def test_a_check_that_fares_worse_never_raises_the_score(found, data):
    """Whatever the others earn."""
    if not found:
        return
    place = data.draw(st.integers(0, len(found) - 1))
    worse = data.draw(st.floats(0, found[place].credit))
    changed = [*found[:place], replace(found[place], credit=worse, passed=worse == 1.0), *found[place + 1 :]]
    before, after = weigh(found, POLICY).value, weigh(changed, POLICY).value
    assert (before is None and after is None) or after <= before


@steady
@given(checks, st.randoms(use_true_random=False))
def test_the_order_of_checks_does_not_matter(found, chance):
    """Nothing but credits and weights enters."""
    turned = list(found)
    chance.shuffle(turned)
    assert weigh(turned, POLICY).value == weigh(found, POLICY).value


@steady
@given(checks)
def test_a_passed_check_loses_nothing_and_a_failed_one_without_credit_earns_nothing(found):
    """Rounding takes from nobody what is whole."""
    for check, part in zip(found, weigh(found, POLICY).contributions, strict=True):
        assert part.lost == 0 or check.credit < 1
        assert part.earned == 0 or check.credit > 0


def test_a_perfect_score_means_that_nothing_was_lost():
    """A loss too small to show is still shown."""
    assert weigh([result(0, "error", 1.0)] * 3, POLICY).value == 1
    assert weigh([result(0, "error", 1.0), result(1, "error", 1 - 1e-12)], POLICY).value == pytest.approx(
        0.9999
    )


def test_severities_weigh_as_documented():
    """Each three times the one below; info nothing."""
    found = [
        result(0, "info", 0.0),
        result(1, "warning", 0.0),
        result(2, "error", 1.0),
        result(3, "critical", 1.0),
    ]
    score = weigh(found, POLICY)
    assert score.value == pytest.approx(math.floor(12 / 13 * 10_000) / 10_000)
    assert [one.weight for one in score.contributions] == [0, 1, 3, 9]


def test_where_nothing_weighs_there_is_no_score():
    """None, rather than a number that means nothing."""
    assert weigh([], POLICY).value is None
    only_info = weigh([result(0, "info", 0.0)], POLICY)
    assert only_info.value is None
    assert [one.name for one in only_info.contributions] == ["check 0"]


@pytest.mark.parametrize("credit", [math.nan, -0.1, 1.1, math.inf])
def test_an_impossible_credit_is_refused(credit):
    """By the check's name; it would poison the score."""
    with pytest.raises(ConfigurationError, match="check 7: its credit is"):
        weigh([result(7, "error", credit)], POLICY)
