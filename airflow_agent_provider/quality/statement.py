"""
One SELECT for all that is asked of a batch.

::

    WITH batch AS NOT MATERIALIZED (SELECT * FROM <relation>),
         sample AS MATERIALIZED (SELECT * FROM <part of relation>),   -- only if asked
         groups_0 AS (SELECT x AS value, COUNT(*) AS n FROM sample ... GROUP BY 1),
         top_0 AS (SELECT value, n FROM groups_0 ORDER BY n DESC, value LIMIT 5),
         whole AS (SELECT COUNT(*) AS m0, MIN(x) AS m1, ... FROM batch),
         part AS (SELECT <quantiles> AS m2 FROM sample)
    SELECT m0, m1, m2, (SELECT <scalar>) AS m3 FROM whole, part

Each measure is added once: the check and the metric that ask the same thing get
the same alias. What runs over all rows is one aggregate, so one scan; exact
uniqueness adds its own GROUP BY, and the heavy metrics read a sample that is
materialized once. A very wide batch takes more than one such statement, each over
some of its columns: Postgres has room for 1,664 outputs, and an engine with a cap on
its memory may not hold all columns at a time. In columnar files that costs nothing,
for each column is still read once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlglot import exp

from airflow_agent_provider.exceptions import BatchTooLarge
from airflow_agent_provider.quality.batch import Batch
from airflow_agent_provider.quality.expressions import BATCH

Over = Literal["batch", "sample", "scalar"]

MOST_OUTPUTS = 1_500
SAMPLE = "sample"


@dataclass(frozen=True, slots=True)
class _Measure:
    alias: str
    expression: exp.Expr
    over: Over


class Statement:
    """
    Collects measures and reads them in as few statements as fit, almost always one.

    :param every: the sample holds one row in so many; 1 means all rows.
    :ivar ran: the SQL that was run, after :meth:`read`.
    """

    def __init__(self, batch: Batch, every: int = 1) -> None:
        self._batch = batch
        self._every = every
        self._measures: dict[tuple[str, Over], _Measure] = {}
        self._groups: dict[str, exp.Select] = {}
        self.ran: list[str] = []

    def add(self, expression: exp.Expr, over: Over = "batch") -> str:
        """
        Ask for an expression.

        :param over: ``batch`` and ``sample`` are aggregates of all rows and of the
            sample; ``scalar`` stands alone.
        :return: the alias under which :meth:`read` gives its value.
        """
        if isinstance(expression, exp.Subquery):
            over = "scalar"
        key = (expression.sql(self._batch.dialect), over)
        if key not in self._measures:
            self._measures[key] = _Measure(f"m{len(self._measures)}", expression, over)
        return self._measures[key].alias

    def groups(self, column: exp.Column, order: Sequence[exp.Ordered], top: int) -> tuple[str, str]:
        """
        Name two tables of a column's values in the sample, ``value`` and its count ``n``: all, and the top.

        :param order: what makes a value one of the top ones.
        """
        place = len(self._groups) // 2
        groups, most = f"groups_{place}", f"top_{place}"
        self._groups[groups] = _grouped(column)
        self._groups[most] = exp.select("value", "n").from_(groups).order_by(*order).limit(top)
        return groups, most

    def read(self) -> dict[str, Any]:
        """
        Run the statement and give the values by alias.

        :raises DataError: when the engine refuses it.
        """
        self.ran.clear()
        return self._read(list(self._measures.values()))

    def _read(self, measures: list[_Measure]) -> dict[str, Any]:
        """Read measures together; where they are too many or too large for that, read each half by itself."""
        if len(measures) <= MOST_OUTPUTS:
            text = self._select(measures).sql(self._batch.dialect, comments=False)
            try:
                [values] = self._batch.rows(text, max_rows=1)
            except BatchTooLarge:
                if len(measures) == 1:
                    raise
            else:
                self.ran.append(text)
                return values
        one, other = self._halves(measures)
        return self._read(one) | self._read(other)

    def _halves(self, measures: list[_Measure]) -> tuple[list[_Measure], list[_Measure]]:
        """Split by columns, so that none is read twice; by number where that is no help."""
        columns = [self._columns_of(one) for one in measures]
        names = list(dict.fromkeys(name for one in columns for name in sorted(one)))
        first = set(names[: len(names) // 2])
        for belongs in (first.issuperset, lambda used: not first.isdisjoint(used)):
            one = [measure for measure, used in zip(measures, columns, strict=True) if used and belongs(used)]
            other = [measure for measure in measures if measure not in one]
            if one and other:
                return one, other
        return measures[: len(measures) // 2], measures[len(measures) // 2 :]

    def _columns_of(self, measure: _Measure) -> set[str]:
        read = [measure.expression, *self._groups_read_by([measure]).values()]
        return {column.name for one in read for column in _batch_columns(one)}

    def _select(self, measures: list[_Measure]) -> exp.Select:
        outputs = [
            exp.alias_(one.expression, one.alias) if one.over == "scalar" else exp.column(one.alias)
            for one in measures
        ]
        part = [exp.alias_(one.expression, one.alias) for one in measures if one.over == "sample"]
        whole = [exp.alias_(one.expression, one.alias) for one in measures if one.over == "batch"]
        groups = self._groups_read_by(measures)
        read = {column.name: column for one in [*part, *groups.values()] for column in _batch_columns(one)}

        # In place: by default each step would copy all that stands so far.
        query = exp.Select().select(*outputs, copy=False)
        relation = f"SELECT * FROM {self._batch.relation}"
        query.with_(BATCH, as_=relation, materialized=False, dialect=self._batch.dialect, copy=False)
        if read:
            query.with_(SAMPLE, as_=self._sample(list(read.values())), materialized=True, copy=False)
        for name, rows in groups.items():
            query.with_(name, as_=rows.copy(), copy=False)
        query.with_("whole", as_=_aggregated(whole or [exp.Literal.number(1)], BATCH), copy=False)
        query.from_("whole", copy=False)
        if part:
            query.with_("part", as_=_aggregated(part, SAMPLE), copy=False)
            query.join("part", join_type="cross", copy=False)
        return query

    def _groups_read_by(self, measures: list[_Measure]) -> dict[str, exp.Select]:
        used = {table.name for one in measures for table in one.expression.find_all(exp.Table)}
        used |= {
            table.name
            for name in used & set(self._groups)
            for table in self._groups[name].find_all(exp.Table)
        }
        return {name: rows for name, rows in self._groups.items() if name in used}

    def _sample(self, columns: list[exp.Column]) -> exp.Select:
        relation = BATCH if self._every == 1 else self._batch.sample(self._every)
        return exp.select(*[one.copy() for one in columns]).from_(relation, dialect=self._batch.dialect)


def _aggregated(expressions: Sequence[exp.Expr], source: str) -> exp.Select:
    return exp.Select().select(*expressions, copy=False).from_(source, copy=False)


def _grouped(column: exp.Column) -> exp.Select:
    return (
        exp
        .select(exp.alias_(column.copy(), "value"), exp.alias_(exp.Count(this=exp.Star()), "n"))
        .from_(SAMPLE)
        .where(exp.Not(this=exp.Is(this=column.copy(), expression=exp.Null())))
        .group_by("1")  # by place: the batch may have a column called value or n
    )


def _batch_columns(expression: exp.Expr) -> list[exp.Column]:
    """List the batch's columns that are read; only they are quoted."""
    return [one for one in expression.find_all(exp.Column) if one.this.quoted]
