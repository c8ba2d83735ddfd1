"""Rows of any origin: measured for as long as the bounds allow, and a few of them shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from airflow_agent_provider.summary.fields import MORE, Fields
from airflow_agent_provider.summary.summary import Bounds

SHRINK = (1, 4, 16)


@dataclass(frozen=True, slots=True)
class Measured:
    """
    Rows that were looked at.

    :param rows: how many.
    :param first: the first ones, for the sample.
    :param complete: whether there were no more.
    """

    rows: int
    first: tuple[Any, ...]
    complete: bool


def measure(rows: Iterable[Any], fields: Fields) -> Measured:
    """
    Count rows into fields, as far as the bounds allow.

    An iterator is read no further than that: what it would give next stays in it.
    """
    bounds = fields.bounds
    first: list[Any] = []
    number = 0
    for row in islice(rows, bounds.rows):
        if number < bounds.sample_rows:
            first.append(row)
        fields.add(row)
        number += 1
        if fields.exhausted:
            break
    complete = number < bounds.rows and not fields.exhausted
    return Measured(number, tuple(first), complete)


def sample(rows: Sequence[Any], show: Callable[[Any, int], Any], bounds: Bounds) -> tuple[Any, ...]:
    """
    Show the first rows, as many as fit; the first one is shortened until it does.

    :param show: gives a row as plain JSON with values of so many characters.
    """
    left = bounds.sample_chars
    taken: list[Any] = []
    for row in rows[: bounds.sample_rows]:
        for part in SHRINK if not taken else SHRINK[:1]:
            written = show(row, max(bounds.value_chars // part, 1))
            if _size(written) <= left:
                break
        else:
            written = _trimmed(written, left) if not taken else None
        if written is None:
            break
        taken.append(written)
        left -= _size(written)
    return tuple(taken)


def _trimmed(row: Any, max_chars: int) -> Any:
    """Give the first keys of a row, as many as fit; None when none does."""
    if not isinstance(row, dict):
        return None
    kept: dict[str, Any] = {}
    for name, value in row.items():
        left = len(row) - len(kept) - 1
        if _size({**kept, name: value, **({MORE: f"{left} more"} if left else {})}) > max_chars:
            break
        kept[name] = value
    left = len(row) - len(kept)
    return {**kept, **({MORE: f"{left} more"} if left else {})} if kept else None


def _size(row: Any) -> int:
    return len(json.dumps(row, ensure_ascii=False))
