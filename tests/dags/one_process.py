"""Run DAGs by ``dag.test()`` and print, as JSON on the last line, how their tasks ended; for conftest.py."""

import json
import os
import sys
from datetime import datetime

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError
from airflow.utils.db import initdb


def run(dag_id, *, day=None, conf=None):
    moment = datetime.fromisoformat(f"{day}T00:00:00+00:00") if day else None
    try:
        done = bag.dags[dag_id].test(logical_date=moment, run_after=moment, run_conf=conf)
    except ParamValidationError as refused:
        return {"state": "refused", "error": str(refused)}
    tasks = done.get_task_instances()
    return {
        "state": str(done.state),
        "tasks": {task.task_id: str(task.state) for task in tasks},
        "values": {task.task_id: task.xcom_pull(task_ids=task.task_id) for task in tasks},
    }


initdb()
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
assert not bag.import_errors, bag.import_errors
ended = [run(**one) for one in json.loads(sys.argv[1])]
found = {"dags": sorted(bag.dags), "warnings": len(bag.captured_warnings), "runs": ended}
sys.stdout.write(f"\n{json.dumps(found)}\n")
