"""
The investigation of a failed batch, put together: ReAct, one guarded tool, the journal.

Score, verdict and branch stand before it begins. When the model does not answer,
answers nonsense or passes a limit, the report says so and the gate goes on.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import threading
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from airflow_agent_provider.core.effects import Flow
from airflow_agent_provider.core.journal import Journal
from airflow_agent_provider.core.limits import Limits
from airflow_agent_provider.core.model import Model
from airflow_agent_provider.core.tool import Tool
from airflow_agent_provider.drivers.flow import Driver, Outcome
from airflow_agent_provider.exceptions import AgentProviderError, ToolFailed
from airflow_agent_provider.governance.read_only_sql import read_only
from airflow_agent_provider.patterns.react import Answer, react
from airflow_agent_provider.quality import investigation
from airflow_agent_provider.quality.batch import Batch
from airflow_agent_provider.quality.report import QualityReport

log = logging.getLogger(__name__)
MAX_ROWS = 50
MAX_RESULT_CHARS = 12_000
LIMITS = Limits(max_model_calls=9, max_tool_calls=16, max_tokens=150_000, timeout_s=300)
RELATION = "batch"


def task(batch: Batch, report: QualityReport, hidden: Collection[str] = ()) -> str:
    """Write what the model is asked; the journal belongs to this text."""
    return investigation.task(report.label, batch.dialect, _shown(batch, hidden), report.evidence())


def investigate(
    batch: Batch,
    report: QualityReport,
    model: Model,
    *,
    journal: Journal,
    limits: Limits | None = None,
    hidden: Collection[str] = (),
) -> QualityReport:
    """
    Ask a model why a batch failed.

    :param batch: open for reading.
    :param hidden: columns that do not exist for the model.
    :param report: what plain code found; its score and verdict are given back unchanged.
    :return: the report with the claims that cite existing evidence, or with a note
        that says why there are none.
    """
    flow = react(
        task(batch, report, hidden),
        [investigation.QUERY],
        system=investigation.SYSTEM,
        schema=investigation.SCHEMA,
        max_rounds=6,
    )
    driver = Driver(model, [query_tool(batch, hidden)], journal, limits or LIMITS)
    try:
        outcome = asyncio.run(_run(driver, flow, model))
    except AgentProviderError as error:
        log.warning("the investigation ended without a diagnosis: %s: %s", type(error).__name__, error)
        return dataclasses.replace(report, diagnosis_note=f"no diagnosis: {type(error).__name__}: {error}")
    ran = investigation.queries_run(outcome.value.transcript)
    claims, dropped = investigation.admitted(outcome.value.value, {*report.evidence(), *ran})
    note = (
        f"{outcome.spent.model_calls} model calls ({outcome.replayed} answers from the journal), "
        f"{outcome.spent.usage.total_tokens} tokens, {len(ran)} queries; "
        f"{dropped} of {len(claims) + dropped} claims dropped for citing nothing that exists"
    )
    log.info("investigation: %s", note)
    return dataclasses.replace(report, diagnosis=claims, diagnosis_note=note, queries=ran)


def query_tool(batch: Batch, hidden: Collection[str] = ()) -> Tool:
    """Give the tool that runs one guarded SELECT over the batch, whose hidden columns it does not know."""
    from sqlglot import exp

    columns = ", ".join(
        exp.to_identifier(name, quoted=True).sql(batch.dialect) for name in _shown(batch, hidden)
    )
    # Tools of one round run in threads; a database connection serves one at a time.
    turn = threading.Lock()

    def query(sql: str) -> str:
        checked = read_only(sql, dialect=batch.dialect, relations={RELATION})
        question = (
            f"WITH {RELATION} AS (SELECT {columns} FROM {batch.relation}) SELECT * FROM ({checked}) AS answer"
        )
        try:
            with turn:
                rows = batch.rows(question, max_rows=MAX_ROWS)
        except AgentProviderError as error:
            raise ToolFailed(f"the query failed: {error}") from None
        lines = [json.dumps(row, ensure_ascii=False, default=str) for row in rows]
        return "\n".join([
            investigation.query_id(sql),
            f"{len(rows)} rows (at most {MAX_ROWS} are shown)",
            *lines,
        ])

    return Tool(investigation.QUERY, query, timeout_s=60, max_chars=MAX_RESULT_CHARS)


def _shown(batch: Batch, hidden: Collection[str]) -> list[str]:
    return [one.name for one in batch.columns() if one.name not in hidden]


async def _run(driver: Driver, flow: Flow[Answer], model: Model) -> Outcome[Answer]:
    async with AsyncExitStack() as open_models:
        if isinstance(model, AbstractAsyncContextManager):
            await open_models.enter_async_context(model)
        return await driver.run(flow)
