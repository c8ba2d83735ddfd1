"""
SQL expressions over a batch, in whichever dialect holds it.

Checks and metrics say what they want in the field's words (``is_null``,
``is_within``, ``count_repeated``); this module knows how it is said in SQL. It
builds sqlglot expression trees, so quoting and escaping are the generator's
business: a column may be called ``order`` or ``a"b``, a value may hold quotes.

All trees read the batch under the name ``batch`` (see
:mod:`airflow_agent_provider.quality.statement`). Where the engines differ:

- NaN equals itself and sorts above infinity in Postgres, so ``abs(x) < 'Infinity'``
  is true of finite numbers alone. DuckDB sorts alike, but it answers comparisons and
  ``isnan`` from Parquet's column statistics, which leave NaN out: only ``isfinite``
  looks at the values.
- DuckDB compares ``IN`` row by row and value by value. Looking a text up among the
  keys of a constant map costs a seventh of that for five values and a fifth for
  300 (once per entry of a dictionary-encoded column), ``CASE x WHEN`` half.
- Text is compared by code point (``COLLATE "C"`` in Postgres), so that order does not
  depend on the server's locale.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.quality.results import Column

BATCH = "batch"
TEXT_TYPES = frozenset({"varchar", "text", "character varying"})
NAME = re.compile(r'"(?:[^"\x00]|"")+"|[^\W\d][\w$]*')
TABLE_NAME = re.compile(rf"(?:{NAME.pattern})(?:\.(?:{NAME.pattern})){{0,2}}")
FLOAT_TYPES = frozenset({"float", "double", "real", "double precision"})


class Expressions:
    """
    Builds expressions over the batch's columns.

    :param dialect: sqlglot's name of the SQL dialect.
    :param columns: the batch's columns by name.
    """

    def __init__(self, dialect: str, columns: Mapping[str, Column]) -> None:
        self.dialect = dialect
        self.columns = columns

    # Values of a row

    def column(self, name: str) -> exp.Column:
        return exp.column(name, quoted=True)

    def text(self, name: str) -> exp.Expr:
        """Give the column as text, cast only where it is of another type."""
        if _bare_type(self.columns[name]) in TEXT_TYPES:
            return self.column(name)
        return as_text(self.column(name))

    def finite(self, name: str) -> exp.Expr:
        """Give the number, or NULL where it is NaN or infinite."""
        if not self.can_be_infinite(name):
            return self.column(name)
        return exp.Case(ifs=[exp.If(this=self._is_finite(name), true=self.column(name))])

    def can_be_infinite(self, name: str) -> bool:
        bare = _bare_type(self.columns[name])
        return bare in FLOAT_TYPES or (self.dialect == "postgres" and bare == "numeric")

    def is_float(self, name: str) -> bool:
        return _bare_type(self.columns[name]) in FLOAT_TYPES

    # Conditions of a row

    def is_null(self, name: str) -> exp.Expr:
        return exp.Is(this=self.column(name), expression=exp.Null())

    def is_within(
        self, name: str, minimum: float | str | date | None, maximum: float | str | date | None, label: str
    ) -> exp.Expr:
        """
        Give the condition of being neither below ``minimum`` nor above ``maximum``; NaN never is.

        :raises ConfigurationError: when a bound is not of the column's kind.
        """
        sides: list[exp.Expr] = []
        if minimum is not None:
            sides.append(exp.GTE(this=self.column(name), expression=self._bound(name, minimum, label)))
        if maximum is not None:
            sides.append(exp.LTE(this=self.column(name), expression=self._bound(name, maximum, label)))
        if self.can_be_infinite(name):
            ends = minimum is not None and maximum is not None
            sides.insert(0, self._is_finite(name) if ends else self._is_no_nan(name))
        return exp.and_(*sides)

    def is_among(self, name: str, values: Sequence[str | float | bool], label: str) -> exp.Expr:
        """
        Give the condition of having one of these values.

        :raises ConfigurationError: when a value is not of the column's kind.
        """
        kind = self.columns[name].kind
        literals = [_literal(value, kind, label) for value in dict.fromkeys(values)]
        value = self.text(name) if kind == "text" else self.column(name)
        if self.dialect == "duckdb" and kind == "text":
            known = exp.Anonymous(
                this="MAP",
                expressions=[
                    exp.Array(expressions=literals),
                    exp.Array(expressions=[exp.true() for _ in literals]),
                ],
            )
            return exp.Anonymous(this="MAP_CONTAINS", expressions=[known, value])
        if self.dialect == "duckdb":
            return exp.Case(this=value, ifs=[exp.If(this=literal, true=exp.true()) for literal in literals])
        return exp.In(this=value, expressions=literals)

    def matches(self, name: str, pattern: str) -> exp.Expr:
        """Give the condition of matching a pattern made by ``portable``."""
        return exp.RegexpLike(this=self.text(name), expression=exp.Literal.string(pattern))

    def has_value_but_not(self, name: str, condition: exp.Expr) -> exp.Expr:
        """Give the condition of having a value for which a condition is not true."""
        untrue = exp.Not(this=exp.func("COALESCE", condition, exp.false()))
        return exp.and_(exp.Not(this=self.is_null(name)), untrue)

    def violates(self, condition: str, label: str) -> exp.Expr:
        """
        Give the condition that an author's condition is false.

        :raises ConfigurationError: when it is not one SQL expression.
        """
        return exp.Not(this=exp.paren(parse_condition(condition, self.dialect, label)))

    def is_repeated(self, names: Sequence[str]) -> exp.Expr:
        """Give the condition of sharing its key with another row."""
        keys = [self.column(name) for name in names]
        repeated = exp.select(*self._keys(names)).from_(BATCH).group_by(*self._keys(names))
        repeated = repeated.having(exp.GT(this=count_rows(), expression=exp.Literal.number(1)))
        key = keys[0] if len(keys) == 1 else exp.Tuple(expressions=keys)
        return exp.In(this=key, query=repeated.subquery())

    # Aggregates of the batch

    def count_values(self, name: str) -> exp.Expr:
        """Give the number of rows whose value is not NULL."""
        return exp.Count(this=self.column(name))

    def count_where(self, condition: exp.Expr) -> exp.Expr:
        """Give the number of rows for which a condition is true."""
        if self.dialect == "duckdb":
            # A third of the CPU time of COUNT(*) FILTER there; it is NULL where the condition always is.
            return exp.func("COALESCE", exp.CountIf(this=condition), exp.Literal.number(0))
        return exp.Count(this=exp.Case(ifs=[exp.If(this=condition, true=exp.Literal.number(1))]))

    def count_repeated(self, names: Sequence[str]) -> exp.Expr:
        """Give the number of rows that share their key with another row, as a scalar subquery."""
        groups = (
            exp
            .select(exp.alias_(count_rows(), "n"))
            .from_(BATCH)
            .where(*[exp.Not(this=self.is_null(name)) for name in names])
            .group_by(*self._keys(names))
            .having(exp.GT(this=count_rows(), expression=exp.Literal.number(1)))
        )
        total = exp.func("COALESCE", exp.Sum(this=exp.column("n")), exp.Literal.number(0))
        return exp.select(total).from_(groups.subquery("groups")).subquery()

    def newest(self, name: str) -> exp.Expr:
        """Give the greatest time as text."""
        return as_text(exp.Max(this=self.column(name)))

    def scalar(self, query: str, label: str) -> exp.Expr:
        """
        Give an author's scalar query as a subquery.

        :raises ConfigurationError: when it is not one SELECT.
        """
        return parse_query(query, self.dialect, label).subquery()

    def _keys(self, names: Sequence[str]) -> list[exp.Expr]:
        """Name columns so that GROUP BY cannot take an alias for one of them."""
        return [exp.column(name, table=BATCH, quoted=True) for name in names]

    def _is_finite(self, name: str) -> exp.Expr:
        if self.dialect == "duckdb":
            return exp.Anonymous(this="ISFINITE", expressions=[self.column(name)])
        return exp.LT(this=exp.Abs(this=self.column(name)), expression=self._special("Infinity", name))

    def _is_no_nan(self, name: str) -> exp.Expr:
        if self.dialect == "duckdb":
            infinite = exp.Anonymous(this="ISINF", expressions=[self.column(name)])
            return exp.paren(exp.or_(self._is_finite(name), infinite))
        return exp.NEQ(this=self.column(name), expression=self._special("NaN", name))

    def _special(self, value: str, name: str) -> exp.Expr:
        """Write NaN or infinity in the column's own type."""
        return exp.cast(exp.Literal.string(value), "double" if self.is_float(name) else "numeric")

    def _bound(self, name: str, bound: float | str | date, label: str) -> exp.Expr:
        plain = bound.isoformat() if isinstance(bound, date) else bound
        kind = self.columns[name].kind
        return _time_literal(plain, name, label) if kind == "time" else _literal(plain, kind, label)


