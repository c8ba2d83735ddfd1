"""What only the Gemini API does."""

import json

import pytest

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import (
    Message,
    ModelReply,
    ToolRequest,
    ToolSpec,
    Usage,
    reply_from_json,
    to_json,
)
from airflow_agent_provider.wire.gemini import Gemini

WIRE = Gemini()
ASK = CallModel((Message("user", "hi"),), max_tokens=64)
SCHEMA = {"type": "object", "properties": {"rows": {"type": "integer"}}, "required": ["rows"]}
COUNT = ToolSpec("count_rows", "Count.", {"type": "object", "properties": {}})
SIGNED = ToolRequest("c1", "count_rows", {}, signature="c2lnbmVk")


def body_of(call, model="gemini-3-pro-preview"):
    return json.loads(WIRE.encode(call, model=model, key=None).body)


def history(*requests):
    results = (Message("tool", "12", tool_call_id=request.id) for request in requests)
    return CallModel((Message("user", "x"), Message("assistant", "", tool_requests=requests), *results))


def asked_parts(call, model="gemini-3-pro-preview"):
    return body_of(call, model)["contents"][1]["parts"]


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-pro", "/models/gemini-2.5-pro:generateContent"),
        ("tunedModels/mine", "/tunedModels/mine:generateContent"),
        ("a b?c", "/models/a%20b%3Fc:generateContent"),
    ],
)
def test_the_model_stands_in_the_path(model, path):
    """A name with a slash says itself what it is; nothing in it can change the address."""
    assert WIRE.encode(ASK, model=model, key=None).path == path


def test_a_schema_alone_is_asked_for_as_a_format():
    """As JSON schema, not in the older dialect of its own."""
    body = body_of(CallModel(ASK.messages, schema=SCHEMA))
    assert body["generationConfig"]["responseMimeType"] == "application/json"
    assert body["generationConfig"]["responseJsonSchema"] == SCHEMA
    assert "tools" not in body


def test_a_schema_beside_tools_is_a_forced_tool():
    """Older models refuse the format beside tools."""
    body = body_of(CallModel(ASK.messages, tools=(COUNT,), schema=SCHEMA))
    (tool,) = body["tools"]
    assert [function["name"] for function in tool["functionDeclarations"]] == ["count_rows", "answer"]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}
    assert "responseMimeType" not in body["generationConfig"]


def test_results_of_parallel_tools_name_their_tools_and_share_a_turn():
    """Each under the key that says how it went."""
    requests = (ToolRequest("c1", "f", {}), ToolRequest("c2", "g", {}))
    messages = (
        Message("user", "x"),
        Message("assistant", "", tool_requests=requests),
        Message("tool", "12", tool_call_id="c1"),
        Message("tool", "no such table", tool_call_id="c2", failed=True),
    )
    assert body_of(CallModel(messages))["contents"][2] == {
        "role": "user",
        "parts": [
            {"functionResponse": {"id": "c1", "name": "f", "response": {"output": "12"}}},
            {"functionResponse": {"id": "c2", "name": "g", "response": {"error": "no such table"}}},
        ],
    }


def test_a_made_up_id_is_not_sent_back(response):
    """Older models give none; the name alone says what the result belongs to."""
    content = {
        "candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]}, "finishReason": "STOP"}]
    }
    (request,) = WIRE.decode(response(content), ASK).tool_requests
    assert request == ToolRequest("call_0", "f", {})
    body = body_of(history(request))
    assert body["contents"][1]["parts"][0]["functionCall"] == {"name": "f", "args": {}}
    assert body["contents"][2]["parts"][0]["functionResponse"] == {"name": "f", "response": {"output": "12"}}


def test_a_signature_comes_back_with_its_request(response):
    """Newer models refuse a history without it; also after the reply went through a journal."""
    call = {"functionCall": {"id": "c1", "name": "count_rows", "args": {}}, "thoughtSignature": "c2lnbmVk"}
    content = {"candidates": [{"content": {"parts": [call]}, "finishReason": "STOP"}]}
    reply = reply_from_json(json.loads(json.dumps(to_json(WIRE.decode(response(content), ASK)))))
    assert reply.tool_requests == (SIGNED,)
    assert asked_parts(history(*reply.tool_requests)) == [call]


def test_of_parallel_requests_only_the_first_needs_a_signature():
    """The API gives no more, and none is made up."""
    first, second = asked_parts(history(SIGNED, ToolRequest("c2", "count_rows", {})))
    assert first["thoughtSignature"] == "c2lnbmVk"
    assert "thoughtSignature" not in second


def test_a_turn_of_another_model_gets_the_documented_placeholder():
    """A conversation may begin elsewhere; older models never see it."""
    call = history(ToolRequest("c1", "count_rows", {}))
    assert asked_parts(call)[0]["thoughtSignature"] == "skip_thought_signature_validator"
    assert "thoughtSignature" not in asked_parts(call, model="gemini-2.5-flash")[0]


def test_a_refused_prompt_is_a_refusal(response):
    """There is no candidate then, but there is a bill."""
    content = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 9},
        "modelVersion": "gemini-3-pro",
    }
    assert WIRE.decode(response(content), ASK) == ModelReply(
        "", (), "refusal", Usage(input_tokens=9), "gemini-3-pro", ""
    )


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("SAFETY", "refusal"), ("MAX_TOKENS", "length"), ("MALFORMED_FUNCTION_CALL", "other"), ("STOP", "stop")],
)
def test_a_candidate_may_have_no_content(response, finish, reason):
    """Thinking used up the bound, or a filter took the text away."""
    reply = WIRE.decode(response({"candidates": [{"finishReason": finish, "index": 0}]}), ASK)
    assert (reply.text, reply.stop_reason) == ("", reason)


def test_prompts_of_tools_on_the_server_count_as_input(response):
    """Google bills them so."""
    usage = {"promptTokenCount": 10, "toolUsePromptTokenCount": 5, "candidatesTokenCount": 2}
    content = {"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage}
    assert WIRE.decode(response(content), ASK).usage == Usage(15, 2)
