"""
A slice of a Kafka topic: messages that somebody read, and how far.

Messages are taken as Airflow's Kafka hooks give them (``confluent_kafka.Message``,
whose parts are methods), as objects with attributes, or as dicts with the same names.
Each becomes a row of key, value and headers. A message that cannot be read is counted
and named by partition and offset, never shown; when none can be read, that is an error.

What was read is bounded, so that an endless iterator can be given: what lies behind
the bound stays in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from airflow_agent_provider.exceptions import DataError
from airflow_agent_provider.summary.codec import Codec, Json, Text
from airflow_agent_provider.summary.fields import Fields, part_name
from airflow_agent_provider.summary.rows import measure, sample
from airflow_agent_provider.summary.summary import Bounds, Summary

PARTS = ("value", "partition", "offset")
SHOWN_BAD = 3
SHOWN_TOPICS = 5
SHOWN_PARTITIONS = 20


def is_message(one: Any) -> bool:
    """Tell whether something looks like a Kafka message."""
    if isinstance(one, Mapping):
        return all(name in one for name in PARTS)
    return all(hasattr(one, name) for name in PARTS)


def summarise_messages(
    messages: Iterable[Any],
    codec: Codec | None,
    bounds: Bounds,
    sensitive: Collection[str] = (),
    label: str = "",
) -> Summary:
    """
    Summarise a slice of a topic.

    :param messages: read to ``bounds.rows`` at most.
    :param codec: how values are read; default: as JSON.
    :raises DataError: when there are messages and none can be read.
    """
    codec = codec or Json()
    fields = Fields(bounds, sensitive)
    codec.declare(fields, ("value",))
    slice_ = _Slice(codec, bounds.payload_bytes)
    measured = measure(slice_.rows(islice(messages, bounds.rows)), fields)
    if slice_.bad and not measured.rows:
        raise DataError(f"none of {slice_.seen} messages can be read as {codec.kind}: {slice_.first_error}")
    return Summary(
        kind="kafka",
        label=label,
        row_count=slice_.seen,
        measured_rows=measured.rows,
        fields=fields.described(),
        facts=slice_.facts(),
        sample=sample(measured.first, fields.shown, bounds),
        notes=(*fields.notes(), *slice_.notes(bounds.rows)),
    )


@dataclass(slots=True)
class _Slice:
    """Reads messages one by one, and keeps account of where they stood."""

    codec: Codec
    max_bytes: int
    seen: int = 0
    bad: int = 0
    first_error: str = ""
    _bad_places: list[str] = field(default_factory=list)
    _topics: dict[str, None] = field(default_factory=dict)
    _offsets: dict[str, list[int]] = field(default_factory=dict)
    _times: list[datetime] = field(default_factory=list)

    def rows(self, messages: Iterable[Any]) -> Iterator[dict[str, Any]]:
        for message in messages:
            self.seen += 1
            place = self._locate(message)
            try:
                value = self._value(message)
            except DataError as error:
                self.bad += 1
                self.first_error = self.first_error or str(error)
                if len(self._bad_places) < SHOWN_BAD:
                    self._bad_places.append(place)
                continue
            yield {"key": _text(_part(message, "key")), "value": value, "headers": _headers(message)}

    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = {"topics": list(self._topics)[:SHOWN_TOPICS]} if self._topics else {}
        shown = sorted(self._offsets.items())[:SHOWN_PARTITIONS]
        if shown:
            found["offsets"] = {name: f"{first} to {last}" for name, (first, last) in shown}
        if len(self._offsets) > len(shown):
            found["partitions"] = len(self._offsets)
        if self._times:
            found["timestamps"] = " to ".join(one.isoformat() for one in self._times)
        return found

    def notes(self, max_messages: int) -> list[str]:
        said = []
        if self.bad:
            where = ", ".join(self._bad_places)
            said.append(
                f"{self.bad:,} of {self.seen:,} messages cannot be read as {self.codec.kind} "
                f"(the first at {where}: {self.first_error})"
            )
        if self.seen >= max_messages:
            said.append(f"only the first {max_messages:,} messages were read; there may be more")
        return said

    def _value(self, message: Any) -> Any:
        if _part(message, "error") is not None:
            raise DataError("an event of the consumer, no message")
        value = _part(message, "value")
        if isinstance(value, str) and isinstance(self.codec, Json):
            value = value.encode("utf-8", "surrogatepass")
        if not isinstance(value, (bytes, bytearray, memoryview)):
            return value
        if len(value) > self.max_bytes:
            raise DataError(f"longer than payload_bytes={self.max_bytes}")
        return self.codec.decode(bytes(value))

    def _locate(self, message: Any) -> str:
        """Take down where a message stood, and when; give its place for people."""
        topic, partition, offset = (_part(message, name) for name in ("topic", "partition", "offset"))
        name = str(partition)
        if isinstance(topic, str):
            self._topics[topic] = None
            name = f"{part_name(topic)}-{partition}"
        if isinstance(offset, int):
            first, last = self._offsets.get(name, (offset, offset))
            self._offsets[name] = [min(first, offset), max(last, offset)]
        moment = _moment(_part(message, "timestamp"))
        if moment:
            self._times = [min([moment, *self._times]), max([moment, *self._times])]
        return f"{name}:{offset}"


def _part(message: Any, name: str) -> Any:
    """Give a message's part, however it is kept."""
    found = message.get(name) if isinstance(message, Mapping) else getattr(message, name, None)
    return found() if callable(found) else found


def _moment(timestamp: Any) -> datetime | None:
    """Read milliseconds since 1970, alone or behind their type as librdkafka gives them (0: none)."""
    if isinstance(timestamp, tuple) and len(timestamp) == 2:  # noqa: PLR2004 - type and milliseconds
        timestamp = timestamp[1] if timestamp[0] else None
    if isinstance(timestamp, datetime):
        return timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)
    if isinstance(timestamp, bool) or not isinstance(timestamp, (int, float)):
        return None
    try:
        return datetime.fromtimestamp(timestamp / 1000, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _headers(message: Any) -> dict[str, Any] | None:
    headers = _part(message, "headers")
    if not headers:
        return None
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return {str(pair[0]): _text(pair[1]) for pair in pairs}


def _text(value: Any) -> Any:
    """Read bytes as text where they are text."""
    if not isinstance(value, (bytes, bytearray)):
        return value
    try:
        return Text().decode(bytes(value))
    except DataError:
        return bytes(value)
