"""
How core messages become HTTP and HTTP becomes core messages.

A wire knows one model API: it *encodes* a ``CallModel`` as the request to send
and *decodes* the response that came. It opens no connection and keeps no state,
so a driver can retry, record or replay around it, and a test needs only bytes.
The split is the one that h11 made for HTTP itself (https://sans-io.readthedocs.io).

To add an API, write a module beside ``openai_chat.py`` with one frozen class
that fits :class:`Wire`, and add it to the contract tests' table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import ModelReply


@dataclass(frozen=True, slots=True)
class WireRequest:
    """
    What to send.

    :param path: appended to the endpoint's base URL; starts with a slash.
    :param headers: lower-case names; hold the key, so they stay out of ``repr``.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class WireResponse:
    """
    What came.

    :param headers: looked up by lower-case name.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Wire(Protocol):
    """One model API, as bytes."""

    def encode(self, call: CallModel, *, model: str, key: str | None) -> WireRequest:
        """
        Write a call.

        :param key: goes into the header that this API wants; None sends none.
        :raises ConfigurationError: when the call cannot be written as JSON.
        """
        ...

    def decode(self, response: WireResponse, call: CallModel, *, secrets: tuple[str, ...] = ()) -> ModelReply:
        """
        Read the answer to ``call``.

        :param secrets: texts that no error message may hold, whatever the server echoes.
        :raises RequestRejected: when the server said no.
        :raises ModelUnavailable: when the answer is missing, broken or of wrong types.
        :raises RateLimited: when the server asked to slow down.
        """
        ...

    def list_models(self, *, key: str | None) -> WireRequest | None:
        """
        Ask which models the server has; :func:`~.body.model_ids` reads the answer.

        None when the API has no list of the names that may be asked.
        """
        ...


def key_headers(key: str | None, header: str = "authorization") -> dict[str, str]:
    """Give the headers of a JSON request: the key as a bearer, or alone in a header of its own."""
    headers = {"content-type": "application/json"}
    if key:
        headers[header] = f"Bearer {key}" if header == "authorization" else key
    return headers
