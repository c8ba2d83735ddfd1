"""
What is said to a model and what comes back, in no provider's dialect.

The ``wire`` modules translate these to and from the bytes of each model API.
All values are immutable and convert to plain JSON (:func:`to_json`), which is
what the journal stores and what fingerprints are made of.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
StopReason = Literal["stop", "tool_calls", "length", "refusal", "other"]


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """
    A model asks for a tool.

    :param arguments: the parsed JSON object, or None when it was no JSON object;
        then ``raw`` holds what came instead.
    :param signature: opaque text that the provider wants back with the request, as
        Gemini does; empty for the others.
    """

    id: str
    name: str
    arguments: dict[str, Any] | None
    raw: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """
    One turn of a conversation.

    :param tool_requests: on assistant turns, the tools that were asked for.
    :param tool_call_id: on tool turns, the request that this answers.
    :param failed: on tool turns, whether the content reports a failure.
    """

    role: Role
    content: str
    tool_requests: tuple[ToolRequest, ...] = ()
    tool_call_id: str | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """
    A tool as the model sees it.

    :param parameters: JSON schema of the arguments, ``type: object``.
    """

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """
    Tokens of one call or of many, as the provider counted them.

    ``cached_tokens`` are part of ``input_tokens``, ``reasoning_tokens`` part of
    ``output_tokens``.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True, slots=True)
class ModelReply:
    """
    A model's answer.

    :param model: the model that answered, as the server named it.
    :param request_id: the provider's id of the call, for its support desk.
    :param cost_micros: what it cost in micro-dollars; None when nobody knows.
    :param connection: the connection that answered, where a route picked it; else empty.
    :param cached: it came from the reply cache: no token was used and nothing was paid.
    """

    text: str
    tool_requests: tuple[ToolRequest, ...] = ()
    stop_reason: StopReason = "stop"
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    request_id: str = ""
    cost_micros: int | None = None
    connection: str = ""
    cached: bool = False


def to_json(value: ModelReply | Message | ToolSpec | ToolRequest) -> dict[str, Any]:
    """Give the plain JSON form of a message value."""
    return asdict(value)


def reply_from_json(data: dict[str, Any]) -> ModelReply:
    """Read back what :func:`to_json` made of a :class:`ModelReply`; journals may lack the younger fields."""
    return ModelReply(
        text=data["text"],
        tool_requests=tuple(ToolRequest(**request) for request in data["tool_requests"]),
        stop_reason=data["stop_reason"],
        usage=Usage(**data["usage"]),
        model=data["model"],
        request_id=data["request_id"],
        cost_micros=data["cost_micros"],
        connection=data.get("connection", ""),
        cached=data.get("cached", False),
    )
