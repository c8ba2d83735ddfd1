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
for the process (``ledger/connections.py``). Transactions are short and touch few rows;
keep them so.

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

import re
import sqlite3
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from airflow_agent_provider.exceptions import AgentProviderError, ConfigurationError, SourceUnavailable
from airflow_agent_provider.ledger.connections import BUSY_S, Connections, LedgerBusy, busy_s

Row = dict[str, Any]
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
    f"SET LOCAL lock_timeout = '{BUSY_S * 1000:.0f}ms'; "
    f"SET LOCAL idle_in_transaction_session_timeout = '{BUSY_S * 500:.0f}ms'"
)
_MAY_NOT = "42501"
# Ended by the time-out above; a standby that takes no writes. Drivers file both under internal errors.
_PASSING = frozenset({"25P03", "25006"})
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


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
        self._connections = Connections(self._connect, hold=hold, lost=(sqlite3.Error,))

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
        cursor.execute(f"PRAGMA busy_timeout = {busy_s() * 1000:.0f}")
        try:
            cursor.execute(begin)
        except sqlite3.OperationalError as error:
            if _code(error) not in _BUSY:
                raise
            raise LedgerBusy(f"ledger {self.label}: {error}") from error

    def _connect(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"ledger {self.label}: its folder cannot be made ({error.strerror}); name a writable place"
            ) from error
        connection = sqlite3.connect(
            self.path, timeout=busy_s(), isolation_level=None, check_same_thread=False
        )
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
        deadline = time.monotonic() + busy_s()
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return

    def _explained(self, error: sqlite3.Error) -> AgentProviderError | None:
        code = _code(error)
        if code in _UNUSABLE:
            return ConfigurationError(f"ledger {self.label}: {error}; name a file that can be written")
        if code in _BUSY:
            return LedgerBusy(f"ledger {self.label}: {error}")
        return SourceUnavailable(f"ledger {self.label}: {error}") if code in _FAILING else None


def _code(error: sqlite3.Error) -> int:
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


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
        state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
        if state == _MAY_NOT:
            return ConfigurationError(
                f"ledger {self.label}: the user of the connection may not do this ({name}); it needs CREATE "
                "on the schema, or tables of its own"
            )
        driver = self._driver
        gone = isinstance(error, (driver.OperationalError, driver.InterfaceError))
        # The bare base class is what libpq says when the line broke in the middle of a message.
        if gone or state in _PASSING or type(error) is driver.DatabaseError:
            return SourceUnavailable(f"ledger {self.label}: the server did not answer or refused ({name})")
        return None


def _begin(cursor: Any) -> None:
    cursor.execute(_BEGIN)


def pyformat(sql: str) -> str:
    """Rewrite ``:name`` parameters as ``%(name)s``; leaves ``::type`` casts alone."""
    return _PARAMETER.sub(r"%(\1)s", sql)
