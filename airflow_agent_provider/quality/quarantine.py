"""
The rows that fail, and why.

Quarantine sets aside the rows that a failed row check complains of, so that the
rest can go on and the failing ones can be looked at. The statement made here
selects them with the names of the checks; an engine writes them under a batch key,
replacing what an earlier try wrote (``write_quarantine``).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.quality.batch import Batch
from airflow_agent_provider.quality.checks.base import Check, RowCheck
from airflow_agent_provider.quality.expressions import BATCH, Expressions
from airflow_agent_provider.quality.results import CheckResult

BATCH_KEY = "batch_key"
REASONS = "reasons"
QUARANTINED_AT = "quarantined_at"
SEPARATOR = "; "


def failing_rows_sql(batch: Batch, checks: Sequence[Check], results: Sequence[CheckResult]) -> str:
    """
    Give a SELECT of the rows that break a row check that did not pass.

    :param results: the results of ``checks``, in the same order.
    :return: SQL for the batch's columns and ``reasons``, the names of the failed
        checks joined by ``"; "``; it yields nothing when no row check failed.
    :raises ConfigurationError: when the batch has a column of a name that quarantine adds.
    """
    columns = {column.name: column for column in batch.columns()}
    for added in (REASONS, BATCH_KEY, QUARANTINED_AT):
        if added in columns:
            raise ConfigurationError(
                f"{batch.label}: quarantine adds a column {added!r}, and the batch has one already; "
                "rename it in a Query"
            )
    sql = Expressions(batch.dialect, columns)
    broken = [
        (result.name, check.failing(sql))
        for check, result in zip(checks, results, strict=True)
        if isinstance(check, RowCheck) and not result.passed
    ]
    names: list[exp.Expr] = [
        exp.Case(ifs=[exp.If(this=condition, true=exp.Literal.string(name))]) for name, condition in broken
    ]
    separator = exp.Literal.string(SEPARATOR)
    reasons = exp.Anonymous(this="CONCAT_WS", expressions=[separator, *(names or [exp.Literal.string("")])])
    query = exp.select(*[sql.column(name) for name in columns], exp.alias_(reasons, REASONS)).from_(BATCH)
    query = query.where(exp.or_(*[condition.copy() for _, condition in broken]) if broken else exp.false())
    relation = f"SELECT * FROM {batch.relation}"
    return query.with_(BATCH, as_=relation, materialized=False, dialect=batch.dialect).sql(
        batch.dialect, comments=False
    )
