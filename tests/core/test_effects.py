"""A fingerprint changes with everything that was asked, and with nothing else."""

from dataclasses import replace

import pytest

from airflow_agent_provider.core.effects import CallModel, CallTool, fingerprint
from airflow_agent_provider.core.messages import Message, ToolRequest, ToolSpec

CALL = CallModel(
    (Message("system", "s"), Message("assistant", "", (ToolRequest("1", "t", {"a": 1, "b": 2}),))),
    (ToolSpec("t", "d", {"type": "object"}),),
)
OTHERS = [
    replace(CALL, messages=CALL.messages[:1]),
    replace(CALL, messages=(Message("system", "s2"), *CALL.messages[1:])),
    replace(CALL, tools=()),
    replace(CALL, tools=(ToolSpec("t", "other", {"type": "object"}),)),
    replace(CALL, schema={}),
    replace(CALL, max_tokens=7),
    replace(CALL, temperature=0.5),
]


@pytest.mark.parametrize("other", OTHERS)
def test_any_change_of_the_call_changes_its_fingerprint(other):
    """Prompt, tools, schema and sampling all count."""
    assert fingerprint(other) != fingerprint(CALL)


def test_the_order_of_keys_does_not_count():
    """Two dicts that are equal have one fingerprint."""
    assert fingerprint(CallTool("t", {"a": 1, "b": 2})) == fingerprint(CallTool("t", {"b": 2, "a": 1}))


def test_fingerprints_stay_what_they_were():
    """A journal written by an earlier release can be replayed; a change here is a breaking one."""
    assert fingerprint(CallTool("query", {"sql": "select 'é'"})) == "40df85b579e0d5152b8df33eb75c7783"


def test_unpaired_surrogates_have_a_fingerprint():
    """Text from a broken file must not end a flow."""
    assert len(fingerprint(CallTool("t", {"a": "\ud800"}))) == 32
