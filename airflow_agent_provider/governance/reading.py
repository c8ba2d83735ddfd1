r"""
A text as a reader would see it, with a map back to the text as it is.

Detectors look for plain characters. The same address may be written with
full-width signs, with zero-width characters inside, as ``alice\u0040example.org``
in JSON, as ``alice%40example.org`` in a URL or as ``alice&#64;example.org`` in
HTML. A :class:`Reading` undoes such writing; findings in it are mapped back, so
that what is replaced is what stands in the original.

JSON escapes are undone in every reading (``\n4111...`` in a tool's JSON result is
a line break and a number, not ``n4111``). Percent escapes and HTML entities give a
second reading: ``%41`` may as well be a sign and a number.

Most writing is undone character for character (an escaped line break becomes a space and a line break),
so that places stay what they are and it costs a few C-speed replacements. Only
what shrinks a text needs the map.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

# A run of backslashes counts as one: JSON inside JSON doubles them at each level.
CODED = re.compile(r"(?<!\\)\\++(?:u(?P<unicode>[0-9a-fA-F]{4})|x(?P<hex>[0-9a-fA-F]{2})|(?P<slash>/))")
# As many characters as were there.
LETTERS = {"n": " \n", "r": "  ", "t": " \t", "b": "  ", "f": "  ", "v": "  "}
QUOTE_LEVELS = 8
# %25 is the percent sign itself, encoded again. One character may be several bytes of UTF-8.
TAIL = r"(?:%(?:25){0,4}[89ABab][0-9a-fA-F])"
PERCENT_OR_ENTITY = re.compile(
    rf"%(?:25){{0,4}}(?P<bytes>[CDcd][0-9a-fA-F]{TAIL}|[Ee][0-9a-fA-F]{TAIL}{{2}}|[Ff][0-7]{TAIL}{{3}})"
    r"|%(?:25){0,4}(?P<percent>[2-7][0-9a-fA-F])|&#(?:[xX](?P<hex>[0-9a-fA-F]{1,6})|(?P<decimal>[0-9]{1,7}));"
    r"|&(?P<name>commat|period|colon|plus|lowbar|hyphen|nbsp|amp);"
)
ENTITIES = {
    "commat": "@",
    "period": ".",
    "colon": ":",
    "plus": "+",
    "lowbar": "_",
    "hyphen": "-",
    "nbsp": " ",
    "amp": "&",
}
# Seven digits or more that may be one number, with what people put between them. Dates and decimal
# fractions, most of what looks so in data, are passed over.
DIGIT_RUN = re.compile(
    r"[0-9](?:(?P<date>(?:(?<=1)9|(?<=2)0)[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])(?![0-9]|[-./][0-9]))"
    r"|(?P<decimal>[0-9]{0,2}\.[0-9]{4,}+(?![ \-./()_]{1,3}[0-9]))"
    r"|(?:(?! (?:19|20)[0-9]{2}-[01][0-9]-[0-3][0-9])[ \-./()_]{0,3}[0-9]){6,}+)"
)
# customerSsn is two words.
WORD = re.compile(r"[A-Z]+[^\W\d_A-Z]*|[^\W\d_A-Z]+")
SEPARATORS = str.maketrans("", "", " -./()_")


@dataclass(frozen=True)
class Run:
    """A run of digits: its span with the separators in it, and how many digits there are."""

    start: int
    end: int
    digits: int


@dataclass(frozen=True)
class Reading:
    """
    A text made plain.

    :param plain: the characters that detectors look at.
    :param source: the reading that this one was made of, when places in it differ.
    :param pieces: where the pieces of ``plain`` start, and for each its span in the source;
        a piece as long as its span is a copy, a shorter one is a single coded character.
    """

    plain: str = field(repr=False)
    source: Reading | None = field(default=None, repr=False)
    pieces: tuple[list[int], list[tuple[int, int]]] = field(default=([], []), repr=False)

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Map a span of the plain text to the original."""
        if self.source is None:
            return start, end
        return self.source.original(self._place(start)[0], self._place(end - 1)[1])

    def _place(self, index: int) -> tuple[int, int]:
        starts, spans = self.pieces
        piece = bisect_right(starts, index) - 1
        start, end = spans[piece]
        following = starts[piece + 1] if piece + 1 < len(starts) else len(self.plain)
        if following - starts[piece] < end - start:
            return start, end
        start += index - starts[piece]
        return start, start + 1

    @cached_property
    def lower(self) -> str:
        """The plain text in small letters, character for character."""
        lowered = self.plain.lower()
        # A few capitals (İ) become two characters and would shift every place behind them.
        return lowered if len(lowered) == len(self.plain) else "".join(c.lower()[0] for c in self.plain)

    @cached_property
    def words(self) -> frozenset[str]:
        """The distinct words of the text, in small letters."""
        return frozenset(word.lower() for word in set(WORD.findall(self.plain)))

    @cached_property
    def digit_runs(self) -> tuple[Run, ...]:
        """Runs of seven digits or more, with their separators."""
        return tuple(
            Run(match.start(), match.end(), len(match[0].translate(SEPARATORS)))
            for match in DIGIT_RUN.finditer(self.plain)
            if match["date"] is None and match["decimal"] is None
        )


