"""Routes as DAG authors and connections say them, over chat servers in threads."""

import asyncio
import sqlite3
import threading
from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG

from airflow_agent_provider import Budget, Files, NotNull, QualityAgentOperator
from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ToolSpec
from airflow_agent_provider.drivers.route import RoutedModel
from airflow_agent_provider.exceptions import BudgetExceeded, CircuitOpen, ConfigurationError
from airflow_agent_provider.hooks.llm import LLMHook
from airflow_agent_provider.hooks.llm_connection import read_connection
from airflow_agent_provider.hooks.llm_terms import read_terms
from airflow_agent_provider.routing.breaker import BreakerRule
from airflow_agent_provider.routing.budget import Spender
from airflow_agent_provider.routing.route import Cascade, Cheapest, Failover, Threshold

ASK = CallModel((Message("user", "How many rows?"),))
CHAT = "POST", "/v1/chat/completions"
DOWN = 503, {"error": {"message": "overloaded"}}
SPENDER = Spender("shop", "manual__1", datetime(2013, 2, 8, tzinfo=UTC))


def is_long(*, call, reply):
    return len(reply.text) > len(call.messages[0].content)


NOT_A_FUNCTION = 7
HERE = __name__


pytestmark = pytest.mark.usefixtures("ledger")


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    """A ledger for each test."""
    path = tmp_path / "ledger.sqlite"
    monkeypatch.setenv("AIRFLOW__AGENT_PROVIDER__LEDGER_PATH", str(path))
    return path


def knowing(server, text):
    """Let a server have the model m, which answers this."""
    server.routes = {
        CHAT: (200, {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}),
        ("GET", "/v1/models"): (200, {"data": [{"id": "m"}]}),
    }
    return server


@pytest.fixture
def cheap(chat_server):
    """The server of the first connection."""
    return knowing(chat_server, "12 rows")


@pytest.fixture
def strong(chat_server):
    """Another server of the same kind."""
    with type(chat_server)() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield knowing(server, "There are twelve rows in it.")
        server.shutdown()
        thread.join()


@pytest.fixture
def pair(connect, cheap, strong):
    """Two connections, cheap and strong; extras by name."""

    def define(**extras):
        for name, server in (("cheap", cheap), ("strong", strong)):
            extra = {"model": "m", **extras.pop(name, {})}
            connect(name, host=server.base_url, extra=extra)
        assert not extras
        return ["cheap", "strong"]

    return define


def route(connect, conn_id="llm_default", **extras):
    return connect(conn_id, extra={"provider": "route", "route": ["cheap", "strong"], **extras})


# As a list in the DAG


def test_a_list_of_connections_fails_over(pair, cheap, strong):
    """The reply names who answered."""
    hook = LLMHook(pair())
    assert hook.answer(ASK).connection == "cheap"
    cheap.routes[CHAT] = DOWN
    reply = hook.answer(ASK)
    assert (reply.text, reply.connection) == ("There are twelve rows in it.", "strong")
    assert len(strong.requests) == 1


def test_a_single_connection_is_no_route(pair):
    """And names nobody: there is no choice to tell of."""
    pair()
    hook = LLMHook("cheap")
    assert not isinstance(hook.get_model(), RoutedModel)
    assert not hook.answer(ASK).connection


def test_both_ways_to_the_model_give_the_same_route(pair):
    """With an event loop and without."""
    names = pair()

    async def run():
        async with await LLMHook(names).aget_model() as model:
            return model

    for model in (LLMHook(names).get_model(), asyncio.run(run())):
        assert [stop.candidate.name for stop in model.stops] == names
        assert isinstance(model.policy, Failover)


