"""
Our wires beside the vendors' own clients: same bytes out, same meaning in.

Each official client is pointed at a local server that records what it is sent. Our
encoded body is passed to it as keyword arguments, so that a field it does not know
is an error; what it then sends must equal what we would send. The server's answer
is read by both sides, and both must understand the same. Google's client cannot be
installed beside Airflow: see ``test_google_client.py``.

Headers may differ where the vendor documents both forms: Anthropic takes a key as
``x-api-key`` and as a bearer, and its client sends the API version of its own
release where our wire pins one; Azure's v1 API takes ``api-key`` and a bearer.
"""

import json
import threading
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import anthropic
import boto3
import openai
import pytest
from botocore.awsrequest import AWSResponse

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ToolRequest, ToolSpec
from airflow_agent_provider.wire.azure_openai import AzureOpenAIChat

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
    "tools in the history alone": CallModel(CONVERSATION),
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


@contextmanager
def openai_chat(base_url, _):
    with openai.OpenAI(api_key=KEY, base_url=base_url, max_retries=0) as client:
        yield lambda body: client.chat.completions.create(**body)


@contextmanager
def openai_responses(base_url, _):
    with openai.OpenAI(api_key=KEY, base_url=base_url, max_retries=0) as client:
        yield lambda body: client.responses.create(**body)


@contextmanager
def azure_openai(base_url, _):
    endpoint = base_url.removesuffix("/openai")
    with openai.AzureOpenAI(
        api_key=KEY, azure_endpoint=endpoint, api_version="2024-10-21", max_retries=0
    ) as client:
        yield lambda body: client.chat.completions.create(**body)


@contextmanager
def anthropic_messages(base_url, _):
    with anthropic.Anthropic(api_key=KEY, base_url=base_url, max_retries=0) as client:
        yield lambda body: client.messages.create(**body)


class Body:
    """As much of a raw response as botocore reads."""

    def __init__(self, answer):
        self.answer = answer

    def stream(self, **_):
        yield json.dumps(self.answer).encode()


@contextmanager
def bedrock_converse(_, server):
    """botocore sends a bearer over TLS alone, and is caught just before it does."""

    def send(request, **_):
        headers = {
            name.lower(): value.decode() if isinstance(value, bytes) else value
            for name, value in request.headers.items()
        }
        server.seen = (urlsplit(request.url).path, headers, json.loads(request.body))
        return AWSResponse(request.url, 200, {"content-type": "application/json"}, Body(server.answer))

    with closing(boto3.Session(region_name="eu-central-1").client("bedrock-runtime")) as client:
        client.meta.events.register("before-send.bedrock-runtime.Converse", send)
        yield lambda body: client.converse(modelId="small-1", **body)


CLIENTS = {
    one.__name__: one
    for one in (openai_chat, openai_responses, azure_openai, anthropic_messages, bedrock_converse)
}


@pytest.fixture(params=CLIENTS)
def client(request):
    return request.param


@pytest.fixture
def dialect(client, dialects):
    return dialects[client]


@pytest.fixture
def base_path(client):
    """What Azure's classic API has before the path that our wire writes."""
    return "/openai" if client == "azure_openai" else ""


