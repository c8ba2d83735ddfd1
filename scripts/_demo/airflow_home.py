"""An Airflow of the demo's own: every setting by environment variable, nothing from another one."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from postgres import Server, free_port


def environment(home: Path, *, dags: Path, landing: Path, warehouse: Server) -> dict[str, str]:
    """
    Give the environment for the demo's Airflow processes.

    :param home: its AIRFLOW_HOME: metadata in SQLite, logs, the gate's history.
    :param landing: directory with a CSV file of flights for each day.
    :param warehouse: the server behind the connection ``warehouse``.
    """
    home.mkdir(parents=True)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW_CONN_WAREHOUSE": warehouse.airflow_connection(),
        "AIRFLOW_VAR_FLIGHTS_LANDING": str(landing),
        "AIRFLOW_VAR_FLIGHTS_REPORTS": str(home.with_name("reports")),
    }


def with_browser(settings: dict[str, str], *, port: int) -> dict[str, str]:
    """Add what the long-running components need: free ports, one address, shared secrets."""
    return {
        **settings,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://localhost:{port}",
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(64),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
    }
