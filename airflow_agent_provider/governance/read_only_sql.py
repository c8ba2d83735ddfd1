"""
What SQL a model may run: one SELECT over named relations with known functions.

An allow-list, because a deny-list of dangerous functions is never complete:
``pg_read_file``, ``read_csv``, ``query_to_xml`` and ``lo_import`` all look like
any other call. The text is parsed (https://sqlglot.com), every node is checked,
and what is run is generated anew from the checked tree, so that the engine sees
exactly what was checked. The engines add what syntax cannot give: a read-only
transaction, a statement time-out and a row cap.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from airflow_agent_provider.exceptions import ToolFailed

MAX_SQL_CHARS = 8_000
FUNCTIONS = frozenset(
    # aggregates
    "Count CountIf Sum Avg Min Max Stddev StddevPop StddevSamp Variance VariancePop Median "
    "PercentileCont PercentileDisc Quantile ApproxDistinct ApproxQuantile Corr LogicalAnd LogicalOr Mode "
    # windows
    "RowNumber Rank DenseRank PercentRank CumeDist Ntile Lag Lead FirstValue LastValue NthValue "
    # conditions, which sqlglot also calls functions
    "And Or Xor Case If Coalesce Nullif Greatest Least Cast TryCast Exists "
    # numbers
    "Abs Ceil Floor Round Sqrt Ln Log Exp Pow Sign Mod "
    # text
    "Length Lower Upper Trim Substring Left Right StrPosition Replace RegexpLike RegexpILike Concat ConcatWs "
    "StartsWith SplitPart Initcap Reverse "
    # times
    "TimestampTrunc DateTrunc Extract Date TsOrDsToDate DateDiff TsOrDsDiff DateAdd DateSub Year Month Day "
    "DayOfWeek DayOfMonth DayOfYear Quarter WeekOfYear Hour Minute".split()
)
FORBIDDEN = (
    "Into Lock Parameter Placeholder SessionParameter Command Insert Update Delete Merge Create Drop Alter "
    "Copy TableSample Pivot Lateral Unnest UDTF"
).split()


def read_only(sql: str, *, dialect: str, relations: Collection[str]) -> str:
    """
    Check one SELECT and give it back generated anew.

    :param sql: the text that a model proposed.
    :param dialect: sqlglot's name of the dialect that it is read and run in.
    :param relations: names that may stand in FROM, unqualified; CTEs of the statement itself too.
    :return: the same statement as SQL of the dialect, without comments.
    :raises ToolFailed: says what is not allowed, for the model to correct.
    """
    import sqlglot
    from sqlglot import exp

    if len(sql) > MAX_SQL_CHARS:
        raise ToolFailed(f"the statement is longer than {MAX_SQL_CHARS} characters")
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    try:
        statements = sqlglot.parse(sql, read=dialect)
    except (sqlglot.errors.SqlglotError, RecursionError) as error:
        raise ToolFailed(f"not valid {dialect} SQL: {str(error)[:200]}") from None
    if len(statements) != 1:
        raise ToolFailed(f"one statement at a time, not {len(statements)}")
    [statement] = statements
    if not isinstance(statement, (exp.Select, exp.SetOperation)):
        raise ToolFailed(f"only SELECT is allowed, not {type(statement).__name__.upper()}")
    ctes = {cte.alias for cte in statement.find_all(exp.CTE)}
    for node in statement.walk():
        _check(node, {*relations}, ctes)
    return str(statement.sql(dialect=dialect, comments=False))


def _check(node: Any, relations: set[str], ctes: set[str]) -> None:
    from sqlglot import exp

    name = type(node).__name__
    if name in FORBIDDEN:
        raise ToolFailed(f"{name.upper()} is not allowed: plain SELECT only")
    if isinstance(node, exp.With) and node.recursive:
        raise ToolFailed("WITH RECURSIVE is not allowed")
    if isinstance(node, exp.CTE) and node.alias in relations:
        raise ToolFailed(f"a CTE may not be called {node.alias!r}: that is the data's own name")
    if isinstance(node, exp.Table):
        if not isinstance(node.this, exp.Identifier) or node.args.get("db") or node.args.get("catalog"):
            raise ToolFailed(
                f"only these relations can be read: {sorted(relations)}; no functions, no schemas"
            )
        if node.name not in relations | ctes:
            raise ToolFailed(f"there is no relation {node.name!r}; use {sorted(relations)}")
    elif isinstance(node, exp.Func) and name not in FUNCTIONS:
        shown = node.name if isinstance(node, exp.Anonymous) else name
        raise ToolFailed(f"function {shown!r} is not allowed")
