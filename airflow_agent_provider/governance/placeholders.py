"""
What stands in a text instead of a value: ``<EMAIL_1>``, ``<PAYMENT_CARD_2>``.

A model may give a placeholder back slightly changed: other capitals, spaces, or
escaped for HTML, JSON, a URL or Markdown. One pattern says what is taken for a
placeholder in an answer; the redactor escapes the very same pattern where it occurs
in a text that it is given, so the two never mix.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

from airflow_agent_provider.governance.personal_data import DATA_CLASSES, DataClass

#: Names what looked like a placeholder before anything was replaced.
LITERAL = "LITERAL"
#: The most harmful first.
NAMES = (*(data_class.upper() for data_class in DATA_CLASSES), LITERAL)
GAP = r"[\s\\_-]"
PLACEHOLDER = re.compile(
    rf"(?:<|&lt;|%3C|\\u003c)\s{{0,3}}(?P<name>{'|'.join(NAMES).replace('_', f'{GAP}{{1,3}}')})"
    rf"{GAP}{{1,3}}(?P<number>[0-9]{{1,6}})\s{{0,3}}(?:>|&gt;|%3E|\\u003e)",
    re.IGNORECASE,
)
OPENERS = ("<", "&", "%3", "\\u003", "\\U003")


class Placeholders:
    """Placeholders by value, numbered for each name in order of first use, and values by placeholder."""

    __slots__ = ("_numbers", "_placeholders", "_values")

    def __init__(self) -> None:
        self._numbers: Counter[str] = Counter()
        self._placeholders: dict[tuple[str, str], str] = {}
        self._values: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Placeholders({self.counts})"

    @property
    def counts(self) -> dict[DataClass, int]:
        """How many different values of each class have one; only classes with any."""
        return {one: self._numbers[one.upper()] for one in DATA_CLASSES if self._numbers[one.upper()]}

    def of(self, name: str, value: str) -> str:
        """Give a value's placeholder, a new one at first sight."""
        key = (name, value)
        if key not in self._placeholders:
            self._numbers[name] += 1
            self._placeholders[key] = f"<{name}_{self._numbers[name]}>"
            self._values[self._placeholders[key]] = value
        return self._placeholders[key]

    def restore(self, text: str, written: Callable[[str], str]) -> str:
        """
        Put the values back; placeholders that were never handed out stay.

        :param written: how a value is written in this text.
        """
        if not self._values or not _may_hold_any(text):
            return text

        def value_of(match: re.Match[str]) -> str:
            name = re.sub(f"{GAP}+", "_", match["name"]).upper()
            value = self._values.get(f"<{name}_{int(match['number'])}>")
            return match[0] if value is None else written(value)

        return PLACEHOLDER.sub(value_of, text)


def lookalikes(text: str) -> Iterator[tuple[int, int]]:
    """Give the spans of whatever would be taken for a placeholder."""
    if _may_hold_any(text):
        for match in PLACEHOLDER.finditer(text):
            yield match.span()


def _may_hold_any(text: str) -> bool:
    return any(opener in text for opener in OPENERS)
