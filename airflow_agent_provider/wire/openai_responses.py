"""
The OpenAI Responses protocol: ``POST {base_url}/responses``.

Source: https://platform.openai.com/docs/api-reference/responses. OpenAI's newer
models answer best here; vLLM, llama.cpp and Azure's v1 API speak it as well. Unlike
chat completions:

- A conversation is a flat list of items: messages, function calls and their outputs
  stand side by side and refer to each other by ``call_id``.
- Nothing is stored: ``store`` is false, and each call sends the whole conversation.
  Reasoning between two tool calls is therefore not handed on.
- Tools are strict unless said otherwise, which would refuse optional arguments.
- A 200 may still be a failure: ``status`` says so. An answer cut short is
  ``incomplete`` and says why. llama.cpp knows no such thing and calls every answer
  ``completed``: there, one that used up the bound counts as cut short.
- llama.cpp does not hold the model to ``text.format`` either; the answer is checked
  against its schema in any case, wherever it came from.
- Of an answer in several phases, the commentary is left out.

A failed tool result has no flag here; its text starts with ``Error:``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ModelReply, StopReason, ToolRequest, Usage
from airflow_agent_provider.exceptions import (
    AgentProviderError,
    ModelUnavailable,
    RateLimited,
    RequestRejected,
)
from airflow_agent_provider.wire import body
from airflow_agent_provider.wire.openai_chat import is_strict
from airflow_agent_provider.wire.status import MAX_MESSAGE_CHARS, without_secrets
from airflow_agent_provider.wire.wire import WireRequest, WireResponse, key_headers

CUT_SHORT: dict[str, StopReason] = {"max_output_tokens": "length", "content_filter": "refusal"}
UNFINISHED = frozenset({"queued", "in_progress", "cancelled"})
TRANSIENT_CODES = frozenset({"server_error", "vector_store_timeout"})


@dataclass(frozen=True, slots=True)
class OpenAIResponses:
    """
    Responses, neither streamed nor stored.

    :param send_temperature: off for models that refuse the parameter.
    :param extra_body: fields added to every request, e.g. ``{"reasoning": {"effort": "low"}}``.
    """

    send_temperature: bool = True
    extra_body: dict[str, Any] = field(default_factory=dict)

    def encode(self, call: CallModel, *, model: str, key: str | None) -> WireRequest:
        content: dict[str, Any] = {
            "model": model,
            "input": [item for message in call.messages for item in _items(message)],
            "max_output_tokens": call.max_tokens,
            "store": False,
        }
        if self.send_temperature:
            content["temperature"] = call.temperature
        if call.tools:
            content["tools"] = [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                    "strict": False,
                }
                for tool in call.tools
            ]
        schema = body.answer_schema(call)
        if schema is not None:
            layout = {"type": "json_schema", "name": "answer", "schema": schema, "strict": is_strict(schema)}
            content["text"] = {"format": layout}
        written = body.write(body.merged(content, self.extra_body))
        return WireRequest("POST", "/responses", key_headers(key), written)

    def decode(self, response: WireResponse, call: CallModel, *, secrets: tuple[str, ...] = ()) -> ModelReply:
        if body.filtered(response):
            return ModelReply(
                "", stop_reason="refusal", request_id=response.headers.get("x-request-id") or ""
            )
        content = body.read(response, secrets)
        status = body.field(content, "status", str, "completed")
        if status == "failed":
            raise _failure(body.field(content, "error", dict, {}), secrets)
        if status in UNFINISHED:
            raise ModelUnavailable("the server put the answer off, though it was not asked to")
        if content.get("output") is None:
            raise body.incomplete("output", response, secrets)
        texts, refusal, requests = _read(content)
        usage = _usage(body.field(content, "usage", dict, {}))
        details = body.field(content, "incomplete_details", dict, {})
        cut = CUT_SHORT.get(body.field(details, "reason", str, ""), "other")
        whole: StopReason = "tool_calls" if requests else "stop"
        if "incomplete_details" not in content and usage.output_tokens >= call.max_tokens:
            whole = "length"
        reason = {"completed": whole, "incomplete": cut}.get(status, "other")
        return ModelReply(
            text=refusal or texts,
            tool_requests=requests,
            stop_reason="refusal" if refusal else reason,
            usage=usage,
            model=body.field(content, "model", str, ""),
            request_id=response.headers.get("x-request-id") or body.field(content, "id", str, ""),
        )

    def list_models(self, *, key: str | None) -> WireRequest:
        return WireRequest("GET", "/models", key_headers(key))


def _items(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        text = f"Error: {message.content}" if message.failed else message.content
        return [{"type": "function_call_output", "call_id": message.tool_call_id, "output": text}]
    said = {"role": message.role, "content": message.content}
    items = [said] if message.content or not message.tool_requests else []
    return items + [
        {
            "type": "function_call",
            "call_id": request.id,
            "name": request.name,
            "arguments": body.write_text(body.sent_arguments(request)),
        }
        for request in message.tool_requests
    ]


def _read(content: dict[str, Any]) -> tuple[str, str, tuple[ToolRequest, ...]]:
    """Give the text, the refusal's text and the tool requests of the output items."""
    texts: dict[bool, list[str]] = {True: [], False: []}
    refusals: list[str] = []
    requests: list[ToolRequest] = []
    for item in body.objects(content, "output"):
        kind = body.field(item, "type", str, "")
        if kind == "function_call":
            identity = body.field(item, "call_id", str, "") or f"call_{len(requests)}"
            name = body.field(item, "name", str, "")
            requests.append(body.tool_request(identity, name, item.get("arguments")))
        elif kind == "message":
            commentary = body.field(item, "phase", str, "") == "commentary"
            for part in body.objects(item, "content"):
                texts[commentary].append(body.field(part, "text", str, ""))
                refusals.append(body.field(part, "refusal", str, ""))
    return "".join(texts[False] or texts[True]), "".join(refusals), tuple(requests)


def _failure(error: dict[str, Any], secrets: tuple[str, ...]) -> AgentProviderError:
    code = body.field(error, "code", str, "")
    said = without_secrets(body.field(error, "message", str, ""), secrets)[:MAX_MESSAGE_CHARS]
    told = f"; the server said: {said}" if said else ""
    if code == "rate_limit_exceeded":
        return RateLimited(f"the answer failed: asked to slow down{told}")
    if not code or code in TRANSIENT_CODES:
        return ModelUnavailable(f"the answer failed on the server{told}")
    return RequestRejected(f"the server refused to answer ({without_secrets(code, secrets)[:40]}){told}")


def _usage(usage: dict[str, Any]) -> Usage:
    cached = body.tokens(body.field(usage, "input_tokens_details", dict, {}), "cached_tokens")
    details = body.field(usage, "output_tokens_details", dict, {})
    return Usage(
        input_tokens=body.tokens(usage, "input_tokens"),
        output_tokens=body.tokens(usage, "output_tokens"),
        cached_tokens=cached,
        reasoning_tokens=body.tokens(details, "reasoning_tokens"),
    )
