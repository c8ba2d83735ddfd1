"""A journal without personal data, and replays that are what the first run was."""

import asyncio
import json
from dataclasses import asdict

import pytest

from airflow_agent_provider.core.journal import MemoryJournal
from airflow_agent_provider.core.messages import ToolRequest
from airflow_agent_provider.core.tool import tool
from airflow_agent_provider.drivers.flow import Driver
from airflow_agent_provider.exceptions import JournalMismatch, ModelUnavailable
from airflow_agent_provider.patterns.react import react
from airflow_agent_provider.testing import ScriptedModel

MAIL = "someone@example.org"
OTHER = "other@example.net"


def run(script, journal, lookup, task=f"Who is {MAIL}?"):
    flow = react(task, [tool(lookup).spec])
    return asyncio.run(Driver(ScriptedModel(script), [tool(lookup)], journal).run(flow))


def text(journal):
    return json.dumps([asdict(entry) for entry in journal.entries.values()])


def test_nothing_personal_is_written():
    """Neither from the task, nor from a tool, nor from the model itself."""

    def lookup(key: str) -> str:
        """Look up."""
        return f"{key} knows {OTHER}"

    journal = MemoryJournal()
    ask = ToolRequest("1", "lookup", {"key": MAIL})
    outcome = run([ask, f"{MAIL} knows {OTHER} and third@example.com."], journal, lookup)
    assert outcome.value.text.startswith(f"{MAIL} knows {OTHER}")
    for address in (MAIL, OTHER, "third@example.com"):
        assert address not in text(journal)


def test_a_replay_gives_the_flow_what_the_first_run_gave_it():
    """Values of the call are found again; the tool whose result was personal is asked again."""
    asked = []

    def lookup(key: str) -> str:
        """Look up."""
        asked.append(key)
        return f"{key} knows {OTHER}"

    journal = MemoryJournal()
    ask = ToolRequest("1", "lookup", {"key": MAIL})
    with pytest.raises(ModelUnavailable):
        run([ask, ModelUnavailable("down")], journal, lookup)
    outcome = run([f"It is {OTHER}."], journal, lookup)
    assert outcome.value.text == f"It is {OTHER}."
    assert asked == [MAIL, MAIL]
    assert outcome.replayed == 1


def test_a_tool_that_is_asked_again_must_say_the_same():
    """Another answer would make the replay nonsense."""
    answers = iter([OTHER, f"{OTHER} and {MAIL}"])

    def lookup(key: str) -> str:
        """Look up."""
        return next(answers)

    journal = MemoryJournal()
    ask = ToolRequest("1", "lookup", {"key": MAIL})
    with pytest.raises(ModelUnavailable):
        run([ask, ModelUnavailable("down")], journal, lookup)
    with pytest.raises(JournalMismatch, match="personal data"):
        run(["never asked"], journal, lookup)


def test_a_result_without_personal_data_is_replayed():
    """The tool is not asked again."""
    asked = []

    def lookup(key: str) -> str:
        """Look up."""
        asked.append(key)
        return "42 rows"

    journal = MemoryJournal()
    ask = ToolRequest("1", "lookup", {"key": "x"})
    with pytest.raises(ModelUnavailable):
        run([ask, ModelUnavailable("down")], journal, lookup)
    assert run(["done"], journal, lookup).value.text == "done"
    assert asked == ["x"]
