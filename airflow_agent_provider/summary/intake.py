"""
Data of whatever kind, told apart by what it is.

======================================  ===================================================
data                                    becomes
======================================  ===================================================
text                                    its length, its lines, its beginning; with a codec,
                                        what the text says
object, list, any iterable of rows      rows: a field for each key, a sample, statistics
pandas DataFrame                        rows
bytes                                   an Avro object container tells itself; others need a
                                        codec: ``Avro(schema)``, ``Protobuf(message)``, ...
iterable of Kafka messages              rows of key, value and headers; values by the codec
======================================  ===================================================

Files and tables are opened a floor above (:mod:`airflow_agent_provider.sources.ingest`).
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sized
from itertools import chain, islice
from typing import Any

from airflow_agent_provider.exceptions import ConfigurationError, DataError
from airflow_agent_provider.summary.avro import MAGIC, Avro, summarise_container
from airflow_agent_provider.summary.codec import Codec, Text
from airflow_agent_provider.summary.fields import Fields
from airflow_agent_provider.summary.frame import is_frame, summarise_frame
from airflow_agent_provider.summary.kafka import is_message, summarise_messages
from airflow_agent_provider.summary.rows import measure, sample
from airflow_agent_provider.summary.summary import Bounds, Summary
from airflow_agent_provider.summary.values import short, type_of

BINARY = (bytes, bytearray, memoryview)
# Iterable, but not over rows, or in another order in each process.
NO_ROWS = frozenset({"DataFrame", "LazyFrame", "Table", "RecordBatch", "set", "frozenset"})


def summarise(
    data: Any,
    codec: Codec | None,
    bounds: Bounds,
    sensitive: Collection[str] = (),
    label: str = "",
) -> Summary:
    """
    Summarise data that is in memory, or comes out of an iterator.

    :raises DataError: when it cannot be read; names the kind of data, no value.
    :raises ConfigurationError: when the parameters do not fit the data, or a library is missing.
    """
    if isinstance(data, str):
        if codec is None or isinstance(codec, Text):
            return _text(data, bounds, sensitive, label)
        data = data.encode("utf-8", "surrogatepass")
    if isinstance(data, BINARY):
        return _bytes(data, codec, bounds, sensitive, label)
    if is_frame(data):
        return summarise_frame(data, bounds, sensitive, label)
    if isinstance(data, Mapping) or type_of(data) in {"null", "boolean", "integer", "number"}:
        return _rows([data], 1, "json", Fields(bounds, sensitive), label)
    return _iterable([data] if is_message(data) else data, codec, bounds, sensitive, label)


def _iterable(
    data: Any, codec: Codec | None, bounds: Bounds, sensitive: Collection[str], label: str
) -> Summary:
    if not isinstance(data, Iterable) or type(data).__name__ in NO_ROWS:
        raise DataError(
            f"a {type(data).__name__} cannot be ingested; give text, an object, a list, a pandas DataFrame, "
            "bytes with a codec, Kafka messages, a path or a source"
        )
    first = list(islice(rows := iter(data), 1))
    rows = chain(first, rows)
    if first and is_message(first[0]):
        return summarise_messages(rows, codec, bounds, sensitive, label)
    fields = Fields(bounds, sensitive)
    known = len(data) if isinstance(data, Sized) else None
    if codec is None:
        return _rows(rows, known, "json", fields, label)
    codec.declare(fields)
    return _rows(_decoded(rows, codec, bounds), known, codec.kind, fields, label)


def _text(text: str, bounds: Bounds, sensitive: Collection[str], label: str) -> Summary:
    if sensitive:
        raise ConfigurationError(
            "sensitive=...: text has no fields to leave out; give a codec, or no such names"
        )
    facts = {"characters": len(text), "lines": text.count("\n") + bool(text and not text.endswith("\n"))}
    head = (short(text, bounds.sample_chars),) if text and bounds.sample_rows else ()
    return Summary(kind="text", label=label, facts=facts, sample=head)


def _bytes(data: Any, codec: Codec | None, bounds: Bounds, sensitive: Collection[str], label: str) -> Summary:
    if (codec is None or isinstance(codec, Avro)) and bytes(data[: len(MAGIC)]) == MAGIC:
        return summarise_container(io.BytesIO(data), bounds, sensitive, label)
    if codec is None:
        raise DataError(
            "these bytes are no Avro object container, and bytes do not tell what they are: "
            "give codec=Avro(schema), Protobuf(message), Json() or Text()"
        )
    if len(data) > bounds.payload_bytes:
        raise DataError(f"{len(data):,} bytes are more than payload_bytes={bounds.payload_bytes:,}")
    value = codec.decode(bytes(data))
    if isinstance(value, str) and isinstance(codec, Text):
        return _text(value, bounds, sensitive, label)
    rows = value if isinstance(value, list) else [value]
    fields = Fields(bounds, sensitive)
    codec.declare(fields)
    return _rows(rows, len(rows), codec.kind, fields, label)


def _rows(rows: Iterable[Any], known: int | None, kind: str, fields: Fields, label: str) -> Summary:
    """Summarise rows, of which so many are known to be."""
    measured = measure(rows, fields)
    notes = fields.notes()
    if known is None and not measured.complete:
        notes.append(f"only the first {measured.rows:,} rows were read; there may be more")
    return Summary(
        kind=kind,
        label=label,
        row_count=known if known is not None else measured.rows if measured.complete else None,
        measured_rows=measured.rows,
        fields=fields.described(),
        sample=sample(measured.first, fields.shown, fields.bounds),
        notes=tuple(notes),
    )


def _decoded(rows: Iterable[Any], codec: Codec, bounds: Bounds) -> Iterator[Any]:
    """Read the rows that are bytes; give the others as they are."""
    for number, row in enumerate(rows):
        if not isinstance(row, BINARY):
            yield row
        elif len(row) > bounds.payload_bytes:
            raise DataError(f"row {number}: longer than payload_bytes={bounds.payload_bytes}")
        else:
            yield codec.decode(bytes(row))
