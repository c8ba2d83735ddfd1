"""What only chat completions does, and what its many servers do differently."""

import json

import pytest

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ToolRequest
from airflow_agent_provider.wire.openai_chat import OpenAIChat, is_strict

ASK = CallModel((Message("user", "hi"),), max_tokens=64)
CLOSED = {
    "type": "object",
    "properties": {"rows": {"type": "integer"}},
    "required": ["rows"],
    "additionalProperties": False,
}


def decode(response, message, *, finish="stop"):
    return OpenAIChat().decode(response({"choices": [{"message": message, "finish_reason": finish}]}), ASK)


def test_the_bound_goes_into_the_chosen_field():
    """Newer OpenAI models refuse the old name."""
    body = json.loads(
        OpenAIChat(max_tokens_field="max_completion_tokens").encode(ASK, model="m", key=None).body
    )
    assert body["max_completion_tokens"] == 64
    assert "max_tokens" not in body


def test_a_schema_is_asked_for_as_response_format():
    """Strictly where the schema allows it."""
    call = CallModel(ASK.messages, schema=CLOSED)
    body = json.loads(OpenAIChat().encode(call, model="m", key=None).body)
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": CLOSED, "strict": True},
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {}}, "required": [], "additionalProperties": False},
        {**CLOSED, "properties": {"rows": {"type": "array", "items": {"type": "object", "properties": {}}}}},
        {
            **CLOSED,
            "properties": {"rows": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {}}]}},
        },
    ],
)
def test_a_schema_with_open_or_optional_parts_is_not_strict(schema):
    """Strict mode would refuse the whole request."""
    assert not is_strict(schema)


def test_a_refusal_text_is_a_refusal(response):
    """Structured outputs refuse in a field of their own."""
    reply = decode(response, {"content": None, "refusal": "I cannot help with that."})
    assert (reply.text, reply.stop_reason) == ("I cannot help with that.", "refusal")


def test_tool_calls_that_end_in_stop_are_tool_calls(response):
    """Ollama says stop, some say nothing."""
    message = {"content": "", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}
    for finish in ("stop", None):
        assert decode(response, message, finish=finish).stop_reason == "tool_calls"


def test_arguments_may_come_as_an_object_or_not_at_all(response):
    """Servers differ; blank text means no arguments."""
    calls = [
        {"id": str(n), "function": {"name": "f", "arguments": a}}
        for n, a in enumerate([{"a": 1}, "", " ", None])
    ]
    reply = decode(response, {"content": None, "tool_calls": calls})
    assert [request.arguments for request in reply.tool_requests] == [{"a": 1}, {}, {}, {}]


def test_a_missing_id_is_made_of_the_position(response):
    """Results must be able to name their request."""
    call = {"function": {"name": "f", "arguments": "{}"}}
    reply = decode(response, {"content": None, "tool_calls": [call, {**call, "id": ""}]})
    assert reply.tool_requests == (ToolRequest("call_0", "f", {}), ToolRequest("call_1", "f", {}))


def test_arguments_that_are_nearly_json_are_none(response):
    """NaN is no JSON, and a JSON text is no object."""
    calls = [{"id": "c", "function": {"name": "f", "arguments": raw}} for raw in ('{"a": NaN}', '"text"')]
    reply = decode(response, {"content": None, "tool_calls": calls})
    assert [(request.arguments, request.raw) for request in reply.tool_requests] == [
        (None, '{"a": NaN}'),
        (None, '"text"'),
    ]


def test_content_may_come_in_parts(response):
    """As Mistral and some gateways send it."""
    parts = [
        {"type": "text", "text": "12 "},
        {"type": "reference", "ids": [1]},
        {"type": "text", "text": "rows"},
    ]
    assert decode(response, {"content": parts}).text == "12 rows"
