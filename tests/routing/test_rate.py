"""Rates: never faster than allowed over any minute, first come first served."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.routing.rate import Pace, RateRule, blocked, take_turn


def starts(rule, asks):
    """Give when each of the calls asked for at these times, with these tokens, starts."""
    pace, found = Pace(), []
    for at, tokens in asks:
        wait_s, pace = take_turn(pace, rule, tokens, at)
        found.append(at + wait_s)
    return found


@given(st.lists(st.floats(0, 120), min_size=1, max_size=60))
def test_no_minute_has_more_requests_than_the_limit_and_its_burst(times):
    """60 a minute with 5 seconds of burst: at most 65 in any 60 seconds."""
    found = starts(RateRule(requests_per_minute=60, burst_s=5), [(at, 0) for at in sorted(times)] * 2)
    for begin in found:
        assert sum(begin <= at < begin + 60 for at in found) <= 66


def test_turns_come_in_the_order_of_asking():
    """One a second after the burst of five."""
    found = starts(RateRule(requests_per_minute=60, burst_s=5), [(100.0, 0)] * 8)
    assert found == [100, 100, 100, 100, 100, 101, 102, 103]


def test_a_slow_limit_still_lets_the_first_call_go():
    """One request in ten minutes."""
    assert starts(RateRule(requests_per_minute=0.1), [(100.0, 0), (100.0, 0)]) == [100, 700]


def test_tokens_are_limited_too():
    """A call of half a minute's tokens makes the next one wait."""
    found = starts(RateRule(tokens_per_minute=1_000), [(100.0, 500), (100.0, 500)])
    assert found == [100, 130]


def test_without_limits_nobody_waits():
    """The default."""
    assert starts(RateRule(), [(100.0, 10**9)] * 3) == [100, 100, 100]


def test_a_server_that_asks_to_wait_is_heard_by_all():
    """Retry-After: 20 holds for every worker, and is not shortened by a later, shorter one."""
    pace = blocked(blocked(Pace(), 20, 100.0), 1, 101.0)
    assert take_turn(pace, RateRule(), 0, 105.0)[0] == 15


@pytest.mark.parametrize(
    "wrong", [{"requests_per_minute": 0}, {"tokens_per_minute": -1}, {"burst_s": float("nan")}]
)
def test_a_rate_that_allows_nothing_is_refused(wrong):
    """It is a mistake; a kill switch is another thing."""
    with pytest.raises(ConfigurationError, match="RateRule"):
        RateRule(**wrong)
