"""
LiteLLM's proxy between us and a server that records: an independent reader of our wires.

We ask it in each protocol that it serves; it asks a server of ours by chat completions,
and translates the answer back. So what it understood of our request is seen behind it,
and what we understand of its answer before it.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ToolRequest, ToolSpec
from airflow_agent_provider.exceptions import ModelUnavailable, RateLimited, RequestRejected
from airflow_agent_provider.hooks.llm import LLMHook

pytestmark = pytest.mark.slow

KEY = "sk-secret-123"
COUNT = ToolSpec(
    "count_rows", "Count the rows.", {"type": "object", "properties": {"table": {"type": "string"}}}
)
ASKED = (
    ToolRequest("call_a", "count_rows", {"table": "a"}),
    ToolRequest("call_b", "count_rows", {"table": "b"}),
)
CONVERSATION = (
    Message("system", "Be brief."),
    Message("user", "Compare a and b."),
    Message("assistant", "", tool_requests=ASKED),
    Message("tool", "12", tool_call_id="call_a"),
    Message("tool", "no such table", tool_call_id="call_b", failed=True),
)
PROTOCOLS = {
    "litellm": "/v1",
    "azure_openai": "",
    "openai_responses": "/v1",
    "anthropic_compatible": "",
    "google": "/v1beta",
}


class Upstream(BaseHTTPRequestHandler):
    """Keeps the body and answers with ``server.message``, whatever ``server.status`` says."""

    def do_POST(self):
        self.server.seen = json.loads(self.rfile.read(int(self.headers["content-length"])))
        message = {"role": "assistant", "content": None, **self.server.message}
        answer = {
            "id": "chatcmpl-7",
            "object": "chat.completion",
            "created": 1795305600,
            "model": "small-1",
            "choices": [{"index": 0, "message": message, "finish_reason": self.server.finish}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        }
        self.send_response(self.server.status)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_):
        """Keep the test output clean."""


@pytest.fixture(scope="module")
def upstream():
    with ThreadingHTTPServer(("127.0.0.1", 0), Upstream) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def port(peer, start_peer, upstream):
    return start_peer(peer("litellm[proxy]==1.106.2"), "litellm_proxy.py", str(upstream.server_port))


@pytest.fixture
def hook(port, connect, upstream):
    """Make the hook of a protocol and a model, before an upstream that is well."""
    upstream.status, upstream.message, upstream.finish = 200, {"content": "12 rows"}, "stop"

    def make(provider, model="small-1"):
        extra = {"api_version": "2024-10-21"} if provider == "azure_openai" else {}
        path = PROTOCOLS[provider]
        return LLMHook(
            connect(port, path, provider=provider, model=model, password=KEY, max_retries=0, **extra)
        )

    return make


@pytest.mark.parametrize("provider", PROTOCOLS)
def test_the_conversation_arrives_as_we_meant_it(hook, upstream, provider):
    """System text, question, both requests with their arguments, both results, the tool and the bound."""
    reply = hook(provider).answer(CallModel(CONVERSATION, tools=(COUNT,), max_tokens=64))
    assert (reply.text, reply.stop_reason) == ("12 rows", "stop")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (100, 20)
    seen = upstream.seen
    messages = seen["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool", "tool"]
    assert "Be brief." in json.dumps(messages[0])
    assert "Compare a and b." in json.dumps(messages[1])
    calls = [
        (call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in messages[2]["tool_calls"]
    ]
    assert calls == [("count_rows", {"table": "a"}), ("count_rows", {"table": "b"})]
    assert [message["tool_call_id"] for message in messages[3:]] == [
        call["id"] for call in messages[2]["tool_calls"]
    ]
    assert "12" in json.dumps(messages[3]["content"])
    assert "no such table" in json.dumps(messages[4]["content"])
    assert [tool["function"]["name"] for tool in seen["tools"]] == ["count_rows"]
    assert seen["tools"][0]["function"]["parameters"]["properties"] == {"table": {"type": "string"}}
    assert seen.get("max_tokens", seen.get("max_completion_tokens")) == 64


@pytest.mark.parametrize("provider", PROTOCOLS)
def test_parallel_requests_come_back_as_the_server_meant_them(hook, upstream, provider):
    """Names and arguments, in order."""
    calls = [
        {
            "id": id_,
            "type": "function",
            "function": {"name": "count_rows", "arguments": json.dumps({"table": table})},
        }
        for id_, table in (("call_a", "a"), ("call_b", "b"))
    ]
    upstream.message, upstream.finish = {"tool_calls": calls}, "tool_calls"
    reply = hook(provider).answer(CallModel((Message("user", "Compare."),), tools=(COUNT,)))
    assert reply.stop_reason == "tool_calls"
    assert [(one.name, one.arguments) for one in reply.tool_requests] == [
        ("count_rows", {"table": "a"}),
        ("count_rows", {"table": "b"}),
    ]


@pytest.mark.parametrize("provider", PROTOCOLS)
def test_a_cut_answer_is_told(hook, upstream, provider):
    """In each protocol's own words."""
    upstream.message, upstream.finish = {"content": "12 ro"}, "length"
    assert hook(provider).chat("How many rows?", max_tokens=20).stop_reason == "length"


ERRORS = [
    (provider, status, error)
    for provider in PROTOCOLS
    for status, error in ((429, RateLimited), (503, ModelUnavailable), (400, RequestRejected))
    if (provider, status) != ("google", 400)  # LiteLLM itself makes a 500 of that one
]


@pytest.mark.parametrize(("provider", "status", "error"), ERRORS)
def test_errors_are_of_their_kind(hook, upstream, provider, status, error):
    """As the upstream's, through all layers; none repeats the key."""
    upstream.status = status
    with pytest.raises(error) as caught:
        hook(provider).chat("hi")
    assert type(caught.value) is error
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("provider", PROTOCOLS)
def test_a_model_that_is_not_there_is_refused(hook, provider):
    """Once and for all."""
    with pytest.raises(RequestRejected):
        hook(provider, "nowhere").chat("hi")


def test_the_connections_test_button_finds_the_model(hook):
    """In the list of the proxy's models."""
    worked, told = hook("litellm").test_connection()
    assert worked
    assert told.endswith("has the model small-1")