def test_in_a_route_the_next_connection_is_the_retry(pair, cheap, strong):
    """The last one keeps its usual retries, and what a connection says itself holds."""
    model = LLMHook(pair()).get_model()
    assert [stop.model.endpoint.max_retries for stop in model.stops] == [0, 2]
    model = LLMHook(pair(cheap={"max_retries": 1}, strong={"max_retries": 0})).get_model()
    assert [stop.model.endpoint.max_retries for stop in model.stops] == [1, 0]
    cheap.routes[CHAT] = DOWN
    LLMHook(pair()).answer(ASK)
    assert len(cheap.requests) == 1


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([], "llm_conn_id must be a list of connection ids"),
        (["cheap", "cheap"], "llm_conn_id names a connection twice"),
        (["cheap", 7], "llm_conn_id must hold connection ids"),
        (["cheap", "nowhere"], "connection 'nowhere' does not exist"),
    ],
)
def test_a_wrong_list_is_told(pair, names, told):
    """Before anything is asked."""
    pair()
    with pytest.raises(ConfigurationError, match=told):
        LLMHook(names).get_model()


def test_one_model_cannot_be_meant_for_several_connections(pair):
    """Each names its own."""
    with pytest.raises(ConfigurationError, match="route of cheap, strong: model= cannot be given"):
        LLMHook(pair(), model="m2").get_model()


def test_the_gate_takes_a_list(pair, cheap, strong, run_task, tmp_path):
    """A failed batch is explained by the second connection when the first is down."""
    cheap.routes[CHAT] = DOWN
    strong.routes[CHAT] = (
        200,
        {"choices": [{"message": {"content": '{"claims": []}'}, "finish_reason": "stop"}]},
    )
    (tmp_path / "batch.csv").write_text("id,amount\n1,10\n2,\n")
    with DAG("shop", schedule=None, start_date=datetime(2013, 1, 1, tzinfo=UTC)):
        gate = QualityAgentOperator(
            task_id="gate",
            source=Files(str(tmp_path / "batch.csv")),
            checks=[NotNull("amount")],
            llm_conn_id=pair(),
        )
    done = run_task(gate)
    assert done.state == "success", done.error
    assert (len(cheap.requests), len(strong.requests) > 0) == (1, True)


# As a connection


@pytest.mark.parametrize(
    ("extras", "policy"),
    [
        ({}, Failover()),
        ({"policy": "failover"}, Failover()),
        ({"policy": "cheapest"}, Cheapest()),
        ({"policy": "cascade"}, Cascade()),
        ({"policy": "cascade", "min_chars": 20}, Cascade(20)),
        ({"policy": "cascade", "validator": f"{HERE}.is_long"}, Cascade(0, is_long)),
        ({"policy": "threshold", "threshold": "2000"}, Threshold(2000)),
        (
            {"policy": "threshold", "threshold": 0.5, "threshold_by": "cost", "prefer": "strong_above"},
            Threshold(0.5, "cost", "strong_above"),
        ),
    ],
)
def test_a_connection_says_its_policy(pair, connect, extras, policy):
    """With the fields of that policy."""
    pair()
    assert LLMHook(route(connect, **extras)).get_model().policy == policy


def test_a_dag_does_not_change_when_its_connection_becomes_a_route(pair, connect, cheap):
    """One id, first a server and then a route."""
    pair()
    connect("team", host=cheap.base_url, extra={"model": "m"})
    assert LLMHook("team").answer(ASK).text == "12 rows"
    route(connect, "team", route="strong, cheap")
    assert LLMHook("team").answer(ASK).connection == "strong"


def test_the_list_may_be_text(pair, connect):
    """As the form and a connection written as a URI have it."""
    pair()
    for written in ("cheap, strong", '["cheap", "strong"]', ["cheap", "strong"]):
        model = LLMHook(route(connect, route=written)).get_model()
        assert [stop.candidate.name for stop in model.stops] == ["cheap", "strong"]
    connect(uri="llm://?provider=route&route=cheap%2Cstrong&policy=cascade&min_chars=3")
    assert LLMHook().get_model().policy == Cascade(3)


