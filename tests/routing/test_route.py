"""Policies as pure functions: the same call, facts and time give the same order."""

import dataclasses
import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ModelReply, ToolRequest, ToolSpec, Usage
from airflow_agent_provider.routing.answer import shortcoming
from airflow_agent_provider.routing.budget import worst_case
from airflow_agent_provider.routing.price import StatedPrice
from airflow_agent_provider.routing.route import (
    Candidate,
    Cascade,
    Cheapest,
    Failover,
    Threshold,
    combined,
    complexity,
    fitting,
    listed_context,
    misfit,
    prompt_tokens,
    worst_cost,
)

NOW = 1000.0
SCHEMA = {"type": "object", "properties": {"rows": {"type": "integer"}}, "required": ["rows"]}
TOOL = ToolSpec("query", "Runs SQL.", {"type": "object", "properties": {"sql": {"type": "string"}}})
CHEAP = Candidate("cheap", price=StatedPrice(0.1, 0.4), context_tokens=8_000)
STRONG = Candidate("strong", price=StatedPrice(3, 15), context_tokens=200_000)
POLICIES = [Failover(), Cheapest(), Cascade(), Threshold(500), Threshold(500, prefer="strong_above")]


def ask(text="How many rows?", **fields):
    return CallModel((Message("user", text),), **fields)


def names(candidates):
    return [one.name for one in candidates]


