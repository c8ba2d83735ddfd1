"""
Each wire's own way of saying the same things, for contract tests and for servers that fake one.

A new wire joins both by a class here and a name in ``DIALECTS``.
"""

import json
from typing import ClassVar

from airflow_agent_provider.core.messages import Usage
from airflow_agent_provider.wire.anthropic_messages import AnthropicMessages
from airflow_agent_provider.wire.azure_openai import AzureOpenAIChat
from airflow_agent_provider.wire.bedrock_converse import BedrockConverse
from airflow_agent_provider.wire.gemini import Gemini
from airflow_agent_provider.wire.openai_chat import OpenAIChat
from airflow_agent_provider.wire.openai_responses import OpenAIResponses
from airflow_agent_provider.wire.wire import WireResponse


def parsed(raw):
    """Arguments as a model wrote them, for APIs that carry them as JSON rather than as text."""
    try:
        return json.loads(raw)
    except ValueError:
        return raw


def response(content, *, status=200, headers=None):
    """A server's response; ``content`` is written as JSON unless it is bytes."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return WireResponse(status, {"content-type": "application/json", **(headers or {})}, body)


class Dialect:
    """What most APIs have in common; the rest stands in each class."""

    model_in_path = False
    id_field = "id"
    usage_field = "usage"
    model_field = "model"
    says_its_model = True
    usage_read = Usage(100, 20, 30, 5)
    model_list: ClassVar = {"data": [{"id": "a", "owned_by": "x"}, {"id": "b"}]}

    def asked(self, body):
        """The bound and the temperature of a request."""
        return body["max_tokens"], body.get("temperature")

    def role(self, turn):
        return turn["role"]


class OpenAI(Dialect):
    wire = OpenAIChat()
    request_id_header = "x-request-id"
    path = "/chat/completions"
    key_header = ("authorization", "Bearer sk-secret-123")
    truncated_reasons = ("length",)
    refusal_reasons = ("content_filter",)

    def reply(self, text="", *, tools=(), reason=None, usage=None):
        """What the server says: ``tools`` are (id, name, arguments as the model wrote them)."""
        calls = [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": raw}}
            for id_, name, raw in tools
        ]
        message = {"role": "assistant", "content": text or None, **({"tool_calls": calls} if calls else {})}
        reason = reason or ("tool_calls" if calls else "stop")
        return {
            "id": "chatcmpl-7",
            "object": "chat.completion",
            "model": "small-1",
            "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}],
            "usage": usage if usage is not None else self.usage(),
        }

    def usage(self, fresh=70, cached=30, output=20, reasoning=5):
        return {
            "prompt_tokens": fresh + cached,
            "completion_tokens": output,
            "total_tokens": fresh + cached + output,
            "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        }

    def structured(self, value, *, beside_tools=False):
        return self.reply(json.dumps(value))

    def system_texts(self, body):
        return [m["content"] for m in body["messages"] if m["role"] == "system"]

    def turns(self, body):
        return [m for m in body["messages"] if m["role"] != "system"]

    def text(self, turn):
        return turn["content"]

    def tool_names(self, body):
        return [t["function"]["name"] for t in body.get("tools", ())]

    def sent_tool_requests(self, body):
        return [
            (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
            for message in body["messages"]
            for call in message.get("tool_calls", ())
        ]

    def sent_tool_results(self, body):
        """(request id, text, failed) of each result sent back."""
        return [
            (m["tool_call_id"], m["content"].removeprefix("Error: "), m["content"].startswith("Error: "))
            for m in body["messages"]
            if m["role"] == "tool"
        ]


class Azure(OpenAI):
    """The same language at another address."""

    wire = AzureOpenAIChat()
    key_header = ("api-key", "sk-secret-123")
    model_list = None


class Responses(Dialect):
    wire = OpenAIResponses()
    request_id_header = "x-request-id"
    path = "/responses"
    key_header = ("authorization", "Bearer sk-secret-123")
    truncated_reasons = ("max_output_tokens",)
    refusal_reasons = ("content_filter",)

    def asked(self, body):
        return body["max_output_tokens"], body.get("temperature")

    def reply(self, text="", *, tools=(), reason=None, usage=None):
        output = [{"type": "reasoning", "id": "rs_1", "summary": []}]
        if text:
            part = {"type": "output_text", "text": text, "annotations": []}
            output.append({
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [part],
            })
        output += [
            {
                "type": "function_call",
                "id": f"fc_{id_}",
                "call_id": id_,
                "name": name,
                "arguments": raw,
                "status": "completed",
            }
            for id_, name, raw in tools
        ]
        return {
            "id": "resp_7",
            "object": "response",
            "created_at": 1795305600,
            "model": "small-1",
            "status": "incomplete" if reason else "completed",
            "incomplete_details": {"reason": reason} if reason else None,
            "error": None,
            "output": output,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": usage if usage is not None else self.usage(),
        }

    def usage(self, fresh=70, cached=30, output=20, reasoning=5):
        return {
            "input_tokens": fresh + cached,
            "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
            "output_tokens": output,
            "output_tokens_details": {"reasoning_tokens": reasoning},
            "total_tokens": fresh + cached + output,
        }

    def structured(self, value, *, beside_tools=False):
        return self.reply(json.dumps(value))

    def system_texts(self, body):
        return [item["content"] for item in body["input"] if item.get("role") == "system"]

    def turns(self, body):
        return [item for item in body["input"] if item.get("role") in {"user", "assistant"}]

    def text(self, turn):
        return turn["content"]

    def tool_names(self, body):
        return [tool["name"] for tool in body.get("tools", ())]

    def sent_tool_requests(self, body):
        return [
            (item["call_id"], item["name"], json.loads(item["arguments"]))
            for item in body["input"]
            if item.get("type") == "function_call"
        ]

    def sent_tool_results(self, body):
        return [
            (item["call_id"], item["output"].removeprefix("Error: "), item["output"].startswith("Error: "))
            for item in body["input"]
            if item.get("type") == "function_call_output"
        ]


class Anthropic(Dialect):
    wire = AnthropicMessages()
    request_id_header = "request-id"
    path = "/v1/messages"
    key_header = ("x-api-key", "sk-secret-123")
    truncated_reasons = ("max_tokens", "model_context_window_exceeded")
    refusal_reasons = ("refusal",)

    def reply(self, text="", *, tools=(), reason=None, usage=None):
        blocks = [{"type": "text", "text": text}] if text else []
        for id_, name, raw in tools:
            blocks.append({"type": "tool_use", "id": id_, "name": name, "input": parsed(raw)})
        return {
            "id": "msg_7",
            "type": "message",
            "role": "assistant",
            "model": "small-1",
            "content": blocks,
            "stop_reason": reason or ("tool_use" if tools else "end_turn"),
            "stop_sequence": None,
            "usage": usage if usage is not None else self.usage(),
        }

    def usage(self, fresh=70, cached=30, output=20, reasoning=5):
        return {
            "input_tokens": fresh - 10,
            "cache_creation_input_tokens": 10,
            "cache_read_input_tokens": cached,
            "output_tokens": output,
            "output_tokens_details": {"thinking_tokens": reasoning},
            "service_tier": "standard",
        }

    def structured(self, value, *, beside_tools=False):
        return self.reply(tools=[("toolu_9", "answer", json.dumps(value))])

    def system_texts(self, body):
        return body["system"].split("\n\n") if "system" in body else []

    def turns(self, body):
        return body["messages"]

    def text(self, turn):
        return "".join(block["text"] for block in turn["content"])

    def tool_names(self, body):
        return [t["name"] for t in body.get("tools", ())]

    def sent_tool_requests(self, body):
        return [(b["id"], b["name"], b["input"]) for b in self._blocks(body, "tool_use")]

    def sent_tool_results(self, body):
        return [
            (b["tool_use_id"], b["content"], b.get("is_error", False))
            for b in self._blocks(body, "tool_result")
        ]

    def _blocks(self, body, kind):
        return [b for message in body["messages"] for b in message["content"] if b["type"] == kind]


class Google(Dialect):
    wire = Gemini()
    request_id_header = None
    path = "/models/small-1:generateContent"
    key_header = ("x-goog-api-key", "sk-secret-123")
    truncated_reasons = ("MAX_TOKENS",)
    refusal_reasons = ("SAFETY", "RECITATION", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII")
    model_in_path = True
    id_field = "responseId"
    usage_field = "usageMetadata"
    model_field = "modelVersion"
    model_list: ClassVar = {"models": [{"name": "models/a", "version": "1"}, {"name": "models/b"}]}

    def asked(self, body):
        return body["generationConfig"]["maxOutputTokens"], body["generationConfig"].get("temperature")

    def role(self, turn):
        return {"model": "assistant"}.get(turn["role"], turn["role"])

    def reply(self, text="", *, tools=(), reason=None, usage=None):
        parts = [{"text": "Let me think.", "thought": True}]
        parts += [{"text": text}] if text else []
        parts += [
            {"functionCall": {"id": id_, "name": name, "args": parsed(raw)}} for id_, name, raw in tools
        ]
        return {
            "candidates": [
                {
                    "content": {"role": "model", "parts": parts},
                    "finishReason": reason or "STOP",
                    "index": 0,
                    "safetyRatings": [],
                }
            ],
            "usageMetadata": usage if usage is not None else self.usage(),
            "modelVersion": "small-1",
            "responseId": "r7",
        }

    def usage(self, fresh=70, cached=30, output=20, reasoning=5):
        return {
            "promptTokenCount": fresh + cached,
            "cachedContentTokenCount": cached,
            "candidatesTokenCount": output - reasoning,
            "thoughtsTokenCount": reasoning,
            "totalTokenCount": fresh + cached + output,
        }

    def structured(self, value, *, beside_tools=False):
        if beside_tools:
            return self.reply(tools=[("a9", "answer", json.dumps(value))])
        return self.reply(json.dumps(value))

    def system_texts(self, body):
        if "systemInstruction" not in body:
            return []
        return body["systemInstruction"]["parts"][0]["text"].split("\n\n")

    def turns(self, body):
        return body["contents"]

    def text(self, turn):
        return "".join(part["text"] for part in turn["parts"])

    def tool_names(self, body):
        return [
            function["name"] for tool in body.get("tools", ()) for function in tool["functionDeclarations"]
        ]

    def sent_tool_requests(self, body):
        return [(part["id"], part["name"], part["args"]) for part in self._parts(body, "functionCall")]

    def sent_tool_results(self, body):
        return [
            (part["id"], *part["response"].values(), "error" in part["response"])
            for part in self._parts(body, "functionResponse")
        ]

    def _parts(self, body, kind):
        return [part[kind] for turn in body["contents"] for part in turn["parts"] if kind in part]


class Bedrock(Dialect):
    wire = BedrockConverse()
    request_id_header = "x-amzn-requestid"
    path = "/model/small-1/converse"
    key_header = ("authorization", "Bearer sk-secret-123")
    truncated_reasons = ("max_tokens", "model_context_window_exceeded")
    refusal_reasons = ("guardrail_intervened", "content_filtered")
    model_in_path = True
    id_field = None
    model_field = None
    says_its_model = False
    usage_read = Usage(100, 20, 30, 0)  # reasoning is not counted apart
    model_list = None

    def asked(self, body):
        return body["inferenceConfig"]["maxTokens"], body["inferenceConfig"].get("temperature")

    def reply(self, text="", *, tools=(), reason=None, usage=None):
        blocks = [{"reasoningContent": {"reasoningText": {"text": "Hm."}}}]
        blocks += [{"text": text}] if text else []
        blocks += [
            {"toolUse": {"toolUseId": id_, "name": name, "input": parsed(raw)}} for id_, name, raw in tools
        ]
        return {
            "output": {"message": {"role": "assistant", "content": blocks}},
            "stopReason": reason or ("tool_use" if tools else "end_turn"),
            "usage": usage if usage is not None else self.usage(),
            "metrics": {"latencyMs": 120},
        }

    def usage(self, fresh=70, cached=30, output=20, reasoning=5):
        return {
            "inputTokens": fresh - 10,
            "cacheWriteInputTokens": 10,
            "cacheReadInputTokens": cached,
            "outputTokens": output,
            "totalTokens": fresh + cached + output,
        }

    def structured(self, value, *, beside_tools=False):
        return self.reply(tools=[("tooluse_9", "answer", json.dumps(value))])

    def system_texts(self, body):
        return body["system"][0]["text"].split("\n\n") if "system" in body else []

    def turns(self, body):
        return body["messages"]

    def text(self, turn):
        return "".join(block["text"] for block in turn["content"])

    def tool_names(self, body):
        return [tool["toolSpec"]["name"] for tool in body.get("toolConfig", {}).get("tools", ())]

    def sent_tool_requests(self, body):
        return [(use["toolUseId"], use["name"], use["input"]) for use in self._blocks(body, "toolUse")]

    def sent_tool_results(self, body):
        return [
            (result["toolUseId"], result["content"][0]["text"], result.get("status") == "error")
            for result in self._blocks(body, "toolResult")
        ]

    def _blocks(self, body, kind):
        return [b[kind] for message in body["messages"] for b in message["content"] if kind in b]


DIALECTS = {
    "openai_chat": OpenAI(),
    "azure_openai": Azure(),
    "openai_responses": Responses(),
    "anthropic_messages": Anthropic(),
    "gemini": Google(),
    "bedrock_converse": Bedrock(),
}
