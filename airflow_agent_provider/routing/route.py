"""
Which connection of a route is asked, and when the next one: policies as values.

A *route* is an ordered set of connections. Each is known as a :class:`Candidate`, the
facts of it; a policy puts candidates in the order in which they are asked, for one
call. No clock, no store, no network: the same call, facts and time give the same order.

=============  ========================================  ========================
policy         order                                     open circuits
=============  ========================================  ========================
``Failover``   as given                                  last
``Cheapest``   by the worst-case cost of this very       left out
               call; an unknown price last
``Cascade``    as given, the weak model first; goes on   in their places: not
               until an answer is good enough            asked, the next one is
``Threshold``  as given or turned round, by an estimate  last
               of the call's complexity or cost
=============  ========================================  ========================

Whatever the policy, a connection that surely cannot answer a call is not asked
(:func:`misfit`). Tokens are only estimated here, see :func:`prompt_tokens`; what a
call costs at most comes from ``routing.budget``.

Cascades: FrugalGPT (Chen et al., 2023, arXiv:2305.05176). Choosing between a weak and
a strong model by the question: RouteLLM (Ong et al., 2024, arXiv:2406.18665); our
estimate is not learned, so that anyone can tell beforehand where a call will go.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import ModelReply, Usage
from airflow_agent_provider.routing.answer import shortcoming
from airflow_agent_provider.routing.budget import worst_case
from airflow_agent_provider.routing.price import MICROS, Price

BYTES_PER_TOKEN = 3
"""UTF-8 bytes that an estimate takes for a token: English prose has four and more, JSON with digits two."""
TOOL_TOKENS = 250
"""What each offered tool adds to a call's complexity: one more thing to decide about."""
SCHEMA_WEIGHT = 3
"""What each token of an answer schema adds: a field to get right, not a word to read."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """
    What a policy knows of a connection.

    :param name: the connection's id.
    :param price: what its model costs; None when nobody says.
    :param context_tokens: prompt and answer together at most; None when nobody says.
    :param max_tokens: the connection's own cap on answers, when it has one.
    :param region: where data goes that is sent there, as policies call it.
    :param open_until: when its circuit lets a probe through, wall-clock seconds; 0 while it is closed.
    """

    name: str
    model: str = ""
    price: Price | None = None
    context_tokens: int | None = None
    max_tokens: int | None = None
    supports_tools: bool = True
    supports_schema: bool = True
    region: str = ""
    open_until: float = 0.0


class Validator(Protocol):
    """A DAG author's own test of an answer: plain code, no model."""

    def __call__(self, *, call: CallModel, reply: ModelReply) -> bool:
        """Say whether the answer is good enough."""
        ...


class Policy(ABC):
    """Decides in which order a route asks."""

    __slots__ = ()

    @abstractmethod
    def order(self, call: CallModel, candidates: Sequence[Candidate], now: float) -> tuple[Candidate, ...]:
        """
        Give the candidates to ask, first things first; those left out are not asked.

        :param now: wall-clock seconds, against which ``open_until`` is held.
        """

    def objection(self, call: CallModel, reply: ModelReply) -> str:  # noqa: ARG002 - for policies that object
        """Say why an answer is not good enough, without quoting it; empty when it is."""
        return ""


@dataclass(frozen=True, slots=True)
class Failover(Policy):
    """As given; whose circuit is open comes last."""

    def order(self, call: CallModel, candidates: Sequence[Candidate], now: float) -> tuple[Candidate, ...]:
        return _open_last(fitting(call, candidates), now)


@dataclass(frozen=True, slots=True)
class Cheapest(Policy):
    """By what this call may cost at most; an unknown price is the dearest. Ties stay as given."""

    def order(self, call: CallModel, candidates: Sequence[Candidate], now: float) -> tuple[Candidate, ...]:
        closed = (one for one in fitting(call, candidates) if one.open_until <= now)
        return tuple(sorted(closed, key=lambda one: _dearness(worst_cost(call, one))))


@dataclass(frozen=True, slots=True)
class Cascade(Policy):
    """
    As given, weak model first; the first answer that is good enough is taken.

    An answer is good enough when it is whole, fits the call's schema and tools
    (``routing.answer``), is as long as demanded, and the validator agrees. Answers of
    tool requests are not measured by their length. The last connection's answer is
    taken as it is: there is nobody left to ask.

    :param min_chars: characters that a text must have.
    :param validator: called with ``call`` and ``reply``; one that raises does not agree.
    """

    min_chars: int = 0
    validator: Validator | None = None

    def order(self, call: CallModel, candidates: Sequence[Candidate], now: float) -> tuple[Candidate, ...]:  # noqa: ARG002 - a ladder stands whatever the hour
        return fitting(call, candidates)

    def objection(self, call: CallModel, reply: ModelReply) -> str:
        return shortcoming(call, reply) or self._too_short(reply) or self._disagrees(call, reply)

    def _too_short(self, reply: ModelReply) -> str:
        if reply.tool_requests or len(reply.text.strip()) >= self.min_chars:
            return ""
        return f"the answer is shorter than {self.min_chars} characters"

    def _disagrees(self, call: CallModel, reply: ModelReply) -> str:
        if self.validator is None:
            return ""
        try:
            return "" if self.validator(call=call, reply=reply) else "the validator did not accept the answer"
        except Exception as error:  # noqa: BLE001  a validator is anyone's code, and trips over what it should refuse
            return f"the validator raised {type(error).__name__}"


