"""Personal data between a hook and its server: placeholders out, values back, or no call at all."""

import json
import logging

import pytest

from airflow_agent_provider.exceptions import PolicyRefused
from airflow_agent_provider.hooks.llm import LLMHook

MAIL = "someone@example.org"


@pytest.fixture
def server(chat_server, connect, tmp_path, monkeypatch):
    """A server that says back what it was told."""
    monkeypatch.setenv("AIRFLOW__AGENT_PROVIDER__LEDGER_PATH", str(tmp_path / "ledger.sqlite"))
    extra = {"provider": "openai_compatible", "model": "small-1", "region": "us"}
    connect(host=chat_server.base_url, extra=extra)
    connect("llm_eu", host=chat_server.base_url, extra={**extra, "region": "eu"})
    return chat_server


def say(server, text):
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    server.routes["POST", "/v1/chat/completions"] = (200, {"choices": [choice]})


def test_the_server_sees_a_placeholder_and_the_caller_the_value(server):
    """The same value, the same placeholder."""
    say(server, "I wrote to <EMAIL_1>.")
    reply = LLMHook().chat(f"Write to {MAIL}, and again to {MAIL}.")
    sent = json.dumps(server.requests[-1][3])
    assert MAIL not in sent
    assert sent.count("<EMAIL_1>") == 2
    assert reply.text == f"I wrote to {MAIL}."


def test_data_tagged_eu_is_not_sent_to_a_connection_elsewhere(server):
    """Refused before it is sent, with the reason and without the data."""
    with pytest.raises(PolicyRefused, match="region 'us'") as refused:
        LLMHook(data_tags=["eu"]).chat(f"Write to {MAIL}.")
    assert MAIL not in str(refused.value)
    assert server.requests == []


def test_a_route_takes_the_alternative_that_complies(server):
    """The first connection is in the wrong region, the second is not."""
    say(server, "done")
    reply = LLMHook(["llm_default", "llm_eu"], data_tags=["eu"]).chat("Hello")
    assert reply.connection == "llm_eu"
    assert len(server.requests) == 1


def test_every_call_leaves_an_audit_record_without_content(server, caplog):
    """Where to, under which policy, how many values of which class."""
    say(server, "done")
    with caplog.at_level(logging.INFO, logger="airflow_agent_provider.audit"):
        LLMHook().chat(f"Write to {MAIL}.")
    [line] = [
        record.getMessage() for record in caplog.records if record.name == "airflow_agent_provider.audit"
    ]
    record = json.loads(line.removeprefix("audit: "))
    assert (record["status"], record["connection"], record["region"]) == ("redacted", "llm_default", "us")
    assert record["redactions"] == {"email": 1}
    assert MAIL not in caplog.text
