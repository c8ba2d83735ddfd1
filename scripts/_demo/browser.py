"""``airflow standalone`` for a browser, until somebody stops it."""

from __future__ import annotations

import json
import secrets
import time
import urllib.error
import urllib.request
from pathlib import Path

from airflow_home import with_browser
from postgres import free_port
from processes import Group

HEALTHY_S = 300


def serve(settings: dict[str, str], state: Path, python: str) -> None:
    """
    Serve the demo's Airflow; returns when Airflow ends, else runs until interrupted.

    :param settings: the environment of the demo's Airflow.
    """
    port = free_port()
    password = secrets.token_urlsafe(9)
    # standalone makes up a password and prints it among its logs, unless this file is there.
    passwords = Path(settings["AIRFLOW_HOME"], "simple_auth_manager_passwords.json.generated")
    passwords.write_text(json.dumps({"admin": password}), encoding="utf-8")
    passwords.chmod(0o600)
    log = state / "standalone.log"
    print("Starting Airflow's web interface; this takes up to a minute ...", flush=True)
    with Group(
        [python, "-m", "airflow", "standalone"], log=log, env=with_browser(settings, port=port)
    ) as airflow:
        started = time.monotonic()
        while not _healthy(port):
            if airflow.process.poll() is not None or time.monotonic() - started > HEALTHY_S:
                raise SystemExit(f"Airflow did not start; its log is in {log}.")
            time.sleep(1)
        print(
            f"\n  Airflow      http://localhost:{port}"
            "\n  user         admin"
            f"\n  password     {password}"
            "\n  to look at   DAG flight_quality: its runs; DAG quality_on_demand: press Trigger"
            f"\n  log          {log}"
            "\n\nPress Ctrl-C to stop.",
            flush=True,
        )
        try:
            airflow.process.wait()
        except (KeyboardInterrupt, SystemExit):
            print("\nStopping Airflow; this takes some seconds ...", flush=True)
            raise
        raise SystemExit(f"Airflow ended by itself; its log is in {log}.")


def _healthy(port: int) -> bool:
    """Ask whether the interface, the scheduler and the DAG processor are up."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=5) as reply:
            state = json.load(reply)
    except (OSError, urllib.error.URLError, ValueError):
        return False
    parts = ("metadatabase", "scheduler", "dag_processor")
    return all((state.get(part) or {}).get("status") == "healthy" for part in parts)
