"""What only Converse does."""

import json

import pytest

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ToolRequest, ToolSpec
from airflow_agent_provider.wire.bedrock_converse import BedrockConverse

WIRE = BedrockConverse()
ASK = CallModel((Message("user", "hi"),), max_tokens=64)
SCHEMA = {"type": "object", "properties": {"rows": {"type": "integer"}}, "required": ["rows"]}
COUNT = ToolSpec("count_rows", "Count.", {"type": "object", "properties": {}})


def body_of(*messages, **fields):
    return json.loads(WIRE.encode(CallModel(messages or ASK.messages, **fields), model="m", key=None).body)


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("amazon.nova-pro-v1:0", "/model/amazon.nova-pro-v1%3A0/converse"),
        (
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.x",
            "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Ainference-profile%2Feu.x/converse",
        ),
        ("../x?y", "/model/..%2Fx%3Fy/converse"),
    ],
)
def test_the_model_is_encoded_whole_into_the_path(model, path):
    """Colons and slashes of ids and ARNs do not cut the path."""
    assert WIRE.encode(ASK, model=model, key=None).path == path


def test_a_schema_alone_forces_the_answer_tool():
    """The model can do nothing but answer."""
    spec = {"name": "answer", "description": "Give the final answer.", "inputSchema": {"json": SCHEMA}}
    assert body_of(schema=SCHEMA)["toolConfig"] == {
        "tools": [{"toolSpec": spec}],
        "toolChoice": {"tool": {"name": "answer"}},
    }


def test_a_schema_beside_tools_leaves_the_choice():
    """The model calls a tool or answers, and nothing else."""
    config = body_of(tools=(COUNT,), schema=SCHEMA)["toolConfig"]
    assert [tool["toolSpec"]["name"] for tool in config["tools"]] == ["count_rows", "answer"]
    assert config["toolChoice"] == {"any": {}}


def test_a_tool_without_a_description_has_none():
    """The API refuses an empty one."""
    config = body_of(tools=(ToolSpec("f", "", COUNT.parameters),))["toolConfig"]
    assert "description" not in config["tools"][0]["toolSpec"]


def test_tools_of_the_history_are_declared_when_none_are_granted():
    """The API refuses a history with tools in it otherwise; each name once."""
    asked = (ToolRequest("c1", "f", {}), ToolRequest("c2", "g", {}), ToolRequest("c3", "f", {}))
    results = (Message("tool", "12", tool_call_id=request.id) for request in asked)
    config = body_of(Message("user", "x"), Message("assistant", "", tool_requests=asked), *results)[
        "toolConfig"
    ]
    assert [tool["toolSpec"] for tool in config["tools"]] == [
        {"name": "f", "inputSchema": {"json": {"type": "object"}}},
        {"name": "g", "inputSchema": {"json": {"type": "object"}}},
    ]


def test_blank_texts_are_not_sent():
    """The API refuses them, also as a tool's result."""
    asked = (ToolRequest("c1", "f", {}),)
    body = body_of(
        Message("system", " "),
        Message("user", "a"),
        Message("assistant", " \n", tool_requests=asked),
        Message("tool", "", tool_call_id="c1"),
    )
    assert "system" not in body
    assert [list(block) for block in body["messages"][1]["content"]] == [["toolUse"]]
    assert body["messages"][2]["content"][0]["toolResult"]["content"] == [{"text": "(empty)"}]


def test_turns_alternate():
    """Parallel results and the user's next word make one user turn."""
    asked = (ToolRequest("c1", "f", {}), ToolRequest("c2", "f", {}))
    body = body_of(
        Message("user", "a"),
        Message("user", "b"),
        Message("assistant", "", tool_requests=asked),
        Message("tool", "1", tool_call_id="c1"),
        Message("tool", "2", tool_call_id="c2"),
        Message("user", "go on"),
        tools=(COUNT,),
    )
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert [list(block) for block in body["messages"][2]["content"]] == [
        ["toolResult"],
        ["toolResult"],
        ["text"],
    ]


def test_a_prompt_routers_choice_is_the_model(response):
    """It decides the price."""
    content = {
        "output": {"message": {"content": [{"text": "12"}]}},
        "stopReason": "end_turn",
        "trace": {"promptRouter": {"invokedModelId": "arn:aws:bedrock:x::foundation-model/a"}},
    }
    assert WIRE.decode(response(content), ASK).model == "arn:aws:bedrock:x::foundation-model/a"


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_a_malformed_answer_is_not_a_whole_one(response, reason):
    """The model failed to write what it meant."""
    content = {"output": {"message": {"content": [{"text": "12"}]}}, "stopReason": reason}
    assert WIRE.decode(response(content), ASK).stop_reason == "other"