def test_the_cheapest_connection_of_a_call_is_asked_first(pair, connect):
    """By the prices that the connections state."""
    pair(
        cheap={"input_usd_per_mtok": 9, "output_usd_per_mtok": 9},
        strong={"input_usd_per_mtok": 1, "output_usd_per_mtok": 1},
    )
    assert LLMHook(route(connect, policy="cheapest")).answer(ASK).connection == "strong"


def test_a_cascade_escalates(pair, connect, cheap, strong):
    """A validator of the DAG author's finds the first answer too short."""
    pair()
    reply = LLMHook(route(connect, policy="cascade", validator=f"{HERE}.is_long")).answer(ASK)
    assert (reply.connection, len(cheap.requests), len(strong.requests)) == ("strong", 1, 1)


def test_facts_come_from_the_connections_and_the_price_list(pair, connect):
    """Context, tools, schema, region, cap and price."""
    pair(
        cheap={
            "context_tokens": 4096,
            "supports_tools": False,
            "supports_schema": "false",
            "region": "eu",
            "max_tokens": 50,
        },
        strong={"model": "gpt-4o-mini"},
    )
    first, second = (stop.candidate for stop in LLMHook(route(connect)).get_model().stops)
    assert (first.context_tokens, first.supports_tools, first.supports_schema) == (4096, False, False)
    assert (first.region, first.max_tokens, first.price) == ("eu", 50, None)
    assert (second.context_tokens, second.supports_tools, second.model) == (128_000, True, "gpt-4o-mini")
    assert second.price is not None


def test_a_call_with_tools_passes_over_a_connection_without(pair, connect):
    """Which says so of itself."""
    pair(cheap={"supports_tools": False})
    call = CallModel(ASK.messages, (ToolSpec("query", "SQL", {"type": "object"}),))
    hook = LLMHook(route(connect))
    assert (hook.answer(call).connection, hook.answer(ASK).connection) == ("strong", "cheap")


def test_a_route_may_stand_in_a_route(pair, connect, cheap, strong):
    """It is one candidate there; the reply names the connection that answered."""
    pair()
    connect("last", host=strong.base_url, extra={"model": "m"})
    route(connect, "inner")
    route(connect, "outer", route=["inner", "last"])
    cheap.routes[CHAT] = DOWN
    assert LLMHook("outer").answer(ASK).connection == "strong"
    inner, last = LLMHook("outer").get_model().stops
    assert inner.candidate.name == "inner"
    assert inner.model.stops[-1].model.endpoint.max_retries == 0
    assert last.model.endpoint.max_retries == 2


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"a": ["a"]}, "connection 'a': its route leads back to itself: a -> a"),
        ({"a": ["cheap", "b"], "b": ["c"], "c": ["a"]}, "a -> b -> c -> a"),
        ({"a": ["cheap", "b"], "b": ["strong", "b"]}, "a -> b -> b"),
    ],
)
def test_a_route_that_leads_back_to_itself_is_refused(pair, connect, members, told):
    """However long the way."""
    pair()
    for name, listed in members.items():
        route(connect, name, route=listed)
    with pytest.raises(ConfigurationError, match=told):
        LLMHook("a").get_model()


