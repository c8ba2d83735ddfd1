"""
Several connections that stand for one model, asked in a policy's order until one answers.

=======================================  ===============================================
what a connection raised                 what follows
=======================================  ===============================================
``TransientError``: time-out, 5xx, 429,  the next connection
an open circuit
``BudgetExceeded``, ``PriceUnknown``     the next: nothing was spent, and a cheaper model
                                         may stay within the cap
``PolicyRefused``, ``EndpointDisabled``  the next: it may be allowed where this one is not
``RequestRejected`` by the connection's  the next, with a warning: a person must mend the
fault: 401, 403, 404, a used-up quota    connection
``RequestRejected`` by the call's fault  up: the others would refuse it too
(400, 422), and any other error          up
=======================================  ===============================================

Who is known to be down is not asked at all: each connection keeps its own breaker,
budget and rate, shared by all workers, and the order is made of their live state. A
replay may therefore not ask for the order again: the journal holds the reply, which
names the connection that gave it.

When nobody answered, one error goes up. It says what each connection said, and its
type is that of the best prospect: a transient error goes before a permanent one, and
among those the shortest wait, so that a retry comes when it can help.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import ModelReply, Usage
from airflow_agent_provider.core.model import Model
from airflow_agent_provider.exceptions import (
    AgentProviderError,
    BudgetExceeded,
    CircuitOpen,
    EndpointDisabled,
    PolicyRefused,
    PriceUnknown,
    RequestRejected,
    TransientError,
)
from airflow_agent_provider.routing.route import Candidate, Policy, misfit

log = logging.getLogger(__name__)
OF_THE_CALL = frozenset({400, 422})


async def _closed() -> float:  # noqa: RUF029 - stands in for one that reads a ledger
    return 0.0


@dataclass(frozen=True, slots=True)
class Stop:
    """
    One connection of a route.

    :param candidate: its facts; ``open_until`` is looked up anew for each call.
    :param model: asks it.
    :param open_until: tells when its circuit lets a probe through, wall-clock seconds; 0 while closed.
    """

    candidate: Candidate
    model: Model
    open_until: Callable[[], Awaitable[float]] = _closed


class RoutedModel:
    """
    A ``core.model.Model`` over several.

    Usable by any number of tasks at once. A reply names in ``connection`` who gave it;
    usage and cost are those of all answers that were paid for it, a cascade's discarded
    ones among them.

    :ivar stops: the connections, as given.
    :param name: how errors and logs call the route.
    :param clock: wall-clock seconds, those of the breakers.
    """

    def __init__(
        self, name: str, stops: Sequence[Stop], policy: Policy, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.name = name
        self.stops = tuple(stops)
        self.policy = policy
        self._clock = clock

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections of the running event loop; the model stays usable."""
        for stop in self.stops:
            close = getattr(stop.model, "aclose", None)
            if close is not None:
                await close()

    async def open_until(self) -> float:
        """Tell when somebody here may be asked again; 0 while one can be."""
        return min([await stop.open_until() for stop in self.stops])

    async def answer(self, call: CallModel) -> ModelReply:
        """
        Ask one connection after the other until one answers well enough.

        :raises RequestRejected: when a server finds fault with the call itself.
        :raises AgentProviderError: when nobody answered; of the kind that promises most.
        """
        facts = [replace(stop.candidate, open_until=await stop.open_until()) for stop in self.stops]
        now = self._clock()
        order = self.policy.order(call, facts, now)
        models = {stop.candidate.name: stop.model for stop in self.stops}
        asking = _Asking(self.name)
        for candidate in order:
            try:
                reply = await models[candidate.name].answer(call)
            except AgentProviderError as error:
                asking.failed(candidate, error)
                if not goes_on(error):
                    break
                continue
            objection = self.policy.objection(call, reply)
            if not objection or candidate is order[-1]:
                return asking.taken(candidate, reply, objection)
            asking.discarded(candidate, reply, objection)
        else:
            asking.skipped([one for one in facts if one not in order], call, now)
        raise asking.error()


def goes_on(error: AgentProviderError) -> bool:
    """Say whether another connection may answer what this one did not."""
    if isinstance(error, RequestRejected):
        return error.status is not None and error.status not in OF_THE_CALL
    return isinstance(error, (TransientError, BudgetExceeded, PriceUnknown, PolicyRefused, EndpointDisabled))


class _Asking:
    """What came of one call so far."""

    def __init__(self, route: str) -> None:
        self._route = route
        self._told: list[str] = []
        self._errors: list[AgentProviderError] = []
        self._paid: list[ModelReply] = []

    def failed(self, candidate: Candidate, error: AgentProviderError) -> None:
        level = logging.INFO if isinstance(error, CircuitOpen) else logging.WARNING
        log.log(
            level, "%s: %s did not answer: %s: %s", self._route, candidate.name, type(error).__name__, error
        )
        self._note(candidate, error)

    def discarded(self, candidate: Candidate, reply: ModelReply, objection: str) -> None:
        log.info("%s: the answer of %s is not good enough: %s", self._route, candidate.name, objection)
        self._told.append(f"{candidate.name} answered, but {objection}")
        self._paid.append(reply)

    def skipped(self, candidates: Sequence[Candidate], call: CallModel, now: float) -> None:
        for one in candidates:
            reason = misfit(call, one)
            if reason:
                self._note(one, RequestRejected(f"not asked: {reason}"))
            else:
                wait_s = max(one.open_until - now, 0.0)
                told = f"not asked: known to be down; next try in {wait_s:.0f} s"
                self._note(one, CircuitOpen(told, retry_after_s=wait_s))

    def taken(self, candidate: Candidate, reply: ModelReply, objection: str) -> ModelReply:
        if objection:
            log.warning("%s: nobody is left to ask after %s: %s", self._route, candidate.name, objection)
        costs = [one.cost_micros for one in (*self._paid, reply)]
        return replace(
            reply,
            usage=sum((one.usage for one in self._paid), Usage()) + reply.usage,
            cost_micros=None if None in costs else sum(cost or 0 for cost in costs),
            # A route inside this one has said already which of its connections it was.
            connection=reply.connection or candidate.name,
        )

    def error(self) -> AgentProviderError:
        """Give the error of the best prospect, with what everybody said."""
        best = min(self._errors, key=_prospect)
        best.args = (f"{self._route}: no connection answered: {'; '.join(self._told)}",)
        return best

    def _note(self, candidate: Candidate, error: AgentProviderError) -> None:
        text = str(error)
        self._told.append(text if repr(candidate.name) in text else f"{candidate.name}: {text}")
        self._errors.append(error)


def _prospect(error: AgentProviderError) -> tuple[bool, float]:
    return not isinstance(error, TransientError), getattr(error, "retry_after_s", None) or 0.0
