"""
Personal data out of a call before it is sent, and back into its answer.

A :class:`Redactor` replaces what a :class:`.Scanner` finds by placeholders and
remembers what stood there. The same value gets the same placeholder, so that a
model can still tell that two rows have one owner.

Numbers are handed out in order of first use: nothing is random, and the same texts
in the same order give the same placeholders in any process. A flow replayed from
its journal therefore sends what it sent before. Where calls run side by side, that
order would depend on timing; :meth:`Redactor.branch` gives each call numbers of its
own, which depend on that call alone, and shares what was already scanned.

A text may hold ``<EMAIL_1>`` before anything is redacted, by chance or by design of
someone who wants another's address put there. Whatever looks like a placeholder is
therefore replaced as well, by ``<LITERAL_1>``: behind a redactor every placeholder
is its own, and ``restore(redact(text)) == text`` holds for every text.

A value found by the words around it ("SSN 219099999") is from then on replaced
wherever the redactor sees it, also in a tool's arguments, where no word tells.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple, NoReturn, TypeVar

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ModelReply, ToolRequest, ToolSpec
from airflow_agent_provider.governance.declared import ValueIndex
from airflow_agent_provider.governance.personal_data import DataClass, Finding
from airflow_agent_provider.governance.placeholders import LITERAL, NAMES, Placeholders, lookalikes
from airflow_agent_provider.governance.reading import meaning
from airflow_agent_provider.governance.scanner import Scanner

T = TypeVar("T")
MIN_CARRIED_CHARS = 6
# So many values are looked for one by one before a text is split into words for them.
FEW = 32
MAX_SCANNED_TEXTS = 4096
# Whole numbers from here on may be a card, an id or a phone number.
MIN_NUMBER = 10**6


class Piece(NamedTuple):
    """A span of a text and the name of the placeholder that takes its place."""

    start: int
    end: int
    name: str


class Redactor:
    """
    The placeholders of one flow, or of one call (:meth:`branch`).

    Shows counts only when printed, and refuses to be pickled.

    :param scanner: what to look for.
    :param allowed: data classes that are left as they are.
    """

    def __init__(self, scanner: Scanner | None = None, *, allowed: Collection[DataClass] = ()) -> None:
        self._scanner = scanner or Scanner()
        self._allowed = frozenset(allowed)
        self._scanned: dict[str, tuple[Finding, ...]] = {}
        self._placeholders = Placeholders()
        self._carried: dict[str, str] = {}
        self._carried_index = ValueIndex()

    def branch(self, *, allowed: Collection[DataClass] | None = None) -> Redactor:
        """
        Give a redactor with numbers of its own that shares what was already scanned.

        :param allowed: data classes that it leaves as they are; None: as this one.
        """
        branch = Redactor(self._scanner, allowed=self._allowed if allowed is None else allowed)
        branch._scanned = self._scanned
        return branch

    @property
    def counts(self) -> dict[DataClass, int]:
        """How many different values of each class were replaced; only classes with any."""
        return self._placeholders.counts

    def __repr__(self) -> str:
        return f"Redactor({', '.join(f'{one}: {count}' for one, count in self.counts.items())})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Redactor holds the personal data that it replaced: it is never pickled or copied")

    def redact(self, text: str) -> str:
        """Replace what is found in a text by placeholders."""
        self._learn(text)
        return self._replaced(text)

    def restore(self, text: str) -> str:
        """Put back what stood where this redactor's placeholders stand; others are left alone."""
        return self._placeholders.restore(text, str)

    def classes(self, call: CallModel) -> frozenset[DataClass]:
        """Say which data classes occur in a call, allowed or not."""
        return frozenset(finding.data_class for text in _texts(call) for finding in self._scan(text))

    def redact_call(self, call: CallModel) -> CallModel:
        """
        Replace what is found in messages, tool arguments, tool descriptions and schemas.

        Names of tools, of their parameters and ids of tool requests stay. A whole number
        in an argument becomes a placeholder's text. A call without findings is given back
        itself.
        """
        for text in _texts(call):
            self._learn(text)
        messages = _each(call.messages, self._message)
        tools = _each(call.tools, self._tool)
        schema = call.schema and _mapped(call.schema, self._replaced, keys=False)
        if messages is call.messages and tools is call.tools and schema is call.schema:
            return call
        return replace(call, messages=messages, tools=tools, schema=schema)

    def restore_reply(self, reply: ModelReply) -> ModelReply:
        r"""
        Put the values back into an answer's text and tool arguments.

        Values cut out of JSON lose their ``\uXXXX`` escapes; in an answer that is
        JSON they are escaped as JSON wants.
        """
        written = _meaning_in_json if _is_json(reply.text) else meaning
        text = self._placeholders.restore(reply.text, written)
        requests = _each(reply.tool_requests, lambda request: _changed(request, self._meant))
        if text == reply.text and requests is reply.tool_requests:
            return reply
        return replace(reply, text=text, tool_requests=requests)

    def _meant(self, text: str) -> str:
        return self._placeholders.restore(text, meaning)

    def _message(self, message: Message) -> Message:
        content = self._replaced(message.content)
        requests = _each(message.tool_requests, lambda request: _changed(request, self._replaced))
        if content is message.content and requests is message.tool_requests:
            return message
        return replace(message, content=content, tool_requests=requests)

    def _tool(self, spec: ToolSpec) -> ToolSpec:
        description = self._replaced(spec.description)
        parameters = _mapped(spec.parameters, self._replaced, keys=False)
        if description is spec.description and parameters is spec.parameters:
            return spec
        return replace(spec, description=description, parameters=parameters)

    def _scan(self, text: str) -> tuple[Finding, ...]:
        found = self._scanned.get(text)
        if found is None:
            found = self._scanner.find(text)
            if len(self._scanned) >= MAX_SCANNED_TEXTS:
                self._scanned.clear()
            self._scanned[text] = found
        return found

    def _unallowed(self, text: str) -> Iterator[Finding]:
        return (finding for finding in self._scan(text) if finding.data_class not in self._allowed)

    def _learn(self, text: str) -> None:
        """Remember the values of a text that would not be found without its words."""
        for finding in self._unallowed(text):
            for written in _writings(text[finding.start : finding.end]) if finding.contextual else ():
                if len(written) >= MIN_CARRIED_CHARS:
                    self._carried.setdefault(written, finding.data_class.upper())
                    self._carried_index.add(written)

    def _replaced(self, text: str) -> str:
        pieces = _disjoint(self._pieces(text))
        if not pieces:
            return text
        out: list[str] = []
        at = 0
        for start, end, name in pieces:
            out += (text[at:start], self._placeholders.of(name, text[start:end]))
            at = end
        return "".join((*out, text[at:]))

    def _pieces(self, text: str) -> list[Piece]:
        found = [Piece(one.start, one.end, one.data_class.upper()) for one in self._unallowed(text)]
        if len(self._carried) > FEW or any(value in text for value in self._carried):
            for start, end in self._carried_index.spans(text):
                found.append(Piece(start, end, self._carried[text[start:end]]))
        return found + [Piece(*span, LITERAL) for span in lookalikes(text)]


