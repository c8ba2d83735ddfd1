"""Bounded memory: whatever is added, never above the bounds, and always the same."""

import gc
import json
import string
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from airflow_agent_provider.core.memo import CUT, Memo, note, text_bytes, text_tokens
from airflow_agent_provider.core.memory import MB, PINNED, TURN, Memory
from airflow_agent_provider.core.messages import Message, ToolRequest
from airflow_agent_provider.exceptions import ConfigurationError, LimitReached


def turn(*results, text="", priority=0, number=0):
    """A turn that asked for as many tools as there are results."""
    requests = tuple(ToolRequest(f"{number}.{at}", "query", {"n": at}) for at in range(len(results)))
    answers = (Message("tool", one, tool_call_id=f"{number}.{at}") for at, one in enumerate(results))
    return Memo(TURN, (Message("assistant", text, requests), *answers), priority)


def contents(memory):
    return [message.content for message in memory.messages]


PRIORITIES = some.integers(-2, 2)
TEXTS = some.text(max_size=400) | some.integers(0, 20_000).map(lambda n: "row " * (n // 4))
NOTES = some.builds(note, some.sampled_from(["note", "finding", "compliance", "lineage"]), TEXTS, PRIORITIES)
TURNS = some.builds(
    lambda results, text, priority: turn(*results, text=text, priority=priority),
    some.lists(TEXTS, max_size=3),
    TEXTS,
    PRIORITIES,
)
MEMOS = some.lists(NOTES | TURNS, max_size=12)
BOUNDS = {"max_memory_mb": some.floats(0.0005, 0.1), "max_tokens": some.none() | some.integers(20, 20_000)}


@settings(deadline=None, max_examples=150)
@given(memos=MEMOS, **BOUNDS)
def test_no_memory_is_ever_above_its_bounds(memos, max_memory_mb, max_tokens):
    """Each addition either fits after eviction, or is refused because of what may not go."""
    memory = Memory(max_memory_mb=max_memory_mb, max_tokens=max_tokens)
    for memo in memos:
        try:
            memory = memory.adding(memo)
        except LimitReached:
            kept = [one for one in (*memory.memos, memo) if one.kind in PINNED]
            last = [one.cut(0) for one in (*memory.memos, memo) if one.kind == TURN][-1:]
            alone = kept + last
            assert sum(one.bytes for one in alone) > max_memory_mb * MB or (
                max_tokens is not None and sum(one.tokens for one in alone) > max_tokens
            )
        assert memory.bytes <= max_memory_mb * MB
        assert max_tokens is None or memory.tokens <= max_tokens
        assert memory.tokens == sum(
            Memo("x", (one,)).tokens for one in memory.messages
        )  # of what is really sent


@settings(deadline=None, max_examples=100)
@given(memos=MEMOS, **BOUNDS)
def test_pinned_memos_stay_whole_and_in_order(memos, max_memory_mb, max_tokens):
    """Compliance and lineage are kept to the letter, or adding is refused."""
    memory = Memory(max_memory_mb=max_memory_mb, max_tokens=max_tokens)
    pinned = []
    for memo in memos:
        try:
            memory = memory.adding(memo)
        except LimitReached:
            continue
        pinned += [memo] if memo.kind in PINNED else []
        assert [one for one in memory.memos if one.kind in PINNED] == pinned


@settings(deadline=None, max_examples=100)
@given(memos=MEMOS, **BOUNDS)
def test_requests_and_results_are_never_torn_apart(memos, max_memory_mb, max_tokens):
    """Each request that is still there has its result behind it, and each result its request."""
    memory = Memory(max_memory_mb=max_memory_mb, max_tokens=max_tokens)
    for number, memo in enumerate(memos):
        results = [one.content for one in memo.messages if one.role == "tool"]
        try:
            memory = memory.adding(turn(*results, number=number) if memo.kind == TURN else memo)
        except LimitReached:
            continue
        asked = [request.id for one in memory.messages for request in one.tool_requests]
        assert asked == [one.tool_call_id for one in memory.messages if one.role == "tool"]


@settings(deadline=None, max_examples=100)
@given(memos=MEMOS, **BOUNDS)
def test_the_same_memos_give_the_same_memory(memos, max_memory_mb, max_tokens):
    """Also when their texts are other objects, measured at another time."""

    def outcome(memos):
        memory = Memory(max_memory_mb=max_memory_mb, max_tokens=max_tokens)
        refused = 0
        for memo in memos:
            try:
                memory = memory.adding(memo)
            except LimitReached:
                refused += 1
        return memory, refused

    fresh = [
        Memo(one.kind, tuple(_copied(message) for message in one.messages), one.priority) for one in memos
    ]
    assert outcome(memos) == outcome(fresh)


def _copied(message):
    text = message.content
    text.encode("utf-8", "surrogatepass")  # which makes CPython keep a second form beside some texts
    content = (text + "x")[:-1]
    return Message(message.role, content, message.tool_requests, message.tool_call_id, message.failed)


def test_the_lowest_priority_goes_first_and_then_the_oldest():
    """Room is made for a new note by the one that matters least."""
    memory = Memory(max_tokens=400).adding(
        note("note", "a" * 400, priority=1), note("note", "b" * 400), note("note", "c" * 400)
    )
    memory = memory.adding(note("note", "d" * 400, priority=1))
    assert [one.messages[0].content[-1] for one in memory.memos] == ["a", "c", "d"]
    memory = memory.adding(note("note", "e" * 400, priority=-1))
    assert [one.messages[0].content[-1] for one in memory.memos] == ["a", "c", "d"]
    assert memory.forgotten == 2


def test_the_oldest_results_are_cut_before_any_turn_goes():
    """The model still sees that it asked, and what; the last result is whole."""
    turns = [turn("x" * 4000, number=number) for number in range(5)]
    memory = Memory(max_tokens=1900).adding(*turns)
    results = contents(memory)[1::2]
    assert results[:3] == [CUT] * 3
    assert results[3] == "x" * 2000 + "\n" + CUT
    assert results[4] == "x" * 4000
    assert memory.forgotten == 0


def test_notes_go_before_the_last_result_is_touched():
    """What was just read matters more than what was noted long ago."""
    memory = Memory(max_tokens=1500).adding(*[note("note", "n" * 1000) for _ in range(5)], turn("x" * 4000))
    assert contents(memory)[-1] == "x" * 4000
    assert memory.forgotten == 4


def test_the_last_result_is_shortened_rather_than_lost():
    """A result larger than all the room there is still leaves its head."""
    memory = Memory(max_tokens=500).adding(turn("y" * 1_000_000))
    text = contents(memory)[1]
    assert text.startswith("y" * 800)
    assert text.endswith(CUT)
    assert memory.tokens <= 500


def test_pinned_memos_that_pass_the_bound_alone_are_an_error_that_says_so():
    """Nothing is dropped in silence, and the old memory is as it was."""
    memory = Memory(max_memory_mb=0.01).adding(note("compliance", "GDPR: " + "z" * 8000))
    with pytest.raises(
        LimitReached, match=r"may not be forgotten \(compliance, lineage\).*max_memory_mb=0\.01"
    ):
        memory.adding(note("lineage", "w" * 8000))
    assert len(memory.memos) == 1


def test_an_error_tells_no_content():
    """Messages end up in logs."""
    with pytest.raises(LimitReached) as refused:
        Memory(max_tokens=10).adding(note("compliance", "Jane Doe " * 50))
    assert "Jane" not in str(refused.value)


def test_the_systems_text_comes_first_and_the_rest_by_age():
    """Notes from before the flow stand before its task."""
    memory = Memory().adding(
        note("lineage", "from raw.flights"),
        Memo("system", (Message("system", "be brief"),)),
        Memo("task", (Message("user", "explain"),)),
    )
    assert contents(memory) == ["be brief", "[lineage] from raw.flights", "explain"]


@pytest.mark.parametrize(
    "bound", [{"max_memory_mb": 0}, {"max_memory_mb": float("nan")}, {"max_tokens": -1}, {"compact_at": 1.5}]
)
def test_a_bound_that_allows_nothing_is_refused(bound):
    """It is a mistake, not a wish."""
    with pytest.raises(ConfigurationError, match=next(iter(bound))):
        Memory(**bound)


@pytest.mark.parametrize("alphabet", [string.printable, "äöüß", "数据质量检查", "😀🎉"])
@pytest.mark.parametrize("chars", [20, 300, 5000])
def test_bytes_are_close_to_what_python_takes(alphabet, chars):
    """Within a quarter of what tracemalloc sees, whatever the script and the length."""
    gc.collect()
    tracemalloc.start()
    try:
        memos = [_heavy(alphabet, chars, number) for number in range(200)]
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert sum(one.bytes for one in memos) == pytest.approx(taken, rel=0.25)


def _heavy(alphabet, chars, number):
    def text():
        return (alphabet * chars)[:chars]

    arguments = json.loads(
        json.dumps({"sql": text(), f"limit{number}": 10_000 + number, "columns": ["a1", "b2"]})
    )
    requests = (ToolRequest(f"call_{number}", f"query_{number}", arguments),)
    results = (Message("tool", text(), tool_call_id=f"call_{number}"),)
    return Memo(TURN, (Message("assistant", text(), requests), *results))


@given(some.text(max_size=200))
def test_a_text_is_measured_as_its_widest_character_wants(text):
    """The formula is CPython's own layout."""
    import sys

    fresh = "".join(list(text))
    assert text_bytes(fresh) - sys.getsizeof(fresh) in range(-32, 33)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("word " * 100, 125), ("1234", 3), ("数据", 3), ("\ud800", 2), ("a1", 1)],
)
def test_tokens_are_estimated_by_class_of_character(text, tokens):
    """A quarter for letters, three quarters for other signs, half a token a byte beyond ASCII."""
    assert text_tokens(text) == tokens


@given(some.text(max_size=300), some.text(max_size=300))
def test_more_text_is_never_fewer_tokens(one, other):
    """So cutting always helps."""
    assert text_tokens(one) <= text_tokens(one + other) <= text_tokens(one) + text_tokens(other)
