"""The ReAct loop, driven by hand: a pure generator needs no driver to be tested."""

import pytest

from airflow_agent_provider.core.effects import CallModel, CallTool, Gather, ToolResult
from airflow_agent_provider.core.messages import ModelReply, ToolRequest, ToolSpec
from airflow_agent_provider.exceptions import InvalidReply, ModelRefused
from airflow_agent_provider.patterns.react import LAST_ROUND, react

LOOKUP = ToolSpec(
    "lookup", "", {"type": "object", "properties": {"key": {"type": "string"}}, "required": ["key"]}
)
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def asks(*requests):
    return ModelReply(
        "", tuple(ToolRequest(f"c{n}", *request) for n, request in enumerate(requests)), "tool_calls"
    )


def play(flow, replies):
    """Send model replies in order, answer every tool with its own name and arguments; give effects and result."""
    effects = []
    replies = iter(replies)
    answer = None
    try:
        while True:
            effect = flow.send(answer)
            effects.append(effect)
            if isinstance(effect, Gather):
                inner = [next(one) for one in effect.flows]
                effects += inner
                answer = tuple(ToolResult(f"{call.name}:{call.arguments['key']}") for call in inner)
            else:
                answer = next(replies)
    except StopIteration as end:
        return effects, end.value


def test_an_answer_without_tools_ends_the_flow():
    """One model call, no more."""
    effects, answer = play(react("q", [LOOKUP]), [ModelReply("done")])
    assert [type(effect) for effect in effects] == [CallModel]
    assert answer.text == "done"


def test_tools_of_one_round_run_side_by_side_and_come_back_in_order():
    """Each request is answered by one tool turn with its id."""
    effects, answer = play(
        react("q", [LOOKUP]), [asks(("lookup", {"key": "a"}), ("lookup", {"key": "b"})), ModelReply("done")]
    )
    assert [call.arguments["key"] for call in effects if isinstance(call, CallTool)] == ["a", "b"]
    turns = [message for message in answer.transcript if message.role == "tool"]
    assert [(turn.tool_call_id, turn.content) for turn in turns] == [("c0", "lookup:a"), ("c1", "lookup:b")]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (("drop_table", {"key": "x"}), "no tool 'drop_table'"),
        (("lookup", {"key": 1}), "expected string"),
        (("lookup", {}), "missing 'key'"),
        (("lookup", None), "not a JSON object"),
    ],
)
def test_what_is_not_granted_or_not_valid_is_never_called(request_, reason):
    """The model is told why, and the flow goes on."""
    effects, answer = play(react("q", [LOOKUP]), [asks(request_), ModelReply("done")])
    assert not [effect for effect in effects if isinstance(effect, CallTool)]
    [turn] = [message for message in answer.transcript if message.role == "tool"]
    assert turn.failed
    assert reason in turn.content


def test_a_flood_of_calls_is_cut_at_max_parallel():
    """The rest is refused, each with its own turn."""
    flood = asks(*[("lookup", {"key": str(n)}) for n in range(50)])
    effects, answer = play(react("q", [LOOKUP], max_parallel=3), [flood, ModelReply("done")])
    assert len([effect for effect in effects if isinstance(effect, CallTool)]) == 3
    assert sum(message.failed for message in answer.transcript if message.role == "tool") == 47


def test_the_last_round_gets_no_tools():
    """A model that never stops asking is stopped."""
    forever = asks(("lookup", {"key": "a"}))
    effects, answer = play(react("q", [LOOKUP], max_rounds=3), [forever, forever, forever])
    calls = [effect for effect in effects if isinstance(effect, CallModel)]
    assert [len(call.tools) for call in calls] == [1, 1, 0]
    assert calls[-1].messages[-1].content == LAST_ROUND
    assert not answer.text


def test_a_structured_answer_is_repaired_once():
    """What is wrong is said, and the corrected value is returned."""
    effects, answer = play(react("q", [], schema=SCHEMA), [ModelReply('{"n": "x"}'), ModelReply('{"n": 4}')])
    assert answer.value == {"n": 4}
    assert "$.n: expected integer" in effects[-1].messages[-1].content


@pytest.mark.parametrize("garbage", ["", "no", "[]", "{", '{"n": 1.5}', "[" * 10_000])
def test_garbage_twice_is_a_typed_error(garbage):
    """Nothing a model returns breaks the loop."""
    with pytest.raises(InvalidReply, match="does not fit its schema"):
        play(react("q", [], schema=SCHEMA), [ModelReply(garbage), ModelReply(garbage)])


def test_json_in_a_code_fence_is_accepted():
    """Many models wrap their JSON."""
    _, answer = play(react("q", [], schema=SCHEMA), [ModelReply('```json\n{"n": 2}\n```')])
    assert answer.value == {"n": 2}


def test_a_refusal_is_a_typed_error():
    """It is no answer."""
    with pytest.raises(ModelRefused):
        play(react("q", []), [ModelReply("", stop_reason="refusal")])


def test_a_cut_answer_is_marked():
    """A caller can tell half an answer from a whole one."""
    _, answer = play(react("q", []), [ModelReply("half", stop_reason="length")])
    assert answer.truncated