def test_a_connection_may_stand_in_two_routes_of_one(pair, connect):
    """That is no circle."""
    pair()
    route(connect, "one")
    route(connect, "other", route=["strong", "cheap"])
    route(connect, "both", route=["one", "other"])
    assert LLMHook("both").answer(ASK).connection == "cheap"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"extra": {"provider": "route"}}, "extra 'route' is missing"),
        ({"extra": {"provider": "route", "route": []}}, "'route' must be a list of connection ids"),
        ({"extra": {"provider": "route", "route": "a,,b"}}, "'route' must hold connection ids"),
        ({"extra": {"provider": "route", "route": "[1"}}, "'route' must be a list of connection ids"),
        ({"extra": {"provider": "route", "route": ["a", "a"]}}, "'route' names a connection twice"),
        (
            {"extra": {"provider": "route", "route": "a", "policy": "best"}},
            "'policy' must be one of failover",
        ),
        (
            {"extra": {"provider": "route", "route": "a", "min_chars": 5}},
            "extra 'min_chars' means nothing to policy failover, only to cascade",
        ),
        (
            {"extra": {"provider": "route", "route": "a", "policy": "cascade", "prefer": "cheap_above"}},
            "extra 'prefer' means nothing to policy cascade, only to threshold",
        ),
        (
            {"extra": {"provider": "route", "route": "a", "policy": "threshold"}},
            "extra 'threshold' is missing",
        ),
        (
            {"extra": {"provider": "route", "route": "a", "policy": "threshold", "threshold": -1}},
            "'threshold' must be a number, 0 or more",
        ),
        (
            {"extra": {"provider": "route", "route": "a", "model": "m"}},
            "extra 'model' belongs to the connections of the route",
        ),
        (
            {"extra": {"provider": "route", "route": "a"}, "password": "sk-hidden-pw"},
            "password belongs to the connections",
        ),
        (
            {"extra": {"provider": "route", "route": "a"}, "host": "https://example.org"},
            "host belongs to the connections",
        ),
        (
            {"host": "http://localhost:1", "extra": {"model": "m", "policy": "cheapest"}},
            "extra 'policy' means nothing to provider openai, only to route",
        ),
    ],
)
def test_a_wrong_field_of_a_route_is_named(connect, fields, told):
    """And its value is not."""
    connect(**fields)
    with pytest.raises(ConfigurationError) as caught:
        LLMHook().get_model()
    message = str(caught.value)
    assert message.startswith("connection 'llm_default': ")
    assert told in message
    assert "hidden-pw" not in message


@pytest.mark.parametrize(
    "name", ["no_such_module.is_long", f"{HERE}.no_such_function", f"{HERE}.NOT_A_FUNCTION", "is_long"]
)
def test_a_validator_that_cannot_be_used_is_told(pair, connect, name):
    """When the model is got, not when the first answer comes."""
    pair()
    with pytest.raises(ConfigurationError, match="'validator'"):
        LLMHook(route(connect, policy="cascade", validator=name)).get_model()


def test_boxes_of_the_form_do_not_disturb_a_route(pair, connect):
    """It sends them ticked or not, whatever the provider."""
    pair()
    boxes = {"allow_http": False, "supports_tools": True, "supports_schema": True, "model": None}
    assert LLMHook(route(connect, **boxes)).get_model().stops


# Health, budgets, the button


def test_health_is_shared_through_the_ledger(pair, cheap, strong):
    """Another hook, as in another process, does not ask what the first one found dead."""
    rule = {"breaker_failures": 1, "breaker_cooldown_s": 60}
    names = pair(cheap=rule)
    cheap.routes[CHAT] = DOWN
    assert [LLMHook(names).answer(ASK).connection for _ in range(3)] == ["strong"] * 3
    assert (len(cheap.requests), len(strong.requests)) == (1, 3)
    with pytest.raises(CircuitOpen, match="next try in 60 s"):
        LLMHook("cheap").answer(ASK)


def test_the_breakers_rule_is_the_connections(pair):
    """And the longest cool-down is never shorter than the first."""
    rules = {"breaker_failures": 7, "breaker_cooldown_s": 900}
    pair(cheap={**rules, "timeout_s": 300})

    def rule(name):
        connection = LLMHook.get_connection(name)
        return read_terms(connection, read_connection(connection)[1], (), None).breaker

    assert rule("cheap") == BreakerRule(failures=7, cooldown_s=900, max_cooldown_s=900, probe_s=300)
    assert rule("strong") == BreakerRule(probe_s=180)


