"""
Our wires beside the vendors' own clients: same bytes out, same meaning in.

Each official client is pointed at a local server that records what it is sent. Our
encoded body is passed to it as keyword arguments, so that a field it does not know
is an error; what it then sends must equal what we would send. The server's answer
is read by both sides, and both must understand the same.

Headers may differ where the vendor documents both forms: Anthropic takes a key as
``x-api-key`` and as a bearer, and its client sends the API version of its own
release where our wire pins one.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anthropic
import openai
import pytest

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ToolRequest, ToolSpec

KEY = "sk-secret-123"
SCHEMA = {
    "type": "object",
    "properties": {"rows": {"type": "integer"}},
    "required": ["rows"],
    "additionalProperties": False,
}
COUNT = ToolSpec(
    "count_rows", "Count the rows.", {"type": "object", "properties": {"table": {"type": "string"}}}
)
CONVERSATION = (
    Message("system", "Be brief."),
    Message("user", "Compare a and b."),
    Message(
        "assistant",
        "Let me look.",
        tool_requests=(
            ToolRequest("c1", "count_rows", {"table": "a"}),
            ToolRequest("c2", "count_rows", None, "["),
        ),
    ),
    Message("tool", "12", tool_call_id="c1"),
    Message("tool", "arguments must be an object", tool_call_id="c2", failed=True),
)
CALLS = {
    "text": CallModel((Message("user", "hi"),), max_tokens=64, temperature=0.5),
    "tools": CallModel(CONVERSATION, tools=(COUNT,)),
    "schema": CallModel((Message("user", "hi"),), schema=SCHEMA),
    "tools and schema": CallModel(CONVERSATION, tools=(COUNT,), schema=SCHEMA),
}


class Recorder(BaseHTTPRequestHandler):
    """Keeps the request and answers with ``server.answer``."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen = (
            self.path,
            {name.lower(): value for name, value in self.headers.items()},
            json.loads(body),
        )
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(self.server.answer).encode())

    def log_message(self, *_):
        """Keep the test output clean."""


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def official(dialect, server):
    """Ask through the official client of a dialect; the base URL is the one our connection would have."""
    base_url = f"http://127.0.0.1:{server.server_port}"
    if dialect.path == "/chat/completions":
        client = openai.OpenAI(api_key=KEY, base_url=base_url, max_retries=0)
        create = client.chat.completions.create
    else:
        client = anthropic.Anthropic(api_key=KEY, base_url=base_url, max_retries=0)
        create = client.messages.create
    with client:
        yield create


@pytest.mark.parametrize("name", CALLS)
def test_the_official_client_sends_what_we_send(dialect, server, official, name):
    """Path, headers and every field of the body, for a model that takes no temperature."""
    server.answer = dialect.reply("12 rows")
    # Anthropic's client has dropped the parameter altogether.
    wire = type(dialect.wire)(send_temperature=False)
    request = wire.encode(CALLS[name], model="small-1", key=KEY)
    official(**json.loads(request.body))
    path, headers, body = server.seen
    assert path == request.path
    assert body == json.loads(request.body)
    assert headers["content-type"] == request.headers["content-type"]
    assert headers["authorization"] == f"Bearer {KEY}"


def meaning(message):
    """What an official client understood: text, tools, tokens."""
    if hasattr(message, "choices"):
        said = message.choices[0].message
        tools = [(c.id, c.function.name, json.loads(c.function.arguments)) for c in said.tool_calls or ()]
        usage = message.usage
        counts = (
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.prompt_tokens_details.cached_tokens,
            usage.completion_tokens_details.reasoning_tokens,
        )
        return said.content or "", tools, counts
    usage = message.usage
    cached = usage.cache_read_input_tokens
    return (
        "".join(block.text for block in message.content if block.type == "text"),
        [(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"],
        (
            usage.input_tokens + usage.cache_creation_input_tokens + cached,
            usage.output_tokens,
            cached,
            usage.output_tokens_details.thinking_tokens,
        ),
    )


@pytest.mark.parametrize("tools", [(), (("c1", "f", '{"a": 1}'), ("c2", "g", "{}"))])
def test_the_official_client_understands_what_we_understand(dialect, server, official, response, tools):
    """Text, tool requests and all four token counts of the same answer."""
    server.answer = dialect.reply("12 rows", tools=tools)
    theirs = official(model="small-1", messages=[{"role": "user", "content": "hi"}], max_tokens=64)
    ours = dialect.wire.decode(response(server.answer), CALLS["text"])
    usage = ours.usage
    assert meaning(theirs) == (
        ours.text,
        [(request.id, request.name, request.arguments) for request in ours.tool_requests],
        (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens),
    )
    assert ours.model == theirs.model
