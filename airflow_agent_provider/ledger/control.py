"""
What stands between a model and the wire, put together over one ledger.

::

    admit     reserve the worst case ─> is the circuit closed? ─> wait for a turn
    answered  settle the true cost, the circuit is healthy
    failed    release, or settle the worst case; count the failure

Money fails closed: a call that draws on a budget is not made while the ledger does
not answer. Breaker and rate alone fail open: without a ledger they are nobody's
business, and a call should not fail for want of them. Once a call was made, its answer
is paid for and is given back whatever the ledger does; what could not be settled stays
reserved until it expires, and counts as spent at its worst case then.

The ledger is asked on a thread: PostgreSQL always, a SQLite file only while others write
to it, as it answers faster than a thread starts. What was begun there is seen to its end
also when the call is cancelled: a reservation that nobody knows of could not be released.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from airflow_agent_provider.core.control import CallRecord
from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import ModelReply, Usage
from airflow_agent_provider.exceptions import (
    ConfigurationError,
    ModelUnavailable,
    PriceUnknown,
    RateLimited,
    RequestRejected,
    SourceUnavailable,
)
from airflow_agent_provider.ledger.breaker import LedgerBreaker
from airflow_agent_provider.ledger.budget import Balance, LedgerBudget, Reservation
from airflow_agent_provider.ledger.connections import LedgerBusy, hurried
from airflow_agent_provider.ledger.database import Database
from airflow_agent_provider.ledger.rate import LedgerRate
from airflow_agent_provider.routing.breaker import BreakerRule, Health
from airflow_agent_provider.routing.budget import Account, worst_case
from airflow_agent_provider.routing.price import Price
from airflow_agent_provider.routing.rate import RateRule

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)
CANCELLED_WAIT_S = 5.0
"""Seconds that a cancelled call waits at most for the end of what the ledger is doing for it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """
    On what terms an endpoint is asked.

    :param endpoint: its name in the ledger: all that share it share breaker and rate.
    :param model: the model's name, for records.
    :param accounts: the budgets that are drawn on.
    :param price: what the model costs; None when nobody says.
    :param max_tokens: the connection's cap on answers, when it has one.
    :param patience_s: a call cancelled after this long counts as not answered.
    """

    endpoint: str
    model: str = ""
    accounts: tuple[Account, ...] = ()
    price: Price | None = None
    max_tokens: int | None = None
    breaker: BreakerRule = field(default_factory=BreakerRule)
    rate: RateRule = field(default_factory=RateRule)
    patience_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Ticket:
    """A try under way."""

    held: Reservation | None
    started_at: float


