"""Budgets, breaker and rate in front of the wire, against a server of our own in process."""

import asyncio
import json

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
)
from airflow_agent_provider.ledger.budget import LedgerBudget
from airflow_agent_provider.ledger.control import LedgerControl, Terms
from airflow_agent_provider.ledger.database import SQLiteDatabase
from airflow_agent_provider.routing.breaker import BreakerRule
from airflow_agent_provider.routing.budget import Account, Budget
from airflow_agent_provider.routing.price import StatedPrice
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
def database(tmp_path):
    database = SQLiteDatabase(tmp_path / "l.sqlite", hold=True)
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


def test_turns_are_waited_for(database, monkeypatch):
    """The second call of a slow limit sleeps until its turn."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr("airflow_agent_provider.ledger.control.asyncio.sleep", sleep)
    one = model(database, server(200), rate=RateRule(requests_per_minute=1))
    ask(one)
    ask(one)
    assert slept[0] == 0
    assert slept[1] == pytest.approx(60, abs=1)


def test_a_cancelled_call_is_settled_at_its_worst_case(database):
    """Nothing stays reserved."""

    async def never(_request):
        await asyncio.Event().wait()

    one = model(database, never)

    async def cancel():
        task = asyncio.create_task(one.answer(CALL))
        await asyncio.sleep(0.05)
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


def test_every_try_is_recorded_without_content(database):
    """For metrics: outcome, tokens, cost."""
    records = []
    one = model(database, server(500, 200), max_retries=1, on_call=records.append)
    ask(one)
    assert [(one.outcome, one.usage.total_tokens, one.cost_micros) for one in records] == [
        ("ModelUnavailable", 0, None),
        ("answered", 15, 20),
    ]
