"""
The way of a call past the policy: scan, decide, redact, record.

::

    clearance = clear(call, policy=policy, redactor=redactor, destination=destination)
    reply = clearance.restore(await model.answer(clearance.call))

A route tries its destinations in order: :class:`PolicyRefused` for one says nothing
about the next, and the scan is not paid again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import ModelReply
from airflow_agent_provider.exceptions import PolicyRefused
from airflow_agent_provider.governance.audit import AuditRecord, ComplianceStatus
from airflow_agent_provider.governance.personal_data import DATA_CLASSES
from airflow_agent_provider.governance.policy import Decision, Destination, Policy
from airflow_agent_provider.governance.redaction import Redactor


@dataclass(frozen=True, slots=True)
class Clearance:
    """
    A call that may be sent.

    :param call: what to send, redacted.
    :param record: for the audit.
    """

    call: CallModel = field(repr=False)
    record: AuditRecord
    redactor: Redactor = field(repr=False)

    def restore(self, reply: ModelReply) -> ModelReply:
        """Put the values back into the answer."""
        return self.redactor.restore_reply(reply)


def clear(
    call: CallModel,
    *,
    policy: Policy,
    redactor: Redactor,
    destination: Destination,
    tags: Collection[str] = (),
    fingerprint: str = "",
) -> Clearance:
    """
    Clear one call for one destination.

    Placeholders are numbered for this call alone (:meth:`.Redactor.branch`): calls side by side
    and replays in another order change nothing.

    :param redactor: the flow's; remembers which texts were scanned.
    :param tags: what the caller says of the data, such as ``eu``.
    :param fingerprint: the call's in the journal.
    :raises PolicyRefused: when the policy does not let it go there; holds the audit record.
    """
    decision = policy.decide(redactor.classes(call), tags, destination)
    branch = redactor.branch(allowed=decision.classes("allow"))
    # A refused call is redacted too: its record says how much there was.
    redacted = branch.redact_call(call)
    record = _record(decision, policy, destination, tags, branch, fingerprint)
    if not decision.compliant:
        raise PolicyRefused(f"{decision.reason}; use another connection or change the policy", record=record)
    return Clearance(redacted, record, branch)


def _record(
    decision: Decision,
    policy: Policy,
    destination: Destination,
    tags: Collection[str],
    redactor: Redactor,
    fingerprint: str,
) -> AuditRecord:
    status: ComplianceStatus = "redacted" if redactor.counts else "compliant"
    return AuditRecord(
        kind="model_call",
        connection=destination.connection,
        provider=destination.provider,
        region=destination.region,
        policy=policy.name,
        status=status if decision.compliant else "refused",
        reason=decision.reason,
        rules=decision.rules,
        tags=tuple(sorted(tags)),
        redactions=redactor.counts,
        allowed=tuple(one for one in DATA_CLASSES if one in decision.classes("allow")),
        fingerprint=fingerprint,
    )
