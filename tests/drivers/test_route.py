"""A route over servers of our own in process, with their health in one SQLite ledger."""

import asyncio
import dataclasses
import json
import logging
import time
from itertools import starmap

import httpx
import pytest

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.journal import MemoryJournal
from airflow_agent_provider.core.messages import Message, ModelReply, ToolSpec, Usage
from airflow_agent_provider.drivers.endpoint import Endpoint
from airflow_agent_provider.drivers.flow import Driver
from airflow_agent_provider.drivers.http import HttpModel
from airflow_agent_provider.drivers.private import PrivateModel
from airflow_agent_provider.drivers.route import RoutedModel, Stop
from airflow_agent_provider.exceptions import (
    BudgetExceeded,
    CircuitOpen,
    ConfigurationError,
    EndpointDisabled,
    InvalidReply,
    LimitReached,
    ModelUnavailable,
    PolicyRefused,
    PriceUnknown,
    RateLimited,
    RequestRejected,
    SourceUnavailable,
)
from airflow_agent_provider.governance.policy import Destination
from airflow_agent_provider.ledger.breaker import LedgerBreaker
from airflow_agent_provider.ledger.budget import LedgerBudget
from airflow_agent_provider.ledger.control import LedgerControl, Terms
from airflow_agent_provider.ledger.database import SQLiteDatabase
from airflow_agent_provider.routing.breaker import BreakerRule, retry_at
from airflow_agent_provider.routing.budget import Account, Budget
from airflow_agent_provider.routing.price import StatedPrice
from airflow_agent_provider.routing.route import Candidate, Cascade, Cheapest, Failover
from airflow_agent_provider.testing import ScriptedModel
from airflow_agent_provider.wire.openai_chat import OpenAIChat

KEY = "sk-secret-123"
PROMPT = "a private question"
CALL = CallModel((Message("user", PROMPT),), max_tokens=100)
PRICE = StatedPrice(1, 2)


