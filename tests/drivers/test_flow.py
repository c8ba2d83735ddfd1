"""The driver: effects answered once, whatever happens in between."""

import asyncio

import pytest

from airflow_agent_provider.core.effects import CallModel, CallTool, Gather
from airflow_agent_provider.core.journal import MemoryJournal
from airflow_agent_provider.core.limits import Limits
from airflow_agent_provider.core.messages import Message, ToolRequest, Usage
from airflow_agent_provider.core.tool import tool
from airflow_agent_provider.drivers.flow import Driver
from airflow_agent_provider.exceptions import (
    ConfigurationError,
    JournalMismatch,
    LimitReached,
    ModelUnavailable,
)
from airflow_agent_provider.patterns.react import react
from airflow_agent_provider.testing import ScriptedModel


def run(flow, **driver):
    return asyncio.run(Driver(**driver).run(flow))


def ask(text, number=1):
    replies = []
    for _ in range(number):
        replies.append((yield CallModel((Message("user", text),))).text)
    return replies


def use(name, **arguments):
    return (yield CallTool(name, arguments))


def double(n: int) -> int:
    """Double a number."""
    return n * 2


def test_a_resumed_run_repeats_no_completed_call():
    """Crash at the third call: the second run asks the model for the third only."""
    journal = MemoryJournal()
    with pytest.raises(ModelUnavailable):
        run(ask("q", 3), model=ScriptedModel(["a", "b", ModelUnavailable("down")]), journal=journal)
    second = ScriptedModel(["c"])
    outcome = run(ask("q", 3), model=second, journal=journal)
    assert outcome.value == ["a", "b", "c"]
    assert len(second.calls) == 1
    assert outcome.replayed == 2


def test_limits_count_replayed_calls_too():
    """A crash does not refill a limit of two calls."""
    journal = MemoryJournal()
    limits = Limits(max_model_calls=2)
    with pytest.raises(ModelUnavailable):
        run(ask("q", 3), model=ScriptedModel(["a", ModelUnavailable("down")]), journal=journal, limits=limits)
    second = ScriptedModel(["b", "c"])
    with pytest.raises(LimitReached, match="max_model_calls=2"):
        run(ask("q", 3), model=second, journal=journal, limits=limits)
    assert len(second.calls) == 1


def test_a_changed_prompt_is_a_mismatch_not_a_replay():
    """The old answer is no answer to the new question."""
    journal = MemoryJournal()
    run(ask("old"), model=ScriptedModel(["a"]), journal=journal)
    with pytest.raises(JournalMismatch, match="step 0"):
        run(ask("new"), model=ScriptedModel(["b"]), journal=journal)


def test_gathered_flows_run_side_by_side_and_have_their_own_paths():
    """Both tools must be running at once for either to finish."""
    barrier = asyncio.Barrier(2)

    async def meet(n: int) -> int:
        """Wait for the other."""
        await barrier.wait()
        return n

    def flow():
        return (yield Gather((use("meet", n=1), use("meet", n=2))))

    journal = MemoryJournal()
    outcome = run(flow(), tools=[tool(meet)], journal=journal)
    assert [result.content for result in outcome.value] == ["1", "2"]
    assert sorted(journal.entries) == ["0.0/0", "0.1/0"]


def test_a_tool_that_raises_is_told_to_the_model():
    """The flow goes on with a failed result that names the tool and the error."""

    def search(key: str) -> str:
        """Search."""
        raise KeyError(key)

    model = ScriptedModel([ToolRequest("1", "search", {"key": "id"}), "gave up"])
    outcome = run(react("q", [tool(search).spec]), model=model, tools=[tool(search)])
    [turn] = [message for message in outcome.value.transcript if message.role == "tool"]
    assert turn.failed
    assert turn.content == "ToolFailed: search raised KeyError: 'id'"


def test_a_tool_that_hangs_is_given_up():
    """After its own time-out, not the flow's."""

    async def hang() -> None:
        """Never end."""
        await asyncio.Event().wait()

    outcome = run(use("hang"), tools=[tool(hang, timeout_s=0.01)])
    assert outcome.value.failed
    assert "no result within 0.01 s" in outcome.value.content


def test_the_deadline_ends_a_flow_with_a_typed_error():
    """A model that never answers costs timeout_s, not for ever."""

    class Hanging:
        async def answer(self, call):
            await asyncio.Event().wait()

    with pytest.raises(LimitReached, match=r"timeout_s=0\.01 passed after 1 model calls"):
        run(ask("q"), model=Hanging(), limits=Limits(timeout_s=0.01))


def test_a_token_limit_stops_the_next_call():
    """Usage is counted as the provider reported it."""
    model = ScriptedModel(["a", "b"], usage=Usage(90, 20))
    with pytest.raises(LimitReached, match="110 tokens used in 1 calls"):
        run(ask("q", 2), model=model, limits=Limits(max_tokens=100))


def test_synchronous_tools_run_off_the_event_loop():
    """A slow function must not stop the other agents of the slot."""
    assert run(use("double", n=4), tools=[tool(double)]).value.content == "8"


def test_a_tool_that_was_not_granted_cannot_be_called():
    """Not even by the pattern's own code."""
    with pytest.raises(ConfigurationError, match="'double', which is not granted"):
        run(use("double", n=4))


def test_two_tools_of_one_name_are_refused():
    """Which one a model meant would be a guess."""
    with pytest.raises(ConfigurationError, match="two tools are named 'double'"):
        Driver(tools=[tool(double), tool(double)])


@pytest.mark.parametrize("bound", ["max_model_calls", "max_tool_calls", "max_tokens", "timeout_s"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_limit_that_allows_nothing_is_refused(bound, value):
    """It is a mistake, not a wish."""
    with pytest.raises(ConfigurationError, match=bound):
        Limits(**{bound: value})
