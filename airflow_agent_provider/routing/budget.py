"""
What may be spent, on what, and over which stretch: budgets as values.

A budget is enforced by the ledger, which all workers share: the worst case of a
call is reserved before it is made and settled to what it cost afterwards. This
module knows the rules, not the ledger.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Usage
from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.routing.price import MICROS

Per = Literal["run", "dag", "team", "month"]
FRAMING_TOKENS = 16
"""Tokens that a provider's template may add around each message and tool."""
TOOLS_TOKENS = 1024
"""
Tokens that a provider may add once when tools or an answer schema are given: Anthropic
documents up to some 800 (https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview).
"""
MOST = 10**12
"""The largest cap, in any unit: what lies above can be counted by no database, nor be meant."""


@dataclass(frozen=True, slots=True)
class Budget:
    """
    A cap shared by everything that spends under its name.

    ``Budget(usd=5, per="month")`` caps what this DAG spends in a calendar month (UTC).

    :param usd: US dollars at most; None: money is counted, not capped.
    :param per: ``run`` (a DAG run), ``dag`` (for ever), ``team``, or ``month``.
    :param requests: model calls at most; None: no cap.
    :param tokens: input and output tokens at most; None: no cap.
    :param name: what is capped together; the DAG's id by default, required for ``team``.
    :raises ConfigurationError: when a cap is negative or not finite, or nothing is capped.
    """

    usd: float | None = None
    per: Per = "run"
    requests: int | None = None
    tokens: int | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if self.per not in get_args(Per):
            raise ConfigurationError(f"Budget(per={self.per!r}): must be one of {', '.join(get_args(Per))}")
        caps = {"usd": self.usd, "requests": self.requests, "tokens": self.tokens}
        for parameter, cap in caps.items():
            if cap is not None and not 0 <= cap <= MOST:
                raise ConfigurationError(
                    f"Budget({parameter}={cap!r}): must be a number from 0 to {MOST:.0e}"
                )
            if cap is not None and parameter != "usd" and cap != int(cap):
                raise ConfigurationError(f"Budget({parameter}={cap!r}): must be a whole number")
        if all(cap is None for cap in caps.values()):
            raise ConfigurationError("Budget(): give usd, requests or tokens")
        if self.per == "team" and not self.name:
            raise ConfigurationError('Budget(per="team"): give the team\'s name')

    @property
    def micros(self) -> int | None:
        """The money cap in micro-dollars."""
        return None if self.usd is None else math.floor(self.usd * MICROS)


@dataclass(frozen=True, slots=True)
class Spender:
    """
    Who spends, for finding a budget's account.

    :param at: when, with a time zone; only the month counts.
    """

    dag_id: str
    run_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """A budget's place in the ledger: the same key is the same purse, whoever asks."""

    key: str
    budget: Budget


def account(budget: Budget, spender: Spender) -> Account:
    """Find the account that a budget draws on."""
    name = budget.name or spender.dag_id
    match budget.per:
        case "run":
            key = f"run:{name}:{spender.run_id}"
        case "month":
            key = f"month:{name}:{spender.at.astimezone(UTC):%Y-%m}"
        case _:
            key = f"{budget.per}:{name}"
    return Account(key, budget)


def worst_case(call: CallModel, *, max_tokens: int | None = None) -> Usage:
    """
    Bound the tokens that a call can cost.

    Every token of the common tokenizers stands for at least one byte, so the UTF-8
    length of the prompt bounds its tokens whatever the model. The answer is bounded
    by ``max_tokens``, which counts reasoning too.

    :param max_tokens: the connection's own cap on answers, when it is lower.
    """
    framing = FRAMING_TOKENS * (len(call.messages) + len(call.tools) + 1)
    framing += TOOLS_TOKENS if call.tools or call.schema else 0
    output = call.max_tokens if max_tokens is None else min(call.max_tokens, max_tokens)
    return Usage(prompt_bytes(call) + framing, output)


def prompt_bytes(call: CallModel) -> int:
    """Give the UTF-8 length of all that a call sends: messages, tools and answer schema."""
    parts: list[str] = [json.dumps(call.schema)] if call.schema else []
    for message in call.messages:
        parts.append(message.content)
        parts += [
            json.dumps(request.arguments) + request.name + request.raw for request in message.tool_requests
        ]
    parts += [spec.name + spec.description + json.dumps(spec.parameters) for spec in call.tools]
    return sum(len(part.encode("utf-8", "surrogatepass")) for part in parts)