calls = st.builds(
    ask,
    st.text(max_size=60),
    tools=st.sampled_from([(), (TOOL,)]),
    schema=st.sampled_from([None, SCHEMA]),
    max_tokens=st.integers(1, 4000),
)
facts = st.lists(
    st.builds(
        Candidate,
        st.sampled_from("abcd"),
        price=st.none() | st.builds(StatedPrice, st.floats(0, 50), st.floats(0, 50)),
        context_tokens=st.none() | st.integers(1, 6000),
        max_tokens=st.none() | st.integers(1, 4000),
        supports_tools=st.booleans(),
        supports_schema=st.booleans(),
        open_until=st.sampled_from([0.0, NOW - 1, NOW + 10, NOW + 20]),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda one: one.name,
)
policies = st.sampled_from(POLICIES)


@given(policies, calls, facts)
def test_an_order_asks_nobody_twice_and_no_stranger(policy, call, candidates):
    """It is made of candidates that can answer."""
    order = policy.order(call, candidates, NOW)
    assert len(set(names(order))) == len(order)
    assert set(names(order)) <= set(names(fitting(call, candidates)))


@given(policies, calls, facts)
def test_only_the_cheapest_policy_leaves_out_open_circuits(policy, call, candidates):
    """The others ask everybody who can answer, in some order."""
    order = names(policy.order(call, candidates, NOW))
    able = [
        one.name
        for one in fitting(call, candidates)
        if one.open_until <= NOW or not isinstance(policy, Cheapest)
    ]
    assert sorted(order) == sorted(able)


@given(policies, calls, facts)
def test_somebody_is_asked_unless_tools_or_schema_forbid_it(policy, call, candidates):
    """An estimate alone never leaves a call without an answer."""
    closed = [dataclasses.replace(one, open_until=0.0) for one in candidates]
    assume(any(one.supports_tools or not call.tools for one in closed))
    assume(any(one.supports_schema or call.schema is None for one in closed))
    able = [
        one
        for one in closed
        if (one.supports_tools or not call.tools) and (one.supports_schema or call.schema is None)
    ]
    assert bool(policy.order(call, closed, NOW)) == bool(able)


@given(calls, facts)
def test_failover_keeps_the_order_but_for_open_circuits(call, candidates):
    """Which come last, in their own order."""
    order = Failover().order(call, candidates, NOW)
    is_open = [one.open_until > NOW for one in order]
    assert is_open == sorted(is_open)
    for group in (True, False):
        asked = [one.name for one in order if (one.open_until > NOW) == group]
        assert asked == [name for name in names(candidates) if name in asked]


@given(calls, facts)
def test_the_cheapest_costs_no_more_than_the_next(call, candidates):
    """And who states no price comes after all who do."""
    costs = [worst_cost(call, one) for one in Cheapest().order(call, candidates, NOW)]
    known = [cost for cost in costs if cost is not None]
    assert costs == sorted(known) + [None] * (len(costs) - len(known))


@given(calls, facts, st.floats(0, 3000))
def test_a_threshold_asks_the_first_or_the_last_first(call, candidates, above):
    """The two preferences are mirror images."""
    closed = [dataclasses.replace(one, open_until=0.0) for one in candidates]
    one_way = names(Threshold(above).order(call, closed, NOW))
    other_way = names(Threshold(above, prefer="strong_above").order(call, closed, NOW))
    assert one_way == other_way[::-1]
    assert (one_way == names(fitting(call, closed))) == (complexity(call) > above or len(one_way) < 2)


def test_the_price_of_this_call_decides_not_the_price_list():
    """Dear input and cheap output is right for short prompts with long answers."""
    reader = Candidate("reader", price=StatedPrice(1, 20))
    writer = Candidate("writer", price=StatedPrice(10, 2))
    policy = Cheapest()
    assert names(policy.order(ask("hi", max_tokens=4000), [reader, writer], NOW)) == ["writer", "reader"]
    assert names(policy.order(ask("x" * 9000, max_tokens=10), [writer, reader], NOW)) == ["reader", "writer"]


def test_a_connections_own_cap_counts_in_its_worst_case():
    """It cannot write more than that."""
    call = ask(max_tokens=4000)
    capped = dataclasses.replace(STRONG, max_tokens=10)
    assert worst_cost(call, capped) == STRONG.price.micros(worst_case(call, max_tokens=10))
    assert worst_cost(call, capped) < worst_cost(call, STRONG)


def test_a_call_that_is_too_long_goes_where_it_fits():
    """About 10,000 tokens do not go to a context of 8,000."""
    call = ask("x" * 30_000)
    for policy in POLICIES:
        assert names(policy.order(call, [CHEAP, STRONG], NOW)) == ["strong"]
    assert "do not fit its context of 8000" in misfit(call, CHEAP)


def test_a_call_that_is_too_long_for_all_goes_to_the_longest_context():
    """The estimate may be wrong by half; a server counts for sure."""
    call = ask("x" * 900_000)
    assert names(Failover().order(call, [CHEAP, STRONG], NOW)) == ["strong"]


def test_the_room_for_the_answer_counts():
    """A prompt that fits with no answer does not fit."""
    assert not misfit(ask(max_tokens=7_900), CHEAP)
    assert misfit(ask(max_tokens=8_000), CHEAP)
    assert not misfit(ask(max_tokens=8_000), dataclasses.replace(CHEAP, max_tokens=1_000))


@pytest.mark.parametrize(
    ("call", "lacks"), [(ask(tools=(TOOL,)), "supports_tools"), (ask(schema=SCHEMA), "supports_schema")]
)
def test_what_a_connection_cannot_do_is_not_asked_of_it(call, lacks):
    """Whatever the policy; and when nobody can, nobody is asked."""
    plain = dataclasses.replace(CHEAP, **{lacks: False})
    for policy in POLICIES:
        assert names(policy.order(call, [plain, STRONG], NOW)) == ["strong"]
        assert policy.order(call, [plain], NOW) == ()
    assert not misfit(ask(), plain)


@pytest.mark.parametrize(
    ("by", "above", "text", "first"),
    [
        ("complexity", 500, "hi", "strong"),
        ("complexity", 500, "x" * 3000, "cheap"),
        ("cost", 0.05, "hi", "strong"),
        ("cost", 0.05, "x" * 30_000, "cheap"),
    ],
)
def test_above_the_threshold_the_cheap_one_is_asked(by, above, text, first):
    """Bulk does not go to the dear model; the other one stands by."""
    roomy = dataclasses.replace(CHEAP, context_tokens=None)
    assert names(Threshold(above, by).order(ask(text), [roomy, STRONG], NOW))[0] == first
    other = Threshold(above, by, "strong_above").order(ask(text), [roomy, STRONG], NOW)
    assert names(other)[0] != first


def test_a_cost_that_nobody_knows_asks_the_cheap_one():
    """Either way round: spending is what the policy is there to prevent."""
    unpriced = dataclasses.replace(STRONG, price=None)
    for prefer in ("cheap_above", "strong_above"):
        order = Threshold(1, "cost", prefer).order(ask(), [CHEAP, unpriced], NOW)
        assert names(order) == ["cheap", "strong"]


def test_complexity_is_what_is_documented():
    """Three bytes a token, 250 a tool, three times the schema's tokens on top."""
    plain = ask("x" * 2968)
    assert prompt_tokens(plain) == (2968 + 32) // 3 == complexity(plain)
    tooled = dataclasses.replace(plain, tools=(TOOL, TOOL))
    assert complexity(tooled) == prompt_tokens(tooled) + 500
    shaped = dataclasses.replace(plain, schema=SCHEMA)
    assert complexity(shaped) == prompt_tokens(shaped) + len(json.dumps(SCHEMA))


def test_a_cascade_keeps_its_ladder_whatever_is_down():
    """The weak one is not asked after the strong one because its circuit was open."""
    down = dataclasses.replace(CHEAP, open_until=NOW + 10)
    assert names(Cascade().order(ask(), [down, STRONG], NOW)) == ["cheap", "strong"]


# What is good enough


def request(name="query", arguments=None, raw=""):
    return ToolRequest("1", name, arguments, raw)


@pytest.mark.parametrize(
    ("call", "reply", "told"),
    [
        (ask(), ModelReply("12 rows"), ""),
        (ask(), ModelReply(" \n"), "empty"),
        (ask(), ModelReply("12 ro", stop_reason="length"), "cut off"),
        (ask(), ModelReply("I cannot", stop_reason="refusal"), "declined"),
        (ask(schema=SCHEMA), ModelReply('{"rows": 12}'), ""),
        (ask(schema=SCHEMA), ModelReply('```json\n{"rows": 12}\n```'), ""),
        (ask(schema=SCHEMA), ModelReply('{"rows": "many"}'), r"$.rows: expected integer"),
        (ask(schema=SCHEMA), ModelReply("12 rows"), "not JSON"),
        (ask(tools=(TOOL,)), ModelReply("", (request(arguments={"sql": "SELECT 1"}),), "tool_calls"), ""),
        (ask(tools=(TOOL,)), ModelReply("", (request(arguments={"sql": 1}),), "tool_calls"), "do not fit"),
        (ask(tools=(TOOL,)), ModelReply("", (request(raw="{"),), "tool_calls"), "no JSON object"),
        (ask(tools=(TOOL,)), ModelReply("", (request("drop", {}),), "tool_calls"), "not offered"),
        (
            ask(schema=SCHEMA, tools=(TOOL,)),
            ModelReply("", (request(arguments={"sql": "SELECT 1"}),), "tool_calls"),
            "",
        ),
    ],
)
def test_what_is_plainly_wrong_with_an_answer_is_found(call, reply, told):
    """And a good one has nothing wrong."""
    found = shortcoming(call, reply)
    assert told in found
    assert bool(told) == bool(found)
    assert Cascade().objection(call, reply) == found


@given(st.text())
def test_an_objection_never_quotes_the_answer(text):
    """It goes into logs."""
    marked = f"secret{text}"
    for call in (ask(), ask(schema=SCHEMA)):
        for stop in ("stop", "length", "refusal"):
            assert "secret" not in Cascade(min_chars=10**6).objection(call, ModelReply(marked, (), stop))


def test_a_cascade_demands_length_of_texts_only():
    """A tool request has none."""
    policy = Cascade(min_chars=20)
    assert policy.objection(ask(), ModelReply("12 rows")) == "the answer is shorter than 20 characters"
    assert not policy.objection(ask(), ModelReply("12 rows, as the last query shows."))
    asked = ModelReply("", (request(arguments={}),), "tool_calls")
    assert not policy.objection(ask(tools=(TOOL,)), asked)


def test_a_validator_has_the_last_word():
    """It is told the call and the reply by name; one that trips does not agree."""
    policy = Cascade(validator=lambda *, call, reply: reply.text == call.messages[0].content)
    assert not policy.objection(ask("same"), ModelReply("same"))
    assert policy.objection(ask("same"), ModelReply("other")) == "the validator did not accept the answer"

    def trips(*, call, reply):
        raise KeyError(reply.text)

    assert Cascade(validator=trips).objection(ask(), ModelReply("x")) == "the validator raised KeyError"


@given(st.sampled_from([Failover(), Cheapest(), Threshold(5)]))
def test_other_policies_take_what_they_get(policy):
    """Only a cascade pays twice for one answer."""
    assert not policy.objection(ask(schema=SCHEMA), ModelReply("", stop_reason="refusal"))


# A route as a candidate of another one


@given(calls, facts)
def test_a_route_can_do_what_one_of_its_connections_can(call, candidates):
    """So the route around it never passes it over wrongly."""
    whole = combined("inner", candidates)
    if any(not misfit(call, one) for one in candidates):
        assert not misfit(call, dataclasses.replace(whole, max_tokens=1))
    assert whole.open_until == min(one.open_until for one in candidates)


def test_a_route_is_as_dear_as_its_dearest_connection():
    """And of unknown price when one of them is."""
    usage = Usage(1000, 1000)
    whole = combined("inner", [CHEAP, STRONG])
    assert whole.price.micros(usage) == STRONG.price.micros(usage)
    assert combined("inner", [CHEAP, dataclasses.replace(STRONG, price=None)]).price is None
    assert (whole.region, combined("i", [dataclasses.replace(CHEAP, region="eu")]).region) == ("", "eu")


def test_the_price_list_knows_contexts():
    """Not of every model, and of no model that it does not know."""
    assert listed_context("openai", "gpt-4o-mini") == 128_000
    assert listed_context("openai", "no-such-model") is None
    assert listed_context("ollama", "llama3") is None
