"""
Where the ledger is: a SQL connection by name, or a SQLite file.

``[agent_provider] ledger_conn_id`` names the connection for all tasks, and
``[agent_provider] ledger_path`` the file that is used when there is none.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, cast

from airflow_agent_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow_agent_provider.ledger.database import Database, Driver

SECTION = "agent_provider"


def ledger_database(conn_id: str | None = None, *, hold: bool = False) -> Database:
    """
    Give the ledger's database; nothing is opened yet.

    :param conn_id: a PostgreSQL connection; None: as configured.
    :param hold: keep its connection between transactions, for what is asked before every model call.
    :raises ConfigurationError: when the connection is missing or is no PostgreSQL.
    """
    from airflow.sdk.configuration import conf

    from airflow_agent_provider.ledger.database import SQLiteDatabase

    name = conn_id or conf.get(SECTION, "ledger_conn_id", fallback="")
    if name:
        return _postgres(name, hold=hold)
    home = os.environ.get("AIRFLOW_HOME", "~/airflow")
    path = conf.get(SECTION, "ledger_path", fallback="") or f"{home}/agent_provider/ledger.sqlite"
    return SQLiteDatabase(path, hold=hold)


def _postgres(conn_id: str, *, hold: bool) -> Database:
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    from airflow_agent_provider.ledger.database import PostgresDatabase

    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise ConfigurationError(
            f"ledger connection {conn_id!r} does not exist: create it in the UI under Admin, Connections "
            f"with type Postgres, or set the environment variable AIRFLOW_CONN_{conn_id.upper()}"
        ) from None
    if connection.conn_type not in {"postgres", "postgresql"}:
        raise ConfigurationError(
            f"ledger connection {conn_id!r} is of type {connection.conn_type!r}: the ledger needs "
            "PostgreSQL, or a SQLite file when no connection is named"
        )
    from airflow.providers.postgres.hooks import postgres

    driver = import_module("psycopg" if postgres.USE_PSYCOPG3 else "psycopg2")
    hook = postgres.PostgresHook(postgres_conn_id=conn_id)
    return PostgresDatabase(
        hook.get_conn, driver=cast("Driver", driver), label=f"connection {conn_id!r}", hold=hold
    )
