"""Estimates: what is reserved, what is likely, and nothing made up."""

import pytest

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ToolSpec, Usage
from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.routing.budget import worst_case
from airflow_agent_provider.routing.estimate import dearest, estimate
from airflow_agent_provider.routing.price import StatedPrice, listed

CALLS = [
    CallModel((Message("user", "x" * 400),), max_tokens=100),
    CallModel((Message("user", "y" * 800),), (ToolSpec("t", "d", {}),), max_tokens=300),
]


def test_the_worst_is_what_a_budget_reserves():
    """Call by call."""
    price = StatedPrice(3, 15)
    told = estimate(CALLS, price)
    assert told.calls == 2
    assert told.worst == worst_case(CALLS[0]) + worst_case(CALLS[1])
    assert told.worst_usd == pytest.approx(sum(price.micros(worst_case(call)) for call in CALLS) / 1e6)


def test_the_expected_takes_four_bytes_a_token_and_a_share_of_the_answer():
    """In dollars at the same price."""
    told = estimate(CALLS[:1], StatedPrice(1, 2), answer_share=0.25)
    assert told.expected == Usage(100, 25)
    assert told.expected_usd == pytest.approx(150e-6)
    assert estimate(CALLS[:1], None, answer_share=0).expected == Usage(100, 0)


def test_the_connections_cap_bounds_both():
    """An answer that may have no more costs no more."""
    told = estimate(CALLS, StatedPrice(0, 1), max_tokens=50, answer_share=1)
    assert told.worst_usd == told.expected_usd == pytest.approx(100e-6)


def test_a_model_without_a_price_has_no_estimate_in_dollars():
    """Tokens are known all the same; a free server's estimate is zero, not unknown."""
    told = estimate(CALLS, None)
    assert (told.worst_usd, told.expected_usd) == (None, None)
    assert told.expected.total_tokens > 0
    assert estimate(CALLS, StatedPrice(0, 0)).worst_usd == 0


def test_the_list_prices_too():
    """The worst is never below the expected."""
    told = estimate(CALLS, listed("anthropic", "claude-sonnet-4-5"))
    assert told.worst_usd > told.expected_usd > 0


def test_no_calls_cost_nothing():
    """An empty set is no error."""
    assert estimate([], StatedPrice(1, 1)).worst_usd == 0


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share):
    """Where it is given."""
    with pytest.raises(ConfigurationError, match="answer_share"):
        estimate(CALLS, None, answer_share=share)


def test_of_a_route_the_dearest_is_the_worst():
    """The first is what is expected; one unknown price makes the worst unknown."""
    cheap, dear, unknown = (estimate(CALLS, price) for price in (StatedPrice(1, 1), StatedPrice(5, 5), None))
    assert dearest([cheap, dear]).worst_usd == dear.worst_usd
    assert dearest([cheap, dear]).expected_usd == cheap.expected_usd
    assert dearest([cheap, unknown]).worst_usd is None
