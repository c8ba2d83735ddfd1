"""What Airflow's statistics show, against what the server itself counted."""

import asyncio
import json
import random
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from airflow.sdk.observability import stats
from faulty_server import half_body, hang_up, http, reset, serving

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message
from airflow_agent_provider.exceptions import AgentProviderError
from airflow_agent_provider.hooks.ledger import ledger_database
from airflow_agent_provider.hooks.llm import LLMHook
from airflow_agent_provider.ledger.budget import LedgerBudget
from airflow_agent_provider.ledger.database import SQLiteDatabase
from airflow_agent_provider.routing.budget import Budget, Spender

PRICE = {"input_usd_per_mtok": 3, "output_usd_per_mtok": 15, "cached_usd_per_mtok": 0.3}
SPENDER = Spender("flights", "manual__1", datetime(2013, 2, 8, tzinfo=UTC))


class Collected:
    """A backend of Airflow's statistics that keeps them."""

    def __init__(self):
        self.counters = Counter()
        self.gauges = {}
        self.timings = Counter()

    def incr(self, stat, count=1, rate=1, *, tags=None):
        self.counters[stat, *sorted((tags or {}).items())] += count

    def gauge(self, stat, value, rate=1, delta=False, *, tags=None):
        self.gauges[stat, *sorted((tags or {}).items())] = value

    def timing(self, stat, dt, *, tags=None):
        assert dt >= 0
        self.timings[stat, *sorted((tags or {}).items())] += 1

    def total(self, stat, **tags):
        """The sum over all series of a counter that have these tags."""
        return sum(
            count
            for (name, *series), count in self.counters.items()
            if name == stat and set(tags.items()) <= set(series)
        )


@pytest.fixture
def collected():
    """Airflow's statistics, collected in memory as its own processes set them up."""
    backend = Collected()
    before = stats.Stats.initialize.__globals__["_factory"]
    stats.initialize(factory=lambda: backend, export_legacy_names=True)
    yield backend
    stats.initialize(factory=before, export_legacy_names=True)


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    """A ledger of this test's own."""
    monkeypatch.setenv("AIRFLOW__AGENT_PROVIDER__LEDGER_PATH", str(tmp_path / "l.sqlite"))
    return LedgerBudget(ledger_database())


KINDS = {"good": 9, "429": 2, "400": 1, "500": 1, "reset": 1, "hang up": 1, "half": 1}
FAILURES = {"500", "reset", "hang up", "half"}


class Provider:
    """
    Draws what becomes of each request, and counts what it answered and would bill.

    Never three failures in a row: the circuit would open.
    """

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.counts = Counter()
        self.last = []

    async def __call__(self, writer):
        [kind] = self.dice.choices([*KINDS], [*KINDS.values()])
        if FAILURES.issuperset({*self.last[-2:], kind}):
            kind = "good"
        self.last.append(kind)
        self.counts[kind] += 1
        match kind:
            case "good":
                writer.write(http(body=json.dumps(self.reply()).encode()))
            case "429":
                writer.write(http(429, b"{}", retry_after_ms=1))
            case "500" | "400":
                writer.write(http(int(kind), b"{}"))
            case _:
                await {"reset": reset, "hang up": hang_up, "half": half_body}[kind](writer)

    def reply(self):
        cached = self.dice.randint(0, 30)
        reasoning = self.dice.randint(0, 10)
        prompt, answer = self.dice.randint(30, 60), self.dice.randint(10, 40)
        self.counts += Counter(input=prompt, output=answer, cached=cached, reasoning=reasoning)
        # In tenths of a micro-dollar; a call is rounded up to a whole one.
        self.counts["micros"] += -(-((prompt - cached) * 30 + cached * 3 + answer * 150) // 10)
        return {
            "id": "r",
            "model": "small-1",
            "choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": answer,
                "prompt_tokens_details": {"cached_tokens": cached},
                "completion_tokens_details": {"reasoning_tokens": reasoning},
            },
        }


