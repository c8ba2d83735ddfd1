import contextlib
import re

import pytest
from one_postgres import Hook, execute, fetch, insert, open_batch

from airflow_agent_provider.engines.dbapi import open_query
from airflow_agent_provider.exceptions import (
    ColumnNotFound,
    ConfigurationError,
    DataError,
    EmptyBatch,
    PermanentError,
    SourceNotFound,
    SourceUnavailable,
)
from airflow_agent_provider.quality import metrics
from airflow_agent_provider.quality.checks import Between, CustomSql, Matches, NotNull, Unique
from airflow_agent_provider.quality.expressions import parse_query, parse_table
from airflow_agent_provider.quality.quarantine import failing_rows_sql
from airflow_agent_provider.quality.scan import scan

pytestmark = pytest.mark.postgres


@pytest.fixture
def flights(hook):
    execute(hook, "CREATE TABLE flights (day date, flight integer, tailnum text)")
    insert(hook, "flights", [("2013-02-08", 1, "N1"), ("2013-02-08", 2, None), ("2013-02-09", 3, "N3")])
    return hook


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_both_drivers_measure_alike(flights, driver):
    """Airflow's hook may hand out either generation of psycopg."""
    with open_batch(Hook(flights.uri, driver), "flights") as batch:
        found = scan(batch, [NotNull("tailnum"), Unique("day"), Between("flight", 2, 9)])
    assert [result.failing_rows for result in found.results] == [1, 2, 1]
    assert [(one.column.type, one.column.kind) for one in found.profile.columns] == [
        ("date", "time"),
        ("integer", "number"),
        ("text", "text"),
    ]


def test_a_filter_and_columns_make_the_batch(flights):
    """Only the wanted rows and columns are measured; a reader cannot break out of the filter."""
    with open_batch(flights, "flights", where="day = '2013-02-09' or false", columns=("tailnum",)) as batch:
        assert batch.rows(f"SELECT * FROM {batch.relation}", max_rows=9) == [{"tailnum": "N3"}]


def test_a_schema_may_stand_before_the_table(flights):
    """Qualified and quoted names are found as Postgres finds them; unquoted ones are folded."""
    execute(
        flights,
        'CREATE SCHEMA IF NOT EXISTS "Odd"',
        'DROP TABLE IF EXISTS "Odd"."T 1"',
        'CREATE TABLE "Odd"."T 1" AS SELECT 1 AS a',
    )
    for name in ("public.flights", "FLIGHTS", '"Odd"."T 1"'):
        with open_batch(flights, name) as batch:
            assert batch.columns()
    with pytest.raises(SourceNotFound), open_batch(flights, '"Flights"'):
        pass


def test_a_missing_table_is_named(hook):
    """The message names the batch, the table and what to check."""
    with (
        pytest.raises(
            SourceNotFound, match=r'warehouse\.flightz: there is no table "flightz".*check the name'
        ),
        open_batch(hook, "flightz"),
    ):
        pass


@pytest.mark.parametrize(
    "name",
    [
        "flights; DROP TABLE flights",
        "flights f",
        "(SELECT 1)",
        "pg_sleep(1)",
        "flights -- ",
        'flights"',
        "a.b.c.d",
        "",
        "flights, flights",
        "flights WHERE true",
        "flights\x00",
        "/**/flights",
        "flights UNION SELECT 1",
        "$1",
        "only flights",
    ],
)
def test_a_table_name_is_nothing_but_a_name(flights, name):
    """SQL does not get in through the name of a table."""
    with pytest.raises(ConfigurationError, match="must be the name of a table"):
        parse_table(name, "postgres", "Table")
    assert fetch(flights, "SELECT count(*) FROM flights") == [(3,)]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM flights",
        "SELECT 1; DROP TABLE flights",
        "WITH gone AS (DELETE FROM flights RETURNING 1) SELECT * FROM gone",
        "SELECT * INTO copy FROM flights",
        "SELECT * FROM flights FOR UPDATE",
        "COPY flights TO '/tmp/x'",
        "VACUUM",
        "",
        "COMMIT",
        "SET x = 1",
        "SELECT 1) AS capped; DROP TABLE flights; --",
        "SELECT setval('s', 5)",
        "SELECT lo_import('/etc/passwd')",
        "SELECT lo_create(0)",
    ],
)
def test_nothing_can_be_written_by_reading(flights, sql):
    """Whatever is asked, the batch only reads, and can be asked again afterwards."""
    execute(flights, "CREATE SEQUENCE IF NOT EXISTS s")
    with open_batch(flights, "flights") as batch:
        with pytest.raises(PermanentError):
            batch.rows(sql, max_rows=5)
        assert batch.rows("SELECT count(*) AS n FROM flights", max_rows=5) == [{"n": 3}]
    assert fetch(flights, "SELECT count(*), (SELECT last_value FROM s) FROM flights") == [(3, 1)]


