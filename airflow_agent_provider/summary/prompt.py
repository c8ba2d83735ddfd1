"""
A summary as text for a model, within a number of characters.

Everything that comes from the data stands inside JSON or quotation marks and on a
line of its own, so that a value cannot pass for a heading, a note or an instruction's
place in the prompt. What it says is still data: tell the model so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_agent_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow_agent_provider.summary.summary import Field, Summary

MIN_CHARS = 200
MAX_LINE_CHARS = 500
MAX_MORE_CHARS = 48  # what it takes to say how many lines were left out
MIN_CUT_CHARS = 40
SAMPLE_SHARE = 0.3
UNITS = {"length": "character", "bytes": "byte", "items": "item"}


def written(summary: Summary, max_chars: int) -> str:
    """
    Write a summary; see :meth:`Summary.to_prompt`.

    Fields come first when room is short: they get what the heading leaves, but for a
    share that is kept for the sample.
    """
    if max_chars < MIN_CHARS:
        raise ConfigurationError(f"to_prompt(max_chars={max_chars}): must be at least {MIN_CHARS}")
    text = _Text(max_chars)
    text.add([_heading(summary)])
    text.add([f"{name}: {_json(value)}" for name, value in summary.facts.items()], "fact")
    text.add([f"Note: {note}" for note in summary.notes], "note")
    sample = [f"  {_json(row, None)}" for row in summary.sample]
    reserved = min(sum(len(line) + 1 for line in sample), int(SAMPLE_SHARE * text.left))
    text.add([f"  {_field(one)}" for one in summary.fields], "field", "Fields:", reserved)
    text.add(sample, "row", "Sample:")
    return str(text)


class _Text:
    """Lines within a number of characters."""

    def __init__(self, max_chars: int) -> None:
        self.left = max_chars
        self._lines: list[str] = []

    def __str__(self) -> str:
        return "\n".join(self._lines)

    def add(self, lines: Sequence[str], noun: str = "", title: str = "", reserved: int = 0) -> None:
        """Add as many lines as fit, and how many did not; of the first line at least the beginning."""
        if not lines:
            return
        room = self.left - reserved - (len(title) + 1 if title else 0)
        taken = _that_fit(lines, room)
        if len(taken) < len(lines):
            taken = _that_fit(lines, room - MAX_MORE_CHARS)
            cut = lines[0][: room - MAX_MORE_CHARS - 2]
            if not taken and len(cut) > MIN_CUT_CHARS:
                taken = [f"{cut}…"]
            left = len(lines) - len(taken)
            taken += [f"  ({_count(left, noun)} left out)"] if left and room > MAX_MORE_CHARS else []
        if taken:
            self._put([title, *taken] if title else taken)

    def _put(self, lines: Sequence[str]) -> None:
        self._lines += lines
        self.left -= sum(map(len, lines)) + len(lines)


def _that_fit(lines: Sequence[str], room: int) -> list[str]:
    taken = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        taken.append(line)
    return taken


def _heading(summary: Summary) -> str:
    parts = [summary.kind]
    if summary.row_count is not None:
        parts.append(_count(summary.row_count, "row"))
    if summary.fields:
        parts.append(_count(len(summary.fields), "field"))
    if summary.measured_rows and summary.measured_rows != summary.row_count:
        parts.append(f"statistics from {_count(summary.measured_rows, 'row')}")
    label = f" {_json(summary.label, MIN_CHARS // 3)}" if summary.label else ""
    return f"Data{label}: {', '.join(parts)}"


def _field(field: Field) -> str:
    types = field.declared or " or ".join(field.types) or "no value seen"
    parts = [types, *_missing(field)]
    if field.sensitive:
        parts.append("sensitive: values are not shown")
    return f"{field.name}: {', '.join([*parts, *_statistics(field.statistics)])}"[:MAX_LINE_CHARS]


def _missing(field: Field) -> list[str]:
    if field.nulls:
        return [f"{field.nulls:,} missing"]
    if field.nullable is None:
        return []
    return ["may be missing"] if field.nullable else ["never missing"]


def _statistics(found: dict[str, Any]) -> list[str]:
    parts = []
    for low, high in (("min", "max"), ("earliest", "latest")):
        if low in found:
            parts.append(f"{_figure(found[low])} to {_figure(found[high])}")
    for name, unit in UNITS.items():
        least, most = found.get(f"min_{name}"), found.get(f"max_{name}")
        if least is not None and most is not None:
            parts.append(_count(most, unit) if least == most else f"{least:,} to {_count(most, unit)}")
    known = {
        *(f"{end}_{name}" for name in UNITS for end in ("min", "max")),
        "min",
        "max",
        "earliest",
        "latest",
    }
    for name, value in found.items():
        if name == "frequent":
            parts.append("frequent " + ", ".join(f"{_json(one)} ({number:,})" for one, number in value))
        elif name not in known:
            parts.append(f"{name.replace('_', ' ')} {_figure(value)}")
    return parts


def _figure(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)  # a whole number may be a year or an id: no separators


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _json(value: Any, max_chars: int | None = MAX_LINE_CHARS) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if max_chars is None or len(text) <= max_chars else f"{text[:max_chars]}…"
