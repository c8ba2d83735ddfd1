"""
A batch under measurement, whatever engine holds its rows.

The quality rooms never do I/O; they ask a :class:`Batch`. The engines implement
it (DuckDB over files, any DB-API dialect over a connection).
"""

from __future__ import annotations

from typing import Any, Protocol

from airflow_agent_provider.quality.results import Column


class Batch(Protocol):
    """
    Rows that can be asked questions in SQL.

    :ivar label: what people call it, e.g. ``warehouse.flights where day = '2013-02-08'``; no secrets.
    :ivar dialect: sqlglot's name of the SQL dialect, e.g. ``duckdb`` or ``postgres``.
    :ivar relation: SQL text that stands in a FROM clause and yields the batch's rows.
    """

    label: str
    dialect: str
    relation: str

    def columns(self) -> tuple[Column, ...]:
        """
        Describe the columns, reading no rows.

        :raises DataError: when the source is missing, unreadable or has no columns.
        """
        ...

    def sample(self, every: int) -> str:
        """
        Give SQL text for a FROM clause that yields one row in ``every``, the same rows in each run.

        Which rows these are depends on nothing but the data: no random number, no
        order of threads.
        """
        ...

    def rows(self, sql: str, *, max_rows: int) -> list[dict[str, Any]]:
        """
        Run one read-only SELECT in the batch's dialect; at most ``max_rows`` rows leave the engine.

        :raises DataError: when the statement fails because of the data.
        :raises SourceUnavailable: when the engine did not answer.
        """
        ...

    def write_quarantine(self, target: str, batch_key: str, sql: str) -> int:
        """
        Write the rows that ``sql`` selects to ``target``, replacing those of the same batch key.

        :param target: a table of the same database, or a Parquet path for files.
        :return: rows written.
        """
        ...
