"""Every wire, the same cases: what holds for one model API holds for all."""

import json
import math

import pytest

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ModelReply, ToolRequest, ToolSpec, Usage
from airflow_agent_provider.exceptions import AgentProviderError, ConfigurationError, ModelUnavailable

KEY = "sk-secret-123"
ASK = CallModel((Message("user", "How many rows?"),), max_tokens=64, temperature=0.5)
SCHEMA = {
    "type": "object",
    "properties": {"rows": {"type": "integer"}},
    "required": ["rows"],
    "additionalProperties": False,
}
COUNT = ToolSpec(
    "count_rows", "Count the rows.", {"type": "object", "properties": {"table": {"type": "string"}}}
)


def encoded(dialect, call, *, key=KEY):
    request = dialect.wire.encode(call, model="small-1", key=key)
    return request, json.loads(request.body)


# Asking


def test_a_call_names_model_bound_and_key(dialect):
    """The request goes to the API's path, with the key in the API's header and nowhere else."""
    request, body = encoded(dialect, ASK)
    assert (request.method, request.path) == ("POST", dialect.path)
    assert dialect.asked(body) == (64, 0.5)
    assert dialect.model_in_path or body["model"] == "small-1"
    name, value = dialect.key_header
    assert request.headers[name] == value
    assert request.headers["content-type"] == "application/json"
    assert KEY.encode() not in request.body
    assert KEY not in request.path
    assert KEY not in repr(request)


def test_no_key_sends_no_key_header(dialect):
    """Servers of one's own often want none."""
    request, _ = encoded(dialect, ASK, key=None)
    assert dialect.key_header[0] not in request.headers


def test_system_and_user_texts_arrive_in_order(dialect):
    """All system texts are sent, and the turns keep their order and roles."""
    call = CallModel((
        Message("system", "Be brief."),
        Message("system", "Cite metrics."),
        Message("user", "one"),
        Message("assistant", "two"),
        Message("user", "three"),
    ))
    _, body = encoded(dialect, call)
    assert dialect.system_texts(body) == ["Be brief.", "Cite metrics."]
    assert [dialect.role(turn) for turn in dialect.turns(body)] == ["user", "assistant", "user"]
    texts = json.dumps(dialect.turns(body))
    assert texts.index("one") < texts.index("two") < texts.index("three")


def test_parallel_tool_results_go_back_with_their_failures(dialect):
    """Requests and results keep ids and order; a failed result is recognisable."""
    asked = (ToolRequest("c1", "count_rows", {"table": "a"}), ToolRequest("c2", "count_rows", {"table": "b"}))
    call = CallModel(
        (
            Message("user", "Compare."),
            Message("assistant", "", tool_requests=asked),
            Message("tool", "12", tool_call_id="c1"),
            Message("tool", "no such table", tool_call_id="c2", failed=True),
        ),
        tools=(COUNT,),
    )
    _, body = encoded(dialect, call)
    assert dialect.tool_names(body) == ["count_rows"]
    assert dialect.sent_tool_requests(body) == [
        ("c1", "count_rows", {"table": "a"}),
        ("c2", "count_rows", {"table": "b"}),
    ]
    assert dialect.sent_tool_results(body) == [("c1", "12", False), ("c2", "no such table", True)]


def test_arguments_that_were_no_object_go_back_wrapped_in_one(dialect):
    """APIs refuse a history whose tool arguments are no object; the model still sees what it wrote."""
    broken = ToolRequest("c1", "count_rows", None, raw="[1, 2")
    call = CallModel((Message("user", "x"), Message("assistant", "", tool_requests=(broken,))))
    _, body = encoded(dialect, call)
    assert dialect.sent_tool_requests(body) == [("c1", "count_rows", {"unparsed": "[1, 2"})]


def test_no_tools_and_no_schema_send_neither(dialect):
    """Some servers refuse empty lists."""
    _, body = encoded(dialect, ASK)
    assert {"tools", "tool_choice", "response_format", "text", "toolConfig"}.isdisjoint(body)
    assert "response" not in json.dumps(body)


def test_temperature_can_be_left_out(dialect):
    """Newer models refuse the parameter."""
    wire = type(dialect.wire)(send_temperature=False)
    assert dialect.asked(json.loads(wire.encode(ASK, model="m", key=None).body)) == (64, None)


def test_extra_body_fields_are_sent(dialect):
    """A connection can set what the core does not know."""
    wire = type(dialect.wire)(extra_body={"service_tier": "flex"})
    assert json.loads(wire.encode(ASK, model="m", key=None).body)["service_tier"] == "flex"


def test_extra_body_fields_go_into_objects_that_are_there(dialect):
    """A setting beside ours does not push ours out."""
    wire = type(dialect.wire)(
        extra_body={name: {"extra": 1} for name in ("generationConfig", "inferenceConfig", "text")}
    )
    call = CallModel(ASK.messages, schema=SCHEMA, max_tokens=64, temperature=0.5)
    plain, body = encoded(dialect, call)[1], json.loads(wire.encode(call, model="small-1", key=KEY).body)
    for name in ("generationConfig", "inferenceConfig", "text"):
        assert body.pop(name) == {**plain.pop(name, {}), "extra": 1}
    assert body == plain


