"""
Exact values found wherever they stand on their own: those of a column declared sensitive.

A column may have a hundred thousand values, far too many to look for one by one.
They are indexed by their first word and their length: the text is split into words
once, and where some value may start, the piece of that length is looked up. So the
cost hardly depends on how many values there are. Scripts that put no spaces between
words are indexed by character.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from airflow_agent_provider.governance.personal_data import Finding
from airflow_agent_provider.governance.reading import Reading, readings

MIN_CHARS = 3
# Thai to Tibetan, Myanmar, Khmer, and from the CJK radicals on.
UNSPACED = "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\ufaff\U00020000-\U0003ffff"
SPACED = re.compile(rf"[^\W_{UNSPACED}]")
WORD = re.compile(rf"[{UNSPACED}]|[^\W_{UNSPACED}]+")


class ValueIndex:
    """Finds many values in a text at once, each where no word goes on before or behind it."""

    __slots__ = ("_places", "_values", "_wordless")

    def __init__(self) -> None:
        self._values: set[str] = set()
        # First word -> where it stands in a value, and how long the value is: far fewer than values.
        self._places: dict[str, set[tuple[int, int]]] = {}
        self._wordless: set[str] = set()

    def add(self, value: str) -> None:
        first = WORD.search(value)
        if first is None:
            self._wordless.add(value)
        else:
            self._values.add(value)
            self._places.setdefault(first[0], set()).add((first.start(), len(value)))

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Give where values stand; those of different length may overlap."""
        for word in WORD.finditer(text) if self._places else ():
            for offset, length in self._places.get(word[0], ()):
                start, end = word.start() - offset, word.start() - offset + length
                if start >= 0 and text[start:end] in self._values and _ends_word(text, end):
                    yield start, end
        for value in self._wordless:
            for match in re.finditer(re.escape(value), text):
                yield match.span()


class DeclaredValues:
    """
    Values that the caller declared sensitive.

    :param values: those shorter than three characters are left out: they would be
        found everywhere.
    """

    __slots__ = ("_index",)

    def __init__(self, values: Iterable[str]) -> None:
        self._index = ValueIndex()
        for value in values:
            if len(value.strip()) >= MIN_CHARS:
                for written in _writings(value.strip()):
                    self._index.add(written)

    def findings(self, reading: Reading) -> Iterator[Finding]:
        """Find the values in a text."""
        for start, end in self._index.spans(reading.plain):
            yield Finding(start, end, "declared", "declared")


def _writings(value: str) -> set[str]:
    """Give the ways in which one value may be written in a reading: its Unicode forms, and in a URL."""
    forms = {value, unicodedata.normalize("NFC", value), unicodedata.normalize("NFD", value)}
    # A reading has plain signs for full-width and similar ones: a value with such is made plain alike.
    forms |= {reading.plain for form in forms for reading in readings(form)}
    return forms | {quote(form) for form in forms}


def _ends_word(text: str, end: int) -> bool:
    return end >= len(text) or not (SPACED.match(text, end - 1) and SPACED.match(text, end))