def test_at_most_the_capped_rows_leave_the_database(flights):
    """The server cuts the answer, whatever LIMIT the statement itself has."""
    with open_batch(flights, "flights") as batch:
        assert len(batch.rows("SELECT generate_series(1, 1000000) AS x LIMIT 999999", max_rows=7)) == 7


def test_all_statements_of_a_batch_see_the_same_rows(flights):
    """What others write meanwhile does not show until the batch is opened again."""
    with open_batch(flights, "flights") as batch:
        before = scan(batch, [])
        execute(flights, "DELETE FROM flights WHERE flight = 1")
        assert scan(batch, []) == before
    with open_batch(flights, "flights") as batch:
        assert scan(batch, []).profile.row_count == before.profile.row_count - 1


def test_no_transaction_stays_open(flights):
    """When the batch is closed its connection is, also after an error."""
    for fails in (False, True):
        with contextlib.suppress(RuntimeError), open_batch(flights, "flights") as batch:
            batch.columns()
            if fails:
                raise RuntimeError
    others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    assert fetch(flights, others) == [(0,)]


def test_a_statement_that_takes_too_long_is_ended_by_the_server(flights):
    """A runaway query is cut off, is worth a retry, and leaves the batch usable."""
    with open_batch(flights, "flights", timeout_s=1) as batch:
        with pytest.raises(SourceUnavailable, match="time-out"):
            batch.rows("SELECT pg_sleep(30)", max_rows=1)
        assert batch.rows("SELECT 1 AS one", max_rows=1) == [{"one": 1}]


@pytest.mark.parametrize(
    ("sql", "error", "said"),
    [
        ("SELECT * FROM nowhere", SourceNotFound, 'relation "nowhere" does not exist'),
        ("SELECT nothing FROM flights", ColumnNotFound, 'column "nothing" does not exist'),
        ("SELECT no_function(1)", DataError, "no_function"),
        ("SELECT 1 / (flight - flight) FROM flights", DataError, "22012"),
    ],
)
def test_what_the_database_refuses_is_said_in_our_terms(flights, sql, error, said):
    """Missing things are named; each error has the class that decides on a retry."""
    with open_batch(flights, "flights") as batch, pytest.raises(error, match=re.escape(said)):
        batch.rows(sql, max_rows=1)


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_no_row_value_gets_into_a_message(flights, driver):
    """Postgres quotes the value that it cannot read; the error raised here does not, nor does what it came from."""
    execute(flights, "INSERT INTO flights VALUES ('2013-02-10', 4, 'secret-4711')")
    with open_batch(Hook(flights.uri, driver), "flights") as batch, pytest.raises(DataError) as caught:
        batch.rows("SELECT CAST(tailnum AS integer) FROM flights WHERE flight = 4", max_rows=1)
    assert "4711" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_missing_permission_says_to_grant_it(flights, postgres):
    """A user without rights on the table is told which table and what to do."""
    execute(flights, "DROP ROLE IF EXISTS nobody_here", "CREATE ROLE nobody_here LOGIN PASSWORD 'guest'")
    guest = Hook(re.sub(r"//.*@", "//nobody_here:guest@", postgres))
    execute(flights, "GRANT USAGE ON SCHEMA public TO nobody_here")
    with (
        open_batch(guest, "flights") as batch,
        pytest.raises(ConfigurationError, match="permission denied for table flights; grant it"),
    ):
        batch.columns()
    with open_batch(flights, "flights") as batch:
        columns = batch.columns()
    assert len(columns) == 3


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
@pytest.mark.parametrize(
    ("uri", "error", "said"),
    [
        ("postgresql://me:hunter2@127.0.0.1:1/db", SourceUnavailable, "does not answer"),
        ("postgresql://me:hunter2@{server}/nodb", ConfigurationError, "check its host, database, user"),
        ("not a dsn hunter2", ConfigurationError, "check its host, database, user"),
    ],
)
def test_an_unreachable_database_is_told_from_a_wrong_connection(postgres, driver, uri, error, said):
    """Refused connections are worth a retry, wrong names are not, and no password is shown."""
    broken = Hook(uri.format(server=re.search(r"@(.*)/", postgres)[1]), driver)
    with pytest.raises(error, match=said) as caught, open_batch(broken, "flights"):
        pass
    assert "hunter2" not in str(caught.value)


