"""
The Anthropic messages protocol: ``POST {base_url}/v1/messages``.

Source: https://platform.claude.com/docs/en/api/messages. It differs from chat
completions in ways that this module hides:

- System texts stand beside the turns; they are joined, wherever they stood.
- Turns alternate. Neighbours of one role become one turn, and the results of
  parallel tools go back together in one user turn, results first.
- An answer that must fit a schema is asked for as a forced tool named
  ``answer``; what the model passes to it is the reply's text. With other tools
  granted as well, the model must call one of them or ``answer``; a call of both
  at once is a premature answer and only the tools count.
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
from airflow_agent_provider.wire.wire import WireRequest, WireResponse

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
            "messages": _turns(call.messages),
            "max_tokens": call.max_tokens,
        }
        system = "\n\n".join(one.content for one in call.messages if one.role == "system" and one.content)
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
            tools.append({"name": name, "description": "Give the final answer.", "input_schema": schema})
            content["tool_choice"] = {"type": "any"} if call.tools else {"type": "tool", "name": name}
        if tools:
            content["tools"] = tools
        content.update(self.extra_body)
        return WireRequest("POST", "/v1/messages", self._headers(key), body.write(content))

    def decode(self, response: WireResponse, call: CallModel, *, secrets: tuple[str, ...] = ()) -> ModelReply:
        content = body.read(response, secrets)
        if content.get("content") is None:
            raise body.incomplete("content", response, secrets)
        answer_name = answer_tool(call) if call.schema is not None else None
        texts, answers, requests = [], [], []
        for number, block in enumerate(body.objects(content, "content")):
            kind = body.field(block, "type", str, "")
            if kind == "text":
                texts.append(body.field(block, "text", str, ""))
            elif kind == "tool_use" and body.field(block, "name", str, "") == answer_name:
                answers.append(body.write_text(block.get("input")))
            elif kind == "tool_use":
                identity = body.field(block, "id", str, "") or f"call_{number}"
                requests.append(
                    body.tool_request(identity, body.field(block, "name", str, ""), block.get("input"))
                )
        reason = STOP_REASONS.get(body.field(content, "stop_reason", str, ""), "other")
        if answers and not requests and reason == "tool_calls":
            reason = "stop"
        return ModelReply(
            text=answers[0] if answers and not requests else "".join(texts),
            tool_requests=tuple(requests),
            stop_reason=reason,
            usage=_usage(body.field(content, "usage", dict, {})),
            model=body.field(content, "model", str, ""),
            request_id=response.headers.get("request-id") or body.field(content, "id", str, ""),
        )

    def list_models(self, *, key: str | None) -> WireRequest:
        return WireRequest("GET", "/v1/models?limit=1000", self._headers(key))

    def _headers(self, key: str | None) -> dict[str, str]:
        headers = {"content-type": "application/json", "anthropic-version": self.version}
        if key:
            headers["x-api-key"] = key
        return headers


def answer_tool(call: CallModel) -> str:
    """Name the tool that carries a structured answer, unlike any tool that was granted."""
    name = "answer"
    while any(tool.name == name for tool in call.tools):
        name += "_"
    return name


def _turns(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return turns


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
