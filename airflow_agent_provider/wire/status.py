"""
What an HTTP status means for the caller, the same for every model API.

==============================  ==================================================
status                          error
==============================  ==================================================
200 to 299                      none
300 to 399                      ``RequestRejected``: a key is never carried along
408, 409, 424, 425, 429,        ``ModelUnavailable``; ``RateLimited`` when it is
500 to 599                      429 or says how long to wait
429 with ``insufficient_quota`` ``RequestRejected``: waiting brings no money
anything else                   ``RequestRejected``
==============================  ==================================================

Waiting times: ``retry-after-ms``, then ``retry-after`` in seconds or as an HTTP
date (RFC 9110, section 10.2.3), which is measured against the server's own
``date`` header where there is one, so that two clocks need not agree; last, the
``retryDelay`` that Google writes into the body.

424 is what Bedrock and Azure say when the model behind them failed.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from airflow_agent_provider.exceptions import (
    AgentProviderError,
    ModelUnavailable,
    RateLimited,
    RequestRejected,
)
from airflow_agent_provider.wire.wire import WireResponse

SUCCESS = range(200, 300)
REDIRECTION = range(300, 400)
SERVER_ERROR = range(500, 600)
TOO_MANY_REQUESTS = 429
TRANSIENT = frozenset({408, 409, 424, 425, TOO_MANY_REQUESTS})
#: Said by a gateway that waited for an answer: the model behind it may have given one, and billed it.
GAVE_UP = frozenset({408, 502, 504, 524, 598, 599})
ADVICE = {
    400: "the request or one of its parameters is not accepted by this model",
    401: "the API key is missing or wrong: check the connection's password",
    403: "the API key may not use this model: check the account, the project and the region",
    404: "no such model or path: check the model's name and the base URL",
    405: "the base URL is not that of a model API",
    413: "the prompt is too large for this server",
    422: "the request or one of its parameters is not accepted by this model",
}
RETRY_DELAY = re.compile(rb'"retryDelay"\s*:\s*"(\d{1,6}(?:\.\d{1,9})?)s"')
MAX_MESSAGE_CHARS = 300
MIN_SECRET_CHARS = 4
# Servers echo keys half masked: "Incorrect API key provided: sk-ab****wxyz".
MASK = "***"
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufffd]"
)


def require_success(response: WireResponse, secrets: tuple[str, ...] = ()) -> None:
    """
    Raise the error that the status stands for, if it stands for one.

    :param secrets: texts that the message must not hold.
    """
    if response.status not in SUCCESS:
        raise _error(response, secrets)


def without_secrets(text: str, secrets: tuple[str, ...]) -> str:
    """Strike secrets, whole or half masked, from a server's or a library's text; blanks become single."""
    for secret in secrets:
        # "x" and the like stand in for a key where none is needed, and would riddle the text.
        if len(secret) >= MIN_SECRET_CHARS:
            text = text.replace(secret, "[key]")
    return " ".join("[key]" if MASK in word else word for word in text.split())


def server_message(body: bytes, secrets: tuple[str, ...] = ()) -> str:
    """Find the short text by which a server explains itself; empty when there is none."""
    # Without what is not seen: a secret with a NUL between its letters, as in UTF-16, is one all the same.
    text = _INVISIBLE.sub("", body[: 64 * 1024].decode("utf-8", "replace"))
    try:
        text = _message(json.loads(text))
    except (ValueError, RecursionError):
        if text.lstrip().startswith("<"):
            return ""  # a proxy's HTML page
    text = without_secrets(text, secrets)
    return text if len(text) <= MAX_MESSAGE_CHARS else f"{text[:MAX_MESSAGE_CHARS]}..."


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Give the seconds that the server asks to wait, or None when it does not say."""
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _seconds(text)
    if seconds is not None or text is None:
        return seconds
    until = _timestamp(text)
    if until is None:
        return None
    now = _timestamp(headers.get("date", ""))
    return max(0.0, until - (time.time() if now is None else now))


def _error(response: WireResponse, secrets: tuple[str, ...]) -> AgentProviderError:
    status = response.status
    said = server_message(response.body, secrets)
    told = f"; the server said: {said}" if said else ""
    if status in REDIRECTION:
        return RequestRejected(
            f"HTTP {status}: the server redirects elsewhere, and a key is never sent after a redirect: "
            "put the final address into the base URL",
            status=status,
        )
    if status == TOO_MANY_REQUESTS and b"insufficient_quota" in response.body:
        return RequestRejected(f"HTTP {status}: the account's quota is used up{told}", status=status)
    if status in TRANSIENT or status in SERVER_ERROR:
        wait_s = retry_after_s(response.headers)
        if wait_s is None:
            wait_s = _delay_s(response.body)
        if status == TOO_MANY_REQUESTS or wait_s is not None:
            asked = "" if wait_s is None else f", retry after {wait_s:g} s"
            return RateLimited(f"HTTP {status}: asked to slow down{asked}{told}", retry_after_s=wait_s)
        return ModelUnavailable(f"HTTP {status}: no answer this time{told}", maybe_billed=status in GAVE_UP)
    advice = ADVICE.get(status, "the request was refused")
    return RequestRejected(f"HTTP {status}: {advice}{told}", status=status)


def _message(content: Any) -> str:
    """Dig the text out: ``error.message``, ``message`` in both spellings, or FastAPI's ``detail[0].msg``."""
    for key in ("error", "message", "Message", "detail", "msg"):
        if isinstance(content, list):
            content = content[0] if content else None
        if isinstance(content, dict):
            content = content.get(key, content)
    return content if isinstance(content, str) else ""


def _delay_s(body: bytes) -> float | None:
    found = RETRY_DELAY.search(body[: 64 * 1024])
    return float(found.group(1)) if found else None


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _timestamp(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None
