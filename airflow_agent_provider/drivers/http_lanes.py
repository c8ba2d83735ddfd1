"""
Keep-alive connections, one per lane, so that width costs nothing.

httpx's pool looks at all its connections on every request: with a thousand
calls in flight the work grows with the square. A *lane* is a transport that
holds at most one connection, so its pool has nothing to search. Idle lanes lie
on a stack: the one used last, whose connection is surely still open, goes first.
A lane that ended in any other way than a fully read body is closed, not reused.

The transport is httpx's own, without ``AsyncClient`` around it: no cookies kept
between calls, no redirects followed, no environment read, and a quarter less CPU
a call (https://www.python-httpx.org/advanced/transports/).

Connections belong to the event loop that opened them; each loop has its own
stack. Building a TLS context takes about 15 ms and 0.8 MB, so all lanes of a
process share one.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import ssl
import urllib.request
import zlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import cast
from weakref import WeakKeyDictionary

import httpx

from airflow_agent_provider.drivers.endpoint import Endpoint
from airflow_agent_provider.exceptions import ConfigurationError, ModelUnavailable
from airflow_agent_provider.wire.status import SUCCESS

# Its debug lines quote headers and broken bodies, in which servers echo keys and prompts. A level that a
# person set for it stands.
_transport_log = logging.getLogger("httpcore")
if _transport_log.level == logging.NOTSET:
    _transport_log.setLevel(logging.INFO)

ERROR_BODY_BYTES = 64 * 1024
# An agent thinks and runs tools between calls: httpx's 5 s would cost it a TLS handshake each time.
KEEP_ALIVE_S = 30.0
ONE_CONNECTION = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEP_ALIVE_S)


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Give the process's TLS context: certifi's authorities, or those of ``SSL_CERT_FILE``."""
    return httpx.create_ssl_context()


def open_transport(endpoint: Endpoint) -> httpx.AsyncBaseTransport:
    """
    Make the transport of a new lane; it connects when first used.

    :raises ConfigurationError: when the environment's proxy cannot be used.
    """
    proxy = _environment_proxy(httpx.URL(endpoint.base_url)) if endpoint.trust_env else None
    try:
        return httpx.AsyncHTTPTransport(
            verify=tls_context(), trust_env=False, limits=ONE_CONNECTION, proxy=proxy
        )
    except (ValueError, ImportError, httpx.InvalidURL):
        pass  # their messages quote the proxy's URL, which may hold a password
    raise ConfigurationError(
        "the proxy that the environment names cannot be used: it must be an http or https URL "
        "(socks needs the package socksio)"
    )


class _LoopLanes:
    """The lanes of one event loop."""

    def __init__(self, max_lanes: int) -> None:
        self.idle: list[httpx.AsyncBaseTransport] = []
        self.room = asyncio.Semaphore(max_lanes)


class Lanes:
    """
    The connections to one endpoint.

    :param max_lanes: requests in flight at once, per event loop.
    """

    def __init__(self, open_lane: Callable[[], httpx.AsyncBaseTransport], max_lanes: int) -> None:
        self._open_lane = open_lane
        self._max_lanes = max_lanes
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopLanes] = WeakKeyDictionary()

    def room(self) -> asyncio.Semaphore:
        """Give what must be held while a lane is used."""
        return self._here().room

    async def send(self, request: httpx.Request, max_bytes: int) -> tuple[httpx.Response, bytes]:
        """
        Send one request on a lane of its own and read the answer.

        :raises httpx.HTTPError: when the connection fails.
        :raises ModelUnavailable: when the body is too large or packed in an unknown way.
        """
        idle = self._here().idle
        lane = idle.pop() if idle else self._open_lane()
        try:
            response = await lane.handle_async_request(request)
            body = await read_body(response, max_bytes)
        except BaseException:
            await lane.aclose()
            raise
        idle.append(lane)
        return response, body

    async def aclose(self) -> None:
        """Close the idle connections of the running event loop; the lanes stay usable."""
        idle = self._here().idle
        while idle:
            await idle.pop().aclose()

    def _here(self) -> _LoopLanes:
        loop = asyncio.get_running_loop()
        lanes = self._by_loop.get(loop)
        if lanes is None:
            lanes = self._by_loop[loop] = _LoopLanes(self._max_lanes)
        return lanes


async def read_body(response: httpx.Response, max_bytes: int) -> bytes:
    """
    Read a body up to a bound, whatever ``content-length`` claims.

    Of a body that comes with an error status only the beginning is read.

    :raises ModelUnavailable: when a successful answer passes the bound.
    """
    succeeded = response.status_code in SUCCESS
    bound = max_bytes if succeeded else min(max_bytes, ERROR_BODY_BYTES)
    parts, size = [], 0
    # Async generators, though typed as less: left early, one must be closed here and now.
    source = cast("httpx.AsyncByteStream", response.stream)
    async with aclosing(cast("AsyncGenerator[bytes]", aiter(source))) as stream:
        async for part in stream:
            parts.append(part)
            size += len(part)
            if size > bound:
                break
    await response.aclose()
    body = _unpacked(b"".join(parts), response.headers.get("content-encoding", "identity"), bound)
    if succeeded and len(body) > bound:
        raise ModelUnavailable(f"the answer is larger than {max_bytes} bytes and was cut off")
    return body[:bound]


def _unpacked(body: bytes, encoding: str, bound: int) -> bytes:
    # Plain bodies are asked for; some gateways pack them all the same.
    if encoding == "identity":
        return body
    if encoding not in {"gzip", "deflate"}:
        raise ModelUnavailable(
            "the answer is packed in a way that was not asked for: check the proxy in between"
        )
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, bound + 1)
    except zlib.error:
        return b""  # broken: an empty body is no JSON, and says so


def _environment_proxy(url: httpx.URL) -> str | None:
    if urllib.request.proxy_bypass(url.host):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(url.scheme) or proxies.get("all")
