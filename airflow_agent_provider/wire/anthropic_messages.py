"""
The Anthropic messages protocol: ``POST {base_url}/v1/messages``.

Source: https://platform.claude.com/docs/en/api/messages. It speaks in blocks, see
``wire/blocks.py``. Besides:

- Results of tools come first in their turn.
- The API has versions. ``2023-06-01`` is pinned: it takes a temperature for the models
  that know one, where ``2026-10-21`` refuses the field for every model. Of what is
  sent and read here nothing else differs between the two
  (https://platform.claude.com/docs/en/api/versioning).
- Input tokens come in three disjoint counts (fresh, written to the cache, read
  from it); ``Usage.input_tokens`` is their sum.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ModelReply, StopReason, Usage
from airflow_agent_provider.wire import body
from airflow_agent_provider.wire.blocks import ANSWER_DESCRIPTION, Answer, answer_tool, system_text, turns
from airflow_agent_provider.wire.wire import WireRequest, WireResponse, key_headers

STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}


@dataclass(frozen=True, slots=True)
class AnthropicMessages:
    """
    Messages, not streamed.

    :param send_temperature: off for models that refuse the parameter.
    :param extra_body: fields added to every request, e.g. ``{"service_tier": "standard_only"}``.
    :param version: the ``anthropic-version`` header; from ``2026-10-21`` on, no temperature may be sent.
    """

    send_temperature: bool = True
    extra_body: dict[str, Any] = field(default_factory=dict)
    version: str = "2023-06-01"

    def encode(self, call: CallModel, *, model: str, key: str | None) -> WireRequest:
        content: dict[str, Any] = {
            "model": model,
            "messages": [{"role": role, "content": blocks} for role, blocks in turns(call.messages, _blocks)],
            "max_tokens": call.max_tokens,
        }
        system = system_text(call.messages)
        if system:
            content["system"] = system
        if self.send_temperature:
            content["temperature"] = call.temperature
        tools = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
            for tool in call.tools
        ]
        schema = body.answer_schema(call)
        if schema is not None:
            name = answer_tool(call)
            tools.append({"name": name, "description": ANSWER_DESCRIPTION, "input_schema": schema})
            content["tool_choice"] = {"type": "any"} if call.tools else {"type": "tool", "name": name}
        if tools:
            content["tools"] = tools
        written = body.write(body.merged(content, self.extra_body))
        return WireRequest("POST", "/v1/messages", self._headers(key), written)

    def decode(self, response: WireResponse, call: CallModel, *, secrets: tuple[str, ...] = ()) -> ModelReply:
        content = body.read(response, secrets)
        if content.get("content") is None:
            raise body.incomplete("content", response, secrets)
        answer = Answer(answer_tool(call) if call.schema is not None else None)
        for block in body.objects(content, "content"):
            kind = body.field(block, "type", str, "")
            if kind == "text":
                answer.add_text(body.field(block, "text", str, ""))
            elif kind == "tool_use":
                identity, name = body.field(block, "id", str, ""), body.field(block, "name", str, "")
                answer.add_tool(identity, name, block.get("input"))
        return answer.reply(
            STOP_REASONS.get(body.field(content, "stop_reason", str, ""), "other"),
            usage=_usage(body.field(content, "usage", dict, {})),
            model=body.field(content, "model", str, ""),
            request_id=response.headers.get("request-id") or body.field(content, "id", str, ""),
        )

    def list_models(self, *, key: str | None) -> WireRequest:
        return WireRequest("GET", "/v1/models?limit=1000", self._headers(key))

    def _headers(self, key: str | None) -> dict[str, str]:
        return {**key_headers(key, "x-api-key"), "anthropic-version": self.version}


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        block = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.content}
        return [{**block, "is_error": True}] if message.failed else [block]
    # The API refuses empty text.
    blocks: list[dict[str, Any]] = [{"type": "text", "text": message.content}] if message.content else []
    blocks += [
        {"type": "tool_use", "id": request.id, "name": request.name, "input": body.sent_arguments(request)}
        for request in message.tool_requests
    ]
    return blocks


def _usage(usage: dict[str, Any]) -> Usage:
    cached = body.tokens(usage, "cache_read_input_tokens")
    fresh = body.tokens(usage, "input_tokens") + body.tokens(usage, "cache_creation_input_tokens")
    details = body.field(usage, "output_tokens_details", dict, {})
    return Usage(
        input_tokens=fresh + cached,
        output_tokens=body.tokens(usage, "output_tokens"),
        cached_tokens=cached,
        reasoning_tokens=body.tokens(details, "thinking_tokens"),
    )
