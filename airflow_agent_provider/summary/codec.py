"""
How bytes are read: JSON, text, Avro or Protobuf.

A codec is a small value that a DAG author writes, ``Avro(schema)`` or ``Json()``. It
reads one payload at a time, and tells what the schema knows about its fields.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from airflow_agent_provider.exceptions import ConfigurationError, DataError
from airflow_agent_provider.summary.fields import Fields

FRAME = struct.Struct(">bI")


class Codec(Protocol):
    """
    Reads payloads.

    :ivar kind: what a summary calls such data.
    """

    @property
    def kind(self) -> str: ...

    def decode(self, payload: bytes) -> Any:
        """
        Give the value of one payload.

        :raises DataError: when the bytes are not what the codec reads; tells no value.
        :raises ConfigurationError: when the codec itself is written wrongly or its library is missing.
        """
        ...

    def declare(self, fields: Fields, under: Sequence[str] = ()) -> None:
        """Tell the fields that the schema knows, below a path."""
        ...


@dataclass(frozen=True)
class Json:
    """One JSON value in UTF-8."""

    kind: ClassVar[str] = "json"

    def decode(self, payload: bytes) -> Any:
        try:
            return json.loads(payload)
        except RecursionError:
            raise DataError("the JSON is nested too deep to be read") from None
        except ValueError as error:
            at = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
            raise DataError(f"not JSON{at}") from None

    def declare(self, fields: Fields, under: Sequence[str] = ()) -> None:
        """JSON says nothing before it is read."""


@dataclass(frozen=True)
class Text:
    """Text in UTF-8."""

    kind: ClassVar[str] = "text"

    def decode(self, payload: bytes) -> str:
        try:
            return bytes(payload).decode()
        except UnicodeDecodeError as error:
            raise DataError(f"not UTF-8 at byte {error.start}") from None

    def declare(self, fields: Fields, under: Sequence[str] = ()) -> None:
        """Text has no fields."""


def unframed(payload: bytes) -> bytes:
    """
    Take off the header that serializers with a schema registry put first: a zero and the schema's id.

    https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format

    :raises DataError: when it is not there.
    """
    if len(payload) < FRAME.size or payload[0] != 0:
        raise DataError("no schema registry header (a zero byte and four of the id); leave out framed=True")
    return payload[FRAME.size :]


def missing(library: str, extra: str, what: str) -> ConfigurationError:
    """Make the error that names what to install."""
    return ConfigurationError(
        f"reading {what} needs {library}: pip install 'airflow-agent-provider[{extra}]'"
    )
