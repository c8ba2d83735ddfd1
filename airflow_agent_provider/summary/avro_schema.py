"""
Avro schemas that are safe to read by.

A schema comes with the data, from anybody, and fastavro follows it in C: nesting
without end overflows the stack and kills the process, items without size fill the
memory from a few bytes, and a decimal of a megabyte takes minutes to convert. So a
schema is held against these bounds before a byte is read by it:

- no recursive types, and no nesting deeper than ``MAX_HEIGHT``;
- at most ``MAX_NODES`` types when all names are unfolded;
- no arrays of items that take no bytes (``null``, empty records);
- decimals are read by our own reader, as bytes when longer than ``MAX_DECIMAL_BYTES``.

The format: https://avro.apache.org/docs/1.12.0/specification/
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

from airflow_agent_provider.exceptions import DataError
from airflow_agent_provider.summary.codec import missing
from airflow_agent_provider.summary.fields import ITEMS, Fields, part_name
from airflow_agent_provider.summary.values import shown

MAX_HEIGHT = 64
MAX_NODES = 10_000
MAX_DECIMAL_BYTES = 64
DECIMAL = "bounded-decimal"
SHOWN_BRANCHES = 5
COMPLEX = frozenset({"record", "error", "array", "map", "enum", "fixed"})


def load(schema: Any) -> Any:
    """
    Prepare a schema for fastavro.

    :param schema: as JSON text or as what JSON text gives.
    :raises DataError: when it is no Avro schema, or is not safe to read by.
    :raises ConfigurationError: when fastavro is not installed.
    """
    try:
        from fastavro import parse_schema
        from fastavro.read import LOGICAL_READERS
    except ImportError:
        raise missing("fastavro", "avro", "Avro") from None
    if isinstance(schema, (str, bytes)):
        schema = _json(schema)
    _require_shallow(schema)
    for kind in ("bytes", "fixed"):
        LOGICAL_READERS[f"{kind}-{DECIMAL}"] = _decimal
    try:
        parsed = parse_schema(_ours(schema))
        _Walk().shape(parsed, 0)
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001 - fastavro raises KeyError, TypeError and its own, and lets some pass
        raise DataError(f"not an Avro schema ({type(error).__name__})") from None
    return parsed


def declare(schema: Any, fields: Fields, under: Sequence[str | None]) -> None:
    """Tell the fields of a loaded schema: their types, and whether they may be null."""
    _Declaring(fields).add(schema, tuple(under))


def _json(schema: str | bytes) -> Any:
    try:
        return json.loads(schema)
    except (ValueError, RecursionError):
        if isinstance(schema, str) and schema.isidentifier():
            return schema  # a bare name of a primitive type
        raise DataError("the Avro schema is not JSON") from None


def _require_shallow(schema: Any) -> None:
    level = [schema]
    for _ in range(3 * MAX_HEIGHT):
        level = [
            below
            for one in level
            if isinstance(one, (Mapping, list, tuple))
            for below in (one.values() if isinstance(one, Mapping) else one)
        ]
        if len(level) > 10 * MAX_NODES:
            break
        if not level:
            return
    raise DataError(f"the Avro schema is nested deeper than {MAX_HEIGHT} types, or too large")


def _ours(schema: Any) -> Any:
    """Copy a schema: decimals are read by us, and no mark says that fastavro has checked it already."""
    if isinstance(schema, (list, tuple)):
        return [_ours(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    copied = {name: _ours(one) for name, one in schema.items() if not str(name).startswith("__")}
    if copied.get("logicalType") == "decimal":
        copied["logicalType"] = DECIMAL
    return copied


def _decimal(data: bytes, schema: Mapping[str, Any] | None = None, *_: Any) -> Any:
    if len(data) > MAX_DECIMAL_BYTES:
        return data
    scale = schema.get("scale", 0) if schema else 0
    number = Decimal(int.from_bytes(data, "big", signed=True))
    return number.scaleb(-scale, Context(prec=3 * MAX_DECIMAL_BYTES))


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a type unfolds to: types, levels, and whether a value takes any byte."""

    nodes: int
    height: int
    sized: bool


