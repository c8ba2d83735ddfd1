"""A held connection: one per process, sound after every refusal, every error and every kill."""

import gc
import os
import sqlite3
import threading

import pytest

from airflow_agent_provider.exceptions import BudgetExceeded, ConfigurationError, SourceUnavailable
from airflow_agent_provider.ledger import database as module
from airflow_agent_provider.ledger.connections import LedgerBusy, hurried

TABLE = ["CREATE TABLE IF NOT EXISTS t (n INTEGER)"]


@pytest.fixture
def database(store):
    database = store.open(hold=True)
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
    with pytest.raises(Exception, match="nowhere"), database.write() as statements:
        statements.execute("SELECT nonsense FROM nowhere")
    insert(database)
    assert count(database) == 1


def test_a_fork_opens_its_own(database):
    """The child writes and collects its garbage, the parent's connection goes on."""
    insert(database)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            insert(database)
            gc.collect()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    insert(database)
    assert count(database) == 3


def test_a_fork_in_the_middle_of_a_transaction_waits_for_nobody(database):
    """The parent's other thread, which holds the connection, does not exist in the child."""
    inside, done = threading.Event(), threading.Event()

    def read_slowly():
        with database.read():
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=read_slowly)
    thread.start()
    inside.wait(10)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            insert(database)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    done.set()
    thread.join()
    assert count(database) == 1


def test_a_hurried_thread_does_not_wait_for_another(database):
    """An event loop has better things to do."""
    inside, done = threading.Event(), threading.Event()

    def write_slowly():
        with database.write():
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=write_slowly)
    thread.start()
    inside.wait(10)
    with pytest.raises(LedgerBusy), hurried():
        insert(database)
    done.set()
    thread.join()
    insert(database)
    assert count(database) == 1


def test_a_forgotten_connection_is_closed(store):
    """Models are made and dropped; their connections are not left open."""
    database = store.open(hold=True)
    database.prepare(TABLE)
    connection = database._connections._held.connection
    del database
    gc.collect()
    with pytest.raises(Exception, match="closed"):
        connection.cursor().execute("SELECT 1")


# PostgreSQL alone


@pytest.fixture
def held(postgres):
    database = postgres.open(hold=True)
    database.prepare(TABLE)
    yield database
    database.close()


def test_a_connection_killed_while_idle_is_replaced(held, postgres):
    """The server was restarted, or a proxy was impatient: the call does not fail for it."""
    insert(held)
    for _ in range(3):
        assert postgres.kill_connections()
        insert(held)
    assert count(held) == 4


def test_a_connection_closed_under_us_is_replaced(held):
    """Whoever did it."""
    insert(held)
    held._connections._held.connection.close()
    insert(held)
    assert count(held) == 2


def test_a_connection_killed_in_a_transaction_fails_it_whole(held, postgres):
    """Nobody repeats half a transaction: the caller is told, and the next one works."""

    def write_and_be_killed():
        with held.write() as statements:
            statements.execute("INSERT INTO t VALUES (1)")
            postgres.kill_connections()
            statements.execute("INSERT INTO t VALUES (2)")

    with pytest.raises(SourceUnavailable, match="did not answer"):
        write_and_be_killed()
    assert count(held) == 0


def test_a_refusal_on_a_dying_connection_stays_a_refusal(held, postgres):
    """That it could not be rolled back does not hide what was said."""

    def refuse():
        with held.write():
            postgres.kill_connections()
            raise BudgetExceeded("no")

    with pytest.raises(BudgetExceeded):
        refuse()
    insert(held)
    assert count(held) == 1


def test_a_server_that_is_gone_is_tried_once_more_and_no_longer(postgres):
    """Then the error says so."""
    opened = []

    def connect():
        opened.append(1)
        if len(opened) > 1:
            return postgres.__class__(
                postgres.uri.replace("@", "@nobody.invalid."), "x", postgres.driver
            ).connect()
        return postgres.connect()

    database = module.PostgresDatabase(connect, driver=postgres.open()._driver, label="l", hold=True)
    database.prepare(TABLE)
    postgres.kill_connections()
    with pytest.raises(SourceUnavailable):
        insert(database)
    assert len(opened) == 2


def test_a_worker_that_stands_still_is_ended(held, postgres, monkeypatch):
    """It holds a lock in the middle of a transaction; the others go on after a while."""
    begin = module._BEGIN.replace("5000ms", "100ms")
    assert begin != module._BEGIN
    insert(held)
    stuck = postgres.open()
    monkeypatch.setattr(module, "_BEGIN", begin)

    def stand_still():
        with stuck.write() as statements:
            statements.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
            insert(held)
            statements.execute("INSERT INTO t VALUES (3)")

    with pytest.raises(SourceUnavailable):
        stand_still()
    assert count(held) == 2


def test_transactions_see_what_was_committed_before_whatever_the_server_prefers(postgres):
    """A conditional UPDATE relies on it, also where the database's default is stricter."""
    postgres.execute(
        "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || quote_ident(current_database()) || "
        "' SET default_transaction_isolation = ''serializable'''; END $$"
    )
    try:
        with postgres.open().read() as statements:
            [row] = statements.execute("SELECT current_setting('transaction_isolation') AS level")
    finally:
        postgres.execute(
            "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || quote_ident(current_database()) || "
            "' RESET default_transaction_isolation'; END $$"
        )
    assert row["level"] == "read committed"


def test_a_user_without_rights_is_told_what_is_missing(postgres):
    """Permanent, on any statement: a person has to give the right."""
    database = postgres.open()
    database.prepare(TABLE)
    role = f"r_{postgres.schema}"
    postgres.execute(f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA {postgres.schema} TO {role}")

    def write_as_nobody():
        with database.write() as statements:
            statements.execute(f"SET LOCAL ROLE {role}")
            statements.execute("INSERT INTO t VALUES (1)")

    with pytest.raises(ConfigurationError, match="may not do this"):
        write_as_nobody()


def test_a_mistake_in_our_sql_is_not_disguised(held, postgres):
    """It is no missing server."""
    with pytest.raises(Exception, match="nowhere") as caught, held.write() as statements:
        statements.execute("SELECT * FROM nowhere")
    assert not isinstance(caught.value, SourceUnavailable)
    assert "sqlite" not in type(caught.value).__module__


def test_a_damaged_file_is_named(tmp_path):
    """SQLite alone: a person has to move it away."""
    path = tmp_path / "l.sqlite"
    database = module.SQLiteDatabase(path)
    database.prepare(TABLE)
    with sqlite3.connect(path) as connection:
        connection.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(5_000)])
    connection.close()
    damaged = bytearray(path.read_bytes())
    damaged[4096:] = b"\xff" * (len(damaged) - 4096)
    path.write_bytes(damaged)
    with pytest.raises(ConfigurationError, match=r"l\.sqlite: .*malformed"):
        count(database)
