"""Spans by the GenAI conventions, collected by OpenTelemetry's own SDK in memory."""

import asyncio
import json

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.trace import SpanKind, StatusCode

from airflow_agent_provider.core.effects import CallModel, CallTool
from airflow_agent_provider.core.messages import Message
from airflow_agent_provider.core.tool import tool
from airflow_agent_provider.drivers import spans
from airflow_agent_provider.drivers.endpoint import Endpoint
from airflow_agent_provider.drivers.flow import Driver
from airflow_agent_provider.drivers.http import HttpModel
from airflow_agent_provider.exceptions import AgentProviderError, ModelUnavailable, RequestRejected
from airflow_agent_provider.hooks.llm_extras import PROVIDER_NAMES
from airflow_agent_provider.wire.openai_chat import OpenAIChat

KEY = "sk-secret-123"
PROMPT = "a private question of Ada Okonkwo"
CALL = CallModel((Message("user", PROMPT),), max_tokens=64)
REPLY = {
    "id": "chatcmpl-1",
    "model": "small-1-0613",
    "choices": [{"message": {"content": "a private answer"}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    },
}


@pytest.fixture
def collected(monkeypatch):
    """What a configured tracer exports."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter.get_finished_spans


def ask(*answers, call=CALL, **settings):
    """Ask a server that answers with these statuses in turn; an error is given back."""
    script = list(answers)

    def handle(request):
        status = script.pop(0)
        echo = {"error": {"message": f"{request.headers['authorization']} said {PROMPT}"}}
        return httpx.Response(status, content=json.dumps(REPLY if status == 200 else echo))

    settings = {"key": KEY, "provider": "openai", "backoff_s": 0.001, **settings}
    model = HttpModel(
        OpenAIChat(),
        Endpoint("connection 'c'", "https://api.example.org/v1", "small-1", **settings),
        open_transport=lambda _: httpx.MockTransport(handle),
    )
    try:
        return asyncio.run(model.answer(call))
    except AgentProviderError as error:
        return error


def test_a_call_is_a_span_with_the_conventions_names(collected):
    """One client span, whole."""
    ask(200)
    (span,) = collected()
    assert (span.name, span.kind) == ("chat small-1", SpanKind.CLIENT)
    assert span.instrumentation_scope.name == "airflow_agent_provider"
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "small-1",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.output.type": "text",
        "server.address": "api.example.org",
        "server.port": 443,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.model": "small-1-0613",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.usage.input_tokens": 9,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 2,
    }


def test_every_name_is_one_of_the_conventions(collected):
    """As OpenTelemetry's own package lists them."""
    ask(200)
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    used = {name for span in collected() for name in span.attributes if name.startswith("gen_ai.")}
    assert used <= known


def test_every_provider_has_a_name_of_the_conventions_or_its_own():
    """Servers of one's own are on no list."""
    known = {value.value for value in gen_ai_attributes.GenAiProviderNameValues}
    own = {"vllm", "ollama", "llamacpp", "litellm", "route"}
    assert {spans.PROVIDERS.get(name, name) for name in PROVIDER_NAMES} <= known | own


def test_a_span_lies_within_the_current_one(collected):
    """In a task, that is Airflow's."""
    with trace.get_tracer("airflow").start_as_current_span("task_run.quality_gate") as task:
        ask(200)
    chat, parent = collected()
    assert parent.name == "task_run.quality_gate"
    assert chat.parent.span_id == task.get_span_context().span_id
    assert chat.context.trace_id == parent.context.trace_id


def test_further_tries_are_events_of_one_span(collected):
    """With what failed, and how long was waited."""
    ask(500, 429, 200, max_retries=2)
    (span,) = collected()
    events = [
        (event.name, event.attributes["error.type"], event.attributes["attempt"]) for event in span.events
    ]
    assert events == [
        ("agent_provider.retry", "ModelUnavailable", 1),
        ("agent_provider.retry", "RateLimited", 2),
    ]
    assert all(event.attributes["wait_s"] >= 0 for event in span.events)


@pytest.mark.parametrize(("status", "error"), [(500, ModelUnavailable), (401, RequestRejected)])
def test_a_failure_is_named_by_its_type(collected, status, error):
    """No text, which may quote anything."""
    assert type(ask(status, max_retries=0)) is error
    (span,) = collected()
    assert span.attributes["error.type"] == error.__name__
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description is None


def test_spans_hold_neither_key_nor_content(collected):
    """Through retries, refusals and answers, whatever the server echoes."""
    ask(429, 200, max_retries=1)
    ask(400)
    ask(500, max_retries=0)
    written = " ".join(span.to_json() for span in collected())
    assert len(collected()) == 3
    for private in (KEY, PROMPT, "Okonkwo", "private answer"):
        assert private not in written


def test_a_cancelled_call_ends_its_span(collected):
    """Nothing stays open."""

    async def never(_request):
        await asyncio.Event().wait()

    model = HttpModel(
        OpenAIChat(),
        Endpoint("c", "http://localhost", "m", timeout_s=0.05, max_retries=0),
        open_transport=lambda _: httpx.MockTransport(never),
    )

    async def cancel():
        task = asyncio.create_task(model.answer(CALL))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    (span,) = collected()
    assert span.attributes["error.type"] == "CancelledError"
    assert span.attributes["server.port"] == 80


def flow(name):
    yield CallTool(name, {"order": "order of Ada Okonkwo"})


@tool
def look_up(order: str) -> str:
    """Look an order up."""
    with trace.get_tracer("tool").start_as_current_span("inside"):
        return f"found {order}"


@tool
def fail(order: str) -> str:
    """Fail."""
    raise KeyError(order)


def test_a_tool_is_a_span_of_its_own(collected):
    """What the tool does lies within it, also on its thread; arguments and result stay out."""
    asyncio.run(Driver(tools=[look_up]).run(flow("look_up")))
    inside, span = collected()
    assert (span.name, span.kind) == ("execute_tool look_up", SpanKind.INTERNAL)
    assert inside.parent.span_id == span.context.span_id
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "look_up",
        "gen_ai.tool.type": "function",
    }


def test_a_tool_that_fails_is_named_by_its_error(collected):
    """The flow goes on; the span tells."""
    asyncio.run(Driver(tools=[fail]).run(flow("fail")))
    (span,) = collected()
    assert span.attributes["error.type"] == "KeyError"
    assert span.status.status_code is StatusCode.ERROR
    assert "Okonkwo" not in span.to_json()


def test_without_a_tracer_nothing_is_made():
    """A call costs one look at OpenTelemetry's global."""
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    endpoint = Endpoint("c", "http://localhost", "m")
    assert spans.chat(endpoint, CALL) is spans.chat(endpoint, CALL) is spans.tool("x")
    assert ask(200).text == "a private answer"