class _Walk:
    def __init__(self) -> None:
        self._known: dict[str, _Shape | None] = {}

    def shape(self, schema: Any, depth: int) -> _Shape:
        if isinstance(schema, str):
            found = self._named(schema)
        elif isinstance(schema, list):
            found = self._over([self.shape(one, depth + 1) for one in schema], sized=True)
        else:
            found = self._complex(schema, depth)
        if depth + found.height > MAX_HEIGHT or found.nodes > MAX_NODES:
            raise DataError(f"the Avro schema unfolds to more than {MAX_HEIGHT} levels or {MAX_NODES} types")
        return found

    def _named(self, name: str) -> _Shape:
        if name not in self._known:
            return _Shape(1, 1, sized=name != "null")
        found = self._known[name]
        if found is None:
            raise DataError(f"the Avro type {part_name(name)} holds itself: recursive schemas are not read")
        return found

    def _complex(self, schema: Mapping[str, Any], depth: int) -> _Shape:
        kind = schema["type"]
        if not isinstance(kind, str) or kind not in COMPLEX:
            return self.shape(kind, depth)
        if kind in {"record", "error"}:
            self._known[schema["name"]] = None
            parts = [self.shape(one["type"], depth + 1) for one in schema["fields"]]
            found = self._over(parts, sized=any(one.sized for one in parts))
        elif kind in {"array", "map"}:
            below = self.shape(schema["items" if kind == "array" else "values"], depth + 1)
            if kind == "array" and not below.sized:
                raise DataError(
                    "the Avro schema has an array of items without size: not read, it has no bound"
                )
            found = self._over([below], sized=True)
        else:
            found = _Shape(1, 1, sized=kind == "enum" or schema["size"] > 0)
        if "name" in schema:
            self._known[schema["name"]] = found
        return found

    def _over(self, parts: Sequence[_Shape], *, sized: bool) -> _Shape:
        return _Shape(
            1 + sum(one.nodes for one in parts), 1 + max((one.height for one in parts), default=0), sized
        )


class _Declaring:
    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self._names: dict[str, Any] = {}

    def add(self, schema: Any, parts: tuple[str | None, ...], *, known: bool = False) -> None:
        """Declare what stands at a path; ``known`` once the path itself is declared."""
        if len(parts) > self._fields.bounds.depth or self._fields.left_out:
            return
        branches, nullable = self._branches(schema)
        if parts and not known:
            text = " or ".join(_type_text(one) for one in branches[:SHOWN_BRANCHES])
            node = self._fields.declare(parts, text or "null", nullable=nullable)
            if node is None or node.sensitive:
                return
        for one in branches:
            if not isinstance(one, Mapping):
                continue
            if one["type"] in {"record", "error"}:
                for field in one["fields"]:
                    self.add(field["type"], (*parts, field["name"]))
            elif one["type"] == "array" and parts:
                self.add(one["items"], (*parts, ITEMS))

    def _branches(self, schema: Any) -> tuple[list[Any], bool]:
        """Give a type's branches without null, each as it was defined, and whether null was one."""
        if isinstance(schema, str):
            schema = self._names.get(schema, schema)
        if isinstance(schema, Mapping):
            if "name" in schema:
                self._names[schema["name"]] = schema
            if not isinstance(schema["type"], str):
                return self._branches(schema["type"])
        if not isinstance(schema, list):
            return ([], True) if _is_null(schema) else ([schema], False)
        found = [self._branches(one) for one in schema]
        return [one for branches, _ in found for one in branches], any(null for _, null in found)


def _is_null(schema: Any) -> bool:
    return schema == "null" or (isinstance(schema, Mapping) and schema.get("type") == "null")


def _type_text(schema: Any) -> str:
    if isinstance(schema, str):
        return part_name(schema)
    logical = schema.get("logicalType")
    if logical == DECIMAL:
        sizes = (schema.get("precision"), schema.get("scale", 0))
        return f"decimal({', '.join(str(shown(one, 0)) if isinstance(one, int) else '?' for one in sizes)})"
    return part_name(str(logical or schema["type"]))
