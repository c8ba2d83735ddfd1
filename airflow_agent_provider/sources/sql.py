"""
Tables and queries behind an Airflow connection.

The connection is looked up when the batch is opened, in the task, never in a DAG
file. A table's name must be a name; a filter must be one SQL condition and a query
one SELECT. All three are parsed, and what is sent is written anew from the tree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.sources.source import Source

if TYPE_CHECKING:
    from airflow_agent_provider.quality.batch import Batch

# Connection types and what sqlglot calls their dialects. Postgres is proven; the others are translated.
DIALECTS = {
    "postgres": "postgres",
    "postgresql": "postgres",
    "bigquery": "bigquery",
    "clickhouse": "clickhouse",
    "databricks": "databricks",
    "duckdb": "duckdb",
    "gcpbigquery": "bigquery",
    "mssql": "tsql",
    "mysql": "mysql",
    "oracle": "oracle",
    "presto": "presto",
    "redshift": "redshift",
    "snowflake": "snowflake",
    "sqlite": "sqlite",
    "trino": "trino",
}
SHOWN_CHARS = 80


@dataclass(frozen=True)
class Table(Source):
    """
    A table, or the part of it that a filter gives.

    :param conn_id: Airflow connection of the database.
    :param table: its name; a schema may stand before it, ``public.flights``.
    :param where: SQL condition for the batch's rows, usually templated:
        ``"day = '{{ ds }}'"``. Default: the whole table.
    :param columns: columns to measure; default: all.
    """

    conn_id: str
    table: str
    where: str | None = None
    columns: Sequence[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_text("conn_id", "table")
        if self.where is not None and not isinstance(self.where, str):
            raise ConfigurationError(f"Table(where={self.where!r}): must be an SQL condition, or left out")
        if self.where is not None and not self.where.strip():
            self.settle("where", None)
        self.settle_columns()

    @property
    def dataset(self) -> str:
        return self.name or f"{self.conn_id}.{self.table}"

    @property
    def label(self) -> str:
        where = f" where {_shortened(self.where)}" if self.where else ""
        return f"{self.conn_id}.{self.table}{where}"

    def open(self) -> AbstractContextManager[Batch]:
        from sqlglot import exp

        from airflow_agent_provider.engines.any_sql import open_translated
        from airflow_agent_provider.engines.dbapi import open_table
        from airflow_agent_provider.quality.expressions import parse_condition, parse_table

        hook, dialect = connect(self.conn_id)
        table = parse_table(self.table, dialect, f"Table(table={self.table!r})")
        where = None
        if self.where:
            where = parse_condition(self.where, dialect, f"Table(where={_shortened(self.where)!r})")
        columns = tuple(self.columns) if self.columns else None
        if dialect != "postgres":
            names: list[exp.Expr] = [exp.column(name, quoted=True) for name in columns or ()]
            select = exp.select(*(names or [exp.Star()])).from_(table)
            select = select.where(exp.paren(where)) if where is not None else select
            return open_translated(hook, select, label=self.label, target=dialect)
        return open_table(hook, table, label=self.label, where=where, columns=columns)


@dataclass(frozen=True)
class Query(Source):
    """
    The rows that one SELECT gives.

    The data set is named after the query with its literals left out, so that the
    date in it may change; give a ``name`` to keep the history when the query changes.

    :param conn_id: Airflow connection of the database.
    :param sql: one SELECT, in the database's dialect.
    """

    conn_id: str
    sql: str

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_text("conn_id", "sql")

    @property
    def dataset(self) -> str:
        return self.name or f"{self.conn_id}.{fingerprint(self.sql)}"

    @property
    def label(self) -> str:
        return f"{self.conn_id}: {_shortened(self.sql)}"

    def open(self) -> AbstractContextManager[Batch]:
        from airflow_agent_provider.engines.any_sql import open_translated
        from airflow_agent_provider.engines.dbapi import open_query
        from airflow_agent_provider.quality.expressions import parse_query

        hook, dialect = connect(self.conn_id)
        query = parse_query(self.sql, dialect, f"Query(sql={_shortened(self.sql)!r})")
        if dialect != "postgres":
            return open_translated(hook, query, label=self.label, target=dialect)
        return open_query(hook, query, label=self.label)


def fingerprint(sql: str) -> str:
    """
    Name a query by its tables and by what it does, whatever its literals and spaces are.

    The idea is pg_stat_statements': ``day = '2013-02-08'`` and ``day = '2013-02-09'``
    are the same query. SQL that cannot be parsed is named by its text.
    """
    import sqlglot
    from sqlglot import exp

    try:
        tree = sqlglot.parse_one(sql, dialect="postgres")
    except sqlglot.errors.SqlglotError:
        return f"query-{_digest(sql)}"
    ctes = {cte.alias for cte in tree.find_all(exp.CTE)}
    tables = sorted({one.name for one in tree.find_all(exp.Table)} - ctes)
    for literal in list(tree.find_all(exp.Literal)):
        literal.replace(exp.Placeholder())
    return f"{'+'.join(tables) or 'query'}-{_digest(tree.sql('postgres', comments=False))}"


def connect(conn_id: str) -> tuple[Any, str]:
    """
    Give a connection's hook and sqlglot's name of its dialect.

    :raises ConfigurationError: when the connection is unknown or of a type that cannot be measured.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise ConfigurationError(
            f"connection {conn_id!r} does not exist; create it under Admin > Connections, with "
            f"`airflow connections add {conn_id}`, or as environment variable AIRFLOW_CONN_{conn_id.upper()}"
        ) from None
    dialect = DIALECTS.get(connection.conn_type or "")
    if dialect is None:
        raise ConfigurationError(
            f"connection {conn_id!r} is of type {connection.conn_type!r}; "
            f"tables and queries are measured in: {', '.join(sorted(set(DIALECTS.values())))}"
        )
    try:
        return connection.get_hook(), dialect  # type: ignore[no-untyped-call]
    except (AirflowException, ImportError) as error:
        raise ConfigurationError(
            f"connection {conn_id!r}: its hook cannot be loaded; install the provider of type "
            f"{connection.conn_type!r} ({type(error).__name__})"
        ) from None


def _digest(text: str) -> str:
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:8]


def _shortened(sql: str | None) -> str:
    text = " ".join((sql or "").split())
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 3]}..."
