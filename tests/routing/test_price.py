"""Prices are exact, rounded up, and never invented."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_agent_provider.core.messages import Usage
from airflow_agent_provider.routing.price import ListedPrice, StatedPrice, listed


def test_a_stated_price_counts_cached_tokens_apart():
    """1,000 fresh at 2.50, 200 cached at 1.25, 100 out at 10 dollars a million."""
    price = StatedPrice(2.5, 10, 1.25)
    assert price.micros(Usage(1200, 100, cached_tokens=200)) == 2500 + 250 + 1000


@given(st.integers(0, 10**7), st.integers(0, 10**6))
def test_rounding_never_undercuts(input_tokens, output_tokens):
    """A cap that sums rounded costs is not passed by the true cost."""
    exact = input_tokens * 15 / 100 + output_tokens * 6 / 10
    micros = StatedPrice(0.15, 0.6).micros(Usage(input_tokens, output_tokens))
    assert -1e-6 <= micros - exact < 1 + 1e-6


def test_a_listed_model_has_a_price():
    """As the list says: 0.15 and 0.60 dollars a million for this model."""
    assert listed("openai", "gpt-4o-mini").micros(Usage(1_000_000, 1_000_000)) == 750_000


def test_tiers_of_the_list_count():
    """Long prompts cost more than twice the short one's rate on this model."""
    price = ListedPrice("anthropic", "claude-sonnet-4-5")
    assert price.micros(Usage(300_000, 0)) > 2 * price.micros(Usage(150_000, 0)) * 1.5


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "no-such-model"), ("ollama", "llama3"), ("", "gpt-4o")]
)
def test_an_unknown_model_has_no_price(provider, model):
    """Not zero: unknown."""
    assert listed(provider, model) is None
