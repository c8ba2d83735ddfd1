"""
What a model call costs, from the connection's own price or a maintained list.

The list is ``genai-prices`` (https://github.com/pydantic/genai-prices), whose
data ships inside its wheel and knows cached tokens and tiers. A connection may
state its own prices, which win: a contract, a self-hosted server, a model too new
for the list. A model without a price has *no* price, not zero: its cost is
unknown, and a money cap refuses it.

Money is counted in whole micro-dollars, each call rounded up, so that sums are
exact in any database and no cap is passed by rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Protocol

from airflow_agent_provider.core.messages import Usage

MICROS = 1_000_000


class Price(Protocol):
    """Anything that can price a usage."""

    def micros(self, usage: Usage) -> int:
        """Give the cost in micro-dollars, rounded up."""
        ...


@dataclass(frozen=True, slots=True)
class StatedPrice:
    """
    A price that a connection states.

    :param input_usd: US dollars per million input tokens.
    :param output_usd: US dollars per million output tokens.
    :param cached_usd: the same for input tokens from the provider's cache; None: as input.
    """

    input_usd: float
    output_usd: float
    cached_usd: float | None = None

    def micros(self, usage: Usage) -> int:
        """Give the cost in micro-dollars, rounded up."""
        cached_usd = self.input_usd if self.cached_usd is None else self.cached_usd
        cached_tokens = min(usage.cached_tokens, usage.input_tokens)
        # Dollars per million tokens are micro-dollars per token; str() keeps 0.15 exact.
        return math.ceil(
            (usage.input_tokens - cached_tokens) * Decimal(str(self.input_usd))
            + cached_tokens * Decimal(str(cached_usd))
            + usage.output_tokens * Decimal(str(self.output_usd))
        )


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """A model's price in the list, tiers and cached tokens included."""

    provider: str
    model: str

    def micros(self, usage: Usage) -> int:
        """Give the cost in micro-dollars, rounded up."""
        return _listed_micros(self.provider, self.model, usage)


def listed(provider: str, model: str) -> ListedPrice | None:
    """
    Look a model up.

    :param provider: the list's id of the provider, e.g. ``openai``, ``anthropic``, ``aws``, ``google``.
    :return: its price, or None when the list does not know it.
    """
    try:
        _listed_micros(provider, model, Usage(1, 1))
    except LookupError:
        return None
    return ListedPrice(provider, model)


@lru_cache(maxsize=1024)
def _listed_micros(provider: str, model: str, usage: Usage) -> int:
    import genai_prices

    counted = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        # A server that counts wrongly is no reason to lose its answer: the list refuses more than the input.
        cache_read_tokens=min(usage.cached_tokens, usage.input_tokens),
    )
    price = genai_prices.calc_price(counted, model_ref=model, provider_id=provider)
    return math.ceil(price.total_price * MICROS)
