from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from airflow_agent_provider.exceptions import (
    BatchTooLarge,
    ColumnNotFound,
    ConfigurationError,
    DataError,
    EmptyBatch,
)
from airflow_agent_provider.quality import metrics
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
from airflow_agent_provider.quality.quarantine import failing_rows_sql
from airflow_agent_provider.quality.scan import scan

AWKWARD = [
    'a"b',
    "select",
    "it's",
    "n",
    "value",
    "batch",
    "sample",
    "m0",
    "m1",
    "whole",
    "part",
    "groups_0",
    "ünï",
    " x ",
]
AWKWARD += ["%s", "{{ a }}", "a.b", "*", "--", "count(*)"]


def value_of(found, column, metric):
    [profile] = [one for one in found.profile.columns if one.column.name == column]
    return profile.metrics[metric].value


def failing(batch, check):
    [result] = scan(batch, [check], profile="none").results
    return result.failing_rows


@pytest.mark.parametrize("name", AWKWARD)
def test_columns_may_have_any_name(batch_of, name):
    """Quotes, keywords and the statement's own aliases as column names change no number."""
    batch = batch_of(**{name: [3, 1, 1, None], "other": ["x", "x", "y", "z"]})
    checks = [
        NotNull(name),
        Unique(name),
        Unique(name, "other"),
        Between(name, 2, 9),
        AcceptedValues(name, [1]),
    ]
    found = scan(batch, checks, key=(name,))
    assert [result.failing_rows for result in found.results] == [1, 2, 0, 2, 1]
    assert [value_of(found, name, metric) for metric in ("min", "max", "null_count", "distinct_count")] == [
        1,
        3,
        1,
        2,
    ]
    assert value_of(found, name, "top") == [["1", 2], ["3", 1]]
    rows = batch.rows(failing_rows_sql(batch, checks, found.results), max_rows=10)
    assert [row[name] for row in rows] == [3, 1, 1, None]


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (NotNull("n"), 1),
        (Between("n", 1, 2), 2),
        (Between("n", None, 2), 1),
        (Between("n", 1, None), 1),
        (AcceptedValues("n", [0, 1, 2]), 1),
        (AcceptedValues("t", ["", "a"]), 1),
        (AcceptedValues("b", [True]), 1),
        (Matches("t", "a?"), 1),
        (CustomSql("n > 0"), 1),
        (CustomSql("n > 0 and t <> 'it''s'"), 2),
        (Unique("n"), 0),
        (Unique("t"), 0),
        (Unique("b"), 2),
    ],
)
def test_only_not_null_fails_a_null(batch_of, check, expected):
    """In each row check a NULL passes, an empty text is a value, and an odd value is counted once."""
    batch = batch_of(n=[0, 1, 2, 3, None], t=["", "a", None, "it's", None], b=[True, False, True, None, None])
    assert failing(batch, check) == expected


@pytest.mark.parametrize(
    ("check", "expected"),
    [(Between("x", 0, 9), 3), (Between("x", 0), 2), (Between("x", None, 9), 2), (NotNull("x"), 1)],
)
def test_nan_lies_between_no_bounds(batch_of, check, expected):
    """NaN is outside of every range, infinity only of a range that ends; neither is NULL."""
    batch = batch_of(x=pa.array([1.0, float("nan"), float("inf"), float("-inf"), None], pa.float64()))
    assert failing(batch, check) == expected


def test_nan_is_found_where_the_statistics_of_a_file_hide_it(batch_of):
    """Parquet's minimum and maximum leave NaN out; a range that they seem to fulfil is checked all the same."""
    assert failing(batch_of(x=[5.0, float("nan"), 6.0]), Between("x", 0, 10)) == 1


def test_nan_and_infinity_stay_out_of_the_metrics(batch_of):
    """Numbers are measured where there are numbers; the others are counted apart."""
    found = scan(batch_of(x=[1.0, 3.0, float("nan"), float("inf"), float("-inf")]), [])
    names = ("min", "max", "mean", "p50", "nan_count", "null_count")
    assert [value_of(found, "x", name) for name in names] == [1.0, 3.0, 2.0, 2.0, 3, 0]


def test_bounds_of_dates_and_times(batch_of):
    """ISO text, dates and times with a zone bound columns with and without one, in UTC."""
    days = pa.array([date(2013, 1, 1), date(2013, 1, 2), date(2013, 1, 3)])
    moments = [datetime(2013, 1, day, 12, tzinfo=UTC) for day in (1, 2, 3)]
    batch = batch_of(
        day=days,
        zoned=pa.array(moments, pa.timestamp("us", "UTC")),
        bare=pa.array(moments, pa.timestamp("us")),
    )
    checks = [
        Between("day", "2013-01-02", date(2013, 1, 3)),
        Between("zoned", "2013-01-02T13:00:00+01:00"),
        Between("bare", "2013-01-02T13:00:00+01:00"),
        Between("zoned", None, "2013-01-02"),
    ]
    assert [result.failing_rows for result in scan(batch, checks).results] == [1, 1, 1, 2]


