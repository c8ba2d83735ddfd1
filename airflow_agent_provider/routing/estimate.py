"""
What calls will cost, told before they are made.

Two figures. The *worst* is what a budget reserves: every byte of the prompts a token, every
answer as long as it may be. The *expected* takes four bytes for a token, as English prose and
code have it in the common tokenizers (https://platform.openai.com/tokenizer; other scripts
need more), and answers that use a stated share of what they may. Neither counts tries that
fail after they were sent, nor what a cache saves.

A model without a price has no estimate in dollars: none is made up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Usage
from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.routing.budget import prompt_bytes, worst_case
from airflow_agent_provider.routing.price import MICROS, Price

BYTES_PER_TOKEN = 4
ANSWER_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Estimate:
    """
    What some calls may cost.

    :param worst: tokens at most.
    :param expected: tokens, by the usual length of a token and the stated share of answers.
    :param worst_usd: US dollars at most; None when nobody knows the model's price.
    :param expected_usd: US dollars for the expected tokens; None as well.
    """

    calls: int
    worst: Usage
    expected: Usage
    worst_usd: float | None
    expected_usd: float | None


def estimate(
    calls: Sequence[CallModel],
    price: Price | None,
    *,
    max_tokens: int | None = None,
    answer_share: float = ANSWER_SHARE,
) -> Estimate:
    """
    Estimate calls of one model.

    :param price: None when nobody knows it.
    :param max_tokens: the connection's own cap on answers.
    :param answer_share: how much of what an answer may have it is expected to use, from 0 to 1.
    :raises ConfigurationError: when the share is no share.
    """
    if not 0 <= answer_share <= 1:
        raise ConfigurationError(f"estimate(answer_share={answer_share!r}): must be from 0 to 1")
    worst = [worst_case(call, max_tokens=max_tokens) for call in calls]
    expected = [
        Usage(math.ceil(prompt_bytes(call) / BYTES_PER_TOKEN), math.ceil(usage.output_tokens * answer_share))
        for call, usage in zip(calls, worst, strict=True)
    ]
    return Estimate(
        len(calls),
        sum(worst, Usage()),
        sum(expected, Usage()),
        _dollars(worst, price),
        _dollars(expected, price),
    )


def dearest(estimates: Sequence[Estimate]) -> Estimate:
    """Put estimates of one set of calls together: the expected of the first, the worst of the dearest."""
    first, dollars = estimates[0], [one.worst_usd for one in estimates]
    known = [one for one in dollars if one is not None]
    worst = max((one.worst for one in estimates), key=lambda usage: usage.total_tokens)
    return replace(first, worst=worst, worst_usd=max(known) if len(known) == len(dollars) else None)


def _dollars(usages: list[Usage], price: Price | None) -> float | None:
    # Call by call: a list may price long prompts higher.
    return None if price is None else sum(price.micros(usage) for usage in usages) / MICROS