@pytest.fixture
def official(client, server, base_path, monkeypatch):
    """Ask through the official client; the base URL is the one our connection would have."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", KEY)
    with CLIENTS[client](f"http://127.0.0.1:{server.server_port}{base_path}", server) as ask:
        yield ask


@pytest.mark.parametrize("name", CALLS)
def test_the_official_client_sends_what_we_send(client, dialect, server, official, base_path, name):
    """Path, headers and every field of the body, for a model that takes no temperature."""
    server.answer = dialect.reply("12 rows")
    # Anthropic's client has dropped the parameter altogether.
    settings = {"api_version": "2024-10-21"} if client == "azure_openai" else {}
    wire = type(dialect.wire)(send_temperature=False, **settings)
    request = wire.encode(CALLS[name], model="small-1", key=KEY)
    official(json.loads(request.body))
    path, headers, body = server.seen
    assert path == base_path + request.path
    assert body == json.loads(request.body)
    assert headers["content-type"] == request.headers["content-type"]
    if client == "anthropic_messages":
        assert headers["authorization"] == f"Bearer {KEY}"
    else:
        header, value = dialect.key_header
        assert headers[header] == request.headers[header] == value


def test_azures_v1_api_is_spoken_as_the_openai_client_speaks_it(server, dialects):
    """Azure documents OpenAI's own client for it, with the address of the resource."""
    server.answer = dialects["azure_openai"].reply("12 rows")
    request = AzureOpenAIChat().encode(CALLS["tools"], model="small-1", key=KEY)
    with openai_chat(f"http://127.0.0.1:{server.server_port}/openai/v1/", server) as ask:
        ask(json.loads(request.body))
    path, _, body = server.seen
    assert (path, body) == ("/openai/v1" + request.path, json.loads(request.body))


def of_chat(answer):
    said, usage = answer.choices[0].message, answer.usage
    tools = [(c.id, c.function.name, json.loads(c.function.arguments)) for c in said.tool_calls or ()]
    reasoning = usage.completion_tokens_details.reasoning_tokens
    cached = usage.prompt_tokens_details.cached_tokens
    return said.content or "", tools, (usage.prompt_tokens, usage.completion_tokens, cached, reasoning)


def of_responses(answer):
    tools = [
        (item.call_id, item.name, json.loads(item.arguments))
        for item in answer.output
        if item.type == "function_call"
    ]
    usage = answer.usage
    cached = usage.input_tokens_details.cached_tokens
    reasoning = usage.output_tokens_details.reasoning_tokens
    return answer.output_text, tools, (usage.input_tokens, usage.output_tokens, cached, reasoning)


def of_messages(answer):
    text = "".join(block.text for block in answer.content if block.type == "text")
    tools = [(block.id, block.name, block.input) for block in answer.content if block.type == "tool_use"]
    usage = answer.usage
    cached = usage.cache_read_input_tokens
    fresh = usage.input_tokens + usage.cache_creation_input_tokens
    reasoning = usage.output_tokens_details.thinking_tokens
    return text, tools, (fresh + cached, usage.output_tokens, cached, reasoning)


def of_converse(answer):
    blocks, usage = answer["output"]["message"]["content"], answer["usage"]
    text = "".join(block.get("text", "") for block in blocks)
    uses = [block["toolUse"] for block in blocks if "toolUse" in block]
    tools = [(use["toolUseId"], use["name"], use["input"]) for use in uses]
    cached = usage["cacheReadInputTokens"]
    fresh = usage["inputTokens"] + usage["cacheWriteInputTokens"]
    return text, tools, (fresh + cached, usage["outputTokens"], cached, 0)


MEANINGS = {
    "openai_chat": of_chat,
    "azure_openai": of_chat,
    "openai_responses": of_responses,
    "anthropic_messages": of_messages,
    "bedrock_converse": of_converse,
}


@pytest.mark.parametrize("tools", [(), (("c1", "f", '{"a": 1}'), ("c2", "g", "{}"))])
def test_the_official_client_understands_what_we_understand(
    client, dialect, server, official, response, tools
):
    """Text, tool requests and all four token counts of the same answer."""
    server.answer = dialect.reply("12 rows", tools=tools)
    wire = type(dialect.wire)(send_temperature=False)
    theirs = official(json.loads(wire.encode(CALLS["text"], model="small-1", key=KEY).body))
    ours = dialect.wire.decode(response(server.answer), CALLS["text"])
    usage = ours.usage
    assert MEANINGS[client](theirs) == (
        ours.text,
        [(request.id, request.name, request.arguments) for request in ours.tool_requests],
        (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens),
    )
    if dialect.says_its_model:
        assert ours.model == theirs.model