def test_any_text_can_be_sent(dialect):
    """Emoji, quotes, control characters and lone surrogates survive the request body."""
    text = 'é "quoted" \\ \x00 \U0001f600 \ud800'
    _, body = encoded(dialect, CallModel((Message("user", text),)))
    assert dialect.text(dialect.turns(body)[0]) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), {1, 2}])
def test_a_schema_that_is_no_json_is_a_configuration_error(dialect, value):
    """It is said before anything is sent."""
    schema = {**SCHEMA, "default": value}
    with pytest.raises(ConfigurationError, match="cannot be written as JSON"):
        dialect.wire.encode(CallModel(ASK.messages, schema=schema), model="m", key=None)


def test_a_schema_whose_top_is_no_object_is_a_configuration_error(dialect):
    """No API takes another top, and the message says what to do."""
    call = CallModel(ASK.messages, schema={"type": "array", "items": {"type": "string"}})
    with pytest.raises(ConfigurationError, match="of type object"):
        dialect.wire.encode(call, model="m", key=None)


def test_models_are_listed_with_the_same_key(dialect, response):
    """The list of models needs no body and is read alike everywhere."""
    from airflow_agent_provider.wire.body import model_ids

    request = dialect.wire.list_models(key=KEY)
    if dialect.model_list is None:
        assert request is None  # there is no list of the names that may be asked
        return
    assert (request.method, request.body) == ("GET", b"")
    assert request.headers[dialect.key_header[0]] == dialect.key_header[1]
    assert model_ids(response(dialect.model_list)) == ("a", "b")


# Answers


def test_a_text_answer_is_read_whole(dialect, response):
    """Text, usage with its parts, model and request id."""
    name = dialect.request_id_header
    content = dialect.reply("12 rows.") | ({} if name else {dialect.id_field: "req-1"})
    reply = dialect.wire.decode(response(content, headers={name: "req-1"} if name else {}), ASK)
    model = "small-1" if dialect.says_its_model else ""
    assert reply == ModelReply("12 rows.", (), "stop", dialect.usage_read, model, "req-1")


def test_the_body_id_stands_in_for_a_missing_request_id(dialect, response):
    """Servers of one's own send no such header."""
    reply = dialect.wire.decode(response(dialect.reply("x")), ASK)
    assert reply.request_id == (dialect.reply("x")[dialect.id_field] if dialect.id_field else "")


def test_parallel_tool_requests_are_read_in_order(dialect, response):
    """Text beside them is kept."""
    tools = [("c1", "count_rows", '{"table": "a"}'), ("c2", "count_rows", '{"table": "b"}')]
    reply = dialect.wire.decode(response(dialect.reply("Let me look.", tools=tools)), ASK)
    assert reply.text == "Let me look."
    assert reply.stop_reason == "tool_calls"
    assert reply.tool_requests == (
        ToolRequest("c1", "count_rows", {"table": "a"}),
        ToolRequest("c2", "count_rows", {"table": "b"}),
    )


@pytest.mark.parametrize("raw", ["[1,2]", "{broken", "7", "true", "[]"])
def test_arguments_that_are_no_object_are_kept_as_raw_text(dialect, response, raw):
    """The flow can tell the model what was wrong."""
    reply = dialect.wire.decode(response(dialect.reply(tools=[("c1", "count_rows", raw)])), ASK)
    (request,) = reply.tool_requests
    assert request.arguments is None
    assert request.raw == raw


def test_a_structured_answer_is_the_reply_text(dialect, response):
    """Whatever way the API has of giving it, and it counts as a normal stop."""
    reply = dialect.wire.decode(
        response(dialect.structured({"rows": 12})), CallModel(ASK.messages, schema=SCHEMA)
    )
    assert json.loads(reply.text) == {"rows": 12}
    assert (reply.tool_requests, reply.stop_reason) == ((), "stop")


def test_a_structured_answer_beside_tools_is_the_reply_text(dialect, response):
    """It may take another way there."""
    call = CallModel(ASK.messages, tools=(COUNT,), schema=SCHEMA)
    reply = dialect.wire.decode(response(dialect.structured({"rows": 12}, beside_tools=True)), call)
    assert json.loads(reply.text) == {"rows": 12}
    assert (reply.tool_requests, reply.stop_reason) == ((), "stop")


def test_a_schema_beside_tools_leaves_the_tools(dialect, response):
    """The model may still ask for one, and the request names it."""
    call = CallModel(ASK.messages, tools=(COUNT,), schema=SCHEMA)
    assert "count_rows" in dialect.tool_names(encoded(dialect, call)[1])
    reply = dialect.wire.decode(response(dialect.reply(tools=[("c1", "count_rows", "{}")])), call)
    assert (reply.tool_requests, reply.stop_reason) == ((ToolRequest("c1", "count_rows", {}),), "tool_calls")


