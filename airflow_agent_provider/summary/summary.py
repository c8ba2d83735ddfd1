"""
What a model is told of data: bounded, typed, the same text for the same data.

A prompt needs the shape of data and a taste of it, never the whole. A
:class:`Summary` has the fields with their types, whether they may be missing,
statistics, and a few rows. :class:`Bounds` says how much is looked at and how much is
shown; both hold whatever the data is.

Columns declared sensitive keep their name, their types and the number of missing
values. Neither a value of theirs nor anything computed from values is shown. What
nobody declared is shown as it is: finding personal data in text is the business of
``governance``, just before a call is sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.summary.prompt import written

MAX_DEPTH = 50


@dataclass(frozen=True, slots=True)
class Bounds:
    """
    How much of the data is looked at, and how much is shown.

    :param rows: rows that statistics rest on, at most.
    :param cells: values that are looked at in all, at most; the bound on time.
    :param fields: fields that are described, the first ones.
    :param depth: levels of nesting that are described; 50 at most.
    :param items: items of each list that are looked at.
    :param payload_bytes: encoded bytes, or bytes of a decompressed Avro block, read in one go.
    :param sample_rows: rows shown.
    :param sample_chars: characters that they may take as JSON, together.
    :param value_chars: characters of one value that are shown.
    :raises ConfigurationError: when a bound is negative, or zero where something must be read.
    """

    rows: int = 10_000
    cells: int = 500_000
    fields: int = 100
    depth: int = 6
    items: int = 20
    payload_bytes: int = 4_000_000
    sample_rows: int = 5
    sample_chars: int = 4_000
    value_chars: int = 200

    def __post_init__(self) -> None:
        for one in fields(self):
            value, least = getattr(self, one.name), 0 if one.name.startswith("sample") else 1
            if not isinstance(value, int) or value < least:
                raise ConfigurationError(
                    f"Bounds({one.name}={value!r}): must be a whole number from {least} on"
                )
        if self.depth > MAX_DEPTH:
            raise ConfigurationError(f"Bounds(depth={self.depth}): at most {MAX_DEPTH}")


@dataclass(frozen=True, slots=True)
class Field:
    """
    One field, wherever it stands in the data.

    :param name: its path: ``customer.city``, ``items[].price``; parts that are no plain
        words stand in quotation marks.
    :param types: those that were seen, the most frequent first: boolean, integer, number,
        text, timestamp, date, time, bytes, list, object, other; empty when no value was seen.
    :param nullable: whether it may be missing: by the schema where there is one, else by what was seen.
    :param nulls: rows, or enclosing objects, where it is null or missing; None when not counted.
    :param statistics: by name; empty when sensitive.
    :param declared: its type as the schema writes it; empty without a schema.
    :param sensitive: declared so: no value is shown or counted.
    """

    name: str
    types: tuple[str, ...]
    nullable: bool | None = None
    nulls: int | None = None
    statistics: dict[str, Any] = field(default_factory=dict)
    declared: str = ""
    sensitive: bool = False

    def to_json(self) -> dict[str, Any]:
        """Give the plain JSON form; what is not known is left out."""
        known = {
            "nullable": self.nullable,
            "nulls": self.nulls,
            "declared": self.declared or None,
            "sensitive": self.sensitive or None,
            "statistics": self.statistics or None,
        }
        named = {"name": self.name, "types": list(self.types)}
        return named | {name: value for name, value in known.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Summary:
    """
    What there is to know of data before looking at all of it.

    :param kind: text, json, dataframe, avro, protobuf, kafka, or the source's: files, table, query.
    :param label: what people call the data; may be empty.
    :param row_count: all rows; None where the data has no rows, or nobody counted to the end.
    :param measured_rows: rows that the statistics rest on.
    :param facts: what else is known of the whole, by name; plain JSON.
    :param sample: a few rows, long values cut, as plain JSON.
    :param notes: what was left out, and why; sentences.
    """

    kind: str
    label: str = ""
    row_count: int | None = None
    measured_rows: int = 0
    fields: tuple[Field, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    sample: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give the plain JSON form; holds no NaN and nothing else that JSON cannot carry."""
        return {
            "kind": self.kind,
            "label": self.label,
            "row_count": self.row_count,
            "measured_rows": self.measured_rows,
            "fields": [one.to_json() for one in self.fields],
            "facts": self.facts,
            "sample": list(self.sample),
            "notes": list(self.notes),
        }

    def to_prompt(self, max_chars: int = 6_000) -> str:
        """
        Write it for a model; the same summary gives the same text.

        :param max_chars: characters at most; what does not fit is left out, and the text says so.
        :raises ConfigurationError: when that is fewer than 200.
        """
        return written(self, max_chars)
