"""
Connections of the ledger: opened for each transaction, or one held for the process.

A held connection is used by one thread at a time, left alone by forks, and opened anew
after an error. One that died while it was idle is noticed when the next transaction is
begun, and replaced: nothing had been done with it yet. Later it would be too late, as
nobody knows whether a COMMIT without an answer was carried out.

Whoever waits for a connection or for a lock waits with a bound. An event loop should not
wait at all: within :func:`hurried` a busy ledger raises :class:`LedgerBusy` almost at
once, and the loop can leave the waiting to a thread.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from typing import Any

from airflow_agent_provider.exceptions import AgentProviderError, SourceUnavailable

BUSY_S = 10.0
"""Seconds that a transaction waits for the one before it."""
HURRIED_S = 0.005
"""The same within :func:`hurried`."""
_waiting = threading.local()
_left_to_parents: list[Any] = []


class LedgerBusy(SourceUnavailable):
    """Another transaction is under way; nothing was done."""


@contextmanager
def hurried() -> Generator[None]:
    """Let a busy ledger raise :class:`LedgerBusy` rather than wait, in this block and on this thread."""
    _waiting.seconds = HURRIED_S
    try:
        yield
    finally:
        del _waiting.seconds


def busy_s() -> float:
    """Give the seconds to wait for another transaction, here and now."""
    seconds: float = getattr(_waiting, "seconds", BUSY_S)
    return seconds


class Connections:
    """
    Where transactions get their connection.

    :param open_one: opens a DB-API connection that begins no transaction by itself.
    :param hold: keep it for the next transaction.
    :param lost: what beginning a transaction raises on a connection that died.
    """

    def __init__(
        self, open_one: Callable[[], Any], *, hold: bool, lost: tuple[type[Exception], ...] = ()
    ) -> None:
        self._open_one = open_one
        self._hold = hold
        self._lost = lost
        self._held = _Held()
        self._turn = threading.Lock()
        # Not __del__: the garbage collector might finalize the connection first, which complains.
        weakref.finalize(self, self._held.drop)

    @contextmanager
    def transaction(self, begin: Callable[[Any], None]) -> Generator[Any]:
        """
        Give a cursor in a transaction: committed at the end, rolled back when the block raises.

        :param begin: begins it, given the cursor.
        :raises LedgerBusy: when a held connection is in use for too long.
        """
        if self._hold:
            with self._exclusively():
                yield from self._on_held(begin)
            return
        # Closing without a commit rolls back.
        with closing(self._open_one()) as connection:
            cursor = _begun(connection, begin)
            yield cursor  # noqa: RUF075  see above
            cursor.execute("COMMIT")

    def close(self) -> None:
        """Close what is held; the next transaction opens anew."""
        with self._exclusively():
            self._held.drop()

    def _on_held(self, begin: Callable[[Any], None]) -> Generator[Any]:
        cursor = self._begun(begin)
        try:
            yield cursor
            cursor.execute("COMMIT")
        except AgentProviderError:
            self._roll_back(cursor)  # refused by our own rules: the connection is sound
            raise
        except BaseException:
            self._held.drop()
            raise

    @contextmanager
    def _exclusively(self) -> Generator[None]:
        if self._held.is_inherited:
            # The lock may have been taken by a thread that the fork left behind.
            self._held.leave_to_parent()
            self._turn = threading.Lock()
        if not self._turn.acquire(timeout=busy_s()):
            raise LedgerBusy("the ledger's connection is in use by another thread")
        try:
            yield
        finally:
            self._turn.release()

    def _begun(self, begin: Callable[[Any], None]) -> Any:
        if self._held.connection is not None:
            try:
                return _begun(self._held.connection, begin)
            except self._lost:
                self._held.drop()
        self._held.connection = self._open_one()
        try:
            return _begun(self._held.connection, begin)
        except self._lost:
            self._held.drop()
            raise

    def _roll_back(self, cursor: Any) -> None:
        try:
            cursor.execute("ROLLBACK")
        except Exception:  # noqa: BLE001  whatever it is, what the block raised says more
            self._held.drop()


class _Held:
    """The connection that a process keeps; one inherited through a fork is the parent's."""

    def __init__(self) -> None:
        self.connection: Any = None
        self._owner = os.getpid()

    @property
    def is_inherited(self) -> bool:
        return self._owner != os.getpid()

    def leave_to_parent(self) -> None:
        """Forget it, neither used nor closed, not even by the garbage collector."""
        _left_to_parents.append(self.connection)
        self.connection, self._owner = None, os.getpid()

    def drop(self) -> None:
        """Close it, when it is ours."""
        if self.is_inherited:
            self.leave_to_parent()
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()


def _begun(connection: Any, begin: Callable[[Any], None]) -> Any:
    cursor = connection.cursor()
    begin(cursor)
    return cursor
