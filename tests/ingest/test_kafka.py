"""
A bounded Kafka slice. The messages here are fakes: no broker is involved.

``confluent_kafka.Message`` is the real class of the client library, filled by hand,
which its documentation allows for tests; the others are dicts and plain objects of
the same shape.
"""

import io
import json
from datetime import UTC, datetime
from itertools import count
from types import SimpleNamespace

import fastavro
import pytest
from confluent_kafka import KafkaError, Message
from google.protobuf import struct_pb2, wrappers_pb2

from airflow_agent_provider.exceptions import DataError
from airflow_agent_provider.sources.ingest import ingest
from airflow_agent_provider.summary.avro import Avro
from airflow_agent_provider.summary.codec import Text
from airflow_agent_provider.summary.protobuf import Protobuf
from airflow_agent_provider.summary.summary import Bounds

START = 1_360_324_800_000  # 2013-02-08 12:00 UTC


def parts(offset, value, partition=0):
    return {
        "topic": "flights",
        "partition": partition,
        "offset": offset,
        "key": f"k{offset}".encode(),
        "value": value,
        "headers": [("source", b"fake"), ("trace", b"\xff")],
        "timestamp": (1, START + offset * 1000),
    }


def as_client(one):
    """The client library's own class, filled by hand."""
    return Message(**one)


def as_dict(one):
    return one


def as_object(one):
    """Attributes, and a bare timestamp, as other clients give them."""
    return SimpleNamespace(**{**one, "timestamp": one["timestamp"][1]})


def field(summary, name):
    [found] = [one for one in summary.fields if one.name == name]
    return found


@pytest.mark.parametrize("shape", [as_client, as_dict, as_object])
def test_messages_become_rows_whatever_their_shape(shape):
    """Key, value and headers; where they stood and when, for the whole."""
    messages = [shape(parts(n, json.dumps({"delay": n}).encode(), partition=n % 2)) for n in range(10)]
    summary = ingest(messages)
    assert (summary.kind, summary.row_count) == ("kafka", 10)
    assert summary.facts == {
        "topics": ["flights"],
        "offsets": {"flights-0": "0 to 8", "flights-1": "1 to 9"},
        "timestamps": "2013-02-08T12:00:00+00:00 to 2013-02-08T12:00:09+00:00",
    }
    assert summary.sample[0] == {
        "key": "k0",
        "value": {"delay": 0},
        "headers": {"source": "fake", "trace": "(1 bytes)"},
    }
    assert field(summary, "value.delay").statistics["max"] == 9


def test_an_endless_topic_is_read_to_the_bound():
    """The next message stays with the consumer."""
    topic = (as_client(parts(n, b"{}")) for n in count())
    summary = ingest(topic, bounds=Bounds(rows=25))
    assert summary.row_count == 25
    assert "only the first 25 messages were read; there may be more" in summary.notes
    assert next(topic).offset() == 25


def test_values_are_read_by_the_codec():
    """Avro with the schema registry's header, Protobuf, text."""
    schema = {"type": "record", "name": "F", "fields": [{"name": "delay", "type": ["null", "int"]}]}
    file = io.BytesIO()
    fastavro.schemaless_writer(file, schema, {"delay": 7})
    summary = ingest(
        [as_client(parts(0, b"\x00\x00\x00\x00\x01" + file.getvalue()))], codec=Avro(schema, framed=True)
    )
    assert summary.sample[0]["value"] == {"delay": 7}
    assert field(summary, "value.delay").declared == "int"

    value = wrappers_pb2.Int32Value(value=9).SerializeToString()
    summary = ingest([as_dict(parts(0, value))], codec=Protobuf(wrappers_pb2.Int32Value))
    assert summary.sample[0]["value"] == {"value": 9}

    assert ingest([as_dict(parts(0, b"late"))], codec=Text()).sample[0]["value"] == "late"


def test_a_message_that_cannot_be_read_is_counted_and_named_by_its_place():
    """The others are summarised; its content is not told."""
    messages = [as_client(parts(n, b"{}" if n != 3 else b"jane@example.org")) for n in range(5)]
    summary = ingest(messages)
    assert (summary.row_count, summary.measured_rows) == (5, 4)
    assert "1 of 5 messages cannot be read as json (the first at flights-0:3: not JSON" in summary.notes[0]
    assert "jane" not in summary.to_prompt()


def test_a_slice_of_which_nothing_can_be_read_is_an_error():
    """The wrong codec is no empty batch."""
    with pytest.raises(DataError, match="none of 3 messages can be read as protobuf"):
        ingest([as_dict(parts(n, b"\xff\xff")) for n in range(3)], codec=Protobuf(struct_pb2.Struct))


def test_tombstones_are_null_values_and_events_are_no_messages():
    """A deletion has a key alone; an end of partition has neither."""
    event = Message(topic="flights", partition=0, offset=9, error=KafkaError(KafkaError._PARTITION_EOF))
    summary = ingest([as_client(parts(0, b"{}")), as_client(parts(1, None)), event])
    assert field(summary, "value").nulls == 1
    assert "1 of 3 messages" in summary.notes[0]


def test_a_message_longer_than_a_payload_may_be_is_not_read():
    """It is counted as unreadable."""
    summary = ingest(
        [as_dict(parts(0, b"[" + b"1," * 600 + b"1]")), as_dict(parts(1, b"{}"))],
        bounds=Bounds(payload_bytes=1000),
    )
    assert summary.measured_rows == 1
    assert "longer than payload_bytes=1000" in summary.notes[0]


def test_sensitive_keys_and_values_are_left_out():
    """By their path below the message, or by name alone."""
    messages = [as_client(parts(n, b'{"email": "j@x.org", "n": 1}')) for n in range(3)]
    summary = ingest(messages, sensitive=["key", "value.email", "source"])
    assert "j@x.org" not in summary.to_prompt()
    assert summary.sample[0] == {
        "key": "(sensitive)",
        "value": {"email": "(sensitive)", "n": 1},
        "headers": {"source": "(sensitive)", "trace": "(1 bytes)"},
    }


def test_nothing_is_described_below_a_sensitive_value():
    """Neither what the schema knows of it nor what the bytes hold."""
    value = wrappers_pb2.Int32Value(value=987_654).SerializeToString()
    summary = ingest([as_dict(parts(0, value))], codec=Protobuf(wrappers_pb2.Int32Value), sensitive=["value"])
    assert [one.name for one in summary.fields if one.name.startswith("value")] == ["value"]
    assert "987" not in summary.to_prompt()


@pytest.mark.parametrize(
    "timestamp", [None, (0, -1), (1, 10**30), "soon", True, (1,), datetime(2013, 2, 8, tzinfo=UTC)]
)
def test_odd_timestamps_and_parts_do_no_harm(timestamp):
    """A slice is read without them."""
    message = {**parts(0, "[1]"), "timestamp": timestamp, "key": None, "headers": None, "topic": None}
    summary = ingest([message])
    assert summary.facts["offsets"] == {"0": "0 to 0"}
    assert ("timestamps" in summary.facts) == isinstance(timestamp, datetime)


def test_a_single_message_is_a_slice_of_one():
    """As a consumer's poll gives it."""
    assert ingest(as_client(parts(4, b"{}"))).facts["offsets"] == {"flights-0": "4 to 4"}
