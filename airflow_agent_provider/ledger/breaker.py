"""
One circuit breaker per endpoint for all workers, and a kill switch for people.

The rules are :mod:`~airflow_agent_provider.routing.breaker`; here a row per endpoint
holds the health, changed under the row's lock. A closed and healthy circuit, the
usual case, costs one read before a call and nothing after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import astuple

from airflow_agent_provider.exceptions import CircuitOpen, EndpointDisabled
from airflow_agent_provider.ledger.database import Database, Row, Statements
from airflow_agent_provider.routing.breaker import BreakerRule, Health, admit, failed, retry_at, succeeded

SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS agent_endpoint (
        endpoint TEXT PRIMARY KEY,
        failures BIGINT NOT NULL,
        opens BIGINT NOT NULL,
        opened_at DOUBLE PRECISION,
        probe_until DOUBLE PRECISION,
        disabled_by TEXT
    )
    """,
)
_READ = "SELECT * FROM agent_endpoint WHERE endpoint = :endpoint"
_READ_ALL = "SELECT * FROM agent_endpoint ORDER BY endpoint"
_OPEN = """
    INSERT INTO agent_endpoint VALUES (:endpoint, 0, 0, NULL, NULL, NULL)
    ON CONFLICT (endpoint) DO UPDATE SET failures = agent_endpoint.failures
    RETURNING *
"""
_WRITE = """
    UPDATE agent_endpoint SET
        failures = :failures, opens = :opens, opened_at = :opened_at, probe_until = :probe_until
    WHERE endpoint = :endpoint
"""
_SWITCH = "UPDATE agent_endpoint SET disabled_by = :by WHERE endpoint = :endpoint"


class LedgerBreaker:
    """
    The breakers in the ledger.

    :param clock: wall-clock seconds, shared by machines.
    """

    def __init__(
        self, database: Database, rule: BreakerRule | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._rule = rule or BreakerRule()
        self._clock = clock

    def prepare(self) -> None:
        """Make the table that is not there yet."""
        self._database.prepare(SCHEMA)

    def admit(self, endpoint: str) -> None:
        """
        Let a call through, claiming the probe when it is due.

        :raises CircuitOpen: when the endpoint is known to be down.
        :raises EndpointDisabled: when a person switched it off.
        """
        with self._database.read() as statements:
            health = _health(_allowed(endpoint, statements.execute(_READ, {"endpoint": endpoint})))
        if health.is_closed:
            return
        admitted, health = self._change(endpoint, lambda now, known: admit(known, self._rule, now))
        if not admitted:
            wait_s = max(retry_at(health, self._rule), health.probe_until or 0) - self._clock()
            raise CircuitOpen(
                f"not asked: {health.failures} calls in a row failed; next try in {max(wait_s, 0):.0f} s",
                retry_after_s=max(wait_s, 0.0),
            )

    def succeeded(self, endpoint: str) -> Health | None:
        """Note an answer: the circuit is closed. Gives the new health, None when it was the best before."""
        if self.health(endpoint) == Health():
            return None
        return self._change(endpoint, lambda _, health: (True, succeeded(health)))[1]

    def failed(self, endpoint: str) -> Health:
        """Note a call that was not answered, and give the new health."""
        return self._change(endpoint, lambda now, health: (True, failed(health, self._rule, now)))[1]

    def health(self, endpoint: str) -> Health:
        """Show what is known of an endpoint."""
        with self._database.read() as statements:
            return _health(statements.execute(_READ, {"endpoint": endpoint}))

    def known(self) -> dict[str, tuple[Health, str | None]]:
        """Show every endpoint that ever failed or was switched: its health, and who switched it off."""
        with self._database.read() as statements:
            rows = statements.execute(_READ_ALL)
        return {row["endpoint"]: (_health([row]), row["disabled_by"]) for row in rows}

    def disable(self, endpoint: str, *, by: str) -> None:
        """Switch an endpoint off for everybody, until :meth:`enable`."""
        self._switch(endpoint, by)

    def enable(self, endpoint: str) -> None:
        """Switch an endpoint on again."""
        self._switch(endpoint, None)

    def _switch(self, endpoint: str, by: str | None) -> None:
        with self._database.write() as statements:
            statements.execute(_OPEN, {"endpoint": endpoint})
            statements.execute(_SWITCH, {"endpoint": endpoint, "by": by})

    def _change(
        self, endpoint: str, change: Callable[[float, Health], tuple[bool, Health]]
    ) -> tuple[bool, Health]:
        with self._database.write() as statements:
            before = _locked(statements, endpoint)
            answer, after = change(self._clock(), before)
            if after != before:
                names = ("failures", "opens", "opened_at", "probe_until")
                values = dict(zip(names, astuple(after), strict=True))
                statements.execute(_WRITE, {"endpoint": endpoint, **values})
        return answer, after


def _locked(statements: Statements, endpoint: str) -> Health:
    # The update that changes nothing takes the row's lock until the transaction ends.
    return _health(statements.execute(_OPEN, {"endpoint": endpoint}))


def _allowed(endpoint: str, rows: list[Row]) -> list[Row]:
    if rows and rows[0]["disabled_by"]:
        raise EndpointDisabled(
            f"{endpoint} was switched off by {rows[0]['disabled_by']}; it has to be switched on again"
        )
    return rows


def _health(rows: list[Row]) -> Health:
    if not rows:
        return Health()
    row = rows[0]
    return Health(row["failures"], row["opens"], row["opened_at"], row["probe_until"])
