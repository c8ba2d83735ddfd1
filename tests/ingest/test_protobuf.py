"""Protobuf, by a message class or by a compiled schema; messages are made by the real library."""

import contextlib
import sys
import tracemalloc
from datetime import UTC, datetime

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2, timestamp_pb2
from hypothesis import given, settings
from hypothesis import strategies as some

from airflow_agent_provider.exceptions import ConfigurationError, DataError
from airflow_agent_provider.sources.ingest import ingest
from airflow_agent_provider.summary.protobuf import Protobuf
from airflow_agent_provider.summary.summary import Bounds

PROTO = descriptor_pb2.FieldDescriptorProto


def descriptors():
    """What protoc would make of a small schema in two files; Google's own is left out."""
    route = descriptor_pb2.FileDescriptorProto(name="route.proto", package="air", syntax="proto3")
    message = route.message_type.add(name="Route")
    message.field.add(name="origin", number=1, type=PROTO.TYPE_STRING, label=PROTO.LABEL_OPTIONAL)
    message.field.add(name="next", number=2, type=PROTO.TYPE_MESSAGE, type_name=".air.Route", label=1)

    flight = descriptor_pb2.FileDescriptorProto(
        name="flight.proto",
        package="air",
        syntax="proto3",
        dependency=["route.proto", "google/protobuf/timestamp.proto"],
    )
    carrier = flight.enum_type.add(name="Carrier")
    carrier.value.add(name="UA", number=0)
    carrier.value.add(name="AA", number=1)
    message = flight.message_type.add(name="Flight")
    message.field.add(name="number", number=1, type=PROTO.TYPE_INT64, label=1)
    message.field.add(name="carrier", number=2, type=PROTO.TYPE_ENUM, type_name=".air.Carrier", label=1)
    message.field.add(
        name="at", number=3, type=PROTO.TYPE_MESSAGE, type_name=".google.protobuf.Timestamp", label=1
    )
    message.field.add(name="stops", number=4, type=PROTO.TYPE_MESSAGE, type_name=".air.Route", label=3)
    message.field.add(name="raw", number=5, type=PROTO.TYPE_BYTES, label=1)
    message.field.add(name="delays", number=7, type=PROTO.TYPE_DOUBLE, label=3)
    message.field.add(
        name="tailnum", number=8, type=PROTO.TYPE_STRING, label=1, proto3_optional=True, oneof_index=0
    )
    message.oneof_decl.add(name="_tailnum")
    entry = message.nested_type.add(name="TagsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=PROTO.TYPE_STRING, label=1)
    entry.field.add(name="value", number=2, type=PROTO.TYPE_INT32, label=1)
    message.field.add(
        name="tags", number=6, type=PROTO.TYPE_MESSAGE, type_name=".air.Flight.TagsEntry", label=3
    )
    # The importing file first: order must not matter.
    return descriptor_pb2.FileDescriptorSet(file=[flight, route]).SerializeToString()


SCHEMA = descriptors()


def flight_class():
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet.FromString(SCHEMA).file
    stamp = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(stamp)
    for file in (stamp, *reversed(files)):
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("air.Flight"))


Flight = flight_class()


def flight(number=1, **parts):
    made = Flight(number=number, carrier=1, raw=b"\x00\x01", delays=[1.5, -2.0], **parts)
    made.at.FromDatetime(datetime(2013, 2, 8, 12, tzinfo=UTC))
    made.stops.add(origin="JFK").next.origin = "LGA"
    made.tags["b"], made.tags["a"] = 2, 1
    return made.SerializeToString()


def field(summary, name):
    [found] = [one for one in summary.fields if one.name == name]
    return found


@pytest.mark.parametrize("codec", [Protobuf(Flight), Protobuf("air.Flight", SCHEMA)])
def test_a_message_is_read_by_its_class_or_by_its_descriptors(codec):
    """Types and presence from the schema, values from the bytes."""
    summary = ingest(flight(), codec=codec)
    assert (summary.kind, summary.row_count) == ("protobuf", 1)
    assert summary.sample == (
        {
            "number": 1,
            "carrier": "AA",
            "at": "2013-02-08T12:00:00+00:00",
            "stops": [{"origin": "JFK", "next": {"origin": "LGA", "next": None}}],
            "raw": "(2 bytes)",
            "delays": [1.5, -2.0],
            "tailnum": None,
            "tags": {"a": 1, "b": 2},
        },
    )
    assert (field(summary, "number").declared, field(summary, "number").nullable) == ("int64", False)
    assert (field(summary, "tailnum").nullable, field(summary, "tailnum").nulls) == (True, 1)
    assert field(summary, "stops").declared == "repeated Route"
    assert field(summary, "stops[].origin").types == ("text",)
    assert field(summary, "delays").statistics == {"min_items": 2, "max_items": 2}