def _disjoint(pieces: Iterable[Piece]) -> list[Piece]:
    """
    Merge pieces that overlap, so that nothing found by any detector is left uncovered.

    The most harmful class names the whole.
    """
    merged: list[Piece] = []
    for piece in sorted(pieces):
        if merged and piece.start < merged[-1].end:
            last = merged.pop()
            name = min(last.name, piece.name, key=NAMES.index)
            merged.append(Piece(last.start, max(last.end, piece.end), name))
        else:
            merged.append(piece)
    return merged


def _writings(value: str) -> list[str]:
    """Give a value as it was cut out of a text, and as it reads with one level of JSON more or less."""
    written = [value, json.dumps(value, ensure_ascii=False)[1:-1]]
    with suppress(ValueError):
        written.append(str(json.loads(f'"{value}"')))
    return written


def _texts(call: CallModel) -> Iterator[str]:
    """Give every text of a call that is sent; arguments as JSON, where a name tells what its value is."""
    for message in call.messages:
        yield message.content
        for request in message.tool_requests:
            yield request.raw
            if request.arguments:
                yield json.dumps(request.arguments, ensure_ascii=False, default=str)
    for spec in call.tools:
        yield spec.description
        yield from _strings(spec.parameters)
    if call.schema:
        yield from _strings(call.schema)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def _changed(request: ToolRequest, changed: Callable[[str], str]) -> ToolRequest:
    arguments = _mapped(request.arguments, changed, keys=True)
    raw = changed(request.raw)
    if arguments is request.arguments and raw is request.raw:
        return request
    return replace(request, arguments=arguments, raw=raw)


def _each(values: tuple[T, ...], changed: Callable[[T], T]) -> tuple[T, ...]:
    """Change each value; the same tuple when none changed."""
    new = tuple(map(changed, values))
    return values if _same(new, values) else new


def _mapped(value: Any, changed: Callable[[str], str], *, keys: bool) -> Any:
    """
    Change every string, and whole numbers that as text would change, inside a JSON value.

    :param keys: change keys of objects too.
    :return: the same object when nothing changed.
    """
    if isinstance(value, str):
        return changed(value)
    if isinstance(value, int) and abs(value) >= MIN_NUMBER:
        written = str(value)
        return value if changed(written) == written else changed(written)
    if isinstance(value, dict):
        new_keys = [changed(key) for key in value] if keys else list(value)
        items = [_mapped(inner, changed, keys=keys) for inner in value.values()]
        same = _same(new_keys, value) and _same(items, value.values())
        return value if same else dict(zip(new_keys, items, strict=True))
    if isinstance(value, (list, tuple)):
        new = [_mapped(inner, changed, keys=keys) for inner in value]
        return value if _same(new, value) else new
    return value


def _same(new: Iterable[Any], old: Iterable[Any]) -> bool:
    return all(map(operator.is_, new, old))


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in {"{", "["}:
        return False
    with suppress(ValueError, RecursionError):
        json.loads(text)
        return True
    return False


def _meaning_in_json(value: str) -> str:
    return json.dumps(meaning(value), ensure_ascii=False)[1:-1]