class LedgerControl:
    """
    A :class:`~airflow_agent_provider.core.control.Control` over the ledger.

    :param database: best one that holds its connection.
    :param on_call: told of every try that ended; for metrics.
    :param on_balance: told what an account shows after a call was settled, by its key.
    :param on_health: told of an endpoint whose health changed.
    """

    def __init__(
        self,
        database: Database,
        terms: Terms,
        *,
        on_call: Callable[[CallRecord], None] | None = None,
        on_balance: Callable[[str, Balance], None] | None = None,
        on_health: Callable[[str, Health], None] | None = None,
    ) -> None:
        self._terms = terms
        self._database = database
        self._budget = LedgerBudget(database)
        self._breaker = LedgerBreaker(database, terms.breaker)
        self._rate = LedgerRate(database, terms.rate)
        self._always_on_thread = database.dialect == "postgres"
        # One for each loop: its connection serves one at a time, and a fork inherits no thread.
        self._threads: WeakKeyDictionary[asyncio.AbstractEventLoop, ThreadPoolExecutor] = WeakKeyDictionary()
        self._on_call = on_call
        self._on_balance = on_balance
        self._on_health = on_health
        self._prepared = False

    async def admit(self, call: CallModel) -> Ticket:
        terms = self._terms
        worst = worst_case(call, max_tokens=terms.max_tokens)
        held = await self._reserve(worst)
        try:
            await asyncio.sleep(await self._wait_s(worst.total_tokens))
        except (SourceUnavailable, ConfigurationError) as error:
            if held:
                await self._release(held)
                raise
            log.warning("breaker and rate limit are not kept: %s", error)
        except BaseException:
            await self._release(held)
            raise
        return Ticket(held, time.monotonic())

    async def answered(self, ticket: Ticket, reply: ModelReply) -> ModelReply:
        # Some gateways leave the count out: then the cost is unknown, and the worst case is booked.
        counted = reply.usage.total_tokens or not (reply.text or reply.tool_requests)
        price = self._terms.price
        cost = price.micros(reply.usage) if price and counted else None
        if ticket.held:
            await self._settle(ticket.held, cost, reply.usage if counted else None)
        await self._healthy()
        self._record(ticket, "answered", reply.usage, cost)
        return dataclasses.replace(reply, cost_micros=cost)

    async def failed(self, ticket: Ticket, error: BaseException) -> None:
        waited_s = time.monotonic() - ticket.started_at
        # Money first: should the ledger stand still, the rest is of less weight.
        if not ticket.held:
            pass
        elif _costs_nothing(error):
            await self._release(ticket.held)
        else:
            await self._settle(ticket.held, None, None)
        if isinstance(error, RateLimited):
            await self._quietly(self._rate.block, self._terms.endpoint, error.retry_after_s or 1.0)
        elif isinstance(error, RequestRejected):
            await self._healthy()
        elif isinstance(error, ModelUnavailable) or waited_s >= self._terms.patience_s:
            self._tell_health(await self._quietly(self._breaker.failed, self._terms.endpoint))
        self._record(ticket, type(error).__name__, Usage(), None)

    async def aclose(self) -> None:
        """Close the ledger's connection and the running loop's thread; the next call opens them anew."""
        await self._do(self._database.close)
        thread = self._threads.pop(asyncio.get_running_loop(), None)
        if thread:
            thread.shutdown(wait=False)

    async def _reserve(self, worst: Usage) -> Reservation | None:
        terms = self._terms
        if not terms.accounts:
            return None
        capped = [one.key for one in terms.accounts if one.budget.usd is not None]
        if terms.price is None and capped:
            raise PriceUnknown(
                f"{terms.endpoint}: no price is known for model {terms.model!r}, and budget {capped[0]} caps "
                'money. Give the connection\'s extras "input_usd_per_mtok" and "output_usd_per_mtok" '
                "(0 for a free server)"
            )
        await self._prepare()
        micros = terms.price.micros(worst) if terms.price else None
        return await self._do(
            partial(self._budget.reserve, terms.accounts, micros, worst.total_tokens),
            undo=self._budget.release,
        )

    async def _wait_s(self, tokens: int) -> float:
        """Ask the breaker, then take a turn."""
        await self._prepare()
        await self._do(partial(self._breaker.admit, self._terms.endpoint))
        wait_s = await self._do(partial(self._rate.take_turn, self._terms.endpoint, tokens))
        if wait_s:
            log.info("%s: waiting %.1f s for a turn", self._terms.endpoint, wait_s)
        return wait_s

    async def _prepare(self) -> None:
        if not self._prepared:
            for part in (self._budget, self._breaker, self._rate):
                await self._do(part.prepare)
            self._prepared = True

    async def _settle(self, held: Reservation, micros: int | None, usage: Usage | None) -> None:
        """Book what a call cost; None: as much as it may have cost."""
        if micros is not None and held.micros is not None and micros > held.micros:
            log.warning(
                "%s: a call cost %d micro-dollars, more than the %d that it could cost at worst: its server "
                "counts tokens that were not asked for",
                self._terms.endpoint,
                micros,
                held.micros,
            )
        spent = held.micros if micros is None else micros
        balances = await self._kept(self._budget.settle, held, spent, usage or Usage(held.tokens, 0))
        for key, balance in (balances or {}).items():
            self._tell(self._on_balance, key, balance)

    async def _release(self, held: Reservation | None) -> None:
        if held:
            await self._kept(self._budget.release, held)

    async def _kept(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return await self._do(partial(function, *args, **kwargs))
        except (SourceUnavailable, ConfigurationError) as error:
            log.warning("%s: a call's worst case stays reserved: %s", self._terms.endpoint, error)
        return None

    async def _healthy(self) -> None:
        self._tell_health(await self._quietly(self._breaker.succeeded, self._terms.endpoint))

    async def _quietly(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            await self._prepare()  # there may have been no ledger when the call was admitted
            return await self._do(partial(function, *args, **kwargs))
        except (SourceUnavailable, ConfigurationError) as error:
            log.warning("breaker and rate limit are not kept: %s", error)
        return None

    async def _do(self, function: Callable[[], T], *, undo: Callable[[T], object] | None = None) -> T:
        """
        Ask the ledger.

        :param function: writes in one transaction at most: a busy ledger lets it be begun again.
        :param undo: takes its result back when nobody waits for it any more.
        """
        if not self._always_on_thread:
            try:
                with hurried():
                    return function()
            except LedgerBusy:
                pass
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._thread(loop), function)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work], timeout=CANCELLED_WAIT_S)
            if undo and work.done() and not work.exception():
                await self._kept(undo, work.result())
            raise

    def _thread(self, loop: asyncio.AbstractEventLoop) -> ThreadPoolExecutor:
        thread = self._threads.get(loop)
        if thread is None:
            thread = self._threads[loop] = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        return thread

    def _record(self, ticket: Ticket, outcome: str, usage: Usage, cost: int | None) -> None:
        seconds = time.monotonic() - ticket.started_at
        terms = self._terms
        self._tell(self._on_call, CallRecord(terms.endpoint, terms.model, outcome, usage, cost, seconds))

    def _tell_health(self, health: Health | None) -> None:
        if health is not None:
            self._tell(self._on_health, self._terms.endpoint, health)

    def _tell(self, listener: Callable[P, object] | None, *args: P.args, **kwargs: P.kwargs) -> None:
        if listener is None:
            return
        try:
            listener(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  no answer is lost because it could not be counted
            log.warning("%s: a call was not counted (%s)", self._terms.endpoint, type(error).__name__)


def _costs_nothing(error: BaseException) -> bool:
    """Whether the provider surely billed nothing: it refused, or was never reached."""
    if isinstance(error, ModelUnavailable):
        return not error.maybe_billed
    return isinstance(error, (RequestRejected, ConfigurationError))
