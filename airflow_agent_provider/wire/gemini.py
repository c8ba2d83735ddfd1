"""
Google's Gemini API: ``POST {base_url}/models/{model}:generateContent``.

Source: https://ai.google.dev/api/generate-content. It speaks in blocks, called parts,
see ``wire/blocks.py``. Besides:

- The model stands in the path, not in the body. A name with a slash in it, such as
  ``tunedModels/mine``, is taken as it is.
- A tool's result names the tool again, and says by its key whether it is an
  ``output`` or an ``error``. Requests have ids in newer models only; one that this
  wire made up is not sent back.
- Newer models sign their tool requests and refuse a history without the signatures
  (https://ai.google.dev/gemini-api/docs/thought-signatures). They travel in
  ``ToolRequest.signature``; of parallel requests the first has one. For a turn that
  another model wrote, the documented placeholder is sent. A signature of one Gemini
  is not valid for another, so that a conversation should stay with its model.
- JSON answers have a format of their own, which older models refuse beside tools:
  with tools granted, the answer is a tool, as for Anthropic.
- A prompt may be refused before any model saw it: ``promptFeedback`` and no candidate.
- ``promptTokenCount`` holds the cached tokens, ``candidatesTokenCount`` not the thoughts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ModelReply, StopReason, ToolRequest, Usage
from airflow_agent_provider.wire import body
from airflow_agent_provider.wire.blocks import (
    ANSWER_DESCRIPTION,
    Answer,
    Block,
    answer_tool,
    system_text,
    turns,
)
from airflow_agent_provider.wire.families import signs_tool_requests
from airflow_agent_provider.wire.wire import WireRequest, WireResponse, key_headers

STOP_REASONS: dict[str, StopReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "refusal",
    "RECITATION": "refusal",
    "BLOCKLIST": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "SPII": "refusal",
    "ESCALATION": "refusal",
    "MODEL_ARMOR": "refusal",
}
NO_SIGNATURE = "skip_thought_signature_validator"
MADE_UP_ID = re.compile(r"call_\d{1,4}")


@dataclass(frozen=True, slots=True)
class Gemini:
    """
    ``generateContent``, not streamed.

    :param send_temperature: off for models that do badly below their default.
    :param extra_body: fields added to every request, e.g.
        ``{"generationConfig": {"thinkingConfig": {"thinkingLevel": "low"}}}``.
    """

    send_temperature: bool = True
    extra_body: dict[str, Any] = field(default_factory=dict)

    def encode(self, call: CallModel, *, model: str, key: str | None) -> WireRequest:
        config: dict[str, Any] = {"maxOutputTokens": call.max_tokens}
        if self.send_temperature:
            config["temperature"] = call.temperature
        content: dict[str, Any] = {"contents": _contents(call.messages, signed=signs_tool_requests(model))}
        system = system_text(call.messages)
        if system:
            content["systemInstruction"] = {"parts": [{"text": system}]}
        functions = [_function(tool.name, tool.description, tool.parameters) for tool in call.tools]
        schema = body.answer_schema(call)
        if schema is not None and functions:
            functions.append(_function(answer_tool(call), ANSWER_DESCRIPTION, schema))
            content["toolConfig"] = {"functionCallingConfig": {"mode": "ANY"}}
        elif schema is not None:
            config |= {"responseMimeType": "application/json", "responseJsonSchema": schema}
        if functions:
            content["tools"] = [{"functionDeclarations": functions}]
        content["generationConfig"] = config
        name = quote(model if "/" in model else f"models/{model}", safe="/")
        written = body.write(body.merged(content, self.extra_body))
        return WireRequest("POST", f"/{name}:generateContent", key_headers(key, "x-goog-api-key"), written)

    def decode(self, response: WireResponse, call: CallModel, *, secrets: tuple[str, ...] = ()) -> ModelReply:
        content = body.read(response, secrets)
        candidate = next(body.objects(content, "candidates"), {})
        finish = body.field(candidate, "finishReason", str, "")
        said = body.field(candidate, "content", dict, {})
        blocked = body.field(body.field(content, "promptFeedback", dict, {}), "blockReason", str, "")
        if not (finish or said or blocked):
            raise body.incomplete("candidate", response, secrets)
        answer = Answer(answer_tool(call) if call.schema is not None and call.tools else None)
        for part in body.objects(said, "parts"):
            _read(part, answer)
        reason: StopReason = "refusal" if blocked else STOP_REASONS.get(finish, "other")
        return answer.reply(
            reason,
            usage=_usage(body.field(content, "usageMetadata", dict, {})),
            model=body.field(content, "modelVersion", str, ""),
            request_id=body.field(content, "responseId", str, ""),
        )

    def list_models(self, *, key: str | None) -> WireRequest:
        return WireRequest("GET", "/models?pageSize=1000", key_headers(key, "x-goog-api-key"))


def _function(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "description": description, "parametersJsonSchema": schema}


def _contents(messages: tuple[Message, ...], *, signed: bool) -> list[dict[str, Any]]:
    names: dict[str | None, str] = {}

    def parts(message: Message) -> list[Block]:
        if message.role == "tool":
            return [_result(message, names.get(message.tool_call_id, "unknown"))]
        names.update((request.id, request.name) for request in message.tool_requests)
        written: list[Block] = [{"text": message.content}] if message.content else []
        written += [
            _request(request, NO_SIGNATURE if signed and place == 0 else "")
            for place, request in enumerate(message.tool_requests)
        ]
        return written

    roles = {"user": "user", "assistant": "model"}
    return [{"role": roles[role], "parts": written} for role, written in turns(messages, parts)]


def _request(request: ToolRequest, placeholder: str) -> Block:
    part: Block = {
        "functionCall": {**_id(request.id), "name": request.name, "args": body.sent_arguments(request)}
    }
    signature = request.signature or placeholder
    return {**part, "thoughtSignature": signature} if signature else part


def _result(message: Message, name: str) -> Block:
    key = "error" if message.failed else "output"
    identity = _id(message.tool_call_id or "")
    return {"functionResponse": {**identity, "name": name, "response": {key: message.content}}}


def _id(identity: str) -> dict[str, str]:
    return {} if not identity or MADE_UP_ID.fullmatch(identity) else {"id": identity}


def _read(part: dict[str, Any], answer: Answer) -> None:
    function = body.field(part, "functionCall", dict, {})
    if function:
        identity, name = body.field(function, "id", str, ""), body.field(function, "name", str, "")
        signature = body.field(part, "thoughtSignature", str, "")
        answer.add_tool(identity, name, function.get("args"), signature)
    elif part.get("thought") is not True:
        text = body.field(part, "text", str, "")
        if text:
            answer.add_text(text)


def _usage(usage: dict[str, Any]) -> Usage:
    thoughts = body.tokens(usage, "thoughtsTokenCount")
    return Usage(
        input_tokens=body.tokens(usage, "promptTokenCount") + body.tokens(usage, "toolUsePromptTokenCount"),
        output_tokens=body.tokens(usage, "candidatesTokenCount") + thoughts,
        cached_tokens=body.tokens(usage, "cachedContentTokenCount"),
        reasoning_tokens=thoughts,
    )
