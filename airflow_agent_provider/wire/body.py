"""
JSON bodies: written compactly, read with suspicion.

A model API is a stranger's program. Whatever it sends, the reader here gives
either a value of the type that was asked for or a ``ModelUnavailable`` that
names the field; a ``KeyError`` never leaves this room. Unknown fields are
ignored, ``null`` counts as absent, and ``NaN`` is no JSON (RFC 8259).

Errors are raised after their ``except`` block has ended: an exception that
carries the body (``json.JSONDecodeError.doc``) must not travel along as
``__context__``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn, TypeVar

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import ToolRequest
from airflow_agent_provider.exceptions import ConfigurationError, ModelUnavailable
from airflow_agent_provider.wire.status import require_success, server_message
from airflow_agent_provider.wire.wire import WireResponse

T = TypeVar("T")
BAD_REQUEST = 400
MOST_TOKENS = 10**9
"""What no call can use; sums of it still fit a database."""
MEDIA_TYPE = re.compile(r"[\w.+-]{1,40}/[\w.+-]{1,40}")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


# Built once: json.dumps and json.loads make a new coder per call when given options.
# ASCII output carries every str, lone surrogates too, which UTF-8 cannot.
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


def write(content: dict[str, Any]) -> bytes:
    """
    Write a request body.

    :raises ConfigurationError: when a schema, an argument or an extra body field is no JSON.
    """
    try:
        return _encode(content).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        reason = type(error).__name__
    raise ConfigurationError(
        f"the request cannot be written as JSON ({reason}): a tool's schema, an answer schema or "
        "an extra body field holds a value that JSON does not have"
    )


def merged(content: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """Add extra fields, into objects too: ``{"text": {"verbosity": "low"}}`` keeps the rest of ``text``."""
    result = dict(content)
    for name, value in extra.items():
        inner = result.get(name)
        if isinstance(inner, dict) and isinstance(value, dict):
            result[name] = merged(inner, value)
        else:
            result[name] = value
    return result


def write_text(value: Any) -> str:
    """Write a JSON value that came from a body as text again."""
    return _encode(value)


def read(response: WireResponse, secrets: tuple[str, ...] = ()) -> dict[str, Any]:
    """
    Read a response's body as a JSON object, once its status says success.

    :raises AgentProviderError: by status, see :func:`~.status.require_success`.
    :raises ModelUnavailable: when the body is no JSON object.
    """
    require_success(response, secrets)
    content = parse(response.body)
    if isinstance(content, dict):
        return content
    sent = MEDIA_TYPE.match(response.headers.get("content-type", ""))
    raise ModelUnavailable(
        f"the answer is no JSON object (content type {sent.group() if sent else 'not given'}, "
        f"{len(response.body)} bytes): it was cut short, or the base URL is not that of a model API"
    )


def incomplete(what: str, response: WireResponse, secrets: tuple[str, ...]) -> ModelUnavailable:
    """Make the error for a success that lacks its essence, as gateways send with an error inside."""
    said = server_message(response.body, secrets)
    return ModelUnavailable(f"the answer holds no {what}" + (f"; the server said: {said}" if said else ""))


def parse(text: bytes | str) -> Any:
    """Read JSON, or give None when it is none."""
    try:
        return _decode(text.decode("utf-8") if isinstance(text, bytes) else text)
    except (ValueError, RecursionError):
        return None


def field(content: dict[str, Any], name: str, kind: type[T], default: T) -> T:
    """
    Give a field of the type that the API promises, or the default when it is absent or null.

    :raises ModelUnavailable: when it is there with another type.
    """
    value = content.get(name)
    if value is None:
        return default
    if isinstance(value, kind) and not isinstance(value, bool):
        return value
    raise ModelUnavailable(f"the answer's {name!r} is {type(value).__name__}, expected {kind.__name__}")


def objects(content: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """
    Give the objects of a list field; nothing when it is absent.

    :raises ModelUnavailable: when it is no list of objects.
    """
    for item in field(content, name, list, []):
        if not isinstance(item, dict):
            raise ModelUnavailable(f"the answer's {name!r} holds {type(item).__name__}, expected objects")
        yield item


def tokens(usage: dict[str, Any], name: str) -> int:
    """
    Give a token count; 0 when it is absent.

    :raises ModelUnavailable: when it is no count.
    """
    count = field(usage, name, int, 0)
    if not 0 <= count <= MOST_TOKENS:
        raise ModelUnavailable(f"the answer's {name!r} cannot be a count of tokens")
    return count


def tool_request(identity: str, name: str, arguments: Any, signature: str = "") -> ToolRequest:
    """
    Make a tool request of arguments as they came: an object, or text that should hold one.

    None and blank text mean no arguments, as several servers write it.
    """
    if arguments is None or (isinstance(arguments, str) and not arguments.strip()):
        return ToolRequest(identity, name, {}, signature=signature)
    parsed = parse(arguments) if isinstance(arguments, str) else arguments
    if isinstance(parsed, dict):
        return ToolRequest(identity, name, parsed, signature=signature)
    raw = arguments if isinstance(arguments, str) else write_text(arguments)
    return ToolRequest(identity, name, None, raw, signature)


def sent_arguments(request: ToolRequest) -> dict[str, Any]:
    """
    Give a request's arguments as they are told back to the model.

    APIs take objects only, so what was no object goes back wrapped in one.
    """
    return {"unparsed": request.raw} if request.arguments is None else request.arguments


def answer_schema(call: CallModel) -> dict[str, Any] | None:
    """
    Give the schema that the answer must fit.

    :raises ConfigurationError: when it is not that of an object, which is all that the APIs take.
    """
    if call.schema is not None and call.schema.get("type") != "object":
        raise ConfigurationError("an answer schema must be of type object at its top: wrap the value in one")
    return call.schema


def model_ids(response: WireResponse, *, secrets: tuple[str, ...] = ()) -> tuple[str, ...]:
    """
    Read the answer to ``list_models``: ``data`` with ids, or Google's ``models`` with names.

    :raises AgentProviderError: as :func:`read`.
    """
    content = read(response, secrets)
    if "data" not in content:
        names = (field(model, "name", str, "") for model in objects(content, "models"))
        return tuple(name.removeprefix("models/") for name in names)
    return tuple(field(model, "id", str, "") for model in objects(content, "data"))


def filtered(response: WireResponse) -> bool:
    """Say whether a filter refused the prompt; Azure answers 400 for it, and asking again is no use."""
    if response.status != BAD_REQUEST:
        return False
    content = parse(response.body)
    error = content.get("error") if isinstance(content, dict) else None
    return isinstance(error, dict) and error.get("code") == "content_filter"
