"""
Tools: Python functions that a model may ask for, never call.

:func:`tool` makes one from a function: the schema comes from the signature, the
description from the docstring. Arguments are checked against the schema before
the function sees them; what it returns becomes bounded text.
"""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Union, get_args, get_origin

from airflow_agent_provider.core.messages import ToolSpec
from airflow_agent_provider.core.schema import require_supported
from airflow_agent_provider.exceptions import ConfigurationError

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


@dataclass(frozen=True, slots=True)
class Tool:
    """
    A granted tool.

    :param spec: what the model is told.
    :param function: sync or async; called with keyword arguments only.
    :param timeout_s: seconds before the call is given up.
    :param max_chars: characters of the result that the model gets to see.
    :raises ConfigurationError: when the name or the schema is unusable.
    """

    spec: ToolSpec
    function: Callable[..., Any] = field(repr=False)
    timeout_s: float = 60.0
    max_chars: int = 20_000

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.spec.name):
            raise ConfigurationError(
                f"tool {self.spec.name!r}: a name is 1 to 64 letters, digits, _ or -, "
                "not starting with a digit"
            )
        require_supported(self.spec.parameters, f"tool {self.spec.name}")


def tool(function: Callable[..., Any], *, timeout_s: float = 60.0, max_chars: int = 20_000) -> Tool:
    """
    Make a tool of a function with annotated parameters.

    :raises ConfigurationError: when a parameter has no annotation that JSON can carry.
    """
    hints = typing.get_type_hints(function)
    properties = {}
    required = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ConfigurationError(f"tool {function.__name__}: parameter {name!r} cannot be passed by name")
        if name not in hints:
            raise ConfigurationError(f"tool {function.__name__}: parameter {name!r} needs a type annotation")
        properties[name] = _annotation_schema(hints[name], f"tool {function.__name__}: parameter {name!r}")
        if parameter.default is parameter.empty:
            required.append(name)
    parameters = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    spec = ToolSpec(function.__name__, inspect.getdoc(function) or "", parameters)
    return Tool(spec, function, timeout_s, max_chars)


def result_text(value: Any, max_chars: int) -> str:
    """Turn what a tool returned into text for the model, cut at ``max_chars``."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if len(text) <= max_chars:
        return text
    return f"{text[:max_chars]}\n[cut: {len(text) - max_chars} of {len(text)} characters left out]"


def _annotation_schema(annotation: Any, where: str) -> dict[str, Any]:
    if annotation in SCALARS:
        return {"type": SCALARS[annotation]}
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_annotation_schema(one, where) for one in arguments]}
    if origin is list or annotation is list:
        return {"type": "array", **({"items": _annotation_schema(arguments[0], where)} if arguments else {})}
    if origin is dict or annotation is dict:
        return {"type": "object"}
    raise ConfigurationError(
        f"{where}: {annotation!r} has no JSON schema; use str, int, float, bool, list, dict or Literal"
    )
