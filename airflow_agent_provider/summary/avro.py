"""
Avro: single values by a schema, and object container files.

A container is a header (the writer's schema, the codec, a mark), then blocks: how many
records, how many bytes, the records, the mark again. The rows of a file are counted
from the blocks' heads alone; only the first blocks are decompressed and read, each
within ``Bounds.payload_bytes`` whatever it says it holds.

The format: https://avro.apache.org/docs/1.12.0/specification/#object-container-files
"""

from __future__ import annotations

import bz2
import io
import lzma
import sys
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO, ClassVar

from airflow_agent_provider.exceptions import DataError
from airflow_agent_provider.summary import avro_schema
from airflow_agent_provider.summary.codec import missing, unframed
from airflow_agent_provider.summary.fields import Fields
from airflow_agent_provider.summary.rows import measure, sample
from airflow_agent_provider.summary.summary import Bounds, Summary

MAGIC = b"Obj\x01"
MARK_BYTES = 16
MAX_HEADER_BYTES = 1_000_000
MAX_BLOCKS = 100_000
MAX_LONG_BITS = 64
MAX_XZ_BYTES = 80_000_000  # what xz itself may take: enough for its highest preset
CODECS = ("null", "deflate", "bzip2", "xz", "snappy")


@dataclass(frozen=True)
class Avro:
    """
    Single Avro values, as they stand in a Kafka message.

    :param schema: the writer's schema, as JSON text or as what JSON text gives.
    :param framed: the schema registry's five bytes stand first.
    """

    schema: Any
    framed: bool = False
    kind: ClassVar[str] = "avro"

    @cached_property
    def _loaded(self) -> Any:
        return avro_schema.load(self.schema)

    def decode(self, payload: bytes) -> Any:
        return values(unframed(payload) if self.framed else payload, self._loaded, 1)[0]

    def declare(self, fields: Fields, under: Sequence[str] = ()) -> None:
        avro_schema.declare(self._loaded, fields, under)


def summarise_container(
    file: BinaryIO, bounds: Bounds, sensitive: Collection[str] = (), label: str = ""
) -> Summary:
    """
    Summarise an object container file.

    :param file: open for reading, at its start; it can be sought in.
    :raises DataError: when it is none, is damaged, or has a block larger than may be read.
    :raises ConfigurationError: when a library is missing.
    """
    container = Container(file)
    fields = Fields(bounds, sensitive)
    avro_schema.declare(container.schema, fields, ())
    read: list[Block] = []
    total = number = 0
    for block in container.blocks():
        if total < bounds.rows:
            read.append(block)
        total += block.rows
        number += 1
    rows = (row for block in read for row in container.rows(block, bounds))
    measured = measure(rows, fields)
    counted = number < MAX_BLOCKS
    notes = fields.notes()
    if not counted:
        notes.append(f"only the first {MAX_BLOCKS:,} blocks were counted: at least {total:,} rows")
    return Summary(
        kind="avro",
        label=label,
        row_count=total if counted else None,
        measured_rows=measured.rows,
        fields=fields.described(),
        facts={"codec": container.codec, "blocks": number},
        sample=sample(measured.first, fields.shown, bounds),
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True)
class Block:
    """
    Where a block of a container is.

    :param rows: records, as its head says.
    :param offset: of its content, in bytes.
    :param size: of its content, in bytes, packed.
    """

    rows: int
    offset: int
    size: int


