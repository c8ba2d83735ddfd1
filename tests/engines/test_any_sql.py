"""Databases other than Postgres: the same statement, translated, proven on a real SQLite file."""

import json
import sqlite3

import pytest

from airflow_agent_provider import (
    AcceptedValues,
    Between,
    CustomSql,
    Files,
    Matches,
    NotNull,
    Query,
    RowCount,
    Table,
    Unique,
)
from airflow_agent_provider.exceptions import ConfigurationError, DataError, SourceNotFound
from airflow_agent_provider.quality.scan import scan

ROWS = [(n, None if n % 5 == 0 else n * 1.5, f"x{n % 3}") for n in range(100)]
CHECKS = [
    RowCount(1, 1000),
    NotNull("amount", tolerance=0.1),
    Unique("id"),
    Between("amount", 0, 10),
    AcceptedValues("kind", ["x0", "x1"]),
    CustomSql("amount > 3"),
]


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A SQLite file behind an Airflow connection."""
    path = tmp_path / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute('CREATE TABLE orders (id INTEGER, amount REAL, kind TEXT, "select" TEXT)')
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, 'quoted')", ROWS)
    connection.close()
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    return path


def found(source, checks=CHECKS):
    with source.open() as batch:
        return [
            (one.name, one.found, one.passed, one.credit)
            for one in scan(batch, checks, profile="none").results
        ]


def test_every_check_gives_what_the_file_engine_gives(shop, tmp_path):
    """The same rows as CSV, through DuckDB."""
    lines = [f"{n},{'' if amount is None else amount},{kind},quoted" for n, amount, kind in ROWS]
    (tmp_path / "orders.csv").write_text("\n".join(["id,amount,kind,select", *lines]) + "\n")
    assert found(Table("shop", "orders")) == found(Files(str(tmp_path / "orders.csv")))


def test_a_condition_a_query_and_awkward_names_are_translated(shop):
    """Quoted keywords are columns like others."""
    only = RowCount(10, 10)
    assert found(Table("shop", "orders", where="id < 10"), [only])[0][2]
    assert found(Query("shop", "SELECT * FROM orders WHERE id < 10"), [only, NotNull("select")])[1][2]


def test_kinds_come_from_the_values(shop):
    """Drivers agree on no type codes."""
    with Table("shop", "orders").open() as batch:
        assert [one.kind for one in batch.columns()] == ["number", "number", "text", "text"]


def test_what_the_database_lacks_is_said_with_a_way_out(shop):
    """SQLite has no standard deviation: no number is made up."""
    with (
        Table("shop", "orders").open() as batch,
        pytest.raises(DataError, match='set profile="light" or "none"'),
    ):
        scan(batch, [], profile="full")


def test_rows_are_not_written_there(shop):
    """Quarantine is for Postgres and files."""
    with Table("shop", "orders").open() as batch, pytest.raises(ConfigurationError, match="not in sqlite"):
        batch.write_quarantine("bad", "key", "select 1")


@pytest.mark.parametrize("source", [Table("shop", "nowhere"), Query("shop", "SELECT * FROM nowhere")])
def test_a_table_that_is_not_there_is_named(shop, source):
    """With what to check."""
    with source.open() as batch, pytest.raises(SourceNotFound, match=r"nowhere.*check the name"):
        batch.columns()


def test_a_connection_that_is_no_database_is_refused(monkeypatch):
    """With the types that there are."""
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps({"conn_type": "http", "host": "x"}))
    with pytest.raises(ConfigurationError, match=r"is of type 'http'.*snowflake"):
        Table("shop", "orders").open()


def test_patterns_need_an_engine_that_has_them(shop):
    """SQLite has no regular expressions of its own: an error, not a pass."""
    with Table("shop", "orders").open() as batch, pytest.raises(DataError, match="refused the statement"):
        scan(batch, [Matches("kind", "x.")], profile="none")
