"""Avro, written by fastavro: read within bounds, and never fatal."""

import bz2
import contextlib
import io
import json
import lzma
import subprocess
import sys
import tracemalloc
import zlib
from datetime import UTC, datetime
from decimal import Decimal

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from airflow_agent_provider.exceptions import (
    AgentProviderError,
    ConfigurationError,
    DataError,
    SourceNotFound,
)
from airflow_agent_provider.sources.ingest import ingest
from airflow_agent_provider.summary.avro import Avro
from airflow_agent_provider.summary.codec import Json
from airflow_agent_provider.summary.summary import Bounds

SCHEMA = {
    "type": "record",
    "name": "Flight",
    "namespace": "air",
    "fields": [
        {"name": "carrier", "type": {"type": "enum", "name": "Carrier", "symbols": ["UA", "AA"]}},
        {"name": "tailnum", "type": ["null", "string"]},
        {"name": "fare", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {
            "name": "route",
            "type": {
                "type": "record",
                "name": "Route",
                "fields": [{"name": "origin", "type": "string"}, {"name": "miles", "type": ["null", "int"]}],
            },
        },
        {"name": "back", "type": ["null", "Route"]},
        {"name": "stops", "type": {"type": "array", "items": "Route"}},
        {"name": "tags", "type": {"type": "map", "values": "string"}},
    ],
}


def flight(number):
    route = {"origin": "JFK", "miles": number}
    return {
        "carrier": ["UA", "AA"][number % 2],
        "tailnum": None if number % 4 else f"N{number}",
        "fare": Decimal(number) / 4,
        "at": datetime(2013, 2, 8, 12, number % 60, tzinfo=UTC),
        "route": route,
        "back": None,
        "stops": [route] * (number % 3),
        "tags": {"k": "v"},
    }


def container(rows, schema=SCHEMA, codec="null", **options):
    file = io.BytesIO()
    fastavro.writer(file, fastavro.parse_schema(schema), rows, codec=codec, **options)
    return file.getvalue()


def payload(row, schema=SCHEMA):
    file = io.BytesIO()
    fastavro.schemaless_writer(file, fastavro.parse_schema(schema), row)
    return file.getvalue()


def long(number):
    """Write a number as Avro does."""
    return payload(number, "long")


def forged(schema, rows, content, codec=b"null"):
    """A container as no writer would make it: one block that says what it likes."""
    meta = long(2) + b"".join(long(len(one)) + one for one in (b"avro.schema", schema, b"avro.codec", codec))
    mark = b"m" * 16
    return b"Obj\x01" + meta + long(0) + mark + long(rows) + long(len(content)) + content + mark


def field(summary, name):
    [found] = [one for one in summary.fields if one.name == name]
    return found


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz", "snappy"])
def test_a_container_is_read_by_its_own_schema(codec):
    """Types, nulls, statistics and a sample, whatever it is packed with."""
    summary = ingest(container(map(flight, range(500)), codec=codec), label="flights")
    assert (summary.kind, summary.row_count, summary.measured_rows) == ("avro", 500, 500)
    assert summary.facts["codec"] == codec
    assert [(one.name, one.declared, one.nullable) for one in summary.fields[:6]] == [
        ("carrier", "enum", False),
        ("tailnum", "string", True),
        ("fare", "decimal(9, 2)", False),
        ("at", "timestamp-millis", False),
        ("route", "record", False),
        ("route.origin", "string", False),
    ]
    assert field(summary, "tailnum").nulls == 375
    assert field(summary, "fare").statistics["max"] == 124.75
    assert field(summary, "at").statistics["latest"] == "2013-02-08T12:59:00"
    assert field(summary, "back.miles").declared == "int"
    assert field(summary, "stops[].miles").types == ("integer",)
    assert summary.sample[1] == {
        "carrier": "AA",
        "tailnum": None,
        "fare": 0.25,
        "at": "2013-02-08T12:01:00+00:00",
        "route": {"origin": "JFK", "miles": 1},
        "back": None,
        "stops": [{"origin": "JFK", "miles": 1}],
        "tags": {"k": "v"},
    }


def test_rows_are_counted_without_reading_them():
    """The count is of all, the statistics of the first."""
    summary = ingest(container(map(flight, range(5000))), bounds=Bounds(rows=100))
    assert (summary.row_count, summary.measured_rows) == (5000, 100)
    assert field(summary, "route.miles").statistics["max"] == 99
    assert summary.facts["blocks"] > 3


def test_only_as_many_blocks_are_unpacked_as_are_needed():
    """A damaged block far behind is not seen, one among the first is an error."""
    data = bytearray(container(map(flight, range(5000)), codec="deflate"))
    data[-200] ^= 0xFF
    assert ingest(bytes(data), bounds=Bounds(rows=100)).row_count == 5000
    with pytest.raises(DataError, match=r"cannot be unpacked|do not fit"):
        ingest(bytes(data))


def test_an_avro_file_is_read_by_its_path(tmp_path):
    """The path is its label."""
    path = tmp_path / "flights.avro"
    path.write_bytes(container(map(flight, range(10))))
    summary = ingest(path)
    assert (summary.row_count, summary.label) == (10, str(path))
    with pytest.raises(SourceNotFound, match="no such file"):
        ingest(tmp_path / "other.avro")


def test_a_single_value_is_read_by_the_schema_given():
    """As JSON text or as an object; with or without the schema registry's header."""
    data = payload(flight(1))
    for codec in (
        Avro(SCHEMA),
        Avro(fastavro.schema.parse_schema(SCHEMA)),
        Avro(json.dumps(SCHEMA, indent=1)),
        Avro(f" {json.dumps(SCHEMA)}\n"),
    ):
        assert ingest(data, codec=codec).sample[0]["carrier"] == "AA"
    framed = b"\x00\x00\x00\x00\x07" + data
    assert ingest(framed, codec=Avro(SCHEMA, framed=True)).row_count == 1
    with pytest.raises(DataError, match="no schema registry header"):
        ingest(data, codec=Avro(SCHEMA, framed=True))


def test_fields_are_known_without_a_single_row():
    """The schema says what would be there."""
    summary = ingest(container([]))
    assert summary.row_count == 0
    assert field(summary, "route.origin").declared == "string"
    assert field(summary, "tailnum").nullable


def test_sensitive_fields_are_left_out_of_sample_and_statistics():
    """With what is below them."""
    summary = ingest(container(map(flight, range(9))), sensitive=["tailnum", "route"])
    assert summary.sample[0]["tailnum"] == summary.sample[0]["route"] == "(sensitive)"
    assert field(summary, "tailnum").statistics == {}
    assert not [one for one in summary.fields if one.name.startswith("route.")]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        b"Obj",
        b"Obj\x02" + b"x" * 90,
        b"PK\x03\x04",
        bytearray(b"{}"),
        memoryview(b"\x00" * 40),
    ],
)
def test_bytes_that_are_no_avro_are_a_data_error(data):
    """It says what to give."""
    with pytest.raises(DataError, match=r"no Avro object container.*give codec="):
        ingest(data)


