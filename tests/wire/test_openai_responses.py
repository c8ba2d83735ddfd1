"""What only the Responses API does."""

import json

import pytest

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ModelReply, ToolRequest, ToolSpec
from airflow_agent_provider.exceptions import ModelUnavailable, RateLimited, RequestRejected
from airflow_agent_provider.wire.openai_responses import OpenAIResponses

WIRE = OpenAIResponses()
ASK = CallModel((Message("user", "hi"),), max_tokens=64)
CLOSED = {
    "type": "object",
    "properties": {"rows": {"type": "integer"}},
    "required": ["rows"],
    "additionalProperties": False,
}


def body_of(call):
    return json.loads(WIRE.encode(call, model="m", key=None).body)


def said(*parts, **fields):
    return {"type": "message", "role": "assistant", "content": list(parts), **fields}


def decode(response, *output, **fields):
    return WIRE.decode(response({"status": "completed", "output": list(output), **fields}), ASK)


def test_nothing_is_stored_on_the_server():
    """Each call sends its whole conversation, so the server need keep none."""
    assert body_of(ASK)["store"] is False


def test_a_conversation_becomes_a_flat_list_of_items():
    """Requests and results stand beside the messages; an empty text beside requests is left out."""
    asked = (ToolRequest("c1", "f", {}), ToolRequest("c2", "g", {"a": 1}))
    messages = (
        Message("user", "x"),
        Message("assistant", "", tool_requests=asked),
        Message("tool", "12", tool_call_id="c1"),
        Message("tool", "no", tool_call_id="c2", failed=True),
    )
    assert body_of(CallModel(messages))["input"] == [
        {"role": "user", "content": "x"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": '{"a":1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "12"},
        {"type": "function_call_output", "call_id": "c2", "output": "Error: no"},
    ]


def test_a_tool_with_optional_arguments_is_not_strict():
    """Tools are strict by default here, and strict ones may have no optional arguments."""
    tool = ToolSpec("f", "", {"type": "object", "properties": {"a": {"type": "string"}}})
    assert body_of(CallModel(ASK.messages, tools=(tool,)))["tools"][0]["strict"] is False


def test_a_schema_is_asked_for_as_text_format():
    """Strictly where the schema allows it."""
    layout = {"type": "json_schema", "name": "answer", "schema": CLOSED, "strict": True}
    assert body_of(CallModel(ASK.messages, schema=CLOSED))["text"] == {"format": layout}


def test_a_refusal_part_is_a_refusal(response):
    """It stands where the text would."""
    reply = decode(response, said({"type": "refusal", "refusal": "I cannot help with that."}))
    assert (reply.text, reply.stop_reason) == ("I cannot help with that.", "refusal")


def test_commentary_is_not_part_of_the_answer(response):
    """Newer models talk while they work, also when the answer must be JSON."""
    working = said({"type": "output_text", "text": "Let me see."}, phase="commentary")
    done = said({"type": "output_text", "text": '{"rows":12}'}, phase="final_answer")
    assert decode(response, working, done).text == '{"rows":12}'
    assert decode(response, working).text == "Let me see."


def test_items_of_other_kinds_are_passed_over(response):
    """Reasoning and whatever comes next."""
    reply = decode(response, {"type": "brand_new", "content": 7}, said({"type": "output_text", "text": "12"}))
    assert reply.text == "12"


def test_a_missing_status_counts_as_completed(response):
    """Some servers leave it out."""
    content = {"output": [said({"type": "output_text", "text": "12"})]}
    assert WIRE.decode(response(content), ASK) == ModelReply("12")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({}, "length"), ({"incomplete_details": None}, "stop"), ({"usage": {"output_tokens": 63}}, "stop")],
)
def test_a_server_that_knows_no_cut_answers_is_held_to_the_bound(response, fields, reason):
    """llama.cpp calls all answers completed; a server that could say it was cut is believed."""
    part = said({"type": "output_text", "text": "12"})
    assert decode(response, part, **{"usage": {"output_tokens": 64}, **fields}).stop_reason == reason


@pytest.mark.parametrize("status", ["queued", "in_progress", "cancelled"])
def test_an_unfinished_answer_is_unavailable(response, status):
    """It was not asked for in the background, so nobody would fetch it later."""
    with pytest.raises(ModelUnavailable, match="put the answer off"):
        decode(response, status=status)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("server_error", ModelUnavailable),
        (None, ModelUnavailable),
        ("rate_limit_exceeded", RateLimited),
        ("invalid_prompt", RequestRejected),
        ("bio_policy", RequestRejected),
        ("data_residency_mismatch", RequestRejected),
    ],
)
def test_a_failed_answer_is_an_error_of_its_kind(response, code, error):
    """Though the status is 200; without the key that the server echoes."""
    told = {"code": code, "message": "It broke for sk-secret-123."}
    with pytest.raises(error, match=r"It broke for \[key\]") as caught:
        WIRE.decode(response({"status": "failed", "error": told}), ASK, secrets=("sk-secret-123",))
    assert type(caught.value) is error
