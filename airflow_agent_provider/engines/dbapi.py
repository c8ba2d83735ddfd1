"""
A database behind a connection: the statement goes to the data, the rows stay there.

Works on an Airflow hook with ``get_conn()``; proven on Postgres, with psycopg 2
and 3. A batch is one read-only transaction at REPEATABLE READ, so the profile, the
checks and every drill-down see the same rows while others write. A statement
that fails goes back to its own savepoint and the snapshot lives on. The server
ends a statement that takes too long, and a LIMIT put around each statement caps
what leaves it. Text that comes in is parsed and must be one SELECT; what is sent
is written anew from the tree.

Writing failing rows is the one exception: a connection of its own, one transaction.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Protocol

from airflow_agent_provider.engines.dbapi_errors import translated
from airflow_agent_provider.exceptions import ConfigurationError, DataError, EmptyBatch, SourceNotFound
from airflow_agent_provider.quality.quarantine import BATCH_KEY, QUARANTINED_AT
from airflow_agent_provider.quality.results import Column, Kind

if TYPE_CHECKING:
    from sqlglot import exp

STATEMENT_TIMEOUT_S = 600
MOST_HASH = 2**31 - 1
READ_ONLY = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
# Both engines then read a time without zone, a date and a backslash alike.
SESSION = (
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL DateStyle = 'ISO, YMD'",
    "SET LOCAL standard_conforming_strings = on",
)
KINDS: dict[str, Kind] = {
    **dict.fromkeys(("smallint", "integer", "bigint", "numeric", "real", "double precision"), "number"),
    **dict.fromkeys(("text", "character varying", "character", "citext", "name", "uuid"), "text"),
    **dict.fromkeys(("date", "timestamp without time zone", "timestamp with time zone"), "time"),
    "boolean": "boolean",
}
ENUM = "E"  # pg_type.typcategory
PLACED_KINDS = frozenset(
    "rpm"
)  # pg_class.relkind whose rows have a place: tables, partitioned ones, materialized views


class DbApiHook(Protocol):
    """What is needed of an Airflow hook."""

    def get_conn(self) -> Any:
        """Open a DB-API connection."""
        ...


class DbApiBatch:
    """
    A batch behind a connection; made by :func:`open_table` and :func:`open_query`.

    :param connection: in a read-only transaction.
    :param select: the batch's rows; ``relation`` is the same in parentheses, with an alias.
    :param row: what tells the rows of ``select`` apart within its WHERE, or None.
    """

    dialect = "postgres"

    def __init__(
        self, hook: DbApiHook, connection: Any, select: exp.Select, label: str, row: str | None = None
    ) -> None:
        self.label = label
        self._hook = hook
        self._connection = connection
        self._select = select
        self._row = row
        self.relation = f"({select.sql(self.dialect, comments=False)}) AS measured"
        self._columns: tuple[Column, ...] = ()

    def columns(self) -> tuple[Column, ...]:
        if not self._columns:
            with translated(self.label), self._cursor() as cursor:
                cursor.execute(f"SELECT * FROM {self.relation} LIMIT 0")
                described = [(one[0], one[1]) for one in cursor.description or ()]
                oids = ", ".join(str(int(oid)) for _, oid in described) or "0"
                cursor.execute(
                    "SELECT oid, format_type(oid, NULL), CAST(typcategory AS TEXT) FROM pg_type "
                    f"WHERE oid IN ({oids})"
                )
                types = {oid: (name, category) for oid, name, category in cursor.fetchall()}
            self._columns = tuple(_column(name, *types[oid]) for name, oid in described)
            self._require_columns()
        return self._columns

    def sample(self, every: int) -> str:
        """
        Give SQL for one row in ``every``.

        Rows of a table are told apart by their place (``ctid``). Rows of a query or a
        view have none; there the content is hashed, and equal rows come or stay together.
        """
        row = self._row or "CAST(measured AS TEXT)"
        chosen = f"(HASHTEXTEXTENDED({row}, 0) & {MOST_HASH}) % {int(every)} = 0"
        if self._row is None:
            return f"(SELECT * FROM {self.relation} WHERE {chosen}) AS sampled"
        select = self._select.where(chosen, dialect=self.dialect).sql(self.dialect, comments=False)
        return f"({select}) AS sampled"

    def rows(self, sql: str, *, max_rows: int) -> list[dict[str, Any]]:
        """
        Run one SELECT.

        :raises DataError: when it is no single SELECT, or fails.
        :raises SourceUnavailable: when the database does not answer, or not in time.
        """
        from airflow_agent_provider.quality.expressions import parse_query

        try:
            query = parse_query(sql, self.dialect, self.label).sql(self.dialect, comments=False)
        except ConfigurationError as error:
            raise DataError(str(error)) from None
        with translated(self.label), self._cursor() as cursor:
            cursor.execute(f"SELECT * FROM ({query}) AS capped LIMIT {int(max_rows)}")
            names = [one[0] for one in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def write_quarantine(self, target: str, batch_key: str, sql: str) -> int:
        """
        Write the rows that ``sql`` gives to a table; a rerun of the batch replaces them.

        :param target: a table, made when it is missing; a schema may stand before it.
        :return: rows written.
        :raises ConfigurationError: when the target is no table name or may not be written.
        :raises DataError: when the target has other columns.
        """
        from airflow_agent_provider.quality.expressions import parse_table

        label = f"quarantine {target}"
        table = parse_table(target, self.dialect, label).sql(self.dialect)
        key = _literal(batch_key)
        names = [*self._names(sql), BATCH_KEY, QUARANTINED_AT]
        listed = ", ".join(_identifier(name) for name in names)
        failing = f"SELECT failing.*, CAST({key} AS TEXT), CURRENT_TIMESTAMP FROM ({sql}) AS failing"
        with (
            translated(label),
            contextlib.closing(self._hook.get_conn()) as connection,
            contextlib.closing(connection.cursor()) as cursor,
        ):
            for setting in SESSION:
                cursor.execute(setting)
            # Two batches that are the first ones at the same time must not both make the table.
            cursor.execute(f"SELECT pg_advisory_xact_lock(hashtextextended({_literal(table)}, 0))")
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {table} ({listed}) AS {failing} WITH NO DATA")
            cursor.execute(f"DELETE FROM {table} WHERE {BATCH_KEY} = {key}")
            cursor.execute(f"INSERT INTO {table} ({listed}) {failing}")
            written = int(cursor.rowcount)
            connection.commit()
        return written

    def _names(self, sql: str) -> list[str]:
        with translated(self.label), self._cursor() as cursor:
            cursor.execute(f"SELECT * FROM ({sql}) AS failing LIMIT 0")
            return [one[0] for one in cursor.description]

    @contextlib.contextmanager
    def _cursor(self) -> Generator[Any]:
        """Give a cursor whose failure leaves the transaction usable."""
        with contextlib.closing(self._connection.cursor()) as cursor:
            cursor.execute("SAVEPOINT statement")
            try:
                yield cursor
            except Exception:
                with contextlib.suppress(
                    Exception
                ):  # when the connection is lost there is nothing to go back to
                    cursor.execute("ROLLBACK TO SAVEPOINT statement")
                raise

    def _require_columns(self) -> None:
        names = [column.name for column in self._columns]
        if not names:
            raise EmptyBatch(f"{self.label}: has no columns; nothing can be measured")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise DataError(
                f"{self.label}: has more than one column {twice!r}; give one another name with AS"
            )


@contextlib.contextmanager
def open_table(
    hook: DbApiHook,
    table: exp.Table,
    *,
    label: str,
    where: exp.Expr | None = None,
    columns: tuple[str, ...] | None = None,
    timeout_s: int = STATEMENT_TIMEOUT_S,
) -> Generator[DbApiBatch]:
    """
    Open a table as a batch.

    :param table: its name, quoted.
    :param where: which of its rows; default: all.
    :param columns: which of its columns; default: all.
    :param timeout_s: seconds that the server gives one statement.
    :raises SourceNotFound: when there is no such table.
    :raises SourceUnavailable: when the database does not answer.
    """
    from sqlglot import exp

    with _transaction(hook, label, timeout_s) as connection:
        schema, kind = _find(connection, table, label)
        found = exp.table_(table.this.copy(), db=exp.to_identifier(schema, quoted=True))
        shown = [exp.column(name, quoted=True) for name in columns or ()]
        select = exp.select(*(shown or "*")).from_(found)
        if where is not None:
            select = select.where(exp.paren(where))
        row = "CAST(ctid AS TEXT)" if kind in PLACED_KINDS else None
        yield DbApiBatch(hook, connection, select, label, row)


@contextlib.contextmanager
def open_query(
    hook: DbApiHook, query: exp.Query, *, label: str, timeout_s: int = STATEMENT_TIMEOUT_S
) -> Generator[DbApiBatch]:
    """
    Open the result of a SELECT as a batch.

    :param timeout_s: seconds that the server gives one statement.
    :raises SourceUnavailable: when the database does not answer.
    """
    from sqlglot import exp

    with _transaction(hook, label, timeout_s) as connection:
        yield DbApiBatch(hook, connection, exp.select("*").from_(query.subquery("source")), label)


@contextlib.contextmanager
def _transaction(hook: DbApiHook, label: str, timeout_s: int) -> Generator[Any]:
    with translated(label):
        connection = hook.get_conn()
    with contextlib.closing(connection):
        with translated(label), contextlib.closing(connection.cursor()) as cursor:
            for setting in (READ_ONLY, *SESSION, f"SET LOCAL statement_timeout = '{int(timeout_s)}s'"):
                cursor.execute(setting)
        yield connection


def _find(connection: Any, table: exp.Table, label: str) -> tuple[str, str]:
    """Give a table's schema and relkind, as Postgres finds it by its search path."""
    name = table.sql("postgres")
    with translated(label), contextlib.closing(connection.cursor()) as cursor:
        cursor.execute(
            "SELECT CAST(n.nspname AS TEXT), CAST(c.relkind AS TEXT) "
            "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
            f"WHERE c.oid = to_regclass({_literal(name)})"
        )
        found = cursor.fetchone()
    if found is None:
        raise SourceNotFound(
            f"{label}: there is no table {name} in this database; check the name, and the schema before it"
        )
    return found[0], found[1]


def _column(name: str, kind: str, category: str) -> Column:
    return Column(name, kind, "text" if category == ENUM else KINDS.get(kind, "other"))


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
