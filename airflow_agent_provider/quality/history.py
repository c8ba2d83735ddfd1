"""
The batches that went before: what a new one is judged by.

One row per batch, under ``(dataset, batch_key)``: a rerun replaces its row, so a
batch counts once however often it is measured, and a batch is never part of the
history that it is judged by. Rejected batches stay on record but outside the
history, unless a person says that the batch was good after all. What a person said
is kept apart from what the gate wrote: no rerun overwrites it.

A :class:`History` is asked by :mod:`~airflow_agent_provider.quality.judgement`;
:class:`MemoryHistory` lives as long as its process,
:class:`~airflow_agent_provider.ledger.history.LedgerHistory` in the ledger database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, Protocol

from airflow_agent_provider.exceptions import ConfigurationError


@dataclass(frozen=True, slots=True)
class Feedback:
    """
    What a person decided about a batch.

    :param decision: ``admit`` it to the history, or ``expel`` it.
    :param by: who said so.
    """

    decision: Literal["admit", "expel"]
    by: str
    reason: str
    given_at: datetime


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """
    One judged batch.

    :param batch_key: what tells this batch from others of the data set, e.g. its logical date.
    :param batch_at: the moment that the batch stands for; the history is ordered by it.
    :param features: see :func:`~airflow_agent_provider.quality.features.features`.
    :param score: in [0, 1], or None when nothing was weighed.
    :param accepted: whether the gate let the batch pass.
    :param feedback: what a person said; outweighs ``accepted``. Not written by ``record``.
    :raises ConfigurationError: for an empty data set or batch key, or a moment without a time zone.
    """

    dataset: str
    batch_key: str
    batch_at: datetime
    recorded_at: datetime
    features: Mapping[str, float]
    score: float | None
    verdict: str
    accepted: bool
    feedback: Feedback | None = None

    def __post_init__(self) -> None:
        if not self.dataset or not self.batch_key:
            raise ConfigurationError(
                f"a history row needs a data set and a batch key, got dataset={self.dataset!r}, "
                f"batch_key={self.batch_key!r}: set dataset= or batch_key= of the gate"
            )
        for name in ("batch_at", "recorded_at"):
            if getattr(self, name).tzinfo is None:
                raise ConfigurationError(f"{self.dataset} {self.batch_key}: {name} needs a time zone")

    @property
    def counts(self) -> bool:
        """Whether later batches are judged by this one."""
        return self.feedback.decision == "admit" if self.feedback else self.accepted


class History(Protocol):
    """Where rows are kept. A returned write is durable."""

    def record(self, row: HistoryRow) -> None:
        """Keep a batch; replaces what was recorded under its key, never a person's feedback."""
        ...

    def accepted(
        self, dataset: str, *, exclude: str, before: datetime | None = None, limit: int = 60
    ) -> list[HistoryRow]:
        """
        Give the latest batches that count, oldest first.

        :param exclude: the key of the batch that is about to be judged.
        :param before: only batches that stand for an earlier moment; None: all, also later
            ones, so that a backfill in any order has a history.
        """
        ...

    def find(self, dataset: str, batch_key: str) -> HistoryRow | None:
        """Give a batch's row, or None."""
        ...

    def admit(self, dataset: str, batch_key: str, *, by: str, reason: str) -> None:
        """
        Say that a batch was good, whatever the gate said; replaces earlier feedback.

        :raises ConfigurationError: when no such batch was recorded.
        """
        ...

    def expel(self, dataset: str, batch_key: str, *, by: str, reason: str) -> None:
        """
        Say that a batch was bad, whatever the gate said; replaces earlier feedback.

        :raises ConfigurationError: when no such batch was recorded.
        """
        ...


class MemoryHistory:
    """A history that ends with its process; for tests, notebooks and gates that keep none."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], HistoryRow] = {}

    def record(self, row: HistoryRow) -> None:
        known = self.rows.get((row.dataset, row.batch_key))
        self.rows[row.dataset, row.batch_key] = replace(row, feedback=known.feedback if known else None)

    def accepted(
        self, dataset: str, *, exclude: str, before: datetime | None = None, limit: int = 60
    ) -> list[HistoryRow]:
        kept = [
            row
            for row in self.rows.values()
            if row.dataset == dataset
            and row.batch_key != exclude
            and row.counts
            and (before is None or row.batch_at < before)
        ]
        kept.sort(key=lambda row: (row.batch_at, row.batch_key))
        return kept[max(len(kept) - limit, 0) :]

    def find(self, dataset: str, batch_key: str) -> HistoryRow | None:
        return self.rows.get((dataset, batch_key))

    def admit(self, dataset: str, batch_key: str, *, by: str, reason: str) -> None:
        self._advise(dataset, batch_key, Feedback("admit", by, reason, datetime.now(UTC)))

    def expel(self, dataset: str, batch_key: str, *, by: str, reason: str) -> None:
        self._advise(dataset, batch_key, Feedback("expel", by, reason, datetime.now(UTC)))

    def _advise(self, dataset: str, batch_key: str, feedback: Feedback) -> None:
        row = self.rows.get((dataset, batch_key))
        if row is None:
            raise unknown_batch(dataset, batch_key)
        self.rows[dataset, batch_key] = replace(row, feedback=feedback)


def unknown_batch(dataset: str, batch_key: str) -> ConfigurationError:
    """Say that feedback names a batch that was never recorded."""
    return ConfigurationError(
        f"the history of {dataset!r} has no batch {batch_key!r}: feedback can be given only on a batch "
        "that was judged; look its key up in the report"
    )
