"""Compaction as an effect, and ReAct within a memory's bounds; both driven by hand."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from airflow_agent_provider.core.effects import CallModel, Gather, ToolResult
from airflow_agent_provider.core.journal import MemoryJournal
from airflow_agent_provider.core.memo import CUT, Memo, note
from airflow_agent_provider.core.memory import TURN, Memory
from airflow_agent_provider.core.messages import Message, ModelReply, ToolRequest, ToolSpec
from airflow_agent_provider.core.tool import tool
from airflow_agent_provider.drivers.flow import Driver
from airflow_agent_provider.exceptions import LimitReached, ModelUnavailable
from airflow_agent_provider.patterns.compact import MARK, MAX_PROMPT_TOKENS, SUMMARY, SYSTEM, compact
from airflow_agent_provider.patterns.react import react
from airflow_agent_provider.testing import ScriptedModel

READ = ToolSpec("read", "", {"type": "object", "properties": {"key": {"type": "string"}}})
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
GIST = ModelReply("rows 1 to 900 were read; 3 are late")


def turn(number, text):
    request = ToolRequest(f"c{number}", "read", {"key": str(number)})
    return Memo(
        TURN, (Message("assistant", "", (request,)), Message("tool", text, tool_call_id=f"c{number}"))
    )


def filled(*, compact_at=0.5, turns=6, chars=1000, **bounds):
    memory = Memory(**{"max_tokens": 2000, **bounds}, compact_at=compact_at)
    return memory.adding(
        note("compliance", "no personal data"), *(turn(n, f"r{n} " * (chars // 3)) for n in range(turns))
    )


def finish(flow, reply=GIST):
    """Answer every model call with one reply; give the calls and the result."""
    calls = []
    answer = None
    while True:
        try:
            calls.append(flow.send(answer))
        except StopIteration as end:
            return calls, end.value
        answer = reply


def test_a_memory_with_room_is_left_alone():
    """No call, no change."""
    memory = filled(turns=2)
    calls, compacted = finish(compact(memory))
    assert not calls
    assert compacted is memory


def test_without_compact_at_nothing_is_ever_summarised():
    """A model call that nobody asked for is never made."""
    calls, compacted = finish(compact(filled(compact_at=None, max_tokens=None)))
    assert not calls
    assert compacted.forgotten == 0


def test_a_strained_memory_has_its_oldest_turns_summarised_in_place():
    """Pinned notes and the last turns stay as they are; the summary stands where the oldest turn stood."""
    memory = filled()
    calls, compacted = finish(compact(memory))
    assert [type(call) for call in calls] == [CallModel]
    assert memory.strained
    assert not compacted.strained
    kinds = [one.kind for one in compacted.memos]
    assert kinds[:2] == ["compliance", SUMMARY]
    assert compacted.memos[-2:] == memory.memos[-2:]
    assert compacted.memos[1].messages[0].content == f"{MARK}\n{GIST.text}"
    assert compacted.forgotten == 0


def test_the_prompt_holds_what_is_replaced_and_nothing_pinned():
    """What the model does not see it cannot summarise; what stays it need not see."""
    memory = filled()
    [call], compacted = finish(compact(memory))
    system, turns = call.messages
    gone = [one for one in memory.memos if one not in compacted.memos]
    assert system.content == SYSTEM
    assert all(one.messages[1].content[:200] in turns.content for one in gone)
    assert 'asks for read({"key": "0"})' in turns.content
    assert "no personal data" not in turns.content
    assert not call.tools


@pytest.mark.parametrize(
    "reply",
    [
        ModelReply(""),
        ModelReply(" \n"),
        ModelReply("blah " * 5000),
        ModelReply("cut off", stop_reason="length"),
        ModelReply("I cannot", stop_reason="refusal"),
        ModelReply("let me look", (ToolRequest("1", "read", {}),), "tool_calls"),
        ModelReply("odd", stop_reason="other"),
    ],
)
def test_a_bad_summary_falls_back_to_plain_eviction(reply):
    """Nothing of it enters the memory, and the next round does not pay for another one."""
    memory = filled()
    _, compacted = finish(compact(memory), reply)
    assert not compacted.strained
    assert SUMMARY not in {one.kind for one in compacted.memos}
    assert compacted.memos[0] == memory.memos[0]
    assert compacted.memos[-2:] == memory.memos[-2:]
    calls, _ = finish(compact(compacted))
    assert not calls


def test_a_later_summary_takes_in_the_earlier_one():
    """There is one running summary, not a pile."""
    _, memory = finish(compact(filled()))
    memory = memory.adding(*(turn(n, "more " * 200) for n in range(10, 14)))
    [call], compacted = finish(compact(memory), ModelReply("all in all: fine"))
    assert GIST.text in call.messages[1].content
    assert [one.kind for one in compacted.memos].count(SUMMARY) == 1


def test_what_may_not_go_is_not_paid_for():
    """A memory strained by pinned notes alone calls nobody."""
    memory = Memory(max_tokens=1000, compact_at=0.1).adding(
        note("lineage", "from a to b " * 100), turn(1, "x")
    )
    assert memory.strained
    calls, compacted = finish(compact(memory))
    assert not calls
    assert compacted is memory


@settings(deadline=None, max_examples=60)
@given(
    texts=some.lists(some.text(max_size=3000), max_size=30),
    max_tokens=some.none() | some.integers(300, 30_000),
    compact_at=some.floats(0.05, 1),
    summary=some.text(max_size=3000),
)
def test_neither_the_prompt_nor_what_comes_of_it_passes_a_bound(texts, max_tokens, compact_at, summary):
    """Whatever is held and whatever the model answers."""
    memory = Memory(0.05, max_tokens, compact_at)
    for number, text in enumerate(texts):
        memory = memory.adding(note("note", text) if number % 3 else turn(number, text))
        calls, memory = finish(compact(memory), ModelReply(summary))
        for call in calls:
            assert Memo("prompt", call.messages).tokens <= (max_tokens or MAX_PROMPT_TOKENS)
        assert memory.bytes <= 50_000
        assert max_tokens is None or memory.tokens <= max_tokens


def test_what_does_not_fit_one_prompt_is_summarised_by_the_next():
    """No prompt is longer than a model can read; the oldest come first, and nothing is lost meanwhile."""
    memory = replace(Memory().adding(*(turn(n, f"r{n} " * 1000) for n in range(60))), compact_at=0.001)
    [call], compacted = finish(compact(memory))
    assert 8_000 < Memo("prompt", call.messages).tokens <= MAX_PROMPT_TOKENS
    assert compacted.memos[0].kind == SUMMARY
    assert compacted.memos[1:] == memory.memos[len(memory.memos) - len(compacted.memos) + 1 :]
    assert compacted.strained
    [call], again = finish(compact(compacted))
    assert GIST.text in call.messages[1].content
    assert len(again.memos) < len(compacted.memos)
    assert again.forgotten == 0


def test_a_single_huge_memo_is_summarised_by_its_head():
    """One result larger than any prompt does not stop the flow."""
    memory = Memory(compact_at=0.01).adding(turn(0, "z" * 2_000_000), turn(1, "a"), turn(2, "b"))
    [call], compacted = finish(compact(memory))
    assert Memo("prompt", call.messages).tokens < MAX_PROMPT_TOKENS
    assert compacted.bytes < 10_000


# -- ReAct


def play(flow, tool_chars, rounds, final="done"):
    """Ask for a tool in each of so many rounds, then answer; give all model calls and the answer."""
    calls = []
    answer = None
    try:
        while True:
            effect = flow.send(answer)
            if isinstance(effect, Gather):
                answer = tuple(ToolResult("row " * (tool_chars // 4)) for _ in effect.flows)
            else:
                calls.append(effect)
                asked = effect.messages[0].content != SYSTEM and len(calls) <= rounds and effect.tools
                answer = GIST if effect.messages[0].content == SYSTEM else ModelReply(final)
                if asked:
                    requests = tuple(ToolRequest(f"{len(calls)}.{n}", "read", {"key": "k"}) for n in range(2))
                    answer = ModelReply("thinking", requests, "tool_calls")
    except StopIteration as end:
        return calls, end.value


@settings(deadline=None, max_examples=40)
@given(
    tool_chars=some.integers(0, 30_000),
    rounds=some.integers(0, 12),
    max_tokens=some.integers(600, 20_000),
    compact_at=some.none() | some.floats(0.2, 0.9),
)
def test_what_react_sends_stays_within_the_bounds_and_whole(tool_chars, rounds, max_tokens, compact_at):
    """System text and task stand first, each request keeps its results, and none is above max_tokens."""
    memory = Memory(max_tokens=max_tokens, compact_at=compact_at)
    flow = react("explain the delay", [READ], max_rounds=13, memory=memory)
    calls, answer = play(flow, tool_chars, rounds)
    for call in calls:
        assert Memo("sent", call.messages).tokens <= max_tokens
        asked = [request.id for message in call.messages for request in message.tool_requests]
        assert asked == [message.tool_call_id for message in call.messages if message.role == "tool"]
        if call.messages[0].content != SYSTEM:
            assert [one.role for one in call.messages[:2]] == ["system", "user"]
            assert call.messages[1].content == "explain the delay"
    assert answer.text == "done"


def test_react_without_a_memory_sends_what_it_always_sent():
    """Every turn in full."""
    calls, answer = play(react("q", [READ], max_rounds=6), 8000, 4)
    assert [len(call.messages) for call in calls] == [2, 5, 8, 11, 14]
    assert all(len(one.content) == 8000 for one in answer.transcript if one.role == "tool")


def test_react_cuts_the_oldest_results_and_keeps_the_last_turn():
    """What was just read is what the next step needs."""
    calls, _ = play(react("q", [READ], memory=Memory(max_tokens=3000)), 4000, 4)
    results = [one.content for one in calls[-1].messages if one.role == "tool"]
    assert len(results) == 8
    assert set(results[:4]) == {CUT}
    assert results[-2:] == ["row " * 1000] * 2


def test_react_starts_from_what_the_memory_holds():
    """A compliance note reaches the model in every call and is never evicted."""
    memory = Memory(max_tokens=1000).adding(note("compliance", "EU data stays in the EU"))
    calls, _ = play(react("q", [READ], memory=memory), 9000, 5)
    assert all("[compliance] EU data stays in the EU" in [m.content for m in call.messages] for call in calls)
    assert memory.tokens < 50


def test_a_repair_stays_within_the_bounds_too():
    """The wrong answer and what is wrong with it are one more turn."""
    memory = Memory(max_tokens=700)
    calls, answer = [], None
    flow = react("q", [READ], schema=SCHEMA, memory=memory)
    replies = iter([
        ModelReply("", (ToolRequest("1", "read", {"key": "k"}),), "tool_calls"),
        ModelReply("not json " * 80),
        ModelReply('{"n": 1}'),
    ])
    effect = next(flow)
    while answer is None:
        if isinstance(effect, CallModel):
            calls.append(effect)
        reply = (ToolResult("w " * 900),) if isinstance(effect, Gather) else next(replies)
        try:
            effect = flow.send(reply)
        except StopIteration as end:
            answer = end.value
    assert answer.value == {"n": 1}
    assert len(calls) == 3
    assert all(Memo("sent", call.messages).tokens <= 700 for call in calls)


def test_a_task_too_large_for_the_memory_is_refused_before_any_call():
    """It costs nothing."""
    with pytest.raises(LimitReached, match="system, task"):
        next(react("why? " * 1000, [], memory=Memory(max_tokens=500)))


def test_a_resumed_run_replays_its_summaries():
    """A crash after a compaction pays for no call twice, the summary's included."""

    def read(key: str) -> str:
        """Read."""
        return f"{key} " * 700

    def flow():
        return react("q", [tool(read).spec], max_rounds=9, memory=Memory(max_tokens=2000, compact_at=0.6))

    def answers(call):
        if call.messages[0].content == SYSTEM:
            return GIST
        return ToolRequest(f"c{len(call.messages)}", "read", {"key": "k"}) if call.tools else "done"

    def run(script):
        model = ScriptedModel(script)
        driver = Driver(model, [tool(read)], journal)
        return model, lambda: asyncio.run(driver.run(flow()))

    journal = MemoryJournal()
    whole, go = run([answers] * 30)
    expected = go().value
    assert any(call.messages[0].content == SYSTEM for call in whole.calls)

    journal = MemoryJournal()
    _, go = run([*[answers] * (len(whole.calls) - 2), ModelUnavailable("down")])
    with pytest.raises(ModelUnavailable):
        go()
    second, go = run([answers] * 30)
    assert go().value == expected
    assert len(second.calls) == 2
