"""A held connection: one per process, sound after every refusal and every error."""

import os
import sqlite3

import pytest

from airflow_agent_provider.exceptions import BudgetExceeded
from airflow_agent_provider.ledger.database import SQLiteDatabase

TABLE = ["CREATE TABLE IF NOT EXISTS t (n INTEGER)"]


@pytest.fixture
def database(tmp_path):
    database = SQLiteDatabase(tmp_path / "l.sqlite", hold=True)
    database.prepare(TABLE)
    yield database
    database.close()


def count(database):
    with database.read() as statements:
        return statements.execute("SELECT COUNT(*) AS n FROM t")[0]["n"]


def insert(database, error=None):
    with database.write() as statements:
        statements.execute("INSERT INTO t VALUES (1)")
        if error:
            raise error


@pytest.mark.parametrize("error", [BudgetExceeded("no"), KeyError("x"), KeyboardInterrupt()])
def test_what_raises_is_rolled_back_and_the_next_transaction_works(database, error):
    """Whether our rules refused it or something broke."""
    with pytest.raises(type(error)):
        insert(database, error)
    assert count(database) == 0
    insert(database)
    assert count(database) == 1


def test_a_broken_statement_does_not_spoil_the_next(database):
    """The connection is opened anew."""
    with pytest.raises(sqlite3.Error), database.write() as statements:
        statements.execute("SELECT nonsense FROM nowhere")
    insert(database)
    assert count(database) == 1


def test_a_fork_opens_its_own(database):
    """The child writes, the parent's connection goes on."""
    insert(database)
    child = os.fork()
    if child == 0:
        try:
            insert(database)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    insert(database)
    assert count(database) == 3
