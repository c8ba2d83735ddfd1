"""An Airflow for tests, in a folder of its own, untouched by the environment's."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

HOME = tempfile.mkdtemp(prefix="airflow-tests-")
for name in [name for name in os.environ if name.startswith(("AIRFLOW__", "AIRFLOW_CONN_", "AIRFLOW_VAR_"))]:
    del os.environ[name]
os.environ |= {
    "AIRFLOW_HOME": HOME,
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
    "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parents[1] / "dags"),
}


def pytest_sessionfinish():
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture
def supervisor():
    """A supervisor that outlives one try of a task."""
    from one_task import Supervisor

    return Supervisor()


@pytest.fixture
def run_task():
    """Run a task, and leave no supervisor behind."""
    import one_task
    from airflow.sdk.execution_time import task_runner

    yield one_task.run
    if hasattr(task_runner, "SUPERVISOR_COMMS"):
        del task_runner.SUPERVISOR_COMMS
