"""
Counting model calls where Airflow counts everything else.

===============================  =======  =========================================
metric                           kind     tags
===============================  =======  =========================================
``agent_provider.calls``         counter  connection, model, outcome
``agent_provider.tokens``        counter  connection, model, kind (input, output, cached, reasoning)
``agent_provider.cost_micros``   counter  connection, model; micro-dollars
``agent_provider.call``          timer    connection, model
``agent_provider.clearances``    counter  connection, status (compliant, redacted, refused)
===============================  =======  =========================================

``outcome`` is ``answered``, ``cached`` (a kept reply, no call) or the name of an error.
Tags reach the back end with OpenTelemetry or the influx dialect of StatsD; plain
StatsD drops them (Airflow's documentation, "Metrics").
"""

from __future__ import annotations

import json
import logging

from airflow_agent_provider.core.control import CallRecord
from airflow_agent_provider.governance.audit import AuditRecord

log = logging.getLogger("airflow_agent_provider.audit")


def count_call(record: CallRecord) -> None:
    """Count one try of a model call."""
    from airflow.sdk.observability import stats

    tags = {"connection": record.endpoint, "model": record.model}
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


def count_clearance(record: AuditRecord) -> None:
    """Count a call that the policy decided on, and log its audit record; neither holds content."""
    from airflow.sdk.observability import stats

    stats.incr("agent_provider.clearances", tags={"connection": record.connection, "status": record.status})
    log.info("audit: %s", json.dumps(record.to_json(), sort_keys=True))
