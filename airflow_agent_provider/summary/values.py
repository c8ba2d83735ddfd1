"""
One value of whatever type: what kind it is, and how it is shown.

Nothing here calls ``str`` or ``repr`` on a value that may be large or anybody's class;
what is not known is shown by the name of its type.
"""

from __future__ import annotations

import enum
import ipaddress
import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath
from typing import Any
from uuid import UUID

HIDDEN = "(sensitive)"
MAX_BITS = 256  # an int beyond that is no quantity; to write it in decimal may take minutes

TYPES: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "text",
    bytes: "bytes",
    dict: "object",
    list: "list",
    tuple: "list",
}
FAMILIES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (datetime, "timestamp"),
    (date, "date"),
    (time, "time"),
    (int, "integer"),
    ((float, Decimal, Fraction), "number"),
    ((str, UUID, PurePath, ipaddress.IPv4Address, ipaddress.IPv6Address), "text"),
    ((bytes, bytearray, memoryview), "bytes"),
    (Mapping, "object"),
    ((Sequence, AbstractSet), "list"),
)


def plain(value: Any) -> Any:
    """Give the Python value of what numpy, pandas and enumerations wrap; everything else as it is."""
    if type(value) in TYPES:
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value)
    home, name = type(value).__module__.partition(".")[0], type(value).__name__
    if home == "pandas" and name in {"NaTType", "NAType"}:
        return None
    if home == "numpy" and name == "datetime64":
        return value.astype("datetime64[us]").item()
    if home == "numpy" and name != "ndarray":
        return value.item()
    return value


def type_of(value: Any) -> str:
    """Name the type of a plain value as a summary does."""
    found = TYPES.get(type(value))
    if found:
        return found
    if type(value).__module__ == "numpy":
        return "list"
    return next((name for family, name in FAMILIES if isinstance(value, family)), "other")


def is_huge(value: Any) -> bool:
    """Tell whether an integer is too long to be counted and written."""
    return isinstance(value, int) and value.bit_length() > MAX_BITS


def shown(value: Any, max_chars: int) -> Any:
    """
    Give a plain value that is no list and no object as short plain JSON.

    :param max_chars: characters of a text; how many there are is said when some are left out.
    """
    match type_of(value):
        case "null" | "boolean":
            written = value
        case "integer":
            written = f"(integer of {value.bit_length()} bits)" if is_huge(value) else int(value)
        case "number":
            number = as_float(value)
            written = number if math.isfinite(number) else str(number)
        case "text":
            written = short(str(value), max_chars)
        case "bytes":
            written = f"({len(value)} bytes)"
        case "timestamp" | "date" | "time":
            written = value.isoformat()
        case _:
            written = str(value) if isinstance(value, timedelta) else f"({type(value).__name__})"
    return written


def as_float(value: Any) -> float:
    """Give a number as a float; what a float cannot hold becomes an infinity or NaN."""
    if isinstance(value, Decimal) and value.is_nan():
        return math.nan  # a signalling one would raise
    try:
        return float(value)
    except OverflowError:
        return math.inf


def short(text: str, max_chars: int) -> str:
    """Cut a text, and make it harmless: of control characters only line breaks and tabs, no surrogates."""
    head = text[:max_chars]
    if not head.isprintable():
        head = "".join(
            one if one.isprintable() or one in "\n\t" else "\N{REPLACEMENT CHARACTER}" for one in head
        )
    return head if len(text) <= max_chars else f"{head}… ({len(text):,} characters)"
