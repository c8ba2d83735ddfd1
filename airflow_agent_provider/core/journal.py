"""
The ordered record that makes a flow survive a crash.

An entry maps a *path* to the fingerprint of the effect that was asked there and
to the reply that came. Paths number the effects of a flow from 0; inside a
``Gather`` at effect 3, the second flow's first effect is ``3.1/0``. Replaying is
reading: while the journal has the path, the recorded reply is sent back and the
world is left alone.

A fingerprint that differs means that the prompt, the tools or the code changed
in between; :func:`recall` then raises ``JournalMismatch`` rather than replay
nonsense.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from airflow_agent_provider.exceptions import JournalMismatch


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One answered effect.

    :param kind: the effect's class name.
    :param reply: the reply as plain JSON.
    """

    fingerprint: str
    kind: str
    reply: Any


class Journal(Protocol):
    """Where entries are kept. Implementations write through: a returned write is durable."""

    def read(self, path: str) -> Entry | None:
        """Give the entry at a path, or None."""
        ...

    def write(self, path: str, entry: Entry) -> None:
        """Keep an entry."""
        ...


class MemoryJournal:
    """A journal that lives as long as its process; for tests and for flows that need no durability."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}

    def read(self, path: str) -> Entry | None:
        return self.entries.get(path)

    def write(self, path: str, entry: Entry) -> None:
        self.entries[path] = entry


def recall(journal: Journal, path: str, kind: str, fingerprint: str) -> Entry | None:
    """
    Look an effect up before it is carried out.

    :return: its recorded entry, or None when it was never answered.
    :raises JournalMismatch: when something else was asked at this path.
    """
    entry = journal.read(path)
    if entry is None or entry.fingerprint == fingerprint:
        return entry
    raise JournalMismatch(
        f"step {path}: the journal holds a {entry.kind} ({entry.fingerprint[:8]}), the flow now asks "
        f"for another {kind} ({fingerprint[:8]}). The prompt, the tools or the code changed since the "
        "first attempt: clear the task to start afresh"
    )
