"""
Replies kept for a while, so that the same question is not paid twice.

Switched on per connection by a time to live. Only what should come out the same again
is kept: calls of temperature 0, whole answers, no refusals, nothing that does not fit
the call's own schema or tools. The key is a hash of everything that was asked and of
whom: connection, base URL, model, the wire's settings and the call's fingerprint, so
that a changed prompt, tool, model or setting finds nothing old. A model call has no side
effects: a tool that is asked for in a kept answer is run, or not, by the flow as ever.

No provider promises that temperature 0 gives the same answer twice; a cached answer is
*an* answer, not the one that would have come. Calls made side by side are all sent: the
first answer serves those that come after it.

**What lies in the table.** Entries hold the reply as it came over the wire. Behind
``drivers/private.py`` that is a text with placeholders, and the values are put back after
the cache; but what was not recognised as personal, and what the policy allows to be sent,
lies there as it was, in plain text, for as long as the time to live says.
:meth:`LedgerCache.forget` removes it.

The table is bounded in bytes. Expired rows go after each write, then the oldest. A ledger
that does not answer costs the cache, never the call.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import ParamSpec, Self, TypeVar

from airflow_agent_provider.core.control import CallRecord
from airflow_agent_provider.core.effects import CallModel, fingerprint
from airflow_agent_provider.core.messages import ModelReply, Usage, reply_from_json, to_json
from airflow_agent_provider.drivers.endpoint import SECRET_HEADER, Endpoint
from airflow_agent_provider.drivers.http import HttpModel
from airflow_agent_provider.exceptions import ConfigurationError, SourceUnavailable
from airflow_agent_provider.ledger.database import Database, Statements
from airflow_agent_provider.ledger.patience import patiently
from airflow_agent_provider.routing.answer import shortcoming

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)

MAX_BYTES = 32 * 1024 * 1024
MAX_REPLY_BYTES = 256 * 1024
SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS agent_reply_cache (
        key TEXT PRIMARY KEY,
        endpoint TEXT NOT NULL,
        reply TEXT NOT NULL,
        size BIGINT NOT NULL,
        stored_at DOUBLE PRECISION NOT NULL,
        expires_at DOUBLE PRECISION NOT NULL
    )
    """,
    "CREATE INDEX IF NOT EXISTS agent_reply_cache_expiry ON agent_reply_cache (expires_at)",
    "CREATE INDEX IF NOT EXISTS agent_reply_cache_age ON agent_reply_cache (stored_at, size)",
)
_FIND = "SELECT reply FROM agent_reply_cache WHERE key = :key AND stored_at > :since"
_KEEP = """
    INSERT INTO agent_reply_cache VALUES (:key, :endpoint, :reply, :size, :now, :expires_at)
    ON CONFLICT (key) DO UPDATE SET
        reply = excluded.reply, size = excluded.size,
        stored_at = excluded.stored_at, expires_at = excluded.expires_at
"""
_SIZE = "SELECT SUM(size) AS total FROM agent_reply_cache"
_EXPIRED = "SELECT key FROM agent_reply_cache WHERE expires_at <= :now"
_SURPLUS = """
    SELECT key FROM agent_reply_cache WHERE key IN (
        SELECT key FROM (
            SELECT key, SUM(size) OVER (ORDER BY stored_at DESC, key) AS kept FROM agent_reply_cache
        ) AS newest_first WHERE kept > :bytes
    )
"""
# Two workers that make room at once must not wait for each other's rows: in PostgreSQL that is a deadlock.
_LEAVE_LOCKED = {"sqlite": "", "postgres": "FOR UPDATE SKIP LOCKED"}
_FORGET = "DELETE FROM agent_reply_cache WHERE endpoint = :endpoint"


