"""
A journal in Airflow's task state store (AIP-103, Airflow 3.3).

The store belongs to one task instance and survives a killed worker, so that the
next try goes on where the last one stopped. It also survives a user's "Clear",
after which an answer must be sought afresh: Clear raises ``ti.max_tries`` and a
plain retry does not, so the header keeps that number, and another one starts a
new *generation* of keys. Mapped tasks can inherit another item's state
(https://github.com/apache/airflow/issues/72725), so the header also keeps a
fingerprint of what the task works on.

Values above 65,535 bytes are not safe in the store: a long entry is cut into
parts, written before the entry's own key, so that an entry is whole or absent.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any, Protocol

from airflow_agent_provider.core.journal import Entry

# One character of ASCII JSON takes at most two bytes when the store encodes the text once more.
PART_CHARS = 30_000


class StateStore(Protocol):
    """The part of ``context["task_state_store"]`` that is used here."""

    def get(self, key: str, default: Any = None) -> Any: ...

    def set(self, key: str, value: Any) -> None: ...


class TaskStateJournal:
    """
    The journal of one task instance.

    :param store: ``context["task_state_store"]``.
    :param max_tries: ``ti.max_tries`` of this try.
    :param item: what the task works on, e.g. its batch; a change starts afresh.
    :param name: tells journals of one task apart.
    """

    def __init__(self, store: StateStore, *, max_tries: int, item: str = "", name: str = "journal") -> None:
        self._store = store
        self._name = name
        expected = {"max_tries": max_tries, "item": hashlib.sha256(item.encode()).hexdigest()[:16]}
        header = store.get(f"{name}.header") or {}
        generation = header.get("generation", 0)
        if {key: header.get(key) for key in expected} != expected:
            generation += 1
            store.set(f"{name}.header", {**expected, "generation": generation, "version": 1})
        self._generation = generation

    def read(self, path: str) -> Entry | None:
        value = self._store.get(self._key(path))
        if value is None:
            return None
        text = value["text"] + "".join(
            self._store.get(f"{self._key(path)}.part{number}") for number in range(1, value["parts"])
        )
        return Entry(**json.loads(text))

    def write(self, path: str, entry: Entry) -> None:
        text = json.dumps(asdict(entry), separators=(",", ":"))
        parts = [text[start : start + PART_CHARS] for start in range(0, len(text), PART_CHARS)]
        for number, part in enumerate(parts[1:], start=1):
            self._store.set(f"{self._key(path)}.part{number}", part)
        self._store.set(self._key(path), {"text": parts[0], "parts": len(parts)})

    def _key(self, path: str) -> str:
        # The key becomes part of a URL: no slashes.
        return f"{self._name}.{self._generation}.{path.replace('/', ':')}"
