"""Budgets, breaker and rate in front of the wire, against a server of our own in process."""

import asyncio
import json
import time
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message
from airflow_agent_provider.drivers.endpoint import Endpoint
from airflow_agent_provider.drivers.http import HttpModel
from airflow_agent_provider.exceptions import (
    BudgetExceeded,
    CircuitOpen,
    ConfigurationError,
    ModelUnavailable,
    PriceUnknown,
    RateLimited,
    RequestRejected,
    SourceUnavailable,
)
from airflow_agent_provider.ledger import connections
from airflow_agent_provider.ledger import database as database_module
from airflow_agent_provider.ledger.budget import LedgerBudget
from airflow_agent_provider.ledger.control import LedgerControl, Terms
from airflow_agent_provider.ledger.database import SQLiteDatabase
from airflow_agent_provider.routing.breaker import BreakerRule
from airflow_agent_provider.routing.budget import Account, Budget
from airflow_agent_provider.routing.price import StatedPrice, listed
from airflow_agent_provider.routing.rate import RateRule
from airflow_agent_provider.wire.openai_chat import OpenAIChat

CALL = CallModel((Message("user", "hello"),), max_tokens=100)
PRICE = StatedPrice(1, 2)
GOOD = {
    "id": "r1",
    "model": "m",
    "choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5},
}


def server(*answers):
    """Answer with these statuses or exceptions in turn, the last one for ever."""
    script = list(answers)
    served = []

    def handle(request):
        served.append(request)
        answer = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, content=json.dumps(GOOD if answer == 200 else {}))

    handle.served = served
    return handle


@pytest.fixture
def database(store):
    database = store.open(hold=True)
    yield database
    database.close()


def model(database, handle, *, max_retries=0, on_call=None, **terms):
    terms = {"price": PRICE, "accounts": (Account("dag:d", Budget(usd=1)),), **terms}
    endpoint = Endpoint("connection 'llm'", "http://127.0.0.1", "m", max_retries=max_retries, backoff_s=0.001)
    return HttpModel(
        OpenAIChat(),
        endpoint,
        open_transport=lambda _: httpx.MockTransport(handle),
        control=LedgerControl(database, Terms("llm", "m", **terms), on_call=on_call),
    )


def ask(one, call=CALL):
    return asyncio.run(one.answer(call))


def balance(database):
    return LedgerBudget(database).balance("dag:d")


def test_a_reply_tells_what_it_cost_and_the_account_agrees(database):
    """10 tokens in at 1, 5 out at 2 dollars a million: 20 micro-dollars."""
    reply = ask(model(database, server(200)))
    assert reply.cost_micros == 20
    assert balance(database).spent_usd == pytest.approx(20e-6)
    assert balance(database).reserved_usd == 0


def test_a_call_over_the_cap_is_refused_before_it_is_made(database):
    """The server sees nothing."""
    handle = server(200)
    with pytest.raises(BudgetExceeded):
        ask(model(database, handle, accounts=(Account("dag:d", Budget(usd=1e-6)),)))
    assert handle.served == []


def test_every_try_counts_as_a_request(database):
    """Two time-outs and an answer are three requests, and the time-outs are charged in full."""
    one = model(database, server(httpx.ReadTimeout("slow"), httpx.ReadTimeout("slow"), 200), max_retries=2)
    ask(one)
    assert balance(database).requests == 3
    assert balance(database).spent_usd > 2 * 100 * 2e-6


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (401, RequestRejected),
        (400, RequestRejected),
        (429, RateLimited),
        (500, ModelUnavailable),
        (httpx.ConnectError("refused"), ModelUnavailable),
    ],
)
def test_what_was_surely_not_billed_is_given_back(database, answer, error):
    """The server refused it, or was never reached."""
    with pytest.raises(error):
        ask(model(database, server(answer)))
    assert balance(database).spent_usd == balance(database).reserved_usd == balance(database).requests == 0


@pytest.mark.parametrize("answer", [httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("half a body")])
def test_what_may_have_been_billed_is_charged_at_its_worst_case(database, answer):
    """The request was sent, and no clear refusal came back."""
    with pytest.raises(ModelUnavailable):
        ask(model(database, server(answer)))
    assert balance(database).spent_usd >= 100 * 2e-6


