"""
The database that outlives a task: history of batches, and whatever else workers share.

Two databases behind one small face: a SQLite file, which needs nothing and serves
every process of one machine, and PostgreSQL, which serves many machines. SQL is
written once, with ``:name`` parameters, in the part that both speak (``ON CONFLICT
DO UPDATE``, ``RETURNING``, ``IF NOT EXISTS``); a colon or percent sign stands in no
literal.

A transaction opens a connection and closes it: nothing is held between two calls, so a
forked worker, a thread or a task that sleeps for a day shares nothing by accident. What
is asked before every model call cannot afford that; ``hold=True`` keeps one connection
for the process, used by one thread at a time, left alone by forks and opened anew after
an error. One that died while it was idle is replaced before the transaction begins.

Transactions are short and touch few rows; keep them so. What waits for them has a
bound, also when a process stands still in the middle of one. An event loop should not
wait at all: see :func:`hurried`.

SQLite runs in WAL mode (https://sqlite.org/wal.html): readers never wait for the one
writer. A write transaction takes the write lock at its start (``BEGIN IMMEDIATE``);
taking it half-way, after reading, fails at once when another process wrote in
between, however long the busy timeout is. WAL needs a local disk: put the file on no
network share, and use PostgreSQL where workers run on several machines.

In PostgreSQL every transaction begins by naming its isolation level, READ COMMITTED,
whatever the server's default: a conditional UPDATE then sees the row as the one before
it left it. ``SET LOCAL`` suits connection poolers too.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Protocol

from airflow_agent_provider.exceptions import AgentProviderError, ConfigurationError, SourceUnavailable

Row = dict[str, Any]
BUSY_S = 30.0
"""Seconds that a transaction waits for the one before it."""
HURRIED_S = 0.01
"""The same within :func:`hurried`."""
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_FAILING = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL})
_UNUSABLE = frozenset({
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
})
# The lock under which tables are made: CREATE TABLE IF NOT EXISTS itself races in PostgreSQL.
_SCHEMA_LOCK = "SELECT pg_advisory_xact_lock(720451932)"
# A peer that stands still in a transaction is ended by the server, and whoever waits for it is told.
_BEGIN = (
    "BEGIN ISOLATION LEVEL READ COMMITTED; "
    f"SET LOCAL lock_timeout = '{BUSY_S:.0f}s'; SET LOCAL idle_in_transaction_session_timeout = '{BUSY_S:.0f}s'"
)
_MAY_NOT = "42501"
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")
_waiting = threading.local()


class LedgerBusy(SourceUnavailable):
    """Another transaction is under way; nothing was done."""


@contextmanager
def hurried() -> Generator[None]:
    """
    Let a busy SQLite ledger raise :class:`LedgerBusy` at once, on this thread.

    For event loops, which then go on with other things while a thread waits.
    """
    _waiting.seconds = HURRIED_S
    try:
        yield
    finally:
        del _waiting.seconds


def _wait_s() -> float:
    seconds: float = getattr(_waiting, "seconds", BUSY_S)
    return seconds


class Statements:
    """The statements of one open transaction."""

    def __init__(self, cursor: Any, translate: Callable[[str], str]) -> None:
        self._cursor = cursor
        self._translate = translate

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """
        Run one statement.

        :param sql: with ``:name`` parameters.
        :return: its rows by column name; empty for a statement that returns none.
        """
        self._cursor.execute(self._translate(sql), dict(parameters or {}))
        if self._cursor.description is None:
            return []
        names = [column[0] for column in self._cursor.description]
        return [dict(zip(names, row, strict=True)) for row in self._cursor.fetchall()]


class Database(Protocol):
    """
    What a ledger needs of its database.

    :ivar label: where it is, for people; no secrets.
    """

    dialect: Literal["sqlite", "postgres"]
    label: str

    def read(self) -> AbstractContextManager[Statements]:
        """
        Open a transaction that only reads.

        :raises ConfigurationError: when the database cannot be used as it is set up.
        :raises SourceUnavailable: when it did not answer.
        """
        ...

    def write(self) -> AbstractContextManager[Statements]:
        """
        Open a transaction that is committed at the end, or rolled back when the block raises.

        :raises ConfigurationError: when the database cannot be used as it is set up.
        :raises SourceUnavailable: when it did not answer, or is locked for too long.
        """
        ...

    def prepare(self, schema: Sequence[str]) -> None:
        """
        Make tables and indexes that are not there yet; safe from many processes at once.

        :param schema: ``CREATE ... IF NOT EXISTS`` statements.
        """
        ...

    def close(self) -> None:
        """Close a held connection; the next transaction opens anew."""
        ...


class Driver(Protocol):
    """The part of a DB-API module that tells what went wrong (PEP 249), e.g. ``psycopg2``."""

    @property
    def Error(self) -> type[Exception]: ...  # noqa: N802, the name is the DB-API's

    @property
    def InterfaceError(self) -> type[Exception]: ...  # noqa: N802

    @property
    def OperationalError(self) -> type[Exception]: ...  # noqa: N802

    @property
    def DatabaseError(self) -> type[Exception]: ...  # noqa: N802


class Connections:
    """
    Where transactions get their connection.

    :param open_one: opens a DB-API connection that begins no transaction by itself.
    :param hold: keep it for the next transaction.
    :param lost: what beginning a transaction raises on a held connection that died.
    """

    def __init__(
        self, open_one: Callable[[], Any], *, hold: bool, lost: tuple[type[Exception], ...] = ()
    ) -> None:
        self._open_one = open_one
        self._hold = hold
        self._lost = lost
        self._held: Any = None
        self._inherited: list[Any] = []
        self._owner = os.getpid()
        self._turn = threading.Lock()

    @contextmanager
    def transaction(self, begin: Callable[[Any], None]) -> Generator[Any]:
        """
        Give a cursor in a transaction: committed at the end, rolled back when the block raises.

        :param begin: begins it.
        :raises LedgerBusy: when a held connection is in use for too long.
        """
        if not self._hold:
            # Closing without a commit rolls back.
            with closing(self._open_one()) as connection, closing(_begun(connection, begin)) as cursor:
                yield cursor
                cursor.execute("COMMIT")
            return
        with self._exclusively(), closing(self._begun(begin)) as cursor:
            try:
                yield cursor
                cursor.execute("COMMIT")
            except AgentProviderError:
                self._roll_back(cursor)  # refused by our own rules: the connection is sound
                raise
            except BaseException:
                self._drop()
                raise

    def close(self) -> None:
        """Close what is held; the next transaction opens anew."""
        with self._exclusively():
            self._drop()

    @contextmanager
    def _exclusively(self) -> Generator[None]:
        if self._owner != os.getpid():
            self._leave_to_parent()
        if not self._turn.acquire(timeout=_wait_s()):
            raise LedgerBusy("the ledger's connection is in use")
        try:
            yield
        finally:
            self._turn.release()

    def _leave_to_parent(self) -> None:
        # A connection inherited through a fork is the parent's: not used, and not closed either, not even
        # by the garbage collector. The lock may have been taken by a thread that the fork left behind.
        self._inherited.append(self._held)
        self._held, self._owner, self._turn = None, os.getpid(), threading.Lock()

    def _begun(self, begin: Callable[[Any], None]) -> Any:
        if self._held is not None:
            try:
                return _begun(self._held, begin)
            except self._lost:
                self._drop()  # it died while it was idle; nothing was done with it
        self._held = self._open_one()
        return _begun(self._held, begin)

    def _roll_back(self, cursor: Any) -> None:
        try:
            cursor.execute("ROLLBACK")
        except Exception:  # noqa: BLE001  whatever it is, what the block raised says more
            self._drop()

    def _drop(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.close()


def _begun(connection: Any, begin: Callable[[Any], None]) -> Any:
    cursor = connection.cursor()
    begin(cursor)
    return cursor


class SQLiteDatabase:
    """
    A ledger in one file.

    :param path: the file; its folder is made when missing.
    :param hold: keep the connection between transactions, until :meth:`close`.
    """

    dialect: Literal["sqlite", "postgres"] = "sqlite"

    def __init__(self, path: str | Path, *, hold: bool = False) -> None:
        self.path = Path(path).expanduser().absolute()
        self.label = str(self.path)
        self._connections = Connections(self._connect, hold=hold)

    def close(self) -> None:
        """Close a held connection."""
        self._connections.close()

    @contextmanager
    def read(self) -> Generator[Statements]:
        with self._transaction("BEGIN") as statements:
            yield statements

    @contextmanager
    def write(self) -> Generator[Statements]:
        with self._transaction("BEGIN IMMEDIATE") as statements:
            yield statements

    def prepare(self, schema: Sequence[str]) -> None:
        with self.write() as statements:
            for statement in schema:
                statements.execute(statement)

    @contextmanager
    def _transaction(self, begin: str) -> Generator[Statements]:
        try:
            with self._connections.transaction(lambda cursor: self._begin(cursor, begin)) as cursor:
                yield Statements(cursor, str)
        except sqlite3.Error as error:
            explained = self._explained(error)
            if explained is None:
                raise
            raise explained from error

    def _begin(self, cursor: sqlite3.Cursor, begin: str) -> None:
        wait_ms = int(_wait_s() * 1000)
        cursor.execute(f"PRAGMA busy_timeout = {wait_ms}")
        cursor.execute(begin)

    def _connect(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"ledger {self.label}: its folder cannot be made ({error.strerror}); name a writable place"
            ) from error
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            self._use_wal(connection)
            # In WAL mode safe from a killed process, and no fsync for each call of a model.
            connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            connection.close()
            raise
        return connection

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        # Two processes that switch a new file to WAL at once: the busy timeout does not cover this lock.
        deadline = time.monotonic() + BUSY_S
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return

    def _explained(self, error: sqlite3.Error) -> AgentProviderError | None:
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code in _UNUSABLE:
            return ConfigurationError(f"ledger {self.label}: {error}; name a file that can be written")
        if code in _BUSY:
            return LedgerBusy(f"ledger {self.label}: {error}")
        return SourceUnavailable(f"ledger {self.label}: {error}") if code in _FAILING else None


class PostgresDatabase:
    """
    A ledger in PostgreSQL.

    :param connect: opens a DB-API connection, e.g. ``PostgresHook(...).get_conn``;
        it is closed after every transaction.
    :param driver: the module that the connections are of, e.g. ``psycopg2``.
    :param label: where it is, for people; no secrets.
    :param hold: keep the connection between transactions, until :meth:`close`.
    """

    dialect: Literal["sqlite", "postgres"] = "postgres"

    def __init__(self, connect: Callable[[], Any], *, driver: Driver, label: str, hold: bool = False) -> None:
        self._open = connect
        self._connections = Connections(
            self._connect, hold=hold, lost=(driver.OperationalError, driver.InterfaceError)
        )
        self._driver = driver
        self.label = label

    def close(self) -> None:
        """Close a held connection."""
        self._connections.close()

    @contextmanager
    def read(self) -> Generator[Statements]:
        with self._transaction() as statements:
            yield statements

    @contextmanager
    def write(self) -> Generator[Statements]:
        with self._transaction() as statements:
            yield statements

    def prepare(self, schema: Sequence[str]) -> None:
        with self.write() as statements:
            statements.execute(_SCHEMA_LOCK)
            for statement in schema:
                statements.execute(statement)

    @contextmanager
    def _transaction(self) -> Generator[Statements]:
        try:
            with self._connections.transaction(_begin) as cursor:
                yield Statements(cursor, pyformat)
        except self._driver.Error as error:
            explained = self._explained(error)
            if explained is None:
                raise
            raise explained from error

    def _connect(self) -> Any:
        connection = self._open()
        connection.commit()  # whatever opening it began
        # Transactions begin where they say so: the driver would begin one without our terms.
        connection.autocommit = True
        return connection

    def _explained(self, error: Exception) -> AgentProviderError | None:
        # The driver's text may name the user and the host.
        name = type(error).__name__
        if _MAY_NOT in {getattr(error, "sqlstate", None), getattr(error, "pgcode", None)}:
            return ConfigurationError(
                f"ledger {self.label}: the user of the connection may not do this ({name}); it needs CREATE "
                "on the schema, or tables of its own"
            )
        driver = self._driver
        gone = isinstance(error, (driver.OperationalError, driver.InterfaceError))
        # The bare base class is what libpq says when the line broke in the middle of a message.
        if gone or type(error) is driver.DatabaseError:
            return SourceUnavailable(f"ledger {self.label}: the server did not answer or refused ({name})")
        return None


def _begin(cursor: Any) -> None:
    cursor.execute(_BEGIN)


def pyformat(sql: str) -> str:
    """Rewrite ``:name`` parameters as ``%(name)s``; leaves ``::type`` casts alone."""
    return _PARAMETER.sub(r"%(\1)s", sql)
