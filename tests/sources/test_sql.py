import os
from urllib.parse import quote

import pytest
from one_postgres import Hook, execute, insert, server

from airflow_agent_provider.exceptions import ConfigurationError, SourceNotFound
from airflow_agent_provider.quality.checks import NotNull
from airflow_agent_provider.quality.scan import scan
from airflow_agent_provider.sources.sql import Query, Table


@pytest.fixture(scope="module")
def warehouse():
    """A real database behind a real Airflow connection."""
    with server() as uri:
        hook = Hook(uri)
        execute(hook, "CREATE TABLE flights (day date, tailnum text)")
        insert(hook, "flights", [("2013-02-08", "N1"), ("2013-02-08", None), ("2013-02-09", "N3")])
        os.environ["AIRFLOW_CONN_WAREHOUSE"] = uri.replace("postgresql://", "postgres://", 1)
        yield hook
        del os.environ["AIRFLOW_CONN_WAREHOUSE"]


def failing(source):
    with source.open() as batch:
        [result] = scan(batch, [NotNull("tailnum")]).results
        return result.failing_rows, batch.label


@pytest.mark.postgres
def test_a_table_is_measured_through_its_connection(warehouse):
    """The connection is found by its id, and its hook opens the database."""
    assert failing(Table("warehouse", "flights")) == (1, "warehouse.flights")
    assert failing(Table("warehouse", "public.flights", where="day = '2013-02-09'")) == (
        0,
        "warehouse.public.flights where day = '2013-02-09'",
    )


@pytest.mark.postgres
def test_a_query_is_measured_like_a_table(warehouse):
    """WITH, joins and unions are one SELECT too; what follows it is not lost."""
    sql = "WITH f AS (SELECT * FROM flights) SELECT day, tailnum FROM f UNION ALL SELECT day, NULL FROM f ORDER BY 1 LIMIT 4"
    assert failing(Query("warehouse", sql))[0] == 3


@pytest.mark.postgres
def test_a_missing_table_says_where_it_was_looked_for(warehouse):
    """The message names connection and table."""
    with pytest.raises(SourceNotFound, match=r'warehouse\.nowhere: there is no table "nowhere"'):
        failing(Table("warehouse", "nowhere"))


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("source", "said"),
    [
        (Table("warehouse", "flights; DROP TABLE flights"), "must be the name of a table"),
        (Table("warehouse", "flights", where="true; DROP TABLE flights"), "not one SQL condition"),
        (Table("warehouse", "flights", where="true) UNION SELECT (true"), "not one SQL condition"),
        (Table("warehouse", "flights", where="day = '"), "not one SQL condition"),
        (Query("warehouse", "DROP TABLE flights"), "must be a single SELECT"),
        (Query("warehouse", "SELECT 1; SELECT 2"), "must be a single SELECT"),
        (Query("warehouse", "WITH x AS (DELETE FROM flights RETURNING 1) SELECT * FROM x"), "must only read"),
        (Query("warehouse", "SELECT FROM WHERE"), "not SQL"),
    ],
)
def test_sql_that_is_more_than_asked_for_is_refused(warehouse, source, said):
    """Names are names, filters are conditions, queries are one SELECT; nothing is run otherwise."""
    with pytest.raises(ConfigurationError, match=said):
        failing(source)
    assert failing(Table("warehouse", "flights")) == (1, "warehouse.flights")


def test_an_unknown_connection_says_how_to_create_it():
    """The message names the id and three ways to define it."""
    with pytest.raises(
        ConfigurationError,
        match=r"connection 'nowhere' does not exist; .*airflow connections add nowhere.*AIRFLOW_CONN_NOWHERE",
    ):
        Table("nowhere", "flights").open()


def test_a_connection_that_cannot_be_measured_says_what_can(monkeypatch):
    """Other types of connection are told apart from a missing one."""
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", "http://x")
    with pytest.raises(ConfigurationError, match=r"is of type 'http'.*measured in: .*postgres"):
        Table("other", "flights").open()


def test_a_password_is_in_no_name(monkeypatch):
    """Neither label nor data set is made of the connection's secrets."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", f"postgres://me:{quote('hunter2')}@127.0.0.1:1/db")
    source = Table("warehouse", "flights", where="day = '2013-02-08'")
    assert "hunter2" not in f"{source.label} {source.dataset} {source.serialize()}"


def test_the_batch_part_is_not_in_the_name_of_the_data_set():
    """Each day's filter and each day's literal belong to one history."""
    assert Table("warehouse", "flights", where="day = '2013-02-08'").dataset == "warehouse.flights"
    days = [
        Query(
            "warehouse",
            f"select * from flights f join airports a using (x) where day = '{day}' and n > {day[-1]}",
        )
        for day in ("2013-02-08", "2013-02-09")
    ]
    assert days[0].dataset == days[1].dataset
    assert days[0].dataset.startswith("warehouse.airports+flights-")


def test_different_queries_are_different_data_sets():
    """What a query does names it; spaces and comments do not; a name overrides all."""
    one = Query("warehouse", "select a from flights").dataset
    assert one != Query("warehouse", "select b from flights").dataset
    assert one == Query("warehouse", "SELECT  a -- all of them\nFROM flights").dataset
    assert Query("warehouse", "select a from flights", name="flights").dataset == "flights"
    assert Query("warehouse", "not sql (").dataset.startswith("warehouse.query-")