def test_a_truncated_answer_says_so(dialect, response):
    """It must not pass for a whole one, structured or not."""
    for reason in dialect.truncated_reasons:
        for call in (ASK, CallModel(ASK.messages, schema=SCHEMA)):
            assert (
                dialect.wire.decode(response(dialect.reply("12 ro", reason=reason)), call).stop_reason
                == "length"
            )


def test_a_truncated_tool_request_says_so(dialect, response):
    """Half arguments may parse by chance."""
    reply = dialect.reply(tools=[("c1", "f", "{}")], reason=dialect.truncated_reasons[0])
    assert dialect.wire.decode(response(reply), ASK).stop_reason == "length"


def test_a_refusal_is_recognised(dialect, response):
    """By the API's own reason."""
    for reason in dialect.refusal_reasons:
        assert (
            dialect.wire.decode(response(dialect.reply("No.", reason=reason)), ASK).stop_reason == "refusal"
        )


def test_an_unknown_stop_reason_is_other(dialect, response):
    """A new reason breaks nothing."""
    assert dialect.wire.decode(response(dialect.reply("x", reason="brand_new")), ASK).stop_reason == "other"


def test_unknown_fields_are_ignored(dialect, response):
    """APIs grow."""

    def grown(value):
        if isinstance(value, dict):
            return {"new": {"deep": [1]}, **{key: grown(inner) for key, inner in value.items()}}
        return [grown(inner) for inner in value] if isinstance(value, list) else value

    plain = dialect.reply("x", usage=dialect.usage())
    assert dialect.wire.decode(response(grown(plain)), ASK) == dialect.wire.decode(response(plain), ASK)


def test_missing_usage_counts_as_nothing(dialect, response):
    """Some servers count no tokens."""
    for usage in ({}, None):
        reply = {**dialect.reply("x"), dialect.usage_field: usage}
        assert dialect.wire.decode(response(reply), ASK).usage == Usage()


# Bad answers


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def replaced(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


WRONG = [None, True, -1, 1.5, 10**30, "", "text", [], [None], ["x"], [[]], {}, {"a": 1}]


def test_a_wrong_type_anywhere_gives_a_reply_or_a_typed_error(dialect, response):
    """No KeyError, TypeError or AttributeError leaves a wire, whatever stands wherever."""
    whole = dialect.reply("Hm.", tools=[("c1", "f", '{"a": 1}')])
    outcomes = set()
    for call in (ASK, CallModel(ASK.messages, schema=SCHEMA)):
        for path in places(whole):
            for wrong in WRONG:
                try:
                    reply = dialect.wire.decode(response(replaced(whole, path, wrong)), call)
                except ModelUnavailable:
                    outcomes.add("error")
                else:
                    assert isinstance(reply, ModelReply)
                    assert isinstance(reply.text, str)
                    outcomes.add("reply")
    assert outcomes == {"error", "reply"}


def test_a_wrong_type_is_named(dialect, response):
    """The message says which field it was, not what it held."""
    counts = dict.fromkeys(dialect.usage(), "many")
    wrong = [(dialect.usage_field, "many"), (dialect.usage_field, counts)]
    wrong += [(dialect.model_field, 7)] if dialect.model_field else []
    for field, value in wrong:
        with pytest.raises(ModelUnavailable, match=r"the answer's '\w+' is \w+, expected \w+") as caught:
            dialect.wire.decode(response({**dialect.reply("x"), field: value}), ASK)
        assert "many" not in str(caught.value)


def test_a_body_cut_short_anywhere_is_a_typed_error(dialect, response):
    """Half an answer is no answer."""
    whole = json.dumps(dialect.reply("12 rows.")).encode()
    for length in range(len(whole)):
        with pytest.raises(ModelUnavailable):
            dialect.wire.decode(response(whole[:length]), ASK)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b"\xff\xfe",
        b"<html>",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"NaN",
    ],
)
def test_a_body_that_is_no_answer_is_a_typed_error(dialect, response, body):
    """Also one so deeply nested that the parser gives up."""
    with pytest.raises(ModelUnavailable):
        dialect.wire.decode(response(body), ASK)


def test_an_html_page_is_told_by_its_content_type(dialect, response):
    """The usual sign of a wrong base URL."""
    with pytest.raises(ModelUnavailable, match="content type text/html"):
        dialect.wire.decode(response(b"<html>", headers={"content-type": "text/html; charset=utf-8"}), ASK)


def test_an_error_inside_a_success_is_told(dialect, response):
    """Gateways answer 200 with an error object, and echo keys there too."""
    body = {"error": {"message": f"upstream refused {KEY}", "code": 502}}
    with pytest.raises(ModelUnavailable, match="upstream refused") as caught:
        dialect.wire.decode(response(body), ASK, secrets=(KEY,))
    assert KEY not in str(caught.value)


def test_no_error_carries_the_body_along(dialect, response):
    """A parser's exception holds the whole body; it is neither cause nor context."""
    with pytest.raises(AgentProviderError) as caught:
        dialect.wire.decode(response(b'{"choices": "PRIVATE", '), ASK)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
