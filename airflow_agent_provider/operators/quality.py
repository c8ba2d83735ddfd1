"""
The quality gate as an operator.

Measure a batch, compare it with the batches before, score it, explain what is
wrong, branch. Everything that decides is plain code; a model, when one is
configured, is asked why a batch failed after score, verdict and branch stand.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator
from airflow.sdk.bases.branch import BranchMixIn

from airflow_agent_provider.exceptions import ColumnNotFound, ConfigurationError
from airflow_agent_provider.operators.branching import branch_ids
from airflow_agent_provider.operators.failure import retries_where_they_help
from airflow_agent_provider.operators.report_file import require_form, write_report

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_agent_provider.core.limits import Limits
    from airflow_agent_provider.core.model import Model
    from airflow_agent_provider.quality.batch import Batch
    from airflow_agent_provider.quality.checks.base import Check
    from airflow_agent_provider.quality.history import HistoryRow
    from airflow_agent_provider.quality.judgement import Subject
    from airflow_agent_provider.quality.metrics import Depth
    from airflow_agent_provider.quality.report import QualityReport
    from airflow_agent_provider.quality.verdict import Policy
    from airflow_agent_provider.routing.budget import Budget
    from airflow_agent_provider.sources.source import Source


class QualityAgentOperator(BaseOperator, BranchMixIn):
    """
    Judge a batch of data and branch on the verdict.

    In a plain DAG or task group the verdict picks the branch: ``on_pass`` for
    ``approve`` and ``approve_with_notes``, ``on_fail`` for ``clean``,
    ``quarantine`` and ``reject``. Give joins behind it the trigger rule
    ``none_failed_min_one_success``.

    Mapped (``.expand()``, or inside a mapped task group) it does not branch,
    because Airflow 3.3 does not skip there
    (https://github.com/apache/airflow/issues/67265): it returns its verdict, and
    each branch decides for itself::

        @task
        def transform(gate: dict):
            if not gate["passes"]:
                raise AirflowSkipException("the gate did not pass this batch")

    The return value is a small dict: ``quality_score``, ``verdict``, ``passes``,
    ``issues_found``, ``recommended_action``, ``analytics_ready``,
    ``reprocessing_cost_impact``, ``compliance_status`` and more; no row values.

    :param source: the batch: ``Table``, ``Query``, ``Files``, or one of them as a
        dict or JSON text. Templated.
    :param checks: rules, or their dicts or JSON text. Templated. None is allowed:
        then the batch is judged by its history alone.
    :param threshold: the score must be above it to pass; in [0, 1]. Templated.
    :param on_pass: task or task group ids directly downstream to follow when the batch passes.
    :param on_fail: the same, when it does not pass. Neither given: nothing is skipped.
    :param llm_conn_id: connection of a model that may explain a failure, or a list of them of
        which the next is asked when one fails; None: no model.
    :param budget: what the investigation may spend, one ``Budget`` or several; a call that
        could pass one is refused before it is made, and the gate goes on without a diagnosis.
    :param profile: ``full``, ``light`` or ``none``; how much is measured beside the checks.
    :param dataset: name that the history is kept under; the source's own by default.
    :param batch_key: what makes this batch different from others of the data set; the
        logical date by default, else the run id. A rerun replaces its own record.
    :param quarantine: table (SQL source) or Parquet path (files) that failing rows are
        written to, with reasons, when the verdict is ``quarantine``; replaced on a rerun.
    :param report_path: file to write the report to; ``.html``, ``.md`` or ``.json``. Templated.
    :param ledger_conn_id: SQL connection of the ledger that keeps the history;
        ``[agent_provider] ledger_conn_id`` or a SQLite file by default.
    :param sensitive: columns whose values appear in no report and do not exist for the model.
    :param data_tags: what is said of the data for the policy, such as ``eu``: data tagged so goes
        only to connections that declare the region ``eu`` or ``local``.
    :param policy: how severities become a verdict.
    :param limits: bounds of the investigation.
    :param reference_time: what ``Fresh`` measures age against, ISO 8601; the end of
        the data interval by default, else when the run was due. Templated.
    :raises AirflowFailException: on what no retry can mend: a wrong parameter, an
        unknown connection, a missing table or column, an empty or unreadable batch.
    """

    inherits_from_skipmixin = True
    template_fields: Sequence[str] = (
        "source",
        "checks",
        "threshold",
        "on_pass",
        "on_fail",
        "llm_conn_id",
        "dataset",
        "batch_key",
        "quarantine",
        "report_path",
        "ledger_conn_id",
        "reference_time",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"source": "json", "checks": "json"}
    ui_color = "#d7eefc"

    def __init__(
        self,
        *,
        source: Source | dict[str, Any] | str,
        checks: Sequence[Check | dict[str, Any]] | str = (),
        threshold: float | str = 0.85,
        on_pass: str | list[str] | None = None,
        on_fail: str | list[str] | None = None,
        llm_conn_id: str | Sequence[str] | None = None,
        budget: Budget | Sequence[Budget] | None = None,
        profile: Depth = "full",
        dataset: str | None = None,
        batch_key: str | None = None,
        quarantine: str | None = None,
        report_path: str | None = None,
        ledger_conn_id: str | None = None,
        sensitive: Sequence[str] = (),
        data_tags: Sequence[str] = (),
        policy: Policy | None = None,
        limits: Limits | None = None,
        reference_time: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.checks = checks
        self.threshold = threshold
        self.on_pass = on_pass
        self.on_fail = on_fail
        self.llm_conn_id = llm_conn_id
        self.budget = budget
        self.profile = profile
        self.dataset = dataset
        self.batch_key = batch_key
        self.quarantine = quarantine
        self.report_path = report_path
        self.ledger_conn_id = ledger_conn_id
        self.sensitive = sensitive
        self.data_tags = data_tags
        self.policy = policy
        self.limits = limits
        self.reference_time = reference_time

    def execute(self, context: Context) -> dict[str, Any]:
        """Judge the batch, record it, branch, and give the verdict."""
        with retries_where_they_help():
            mapped = context["ti"].map_index not in {None, -1}
            branches = {} if mapped else self._branches()
            report = self._judge(context)
        self.log.info("%s: %s", report.verdict, report.explanation)
        if mapped:
            self.log.info("mapped: the verdict is returned, no branch is skipped")
        elif self.on_pass or self.on_fail:
            # Skipping leaves execute() by an exception, and Airflow then pushes no return value.
            context["ti"].xcom_push(key="return_value", value=report.summary())
            self.do_branch(context, branches[report.passes])
        return report.summary()

    def _branches(self) -> dict[bool, list[str]]:
        """Find the tasks of both branches before anything is measured."""
        return {
            True: branch_ids(self, "on_pass", self.on_pass),
            False: branch_ids(self, "on_fail", self.on_fail),
        }

    def _judge(self, context: Context) -> QualityReport:
        from airflow_agent_provider.hooks.ledger import ledger_database
        from airflow_agent_provider.ledger.history import LedgerHistory
        from airflow_agent_provider.quality.checks.catalogue import parse_checks
        from airflow_agent_provider.quality.judgement import history_row, past_batches
        from airflow_agent_provider.sources.catalogue import parse_source

        source, checks, policy = parse_source(self.source), parse_checks(self.checks), self._policy()
        reference_time = self._reference_time(context)
        model = self._model(context)
        if self.report_path:
            require_form(self.report_path)
        history = LedgerHistory(ledger_database(self.ledger_conn_id))
        subject = self._subject(context, source)
        past = past_batches(history, subject)
        self.log.info("measuring %s against %d accepted batches", subject.label, len(past))
        with source.open() as batch:
            report = self._measure(batch, subject, checks, past, policy, reference_time)
            if model and report.failed:
                report = self._investigate(batch, report, model, context)
        history.record(history_row(report))
        if self.report_path:
            write_report(report, self.report_path)
            self.log.info("report: %s", self.report_path)
        return report

    def _measure(
        self,
        batch: Batch,
        subject: Subject,
        checks: Sequence[Check],
        past: Sequence[HistoryRow],
        policy: Policy,
        reference_time: datetime,
    ) -> QualityReport:
        from airflow_agent_provider.quality.judgement import Means, judge
        from airflow_agent_provider.quality.quarantine import failing_rows_sql
        from airflow_agent_provider.quality.scan import scan
        from airflow_agent_provider.quality.verdict import Verdict

        if self.profile not in {"none", "light", "full"}:
            raise ConfigurationError(f"profile={self.profile!r}: must be none, light or full")
        found = scan(batch, checks, profile=self.profile, reference_time=reference_time)
        means = Means(engine=batch.dialect, dialect=batch.dialect, sql=found.sql)
        for name in self.sensitive:
            if name not in {column.name for column in found.columns}:
                raise ColumnNotFound(
                    f"sensitive={list(self.sensitive)}: {batch.label} has no column {name!r}"
                )
        profile = found.profile.hiding(self.sensitive)
        report = judge(subject, profile, found.results, past, policy=policy, means=means)
        if self.quarantine and report.verdict is Verdict.QUARANTINE:
            rows = batch.write_quarantine(
                self.quarantine, subject.batch_key, failing_rows_sql(batch, checks, found.results)
            )
            self.log.info("%d failing rows set aside in %s", rows, self.quarantine)
        return report

    def _policy(self) -> Policy:
        from airflow_agent_provider.quality.verdict import Policy

        try:
            threshold = float(self.threshold)
        except (TypeError, ValueError):
            raise ConfigurationError(f"threshold={self.threshold!r}: must be a number from 0 to 1") from None
        return dataclasses.replace(self.policy or Policy(), threshold=threshold)

    def _model(self, context: Context) -> Model | None:
        """Read the model's connection, also when it will not be asked: a wrong one should show at once."""
        if not self.llm_conn_id:
            return None
        from airflow_agent_provider.hooks.llm import LLMHook
        from airflow_agent_provider.routing.budget import Budget, Spender

        budgets = (self.budget,) if isinstance(self.budget, Budget) else tuple(self.budget or ())
        spender = Spender(self.dag_id, context["run_id"], datetime.now(UTC))
        hook = LLMHook(
            self.llm_conn_id,
            budgets=budgets,
            spender=spender,
            ledger_conn_id=self.ledger_conn_id,
            data_tags=self.data_tags,
        )
        return hook.get_model()

    def _subject(self, context: Context, source: Source) -> Subject:
        from airflow_agent_provider.quality.judgement import Subject

        logical_date = context.get("logical_date")
        run = context["dag_run"]
        return Subject(
            dataset=self.dataset or source.dataset,
            batch_key=self.batch_key or (logical_date.isoformat() if logical_date else run.run_id),
            label=source.label,
            batch_at=logical_date or run.run_after,
            measured_at=datetime.now(UTC),
        )

    def _reference_time(self, context: Context) -> datetime:
        if not self.reference_time:
            return context.get("data_interval_end") or context["dag_run"].run_after
        try:
            moment = datetime.fromisoformat(self.reference_time)
        except ValueError:
            raise ConfigurationError(
                f"reference_time={self.reference_time!r}: must be a moment in ISO 8601, "
                "e.g. 2013-02-08T06:00:00+00:00"
            ) from None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def _investigate(
        self, batch: Batch, report: QualityReport, model: Model, context: Context
    ) -> QualityReport:
        from airflow_agent_provider.journals.task_state import TaskStateJournal
        from airflow_agent_provider.operators import investigation

        # Another task text, as after a repair of the data, is another investigation.
        journal = TaskStateJournal(
            context["task_state_store"],
            max_tries=context["ti"].max_tries,
            item=investigation.task(batch, report, self.sensitive),
        )
        return investigation.investigate(
            batch, report, model, journal=journal, limits=self.limits, hidden=self.sensitive
        )
