"""Where a model is reached, and how patiently: the settings of one connection, as values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

SECRET_HEADER = re.compile(r"auth|cookie|key|password|secret|token", re.IGNORECASE)


class Signer(Protocol):
    """Proves of each request who sends it, where a key in a header is not enough."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets used so far that a server may echo."""
        ...

    def sign(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        """
        Give the headers that prove it; they replace those of the same names.

        Called before each try, on a thread: it may take its time to fetch credentials.

        :raises ConfigurationError: when there are no credentials.
        :raises ModelUnavailable: when they cannot be had this time.
        """
        ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    One model behind one base URL.

    The total deadline ``timeout_s`` spans all tries and the waits between them; it
    also cuts off a body that drips. Waiting for a free connection does not count.

    :param name: how errors and logs call it, e.g. ``connection 'llm_default'``.
    :param base_url: with scheme, without a slash at the end.
    :param key: the API key; no error, log line or ``repr`` shows it.
    :param headers: sent with every request; lower-case names win over the wire's own.
    :param max_tokens: the most that an answer may have, whatever the call asks; None for no such cap.
    :param timeout_s: seconds for a call in all.
    :param connect_timeout_s: seconds to connect.
    :param read_timeout_s: seconds without a byte; a model that thinks sends none.
    :param max_retries: further tries after a transient failure.
    :param backoff_s: upper end of the first random wait; it doubles with each try.
    :param max_body_bytes: the answer's size at most, unpacked.
    :param max_connections: calls in flight at once per event loop.
    :param trust_env: go through the proxy that ``HTTPS_PROXY`` and its kind name.
    :param region: where data goes that is sent there, as policies call it: ``eu``, ``us``, ``local``.
    :param signer: signs each request; None where the key says it all.
    :param provider: whose API it is, as the connection names it; for traces.
    """

    name: str
    base_url: str
    model: str
    key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_tokens: int | None = None
    timeout_s: float = 180.0
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 120.0
    max_retries: int = 2
    backoff_s: float = 0.5
    max_body_bytes: int = 16 * 1024 * 1024
    max_connections: int = 256
    trust_env: bool = False
    region: str = ""
    signer: Signer | None = field(default=None, repr=False)
    provider: str = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that must not be shown: key, signing credentials, what headers of telling names hold."""
        from_headers = (value for name, value in self.headers.items() if SECRET_HEADER.search(name))
        signing = self.signer.secrets if self.signer else ()
        return tuple(secret for secret in (self.key, *from_headers, *signing) if secret)