def test_a_model_without_a_price_is_refused_under_a_money_cap(database):
    """And the message says how to give one."""
    handle = server(200)
    with pytest.raises(PriceUnknown, match="input_usd_per_mtok"):
        ask(model(database, handle, price=None))
    assert handle.served == []


def test_without_a_money_cap_an_unknown_cost_is_recorded_as_unknown(database):
    """Not as zero."""
    reply = ask(model(database, server(200), price=None, accounts=(Account("dag:d", Budget(requests=5)),)))
    assert reply.cost_micros is None
    assert balance(database).unpriced_requests == 1


def test_a_dead_endpoint_is_asked_three_times_and_no_more(database):
    """The fourth caller does not pay a time-out."""
    handle = server(httpx.ReadTimeout("slow"))
    one = model(database, handle, accounts=(), breaker=BreakerRule(failures=3))
    for _ in range(3):
        with pytest.raises(ModelUnavailable):
            ask(one)
    with pytest.raises(CircuitOpen, match="connection 'llm': not asked: 3 calls in a row failed"):
        ask(one)
    assert len(handle.served) == 3


def test_a_refused_request_does_not_open_the_circuit(database):
    """A server that says no is alive."""
    one = model(database, server(400), accounts=())
    for _ in range(5):
        with pytest.raises(RequestRejected):
            ask(one)


def test_an_open_circuit_holds_no_money(database):
    """What was reserved before the breaker was asked is given back."""
    one = model(database, server(500), breaker=BreakerRule(failures=1))
    with pytest.raises(ModelUnavailable):
        ask(one)
    with pytest.raises(CircuitOpen):
        ask(one)
    assert balance(database).reserved_usd == balance(database).requests == 0


def test_turns_are_waited_for(database):
    """Ten calls a second: the third comes two tenths after the first."""
    one = model(database, server(200), rate=RateRule(requests_per_minute=600, burst_s=0.001))
    start_s = time.monotonic()
    for _ in range(3):
        ask(one)
    assert time.monotonic() - start_s >= 0.2


def test_a_cancelled_call_is_settled_at_its_worst_case(database):
    """Nothing stays reserved."""

    asked = asyncio.Event()

    async def never(_request):
        asked.set()
        await asyncio.Event().wait()

    one = model(database, never)

    async def cancel():
        task = asyncio.create_task(one.answer(CALL))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert balance(database).reserved_usd == 0
    assert balance(database).spent_usd > 0


def test_money_fails_closed_and_health_fails_open_without_a_ledger(tmp_path):
    """A folder stands where the file should be."""
    (tmp_path / "l.sqlite").mkdir()
    broken = SQLiteDatabase(tmp_path / "l.sqlite")
    handle = server(200)
    with pytest.raises(ConfigurationError):
        ask(model(broken, handle))
    assert handle.served == []
    assert ask(model(broken, handle, accounts=())).text == "hi"


@pytest.mark.usefixtures("impatient")
def test_a_ledger_that_comes_back_during_a_call_is_used(store, database):
    """Its tables are made then: without them the healthy answer could not be noted."""
    with ExitStack() as locks:

        def handle(_request):
            locks.close()
            return httpx.Response(200, content=json.dumps(GOOD))

        writer = locks.enter_context(store.open().write())
        writer.execute("CREATE TABLE agent_budget (account TEXT PRIMARY KEY)")
        assert ask(model(database, handle, accounts=())).text == "hi"


def test_every_try_is_recorded_without_content(database):
    """For metrics: outcome, tokens, cost."""
    records = []
    one = model(database, server(500, 200), max_retries=1, on_call=records.append)
    ask(one)
    assert [(one.outcome, one.usage.total_tokens, one.cost_micros) for one in records] == [
        ("ModelUnavailable", 0, None),
        ("answered", 15, 20),
    ]


# A ledger that is slow, locked or gone


@contextmanager
def locked(store):
    """Let another worker stand still in the middle of a transaction."""
    with store.open().write() as statements:
        if statements.execute("SELECT 1 AS one") and not isinstance(store.open(), SQLiteDatabase):
            statements.execute("LOCK TABLE agent_budget IN ACCESS EXCLUSIVE MODE")
        yield


