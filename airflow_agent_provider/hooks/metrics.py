"""
Counting model calls where Airflow counts everything else.

==================================  =======  ==================================================
metric                              kind     tags
==================================  =======  ==================================================
``agent_provider.calls``            counter  connection, model, dag, outcome: ``answered`` or an error
``agent_provider.tokens``           counter  connection, model, dag, kind: input, output, cached,
                                             reasoning
``agent_provider.cost_micros``      counter  connection, model, dag; micro-dollars
``agent_provider.call``             timer    connection, model, dag
``agent_provider.breaker_open``     gauge    connection; 1 while it is known to be down
``agent_provider.budget_left_usd``  gauge    account; dollars neither spent nor reserved
``agent_provider.clearances``       counter  connection, status: compliant, redacted, refused
==================================  =======  ==================================================

A call is one try: one that is tried again counts twice, as it is billed twice. Cached tokens
are part of the input, reasoning is part of the output.

Tags reach the back end with OpenTelemetry or the influx dialect of StatsD; plain
StatsD drops them (Airflow's documentation, "Metrics").
"""

from __future__ import annotations

import json
import logging
import os

from airflow_agent_provider.core.control import CallRecord
from airflow_agent_provider.governance.audit import AuditRecord
from airflow_agent_provider.ledger.budget import Balance
from airflow_agent_provider.routing.breaker import Health

log = logging.getLogger("airflow_agent_provider.audit")
#: Airflow sets it for the time that a task runs.
DAG_ID = "AIRFLOW_CTX_DAG_ID"


def count_call(record: CallRecord) -> None:
    """Count one try of a model call."""
    from airflow.sdk.observability import stats

    tags = {"connection": record.endpoint, "model": record.model, "dag": os.environ.get(DAG_ID, "")}
    usage = record.usage
    stats.incr("agent_provider.calls", tags={**tags, "outcome": record.outcome})
    kinds = {
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cached": usage.cached_tokens,
        "reasoning": usage.reasoning_tokens,
    }
    for kind, tokens in kinds.items():
        if tokens:
            stats.incr("agent_provider.tokens", tokens, tags={**tags, "kind": kind})
    if record.cost_micros:
        stats.incr("agent_provider.cost_micros", record.cost_micros, tags=tags)
    stats.timing("agent_provider.call", record.seconds * 1000, tags=tags)


def gauge_health(endpoint: str, health: Health) -> None:
    """Show whether calls of a connection go through."""
    from airflow.sdk.observability import stats

    stats.gauge("agent_provider.breaker_open", int(not health.is_closed), tags={"connection": endpoint})


def gauge_balance(account: str, balance: Balance) -> None:
    """Show what is left of a budget in dollars."""
    from airflow.sdk.observability import stats

    if balance.left_usd is not None:
        stats.gauge("agent_provider.budget_left_usd", balance.left_usd, tags={"account": account})


def count_clearance(record: AuditRecord) -> None:
    """Count a call that the policy decided on, and log its audit record; neither holds content."""
    from airflow.sdk.observability import stats

    log.info("audit: %s", json.dumps(record.to_json(), sort_keys=True))
    try:
        tags = {"connection": record.connection, "status": record.status}
        stats.incr("agent_provider.clearances", tags=tags)
    except Exception as error:  # noqa: BLE001  no call is lost because it could not be counted
        log.warning("a clearance was not counted (%s)", type(error).__name__)