def count_rows() -> exp.Expr:
    return exp.Count(this=exp.Star())


def as_text(value: exp.Expr) -> exp.Expr:
    return exp.cast(value, "text")


def as_double(value: exp.Expr) -> exp.Expr:
    return exp.cast(value, "double")


def parse_condition(condition: str, dialect: str, label: str) -> exp.Expr:
    """
    Read one SQL expression; nothing may stand beside it.

    :raises ConfigurationError: when it cannot be read as one.
    """
    try:
        return sqlglot.parse_one(condition, dialect=dialect, into=exp.Condition)
    except SqlglotError:
        raise ConfigurationError(
            f"{label}: not one SQL condition in the {dialect} dialect; it must stand alone after WHERE"
        ) from None


def parse_query(query: str, dialect: str, label: str) -> exp.Query:
    """
    Read one SELECT (or a UNION, or WITH ... SELECT); nothing may stand beside it.

    :raises ConfigurationError: when it cannot be read as one, or could write.
    """
    try:
        statements = [one for one in sqlglot.parse(query, dialect=dialect) if one is not None]
    except SqlglotError:
        raise ConfigurationError(f"{label}: not SQL of the {dialect} dialect") from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise ConfigurationError(f"{label}: must be a single SELECT")
    writes = statements[0].find(exp.DML, exp.DDL, exp.Command, exp.Into, exp.Lock)
    if writes is not None and not isinstance(writes, exp.Query):
        raise ConfigurationError(f"{label}: must only read; it holds {type(writes).__name__.upper()}")
    return statements[0]


