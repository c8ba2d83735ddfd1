"""The pace of each endpoint, kept for all workers; the rules are in ``routing/rate.py``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import astuple

from airflow_agent_provider.ledger.database import Database
from airflow_agent_provider.routing.rate import Pace, RateRule, blocked, take_turn

SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS agent_rate (
        endpoint TEXT PRIMARY KEY,
        requests_at DOUBLE PRECISION NOT NULL,
        tokens_at DOUBLE PRECISION NOT NULL,
        blocked_until DOUBLE PRECISION NOT NULL
    )
    """,
)
_LOCK = """
    INSERT INTO agent_rate VALUES (:endpoint, 0, 0, 0)
    ON CONFLICT (endpoint) DO UPDATE SET requests_at = agent_rate.requests_at
    RETURNING requests_at, tokens_at, blocked_until
"""
_WRITE = """
    UPDATE agent_rate SET
        requests_at = :requests_at, tokens_at = :tokens_at, blocked_until = :blocked_until
    WHERE endpoint = :endpoint
"""
_READ = "SELECT blocked_until FROM agent_rate WHERE endpoint = :endpoint"


class LedgerRate:
    """
    The paces in the ledger.

    :param rule: the endpoint's limits; an empty rule waits only when the server asked to.
    :param clock: wall-clock seconds, shared by machines.
    """

    def __init__(
        self, database: Database, rule: RateRule | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._rule = rule or RateRule()
        self._clock = clock
        self._limited = bool(self._rule.requests_per_minute or self._rule.tokens_per_minute)

    def prepare(self) -> None:
        """Make the table that is not there yet."""
        self._database.prepare(SCHEMA)

    def take_turn(self, endpoint: str, tokens: int) -> float:
        """Take the next turn; gives the seconds to wait for it."""
        if not self._limited:
            with self._database.read() as statements:
                rows = statements.execute(_READ, {"endpoint": endpoint})
            return max(rows[0]["blocked_until"] - self._clock(), 0.0) if rows else 0.0
        return self._change(endpoint, lambda pace, now: take_turn(pace, self._rule, tokens, now))

    def block(self, endpoint: str, wait_s: float) -> None:
        """Let everybody wait, because the server asked for it."""
        self._change(endpoint, lambda pace, now: (0.0, blocked(pace, wait_s, now)))

    def _change(self, endpoint: str, change: Callable[[Pace, float], tuple[float, Pace]]) -> float:
        with self._database.write() as statements:
            [row] = statements.execute(_LOCK, {"endpoint": endpoint})
            wait_s, pace = change(Pace(**row), self._clock())
            values = dict(zip(row, astuple(pace), strict=True))
            statements.execute(_WRITE, {"endpoint": endpoint, **values})
        return wait_s
