"""
Any other database behind a connection: the Postgres statement, translated.

Everything is written as for Postgres and translated at the last moment by sqlglot
(https://sqlglot.com) into the dialect of the connection. What a database does not
have fails with its own error, named with what to do; nothing is left out silently
and no number is made up. Proven on SQLite, the least of them; the session settings
that make Postgres read-only and bounded in time do not exist everywhere, so give
such a connection a user that may only read.

A full profile of many rows needs a sample that is the same in each run, and no
portable SQL has one: above the row bound only ``profile="light"`` is measured.
Rows are not written: ``quarantine=`` needs Postgres or files.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import logging
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_agent_provider.exceptions import (
    ConfigurationError,
    DataError,
    EmptyBatch,
    SourceNotFound,
    SourceUnavailable,
)
from airflow_agent_provider.quality.results import Column, Kind

if TYPE_CHECKING:
    from sqlglot import exp

    from airflow_agent_provider.engines.dbapi import DbApiHook

log = logging.getLogger(__name__)
WRITTEN_AS = "postgres"
FIRST_ROWS = 500
WITHOUT_NAN = frozenset({"sqlite", "mysql", "tsql", "oracle"})
"""Databases that store neither NaN nor infinity, and some of which cast their names to 0 without a word."""
LARGEST = "1.7976931348623157e308"
"""The largest finite double, which stands in for infinity there."""
KINDS: tuple[tuple[tuple[type, ...], Kind], ...] = (
    ((bool,), "boolean"),
    ((int, float, decimal.Decimal), "number"),
    ((str,), "text"),
    ((dt.date, dt.datetime), "time"),
)


class TranslatedBatch:
    """
    A batch in a database of another dialect; made by :func:`open_translated`.

    :param target: sqlglot's name of the database's dialect.
    """

    dialect = WRITTEN_AS

    def __init__(self, connection: Any, select: exp.Expr, label: str, target: str) -> None:
        self.label = label
        self.target = target
        self._connection = connection
        self.relation = f"({select.sql(WRITTEN_AS, comments=False)}) AS measured"
        self._columns: tuple[Column, ...] = ()

    def columns(self) -> tuple[Column, ...]:
        """
        Describe the columns by the values of the first rows: drivers agree on no type codes.

        :raises SourceNotFound: when the table or query cannot be read.
        """
        if not self._columns:
            try:
                names, rows = self._run(f"SELECT * FROM {self.relation}", FIRST_ROWS)
            except DataError as error:
                raise SourceNotFound(f"{error}; check the name and the rights of the user") from None
            if not names:
                raise EmptyBatch(f"{self.label}: has no columns; nothing can be measured")
            if len(set(names)) < len(names):
                raise DataError(f"{self.label}: has two columns of one name; give one another name with AS")
            self._columns = tuple(
                _column(name, [row[place] for row in rows]) for place, name in enumerate(names)
            )
        return self._columns

    def sample(self, every: int) -> NoReturn:
        """
        Refuse: there is no portable sample.

        :raises ConfigurationError: says what to do instead.
        """
        raise ConfigurationError(
            f"{self.label}: too many rows for a full profile in {self.target} (1 in {every} would be needed, "
            'and there is no portable sample); set profile="light"'
        )

    def rows(self, sql: str, *, max_rows: int) -> list[dict[str, Any]]:
        """
        Run one SELECT, written for Postgres.

        :raises DataError: when it is no single SELECT, or the database refuses it.
        """
        names, rows = self._run(sql, max_rows)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def write_quarantine(self, target: str, _batch_key: str, _sql: str) -> NoReturn:
        """
        Refuse: rows are written to Postgres and to files only.

        :raises ConfigurationError: always.
        """
        raise ConfigurationError(
            f"{self.label}: quarantine={target!r} is written in Postgres and to Parquet only, "
            f"not in {self.target}; leave it out"
        )

    def _run(self, sql: str, max_rows: int) -> tuple[list[str], list[Any]]:
        from sqlglot import exp

        from airflow_agent_provider.quality.expressions import parse_query

        try:
            query = parse_query(sql, WRITTEN_AS, self.label)
        except ConfigurationError as error:
            raise DataError(str(error)) from None
        if self.target in WITHOUT_NAN:
            _leave_out_nan(query)
        capped = exp.select("*").from_(query.subquery("capped")).limit(int(max_rows))
        translated = capped.sql(self.target, comments=False)
        with contextlib.closing(self._connection.cursor()) as cursor:
            try:
                cursor.execute(translated)
                rows = list(cursor.fetchall())
            except Exception as error:  # noqa: BLE001  every driver has its own hierarchy
                raise DataError(
                    f"{self.label}: {self.target} refused the statement ({type(error).__name__}: "
                    f'{str(error)[:200]}); where it lacks a function, set profile="light" or "none"'
                ) from None
            return [one[0] for one in cursor.description], rows


@contextlib.contextmanager
def open_translated(
    hook: DbApiHook, select: exp.Expr, *, label: str, target: str
) -> Generator[TranslatedBatch]:
    """
    Open a SELECT as a batch in a database of any dialect that sqlglot knows.

    :param select: the batch's rows.
    :raises SourceUnavailable: when the database does not answer.
    """
    log.warning(
        "%s: measured in %s by translation from Postgres; use a connection whose user may only read",
        label,
        target,
    )
    try:
        connection = hook.get_conn()
    except Exception as error:  # noqa: BLE001  every driver has its own hierarchy
        raise SourceUnavailable(f"{label}: the database does not answer ({type(error).__name__})") from None
    with contextlib.closing(connection):
        yield TranslatedBatch(connection, select, label, target)


def _column(name: str, values: list[Any]) -> Column:
    """Tell a column's kind by its values; one of mixed kinds, or of none, is ``other``."""
    found = [value for value in values if value is not None]
    for types, kind in KINDS:
        if found and all(isinstance(value, types) for value in found):
            return Column(name, type(found[0]).__name__, kind)
    return Column(name, "unknown", "other")


def _leave_out_nan(query: exp.Expr) -> None:
    """Rewrite comparisons with infinity and NaN for databases that have neither."""
    from sqlglot import exp

    for cast in list(query.find_all(exp.Cast)):
        name = cast.this.name if isinstance(cast.this, exp.Literal) and cast.this.is_string else ""
        if name == "Infinity":
            cast.replace(exp.Literal.number(LARGEST))
        elif name == "NaN" and isinstance(cast.parent, exp.NEQ):
            # True of every value and NULL of NULL, as x <> 'NaN' would be.
            cast.parent.replace(exp.EQ(this=cast.parent.this.copy(), expression=cast.parent.this.copy()))