def readings(text: str) -> list[Reading]:
    """Give the one reading of a text, or two where percent escapes or HTML entities occur in it."""
    reading = Reading(text)
    if "\\" in text:
        reading = Reading(_unescaped(text))
        if CODED.search(reading.plain):
            reading = _shrunk(reading, CODED, _json_character)
    reading = _folded(reading)
    found = [reading]
    if ("%" in reading.plain or "&" in reading.plain) and PERCENT_OR_ENTITY.search(reading.plain):
        found.append(_folded(_shrunk(reading, PERCENT_OR_ENTITY, _web_character)))
    return found


def meaning(surface: str) -> str:
    r"""Undo the ``\uXXXX`` escapes of a value that was cut out of JSON text."""
    return CODED.sub(_json_character, surface) if "\\" in surface else surface


def _unescaped(text: str) -> str:
    for letter, plain in LETTERS.items():
        text = text.replace(f"\\{letter}", plain)
    for quote in "\"'":
        for _ in range(QUOTE_LEVELS):
            if f"\\{quote}" not in text:
                break
            text = text.replace(f"\\{quote}", quote * 2)
    return text


def _json_character(match: re.Match[str]) -> str:
    return "/" if match["slash"] else chr(int(match["unicode"] or match["hex"], 16))


def _web_character(match: re.Match[str]) -> str:
    if match["name"]:
        return ENTITIES[match["name"]]
    if match["bytes"]:
        octets = re.sub(r"%(?:25)*", "", match["bytes"])
        return bytes.fromhex(octets).decode("utf-8", "replace")[:1]
    code = int(match["decimal"]) if match["decimal"] else int(match["percent"] or match["hex"], 16)
    return chr(code) if code <= sys.maxunicode else " "


def _folded(reading: Reading) -> Reading:
    if reading.plain.isascii():
        return reading
    text, invisible = reading.plain, []
    for character in sorted(set(text)):
        plain = _fold(character)
        if not plain:
            invisible.append(character)
        elif plain != character:
            text = text.replace(character, plain)
    folded = Reading(text, reading.source, reading.pieces)
    if not invisible:
        return folded
    return _shrunk(folded, re.compile(f"[{re.escape(''.join(invisible))}]"), lambda _: "")


@lru_cache(maxsize=8192)
def _fold(character: str) -> str:
    """Give the ASCII character that a reader would take this one for; nothing for an invisible one."""
    if character.isascii():
        return character
    category = unicodedata.category(character)
    if category == "Cf" or "\ufe00" <= character <= "\ufe0f":
        return ""
    if category in {"Zs", "Pd"}:
        return " " if category == "Zs" else "-"
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    if character == "\u2212":
        return "-"
    compatible = unicodedata.normalize("NFKC", character)
    return compatible if len(compatible) == 1 and compatible.isascii() else character


def _shrunk(source: Reading, pattern: re.Pattern[str], character: Callable[[re.Match[str]], str]) -> Reading:
    """Replace each match by one character or none, and keep where the pieces come from."""
    plain: list[str] = []
    starts: list[int] = []
    spans: list[tuple[int, int]] = []
    length = at = 0

    def add(piece: str, start: int, end: int) -> None:
        nonlocal length
        if piece:
            plain.append(piece)
            starts.append(length)
            spans.append((start, end))
            length += len(piece)

    for match in pattern.finditer(source.plain):
        add(source.plain[at : match.start()], at, match.start())
        add(character(match), match.start(), match.end())
        at = match.end()
    add(source.plain[at:], at, len(source.plain))
    return Reading("".join(plain), source, (starts, spans))