@settings(deadline=None, max_examples=300)
@given(cut=some.integers(0, 2000), flip=some.none() | some.integers(0, 2000), bit=some.integers(0, 7))
def test_a_damaged_container_is_read_or_refused_by_name(cut, flip, bit):
    """Never another error."""
    data = bytearray(container(map(flight, range(20)), codec="deflate"))[: 4 + cut]
    if flip is not None and 4 + flip < len(data):
        data[4 + flip] ^= 1 << bit
    with contextlib.suppress(AgentProviderError):
        assert len(ingest(bytes(data)).to_prompt(500)) <= 500


@settings(deadline=None, max_examples=300)
@given(some.binary(max_size=60))
def test_any_bytes_under_any_header_are_read_or_refused_by_name(data):
    """Also where the schema is known and the bytes are not its."""
    for codec, content in ((None, b"Obj\x01" + data), (Avro(SCHEMA), data)):
        with contextlib.suppress(DataError):
            assert ingest(content, codec=codec).row_count is not None


@pytest.mark.parametrize("row", [b"", b"\x02", b"\x00" * 3])
def test_a_value_of_another_schema_is_refused(row):
    """Too short, or with bytes left over."""
    with pytest.raises(DataError, match="do not fit the Avro schema"):
        ingest(row + b"\x00" * (2 if row else 0), codec=Avro("string" if row else SCHEMA))


@pytest.mark.parametrize(
    ("codec", "packed"),
    [
        ("deflate", zlib.compress(b"\x00" * 50_000_000, 9)[2:-4]),
        ("bzip2", bz2.compress(b"\x00" * 50_000_000)),
        ("xz", lzma.compress(b"\x00" * 50_000_000)),
    ],
)
def test_a_decompression_bomb_is_refused_within_the_bound(codec, packed):
    """A few kilobytes that unpack to 50 MB: no more than the bound is unpacked."""
    data = forged(b'"long"', 50_000_000, packed, codec.encode())
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="holds more than payload_bytes=1,000,000"):
            ingest(data, bounds=Bounds(payload_bytes=1_000_000))
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()


