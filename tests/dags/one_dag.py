"""Run one DAG by ``dag.test()`` and print, as JSON on the last line, how its tasks ended; for conftest.py."""

import json
import os
import sys
from datetime import datetime

from airflow.dag_processing.dagbag import DagBag
from airflow.utils.db import initdb

job = json.loads(sys.argv[1])
initdb()
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
assert not bag.import_errors, bag.import_errors
runs = []
for day in job["days"]:
    moment = datetime.fromisoformat(f"{day}T00:00:00+00:00") if day else None
    run = bag.dags[job["dag_id"]].test(logical_date=moment, run_after=moment, run_conf=job["conf"])
    tasks = run.get_task_instances()
    runs.append({
        "state": str(run.state),
        "tasks": {task.task_id: str(task.state) for task in tasks},
        "values": {task.task_id: task.xcom_pull(task_ids=task.task_id) for task in tasks},
    })
print()
print(json.dumps(runs))
