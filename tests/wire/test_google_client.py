"""
Our Gemini wire beside Google's own client, as far as it was recorded.

``google-genai`` cannot be installed beside Airflow, so what it sends for the bodies of our
calls, and what it understands of an answer, lies in ``recorded/google_genai.json``. A slow
test holds the recording against the client itself: ``models/test_google_recording.py``.
"""

import json
from pathlib import Path

import pytest

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ToolRequest, ToolSpec
from airflow_agent_provider.wire.gemini import Gemini

KEY = "sk-secret-123"
RECORDED = Path(__file__).parent / "recorded" / "google_genai.json"
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
            ToolRequest("c1", "count_rows", {"table": "a"}, signature="c2lnbmVk"),
            ToolRequest("c2", "count_rows", {"table": "b"}),
        ),
    ),
    Message("tool", "12", tool_call_id="c1"),
    Message("tool", "no such table", tool_call_id="c2", failed=True),
)
CALLS = {
    "text": CallModel((Message("user", "hi"),), max_tokens=64, temperature=0.5),
    "tools": CallModel(CONVERSATION, tools=(COUNT,)),
    "schema": CallModel((Message("user", "hi"),), schema=SCHEMA),
    "tools and schema": CallModel(CONVERSATION, tools=(COUNT,), schema=SCHEMA),
}
TOOLS = {"text": (), "tools": (("c1", "f", '{"a": 1}'), ("c2", "g", "{}"))}


def with_our_spelling(body):
    """The client spells one field with underscores; Google's JSON takes both spellings."""
    return json.loads(json.dumps(body).replace('"parameters_json_schema"', '"parametersJsonSchema"'))


@pytest.fixture(params=CALLS)
def name(request):
    return request.param


@pytest.fixture
def recorded(name):
    exchanges = {one["name"]: one for one in json.loads(RECORDED.read_text())}
    return exchanges[name]


@pytest.fixture
def answer(dialects, name):
    return dialects["gemini"].reply("12 rows", tools=TOOLS.get(name, ()))


def test_googles_client_sends_what_we_send(recorded, name):
    """Path, headers and every field of the body."""
    request = Gemini().encode(CALLS[name], model="small-1", key=KEY)
    assert recorded["path"] == "/v1beta" + request.path
    assert recorded["headers"] == request.headers
    assert with_our_spelling(recorded["sent"]) == recorded["body"] == json.loads(request.body)


def test_googles_client_understands_what_we_understand(recorded, response, answer):
    """Text, tool requests, all four token counts, model and id of the same answer."""
    assert recorded["answer"] == answer
    ours = Gemini().decode(response(answer), CallModel((Message("user", "hi"),)))
    usage = ours.usage
    assert recorded["understood"] == {
        "text": ours.text,
        "tools": [[request.id, request.name, request.arguments] for request in ours.tool_requests],
        "usage": [usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens],
        "model": ours.model,
        "request_id": ours.request_id,
    }