def test_a_scan_gives_results_in_the_order_of_the_checks(batch_of):
    """Each check gets its own numbers, also when several ask the same thing."""
    checks = [
        NotNull("a", tolerance=0.4),
        RowCount(1),
        NotNull("a"),
        CustomQuery("select max(a) from batch", maximum=5),
    ]
    found = scan(batch_of(a=[1, None, 7]), checks, profile="none")
    assert [result.passed for result in found.results] == [True, True, False, False]


def test_names_are_unique_in_a_report(batch_of):
    """The same check twice is told apart."""
    found = scan(batch_of(a=[1, None]), [NotNull("a"), NotNull("a", tolerance=0.5)])
    assert [result.name for result in found.results] == ["NotNull('a')", "NotNull('a') #2"]


def test_a_result_cites_metrics_that_the_profile_has(batch_of):
    """Evidence can be looked up: no id is cited that was not measured."""
    checks = [
        NotNull("a"),
        Between("a", 0, 1),
        RowCount(1),
        AcceptedValues("a", [1]),
        Matches("t", "x"),
        Unique("a"),
    ]
    for profile in ("none", "light", "full"):
        found = scan(batch_of(a=[1, None], t=["x", "y"]), checks, profile=profile)
        known = found.profile.metric_ids()
        assert {one for result in found.results for one in result.metrics} <= set(known)
    assert found.results[0].metrics == ("a.null_share", "a.null_count")


def test_one_statement_measures_everything(batch_of):
    """Profile and checks together are one SELECT, which scans all rows once for all plain aggregates."""
    batch = batch_of(a=[1, 2], t=["x", "y"])
    found = scan(batch, [NotNull("a"), Matches("t", "x"), Between("a", 0, 9)], profile="light")
    assert ";" not in found.sql
    assert found.sql.count("FROM measured") == 1
    assert found.sql.count("FROM batch") == 1


def test_checks_alone_measure_nothing_else(batch_of):
    """Without a profile the statement holds what the checks need."""
    found = scan(batch_of(a=[1, 2], t=["x", "y"]), [NotNull("a")], profile="none")
    assert found.profile.columns == ()
    assert '"t"' not in found.sql


def test_what_is_asked_twice_is_measured_once(batch_of):
    """The count that the check and the profile both need stands in the statement once."""
    found = scan(batch_of(a=[1, 2]), [NotNull("a"), NotNull("a", tolerance=0.1)], profile="light")
    assert found.sql.count('COUNT("a")') == 1


def test_a_wide_batch_takes_more_statements_and_the_same_numbers(batch_of, monkeypatch):
    """Where a statement is full the next one goes on; no metric is lost between them."""
    columns = {f"c{place}": [place, None, place] for place in range(12)}
    whole = scan(batch_of(**columns), [Unique("c1")])
    monkeypatch.setattr("airflow_agent_provider.quality.statement.MOST_OUTPUTS", 17)
    parts = scan(batch_of(**columns), [Unique("c1")])
    assert parts.sql.count(";") > 5
    assert (parts.profile, parts.results) == (whole.profile, whole.results)


class Cramped:
    """A batch whose engine has memory for two columns at a time."""

    def __init__(self, batch):
        self.batch = batch
        self.read = []

    def __getattr__(self, name):
        return getattr(self.batch, name)

    def rows(self, sql, *, max_rows):
        columns = {column.name for column in self.batch.columns() if f'"{column.name}"' in sql}
        if len(columns) > 2:
            raise BatchTooLarge("two columns at most")
        self.read.append(columns)
        return self.batch.rows(sql, max_rows=max_rows)


def test_a_batch_that_does_not_fit_memory_is_read_column_by_column(batch_of):
    """What cannot be held at once is read in halves, each column in one of them, to the same numbers."""
    batch = batch_of(**{f"c{place}": [place, None, place] for place in range(7)})
    checks = [NotNull("c1"), Unique("c1", "c2"), CustomSql("c3 > c4"), Between("c5", 0, 9)]
    cramped = Cramped(batch)
    parts, whole = scan(cramped, checks), scan(batch, checks)
    assert (parts.profile, parts.results) == (whole.profile, whole.results)
    read = [name for columns in cramped.read for name in columns]
    assert len(cramped.read) > 3
    assert max(map(read.count, read)) <= 2  # Unique needs its columns together, once more


