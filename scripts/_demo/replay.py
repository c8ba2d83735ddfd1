"""
Run the DAG ``flight_quality`` for the first N days, in one process, one day after the other.

``replay.py N STATE`` is started by the demo with its Airflow's environment.
``dag.test()`` executes each run's tasks with Airflow's own task runner and records the
run in the metadata database, where the web interface shows it. Progress goes to
standard output; all that Airflow logs goes to standard error, a file.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import landing

if TYPE_CHECKING:
    from airflow.sdk import DAG


def progress_apart_from_logs() -> TextIO:
    """Give the real standard output, and let everything printed from now on go to standard error."""
    progress = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    return progress


def load_dag(dag_id: str) -> DAG:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    if bag.import_errors:
        raise SystemExit("\n".join(f"{path}: {error}" for path, error in bag.import_errors.items()))
    return bag.dags[dag_id]


def run_day(dag: DAG, day: date) -> dict[str, Any]:
    """
    Run one day.

    :return: what the quality gate returned.
    :raises SystemExit: when a task failed.
    """
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    started = datetime.now(UTC)
    run = dag.test(logical_date=moment, run_after=moment)
    tasks = {task.task_id: task for task in run.get_task_instances()}
    if run.state != "success":
        failed = [name for name, task in tasks.items() if task.state == "failed"]
        raise SystemExit(f"{day}: {', '.join(failed) or dag.dag_id} failed.")
    _set_start(run.run_id, started)
    return dict(tasks["quality_gate"].xcom_pull(task_ids="quality_gate"))


def _set_start(run_id: str, started: datetime) -> None:
    """Correct the run's start, which ``dag.test()`` puts at the logical date: a run of thirteen years."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import update

    with create_session() as session:
        session.execute(update(DagRun).where(DagRun.run_id == run_id).values(start_date=started))


def line(found: dict[str, Any]) -> str:
    score = found["quality_score"]
    return f"{found['row_count']:5,d} flights   score {score:.4f}   {found['verdict']}"


def summarize(reports: Path, page: Path) -> str:
    """Write the page of all days and give their table."""
    from airflow_agent_provider.quality.report import QualityReport
    from airflow_agent_provider.quality.series import render_series
    from airflow_agent_provider.quality.table import table

    days = [QualityReport.from_json(path.read_bytes()) for path in sorted(reports.glob("*.json"))]
    page.write_text(render_series(days), encoding="utf-8")
    return table(days)


def main() -> None:
    days, state = int(sys.argv[1]), Path(sys.argv[2])
    progress = progress_apart_from_logs()
    started = time.monotonic()
    print("Starting Airflow ...", file=progress)
    from airflow.utils.db import initdb

    initdb()
    dag = load_dag("flight_quality")
    print(f"Airflow is ready after {time.monotonic() - started:.0f} s; running {days} days.", file=progress)
    for number, day in enumerate(landing.DAYS[:days], start=1):
        print(f"{number:3d}/{days}  {day}  {line(run_day(dag, day))}", file=progress)
    page = state / "report.html"
    print(f"\n{summarize(Path(os.environ['AIRFLOW_VAR_FLIGHTS_REPORTS']), page)}", file=progress)
    print(f"\nReport with plots: {page}", file=progress)


if __name__ == "__main__":
    main()