def test_a_snappy_block_that_says_it_is_huge_is_refused():
    """Its length stands first."""
    data = forged(b'"long"', 5, b"\xff\xff\xff\xff\x07" + b"\x00" * 20, b"snappy")
    with pytest.raises(DataError, match="holds more than payload_bytes"):
        ingest(data)


def test_a_codec_without_a_bound_is_refused():
    """It says which ones are read."""
    with pytest.raises(DataError, match=r"'zstandard' is not read.*read are null, deflate"):
        ingest(forged(b'"long"', 1, b"", b"zstandard"))


def test_a_block_that_says_it_has_a_billion_empty_records_is_cut():
    """Records without fields take no bytes: their number is only what somebody wrote."""
    summary = ingest(forged(b'{"type": "record", "name": "E", "fields": []}', 10**12, b""))
    assert (summary.row_count, summary.measured_rows) == (10**12, 10_000)


NESTED = {"type": "record", "name": "N", "fields": [{"name": "next", "type": ["null", "N"]}]}
LAUGHS = {
    "type": "record",
    "name": "R",
    "fields": [
        {"name": "a0", "type": {"type": "record", "name": "A0", "fields": [{"name": "x", "type": "null"}]}}
    ]
    + [
        {
            "name": f"a{n}",
            "type": {
                "type": "record",
                "name": f"A{n}",
                "fields": [{"name": "l", "type": f"A{n - 1}"}, {"name": "r", "type": f"A{n - 1}"}],
            },
        }
        for n in range(1, 40)
    ],
}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (NESTED, "recursive schemas are not read"),
        (LAUGHS, "unfolds to more than"),
        ({"type": "array", "items": "null"}, "items without size"),
        ({"type": "array", "items": {"type": "record", "name": "E", "fields": []}}, "items without size"),
        ({"type": "record", "name": "R", "fields": [{"name": "a", "type": "Unknown"}]}, "not an Avro schema"),
        ({"type": "nonsense"}, "not an Avro schema"),
        ({}, "not an Avro schema"),
        (7, "not an Avro schema"),
        ({"type": "fixed", "name": "F", "size": "x"}, "not an Avro schema"),
        ({"type": "fixed", "__fastavro_parsed": True, "__named_schemas": {}}, "not an Avro schema"),
        ({"type": "array", "items": "null", "__fastavro_parsed": True}, "items without size"),
        ("{", "not JSON"),
        ("", "not JSON"),
        ("[" * 5000, "not JSON"),
        (None, "not an Avro schema"),
    ],
)
def test_a_schema_that_is_not_safe_to_read_by_is_refused(schema, reason):
    """Before a byte is read by it."""
    with pytest.raises(DataError, match=reason):
        ingest(b"\x00" * 9, codec=Avro(schema))


def test_a_schema_nested_without_end_is_refused_in_a_process_that_lives_on():
    """fastavro follows it in C, where the stack's end is the process's; so this runs in its own."""
    code = (
        "from airflow_agent_provider.sources.ingest import ingest\n"
        "from airflow_agent_provider.summary.avro import Avro\n"
        "from airflow_agent_provider.exceptions import DataError\n"
        "deep = 'string'\n"
        "for _ in range(3000): deep = {'type': 'array', 'items': deep}\n"
        f"for schema in (deep, {NESTED!r}):\n"
        "    try: ingest(b'\\x02' * 1_000_000, codec=Avro(schema))\n"
        "    except DataError as error: print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "refused\nrefused\n")


def test_a_decimal_of_a_megabyte_is_shown_as_bytes():
    """To write it in decimal would take minutes."""
    schema = {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}
    data = payload(b"\x7f" * 1_000_000, "bytes")
    assert ingest(data, codec=Avro(schema)).sample == ("(1000000 bytes)",)


def test_a_list_of_payloads_is_read_one_by_one():
    """Rows that are bytes are read by the codec; one that cannot be is an error."""
    rows = [payload(flight(n)) for n in range(3)]
    assert ingest(rows, codec=Avro(SCHEMA)).row_count == 3
    with pytest.raises(DataError, match="do not fit"):
        ingest([*rows, b"x"], codec=Avro(SCHEMA))


def test_without_fastavro_the_error_names_what_to_install(monkeypatch):
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "fastavro", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'airflow-agent-provider\[avro\]'"):
        ingest(container([]))
    assert ingest(b"[1]", codec=Json()).row_count == 1
