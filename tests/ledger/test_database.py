"""The ledger's database: whole transactions, no lost writes, errors that say what to do."""

import os
import sqlite3
import subprocess
import sys
import threading

import pytest

from airflow_agent_provider.exceptions import ConfigurationError, SourceUnavailable
from airflow_agent_provider.ledger import connections
from airflow_agent_provider.ledger.database import PostgresDatabase, SQLiteDatabase, pyformat

COUNTER = ("CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",)
ADD = """
    INSERT INTO counter (name, value) VALUES (:name, 1)
    ON CONFLICT (name) DO UPDATE SET value = counter.value + 1
    RETURNING value
"""
WORKER = """
import sys
from airflow_agent_provider.ledger.database import SQLiteDatabase
schema, add, path, rounds = sys.argv[1:]
database = SQLiteDatabase(path)
database.prepare([schema])
for _ in range(int(rounds)):
    with database.write() as sql:
        [row] = sql.execute("SELECT coalesce(max(value), 0) AS value FROM counter")
        sql.execute(add, {"name": "a"})
"""
READER = """
import os, sys
from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.ledger.database import SQLiteDatabase
if os.getuid() == 0:
    os.setuid(65534)
try:
    SQLiteDatabase(sys.argv[1]).prepare([sys.argv[2]])
except ConfigurationError as error:
    print(error)
"""


def python(code, *arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fail_after(database, add):
    with database.write() as sql:
        sql.execute(add, {"name": "a"})
        raise ZeroDivisionError


@pytest.fixture
def database(tmp_path):
    database = SQLiteDatabase(tmp_path / "made" / "for it" / "ledger.sqlite")
    database.prepare(COUNTER)
    return database


def test_a_raised_error_rolls_the_whole_transaction_back(database):
    """Half a transaction is never seen."""
    with pytest.raises(ZeroDivisionError):
        fail_after(database, ADD)
    with database.read() as sql:
        assert sql.execute("SELECT * FROM counter") == []


def test_a_statement_gives_rows_by_name(database):
    """Also one that writes, when it returns something; one that does not gives none."""
    with database.write() as sql:
        assert sql.execute(ADD, {"name": "a"}) == [{"value": 1}]
        assert sql.execute(ADD, {"name": "a"}) == [{"value": 2}]
        assert sql.execute("DELETE FROM counter") == []


def test_preparing_twice_changes_nothing(database):
    """Tables that are there keep their rows."""
    with database.write() as sql:
        sql.execute(ADD, {"name": "a"})
    database.prepare(COUNTER)
    with database.read() as sql:
        assert sql.execute("SELECT value FROM counter") == [{"value": 1}]


def test_processes_that_make_the_file_together_lose_no_write(tmp_path):
    """Also when each reads before it writes: the write lock is taken at the start."""
    path, rounds = tmp_path / "new" / "ledger.sqlite", 15
    workers = [python(WORKER, COUNTER[0], ADD, path, rounds) for _ in range(6)]
    failures = [worker.communicate()[1] for worker in workers]
    assert failures == [""] * 6
    with SQLiteDatabase(path).read() as sql:
        assert sql.execute("SELECT value FROM counter") == [{"value": 6 * rounds}]


def test_readers_do_not_wait_for_the_writer(database):
    """They see what was there before it."""
    with database.write() as writer:
        writer.execute(ADD, {"name": "a"})
        with database.read() as reader:
            assert reader.execute("SELECT * FROM counter") == []


def test_a_writer_that_waits_too_long_may_be_retried(database, monkeypatch):
    """A lock is a passing state."""
    monkeypatch.setattr(connections, "BUSY_S", 0.05)
    with (
        database.write(),
        pytest.raises(SourceUnavailable, match=r"ledger\.sqlite: database is locked"),
        database.write(),
    ):
        pass


def test_threads_share_nothing(database):
    """Each transaction has a connection of its own."""

    def add():
        for _ in range(10):
            with database.write() as sql:
                sql.execute(ADD, {"name": "a"})

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as sql:
        assert sql.execute("SELECT value FROM counter") == [{"value": 40}]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    """Whether it is the folder, the file or the disk's permission; a retry cannot help."""
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ConfigurationError, match=r"file/ledger\.sqlite: its folder cannot be made"):
        SQLiteDatabase(tmp_path / "file" / "ledger.sqlite").prepare(COUNTER)
    with pytest.raises(ConfigurationError, match=str(tmp_path)):
        SQLiteDatabase(tmp_path).prepare(COUNTER)