def parse_table(name: str, dialect: str, label: str) -> exp.Table:
    """
    Read a table's name, ``flights`` or ``public.flights`` or ``"Odd Name"``, and nothing else.

    Names that are not quoted are folded as the dialect folds them, then all are quoted.

    :raises ConfigurationError: when it is more or less than a name.
    """
    if not isinstance(name, str) or not TABLE_NAME.fullmatch(name):
        raise ConfigurationError(
            f"{label}: must be the name of a table, e.g. flights or public.flights; for SQL use a Query"
        )
    parts = [one if one[0] != '"' else one[1:-1].replace('""', '"') for one in NAME.findall(name)]
    quoted = [one[0] == '"' for one in NAME.findall(name)]
    identifiers = [exp.to_identifier(part, quoted=flag) for part, flag in zip(parts, quoted, strict=True)]
    folded = [normalize_identifiers(one, dialect=dialect).name for one in identifiers]
    return exp.table_(*[exp.to_identifier(one, quoted=True) for one in reversed(folded)])


def _bare_type(column: Column) -> str:
    return column.type.lower().partition("(")[0].strip()


def _literal(value: float | str | bool, kind: str, label: str) -> exp.Expr:
    """Write a value as a literal of the column's kind."""
    if kind == "text":
        return exp.Literal.string(str(value))
    if kind == "boolean" and str(value).lower() in {"true", "false"}:
        return exp.true() if str(value).lower() == "true" else exp.false()
    if kind == "number" and not isinstance(value, bool):
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if abs(number) < float("inf"):
            text = value.strip() if isinstance(value, str) else repr(value)
            return exp.Neg(this=exp.Literal.number(text[1:])) if text[0] == "-" else exp.Literal.number(text)
    raise ConfigurationError(f"{label}: {value!r} cannot be compared with a {kind} column")


def _time_literal(bound: float | str, name: str, label: str) -> exp.Expr:
    try:
        moment = datetime.fromisoformat(str(bound))
    except ValueError:
        raise ConfigurationError(
            f"{label}: {bound!r} cannot be compared with {name}, a time column; write ISO 8601"
        ) from None
    if moment.tzinfo is not None:
        # Sessions run in UTC, so a time without zone means the same to columns with and without one.
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return exp.cast(exp.Literal.string(moment.isoformat(sep=" ")), "timestamp")
