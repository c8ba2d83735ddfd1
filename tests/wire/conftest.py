"""
Each wire's own way of saying the same things, for the contract tests.

A new wire joins the contract by a class here and a name in ``DIALECTS``.
"""

import json

import pytest

from airflow_agent_provider.wire.anthropic_messages import AnthropicMessages
from airflow_agent_provider.wire.openai_chat import OpenAIChat
from airflow_agent_provider.wire.wire import WireResponse


def response(content, *, status=200, headers=None):
    """A server's response; ``content`` is written as JSON unless it is bytes."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return WireResponse(status, {"content-type": "application/json", **(headers or {})}, body)


class OpenAI:
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

    def structured(self, value, *, tool_name="answer"):
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


class Anthropic:
    wire = AnthropicMessages()
    request_id_header = "request-id"
    path = "/v1/messages"
    key_header = ("x-api-key", "sk-secret-123")
    truncated_reasons = ("max_tokens", "model_context_window_exceeded")
    refusal_reasons = ("refusal",)

    def reply(self, text="", *, tools=(), reason=None, usage=None):
        blocks = [{"type": "text", "text": text}] if text else []
        for id_, name, raw in tools:
            try:
                arguments = json.loads(raw)
            except ValueError:
                arguments = raw
            blocks.append({"type": "tool_use", "id": id_, "name": name, "input": arguments})
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

    def structured(self, value, *, tool_name="answer"):
        return self.reply(tools=[("toolu_9", tool_name, json.dumps(value))])

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


DIALECTS = {"openai_chat": OpenAI(), "anthropic_messages": Anthropic()}


@pytest.fixture(params=DIALECTS)
def dialect(request):
    """Each wire in turn."""
    return DIALECTS[request.param]


@pytest.fixture(name="response")
def make_response():
    """Make a ``WireResponse``."""
    return response
