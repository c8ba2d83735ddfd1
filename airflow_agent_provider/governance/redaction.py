"""
Placeholders for personal data: put in before a call, taken out of its answer.

A :class:`Redactor` replaces what a :class:`.Scanner` finds by ``<EMAIL_1>``,
``<PHONE_2>`` and so on, and remembers what stood there. The same value gets the
same placeholder, so that a model can still tell that two rows have one owner.

Numbers are handed out in order of first sight: nothing is random, and the same
texts in the same order give the same placeholders in any process. A flow replayed
from its journal therefore sends what it sent before. Where calls run side by side,
that order would depend on timing; :meth:`Redactor.branch` gives each call numbers
of its own, which depend on that call alone, and shares what was already scanned.

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
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NoReturn, TypeVar

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ModelReply, ToolRequest, ToolSpec
from airflow_agent_provider.governance.personal_data import DATA_CLASSES, DataClass, Finding
from airflow_agent_provider.governance.reading import meaning
from airflow_agent_provider.governance.scanner import Scanner

T = TypeVar("T")
LITERAL = "LITERAL"
NAMES = (*(data_class.upper() for data_class in DATA_CLASSES), LITERAL)
# As we write them, and as a model may give them back: other capitals, spaces, escaped for HTML, JSON, a URL
# or Markdown. What is taken for one in an answer is escaped in a text, so the two never mix.
GAP = r"[\s\\_-]"
PLACEHOLDER = re.compile(
    rf"(?:<|&lt;|%3C|\\u003c)\s{{0,3}}(?P<name>{'|'.join(NAMES).replace('_', f'{GAP}{{1,3}}')})"
    rf"{GAP}{{1,3}}(?P<number>[0-9]{{1,6}})\s{{0,3}}(?:>|&gt;|%3E|\\u003e)",
    re.IGNORECASE,
)
OPENERS = ("<", "&lt;", "%3", "\\u003")
MIN_CARRIED_CHARS = 6
MAX_SCANNED_TEXTS = 4096
# Whole numbers of at least so many digits may be a card, an id or a phone number.
MIN_NUMBER = 10**6


@dataclass(frozen=True, slots=True)
class _Piece:
    """A span of a text that a placeholder takes the place of; ``name`` is the placeholder's."""

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
        self._placeholders: dict[tuple[str, str], str] = {}
        self._surfaces: dict[str, str] = {}
        self._numbers: Counter[str] = Counter()
        self._carried: dict[str, str] = {}

    def branch(self, *, allowed: Collection[DataClass] | None = None) -> Redactor:
        """
        Give a redactor with numbers of its own that shares what was already scanned.

        :param allowed: data classes that it leaves as they are; None: as this one.
        """
        branch = Redactor(self._scanner, allowed=self._allowed if allowed is None else allowed)
        branch._scanned = self._scanned  # noqa: SLF001  of the same class
        return branch

    @property
    def counts(self) -> dict[DataClass, int]:
        """How many different values of each class were replaced; only classes with any."""
        return {one: self._numbers[one.upper()] for one in DATA_CLASSES if self._numbers[one.upper()]}

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
        return self._restored(text, lambda surface: surface)

    def classes(self, call: CallModel) -> frozenset[DataClass]:
        """Say which data classes occur in a call, allowed or not."""
        return frozenset(finding.data_class for text in _texts(call) for finding in self._scan(text))

    def redact_call(self, call: CallModel) -> CallModel:
        """
        Replace what is found in messages, tool arguments, tool descriptions and schemas.

        Names of tools, of their parameters and ids of tool requests stay. A call
        without findings is given back itself.
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
        text = self._restored(reply.text, _meaning_in_json if _is_json(reply.text) else meaning)
        requests = _each(reply.tool_requests, self._restored_request)
        if text == reply.text and requests is reply.tool_requests:
            return reply
        return replace(reply, text=text, tool_requests=requests)

    def _restored_request(self, request: ToolRequest) -> ToolRequest:
        def restored(text: str) -> str:
            return self._restored(text, meaning)

        arguments = _mapped(request.arguments, restored, keys=True)
        raw = restored(request.raw)
        if arguments is request.arguments and raw == request.raw:
            return request
        return replace(request, arguments=arguments, raw=raw)

    def _message(self, message: Message) -> Message:
        content = self._replaced(message.content)
        requests = _each(message.tool_requests, self._request)
        if content is message.content and requests is message.tool_requests:
            return message
        return replace(message, content=content, tool_requests=requests)

    def _request(self, request: ToolRequest) -> ToolRequest:
        arguments = _mapped(request.arguments, self._replaced, keys=True)
        raw = self._replaced(request.raw)
        if arguments is request.arguments and raw is request.raw:
            return request
        return replace(request, arguments=arguments, raw=raw)

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

    def _learn(self, text: str) -> None:
        """Remember the values of a text that would not be found without its words."""
        for finding in self._unallowed(text):
            if finding.contextual and finding.end - finding.start >= MIN_CARRIED_CHARS:
                for written in _writings(text[finding.start : finding.end]):
                    self._carried.setdefault(written, finding.data_class.upper())

    def _unallowed(self, text: str) -> Iterator[Finding]:
        return (finding for finding in self._scan(text) if finding.data_class not in self._allowed)

    def _replaced(self, text: str) -> str:
        pieces = self._pieces(text)
        if not pieces:
            return text
        out, at = [], 0
        for piece in pieces:
            out += (text[at : piece.start], self._placeholder(piece.name, text[piece.start : piece.end]))
            at = piece.end
        return "".join((*out, text[at:]))

    def _pieces(self, text: str) -> list[_Piece]:
        found = [_Piece(one.start, one.end, one.data_class.upper()) for one in self._unallowed(text)]
        for value, name in self._carried.items():
            if value in text:
                found += [_Piece(start, start + len(value), name) for start in _occurrences(value, text)]
        if any(opener in text for opener in OPENERS):
            found += [_Piece(*match.span(), LITERAL) for match in PLACEHOLDER.finditer(text)]
        return _disjoint(found)

    def _placeholder(self, name: str, surface: str) -> str:
        key = (name, surface)
        if key not in self._placeholders:
            self._numbers[name] += 1
            self._placeholders[key] = f"<{name}_{self._numbers[name]}>"
            self._surfaces[self._placeholders[key]] = surface
        return self._placeholders[key]

    def _restored(self, text: str, written: Callable[[str], str]) -> str:
        if not self._surfaces or not any(opener in text for opener in OPENERS):
            return text

        def put_back(match: re.Match[str]) -> str:
            name = re.sub(f"{GAP}+", "_", match["name"]).upper()
            surface = self._surfaces.get(f"<{name}_{int(match['number'])}>")
            return match[0] if surface is None else written(surface)

        return PLACEHOLDER.sub(put_back, text)


def _texts(call: CallModel) -> Iterator[str]:
    """Give every text of a call that is sent, arguments as JSON: a name in it tells what its value is."""
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
        changed_keys = [changed(key) for key in value] if keys else value
        items = [_mapped(inner, changed, keys=keys) for inner in value.values()]
        same = _same(changed_keys, value) and _same(items, value.values())
        return value if same else dict(zip(changed_keys, items, strict=True))
    if isinstance(value, (list, tuple)):
        new = [_mapped(inner, changed, keys=keys) for inner in value]
        return value if _same(new, value) else type(value)(new)
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


def _meaning_in_json(surface: str) -> str:
    return json.dumps(meaning(surface), ensure_ascii=False)[1:-1]


def _writings(surface: str) -> set[str]:
    """Give a value as it was cut out of a text, and as it reads with one level of JSON more or less."""
    written = {surface, json.dumps(surface, ensure_ascii=False)[1:-1]}
    with suppress(ValueError):
        written.add(json.loads(f'"{surface}"'))
    return written


def _occurrences(value: str, text: str) -> Iterator[int]:
    """Give where a value starts in a text, where neither its first nor its last word goes on."""
    start = text.find(value)
    while start >= 0:
        end = start + len(value)
        joined_before = start > 0 and text[start - 1].isalnum() and value[0].isalnum()
        joined_behind = end < len(text) and text[end].isalnum() and value[-1].isalnum()
        if not (joined_before or joined_behind):
            yield start
        start = text.find(value, end)


def _disjoint(pieces: list[_Piece]) -> list[_Piece]:
    """Merge pieces that overlap; the most harmful class names the whole."""
    merged: list[_Piece] = []
    for piece in sorted(pieces, key=lambda one: (one.start, one.end)):
        if merged and piece.start < merged[-1].end:
            last = merged.pop()
            name = min(last.name, piece.name, key=NAMES.index)
            piece = _Piece(last.start, max(last.end, piece.end), name)
        merged.append(piece)
    return merged