@dataclass(frozen=True, slots=True)
class Threshold(Policy):
    """
    The strong model or the cheap one, by an estimate of the call.

    The route's first connection is the cheap one, its last the strong one. An
    estimate above the threshold asks the cheap one first, so that bulk does not go
    to the dear model; with ``prefer="strong_above"`` the strong one, so that what is
    hard does. The others follow as fallbacks.

    :param above: the threshold; points of :func:`complexity`, or US dollars when ``by="cost"``.
    :param by: ``complexity``, or ``cost``: what the call may cost at most on the strong
        connection. A cost that nobody knows asks the cheap one.
    """

    above: float
    by: Literal["complexity", "cost"] = "complexity"
    prefer: Literal["cheap_above", "strong_above"] = "cheap_above"

    def order(self, call: CallModel, candidates: Sequence[Candidate], now: float) -> tuple[Candidate, ...]:
        fits = fitting(call, candidates)
        return _open_last(fits if self._cheap_first(call, candidates[-1]) else fits[::-1], now)

    def _cheap_first(self, call: CallModel, strong: Candidate) -> bool:
        if self.by == "complexity":
            return (complexity(call) > self.above) == (self.prefer == "cheap_above")
        cost = worst_cost(call, strong)
        return cost is None or (cost / MICROS > self.above) == (self.prefer == "cheap_above")


def listed_context(provider: str, model: str) -> int | None:
    """
    Look up how many tokens a model takes in all.

    :param provider: the price list's id of the provider, as for ``routing.price.listed``.
    :return: the context in tokens, or None when ``genai-prices`` does not know it.
    """
    import genai_prices

    usage = genai_prices.Usage(input_tokens=1, output_tokens=1)
    try:
        return genai_prices.calc_price(usage, model_ref=model, provider_id=provider).model.context_window
    except LookupError:
        return None


def prompt_tokens(call: CallModel) -> int:
    """
    Estimate the prompt's tokens, tools and answer schema included: a third of its UTF-8 bytes.

    Too high for prose, about right for JSON and code, too low for digits; the same for
    every model, as no tokenizer is asked.
    """
    return math.ceil(worst_case(call).input_tokens / BYTES_PER_TOKEN)


def complexity(call: CallModel) -> int:
    """
    Estimate how much a call asks of a model, in points.

    The prompt's tokens, plus 250 for each tool offered, plus 3 for each token of the
    answer's schema. It measures bulk and form, not how hard the question is.
    """
    schema_bytes = len(json.dumps(call.schema)) if call.schema else 0
    weight = math.ceil(SCHEMA_WEIGHT * schema_bytes / BYTES_PER_TOKEN)
    return prompt_tokens(call) + TOOL_TOKENS * len(call.tools) + weight


def worst_cost(call: CallModel, candidate: Candidate) -> int | None:
    """Give what a call costs at most, in micro-dollars; None when the price is unknown."""
    if candidate.price is None:
        return None
    return candidate.price.micros(worst_case(call, max_tokens=candidate.max_tokens))


def misfit(call: CallModel, candidate: Candidate) -> str:
    """Say why a candidate cannot answer a call; empty when it can, as far as is known."""
    return _lacking(call, candidate) or _too_long(call, candidate)


def fitting(call: CallModel, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """
    Leave out who cannot answer.

    An estimate is no proof: when the call seems too long for all, the one with the
    longest context is asked all the same, and its server decides.
    """
    able = [one for one in candidates if not _lacking(call, one)]
    fits = tuple(one for one in able if not _too_long(call, one))
    return fits or tuple(sorted(able, key=lambda one: -(one.context_tokens or 0)))[:1]


def combined(name: str, candidates: Sequence[Candidate]) -> Candidate:
    """
    See a route as one candidate, for a route that it stands in.

    It can do what any of its connections can, its circuit is open while all of theirs
    are, and it is as dear as the dearest; a cascade inside may cost the sum of them.
    """
    contexts = [one.context_tokens for one in candidates]
    caps = [one.max_tokens for one in candidates]
    prices = [one.price for one in candidates]
    regions = {one.region for one in candidates}
    return Candidate(
        name,
        model=" or ".join(dict.fromkeys(one.model for one in candidates)),
        price=None if None in prices else _Dearest(tuple(price for price in prices if price is not None)),
        context_tokens=None if None in contexts else max(size or 0 for size in contexts),
        max_tokens=None if None in caps else max(cap or 0 for cap in caps),
        supports_tools=any(one.supports_tools for one in candidates),
        supports_schema=any(one.supports_schema for one in candidates),
        region=regions.pop() if len(regions) == 1 else "",
        open_until=min(one.open_until for one in candidates),
    )


@dataclass(frozen=True, slots=True)
class _Dearest:
    prices: tuple[Price, ...]

    def micros(self, usage: Usage) -> int:
        return max(price.micros(usage) for price in self.prices)


def _lacking(call: CallModel, candidate: Candidate) -> str:
    if call.tools and not candidate.supports_tools:
        return "it takes no tools"
    if call.schema is not None and not candidate.supports_schema:
        return "it takes no answer schema"
    return ""


def _too_long(call: CallModel, candidate: Candidate) -> str:
    if candidate.context_tokens is None:
        return ""
    answer = call.max_tokens if candidate.max_tokens is None else min(call.max_tokens, candidate.max_tokens)
    needed = prompt_tokens(call) + answer
    if needed <= candidate.context_tokens:
        return ""
    return f"about {needed} tokens do not fit its context of {candidate.context_tokens}"


def _dearness(cost: int | None) -> float:
    return math.inf if cost is None else cost


def _open_last(candidates: Sequence[Candidate], now: float) -> tuple[Candidate, ...]:
    return tuple(sorted(candidates, key=lambda one: one.open_until > now))
