"""A real PostgreSQL for tests, and small ways to fill it and to open batches in it."""

import contextlib
import importlib
import tempfile
from pathlib import Path

import postgres


@contextlib.contextmanager
def server():
    """Give the URI of a server that is stopped and deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        Path(folder).chmod(0o755)  # root starts it as nobody
        with postgres.running(Path(folder, "data"), "tests") as started:
            yield started.uri()


class Hook:
    """What an Airflow hook is to an engine: something that opens connections."""

    def __init__(self, uri, driver="psycopg2"):
        self.uri = uri
        self.driver = driver

    def get_conn(self):
        return importlib.import_module(self.driver).connect(self.uri)


def execute(hook, *statements):
    with contextlib.closing(hook.get_conn()) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        connection.commit()


def fetch(hook, sql):
    with contextlib.closing(hook.get_conn()) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def insert(hook, table, rows):
    with contextlib.closing(hook.get_conn()) as connection, connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(rows[0]))})", rows)
        connection.commit()


def open_batch(hook, table, where=None, columns=None, timeout_s=60):
    """Open a table as the ``Table`` source does."""
    from airflow_agent_provider.engines.dbapi import open_table
    from airflow_agent_provider.quality.expressions import parse_condition, parse_table

    condition = parse_condition(where, "postgres", "where") if where else None
    name = parse_table(table, "postgres", "table")
    return open_table(
        hook, name, label=f"warehouse.{table}", where=condition, columns=columns, timeout_s=timeout_s
    )
