"""
One task, run as Airflow's task runner runs it, without a database or another process.

Leans on Airflow's internals (``RuntimeTaskInstance`` and the supervisor's messages),
so that these stand here and nowhere else. The supervisor is a fake; the task runner,
the templates and the operators are real.
"""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass
class Supervisor:
    """The fake supervisor: keeps what the task sends, answers from the task state store and the XComs."""

    store: dict = field(default_factory=dict)
    xcoms: dict = field(default_factory=dict)
    sent: list = field(default_factory=list)

    def send(self, msg):
        from airflow.sdk.execution_time import comms

        self.sent.append(msg)
        if isinstance(msg, comms.GetTaskStateStore):
            if msg.key in self.store:
                return comms.TaskStateStoreResult(value=self.store[msg.key])
            return comms.ErrorResponse(error="TASK_STORE_NOT_FOUND")
        if isinstance(msg, comms.SetTaskStateStore):
            self.store[msg.key] = msg.value
        if isinstance(msg, comms.SetXCom):
            self.xcoms[msg.task_id, msg.key] = msg.value
        if isinstance(msg, comms.GetConnection):
            return comms.ErrorResponse(error="CONNECTION_NOT_FOUND")
        return comms.OKResponse(ok=True)


@dataclass
class Run:
    """How a task ended."""

    state: str
    error: BaseException | None
    xcoms: dict
    skipped: list
    supervisor: Supervisor

    @property
    def value(self):
        return self.xcoms.get("return_value")


def run(task, *, logical_date=None, params=None, map_index=-1, max_tries=0, try_number=1, supervisor=None):
    """Run one task of a DAG through Airflow's task runner; no database, no other process."""
    import structlog
    from airflow.sdk.api.datamodels import _generated as api
    from airflow.sdk.execution_time import comms, task_runner

    supervisor = supervisor or Supervisor()
    task_runner.SUPERVISOR_COMMS = supervisor
    day = logical_date or datetime(2013, 2, 8, tzinfo=UTC)
    dag_run = api.DagRun(
        dag_id=task.dag_id,
        run_id=f"manual__{day.isoformat()}",
        logical_date=day,
        data_interval_start=day,
        data_interval_end=day,
        run_after=day,
        start_date=day,
        end_date=None,
        run_type="manual",
        state="running",
        conf=params or {},
        consumed_asset_events=[],
        partition_key=None,
    )
    server = api.TIRunContext(dag_run=dag_run, max_tries=max_tries, should_retry=try_number <= max_tries)
    instance = task_runner.RuntimeTaskInstance.model_construct(
        id=uuid.uuid4(),
        task_id=task.task_id,
        dag_id=task.dag_id,
        run_id=dag_run.run_id,
        try_number=try_number,
        map_index=map_index,
        dag_version_id=uuid.uuid4(),
        task=task.prepare_for_execution(),
        bundle_instance=None,
        max_tries=max_tries,
        start_date=day,
        hostname="test",
        queue="default",
        pool_slots=1,
        priority_weight=1,
        _ti_context_from_server=server,
    )
    instance._ti_context_from_server = server
    context = instance.get_template_context()
    state, _, error = task_runner.run(instance, context, structlog.get_logger("task"))
    return Run(
        state=state.value,
        error=error,
        xcoms={key: value for (_, key), value in supervisor.xcoms.items()},
        skipped=[
            one if isinstance(one, str) else one[0]
            for sent in supervisor.sent
            if isinstance(sent, comms.SkipDownstreamTasks)
            for one in sent.tasks
        ],
        supervisor=supervisor,
    )
