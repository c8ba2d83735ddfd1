"""
The extras of an ``llm`` connection: what may stand there and what each must be.

Extras come as JSON with types from the form and the command line, and as text
alone from a connection written as a URI, so that every reader takes both. A
reader says what a value must be; it never repeats the value.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from airflow_agent_provider.exceptions import ConfigurationError

PROVIDER_NAMES = (
    "openai",
    "openai_responses",
    "anthropic",
    "google",
    "azure_openai",
    "bedrock",
    "vllm",
    "ollama",
    "llamacpp",
    "litellm",
    "openai_compatible",
    "anthropic_compatible",
    "route",
)
POLICY_EXTRAS: dict[str, frozenset[str]] = {
    "failover": frozenset(),
    "cheapest": frozenset(),
    "cascade": frozenset({"min_chars", "validator"}),
    "threshold": frozenset({"threshold", "threshold_by", "prefer"}),
}
"""The policies of a route, and the extras that each of them reads."""
ROUTE_EXTRAS = frozenset({"route", "policy"}).union(*POLICY_EXTRAS.values())
# What a call says itself, and what would have a server answer more, or more often, than was asked.
RESERVED_BODY_FIELDS = frozenset(
    "messages model stream system tools input instructions contents systemInstruction toolConfig "
    "max_tokens max_completion_tokens max_output_tokens n background "
    "generationConfig.maxOutputTokens generationConfig.candidateCount inferenceConfig.maxTokens".split()
)
MOST_DOLLARS = 1_000_000  # a dollar a token
RESERVED_HEADERS = frozenset({"content-length", "host", "transfer-encoding", "connection"})
HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
CONN_ID = re.compile(r"[\w.-]{1,200}")
API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(?:-preview)?")
AWS_REGION = re.compile(r"[a-z]{2,5}(?:-[a-z]{2,12}){1,3}-\d{1,2}")
DOTTED_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
POLICY_REGION = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class _Wrong(Exception):
    """What is wrong with a field's value; the reader adds where."""


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    raise _Wrong("must be text")


def _number(value: Any) -> float:
    # Values of a connection written as a URI are all text.
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if math.isfinite(number):
        return number
    raise _Wrong("must be a number")


def _seconds(value: Any) -> float:
    seconds = _number(value)
    if seconds > 0:
        return seconds
    raise _Wrong("must be a number of seconds greater than 0")


def _dollars(value: Any) -> float:
    dollars = _number(value)
    if 0 <= dollars <= MOST_DOLLARS:
        return dollars
    raise _Wrong(f"must be a number of US dollars, from 0 to {MOST_DOLLARS:g}")


def _rate(value: Any) -> float:
    rate = _number(value)
    if rate > 0:
        return rate
    raise _Wrong("must be a number greater than 0")