class Server:
    """Answers with these texts, statuses or exceptions in turn, the last one for ever."""

    def __init__(self, *script, takes_s=0.0):
        self.script, self.takes_s, self.asked = list(script), takes_s, 0

    async def __call__(self, _request):
        self.asked += 1
        line = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        await asyncio.sleep(self.takes_s)
        if isinstance(line, Exception):
            raise line
        if isinstance(line, int):
            return httpx.Response(line, json={"error": {"message": "no"}}, headers=self.headers(line))
        message = {"role": "assistant", "content": line}
        return httpx.Response(
            200,
            json={
                "choices": [{"message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 5},
            },
        )

    @staticmethod
    def headers(status):
        return {"retry-after": "7"} if status == 429 else {}


@pytest.fixture
def database(tmp_path):
    database = SQLiteDatabase(tmp_path / "l.sqlite", hold=True)
    yield database
    database.close()


def stop(database, name, server, *, rule=None, price=PRICE, **settings):
    """A connection: its model on a mock transport, its facts, its health in the ledger."""
    rule = rule or BreakerRule()
    endpoint = Endpoint(
        f"connection {name!r}", "http://127.0.0.1", "m", KEY, max_retries=settings.pop("max_retries", 0)
    )
    terms = Terms(name, "m", price=price, breaker=rule, accounts=settings.pop("accounts", ()))
    model = HttpModel(
        OpenAIChat(),
        endpoint,
        open_transport=lambda _: httpx.MockTransport(server),
        control=LedgerControl(database, terms),
    )
    breaker = LedgerBreaker(database, rule)
    breaker.prepare()

    async def open_until():
        return retry_at(breaker.health(name), rule)

    return Stop(Candidate(name, price=price, **settings), model, open_until)


def route(*stops, policy=None):
    return RoutedModel("route 'r'", stops, policy or Failover())


def scripted(name, *lines):
    return Stop(Candidate(name), ScriptedModel(lines))


def ask(model, call=CALL):
    return asyncio.run(model.answer(call))


# Who answers


def test_the_first_connection_answers_and_is_named(database):
    """The second one is not asked."""
    first, second = Server("one"), Server("two")
    reply = ask(route(stop(database, "a", first), stop(database, "b", second)))
    assert (reply.text, reply.connection, reply.cost_micros) == ("one", "a", 20)
    assert (first.asked, second.asked) == (1, 0)


@pytest.mark.parametrize(
    "line",
    [
        httpx.ReadTimeout("silent"),
        httpx.ConnectError("refused"),
        httpx.RemoteProtocolError("broken"),
        500,
        503,
        429,
        307,
        401,
        403,
        404,
        413,
    ],
)
def test_what_another_connection_may_do_better_falls_over(database, line):
    """Transient failures, and refusals of this connection's key, account or model."""
    reply = ask(route(stop(database, "a", Server(line)), stop(database, "b", Server("two"))))
    assert (reply.text, reply.connection) == ("two", "b")


@pytest.mark.parametrize("status", [400, 422])
def test_a_fault_of_the_call_goes_up_at_once(database, status):
    """Everybody would refuse it."""
    second = Server("two")
    with pytest.raises(RequestRejected, match=f"connection 'a': HTTP {status}"):
        ask(route(stop(database, "a", Server(status)), stop(database, "b", second)))
    assert second.asked == 0


@pytest.mark.parametrize(
    ("error", "goes_on"),
    [
        (BudgetExceeded("no money"), True),
        (PriceUnknown("no price"), True),
        (PolicyRefused("not there"), True),
        (EndpointDisabled("off"), True),
        (SourceUnavailable("no ledger"), True),
        (LimitReached("too many calls"), False),
        (ConfigurationError("wrong field"), False),
        (InvalidReply("nonsense"), False),
        (RequestRejected("no status"), False),
    ],
)
def test_refusals_of_our_own_fall_over_when_another_may_be_allowed(error, goes_on):
    """The others are nobody's business but the caller's."""
    second = ScriptedModel(["two"])
    one = route(scripted("a", error), Stop(Candidate("b"), second))
    if goes_on:
        assert ask(one).connection == "b"
    else:
        with pytest.raises(type(error), match="a: "):
            ask(one)
        assert second.calls == []


def test_a_refused_key_is_shouted_about(database, caplog):
    """The route hides it from the DAG; the log must not."""
    ask(route(stop(database, "a", Server(401)), stop(database, "b", Server("two"))))
    (warning,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert "route 'r': a did not answer: RequestRejected: connection 'a': HTTP 401" in warning.getMessage()


def test_a_stranger_to_the_hierarchy_is_not_swallowed():
    """A bug is no reason to ask the next one."""
    second = ScriptedModel(["two"])
    with pytest.raises(KeyError):
        ask(route(scripted("a", KeyError("bug")), Stop(Candidate("b"), second)))
    assert second.calls == []


# What is said when nobody answers


def test_one_error_says_what_everybody_said(database):
    """Without key and prompt."""
    one = route(
        stop(database, "a", Server(503)),
        stop(database, "b", Server(401)),
        stop(database, "c", Server("three"), supports_tools=False),
    )
    call = dataclasses.replace(CALL, tools=(ToolSpec("query", "SQL", {"type": "object"}),))
    with pytest.raises(ModelUnavailable) as caught:
        ask(one, call)
    said = str(caught.value)
    assert said.startswith("route 'r': no connection answered: connection 'a': HTTP 503")
    assert "connection 'b': HTTP 401" in said
    assert said.endswith("c: not asked: it takes no tools")
    assert KEY not in said
    assert PROMPT not in said


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ([RequestRejected("no", status=401), ModelUnavailable("down")], ModelUnavailable),
        ([BudgetExceeded("no"), CircuitOpen("down", retry_after_s=9)], CircuitOpen),
        ([CircuitOpen("down", retry_after_s=9), ModelUnavailable("down")], ModelUnavailable),
        ([ModelUnavailable("down"), RateLimited("slow", retry_after_s=5)], ModelUnavailable),
        ([BudgetExceeded("no"), BudgetExceeded("no")], BudgetExceeded),
        ([PolicyRefused("no"), PolicyRefused("no")], PolicyRefused),
        ([ModelUnavailable("down"), RequestRejected("bad call", status=400)], ModelUnavailable),
    ],
)
def test_the_error_is_of_the_kind_that_promises_most(errors, kind):
    """A retry of the task comes when it can help, and never when it cannot."""
    with pytest.raises(kind) as caught:
        ask(route(*starmap(scripted, zip("ab", errors, strict=True))))
    assert type(caught.value) is kind


def test_among_open_circuits_the_shortest_wait_is_told():
    """So that a retry comes when the first of them is tried again."""
    waits = [CircuitOpen("down", retry_after_s=90), CircuitOpen("down", retry_after_s=20)]
    with pytest.raises(CircuitOpen) as caught:
        ask(route(*starmap(scripted, zip("ab", waits, strict=True))))
    assert caught.value.retry_after_s == 20


def test_the_record_of_a_policys_refusal_travels_along():
    """The audit needs it."""
    record = object()
    with pytest.raises(PolicyRefused) as caught:
        ask(route(scripted("a", PolicyRefused("no", record=record))))
    assert caught.value.record is record


# Budgets, policy, switches


def balance(database):
    return LedgerBudget(database).balance("dag:d")


def test_a_budget_that_a_dear_model_could_pass_is_spent_on_a_cheap_one(database):
    """And the dear one holds nothing of it."""
    purse = (Account("dag:d", Budget(usd=0.001)),)
    dear = Server("dear")
    one = route(
        stop(database, "dear", dear, price=StatedPrice(100, 100), accounts=purse),
        stop(database, "cheap", Server("cheap"), accounts=purse),
    )
    reply = ask(one)
    assert (reply.connection, dear.asked) == ("cheap", 0)
    assert balance(database).spent_usd == pytest.approx(20e-6)
    assert balance(database).reserved_usd == 0


def test_a_model_without_a_price_is_passed_over_under_a_money_cap(database):
    """Until nobody with a price is left; then the refusal says so."""
    purse = (Account("dag:d", Budget(usd=1)),)
    unpriced, priced = Server("one"), Server("two")
    first = stop(database, "a", unpriced, price=None, accounts=purse)
    assert ask(route(first, stop(database, "b", priced, accounts=purse))).connection == "b"
    assert unpriced.asked == 0
    with pytest.raises(PriceUnknown):
        ask(route(first))


def test_a_connection_that_a_person_switched_off_is_passed_over(database):
    """Until it is switched on again."""
    one = route(stop(database, "a", Server("one")), stop(database, "b", Server("two")))
    LedgerBreaker(database).disable("a", by="ada")
    assert ask(one).connection == "b"
    LedgerBreaker(database).enable("a")
    assert ask(one).connection == "a"


def test_data_takes_the_alternative_that_the_policy_allows(database):
    """EU data does not go to the US connection; its server sees nothing."""
    us, eu = Server("us"), Server("eu")

    def private(name, region, server):
        plain = stop(database, name, server, region=region)
        destination = Destination(name, "openai", region)
        return dataclasses.replace(plain, model=PrivateModel(plain.model, destination, tags=("eu",)))

    reply = ask(route(private("first", "us", us), private("second", "eu", eu)))
    assert (reply.connection, us.asked, eu.asked) == ("second", 0, 1)


# Health


def test_a_hundred_tasks_pay_six_time_outs_at_most(tmp_path):
    """4 at a time, each with a ledger handle of its own as in a process of its own."""
    hanging, alternative = Server(httpx.ReadTimeout("silent"), takes_s=0.02), Server("two")
    replies = []

    async def task(turns):
        async with turns:
            database = SQLiteDatabase(tmp_path / "l.sqlite", hold=True)
            one = route(stop(database, "a", hanging), stop(database, "b", alternative))
            replies.append(await one.answer(CALL))
            database.close()

    async def tasks():
        turns = asyncio.Semaphore(4)
        await asyncio.gather(*(task(turns) for _ in range(100)))

    asyncio.run(tasks())
    assert hanging.asked <= 6
    assert [reply.connection for reply in replies] == ["b"] * 100


def test_a_connection_that_recovered_is_used_again(database):
    """After its cool-down one call probes it, and the others follow."""
    rule = BreakerRule(failures=1, cooldown_s=0.2)
    server = Server(503, "one")
    one = route(stop(database, "a", server, rule=rule), stop(database, "b", Server("two")))
    assert [ask(one).connection for _ in range(3)] == ["b", "b", "b"]
    assert server.asked == 1
    time.sleep(0.25)
    assert [ask(one).connection for _ in range(3)] == ["a", "a", "a"]


def test_the_cheapest_policy_leaves_out_who_is_known_to_be_down(database):
    """And says so when nobody is left; a retry can help then."""
    rule = BreakerRule(failures=1, cooldown_s=60)
    cheap = stop(database, "cheap", Server(503), rule=rule, price=StatedPrice(0.1, 0.1))
    dear = stop(database, "dear", Server("two", 503), rule=rule)
    one = route(dear, cheap, policy=Cheapest())
    assert ask(one).connection == "dear"
    with pytest.raises(ModelUnavailable, match=r"HTTP 503.*cheap: not asked: known to be down; next try in"):
        ask(one)
    with pytest.raises(CircuitOpen, match=r"dear: not asked.*cheap: not asked") as caught:
        ask(one)
    assert 50 < caught.value.retry_after_s <= 60


def test_nobody_fits_and_nobody_is_asked(database):
    """A retry cannot help."""
    server = Server("one")
    call = dataclasses.replace(CALL, schema={"type": "object"})
    with pytest.raises(RequestRejected, match="a: not asked: it takes no answer schema"):
        ask(route(stop(database, "a", server, supports_schema=False)), call)
    assert server.asked == 0


# Cascades


def test_a_cascade_takes_the_first_good_answer_and_tells_what_all_cost(database):
    """The discarded answer was paid too."""
    weak, strong = Server("dunno"), Server("The storm grounded the flights.")
    one = route(stop(database, "weak", weak), stop(database, "strong", strong), policy=Cascade(min_chars=10))
    reply = ask(one)
    assert (reply.text, reply.connection) == ("The storm grounded the flights.", "strong")
    assert (reply.usage, reply.cost_micros) == (Usage(20, 10), 40)


def test_a_cascade_stops_at_a_good_answer(database):
    """The strong model is not asked."""
    strong = Server("two")
    one = route(
        stop(database, "weak", Server("long enough")), stop(database, "strong", strong), policy=Cascade()
    )
    assert ask(one).connection == "weak"
    assert strong.asked == 0


def test_a_cost_of_which_a_part_is_unknown_is_unknown(database):
    """Not the part that is known."""
    one = route(
        stop(database, "weak", Server("x"), price=None),
        stop(database, "strong", Server("long enough")),
        policy=Cascade(min_chars=5),
    )
    assert ask(one).cost_micros is None


def test_the_last_answer_of_a_cascade_is_taken_as_it_is(database, caplog):
    """Nobody is left to ask; the log says so."""
    one = route(
        stop(database, "weak", Server("x")),
        stop(database, "strong", Server("y")),
        policy=Cascade(min_chars=5),
    )
    assert ask(one).text == "y"
    assert "nobody is left to ask after strong: the answer is shorter than 5 characters" in caplog.text


def test_an_answer_that_is_not_good_enough_is_no_fallback(database):
    """When the strong model is down, the call fails as transient rather than pass the weak answer on."""
    one = route(
        stop(database, "weak", Server("x")),
        stop(database, "strong", Server(503)),
        policy=Cascade(min_chars=5),
    )
    with pytest.raises(
        ModelUnavailable, match=r"weak answered, but .* shorter than 5 .*; connection 'strong'"
    ):
        ask(one)


# A route in a route, journals, closing


def test_a_route_in_a_route_names_the_connection_that_answered(database):
    """Not the inner route."""
    inner = route(stop(database, "a", Server(503)), stop(database, "b", Server("two")))
    outer = route(Stop(Candidate("inner"), inner, inner.open_until), stop(database, "c", Server("three")))
    assert ask(outer).connection == "b"


def test_a_route_is_down_while_all_of_it_is(database):
    """And may be asked again with the first of them."""

    async def until(moment):
        return moment

    def known(name, moment):
        return Stop(Candidate(name), ScriptedModel([]), lambda: until(moment))

    assert asyncio.run(route(known("a", 900.0), known("b", 300.0)).open_until()) == 300.0
    assert asyncio.run(route(known("a", 900.0), known("b", 0.0)).open_until()) == 0.0


def test_a_replay_asks_nobody_whatever_is_down_by_then(database):
    """The journal holds the reply and who gave it."""

    def flow():
        reply = yield CALL
        return reply

    journal = MemoryJournal()
    one = route(stop(database, "a", Server(503)), stop(database, "b", Server("two")))
    first = asyncio.run(Driver(one, journal=journal).run(flow())).value
    nobody = route(scripted("a"), scripted("b"))
    again = asyncio.run(Driver(nobody, journal=journal).run(flow()))
    assert again.value == first
    assert (again.value.connection, again.replayed) == ("b", 1)


def test_a_cancelled_call_asks_nobody_else(database):
    """A time-out of the flow is no failure of the connection."""
    second = Server("two")
    one = route(stop(database, "a", Server("one", takes_s=60)), stop(database, "b", second))

    async def cancel():
        async with asyncio.timeout(0.1):
            await one.answer(CALL)

    with pytest.raises(TimeoutError):
        asyncio.run(cancel())
    assert second.asked == 0


def test_closing_a_route_closes_its_models():
    """Those that can be closed."""
    closed = []

    class Closing:
        async def answer(self, call):
            return ModelReply("one")

        async def aclose(self):
            closed.append(self)

    async def run():
        async with route(
            Stop(Candidate("a"), Closing()), scripted("b"), Stop(Candidate("c"), Closing())
        ) as one:
            return await one.answer(CALL)

    assert asyncio.run(run()).connection == "a"
    assert len(closed) == 2


def test_a_mock_server_speaks_json():
    """The servers above are what they claim: a check of the test's own tools."""
    response = asyncio.run(Server("one")(None))
    assert json.loads(response.content)["choices"][0]["message"]["content"] == "one"
