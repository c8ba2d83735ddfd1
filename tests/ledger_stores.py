"""The databases that a ledger may live in, for tests that run over all of them."""

from __future__ import annotations

import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

from airflow_agent_provider.ledger.database import PostgresDatabase, SQLiteDatabase

KINDS = [
    "sqlite",
    pytest.param("psycopg2", marks=pytest.mark.postgres),
    pytest.param("psycopg", marks=pytest.mark.postgres),
]


@dataclass(frozen=True)
class SQLiteStore:
    """A file; picklable, so that other processes can open it too."""

    path: Path

    def open(self, *, hold=False):
        return SQLiteDatabase(self.path, hold=hold)


@dataclass(frozen=True)
class PostgresStore:
    """A schema of its own on a shared server, through one of the two drivers."""

    uri: str
    schema: str
    driver: str

    def connect(self):
        options = f"-c search_path={self.schema} -c application_name={self.schema}"
        return import_module(self.driver).connect(self.uri, options=options)

    def open(self, *, hold=False):
        return PostgresDatabase(
            self.connect, driver=import_module(self.driver), label=f"connection {self.schema!r}", hold=hold
        )

    def execute(self, sql):
        """Run one statement as somebody else."""
        with closing(self.connect()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(sql)
            rows = cursor.fetchall() if cursor.description else []
            connection.commit()
            return rows

    def kill_connections(self):
        """End all connections to this schema, as a restarted server or an impatient proxy does."""
        return self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE application_name = '{self.schema}' AND pid <> pg_backend_pid()"
        )


@contextmanager
def postgres_store(uri, driver):
    """Make the schema, and drop it afterwards."""
    store = PostgresStore(uri, f"t_{uuid.uuid4().hex[:12]}", driver)
    store.execute(f"CREATE SCHEMA {store.schema}")
    try:
        yield store
    finally:
        store.kill_connections()
        store.execute(f"DROP SCHEMA {store.schema} CASCADE")
