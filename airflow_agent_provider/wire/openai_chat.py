"""
The OpenAI chat-completions protocol: ``POST {base_url}/chat/completions``.

The lingua franca of model servers: OpenAI itself, vLLM, Ollama, llama.cpp,
LiteLLM and many more speak it (https://platform.openai.com/docs/api-reference/chat).
Where they differ, the wire sends what all of them take and reads what any of
them sends: a missing ``finish_reason``, tool calls that end in ``stop``,
arguments as an object rather than as text, content as a list of parts.

A failed tool result has no flag here; its text starts with ``Error:``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import starmap
from typing import Any

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ModelReply, StopReason, ToolRequest, Usage
from airflow_agent_provider.wire import body
from airflow_agent_provider.wire.wire import WireRequest, WireResponse, key_headers

STOP_REASONS: dict[str, StopReason] = {
    "stop": "stop",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "length": "length",
    "content_filter": "refusal",
}


@dataclass(frozen=True, slots=True)
class OpenAIChat:
    """
    Chat completions, not streamed.

    :param max_tokens_field: ``max_tokens`` or, for newer OpenAI models, ``max_completion_tokens``.
    :param send_temperature: off for models that refuse the parameter.
    :param extra_body: fields added to every request, e.g. ``{"reasoning_effort": "low"}``.
    """

    max_tokens_field: str = "max_tokens"
    send_temperature: bool = True
    extra_body: dict[str, Any] = field(default_factory=dict)

    def encode(self, call: CallModel, *, model: str, key: str | None) -> WireRequest:
        content: dict[str, Any] = {
            "model": model,
            "messages": [_message(message) for message in call.messages],
            self.max_tokens_field: call.max_tokens,
        }
        if self.send_temperature:
            content["temperature"] = call.temperature
        if call.tools:
            content["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": tool.parameters,
                    },
                }
                for tool in call.tools
            ]
        schema = body.answer_schema(call)
        if schema is not None:
            content["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": schema, "strict": is_strict(schema)},
            }
        written = body.write(body.merged(content, self.extra_body))
        return WireRequest("POST", self.path(model), self.headers(key), written)

    def decode(self, response: WireResponse, call: CallModel, *, secrets: tuple[str, ...] = ()) -> ModelReply:  # noqa: ARG002 - other wires need the call
        if body.filtered(response):
            return ModelReply(
                "", stop_reason="refusal", request_id=response.headers.get("x-request-id") or ""
            )
        content = body.read(response, secrets)
        choice = next(body.objects(content, "choices"), {})
        message = body.field(choice, "message", dict, {})
        if not message:
            raise body.incomplete("message", response, secrets)
        refusal = body.field(message, "refusal", str, "")
        requests = tuple(starmap(_tool_request, enumerate(body.objects(message, "tool_calls"))))
        finish = body.field(choice, "finish_reason", str, "")
        return ModelReply(
            text=refusal or _text(message),
            tool_requests=requests,
            stop_reason="refusal" if refusal else _stop_reason(finish, requests),
            usage=_usage(body.field(content, "usage", dict, {})),
            model=body.field(content, "model", str, ""),
            request_id=response.headers.get("x-request-id") or body.field(content, "id", str, ""),
        )

    def list_models(self, *, key: str | None) -> WireRequest | None:
        return WireRequest("GET", "/models", self.headers(key))

    def path(self, model: str) -> str:  # noqa: ARG002 - it stands in the body
        """Give the path; Azure's differs."""
        return "/chat/completions"

    def headers(self, key: str | None) -> dict[str, str]:
        """Give the headers; Azure's differ."""
        return key_headers(key)


def is_strict(schema: dict[str, Any]) -> bool:
    """
    Say whether a schema meets the rules of OpenAI's strict mode.

    Strict mode refuses a schema whose objects are open or have optional
    properties; such a schema is sent as a guide and the answer checked here.
    """
    if schema.get("type") == "object" or "properties" in schema:
        properties = schema.get("properties", {})
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", ())) != set(properties):
            return False
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    inner += [schema["items"]] if isinstance(schema.get("items"), dict) else []
    return all(is_strict(one) for one in inner)


def _message(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        text = f"Error: {message.content}" if message.failed else message.content
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": text}
    if not message.tool_requests:
        return {"role": message.role, "content": message.content}
    return {
        "role": message.role,
        "content": message.content or None,
        "tool_calls": [
            {
                "id": request.id,
                "type": "function",
                "function": {
                    "name": request.name,
                    "arguments": body.write_text(body.sent_arguments(request)),
                },
            }
            for request in message.tool_requests
        ],
    }


def _text(message: dict[str, Any]) -> str:
    if isinstance(message.get("content"), list):
        return "".join(body.field(part, "text", str, "") for part in body.objects(message, "content"))
    return body.field(message, "content", str, "")


def _tool_request(number: int, call: dict[str, Any]) -> ToolRequest:
    function = body.field(call, "function", dict, {})
    # Some servers send no id; the position names the request within its turn.
    identity = body.field(call, "id", str, "") or f"call_{number}"
    return body.tool_request(identity, body.field(function, "name", str, ""), function.get("arguments"))


def _stop_reason(finish: str, requests: tuple[ToolRequest, ...]) -> StopReason:
    reason = STOP_REASONS.get(finish, "other")
    return "tool_calls" if requests and reason in {"stop", "other"} else reason


def _usage(usage: dict[str, Any]) -> Usage:
    return Usage(
        input_tokens=body.tokens(usage, "prompt_tokens"),
        output_tokens=body.tokens(usage, "completion_tokens"),
        cached_tokens=body.tokens(body.field(usage, "prompt_tokens_details", dict, {}), "cached_tokens"),
        reasoning_tokens=body.tokens(
            body.field(usage, "completion_tokens_details", dict, {}), "reasoning_tokens"
        ),
    )