def _count(least: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        number = _number(value)
        if number >= least and number == int(number):
            return int(number)
        raise _Wrong(f"must be a whole number, at least {least}")

    return read


def _estimate(value: Any) -> float:
    estimate = _number(value)
    if estimate >= 0:
        return estimate
    raise _Wrong("must be a number, 0 or more")


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in {"true", "false"}:
        return value.strip().lower() == "true"
    raise _Wrong("must be true or false")


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if isinstance(value, dict):
        return value
    raise _Wrong("must be a JSON object")


def _headers(value: Any) -> dict[str, str]:
    headers = _object(value)
    for name, content in headers.items():
        if not HEADER_NAME.fullmatch(name) or name.lower() in RESERVED_HEADERS:
            raise _Wrong("holds a header name that cannot be set")
        if not isinstance(content, str) or not content.isascii() or not content.isprintable():
            raise _Wrong(f"holds a value of {name!r} that is not printable ASCII text")
    return {name.lower(): content for name, content in headers.items()}


def _body(value: Any) -> dict[str, Any]:
    fields = _object(value)
    inner = {f"{name}.{key}" for name, part in fields.items() if isinstance(part, dict) for key in part}
    taken = sorted(RESERVED_BODY_FIELDS & (inner | set(fields)))
    if taken:
        raise _Wrong(f"must not hold {taken[0]!r}, which each call sets")
    return fields


def _like(pattern: re.Pattern[str], example: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        text = _text(value)
        if pattern.fullmatch(text):
            return text
        raise _Wrong(f"must be text like {example}")

    return read


def _conn_ids(value: Any) -> tuple[str, ...]:
    # A list from JSON; names with commas from the form and from a connection written as a URI.
    if isinstance(value, str):
        text = value.strip()
        value = _list(text) if text.startswith("[") else [name.strip() for name in text.split(",")]
    if not isinstance(value, list) or not value:
        raise _Wrong("must be a list of connection ids")
    if not all(isinstance(name, str) and CONN_ID.fullmatch(name) for name in value):
        raise _Wrong("must hold connection ids, such as llm_default")
    if len(set(value)) < len(value):
        raise _Wrong("names a connection twice")
    return tuple(value)


def _list(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _region(value: Any) -> str:
    return _like(POLICY_REGION, "eu, us or local")(_text(value).lower())


def _one_of(*names: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if _text(value) in names:
            return _text(value)
        raise _Wrong(f"must be one of {', '.join(names)}")

    return read


EXTRAS: dict[str, Callable[[Any], Any]] = {
    "provider": _one_of(*PROVIDER_NAMES),
    "model": _text,
    "max_tokens": _count(1),
    "timeout_s": _seconds,
    "connect_timeout_s": _seconds,
    "read_timeout_s": _seconds,
    "max_retries": _count(0),
    "max_connections": _count(1),
    "max_body_bytes": _count(1024),
    "headers": _headers,
    "extra_body": _body,
    "max_tokens_field": _one_of("max_tokens", "max_completion_tokens"),
    "send_temperature": _flag,
    "allow_http": _flag,
    "trust_env": _flag,
    "region": _region,
    "api_version": _like(API_VERSION, "2024-10-21"),
    "aws_conn_id": _like(CONN_ID, "aws_default"),
    "region_name": _like(AWS_REGION, "eu-central-1"),
    "input_usd_per_mtok": _dollars,
    "output_usd_per_mtok": _dollars,
    "cached_usd_per_mtok": _dollars,
    "requests_per_minute": _rate,
    "tokens_per_minute": _rate,
    "context_tokens": _count(1),
    "supports_tools": _flag,
    "supports_schema": _flag,
    "breaker_failures": _count(1),
    "breaker_cooldown_s": _seconds,
    "cache_ttl_s": _seconds,
    "route": _conn_ids,
    "policy": _one_of(*POLICY_EXTRAS),
    "threshold": _estimate,
    "threshold_by": _one_of("complexity", "cost"),
    "prefer": _one_of("cheap_above", "strong_above"),
    "min_chars": _count(0),
    "validator": _like(DOTTED_NAME, "my_package.answers.is_complete"),
}


def read_conn_ids(value: Any, where: str) -> tuple[str, ...]:
    """
    Check a list of connections that a DAG names.

    :raises ConfigurationError: when it is no list of different ids.
    """
    try:
        return _conn_ids(list(value))
    except (_Wrong, TypeError) as wrong:
        reason = str(wrong)
    raise ConfigurationError(f"{where} {reason}")


def read_extras(extra: str | None, where: str) -> dict[str, Any]:
    """
    Check the extras, text or not, and give those that are set as values of their types.

    :param where: how errors call the connection.
    :raises ConfigurationError: names the extra that is unknown or wrong.
    """
    try:
        given = _object(extra) if extra else {}
    except _Wrong:
        raise ConfigurationError(f"{where}: extra must be a JSON object") from None
    unknown = sorted(set(given) - set(EXTRAS))
    if unknown:
        raise ConfigurationError(
            f"{where}: unknown extra {unknown[0]!r}; known are {', '.join(sorted(EXTRAS))}"
        )
    extras = {}
    for name, value in given.items():
        # The form sends empty fields too.
        if value in (None, ""):
            continue
        try:
            extras[name] = EXTRAS[name](value)
        except _Wrong as wrong:
            raise ConfigurationError(f"{where}: extra {name!r} {wrong}") from None
    return extras