def test_a_type_that_holds_itself_ends_at_the_bound_on_depth():
    """The schema is endless, its description is not."""
    summary = ingest(flight(), codec=Protobuf(Flight), bounds=Bounds(depth=4))
    assert "stops[].next" in [one.name for one in summary.fields]
    assert max(one.name.count("next") for one in summary.fields) == 2
    endless = ingest(struct_pb2.Struct().SerializeToString(), codec=Protobuf(struct_pb2.Struct))
    assert [one.name for one in endless.fields] == ["fields"]


def test_sensitive_fields_are_left_out():
    """By path or by name, with all below."""
    summary = ingest(
        flight(tailnum="N123"), codec=Protobuf(Flight), sensitive=["TAILNUM", "stops.origin", "tags"]
    )
    shown = summary.sample[0]
    assert shown["tailnum"] == shown["tags"] == shown["stops"][0]["origin"] == "(sensitive)"
    assert shown["stops"][0]["next"]["origin"] == "LGA"
    assert "N123" not in summary.to_prompt()


def test_a_framed_message_is_read_behind_its_header():
    """Five bytes of the schema registry, then the message's place in its file."""
    for indexes in (b"\x00", b"\x02\x00", b"\x04\x02\x00"):
        framed = b"\x00\x00\x00\x00\x2a" + indexes + flight(7)
        assert ingest(framed, codec=Protobuf(Flight, framed=True)).sample[0]["number"] == 7
    for broken in (b"", b"\x00" * 5, b"\x00\x00\x00\x00\x2a\xff", b"\x00\x00\x00\x00\x2a\xfe\x7f"):
        with pytest.raises(DataError, match="header"):
            ingest(broken, codec=Protobuf(Flight, framed=True))


def test_bytes_of_another_message_are_refused():
    """All their fields would be unknown: that is no empty row."""
    other = descriptor_pb2.FileDescriptorSet(file=[{"name": "x"}]).SerializeToString()
    with pytest.raises(
        DataError, match=r"no Protobuf message google\.protobuf\.Timestamp: none of their fields"
    ):
        ingest(b"\x7a\x01x", codec=Protobuf(timestamp_pb2.Timestamp))
    with pytest.raises(DataError, match=r"no Protobuf message air\.Flight"):
        ingest(other[:-1], codec=Protobuf(Flight))


@settings(deadline=None, max_examples=300)
@given(some.binary(max_size=80), some.booleans())
def test_any_bytes_are_read_or_refused_by_name(data, framed):
    """Never another error."""
    with contextlib.suppress(DataError):
        assert ingest(data, codec=Protobuf(Flight, framed=framed)).row_count == 1


def test_a_moment_out_of_range_is_shown_as_its_parts():
    """The library refuses to convert it."""
    codec = Protobuf(Flight)
    made = Flight(number=1)
    made.at.seconds = 2**60
    assert ingest(made.SerializeToString(), codec=codec).sample[0]["at"] == {"seconds": 2**60, "nanos": 0}


def test_a_million_repeated_values_are_counted_and_not_copied():
    """Only those that are looked at become Python values."""
    data = Flight(delays=[1.0] * 400_000).SerializeToString()
    tracemalloc.start()
    try:
        summary = ingest(data, codec=Protobuf(Flight))
        assert tracemalloc.get_traced_memory()[1] < 5 * len(data)
    finally:
        tracemalloc.stop()
    assert field(summary, "delays").statistics["max_items"] == 400_000


@pytest.mark.parametrize(
    ("codec", "reason"),
    [
        (Protobuf(int), "must be a generated message class"),
        (Protobuf("air.Flight"), "must be a generated message class"),
        (Protobuf("air.Train", SCHEMA), "'air.Train'.*they have air.Flight, air.Route"),
        (Protobuf("air.Flight", b"\xff\xff"), "not a serialized FileDescriptorSet"),
        (
            Protobuf(
                "x",
                descriptor_pb2.FileDescriptorSet(
                    file=[{"name": "a.proto", "dependency": ["b.proto"]}]
                ).SerializeToString(),
            ),
            "b.proto is imported but not there",
        ),
        (
            Protobuf(
                "x",
                descriptor_pb2.FileDescriptorSet(
                    file=[
                        {"name": "a.proto", "dependency": ["b.proto"]},
                        {"name": "b.proto", "dependency": ["a.proto"]},
                    ]
                ).SerializeToString(),
            ),
            "imports itself",
        ),
    ],
)
def test_a_codec_that_is_written_wrongly_is_a_configuration_error(codec, reason):
    """It says what is expected, or what there is."""
    with pytest.raises(ConfigurationError, match=reason):
        ingest(b"", codec=codec)


def test_without_protobuf_the_error_names_what_to_install(monkeypatch):
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "google.protobuf.message", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'airflow-agent-provider\[protobuf\]'"):
        ingest(b"", codec=Protobuf("air.Flight", SCHEMA))
