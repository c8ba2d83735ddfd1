"""
One thing that an agent remembers, and how much room it takes.

A :class:`Memo` is what is kept or lost together: a note, or one turn, which is a
model's request for tools *with* the results. Providers refuse a request without its
results and results without their request, so a turn is never torn apart.

Sizes are computed from what a memo says, not asked of the interpreter:
``sys.getsizeof`` of one text changes over its life, and a resumed flow has to forget
what the first try forgot. Bytes follow CPython's layout of texts, tuples, dicts and
slots; the tests hold them against ``tracemalloc``.

Tokens are an estimate, since each model counts its own way: a quarter of a token for
each ASCII letter, space and line break, three quarters for each other ASCII sign
(figures, punctuation), half of one for each UTF-8 byte beyond ASCII, and four for
each message. Held against two real tokenizers (``cl100k_base`` of GPT-4 and the one
that Anthropic published), it gives 0.9 to 1.3 times their count for English, German,
code, JSON, CSV and hexadecimal text, 1.1 to 1.5 times for Chinese, Japanese, Arabic
and Hindi, about twice for Russian, and 0.7 to 0.9 times for emoji.
"""

from __future__ import annotations

import json
import string
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_agent_provider.core.messages import Message, ToolRequest

CUT = "[the rest was left out to save room]"
FRAMING_TOKENS = 4

OBJECT_BYTES = 72  # a slotted object with five fields, the garbage collector's header included
TUPLE_BYTES, LIST_BYTES, SLOT_BYTES = 56, 72, 8
DICT_BYTES, DICT_FIRST, DICT_ENTRY_BYTES = 200, 5, 45
NUMBER_BYTES = 32
ASCII_BYTES, WIDE_BYTES = 49, 74  # before the first character
PLAIN = (string.ascii_letters + " \n").encode()
BEYOND_ASCII = bytes(range(128, 256))


@dataclass(frozen=True, slots=True)
class Memo:
    """
    What is remembered or forgotten as one.

    :param kind: ``turn``, ``summary``, one of ``memory.PINNED``, or a word of your own.
    :param messages: what the model is sent of it, in order.
    :param priority: the lowest goes first; among equals the oldest.
    :ivar bytes: what it takes of the process's memory.
    :ivar tokens: what it takes of a model's context, estimated.
    """

    kind: str
    messages: tuple[Message, ...]
    priority: int = 0
    bytes: int = field(init=False)
    tokens: int = field(init=False)

    def __post_init__(self) -> None:
        own = OBJECT_BYTES + TUPLE_BYTES + SLOT_BYTES * (len(self.messages) + 1) + 2 * NUMBER_BYTES
        object.__setattr__(self, "bytes", own + sum(map(_message_bytes, self.messages)))
        object.__setattr__(self, "tokens", sum(map(_message_tokens, self.messages)))

    def cut(self, max_chars: int) -> Memo:
        """Give the memo with results of tools cut to a length; itself where that gains nothing."""
        messages = tuple(_cut(one, max_chars) for one in self.messages)
        return self if messages == self.messages else replace(self, messages=messages)

    @property
    def longest_result(self) -> int:
        """Characters of the longest result of a tool."""
        return max((len(one.content) for one in self.messages if one.role == "tool"), default=0)


def note(kind: str, text: str, priority: int = 0) -> Memo:
    """Make a memo of a text; the model is sent it as the user's, after its kind in brackets."""
    return Memo(kind, (Message("user", f"[{kind}] {text}"),), priority)


def text_tokens(text: str) -> int:
    """Estimate how many tokens a text has."""
    signs = text.encode("utf-8", "surrogatepass").translate(None, PLAIN)
    ascii_signs = len(signs.translate(None, BEYOND_ASCII))
    beyond = len(signs) - ascii_signs
    # Letters: what is left of the characters when signs and those beyond ASCII are taken out.
    letters = len(text.encode("ascii", "ignore")) - ascii_signs
    return -(-(letters + 3 * ascii_signs + 2 * beyond) // 4)


def text_bytes(text: str) -> int:
    """Tell what a text takes in CPython: one, two or four bytes a character, by its widest."""
    if text.isascii():
        return ASCII_BYTES + len(text)
    return WIDE_BYTES + len(text) * _width(text)


def _width(text: str) -> int:
    if len(text.encode("utf-16-le", "surrogatepass")) > 2 * len(text):
        return 4
    return 1 if len(text.encode("latin-1", "ignore")) == len(text) else 2


def _cut(message: Message, max_chars: int) -> Message:
    if message.role != "tool" or len(message.content) <= max_chars + len(CUT):
        return message
    head = message.content[:max_chars]
    return replace(message, content=f"{head}\n{CUT}" if head else CUT)


def _message_tokens(message: Message) -> int:
    requests = (
        f"{one.name} {one.id} {one.raw} {one.signature} {json.dumps(one.arguments, ensure_ascii=False)}"
        for one in message.tool_requests
    )
    return FRAMING_TOKENS + text_tokens(message.content) + sum(map(text_tokens, requests))


def _message_bytes(message: Message) -> int:
    texts = text_bytes(message.content) + text_bytes(message.tool_call_id or "")
    requests = sum(SLOT_BYTES + _request_bytes(one) for one in message.tool_requests)
    return OBJECT_BYTES + TUPLE_BYTES + texts + requests


def _request_bytes(request: ToolRequest) -> int:
    texts = sum(map(text_bytes, (request.id, request.name, request.raw, request.signature)))
    return OBJECT_BYTES + texts + _json_bytes(request.arguments)


def _json_bytes(value: Any) -> int:
    total = 0
    waiting = [value]
    while waiting:  # no recursion: a model may nest its arguments as deep as it likes
        one = waiting.pop()
        if isinstance(one, str):
            total += text_bytes(one)
        elif isinstance(one, dict):
            total += DICT_BYTES + DICT_ENTRY_BYTES * max(0, len(one) - DICT_FIRST)
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            total += LIST_BYTES + SLOT_BYTES * len(one)
            waiting += one
        elif isinstance(one, int):
            total += NUMBER_BYTES + one.bit_length() // 8
        else:
            total += NUMBER_BYTES
    return total
