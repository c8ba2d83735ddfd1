"""
Protobuf messages, read by a message class or by a compiled schema.

The wire format names no fields: nearly any bytes can be read as nearly any message,
with everything unknown. So a message in which nothing was known is an error, not an
empty row (https://protobuf.dev/programming-guides/encoding/).

Messages are looked at through :class:`_Message`, a read-only mapping, so that only
what a summary looks at is turned into Python values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_agent_provider.exceptions import ConfigurationError, DataError
from airflow_agent_provider.summary.codec import missing, unframed
from airflow_agent_provider.summary.fields import ITEMS, Fields

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor

WELL_KNOWN = re.compile(r"google/protobuf/(\w+)\.proto")
TIMESTAMP = "google.protobuf.Timestamp"
SHOWN_NAMES = 20
MAX_INDEXES = 64


@dataclass(frozen=True)
class Protobuf:
    """
    Messages of one type.

    :param message: a generated class, or the full name of a message in ``descriptors``.
    :param descriptors: a serialized ``FileDescriptorSet``, as ``protoc --include_imports
        --descriptor_set_out=FILE`` writes it.
    :param framed: the schema registry's five bytes and the message's place in its file stand first.
    """

    message: Any
    descriptors: bytes | None = None
    framed: bool = False
    kind: ClassVar[str] = "protobuf"

    @cached_property
    def _class(self) -> Any:
        try:
            from google.protobuf.message import Message
        except ImportError:
            raise missing("protobuf", "protobuf", "Protobuf") from None
        if isinstance(self.message, type) and issubclass(self.message, Message):
            return self.message
        if isinstance(self.message, str) and self.descriptors is not None:
            return _message_class(self.message, self.descriptors)
        raise ConfigurationError(
            "Protobuf(message=...): must be a generated message class, or a message's full name "
            "together with descriptors="
        )

    def decode(self, payload: bytes) -> Any:
        made = self._class()
        from google.protobuf.message import DecodeError
        from google.protobuf.unknown_fields import UnknownFieldSet

        name = made.DESCRIPTOR.full_name
        try:
            made.ParseFromString(_behind_indexes(unframed(payload)) if self.framed else bytes(payload))
        except DecodeError:
            raise DataError(f"the bytes are no Protobuf message {name}") from None
        if not made.ListFields() and len(UnknownFieldSet(made)):
            raise DataError(f"the bytes are no Protobuf message {name}: none of their fields is one of its")
        return _Message(made)

    def declare(self, fields: Fields, under: Sequence[str] = ()) -> None:
        _declare(self._class.DESCRIPTOR, fields, tuple(under))


class _Message(Mapping[str, Any]):
    """A message's fields by name; None for one that is not set and whose setting is tracked."""

    def __init__(self, message: Any) -> None:
        self._message = message
        self._fields: Mapping[str, FieldDescriptor] = message.DESCRIPTOR.fields_by_name

    def __getitem__(self, name: str) -> Any:
        field = self._fields[name]
        if field.has_presence and not self._message.HasField(name):
            return None
        return _value(getattr(self._message, name), field)

    def __iter__(self) -> Iterator[str]:
        return (field.name for field in self._message.DESCRIPTOR.fields)

    def __len__(self) -> int:
        return len(self._fields)


class _Items(Sequence[Any]):
    """A repeated field."""

    def __init__(self, items: Any, field: FieldDescriptor) -> None:
        self._items, self._field = items, field

    def __getitem__(self, place: Any) -> Any:
        return _single(self._items[place], self._field)

    def __len__(self) -> int:
        return len(self._items)


class _Entries(Mapping[str, Any]):
    """A map field; its keys in order, for the wire keeps none."""

    def __init__(self, entries: Any, field: FieldDescriptor) -> None:
        self._entries, self._field = entries, field

    def __getitem__(self, key: Any) -> Any:
        return _single(self._entries[key], self._field)

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)