class Container:
    """
    An object container file.

    :param file: open for reading, at its start; it can be sought in.
    :ivar schema: the writer's, ready for fastavro.
    :ivar codec: what the blocks are packed with.
    :raises DataError: when it is no container, or cannot be read within bounds.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        if file.read(len(MAGIC)) != MAGIC:
            raise DataError("not an Avro object container: it does not start with 'Obj' and a 1")
        meta = self._header()
        self.schema = avro_schema.load(meta.get("avro.schema", b""))
        self.codec = meta.get("avro.codec", b"null").decode("ascii", "replace")
        self._mark = self._exactly(MARK_BYTES)
        if self.codec not in CODECS:
            raise DataError(
                f"the Avro codec {self.codec[:20]!r} is not read: what it unpacks to has no bound; "
                f"read are {', '.join(CODECS)}"
            )

    def blocks(self) -> Iterator[Block]:
        """
        Give where the blocks are, reading their heads alone; ``MAX_BLOCKS`` at most.

        :raises DataError: when the file is damaged or cut short.
        """
        for _ in range(MAX_BLOCKS):
            rows = self._long(may_end=True)
            if rows is None:
                return
            size = self._length()
            block = Block(rows, self._file.tell(), size)
            self._file.seek(size, io.SEEK_CUR)
            if rows < 0 or self._exactly(MARK_BYTES) != self._mark:
                raise DataError(f"the Avro file is damaged at byte {block.offset}")
            yield block

    def rows(self, block: Block, bounds: Bounds) -> list[Any]:
        """
        Read a block's first rows.

        :raises DataError: when it is larger than may be, or not what it says.
        """
        too_large = DataError(
            f"the Avro block at byte {block.offset} holds more than payload_bytes={bounds.payload_bytes:,}"
        )
        if block.size > bounds.payload_bytes:
            raise too_large
        self._file.seek(block.offset)
        packed = self._exactly(block.size)
        try:
            content = _unpacked(self.codec, packed, bounds.payload_bytes)
        except (zlib.error, OSError, lzma.LZMAError, ValueError, EOFError):
            raise DataError(f"the Avro block at byte {block.offset} cannot be unpacked") from None
        if content is None:
            raise too_large
        return values(content, self.schema, min(block.rows, bounds.rows), whole=block.rows <= bounds.rows)

    def _header(self) -> dict[str, bytes]:
        meta: dict[str, bytes] = {}
        left = MAX_HEADER_BYTES
        while number := self._long():
            if number < 0:  # then the size of the map's block follows
                self._length()
            for _ in range(abs(number)):
                name, value = (self._exactly(min(self._length(), left + 1)) for _ in range(2))
                left -= len(name) + len(value) + 1
                if left < 0:
                    raise DataError(f"the Avro header is longer than {MAX_HEADER_BYTES} bytes")
                meta[name.decode("utf-8", "replace")] = value
        return meta

    def _length(self) -> int:
        length = self._long()
        if length is None or not 0 <= length <= sys.maxsize // 2:
            raise DataError(f"the Avro file is damaged at byte {self._file.tell()}")
        return length

    def _long(self, *, may_end: bool = False) -> int | None:
        number = shift = 0
        while shift < MAX_LONG_BITS:
            byte = self._file.read(1)
            if not byte:
                if may_end and not shift:
                    return None
                break
            number |= (byte[0] & 0x7F) << shift
            shift += 7
            if byte[0] < 0x80:  # noqa: PLR2004 - the highest bit says that more follow
                return (number >> 1) ^ -(number & 1)
        raise DataError(f"the Avro file is damaged or cut short at byte {self._file.tell()}")

    def _exactly(self, size: int) -> bytes:
        found = self._file.read(size)
        if len(found) < size:
            raise DataError(f"the Avro file is cut short: it ends at byte {self._file.tell()}")
        return found


def values(content: bytes, schema: Any, number: int, *, whole: bool = True) -> list[Any]:
    """
    Read values that stand one behind the other.

    :param schema: as :func:`avro_schema.load` gives it.
    :param whole: whether they must be all that there is.
    :raises DataError: when the bytes are none of that schema.
    """
    from fastavro import schemaless_reader

    file = io.BytesIO(content)
    try:
        found = [schemaless_reader(file, schema, None) for _ in range(number)]
    except Exception as error:  # noqa: BLE001 - fastavro raises IndexError, EOFError and others on foreign bytes
        raise DataError(f"the bytes do not fit the Avro schema ({type(error).__name__})") from None
    if whole and file.tell() < len(content):
        raise DataError(f"the bytes do not fit the Avro schema: {len(content) - file.tell()} are left over")
    return found


def _unpacked(codec: str, packed: bytes, max_bytes: int) -> bytes | None:
    """Decompress; None when it gets longer than it may."""
    if codec == "null":
        return packed
    if codec == "snappy":
        return _unsnapped(packed[:-4], max_bytes)  # a checksum stands behind
    if codec == "deflate":
        inflating = zlib.decompressobj(-zlib.MAX_WBITS)
        found = inflating.decompress(packed, max_bytes + 1)
    else:
        xz = lzma.LZMADecompressor(memlimit=MAX_XZ_BYTES) if codec == "xz" else None
        found = (xz or bz2.BZ2Decompressor()).decompress(packed, max_bytes + 1)
    return found if len(found) <= max_bytes else None


def _unsnapped(packed: bytes, max_bytes: int) -> bytes | None:
    try:
        from cramjam import DecompressionError, snappy
    except ImportError:
        raise missing("cramjam", "avro", "snappy-packed Avro") from None
    try:
        if snappy.decompress_raw_len(packed) > max_bytes:
            return None
        return bytes(snappy.decompress_raw(packed))
    except DecompressionError:
        raise ValueError from None
