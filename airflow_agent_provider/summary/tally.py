"""Statistics of one field, kept while its values pass by, in bounded memory."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, date, datetime, time
from typing import Any

from airflow_agent_provider.summary.values import as_float, is_huge, shown, type_of

MAX_DISTINCT = 100
MAX_DISTINCT_CHARS = 64
FREQUENT = 5
SPANS = {"value": ("min", "max"), "text": ("min_length", "max_length"), "bytes": ("min_bytes", "max_bytes")}
SPANS |= {"list": ("min_items", "max_items"), "time": ("earliest", "latest")}


class Tally:
    """
    Counts plain values of one field.

    :ivar seen: values, nulls included.
    :ivar nulls: nulls among them.
    :ivar types: how many values of each other type there were.
    """

    def __init__(self) -> None:
        self.seen = 0
        self.nulls = 0
        self.types: Counter[str] = Counter()
        self._spans: dict[str, list[Any]] = {}
        self._total, self._finite, self._beyond, self._true = 0.0, 0, 0, 0
        self._frequent: Counter[Any] | None = Counter()
        self._many = False

    def add(self, value: Any) -> str:
        """Count a plain value; give its type."""
        kind = type_of(value)
        self.seen += 1
        if kind == "null":
            self.nulls += 1
            return kind
        self.types[kind] += 1
        if kind in {"integer", "number"}:
            self._add_number(value)
        elif kind == "boolean":
            self._true += value
        elif kind in {"timestamp", "date"}:
            self._add_time(value)
        elif kind == "text":
            self._span("text", len(str(value)))
        elif kind in {"bytes", "list"}:
            self._span(kind, len(value))
        if kind in {"integer", "text"}:
            self._add_distinct(value, kind)
        return kind

    def statistics(self) -> dict[str, Any]:
        """Give what was counted, by name, as plain JSON."""
        found: dict[str, Any] = {}
        for name, (low, high) in self._spans.items():
            least, most = SPANS[name]
            found |= {least: self._written(name, low), most: self._written(name, high)}
        if self._finite and math.isfinite(self._total):
            found["mean"] = float(f"{self._total / self._finite:.12g}")
        if self._beyond:
            found["not_finite"] = self._beyond
        if self.types["boolean"]:
            found["true"] = self._true
        return found | self._distinct()

    def _add_number(self, value: Any) -> None:
        number = math.inf if is_huge(value) else as_float(value)
        if math.isfinite(number):
            self._finite += 1
            self._total += number
            self._span("value", int(value) if isinstance(value, int) else number)
        else:
            self._beyond += 1

    def _add_time(self, value: date) -> None:
        moment = value if isinstance(value, datetime) else datetime.combine(value, time.min)
        if moment.tzinfo is not None:
            try:
                moment = moment.astimezone(UTC).replace(tzinfo=None)
            except OverflowError:  # within a day of year 1 or 9999
                return
        self._span("time", moment)

    def _add_distinct(self, value: Any, kind: str) -> None:
        if self._frequent is None:
            return
        if is_huge(value) or (kind == "text" and len(str(value)) > MAX_DISTINCT_CHARS):
            self._frequent = None
            return
        self._frequent[int(value) if kind == "integer" else str(value)] += 1
        if len(self._frequent) > MAX_DISTINCT:
            self._frequent, self._many = None, True

    def _span(self, name: str, value: Any) -> None:
        span = self._spans.setdefault(name, [value, value])
        if value < span[0]:
            span[0] = value
        elif value > span[1]:
            span[1] = value

    def _written(self, name: str, value: Any) -> Any:
        if name != "time":
            return value
        text: str = (value if self.types["timestamp"] else value.date()).isoformat()
        return text

    def _distinct(self) -> dict[str, Any]:
        if self._many:
            return {"distinct_over": MAX_DISTINCT}
        if not self._frequent:
            return {}
        ranked = sorted(self._frequent.items(), key=lambda one: (-one[1], str(one[0])))
        found: dict[str, Any] = {"distinct": len(ranked)}
        if ranked[0][1] > 1:
            found["frequent"] = [
                [shown(value, MAX_DISTINCT_CHARS), number] for value, number in ranked[:FREQUENT]
            ]
        return found