@pytest.fixture
def impatient(monkeypatch):
    """Wait for other workers for a moment only."""
    monkeypatch.setattr(connections, "BUSY_S", 0.1)
    begin = database_module._BEGIN.replace("10000ms", "100ms")
    assert begin != database_module._BEGIN
    monkeypatch.setattr(database_module, "_BEGIN", begin)


def test_a_call_cancelled_while_money_is_reserved_holds_nothing(store, database):
    """The reservation, made for nobody, is given back."""
    handle = server(200)
    one = model(database, handle)
    ask(one)

    async def cancel():
        with locked(store):
            task = asyncio.create_task(one.answer(CALL))
            await asyncio.sleep(0.1)
            task.cancel()
            await asyncio.sleep(0.05)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert len(handle.served) == 1
    assert balance(database).requests == 1
    assert balance(database).reserved_usd == 0


def test_a_busy_ledger_does_not_stop_the_event_loop(store, database):
    """Other agents go on while one waits for its reservation."""
    one = model(database, server(200))
    ask(one)

    async def run():
        with locked(store):
            task = asyncio.create_task(one.answer(CALL))
            for _ in range(20):
                await asyncio.sleep(0.01)
            assert not task.done()
        return (await task).text

    assert asyncio.run(run()) == "hi"


@pytest.mark.usefixtures("impatient")
def test_an_answer_that_was_paid_for_is_given_back_whatever_the_ledger_does(store, database, caplog):
    """It is not asked for again, and its worst case stays reserved."""
    with ExitStack() as locks:
        served = []

        def handle(request):
            served.append(request)
            if len(served) == 2:
                locks.enter_context(locked(store))
            return httpx.Response(200, content=json.dumps(GOOD))

        one = model(database, handle, max_retries=3)
        ask(one)
        assert ask(one).text == "hi"
    assert len(served) == 2
    assert balance(database).reserved_usd > 0
    assert "worst case stays reserved" in caplog.text


@pytest.mark.usefixtures("impatient")
def test_no_call_is_made_while_the_ledger_stands_still(store, database):
    """A call that draws on a budget is refused, and may be tried again."""
    handle = server(200)
    one = model(database, handle)
    ask(one)
    with locked(store), pytest.raises(SourceUnavailable):
        ask(one)
    assert len(handle.served) == 1


def test_a_server_that_counts_nothing_is_booked_at_the_worst_case(database):
    """Its cost is unknown, not zero; an empty refusal did cost nothing."""
    uncounted = {**GOOD, "usage": {}}
    reply = ask(model(database, lambda _: httpx.Response(200, json=uncounted)))
    assert reply.cost_micros is None
    spent_usd = balance(database).spent_usd
    assert spent_usd > 100 * 2e-6
    refused = {"error": {"code": "content_filter", "message": "no"}}
    assert ask(model(database, lambda _: httpx.Response(400, json=refused))).cost_micros == 0
    assert balance(database).spent_usd == spent_usd


def test_more_than_the_worst_case_is_booked_as_it_is(database, caplog):
    """What the provider bills is owed; the log tells of it."""
    greedy = {**GOOD, "usage": {"prompt_tokens": 10, "completion_tokens": 5_000}}
    assert ask(model(database, lambda _: httpx.Response(200, json=greedy))).cost_micros == 10_010
    assert balance(database).spent_usd == pytest.approx(0.01001)
    assert "more than the" in caplog.text


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 99}},
        {"prompt_tokens": 10**30, "completion_tokens": 5},
        {"prompt_tokens": 10, "completion_tokens": 10**18},
    ],
)
@pytest.mark.parametrize("price", [PRICE, listed("openai", "gpt-4o")])
def test_a_count_that_cannot_be_is_no_way_past_the_budget(database, usage, price):
    """A reply or a typed error, and nothing stays reserved."""
    one = model(database, lambda _: httpx.Response(200, json={**GOOD, "usage": usage}), price=price)
    with suppress(ModelUnavailable):
        ask(one)
    assert balance(database).reserved_usd == 0
    assert balance(database).spent_usd > 0


def test_an_answer_is_not_lost_because_it_cannot_be_counted(database, caplog):
    """Metrics are not worth a call."""

    def broken(_record):
        raise ConnectionRefusedError

    assert ask(model(database, server(200), on_call=broken)).text == "hi"
    assert "was not counted (ConnectionRefusedError)" in caplog.text
