"""The same rows in DuckDB and in Postgres give the same score-relevant numbers."""

import tempfile
from datetime import UTC, date, datetime, time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from one_postgres import Hook, execute, insert, open_batch

from airflow_agent_provider.engines.duckdb import open_files
from airflow_agent_provider.quality.checks import (
    AcceptedValues,
    Between,
    CustomQuery,
    CustomSql,
    Fresh,
    HasSchema,
    Matches,
    NotNull,
    RowCount,
    Unique,
)
from airflow_agent_provider.quality.checks.pattern import portable
from airflow_agent_provider.quality.quarantine import failing_rows_sql
from airflow_agent_provider.quality.scan import scan

pytestmark = pytest.mark.postgres

REFERENCE = datetime(2013, 2, 9, tzinfo=UTC)
DDL = (
    'CREATE TABLE t (i bigint, f double precision, "order" numeric(12, 2), s text, b boolean, d date, '
    "at timestamp, zoned timestamptz)"
)
CHECKS = [
    RowCount(2, 10),
    *[NotNull(name, tolerance=0.3) for name in ("i", "f", "order", "s", "b", "d", "at", "zoned")],
    *[Unique(name) for name in ("i", "s", "d")],
    Unique("s", "b"),
    Between("i", -5, 5),
    Between("f", 0, 10),
    Between("f", None, 10),
    Between("f", 0),
    Between("order", 0, 99.5),
    Between("d", "2013-02-01", "2013-02-28"),
    Between("at", "2013-02-01T12:00:00+01:00"),
    Between("zoned", None, "2013-02-08T12:00:00+01:00"),
    AcceptedValues("s", ["", "a", "it's", "é"]),
    AcceptedValues("i", [0, 1, -1]),
    AcceptedValues("b", [True]),
    Matches("s", r"[a-z\d']*", tolerance=0.1),
    Matches("s", "(?i)A.?"),
    Fresh("zoned", 36),
    Fresh("at", 1),
    HasSchema({"i": "number", "s": "text", "at": "time", "nope": None}),
    CustomSql("i is null or f is not null"),
    CustomSql("\"order\" < 50 and s <> 'a'"),
    CustomQuery("select count(distinct s) from batch", minimum=3),
]
DAYS = (date(2013, 1, 25), date(2013, 3, 5))
MOMENTS = [datetime.combine(day, time()) for day in DAYS]
VALUES = {
    "i": some.integers(-9, 9) | some.sampled_from([2**62, -(2**62)]),
    "f": some.floats(-20, 20) | some.sampled_from([float("nan"), float("inf"), float("-inf"), 0.1]),
    "order": some.decimals(-200, 200, places=2, allow_nan=False),
    "s": some.sampled_from(["", "a", "A", "ab", "it's", "é", "É", 'x"y', "a\n", " ", "%s", "\\", "7"]),
    "b": some.booleans(),
    "d": some.dates(*DAYS),
    "at": some.datetimes(*MOMENTS),
    "zoned": some.datetimes(*MOMENTS, timezones=some.just(UTC)),
}
ARROW = {
    "i": pa.int64(), "f": pa.float64(), "order": pa.decimal128(12, 2), "s": pa.string(), "b": pa.bool_(),
    "d": pa.date32(), "at": pa.timestamp("us"), "zoned": pa.timestamp("us", "UTC"),
}  # fmt: skip


@some.composite
def rows(draw):
    count = draw(some.integers(1, 12))
    row = some.tuples(*[values | some.none() for values in VALUES.values()])
    return draw(some.lists(row, min_size=count, max_size=count))


def in_postgres(hook, drawn, ask):
    execute(hook, "DROP TABLE IF EXISTS t", DDL)
    insert(hook, "t", drawn)
    with open_batch(hook, "t") as batch:
        return ask(batch)


def in_duckdb(drawn, ask):
    columns = dict(zip(VALUES, zip(*drawn, strict=True), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.parquet"
        pq.write_table(
            pa.table({name: pa.array(column, ARROW[name]) for name, column in columns.items()}), path
        )
        with open_files([str(path)], "parquet", label="t") as batch:
            return ask(batch)


def results(batch):
    return scan(batch, CHECKS, profile="none", reference_time=REFERENCE).results


@given(drawn=rows())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_check_results_are_equal(postgres, drawn):
    """All results, credits and messages included, are the same on both engines, so the score is."""
    assert in_duckdb(drawn, results) == in_postgres(Hook(postgres), drawn, results)


@given(drawn=rows())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_exact_profiles_are_equal(postgres, drawn):
    """Every metric of a small batch is the same on both engines, frequent values and ISO times included."""

    def metrics(batch):
        return {name: one.value for name, one in scan(batch, []).profile.metric_ids().items()}

    one, other = in_duckdb(drawn, metrics), in_postgres(Hook(postgres), drawn, metrics)
    assert other.pop("order.nan_count") == 0  # a numeric can be NaN in Postgres, a decimal cannot in DuckDB
    floats = {name for name, value in one.items() if isinstance(value, float)}
    assert {name: one[name] for name in one.keys() - floats} == {
        name: other[name] for name in other.keys() - floats
    }
    assert {name: one[name] for name in floats} == pytest.approx(
        {name: other[name] for name in floats}, rel=1e-9
    )


@given(drawn=rows())
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_same_rows_fail_for_the_same_reasons(postgres, drawn):
    """What would be quarantined is the same on both engines."""

    def reasons(batch):
        sql = failing_rows_sql(batch, CHECKS, results(batch))
        return sorted(row["reasons"] for row in batch.rows(sql, max_rows=100))

    assert in_duckdb(drawn, reasons) == in_postgres(Hook(postgres), drawn, reasons)


PATTERNS = [
    r"[a-z\d']*",
    "(?i)A.?",
    r"\w+",
    r"\W*",
    r"\s",
    ".",
    "..?",
    r"[\]\[^-]*",
    "[]a-]+",
    "(?:ab|a)?",
    "(a|)b?",
    r"a\n",
]
PATTERNS += [
    r"\\",
    "[\\\\%]s",
    "a{1,2}",
    "(?:a|ab)(?:b|)",
    "^a$",
    "é|É",
    r"[^\d]",
    ".*?",
    r'x"y',
    "[.]",
    r"\.",
    "a$",
    " +",
]
SUBJECTS = [
    "",
    "a",
    "A",
    "ab",
    "aab",
    "it's",
    "é",
    "É",
    'x"y',
    "a\n",
    "\n",
    " ",
    "%s",
    "\\",
    "7",
    "[",
    "]",
    "^-",
    "_",
    ".",
    "b",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_matches_the_same_values(postgres, pattern):
    """A regular expression answers alike in RE2 and in Postgres."""
    import duckdb

    translated = portable(pattern)
    found = duckdb.execute(
        "SELECT list_transform(?, lambda x: regexp_matches(x, ?))", [SUBJECTS, translated]
    ).fetchall()
    with Hook(postgres).get_conn() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_agg(x ~ %s ORDER BY place) FROM unnest(%s::text[]) WITH ORDINALITY AS u(x, place)",
            [translated, SUBJECTS],
        )
        assert cursor.fetchall() == found
    connection.close()
