"""
Values that the caller declared sensitive, found wherever they stand on their own.

A column may have a hundred thousand values, far too many to look for one by one.
They are indexed by their first word: the text is split into words once, and only a
word that some value starts with is compared further, so the cost depends on the
text alone. Scripts that put no spaces between words are indexed by character.
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


class DeclaredValues:
    """
    An index of exact values.

    :param values: those shorter than three characters are left out: they would be
        found everywhere.
    """

    def __init__(self, values: Iterable[str]) -> None:
        self._by_word: dict[str, list[tuple[int, str]]] = {}
        self._wordless: list[str] = []
        for value in values:
            if len(value.strip()) >= MIN_CHARS:
                for written in _writings(value.strip()):
                    self._add(written)

    def _add(self, written: str) -> None:
        first = WORD.search(written)
        if first is None:
            self._wordless.append(written)
        else:
            self._by_word.setdefault(first[0], []).append((first.start(), written))

    def findings(self, reading: Reading) -> Iterator[Finding]:
        """Find the values in a text, each where no word goes on before or behind it."""
        text = reading.plain
        if self._by_word:
            for word in WORD.finditer(text):
                for offset, value in self._by_word.get(word[0], ()):
                    start = word.start() - offset
                    if start >= 0 and text.startswith(value, start) and _ends_word(text, start + len(value)):
                        yield Finding(start, start + len(value), "declared", "declared")
        for value in self._wordless:
            for match in re.finditer(re.escape(value), text):
                yield Finding(match.start(), match.end(), "declared", "declared")


def _writings(value: str) -> set[str]:
    """Give the ways in which one value may be written in a reading: its Unicode forms, and in a URL."""
    forms = {value, unicodedata.normalize("NFC", value), unicodedata.normalize("NFD", value)}
    # A reading has plain signs for full-width and similar ones: a value with such is made plain alike.
    forms |= {reading.plain for form in forms for reading in readings(form)}
    return forms | {quote(form) for form in forms}


def _ends_word(text: str, end: int) -> bool:
    return end >= len(text) or not (SPACED.match(text, end - 1) and SPACED.match(text, end))
