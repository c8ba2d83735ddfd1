"""
What a pattern may ask of the world.

A pattern is a generator that yields *effects* and is sent back *replies*. It
does no I/O, reads no clock and draws no random number, so it can be replayed:
run it again, feed it the recorded replies, and it stands where it stood. The
idea is sans-IO (https://sans-io.readthedocs.io), as in h11 and in httpx's
``auth_flow``, applied to agents.

===============  ==========================================
effect           reply sent back
===============  ==========================================
``CallModel``    ``ModelReply``
``CallTool``     ``ToolResult``
``Gather``       tuple of what each flow returned, in order
===============  ==========================================

Patterns compose by ``yield from``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from airflow_agent_provider.core.messages import Message, ToolSpec

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CallModel:
    """
    Ask the model.

    :param schema: JSON schema that the answer must fit, or None for free text.
    :param max_tokens: most tokens the answer may have.
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    schema: dict[str, Any] | None = None
    max_tokens: int = 1024
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class CallTool:
    """Run a granted tool with arguments that already fit its schema."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """
    What a tool gave, as text for the model.

    :param failed: the content is the error's text.
    """

    content: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Gather:
    """Run flows side by side; the reply is the tuple of their results, in order."""

    flows: tuple[Flow[Any], ...]


Effect: TypeAlias = CallModel | CallTool | Gather
Flow: TypeAlias = Generator[Effect, Any, T]


def fingerprint(effect: CallModel | CallTool) -> str:
    """
    Give 32 hex digits that change when anything that was asked changes.

    A ``Gather`` has none: what its flows ask has entries of its own.
    """
    content = [type(effect).__name__, _fields(effect)]
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=_fields)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _fields(value: Any) -> list[Any]:
    # dataclasses.asdict would copy a whole transcript for each fingerprint of it.
    return [getattr(value, name) for name in value.__slots__]
