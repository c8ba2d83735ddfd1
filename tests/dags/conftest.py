"""The example DAGs run in real Airflow: a process and a home of their own, the demo's PostgreSQL."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import airflow_home
import landing
import postgres
import pytest

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "scripts/_demo"


@dataclass
class Airflow:
    """An Airflow home with the example DAGs and the flights."""

    settings: dict
    landing: Path

    def run(self, *jobs):
        """
        Run DAGs one after the other, in one process.

        :param jobs: ``{"dag_id": ..., "day": ..., "conf": ...}``, the last two optional.
        :return: found DAGs, number of warnings, and for each run its state and its tasks' states and values.
        """
        done = subprocess.run(
            [sys.executable, Path(__file__).with_name("one_process.py"), json.dumps(jobs)],
            env=self.settings,
            capture_output=True,
            text=True,
            check=False,
        )
        print(done.stdout)  # noqa: T201  # pytest shows the tasks' log when a test fails
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def airflow(tmp_path_factory):
    """A migrated Airflow home, a warehouse in PostgreSQL, and the landing directory."""
    directory = tmp_path_factory.mktemp("flights")
    landing.fill(directory / "landing")
    with postgres.running(directory / "postgres", "warehouse", schema=DEMO / "warehouse.sql") as warehouse:
        settings = airflow_home.environment(
            directory / "airflow", dags=ROOT / "dags", landing=directory / "landing", warehouse=warehouse
        )
        settings["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{settings['PATH']}"
        yield Airflow(settings, directory / "landing")