def test_an_outage_during_the_scan_is_worth_a_retry(flights):
    """A session that the server ends is a transient error."""
    with open_batch(flights, "flights") as batch:
        pid = batch.rows("SELECT pg_backend_pid() AS pid", max_rows=1)[0]["pid"]
        execute(flights, f"SELECT pg_terminate_backend({pid})")
        with pytest.raises(SourceUnavailable):
            batch.rows("SELECT 1 AS one", max_rows=1)


def test_a_query_without_columns_or_with_one_twice_is_refused(flights):
    """Metrics need columns that can be told apart."""
    execute(flights, "CREATE TABLE bare ()")
    with open_batch(flights, "bare") as batch, pytest.raises(EmptyBatch, match="no columns"):
        batch.columns()
    query = parse_query("SELECT flight, flight FROM flights", "postgres", "query")
    with (
        open_query(flights, query, label="the query") as batch,
        pytest.raises(DataError, match="more than one column 'flight'"),
    ):
        batch.columns()


def test_kinds_follow_the_database_types(hook):
    """Domains, enums and arrays are understood; what cannot be measured is counted only."""
    execute(
        hook,
        "DROP TYPE IF EXISTS mood CASCADE",
        "DROP DOMAIN IF EXISTS share CASCADE",
        "CREATE TYPE mood AS ENUM ('calm', 'wild')",
        "CREATE DOMAIN share AS numeric(5, 2)",
        "CREATE TABLE odd (m mood, s share, a integer[], j jsonb, c char(4), u uuid, t time, i interval, x bytea)",
        "INSERT INTO odd VALUES ('calm', 0.5, '{1}', '{}', 'ab', gen_random_uuid(), '12:00', '1 day', 'x'), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    )
    with open_batch(hook, "odd") as batch:
        found = scan(batch, [Matches("m", "calm"), Matches("c", "ab"), Between("s", 0, 1)])
    kinds = {one.column.name: one.column.kind for one in found.profile.columns}
    assert kinds == {
        "m": "text",
        "s": "number",
        "a": "other",
        "j": "other",
        "c": "text",
        "u": "text",
    } | dict.fromkeys("tix", "other")
    assert [result.passed for result in found.results] == [True, True, True]


@pytest.mark.parametrize("kind", ["table", "view", "query"])
def test_a_large_batch_is_sampled_the_same_in_each_run(hook, monkeypatch, kind):
    """Above the cap a rerun gives the same sample, of a table by place, of a view or query by content."""
    monkeypatch.setattr(metrics, "EXACT_ROWS", 2_000)
    monkeypatch.setattr(metrics, "SAMPLE_ROWS", 2_000)
    execute(
        hook,
        "CREATE TABLE many AS SELECT i, i % 5 AS zone, 'k' || i % 1000 AS k FROM generate_series(1, 20000) AS g(i)",
        "CREATE VIEW seen AS SELECT * FROM many",
    )

    def opened():
        if kind == "query":
            return open_query(hook, parse_query("SELECT * FROM many WHERE i > 0", "postgres", "q"), label="q")
        return open_batch(hook, "many" if kind == "table" else "seen")

    with opened() as batch:
        one = scan(batch, [Unique("i")])
    with opened() as batch:
        other = scan(batch, [Unique("i")])
    assert one == other
    ids = one.profile.metric_ids()
    assert {name for name, got in ids.items() if got.precision == "sampled"} == {
        f"{column}.{metric}"
        for column in ("i", "zone")
        for metric in ("p05", "p50", "p95", "top", "distinct_count")
    } | {"k.top", "k.distinct_count"}
    assert ids["i.p50"].value == pytest.approx(10_000, rel=0.1)
    assert ids["i.distinct_count"].value == pytest.approx(20_000, rel=0.1)
    assert ids["zone.distinct_count"].value == 5
    assert ids["k.distinct_count"].value == pytest.approx(1000, rel=0.1)
    assert sum(count for _, count in ids["zone.top"].value) == pytest.approx(20_000, rel=0.01)


CHECKS = [NotNull("tailnum"), CustomSql("flight < 3", name="it's a low flight")]


def quarantined(hook, target, key):
    with open_batch(hook, "flights") as batch:
        results = scan(batch, CHECKS).results
        return batch.write_quarantine(target, key, failing_rows_sql(batch, CHECKS, results))


def test_quarantine_is_idempotent_per_batch(flights):
    """A rerun replaces its own rows and no others; each row says why it is there and when it came."""
    assert [quarantined(flights, "flights_q", key) for key in ("one", "two", "one")] == [2, 2, 2]
    rows = fetch(
        flights, "SELECT batch_key, flight, reasons, quarantined_at IS NOT NULL FROM flights_q ORDER BY 1, 2"
    )
    assert rows == [
        (key, flight, reasons, True)
        for key in ("one", "two")
        for flight, reasons in ((2, "NotNull('tailnum')"), (3, "it's a low flight"))
    ]


def test_a_rerun_of_a_mended_batch_empties_its_quarantine(flights):
    """Rows that no longer fail leave, other batches' stay."""
    quarantined(flights, "q", "one")
    quarantined(flights, "q", "two")
    execute(flights, "UPDATE flights SET tailnum = 'N', flight = 1")
    assert quarantined(flights, "q", "one") == 0
    assert fetch(flights, "SELECT batch_key, count(*) FROM q GROUP BY 1") == [("two", 2)]


def test_a_failed_quarantine_changes_nothing(flights):
    """Deleting and inserting are one transaction."""
    quarantined(flights, "q", "one")
    execute(flights, "ALTER TABLE q ADD CHECK (flight < 3) NOT VALID")
    with pytest.raises(DataError):
        quarantined(flights, "q", "one")
    assert fetch(flights, "SELECT count(*) FROM q") == [(2,)]


def test_a_quarantine_of_other_columns_is_refused(flights):
    """A table that was made for another batch is named, not bent."""
    execute(flights, "CREATE TABLE q (x integer, batch_key text)")
    with pytest.raises(ColumnNotFound, match='quarantine q: column "day"'):
        quarantined(flights, "q", "one")


@pytest.mark.parametrize("target", ["q; DROP TABLE flights", "q (x) AS SELECT 1 --", "", "q q"])
def test_the_target_of_a_quarantine_is_nothing_but_a_name(flights, target):
    """SQL does not get in through the target, nor through the batch's key."""
    with pytest.raises(ConfigurationError, match="must be the name of a table"):
        quarantined(flights, target, "one")
    assert quarantined(flights, "q", "'; DROP TABLE flights; --") == 2
    assert fetch(flights, "SELECT count(*) FROM flights") == [(3,)]


def test_batches_that_come_first_at_the_same_time_both_get_in(flights):
    """Two workers that both find no table yet do not trip over each other."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(lambda key: quarantined(flights, "q", key), "abcd"))
    assert written == [2, 2, 2, 2]
    assert fetch(flights, "SELECT count(DISTINCT batch_key), count(*) FROM q") == [(4, 8)]