def test_budgets_hold_for_all_connections_of_a_route(pair, cheap, strong):
    """Two requests may be made, whoever answers them."""
    hook = LLMHook(pair(), budgets=[Budget(requests=2)], spender=SPENDER)
    cheap.routes[CHAT] = DOWN
    assert [hook.answer(ASK).connection for _ in range(2)] == ["strong", "strong"]
    with pytest.raises(BudgetExceeded, match="all 2 requests are used"):
        hook.answer(ASK)
    assert len(strong.requests) == 2


def test_a_route_asks_without_a_ledger_too(pair, ledger, cheap):
    """Health fails open: a folder stands where the file should be."""
    ledger.mkdir()
    names = pair()
    cheap.routes[CHAT] = DOWN
    assert LLMHook(names).answer(ASK).connection == "strong"


def test_the_button_tests_each_connection(pair, connect, cheap, strong):
    """All must work; what is said names each."""
    pair(cheap={"cache_ttl_s": 60})
    hook = LLMHook(route(connect, policy="cascade", validator="dags_only.is_long"))
    worked, told = hook.test_connection()
    assert worked
    assert cheap.base_url in told
    assert strong.base_url in told
    strong.routes = {}
    worked, told = hook.test_connection()
    assert not worked
    assert f"{cheap.base_url} answers" in told
    assert "connection 'strong': HTTP 404" in told


def test_the_button_tells_of_a_wrong_route(connect):
    """And of a connection that is not there."""
    worked, told = LLMHook(route(connect)).test_connection()
    assert not worked
    assert told.startswith("connection 'cheap' does not exist: create it in the UI")


# The reply cache


def test_a_time_to_live_switches_the_cache_on(pair, cheap, ledger):
    """For the connection that states it, in the ledger that all share."""
    pair(cheap={"cache_ttl_s": 60})
    replies = [LLMHook("cheap").answer(ASK) for _ in range(3)]
    assert [reply.cached for reply in replies] == [False, True, True]
    assert len(cheap.requests) == 1
    with sqlite3.connect(ledger) as connection:
        assert connection.execute("select endpoint from agent_reply_cache").fetchall() == [("cheap",)]
    connection.close()


def test_a_route_serves_from_the_cache_of_its_connection(pair, cheap):
    """And names it."""
    names = pair(cheap={"cache_ttl_s": 60})
    LLMHook(names).answer(ASK)
    cheap.routes[CHAT] = DOWN
    reply = LLMHook(names).answer(ASK)
    assert (reply.connection, reply.cached, reply.cost_micros) == ("cheap", True, 0)


def test_the_button_is_not_answered_by_the_cache(pair, cheap):
    """A kept reply would hide that the server is gone."""
    pair(cheap={"cache_ttl_s": 60})
    cheap.routes["GET", "/v1/models"] = 404, {}
    assert LLMHook("cheap").test_connection()[0]
    cheap.routes[CHAT] = DOWN
    assert not LLMHook("cheap").test_connection()[0]


def test_a_model_without_a_temperature_is_not_cached(pair):
    """Nothing would ever be kept: that is told rather than left to be found out."""
    pair(cheap={"model": "gpt-5", "cache_ttl_s": 60})
    with pytest.raises(ConfigurationError, match="'cache_ttl_s' keeps replies of temperature 0"):
        LLMHook("cheap").get_model()


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ({"cache_ttl_s": 0}, "'cache_ttl_s' must be a number of seconds greater than 0"),
        ({"context_tokens": 0}, "'context_tokens' must be a whole number, at least 1"),
        ({"breaker_failures": 0}, "'breaker_failures' must be a whole number, at least 1"),
        ({"breaker_cooldown_s": "soon"}, "'breaker_cooldown_s' must be a number"),
        ({"supports_tools": "maybe"}, "'supports_tools' must be true or false"),
    ],
)
def test_a_wrong_extra_is_named(pair, extra, told):
    """As every other one."""
    pair(cheap=extra)
    with pytest.raises(ConfigurationError, match=told):
        LLMHook("cheap").get_model()