def test_a_column_that_does_not_fit_memory_is_an_error(batch_of):
    """When nothing is left to split the engine's own error is raised."""
    cramped = Cramped(batch_of(a=[1], b=[1], c=[1]))
    with pytest.raises(BatchTooLarge, match="two columns"):
        scan(cramped, [Unique("a", "b", "c")], profile="none")


def test_a_missing_column_is_named_with_what_comes_near(batch_of):
    """The message names check, column and the likely misspelling."""
    with pytest.raises(
        ColumnNotFound,
        match=r"NotNull\('tailnumm'\): the batch has no column 'tailnumm'; did you mean tailnum\?",
    ):
        scan(batch_of(tailnum=["x"]), [NotNull("tailnumm")])


def test_a_missing_key_is_named(batch_of):
    """The key is held against the columns like a check."""
    with pytest.raises(ColumnNotFound, match=r"key: the batch has no column 'zzz'; it has tailnum"):
        scan(batch_of(tailnum=["x"]), [], key=("zzz",))


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (
            Matches("n", "x"),
            r"Matches\('n'\): column 'n' of the batch is BIGINT \(number\); this check takes text",
        ),
        (Between("t", 1, 2), r"this check takes number or time"),
        (Fresh("n"), r"this check takes time"),
        (AcceptedValues("d", ["x"]), r"this check takes text or number or boolean"),
        (AcceptedValues("n", ["x"]), r"AcceptedValues\('n'\): 'x' cannot be compared with a number column"),
        (Between("n", "2013-01-01"), r"'2013-01-01' cannot be compared with a number column"),
        (Between("d", 5), r"5 cannot be compared with d, a time column"),
    ],
)
def test_a_check_that_does_not_fit_its_column_is_refused(batch_of, check, said):
    """A check is never silently compared across kinds."""
    with pytest.raises(ConfigurationError, match=said):
        scan(batch_of(n=[1], t=["x"], d=[date(2013, 1, 1)]), [check])


@pytest.mark.parametrize("profile", ["none", "light", "full"])
def test_an_empty_batch_is_an_error_that_says_where(batch_of, profile):
    """Nothing is measured of nothing, also when the row count allows it."""
    with pytest.raises(EmptyBatch, match=r"the batch: 0 rows"):
        scan(batch_of(a=pa.array([], pa.int64())), [RowCount(0)], profile=profile)


@pytest.mark.parametrize(
    ("check", "error", "said"),
    [
        (CustomSql("no_such > 1"), ColumnNotFound, r"CustomSql\('no_such > 1'\).*no_such"),
        (CustomSql("no_such_function(a)"), DataError, r"CustomSql\('no_such_function\(a\)'\)"),
        (CustomSql("a > 1; drop table x"), ConfigurationError, r"not one SQL condition"),
        (CustomSql("1 = 1) or (1 = 1"), ConfigurationError, r"not one SQL condition"),
        (CustomQuery("select 1; select 2", maximum=1), ConfigurationError, r"must be a single SELECT"),
        (CustomQuery("drop table x", maximum=1), ConfigurationError, r"must be a single SELECT"),
        (CustomQuery("select * from nowhere", maximum=1), DataError, r"CustomQuery.*nowhere"),
    ],
)
def test_the_check_that_breaks_the_statement_is_named(batch_of, check, error, said):
    """All checks are one statement; the one at fault is found all the same."""
    with pytest.raises(error, match=said):
        scan(batch_of(a=[1]), [NotNull("a"), check, RowCount(1)])


def test_a_custom_query_reads_the_batch(batch_of):
    """The whole batch is at hand under its name, beside constants."""
    [result] = scan(
        batch_of(a=[1, 2, 2]), [CustomQuery("select count(distinct a) from batch", minimum=3)]
    ).results
    assert (result.passed, result.found, result.credit) == (False, 2, pytest.approx(2 / 3))


def test_a_large_batch_is_sampled_and_says_so(batch_of, monkeypatch):
    """Above the cap, counts and moments stay exact, heavy metrics are labelled, and a rerun gives the same."""
    monkeypatch.setattr(metrics, "EXACT_ROWS", 2_000)
    monkeypatch.setattr(metrics, "SAMPLE_ROWS", 1_000)
    rows = 20_000
    batch = batch_of(
        id=range(rows),
        zone=[place % 4 for place in range(rows)],
        t=[f"t{place % 9}" for place in range(rows)],
    )
    one, other = scan(batch, [Unique("id")]), scan(batch, [Unique("id")])
    assert one == other
    precision = {
        name: got.precision for name, got in one.profile.metric_ids().items() if name.startswith("id.")
    }
    assert {name for name, label in precision.items() if label != "exact"} == {
        "id.p05",
        "id.p50",
        "id.p95",
        "id.top",
        "id.distinct_count",
    }
    assert value_of(one, "id", "p50") == pytest.approx(rows / 2, rel=0.1)
    assert value_of(one, "id", "top") == []
    assert value_of(one, "id", "distinct_count") == pytest.approx(rows, rel=0.1)
    assert [count for _, count in value_of(one, "zone", "top")] == pytest.approx([rows / 4] * 4, rel=0.2)


