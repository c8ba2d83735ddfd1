"""What only the messages API does."""

import json

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ToolRequest, ToolSpec
from airflow_agent_provider.wire.anthropic_messages import AnthropicMessages, answer_tool

WIRE = AnthropicMessages()
SCHEMA = {"type": "object", "properties": {"rows": {"type": "integer"}}, "required": ["rows"]}
ASK = CallModel((Message("user", "hi"),), schema=SCHEMA)
TOOL = ToolSpec("count_rows", "Count.", {"type": "object", "properties": {}})


def body_of(call):
    return json.loads(WIRE.encode(call, model="m", key=None).body)


def test_the_version_header_is_sent():
    """The API refuses requests without it."""
    assert WIRE.encode(ASK, model="m", key=None).headers["anthropic-version"] == "2023-06-01"


def test_a_schema_alone_forces_the_answer_tool():
    """The model can do nothing but answer."""
    body = body_of(ASK)
    assert body["tool_choice"] == {"type": "tool", "name": "answer"}
    assert body["tools"] == [
        {"name": "answer", "description": "Give the final answer.", "input_schema": SCHEMA}
    ]


def test_a_schema_beside_tools_leaves_the_choice():
    """The model calls a tool or answers, and nothing else."""
    body = body_of(CallModel(ASK.messages, tools=(TOOL,), schema=SCHEMA))
    assert body["tool_choice"] == {"type": "any"}
    assert [tool["name"] for tool in body["tools"]] == ["count_rows", "answer"]


def test_the_answer_tool_never_takes_the_name_of_a_granted_one(response):
    """A user's own tool called answer stays a tool."""
    own = ToolSpec("answer", "", TOOL.parameters)
    call = CallModel(ASK.messages, tools=(own,), schema=SCHEMA)
    assert answer_tool(call) == "answer_"
    use = {"type": "tool_use", "id": "t", "name": "answer", "input": {}}
    reply = WIRE.decode(response({"content": [use], "stop_reason": "tool_use"}), call)
    assert reply.tool_requests == (ToolRequest("t", "answer", {}),)


def test_a_tool_called_answer_is_a_tool_when_no_schema_was_asked(response):
    """Only the call decides."""
    use = {"type": "tool_use", "id": "t", "name": "answer", "input": {"rows": 1}}
    reply = WIRE.decode(response({"content": [use], "stop_reason": "tool_use"}), CallModel(ASK.messages))
    assert reply.tool_requests == (ToolRequest("t", "answer", {"rows": 1}),)


def test_an_answer_beside_tool_requests_is_premature(response):
    """The model wants to know more: the tools count, the answer does not."""
    content = [
        {"type": "tool_use", "id": "a", "name": "answer", "input": {"rows": 1}},
        {"type": "tool_use", "id": "t", "name": "count_rows", "input": {}},
    ]
    call = CallModel(ASK.messages, tools=(TOOL,), schema=SCHEMA)
    reply = WIRE.decode(response({"content": content, "stop_reason": "tool_use"}), call)
    assert (reply.text, reply.stop_reason) == ("", "tool_calls")
    assert reply.tool_requests == (ToolRequest("t", "count_rows", {}),)


def test_a_structured_answer_cut_at_the_bound_says_so(response):
    """Half an answer must not pass for a whole one."""
    use = {"type": "tool_use", "id": "a", "name": "answer", "input": {}}
    assert WIRE.decode(response({"content": [use], "stop_reason": "max_tokens"}), ASK).stop_reason == "length"


def test_turns_alternate_and_results_come_first():
    """Parallel results and the user's next word make one user turn, results before text."""
    asked = (ToolRequest("c1", "f", {}), ToolRequest("c2", "f", {}))
    messages = (
        Message("user", "a"),
        Message("user", "b"),
        Message("assistant", "", tool_requests=asked),
        Message("tool", "1", tool_call_id="c1"),
        Message("tool", "2", tool_call_id="c2"),
        Message("system", "Hurry."),
        Message("user", "go on"),
    )
    body = body_of(CallModel(messages))
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert [block["type"] for block in body["messages"][2]["content"]] == [
        "tool_result",
        "tool_result",
        "text",
    ]
    assert body["system"] == "Hurry."


def test_empty_texts_are_not_sent():
    """The API refuses empty text blocks and empty turns."""
    body = body_of(CallModel((Message("user", "a"), Message("assistant", ""), Message("user", "b"))))
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    ]


def test_thinking_blocks_are_passed_over(response):
    """They are neither text nor tools."""
    content = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "12"}]
    assert (
        WIRE.decode(response({"content": content, "stop_reason": "end_turn"}), CallModel(ASK.messages)).text
        == "12"
    )
