"""
The history of batches, kept in the ledger database.

Two tables. ``agent_quality_history`` is the gate's: one row per batch, replaced when
the batch is measured again. ``agent_quality_feedback`` is people's: what they said
about a batch, which no gate writes. Moments are text in UTC and of one width, so that
both databases sort them as time.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Literal

from airflow_agent_provider.ledger.database import Database, Row
from airflow_agent_provider.quality.history import Feedback, HistoryRow, unknown_batch

SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS agent_quality_history (
        dataset TEXT NOT NULL,
        batch_key TEXT NOT NULL,
        batch_at TEXT NOT NULL,
        recorded_at TEXT NOT NULL,
        features TEXT NOT NULL,
        score DOUBLE PRECISION,
        verdict TEXT NOT NULL,
        accepted INTEGER NOT NULL,
        PRIMARY KEY (dataset, batch_key)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS agent_quality_history_by_time
    ON agent_quality_history (dataset, batch_at)
    """,
    """
    CREATE TABLE IF NOT EXISTS agent_quality_feedback (
        dataset TEXT NOT NULL,
        batch_key TEXT NOT NULL,
        decision TEXT NOT NULL,
        given_by TEXT NOT NULL,
        reason TEXT NOT NULL,
        given_at TEXT NOT NULL,
        PRIMARY KEY (dataset, batch_key)
    )
    """,
)
_RECORD = """
    INSERT INTO agent_quality_history
        (dataset, batch_key, batch_at, recorded_at, features, score, verdict, accepted)
    VALUES (:dataset, :batch_key, :batch_at, :recorded_at, :features, :score, :verdict, :accepted)
    ON CONFLICT (dataset, batch_key) DO UPDATE SET
        batch_at = excluded.batch_at, recorded_at = excluded.recorded_at, features = excluded.features,
        score = excluded.score, verdict = excluded.verdict, accepted = excluded.accepted
"""
_ADVISE = """
    INSERT INTO agent_quality_feedback (dataset, batch_key, decision, given_by, reason, given_at)
    SELECT dataset, batch_key, :decision, :given_by, :reason, :given_at
    FROM agent_quality_history WHERE dataset = :dataset AND batch_key = :batch_key
    ON CONFLICT (dataset, batch_key) DO UPDATE SET
        decision = excluded.decision, given_by = excluded.given_by,
        reason = excluded.reason, given_at = excluded.given_at
    RETURNING decision
"""
_ROWS = """
    SELECT h.dataset, h.batch_key, h.batch_at, h.recorded_at, h.features, h.score, h.verdict, h.accepted,
           f.decision, f.given_by, f.reason, f.given_at
    FROM agent_quality_history h
    LEFT JOIN agent_quality_feedback f ON f.dataset = h.dataset AND f.batch_key = h.batch_key
    WHERE h.dataset = :dataset
"""
_FIND = f"{_ROWS} AND h.batch_key = :batch_key"
_COUNTS = f"""
    {_ROWS} AND h.batch_key <> :exclude
    AND (f.decision = 'admit' OR (f.decision IS NULL AND h.accepted = 1))
"""
_EARLIER = "AND h.batch_at < :before"
_LATEST = "ORDER BY h.batch_at DESC, h.batch_key DESC LIMIT :limit"


class LedgerHistory:
    """A :class:`~airflow_agent_provider.quality.history.History` that all workers share."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._prepared = False

    def record(self, row: HistoryRow) -> None:
        values = {
            "dataset": row.dataset,
            "batch_key": row.batch_key,
            "batch_at": _text(row.batch_at),
            "recorded_at": _text(row.recorded_at),
            "features": json.dumps(dict(row.features), allow_nan=False),
            "score": row.score,
            "verdict": str(row.verdict),
            "accepted": int(row.accepted),
        }
        with self._ready().write() as statements:
            statements.execute(_RECORD, values)

    def accepted(
        self, dataset: str, *, exclude: str, before: datetime | None = None, limit: int = 60
    ) -> list[HistoryRow]:
        values: dict[str, str | int] = {"dataset": dataset, "exclude": exclude, "limit": limit}
        if before is not None:
            values["before"] = _text(before)
        sql = f"{_COUNTS} {_EARLIER if before is not None else ''} {_LATEST}"
        with self._ready().read() as statements:
            rows = statements.execute(sql, values)
        return [_row(row) for row in reversed(rows)]

    def find(self, dataset: str, batch_key: str) -> HistoryRow | None:
        with self._ready().read() as statements:
            rows = statements.execute(_FIND, {"dataset": dataset, "batch_key": batch_key})
        return _row(rows[0]) if rows else None

    def admit(self, dataset: str, batch_key: str, *, by: str, reason: str) -> None:
        self._advise(dataset, batch_key, "admit", by, reason)

    def expel(self, dataset: str, batch_key: str, *, by: str, reason: str) -> None:
        self._advise(dataset, batch_key, "expel", by, reason)

    def _advise(
        self, dataset: str, batch_key: str, decision: Literal["admit", "expel"], by: str, reason: str
    ) -> None:
        values = {
            "dataset": dataset,
            "batch_key": batch_key,
            "decision": decision,
            "given_by": by,
            "reason": reason,
            "given_at": _text(datetime.now(UTC)),
        }
        with self._ready().write() as statements:
            if not statements.execute(_ADVISE, values):
                raise unknown_batch(dataset, batch_key)

    def _ready(self) -> Database:
        if not self._prepared:
            self._database.prepare(SCHEMA)
            self._prepared = True
        return self._database


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _row(row: Row) -> HistoryRow:
    given = row["decision"]
    feedback = Feedback(given, row["given_by"], row["reason"], _moment(row["given_at"])) if given else None
    return HistoryRow(
        dataset=row["dataset"],
        batch_key=row["batch_key"],
        batch_at=_moment(row["batch_at"]),
        recorded_at=_moment(row["recorded_at"]),
        features=json.loads(row["features"]),
        score=row["score"],
        verdict=row["verdict"],
        accepted=bool(row["accepted"]),
        feedback=feedback,
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