def test_key_duplicates_are_counted(batch_of):
    """The profile tells how many rows share their key, NULLs left out."""
    found = scan(batch_of(a=[1, 1, 2, None], b=["x", "x", "x", "x"]), [], key=("a", "b"))
    ids = found.profile.metric_ids()
    assert (ids["a+b.duplicate_count"].value, ids["a+b.duplicate_share"].value) == (2, 0.5)


def test_failing_rows_come_with_their_reasons(batch_of):
    """Exactly the rows that break a failed check are selected, each with the checks that it breaks."""
    batch = batch_of(a=[1, None, 3, 9], t=["x", "y", None, "it's"])
    checks = [
        NotNull("a", name="a is there"),
        Between("a", 0, 5),
        Matches("t", "[xy]"),
        NotNull("t", tolerance=0.5),
    ]
    rows = batch.rows(failing_rows_sql(batch, checks, scan(batch, checks).results), max_rows=9)
    assert [(row["a"], row["reasons"]) for row in rows] == [
        (None, "a is there"),
        (9, "Between('a', 0, 5); Matches('t')"),
    ]


def test_no_failed_row_check_selects_no_row(batch_of):
    """Checks that passed, and failed ones that are not about rows, quarantine nothing."""
    batch = batch_of(a=[1, 2])
    checks = [NotNull("a"), RowCount(5), HasSchema({"z": None})]
    assert batch.rows(failing_rows_sql(batch, checks, scan(batch, checks).results), max_rows=9) == []


def test_a_column_that_quarantine_would_add_is_refused(batch_of):
    """A batch that already has the name is told so, rather than losing its own column."""
    batch = batch_of(reasons=["x", None])
    checks = [NotNull("reasons")]
    with pytest.raises(ConfigurationError, match="quarantine adds a column 'reasons'"):
        failing_rows_sql(batch, checks, scan(batch, checks).results)


def test_nested_and_odd_columns_are_counted_not_measured(batch_of):
    """A list, a struct, bytes and a time of day have NULLs and nothing else that is measured."""
    table = pa.table({
        "list": pa.array([[1], None], pa.list_(pa.int64())),
        "struct": pa.array([{"x": 1}, None], pa.struct({"x": pa.int64()})),
        "bytes": pa.array([b"x", None], pa.binary()),
    })
    found = scan(batch_of(table), [NotNull("list", tolerance=0.5), NotNull("struct"), NotNull("bytes")])
    assert {one.column.kind for one in found.profile.columns} == {"other"}
    assert {tuple(one.metrics) for one in found.profile.columns} == {("null_count", "null_share")}


def test_large_integers_and_decimals_stay_exact(batch_of):
    """Integers beyond 2**53 and 38-digit decimals keep their bounds to the last digit."""
    huge = 10**37 + 1
    decimals = pa.array([Decimal(huge), Decimal(5)], pa.decimal128(38, 0))
    table = pa.table({"i": pa.array([2**63 - 1, -(2**63)]), "d": decimals})
    found = scan(batch_of(table), [])
    assert [value_of(found, "i", name) for name in ("min", "max")] == [-(2**63), 2**63 - 1]
    assert [value_of(found, "d", name) for name in ("min", "max")] == [5, huge]


def test_a_column_of_nothing_but_null_has_no_bounds(batch_of):
    """Undefined metrics are None, never a crash."""
    found = scan(
        batch_of(a=pa.array([None, None], pa.float64()), t=pa.array([None, None], pa.string())),
        [NotNull("a")],
    )
    assert [value_of(found, "a", name) for name in ("min", "mean", "std", "p50", "null_share")] == [
        None,
        None,
        None,
        None,
        1.0,
    ]
    assert [value_of(found, "t", name) for name in ("length_mean", "top", "distinct_count")] == [None, [], 0]


def test_times_beyond_the_calendar_are_told_as_text(batch_of):
    """Years before 1970 and after 9999 are measured without a crash."""
    table = pa.table({"t": pa.array([-(10**15), 253402300800 * 10**6], pa.timestamp("us"))})
    found = scan(batch_of(table), [Fresh("t", 24, reference="2013-01-01")])
    assert value_of(found, "t", "min") == "1938-04-24T22:13:20"
    assert value_of(found, "t", "max").startswith("10000-01-01")
    assert not found.results[0].passed
