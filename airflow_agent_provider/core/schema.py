"""
The part of JSON Schema that tools and answers need, checked without a library.

Why our own: it runs for every tool call and every structured answer, and the
floor below everything else imports the standard library only. The keywords are
those of the 2020-12 draft (https://json-schema.org/draft/2020-12) listed in
``KEYWORDS``; a schema that uses another one is refused when it is given, so that
nothing is silently left unchecked.
"""

from __future__ import annotations

import math
import re
from typing import Any

from airflow_agent_provider.exceptions import ConfigurationError

KEYWORDS = frozenset(
    "type properties required additionalProperties items enum const anyOf minimum maximum "
    "exclusiveMinimum exclusiveMaximum minLength maxLength pattern minItems maxItems uniqueItems "
    "title description default examples format".split()
)
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def require_supported(schema: dict[str, Any], where: str = "schema") -> None:
    """
    Refuse a schema that :func:`violations` could not check in full.

    :raises ConfigurationError: names the keyword or type and where it stands.
    """
    if not isinstance(schema, dict):
        raise ConfigurationError(f"{where}: a JSON schema is an object, not {type(schema).__name__}")
    unknown = sorted(set(schema) - KEYWORDS)
    if unknown:
        raise ConfigurationError(f"{where}: unsupported JSON schema keyword {unknown[0]!r}")
    for name in _types(schema):
        if name not in TYPES:
            raise ConfigurationError(f"{where}: unknown type {name!r}")
    for name, inner in schema.get("properties", {}).items():
        require_supported(inner, f"{where}.properties.{name}")
    for number, inner in enumerate(schema.get("anyOf", ())):
        require_supported(inner, f"{where}.anyOf[{number}]")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            require_supported(schema[key], f"{where}.{key}")


def violations(value: Any, schema: dict[str, Any], where: str = "$") -> list[str]:
    """
    Say what is wrong with a value, one line each; an empty list when it fits.

    Lines name places and bounds, never the value, which may be personal data.
    """
    if "anyOf" in schema and all(violations(value, inner, where) for inner in schema["anyOf"]):
        return [f"{where}: fits none of the {len(schema['anyOf'])} allowed forms"]
    expected = _types(schema)
    if expected and not any(_is(value, name) for name in expected):
        return [f"{where}: expected {' or '.join(expected)}, got {type(value).__name__}"]
    found = []
    if "enum" in schema and not any(_same(value, allowed) for allowed in schema["enum"]):
        found.append(f"{where}: must be one of {schema['enum']}")
    if "const" in schema and not _same(value, schema["const"]):
        found.append(f"{where}: must be {schema['const']!r}")
    if isinstance(value, str):
        found += _string(value, schema, where)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        found += _number(value, schema, where)
    elif isinstance(value, list):
        found += _array(value, schema, where)
    elif isinstance(value, dict):
        found += _object(value, schema, where)
    return found


def _types(schema: dict[str, Any]) -> tuple[str, ...]:
    declared = schema.get("type", ())
    return (declared,) if isinstance(declared, str) else tuple(declared)


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, TYPES[name])


def _same(one: Any, other: Any) -> bool:
    # True == 1 in Python, but not in JSON.
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _string(value: str, schema: dict[str, Any], where: str) -> list[str]:
    found = []
    if len(value) < schema.get("minLength", 0):
        found.append(f"{where}: shorter than {schema['minLength']} characters")
    if len(value) > schema.get("maxLength", len(value)):
        found.append(f"{where}: longer than {schema['maxLength']} characters")
    if "pattern" in schema and re.search(schema["pattern"], value) is None:
        found.append(f"{where}: does not match {schema['pattern']!r}")
    return found


def _number(value: float, schema: dict[str, Any], where: str) -> list[str]:
    found = []
    if not math.isfinite(value):
        found.append(f"{where}: must be a finite number")
    if "minimum" in schema and value < schema["minimum"]:
        found.append(f"{where}: less than {schema['minimum']}")
    if "maximum" in schema and value > schema["maximum"]:
        found.append(f"{where}: greater than {schema['maximum']}")
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        found.append(f"{where}: must be greater than {schema['exclusiveMinimum']}")
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        found.append(f"{where}: must be less than {schema['exclusiveMaximum']}")
    return found


def _array(value: list[Any], schema: dict[str, Any], where: str) -> list[str]:
    found = []
    if len(value) < schema.get("minItems", 0):
        found.append(f"{where}: fewer than {schema['minItems']} items")
    if len(value) > schema.get("maxItems", len(value)):
        found.append(f"{where}: more than {schema['maxItems']} items")
    if schema.get("uniqueItems") and any(item in value[:place] for place, item in enumerate(value)):
        found.append(f"{where}: items repeat")
    for place, item in enumerate(value if "items" in schema else ()):
        found += violations(item, schema["items"], f"{where}[{place}]")
    return found


def _object(value: dict[str, Any], schema: dict[str, Any], where: str) -> list[str]:
    properties = schema.get("properties", {})
    found = [f"{where}: missing {name!r}" for name in schema.get("required", ()) if name not in value]
    additional = schema.get("additionalProperties", True)
    for name, item in value.items():
        if name in properties:
            found += violations(item, properties[name], f"{where}.{name}")
        elif additional is False:
            found.append(f"{where}: unknown key {name!r}")
        elif isinstance(additional, dict):
            found += violations(item, additional, f"{where}.{name}")
    return found
