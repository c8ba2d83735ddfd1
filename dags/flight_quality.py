"""
Flights that left New York in early 2013, judged day by day before anything is built on them.

An ordinary day is summarized as it is. On a bad one (the blizzard of 8 and 9 February)
the cancelled flights are left out, and the failing rows are kept in a table of their
own. A day is compared with the accepted days before it: one run at a time.
"""

from datetime import UTC, datetime
from pathlib import Path

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG, Variable, task

from airflow_agent_provider import (
    AcceptedValues,
    Between,
    NotNull,
    QualityAgentOperator,
    RowCount,
    Table,
    Unique,
)

SUMMARIZE = """
    DELETE FROM delays WHERE day = '{{ ds }}';
    INSERT INTO delays SELECT day, carrier, count(*), avg(dep_delay) FROM flights
        WHERE day = '{{ ds }}' AND {{ params.rows }} GROUP BY day, carrier;
    SELECT count(*) AS left_out FROM flights WHERE day = '{{ ds }}' AND NOT ({{ params.rows }})
"""


@task
def load(ds: str) -> None:
    """Copy the day's file into the warehouse, replacing what an earlier run copied."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    file = Path(Variable.get("flights_landing"), f"{ds}.csv").resolve(strict=True)
    warehouse = PostgresHook("warehouse")
    warehouse.run("DELETE FROM flights WHERE day = %s", parameters=[ds])
    warehouse.copy_expert("COPY flights FROM STDIN WITH (FORMAT csv, HEADER)", str(file))


with DAG(
    "flight_quality",
    schedule="@daily",
    start_date=datetime(2013, 1, 15, tzinfo=UTC),
    end_date=datetime(2013, 2, 28, tzinfo=UTC),
    catchup=True,
    max_active_runs=1,
    default_args={"conn_id": "warehouse", "split_statements": True},
    doc_md=__doc__,
):
    gate = QualityAgentOperator(
        task_id="quality_gate",
        source=Table("warehouse", "flights", where="day = '{{ ds }}'"),
        checks=[
            RowCount(500, 1200),
            Unique("time_hour", "carrier", "flight"),
            NotNull("dep_time", tolerance=0.15, severity="critical"),
            NotNull("tailnum", tolerance=0.05),
            AcceptedValues("origin", ["EWR", "JFK", "LGA"]),
            Between("distance", 50, 5000),
        ],
        threshold=0.85,
        on_pass="transform",
        on_fail="clean_and_transform",
        batch_key="{{ ds }}",
        quarantine="flights_quarantine",
        report_path="{{ var.value.flights_reports }}/{{ ds }}.json",
    )
    transform = SQLExecuteQueryOperator(task_id="transform", sql=SUMMARIZE, params={"rows": "true"})
    clean_and_transform = SQLExecuteQueryOperator(
        task_id="clean_and_transform",
        sql=SUMMARIZE,
        params={"rows": "dep_time IS NOT NULL AND tailnum IS NOT NULL"},
    )
    publish = SQLExecuteQueryOperator(
        task_id="publish",
        sql="SELECT sum(flights) AS flights FROM delays WHERE day = '{{ ds }}'",
        trigger_rule="none_failed_min_one_success",
    )
    load() >> gate >> [transform, clean_and_transform] >> publish
