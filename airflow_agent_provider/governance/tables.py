"""
Cells that only their column's header gives away: phone numbers without a plus, passwords.

A header may stand far above its values, and by then no word beside them tells. Two
forms of table are understood: lines of cells (CSV, TSV, semicolons, Markdown), where
a header line is followed by lines with as many cells, and JSON with ``columns`` and
rows as lists. Rows as JSON objects need no help: there the name is beside the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from airflow_agent_provider.governance.contacts import PHONE_WORDS
from airflow_agent_provider.governance.credentials import HARMLESS_SUFFIX, hard_to_guess
from airflow_agent_provider.governance.personal_data import DataClass, Finding
from airflow_agent_provider.governance.reading import WORD, Reading

SECRET_HINTS = ("pass", "pwd", "secret", "token", "key", "credential")
HEADER_WORDS = PHONE_WORDS | frozenset(
    "password passwords passwd pwd passphrase secret secrets token tokens key keys apikey"
    " credential credentials".split()
)
STRICT = re.compile(r"(?:password|passwd|pwd|passphrase|secret)s?$")
WEAK = re.compile(r"(?:token|credential|(?:api|access|account|auth|private|secret)[ _-]?key)s?$")
MAX_HEADER_CHARS = 60
MIN_SECRET_CHARS = 6
DELIMITERS = "\t|;,"
QUOTED_CELL = {
    sign: re.compile(rf'"+[^"]*"+|[^{re.escape(sign)}]+|(?<={re.escape(sign)})') for sign in DELIMITERS
}
PHONE_CELL = re.compile(r"\+?\(?[0-9](?:[ \-./()]{0,3}[0-9]){6,14}(?: ?(?:x|ext\.?) ?[0-9]{1,6})?")
COLUMNS = re.compile(r'"(?:columns|headers?|fields)"{1,9}\s{0,3}:\s{0,3}\[([^\[\]{}]{1,4000})\]')
JSON_ROW = re.compile(r"\[([^\[\]{}]{1,20000})\]")


class Cell(NamedTuple):
    """A cell without its quotation marks, and where it starts."""

    text: str
    start: int


def under_headers(reading: Reading) -> Iterator[Finding]:
    """Find phone numbers and secrets in the columns that are named so."""
    text, lower = reading.plain, reading.lower
    if not reading.digit_runs and not any(hint in lower for hint in SECRET_HINTS):
        return
    named = reading.words & HEADER_WORDS
    if not named:
        return
    for start in _lines_with(named, lower) if "\n" in text else ():
        yield from _below(text, start)
    for columns in COLUMNS.finditer(text):
        header = _cells(Cell(columns[1], columns.start(1)), ",")
        if kinds := _kinds(header):
            rows = (Cell(row[1], row.start(1)) for row in JSON_ROW.finditer(text, columns.end()))
            yield from _column(kinds, len(header), (_cells(row, ",") for row in rows))


def _lines_with(words: Iterable[str], lower: str) -> list[int]:
    """Give where each line starts that has one of the words."""
    starts = set()
    for word in words:
        at = lower.find(word)
        while at >= 0:
            starts.add(lower.rfind("\n", 0, at) + 1)
            end = lower.find("\n", at)
            at = lower.find(word, end) if end >= 0 else -1
    return sorted(starts)


def _below(text: str, start: int) -> Iterator[Finding]:
    """Read the table whose header line starts here, if it is one."""
    header = _line(text, start)
    for delimiter in DELIMITERS:
        cells = _cells(header, delimiter)
        kinds = _kinds(cells)
        if kinds and len(cells) > 1:
            rows = (_cells(line, delimiter) for line in _lines(text, start + len(header.text) + 1))
            yield from _column(kinds, len(cells), rows)


def _column(kinds: dict[int, str], width: int, rows: Iterable[Sequence[Cell]]) -> Iterator[Finding]:
    """Go through rows as wide as the header, up to one that is a header itself."""
    for row in rows:
        if len(row) != width or _kinds(row):
            return
        for place, kind in kinds.items():
            cell = row[place]
            if _holds(kind, cell.text):
                data_class: DataClass = "phone" if kind == "phone" else "secret"
                end = cell.start + len(cell.text)
                yield Finding(cell.start, end, data_class, f"{data_class}:column", contextual=True)


def _lines(text: str, start: int) -> Iterator[Cell]:
    while start < len(text):
        line = _line(text, start)
        yield line
        start += len(line.text) + 1


def _line(text: str, start: int) -> Cell:
    end = text.find("\n", start)
    return Cell(text[start : end if end >= 0 else len(text)], start)


def _kinds(row: Sequence[Cell]) -> dict[int, str]:
    return {place: kind for place, cell in enumerate(row) if (kind := _kind(cell.text))}


def _cells(line: Cell, delimiter: str) -> list[Cell]:
    if delimiter not in line.text:
        return []
    cells = []
    for match in QUOTED_CELL[delimiter].finditer(line.text):
        text = match[0].strip().strip("\"'").strip()
        offset = match[0].find(text) if text else 0
        cells.append(Cell(text, line.start + match.start() + offset))
    return cells


def _kind(header: str) -> str:
    if len(header) > MAX_HEADER_CHARS:
        return ""
    lower = header.lower()
    if not PHONE_WORDS.isdisjoint(word.lower() for word in WORD.findall(header)):
        return "phone"
    if HARMLESS_SUFFIX.search(lower):
        return ""
    return "strict" if STRICT.search(lower) else "weak" if WEAK.search(lower) else ""


def _holds(kind: str, cell: str) -> bool:
    if kind == "phone":
        return PHONE_CELL.fullmatch(cell) is not None
    return len(cell) >= MIN_SECRET_CHARS and hard_to_guess(cell, strict=kind == "strict", quoted=False)
