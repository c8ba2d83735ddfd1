"""
A model behind HTTP: a wire carried out with httpx.

::

    answer(call) ── wire.encode ──> try ──> wire.decode ──> ModelReply
                                    │  ^
                     TransientError │  │ full jitter, or what Retry-After says
                                    └──┘ until tries or the total deadline run out

Only a ``TransientError`` is tried again; a ``PermanentError`` leaves at once.
Waits are drawn evenly from 0 to a bound that doubles ("full jitter",
https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), so
that many workers do not come back together. A wait that the deadline does not
leave room for is not begun: the error goes up with the server's own waiting time.

Redirects are never followed. What leaves this module is the hierarchy of
``exceptions.py``, each message opened by the endpoint's name and freed of the
key and of what the server quoted of the prompt; no error of httpx travels along,
as some quote the headers.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Self, TypeVar
from urllib.parse import urlsplit

import httpx

from airflow_agent_provider.core.control import Control
from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import ModelReply
from airflow_agent_provider.drivers import spans
from airflow_agent_provider.drivers.endpoint import Endpoint
from airflow_agent_provider.drivers.http_lanes import Lanes, open_transport
from airflow_agent_provider.exceptions import (
    AgentProviderError,
    CircuitOpen,
    ConfigurationError,
    ModelUnavailable,
    RateLimited,
    TransientError,
)
from airflow_agent_provider.wire.body import model_ids
from airflow_agent_provider.wire.echo import without_prompt
from airflow_agent_provider.wire.status import without_secrets
from airflow_agent_provider.wire.wire import Wire, WireRequest, WireResponse

T = TypeVar("T")
log = logging.getLogger(__name__)

MAX_BACKOFF_S = 30.0
HEADERS = {
    "accept": "application/json",
    "accept-encoding": "identity",
    "user-agent": "airflow-agent-provider",
}


class HttpModel:
    """
    A ``core.model.Model`` that asks over HTTP.

    Usable by any number of tasks of an event loop at once, and in several loops.
    ``async with`` (or :meth:`aclose`) closes its connections.

    :ivar endpoint: where it asks; ``endpoint.model`` is the model's name.
    :ivar wire: how it asks.
    :param open_transport: makes the httpx transport of each connection.
    :param control: admits each try and learns how it ended; None: nothing stands in between.
    """

    def __init__(
        self,
        wire: Wire,
        endpoint: Endpoint,
        *,
        open_transport: Callable[[Endpoint], httpx.AsyncBaseTransport] = open_transport,
        control: Control | None = None,
    ) -> None:
        self.wire = wire
        self.endpoint = endpoint
        self.control = control
        self._lanes = Lanes(lambda: open_transport(endpoint), endpoint.max_connections)
        self._urls: dict[str, httpx.URL] = {}
        self._timeouts = {
            "timeout": {
                "connect": endpoint.connect_timeout_s,
                "pool": endpoint.connect_timeout_s,
                "write": endpoint.read_timeout_s,
                "read": endpoint.read_timeout_s,
            }
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and the control's; the model stays usable."""
        await self._lanes.aclose()
        if self.control is not None:
            await self.control.aclose()

    async def answer(self, call: CallModel) -> ModelReply:
        """
        Ask, and ask again while that can help.

        :raises RequestRejected: when the server refuses the request.
        :raises RateLimited: when it asks to wait longer than the deadline allows.
        :raises ModelUnavailable: when no try gave a usable answer.
        :raises ConfigurationError: when the request cannot be written or sent.
        """
        endpoint = self.endpoint
        if endpoint.max_tokens is not None and call.max_tokens > endpoint.max_tokens:
            call = dataclasses.replace(call, max_tokens=endpoint.max_tokens)
        with spans.chat(endpoint, call) as span:
            try:
                reply = await self._answer(call)
            except AgentProviderError as error:
                self._sign(error)
                raise
            span.answered(reply)
        return reply

    async def models(self) -> tuple[str, ...]:
        """
        Give the ids of the models that the server says it has; none where the API has no list.

        :raises AgentProviderError: as :meth:`answer`.
        """
        try:
            request = self.wire.list_models(key=self.endpoint.key)
            if request is None:
                return ()

            async def ask() -> tuple[str, ...]:
                return model_ids(await self._send(request), secrets=self.endpoint.secrets)

            return await self._exchange(ask)
        except AgentProviderError as error:
            self._sign(error)
            raise

    async def _answer(self, call: CallModel) -> ModelReply:
        endpoint = self.endpoint
        request = self.wire.encode(call, model=endpoint.model, key=endpoint.key)

        async def ask() -> ModelReply:
            response = await self._send(request)
            try:
                return self.wire.decode(response, call, secrets=endpoint.secrets)
            except AgentProviderError as error:
                error.args = (without_prompt(str(error), call),)
                raise

        if self.control is None:
            return await self._exchange(ask)
        return await self._exchange(functools.partial(_controlled, self.control, call, ask))

    async def _exchange(self, ask: Callable[[], Awaitable[T]]) -> T:
        timeout_s = self.endpoint.timeout_s
        # A queue of our own making is not the server's fault: it waits outside the deadline.
        async with self._lanes.room():
            try:
                async with asyncio.timeout(timeout_s) as deadline:
                    return await self._try(ask, deadline)
            except TimeoutError:
                pass
        raise ModelUnavailable(f"no whole answer within {timeout_s:g} s, the total deadline of a call")

    async def _try(self, ask: Callable[[], Awaitable[T]], deadline: asyncio.Timeout) -> T:
        endpoint = self.endpoint
        for attempt in range(endpoint.max_retries):
            try:
                return await ask()
            except CircuitOpen:
                raise  # others have tried already: asking again is what the breaker spares us
            except TransientError as error:
                wait_s = self._wait_s(error, attempt)
                if _seconds_left(deadline) <= wait_s:
                    raise
                log.warning("%s: %s; try %d follows in %.1f s", endpoint.name, error, attempt + 2, wait_s)
                spans.retried(error, attempt + 1, wait_s)
            await asyncio.sleep(wait_s)
        return await ask()

    async def _send(self, request: WireRequest) -> WireResponse:
        outgoing = self._request(request)
        signer = self.endpoint.signer
        if signer is not None:
            # On a thread: its credentials may have to be fetched anew.
            signature = await asyncio.to_thread(
                signer.sign, outgoing.method, str(outgoing.url), outgoing.headers, request.body
            )
            outgoing.headers.update(signature)
        try:
            response, body = await self._lanes.send(outgoing, self.endpoint.max_body_bytes)
        except (httpx.HTTPError, OSError) as error:
            failure = self._failure(error)
        else:
            return WireResponse(response.status_code, response.headers, body)
        raise failure

    def _request(self, request: WireRequest) -> httpx.Request:
        try:
            return httpx.Request(
                request.method,
                self._url(request.path),
                headers={**HEADERS, **request.headers, **self.endpoint.headers},
                content=request.body,
                extensions=self._timeouts,
            )
        except (httpx.InvalidURL, ValueError) as error:
            reason = type(error).__name__
        raise ConfigurationError(f"the base URL, the key or a header cannot be sent ({reason}): correct it")

    def _url(self, path: str) -> httpx.URL:
        url = self._urls.get(path)
        if url is None:
            text = self.endpoint.base_url + path
            _ = urlsplit(text).port  # refuses ports and brackets that httpx lets through
            url = self._urls[path] = httpx.URL(text)
        return url

    def _failure(self, error: Exception) -> AgentProviderError:
        endpoint = self.endpoint
        host = httpx.URL(endpoint.base_url).netloc.decode("ascii")
        match error:
            case httpx.UnsupportedProtocol() | httpx.LocalProtocolError():
                return ConfigurationError("the base URL, the key or a header cannot be sent: correct it")
            case httpx.ConnectTimeout():
                return ModelUnavailable(
                    f"no connection to {host} within {endpoint.connect_timeout_s:g} s", maybe_billed=False
                )
            case httpx.ReadTimeout():
                return ModelUnavailable(f"{host} was silent for {endpoint.read_timeout_s:g} s")
            case httpx.ConnectError() | httpx.ProxyError():
                reason = without_secrets(str(error), endpoint.secrets)[:200]
                return ModelUnavailable(f"cannot connect to {host}: {reason}", maybe_billed=False)
        # Protocol errors quote what came over the line: name the kind only.
        return ModelUnavailable(f"the connection to {host} broke ({type(error).__name__})")

    def _wait_s(self, error: TransientError, attempt: int) -> float:
        bound_s = min(MAX_BACKOFF_S, self.endpoint.backoff_s * 2**attempt)
        jitter_s = random.uniform(0, bound_s)  # noqa: S311 - spreads load, keeps no secret
        asked_s = error.retry_after_s if isinstance(error, RateLimited) else None
        return jitter_s + (asked_s or 0.0)

    def _sign(self, error: AgentProviderError) -> None:
        """Open an error's message with the endpoint's name: wires do not know whom they speak for."""
        error.args = (f"{self.endpoint.name}: {error}",)


async def _controlled(
    control: Control, call: CallModel, ask: Callable[[], Awaitable[ModelReply]]
) -> ModelReply:
    ticket = await control.admit(call)
    try:
        reply = await ask()
    except BaseException as error:
        await control.failed(ticket, error)
        raise
    return await control.answered(ticket, reply)


def _seconds_left(deadline: asyncio.Timeout) -> float:
    when = deadline.when()
    return float("inf") if when is None else when - asyncio.get_running_loop().time()
