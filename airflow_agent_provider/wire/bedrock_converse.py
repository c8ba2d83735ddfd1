"""
Amazon Bedrock's Converse: ``POST {base_url}/model/{model}/converse``.

One protocol for the models of many vendors. Source:
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html.
It speaks in blocks, see ``wire/blocks.py``. Besides:

- The model stands in the path: an id, an inference profile or an ARN, percent-encoded
  whole. The answer does not say which model it was, but for a prompt router's choice.
- A Bedrock API key goes as a bearer. Where there is none the request is signed with
  AWS credentials, which is the driver's business: it depends on the time.
- Blank texts are refused, and so is a history with tools in it when no tool is
  declared: then the tools of the history are, by their names.
- Input tokens come in three disjoint counts, as Anthropic's do.
- The structured answer is a forced tool. Not every model takes a tool choice; those
  that do not refuse the call (https://docs.aws.amazon.com/bedrock/latest/userguide/tool-use.html).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ModelReply, StopReason, Usage
from airflow_agent_provider.wire import body
from airflow_agent_provider.wire.blocks import (
    ANSWER_DESCRIPTION,
    Answer,
    Block,
    answer_tool,
    system_text,
    turns,
)
from airflow_agent_provider.wire.wire import WireRequest, WireResponse, key_headers

STOP_REASONS: dict[str, StopReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "refusal",
    "content_filtered": "refusal",
}
NO_TEXT = "(empty)"
ANY_OBJECT = {"type": "object"}


@dataclass(frozen=True, slots=True)
class BedrockConverse:
    """
    Converse, not streamed.

    :param send_temperature: off for models that refuse the parameter.
    :param extra_body: fields added to every request, e.g.
        ``{"guardrailConfig": {"guardrailIdentifier": "abc", "guardrailVersion": "1"}}``.
    """

    send_temperature: bool = True
    extra_body: dict[str, Any] = field(default_factory=dict)

    def encode(self, call: CallModel, *, model: str, key: str | None) -> WireRequest:
        config: dict[str, Any] = {"maxTokens": call.max_tokens}
        if self.send_temperature:
            config["temperature"] = call.temperature
        content: dict[str, Any] = {
            "messages": [{"role": role, "content": blocks} for role, blocks in turns(call.messages, _blocks)],
            "inferenceConfig": config,
        }
        system = system_text(call.messages)
        if system.strip():
            content["system"] = [{"text": system}]
        tools = _tools(call)
        if tools:
            content["toolConfig"] = tools
        path = f"/model/{quote(model, safe='')}/converse"
        written = body.write(body.merged(content, self.extra_body))
        return WireRequest("POST", path, key_headers(key), written)

    def decode(self, response: WireResponse, call: CallModel, *, secrets: tuple[str, ...] = ()) -> ModelReply:
        content = body.read(response, secrets)
        message = body.field(body.field(content, "output", dict, {}), "message", dict, {})
        if not message:
            raise body.incomplete("message", response, secrets)
        answer = Answer(answer_tool(call) if call.schema is not None else None)
        for block in body.objects(message, "content"):
            use = body.field(block, "toolUse", dict, {})
            text = body.field(block, "text", str, "")
            if use:
                identity, name = body.field(use, "toolUseId", str, ""), body.field(use, "name", str, "")
                answer.add_tool(identity, name, use.get("input"))
            elif text:
                answer.add_text(text)
        router = body.field(body.field(content, "trace", dict, {}), "promptRouter", dict, {})
        return answer.reply(
            STOP_REASONS.get(body.field(content, "stopReason", str, ""), "other"),
            usage=_usage(body.field(content, "usage", dict, {})),
            model=body.field(router, "invokedModelId", str, ""),
            request_id=response.headers.get("x-amzn-requestid") or "",
        )

    def list_models(self, *, key: str | None) -> WireRequest | None:  # noqa: ARG002 - another host has the list
        return None


def _tools(call: CallModel) -> dict[str, Any]:
    tools = [_tool(tool.name, tool.description, tool.parameters) for tool in call.tools]
    schema = body.answer_schema(call)
    if schema is not None:
        name = answer_tool(call)
        tools.append(_tool(name, ANSWER_DESCRIPTION, schema))
        choice = {"any": {}} if call.tools else {"tool": {"name": name}}
        return {"tools": tools, "toolChoice": choice}
    if not tools:
        names = {request.name: None for message in call.messages for request in message.tool_requests}
        tools = [_tool(name, "", ANY_OBJECT) for name in names]
    return {"tools": tools} if tools else {}


def _tool(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    told = {"description": description} if description else {}
    return {"toolSpec": {"name": name, **told, "inputSchema": {"json": schema}}}


def _blocks(message: Message) -> list[Block]:
    if message.role == "tool":
        text = message.content if message.content.strip() else NO_TEXT
        result: Block = {"toolUseId": message.tool_call_id, "content": [{"text": text}]}
        return [{"toolResult": {**result, "status": "error"} if message.failed else result}]
    blocks: list[Block] = [{"text": message.content}] if message.content.strip() else []
    blocks += [
        {"toolUse": {"toolUseId": request.id, "name": request.name, "input": body.sent_arguments(request)}}
        for request in message.tool_requests
    ]
    return blocks


def _usage(usage: dict[str, Any]) -> Usage:
    cached = body.tokens(usage, "cacheReadInputTokens")
    fresh = body.tokens(usage, "inputTokens") + body.tokens(usage, "cacheWriteInputTokens")
    return Usage(
        input_tokens=fresh + cached,
        output_tokens=body.tokens(usage, "outputTokens"),
        cached_tokens=cached,
    )
