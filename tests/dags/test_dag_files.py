import json
import subprocess
import sys
from pathlib import Path

import pytest

DAGS = sorted((Path(__file__).parents[2] / "dags").glob("*.py"))

IMPORT = """
import importlib.util, json, sys, warnings
import airflow.sdk
airflow.sdk.DAG, airflow.sdk.BaseOperator, airflow.sdk.BaseHook, airflow.sdk.task, airflow.sdk.Param, airflow.sdk.Variable
known = set(sys.modules)
warnings.simplefilter("error")
spec = importlib.util.spec_from_file_location("dag_file", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - known})))
"""


@pytest.mark.airflow
@pytest.mark.postgres
def test_airflow_finds_each_dag_under_its_files_name_without_a_warning(airflow):
    """Airflow parses every file, and each makes the one DAG that its name says."""
    found = airflow.run()
    assert found["dags"] == [path.stem for path in DAGS]
    assert found["warnings"] == 0


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.stem)
def test_file_loads_no_heavy_library(path):
    """The DAG processor parses the file again and again: engines, clients and drivers wait for the task."""
    done = subprocess.run([sys.executable, "-c", IMPORT, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    heavy = {
        "pandas",
        "numpy",
        "pyarrow",
        "duckdb",
        "sqlglot",
        "httpx",
        "boto3",
        "psycopg",
        "psycopg2",
        "sqlalchemy",
    }
    assert not heavy & set(json.loads(done.stdout.splitlines()[-1]))


def test_example_stays_readable():
    """An example fits in the head."""
    assert DAGS
    assert {path.name: lines for path in DAGS if (lines := len(path.read_text().splitlines())) > 130} == {}
