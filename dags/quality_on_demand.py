"""
Judge a table or a file now: press **Trigger**, fill in the form, read the verdict.

The form's values are checked before the run starts. Score, verdict and the strongest
evidence are the return value of the task `quality_gate`; its log has the whole report.
"""

from typing import Any

from airflow.sdk import DAG, Param, task

from airflow_agent_provider import QualityAgentOperator

WHERE = "Where the rows are"
RULES = "What they are judged by"
MODEL = "Who explains a failure"

FORM = {
    "kind": Param("table", enum=["table", "file"], section=WHERE, title="Table or file"),
    "connection": Param(
        "warehouse",
        type=["null", "string"],
        section=WHERE,
        title="Connection of the table",
        description="Any SQL connection of this Airflow.",
    ),
    "table": Param(
        "flights",
        type=["null", "string"],
        section=WHERE,
        title="Table",
        description="Its name, with the schema before it where that is needed: `sales.orders`.",
    ),
    "where": Param(
        "day = '2013-02-08'",
        type=["null", "string"],
        section=WHERE,
        title="Condition",
        description="SQL that picks the batch; leave it empty for the whole table.",
    ),
    "path": Param(
        None,
        type=["null", "string"],
        section=WHERE,
        title="File",
        description="Parquet, CSV or JSON that the worker can read; or a pattern, `/data/2013-02-*.csv`.",
    ),
    "checks": Param(
        [
            {"type": "row_count", "minimum": 500, "maximum": 1200},
            {"type": "not_null", "column": "dep_time", "tolerance": 0.15, "severity": "critical"},
            {"type": "unique", "columns": ["time_hour", "carrier", "flight"]},
        ],
        type="array",
        items={
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"type": "string"}},
        },
        section=RULES,
        title="Checks",
        description="An object each. `type`: row_count, not_null, unique, accepted_values, between, matches, "
        "fresh, has_schema, custom_sql. Optional `severity`: info, warning, error or critical.",
    ),
    "history": Param(
        "on_demand",
        type="string",
        minLength=1,
        section=RULES,
        title="History",
        description="The batch is compared with the accepted batches of this name, and joins them "
        "if it passes. The daily flights are in `warehouse.flights`.",
    ),
    "batch": Param(
        "2013-02-08",
        type=["null", "string"],
        section=RULES,
        title="Name of the batch in the history",
        description="For example its day. Judged again under its name, a batch replaces its own record; "
        "without a name each run is a batch of its own.",
    ),
    "threshold": Param(
        0.85,
        type="number",
        minimum=0,
        maximum=1,
        section=RULES,
        title="Threshold",
        description="The score must be above it to pass; from 0 to 1.",
    ),
    "use_model": Param(
        default=False,
        type="boolean",
        section=MODEL,
        title="Let a model explain a failure",
        description="It reads, and cites what it read; score and verdict stand before it is asked.",
    ),
    "model_connection": Param(
        "llm_default",
        type="string",
        minLength=1,
        section=MODEL,
        title="Connection of the model",
        description="A connection of type `llm`; used only when the switch above is on.",
    ),
}

with DAG("quality_on_demand", schedule=None, params=FORM, is_paused_upon_creation=False, doc_md=__doc__):

    @task(multiple_outputs=True)
    def read_form(params: dict[str, Any]) -> dict[str, Any]:
        """Turn the form into the gate's parameters."""
        table = {"type": "table", "conn_id": params["connection"], "table": params["table"]}
        file = {"type": "files", "path": params["path"]}
        return {
            "source": file if params["kind"] == "file" else table | {"where": params["where"]},
            "llm_conn_id": params["model_connection"] if params["use_model"] else None,
        }

    form = read_form()
    QualityAgentOperator(
        task_id="quality_gate",
        source=form["source"],
        checks="{{ params.checks | tojson }}",
        threshold="{{ params.threshold }}",
        dataset="{{ params.history }}",
        batch_key="{{ params.batch or '' }}",
        llm_conn_id=form["llm_conn_id"],
    )