def _value(value: Any, field: FieldDescriptor) -> Any:
    if not field.is_repeated:
        return _single(value, field)
    if _is_map(field):
        return _Entries(value, field.message_type.fields_by_name["value"])
    return _Items(value, field)


def _single(value: Any, field: FieldDescriptor) -> Any:
    if field.message_type is not None:
        return _moment(value) if field.message_type.full_name == TIMESTAMP else _Message(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else value
    return value


def _moment(value: Any) -> Any:
    from datetime import UTC

    try:
        return value.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        return _Message(value)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _declare(descriptor: Descriptor, fields: Fields, parts: tuple[str | None, ...]) -> None:
    """Declare a message's fields; one that holds itself ends at the bound on depth."""
    for field in descriptor.fields:
        if len(parts) >= fields.bounds.depth or fields.left_out:
            return
        nullable = field.has_presence and not field.is_required
        kind = _type_text(field)
        path: tuple[str | None, ...] = (*parts, field.name)
        node = fields.declare(path, f"repeated {kind}" if field.is_repeated else kind, nullable=nullable)
        if node is None or node.sensitive or field.message_type is None or _is_map(field):
            continue
        if field.message_type.full_name != TIMESTAMP:
            _declare(field.message_type, fields, (*path, ITEMS) if field.is_repeated else path)


def _type_text(field: FieldDescriptor) -> str:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto

    if _is_map(field):
        return "map"
    if field.message_type is not None:
        return str(field.message_type.name)
    if field.enum_type is not None:
        return str(field.enum_type.name)
    return str(FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower())


def _message_class(name: str, descriptors: bytes) -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from google.protobuf.message import DecodeError

    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(descriptors).file
    except DecodeError:
        raise ConfigurationError("Protobuf(descriptors=...): not a serialized FileDescriptorSet") from None
    pool = descriptor_pool.DescriptorPool()
    known = {one.name: one for one in files}
    for file in files:
        _add(file.name, known, pool, ())
    try:
        return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
    except KeyError:
        names = [f"{file.package}.{one.name}".lstrip(".") for file in files for one in file.message_type]
        raise ConfigurationError(
            f"Protobuf(message={name!r}): not in the descriptors; they have {', '.join(names[:SHOWN_NAMES])}"
        ) from None


def _add(name: str, known: dict[str, Any], pool: Any, above: tuple[str, ...]) -> None:
    """Add a file to the pool, those that it imports first; Google's own come with the library."""
    if name in above:
        raise ConfigurationError(f"Protobuf(descriptors=...): {name} imports itself")
    try:
        pool.FindFileByName(name)
    except KeyError:
        file = known.get(name) or _googles(name)
        for imported in file.dependency:
            _add(imported, known, pool, (*above, name))
        try:
            pool.Add(file)
        except TypeError:
            raise ConfigurationError(f"Protobuf(descriptors=...): {name} is not consistent") from None


def _googles(name: str) -> Any:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    found = WELL_KNOWN.fullmatch(name)
    try:
        module = import_module(f"google.protobuf.{found[1] if found else ''}_pb2")
    except ImportError:
        raise ConfigurationError(
            f"Protobuf(descriptors=...): {name} is imported but not there; run protoc with --include_imports"
        ) from None
    file = FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(file)
    return file


def _behind_indexes(payload: bytes) -> bytes:
    """Take off the message's place in its file: how many numbers (zigzag), then the numbers."""
    number, place = _varint(payload, 0)
    if number >> 1 > MAX_INDEXES:
        raise DataError("too many message indexes behind the schema registry's header: leave out framed")
    for _ in range(number >> 1):
        _, place = _varint(payload, place)
    return payload[place:]


def _varint(payload: bytes, place: int) -> tuple[int, int]:
    """Read a number of up to ten bytes; give it and the place behind it."""
    number = 0
    for shift, byte in enumerate(payload[place : place + 10]):
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:  # noqa: PLR2004 - the highest bit says that more follow
            return number, place + shift + 1
    raise DataError("no message indexes behind the schema registry's header; leave out framed=True")
