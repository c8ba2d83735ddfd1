"""
Striking a prompt from what a server says about it.

Servers quote what they refuse: "Incorrect value: ...", or, as FastAPI and pydantic do,
the whole request. Errors go to logs that more people read than prompts, so that nothing
of a conversation may stand in them. Struck are

- runs of a dozen characters and more that stand in a message or in the arguments of a
  tool, however the server escaped them,
- shorter words with a digit or an ``@`` in them: account numbers, addresses,
- a message that is itself shorter than that.

What a server says in words of its own stays, and so do the names of models, tools and
fields. Single words of a prompt may stay too, where a server quotes no more than one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from airflow_agent_provider.core.effects import CallModel

EXCERPT_CHARS = 12
TELLING_CHARS = 5
SHORT_CHARS = 4
STRUCK = "[prompt]"
CUT_OFF = "..."
# A character as servers write it: escaped by number, escaped by letter, or plain.
_UNIT = re.compile(r"\\u([0-9a-fA-F]{4})|\\[nrtbf\"'\\/]|(.)", re.DOTALL)
_GAP = re.compile(r"(?:\\[nrtbf\"'\\/]|[\W_])+")
_TELLING = re.compile(r"[\w.+-]*[\d@][\w.@+-]*")


def without_prompt(text: str, call: CallModel) -> str:
    """
    Strike what a text quotes of a call's conversation.

    :param text: short, e.g. an error's message.
    """
    said = list(_said(call))
    prompt = " ".join(_plain(one) for one in said)
    plain, spans = _spans(text)
    marks = [
        *_excerpts(plain, spans, prompt),
        *_telling(text, " ".join(said).lower()),
        *_short(plain, spans, said),
        *(_cut_off(plain, spans, prompt) if text.endswith(CUT_OFF) else ()),
    ]
    return _struck(text, marks)


def _said(call: CallModel) -> Iterator[str]:
    for message in call.messages:
        yield message.content
        for request in message.tool_requests:
            yield json.dumps(request.arguments, ensure_ascii=False) + request.raw


def _plain(text: str) -> str:
    """Give the letters and digits of a text, all else as single blanks."""
    return _GAP.sub(" ", text.lower())


def _spans(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Give the same of what a server wrote, numbered characters too, and where each was found."""
    plain: list[str] = []
    spans: list[tuple[int, int]] = []
    for unit in _UNIT.finditer(text):
        number, sign = unit.groups()
        letter = (chr(int(number, 16)) if number else sign or " ").lower()[0]
        if not letter.isalnum():
            if plain and plain[-1] == " ":
                continue
            letter = " "
        plain.append(letter)
        spans.append(unit.span())
    return "".join(plain), spans


Marks = Iterator[tuple[int, int]]


def _excerpts(plain: str, spans: list[tuple[int, int]], prompt: str) -> Marks:
    start = 0
    while start + EXCERPT_CHARS <= len(plain):
        length = _shared(plain[start:], prompt) if plain[start] != " " else 0
        if length:
            yield spans[start][0], spans[start + len(plain[start : start + length].rstrip()) - 1][1]
        start += length or 1


def _cut_off(plain: str, spans: list[tuple[int, int]], prompt: str) -> Marks:
    """Find the beginning of an excerpt that was cut off together with the text."""
    for start in range(max(len(plain) - EXCERPT_CHARS, 0), len(plain) - SHORT_CHARS):
        tail = plain[start:].strip()
        if plain[start - 1 : start] in {"", " "} and len(tail) >= SHORT_CHARS and tail in prompt:
            yield spans[start][0], spans[-1][0]
            return


def _shared(text: str, prompt: str) -> int:
    """Give how much of a text's beginning stands in the prompt, or 0 when it is too little to matter."""
    if text[:EXCERPT_CHARS] not in prompt:
        return 0
    least, most = EXCERPT_CHARS, len(text)
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if text[:middle] in prompt else (least, middle - 1)
    return least


def _telling(text: str, prompt: str) -> Marks:
    for word in _TELLING.finditer(text):
        if len(word.group()) >= TELLING_CHARS and word.group().strip(".-").lower() in prompt:
            yield word.span()


def _short(plain: str, spans: list[tuple[int, int]], said: list[str]) -> Marks:
    for one in said:
        message = _plain(one).strip()
        start = plain.find(message) if SHORT_CHARS <= len(message) < EXCERPT_CHARS else -1
        while start >= 0:
            yield spans[start][0], spans[start + len(message) - 1][1]
            start = plain.find(message, start + len(message))


def _struck(text: str, marks: list[tuple[int, int]]) -> str:
    parts, done = [], 0
    for start, end in sorted(marks):
        if end <= done:
            continue
        parts += [text[done:start], STRUCK] if start >= done else [STRUCK]
        done = end
    return re.sub(rf"(?:{re.escape(STRUCK)})+", STRUCK, "".join([*parts, text[done:]]))
