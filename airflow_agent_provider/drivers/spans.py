"""
Spans of model calls and tools, as OpenTelemetry's conventions for generative AI name them.

=======================  ==================================================================
span                     attributes
=======================  ==================================================================
``chat {model}``         ``gen_ai.operation.name``, ``gen_ai.provider.name``,
                         ``gen_ai.request.model``, ``gen_ai.request.max_tokens``,
                         ``gen_ai.output.type``, ``server.address``, ``server.port``; of a
                         reply ``gen_ai.response.*`` and ``gen_ai.usage.*``; of a failure
                         ``error.type``
``execute_tool {name}``  ``gen_ai.operation.name``, ``gen_ai.tool.name``,
                         ``gen_ai.tool.type``; of a failure ``error.type``
=======================  ==================================================================

A call is one span, however often it is tried; each further try is an event of it. Spans
become children of the current one: in a task, with ``[traces] otel_on``, of Airflow's own.

They hold names and numbers: no prompt, no answer, no argument, no error's text. Where
nobody has configured a tracer, a call costs one look at OpenTelemetry's global.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.trace import NoOpTracerProvider, ProxyTracerProvider, Span, SpanKind, StatusCode, Tracer
from opentelemetry.util.types import Attributes

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import ModelReply, StopReason
from airflow_agent_provider.drivers.endpoint import Endpoint

INSTRUMENTATION = "airflow_agent_provider"
#: How the conventions name providers where they differ from ours.
PROVIDERS = {
    "openai_responses": "openai",
    "openai_compatible": "openai",
    "anthropic_compatible": "anthropic",
    "google": "gcp.gemini",
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
}
FINISH_REASONS: dict[StopReason, str] = {"tool_calls": "tool_call", "refusal": "content_filter"}


class ChatSpan:
    """The span of one model call."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def answered(self, reply: ModelReply) -> None:
        """Note what came."""
        usage = reply.usage
        self._span.set_attributes({
            "gen_ai.response.finish_reasons": [FINISH_REASONS.get(reply.stop_reason, reply.stop_reason)],
            "gen_ai.usage.input_tokens": usage.input_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
            "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
        })
        names = {"gen_ai.response.model": reply.model, "gen_ai.response.id": reply.request_id}
        self._span.set_attributes({name: value for name, value in names.items() if value})


class NoSpan(ChatSpan):
    """Nobody listens."""

    def __init__(self) -> None:
        pass

    def answered(self, reply: ModelReply) -> None:
        """Note nothing."""


_UNHEARD: AbstractContextManager[ChatSpan] = nullcontext(NoSpan())


def chat(endpoint: Endpoint, call: CallModel) -> AbstractContextManager[ChatSpan]:
    """Open the span of a model call; whatever the block raises ends it as failed, by its type alone."""
    tracer = _tracer()
    return _chat(tracer, endpoint, call) if tracer else _UNHEARD


def tool(name: str) -> AbstractContextManager[object]:
    """Open the span of a tool call."""
    tracer = _tracer()
    return _tool(tracer, name) if tracer else _UNHEARD


def retried(error: BaseException, attempt: int, wait_s: float) -> None:
    """
    Note on the current span that a call is tried again.

    :param attempt: tries so far.
    """
    attributes: Attributes = {"error.type": type(error).__name__, "attempt": attempt, "wait_s": wait_s}
    trace.get_current_span().add_event("agent_provider.retry", attributes)


@contextmanager
def _chat(tracer: Tracer, endpoint: Endpoint, call: CallModel) -> Generator[ChatSpan]:
    host, port = _address(endpoint.base_url)
    attributes: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDERS.get(endpoint.provider, endpoint.provider or "_OTHER"),
        "gen_ai.request.model": endpoint.model,
        "gen_ai.request.max_tokens": call.max_tokens,
        "gen_ai.output.type": "json" if call.schema else "text",
        "server.address": host,
        "server.port": port,
    }
    with _span(tracer, f"chat {endpoint.model}", SpanKind.CLIENT, attributes) as span:
        yield ChatSpan(span)


@contextmanager
def _tool(tracer: Tracer, name: str) -> Generator[None]:
    attributes: Attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.type": "function",
    }
    with _span(tracer, f"execute_tool {name}", SpanKind.INTERNAL, attributes):
        yield


@contextmanager
def _span(tracer: Tracer, name: str, kind: SpanKind, attributes: Attributes) -> Generator[Span]:
    # The SDK would record the error's text.
    with tracer.start_as_current_span(
        name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(StatusCode.ERROR)
            raise


def _tracer() -> Tracer | None:
    provider = trace.get_tracer_provider()
    if isinstance(provider, (ProxyTracerProvider, NoOpTracerProvider)):
        return None
    return _tracer_of(provider)


@lru_cache(maxsize=1)
def _tracer_of(provider: trace.TracerProvider) -> Tracer:
    return provider.get_tracer(INSTRUMENTATION)


@lru_cache(maxsize=64)
def _address(base_url: str) -> tuple[str, int]:
    parts = urlsplit(base_url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
