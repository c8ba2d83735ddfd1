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
dags = [one for one in vars(module).values() if isinstance(one, airflow.sdk.DAG)]
print(json.dumps({"dags": [one.dag_id for one in dags], "loaded": sorted({name.partition(".")[0] for name in set(sys.modules) - known})}))
"""


@pytest.fixture(scope="module", params=DAGS, ids=lambda path: path.stem)
def imported(request):
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, request.param], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return request.param, json.loads(done.stdout.splitlines()[-1])


def test_file_makes_the_dag_of_its_name_without_a_warning(imported):
    """A DAG is found under its file's name, and importing the file warns of nothing."""
    path, found = imported
    assert found["dags"] == [path.stem]


def test_file_loads_no_heavy_library(imported):
    """The DAG processor parses the file again and again: engines, clients and drivers wait for the task."""
    _, found = imported
    heavy = {"pandas", "numpy", "pyarrow", "duckdb", "sqlglot", "httpx", "boto3", "psycopg", "psycopg2", "sqlalchemy"}
    assert not heavy & set(found["loaded"])


def test_example_stays_readable():
    """An example fits in the head."""
    assert DAGS
    assert {path.name: lines for path in DAGS if (lines := len(path.read_text().splitlines())) > 130} == {}
