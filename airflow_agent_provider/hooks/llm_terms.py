"""
On what terms a connection is asked: its price, its limits, the budgets that pay.

A connection may state what its model costs and what its server allows; the price
list knows the public ones. All connections of one id share breaker and rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.hooks.llm_extras import read_extras
from airflow_agent_provider.routing.breaker import BreakerRule
from airflow_agent_provider.routing.budget import Budget, Spender, account
from airflow_agent_provider.routing.price import Price, StatedPrice, listed
from airflow_agent_provider.routing.rate import RateRule

if TYPE_CHECKING:
    from airflow_agent_provider.drivers.endpoint import Endpoint
    from airflow_agent_provider.hooks.llm_connection import ConnectionFields
    from airflow_agent_provider.ledger.control import Terms
    from airflow_agent_provider.wire.wire import Wire

# What genai-prices calls our providers; self-hosted ones are on no list.
LISTED_AS = {
    "openai": "openai",
    "openai_responses": "openai",
    "anthropic": "anthropic",
    "google": "google",
    "azure_openai": "azure",
    "bedrock": "aws",
}


def read_terms(
    connection: ConnectionFields, endpoint: Endpoint, budgets: Sequence[Budget], spender: Spender | None
) -> Terms:
    """
    Read what a connection says about price and limits.

    :param budgets: what the caller may spend.
    :param spender: who calls; required with budgets.
    :raises ConfigurationError: names the extra that is wrong.
    """
    from airflow_agent_provider.ledger.control import Terms

    if budgets and spender is None:
        raise ConfigurationError(f"{endpoint.name}: budgets need to know who spends: pass spender=")
    extras = read_extras(connection.extra, endpoint.name)
    return Terms(
        endpoint=connection.conn_id,
        model=endpoint.model,
        accounts=tuple(account(one, spender) for one in budgets) if spender else (),
        price=_price(extras, endpoint),
        max_tokens=endpoint.max_tokens,
        breaker=_breaker(extras, endpoint),
        rate=RateRule(extras.get("requests_per_minute"), extras.get("tokens_per_minute")),
        patience_s=min(endpoint.connect_timeout_s, endpoint.timeout_s / 2),
    )


def read_cache_ttl_s(connection: ConnectionFields, endpoint: Endpoint, wire: Wire) -> float | None:
    """
    Read for how many seconds replies are kept; None when they are not.

    :raises ConfigurationError: when the model takes no temperature, as nothing would ever be kept.
    """
    ttl_s: float | None = read_extras(connection.extra, endpoint.name).get("cache_ttl_s")
    if ttl_s is not None and not getattr(wire, "send_temperature", True):
        raise ConfigurationError(
            f"{endpoint.name}: extra 'cache_ttl_s' keeps replies of temperature 0, and model "
            f"{endpoint.model!r} takes no temperature: remove it"
        )
    return ttl_s


def _breaker(extras: dict[str, Any], endpoint: Endpoint) -> BreakerRule:
    usual = BreakerRule()
    cooldown_s = extras.get("breaker_cooldown_s", usual.cooldown_s)
    return BreakerRule(
        failures=extras.get("breaker_failures", usual.failures),
        cooldown_s=cooldown_s,
        max_cooldown_s=max(cooldown_s, usual.max_cooldown_s),
        # A probe may take as long as a call; only then is it lost.
        probe_s=max(endpoint.timeout_s, usual.probe_s),
    )


def _price(extras: dict[str, object], endpoint: Endpoint) -> Price | None:
    stated = [extras.get(f"{side}_usd_per_mtok") for side in ("input", "output", "cached")]
    if stated[0] is not None and stated[1] is not None:
        return StatedPrice(*stated)  # type: ignore[arg-type]  # the reader made them numbers
    if any(one is not None for one in stated):
        raise ConfigurationError(
            f'{endpoint.name}: extras "input_usd_per_mtok" and "output_usd_per_mtok" belong together'
        )
    known_as = LISTED_AS.get(str(extras.get("provider", "openai")))
    return listed(known_as, endpoint.model) if known_as else None