def ask_often(connect, provider, calls, **settings):
    """Make calls through the hook, one after another, whatever becomes of them."""
    hook = LLMHook(budgets=[Budget(usd=1)], spender=SPENDER)

    async def run():
        async with serving(provider) as server:
            connect(host=server.base_url, password="sk-1", extra={"model": "small-1", **PRICE, **settings})
            async with await hook.aget_model() as model:
                for number in range(calls):
                    with suppress(AgentProviderError):
                        await model.answer(CallModel((Message("user", f"call {number}"),), max_tokens=64))
            return server

    return asyncio.run(run())


def test_totals_are_the_servers_own(connect, collected, ledger, monkeypatch):
    """Requests, answers, tokens of every kind and dollars, after a run with faults and retries."""
    monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", "flights")
    monkeypatch.setattr("airflow_agent_provider.drivers.http.MAX_BACKOFF_S", 0.001)
    provider = Provider(seed=3)
    server = ask_often(connect, provider, 80, max_retries=2)
    counts = provider.counts
    tags = {"connection": "llm_default", "model": "small-1", "dag": "flights"}
    assert all(counts[kind] for kind in KINDS)
    assert collected.total("agent_provider.calls", **tags) == len(server.requests)
    assert collected.timings["agent_provider.call", *sorted(tags.items())] == len(server.requests)
    outcomes = {
        "answered": counts["good"],
        "RateLimited": counts["429"],
        "RequestRejected": counts["400"],
        "ModelUnavailable": counts["500"] + counts["reset"] + counts["hang up"] + counts["half"],
    }
    assert {one: collected.total("agent_provider.calls", outcome=one) for one in outcomes} == outcomes
    for kind in ("input", "output", "cached", "reasoning"):
        assert collected.total("agent_provider.tokens", kind=kind, **tags) == counts[kind]
    assert collected.total("agent_provider.cost_micros", **tags) == counts["micros"]


def test_the_budget_left_is_the_ledgers(connect, collected, ledger):
    """What was surely billed, and at its worst case what may have been."""
    provider = Provider(seed=4)
    ask_often(connect, provider, 40, max_retries=0)
    balance = ledger.balance("run:flights:manual__1")
    lost = provider.counts["reset"] + provider.counts["hang up"] + provider.counts["half"]
    assert (
        collected.gauges["agent_provider.budget_left_usd", ("account", "run:flights:manual__1")]
        == balance.left_usd
    )
    assert balance.reserved_usd == 0
    assert balance.requests == provider.counts["good"] + lost
    worst_micros = round(balance.spent_usd * 1e6) - provider.counts["micros"]
    assert 64 * 15 * lost < worst_micros < (64 * 15 + 100 * 3) * lost


def test_a_dead_connection_shows_and_so_does_its_recovery(connect, collected, ledger):
    """The gauge goes up with the third failure, and down with the probe's answer."""
    shown = []

    async def fail_thrice(writer):
        shown.append(dict(collected.gauges))
        await (hang_up(writer) if len(shown) <= 3 else answer(writer))

    async def answer(writer):
        writer.write(http(body=json.dumps(Provider(1).reply()).encode()))

    gauge = "agent_provider.breaker_open", ("connection", "llm_default")
    ask_often(connect, fail_thrice, 4, max_retries=0)
    assert len(shown) == 3
    assert collected.gauges[gauge] == 1
    with SQLiteDatabase(ledger._database.path).write() as statements:
        statements.execute("UPDATE agent_endpoint SET opened_at = opened_at - 3600")
    ask_often(connect, fail_thrice, 1, max_retries=0)
    assert collected.gauges[gauge] == 0


def test_statistics_that_fail_cost_no_answer(connect, ledger, monkeypatch):
    """Whatever the backend raises."""

    def broken(*_args, **_kwargs):
        raise OSError("no route to the collector")

    for name in ("incr", "gauge", "timing"):
        monkeypatch.setattr(stats, name, broken)
    provider = Provider(seed=5)
    server = ask_often(connect, provider, 10, max_retries=0)
    assert len(server.requests) == 10
    assert ledger.balance("run:flights:manual__1").reserved_usd == 0