class LedgerCache:
    """
    The replies in the ledger.

    :param ttl_s: seconds for which a reply is good; a shorter one holds for older entries too.
    :param max_bytes: what the table may hold, all connections together.
    :param clock: wall-clock seconds, shared by machines.
    """

    def __init__(
        self,
        database: Database,
        *,
        ttl_s: float,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.database = database
        self._ttl_s = ttl_s
        self._max_bytes = max_bytes
        self._clock = clock
        self._prepared = False

    def find(self, key: str) -> ModelReply | None:
        """Give the reply kept under a key, unless it is too old: marked, and free of charge."""
        with self._ready().read() as statements:
            rows = statements.execute(_FIND, {"key": key, "since": self._clock() - self._ttl_s})
        if not rows:
            return None
        reply = reply_from_json(json.loads(rows[0]["reply"]))
        return replace(reply, usage=Usage(), cost_micros=0, cached=True)

    def keep(self, key: str, endpoint: str, reply: ModelReply) -> None:
        """Keep a reply, unless it is very large, and make room."""
        text = json.dumps(to_json(reply))
        size = len(text)  # ASCII: characters are bytes
        if size > min(MAX_REPLY_BYTES, self._max_bytes):
            return
        now = self._clock()
        entry = {"key": key, "endpoint": endpoint, "reply": text, "size": size}
        with self._ready().write() as statements:
            statements.execute(_KEEP, {**entry, "now": now, "expires_at": now + self._ttl_s})
        with self.database.write() as statements:
            self._remove(statements, _EXPIRED, {"now": now})
            if (statements.execute(_SIZE)[0]["total"] or 0) > self._max_bytes:
                # A tenth more than needed, so that not every write sorts the table.
                self._remove(statements, _SURPLUS, {"bytes": max(self._max_bytes * 9 // 10, size)})

    def forget(self, endpoint: str) -> None:
        """Remove all replies of a connection."""
        with self._ready().write() as statements:
            statements.execute(_FORGET, {"endpoint": endpoint})

    def _remove(self, statements: Statements, keys: str, parameters: Mapping[str, float]) -> None:
        leave_locked = _LEAVE_LOCKED[self.database.dialect]
        statements.execute(f"DELETE FROM agent_reply_cache WHERE key IN ({keys} {leave_locked})", parameters)

    def _ready(self) -> Database:
        if not self._prepared:
            self.database.prepare(SCHEMA)
            self._prepared = True
        return self.database


class CachedModel:
    """
    A ``core.model.Model`` that looks into the cache before it asks.

    A hit draws on no budget, waits for no turn and asks no breaker: nothing is sent.

    :param model: asked on a miss.
    :param connection: its id, under which replies are kept and calls are counted.
    :param on_call: told of every hit; for metrics.
    """

    def __init__(
        self,
        model: HttpModel,
        cache: LedgerCache,
        *,
        connection: str,
        on_call: Callable[[CallRecord], None] | None = None,
    ) -> None:
        self.model = model
        self._cache = cache
        self._connection = connection
        self._on_call = on_call
        self._whom = _whom(connection, model)

    @property
    def endpoint(self) -> Endpoint:
        """Where it asks."""
        return self.model.endpoint

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the endpoint's connections."""
        await self.model.aclose()

    async def models(self) -> tuple[str, ...]:
        """Give the ids of the models that the server says it has."""
        return await self.model.models()

    async def answer(self, call: CallModel) -> ModelReply:
        """
        Give the kept answer, or ask and keep it.

        :raises AgentProviderError: as ``HttpModel.answer``.
        """
        if call.temperature != 0:
            return await self.model.answer(call)
        key = hashlib.sha256(f"{self._whom} {fingerprint(call)}".encode()).hexdigest()
        started_at = time.monotonic()
        kept = await self._quietly(self._cache.find, key)
        if kept is not None:
            self._count(time.monotonic() - started_at)
            return kept
        reply = await self.model.answer(call)
        if reply.stop_reason in {"stop", "tool_calls"} and not shortcoming(call, reply):
            await self._quietly(self._cache.keep, key, self._connection, reply)
        return reply

    async def _quietly(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return await patiently(self._cache.database, partial(function, *args, **kwargs))
        except (SourceUnavailable, ConfigurationError) as error:
            log.warning("%s: the reply cache is not used: %s", self.endpoint.name, error)
            return None

    def _count(self, seconds: float) -> None:
        if self._on_call:
            self._on_call(CallRecord(self._connection, self.endpoint.model, "cached", Usage(), 0, seconds))


def _whom(connection: str, model: HttpModel) -> str:
    """Hash all that decides an answer beside the call; a new key does not, so it is left out."""
    endpoint = model.endpoint
    headers = sorted(item for item in endpoint.headers.items() if not SECRET_HEADER.search(item[0]))
    text = repr((connection, endpoint.base_url, endpoint.model, endpoint.max_tokens, headers, model.wire))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