def test_a_file_without_permission_is_named(tmp_path):
    """As an ordinary user meets it: the folder may be read, but not written."""
    path = tmp_path / "ledger.sqlite"
    SQLiteDatabase(path).prepare(())
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    output, failure = python(READER, path, COUNTER[0]).communicate()
    tmp_path.chmod(0o755)
    assert not failure
    assert str(path) in output
    assert "name a file that can be written" in output


def test_a_file_that_is_no_database_is_named(tmp_path):
    """It is left as it is."""
    path = tmp_path / "notes.txt"
    path.write_text("these are notes, not a database " * 40)
    with pytest.raises(ConfigurationError, match=r"notes\.txt: file is not a database"):
        SQLiteDatabase(path).prepare(COUNTER)
    assert path.read_text().startswith("these are notes")


def test_a_wrong_statement_is_not_disguised(database):
    """A mistake in our SQL is no missing permission."""
    with pytest.raises(sqlite3.OperationalError, match="no such table"), database.read() as sql:
        sql.execute("SELECT * FROM nowhere")


def test_parameters_are_rewritten_and_casts_left_alone():
    """The one difference between the two databases' statements."""
    assert (
        pyformat("SELECT :day::date, x FROM t WHERE y = :y")
        == "SELECT %(day)s::date, x FROM t WHERE y = %(y)s"
    )


@pytest.mark.postgres
@pytest.mark.parametrize("name", ["psycopg", "psycopg2"])
def test_postgres_keeps_whole_transactions(postgres_uri, name):
    """With either driver, and with tables made by several at once."""
    driver = pytest.importorskip(name)
    database = PostgresDatabase(lambda: driver.connect(postgres_uri), driver=driver, label="test")
    table = f"counter_{name}"
    schema = [COUNTER[0].replace("counter", table)]
    makers = [threading.Thread(target=database.prepare, args=(schema,)) for _ in range(8)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    add = ADD.replace("counter", table)
    with pytest.raises(ZeroDivisionError):
        fail_after(database, add)
    with database.write() as sql:
        assert sql.execute(add, {"name": "a"}) == [{"value": 1}]
    with database.read() as sql:
        assert sql.execute(f"SELECT name, value FROM {table}") == [{"name": "a", "value": 1}]


def test_a_postgres_that_does_not_answer_may_be_retried():
    """The message tells neither user nor host: the driver's text stays in the cause."""
    driver = pytest.importorskip("psycopg2")
    database = PostgresDatabase(
        lambda: driver.connect("postgresql://secretuser@127.0.0.1:1/x"),
        driver=driver,
        label="connection 'ledger'",
    )
    with pytest.raises(SourceUnavailable, match="connection 'ledger'") as caught, database.read():
        pass
    assert "secretuser" not in str(caught.value)


@pytest.mark.postgres
def test_a_postgres_user_who_may_make_no_table_is_told(postgres_uri):
    """Permanent: the user of the connection has to be given the right."""
    driver = pytest.importorskip("psycopg2")
    owner = PostgresDatabase(lambda: driver.connect(postgres_uri), driver=driver, label="owner")
    with owner.write() as sql:
        sql.execute("CREATE ROLE reader")

    def connect():
        connection = driver.connect(postgres_uri)
        connection.cursor().execute("SET SESSION AUTHORIZATION reader")
        connection.commit()
        return connection

    with pytest.raises(ConfigurationError, match="needs CREATE on the schema"):
        PostgresDatabase(connect, driver=driver, label="reader").prepare(COUNTER)
