"""
What is recorded of a governed call: where to, under which policy, what was replaced.

Never content: a record names classes, counts, rules and the call's fingerprint, by
which it can be matched with the journal. It has no time of its own, since deciding
reads no clock: whoever stores it adds one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from airflow_agent_provider.governance.personal_data import DataClass

ComplianceStatus = Literal["compliant", "redacted", "refused", "not_checked"]


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """
    One decision about one call to one destination.

    :param kind: what kind of call, such as ``model_call``.
    :param status: ``compliant``: checked, and nothing was to be replaced; ``redacted``: sent with
        placeholders; ``refused``: not sent; ``not_checked``: no policy was in force.
    :param redactions: how many different values of each class were replaced.
    :param allowed: classes that occur and were sent as they are.
    :param fingerprint: of the call as the flow made it, as in the journal; empty when unknown.
    """

    kind: str
    connection: str
    provider: str
    region: str
    policy: str
    status: ComplianceStatus
    reason: str
    rules: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    redactions: dict[DataClass, int] = field(default_factory=dict)
    allowed: tuple[DataClass, ...] = ()
    fingerprint: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give the plain JSON form."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }


def overall(statuses: list[ComplianceStatus]) -> ComplianceStatus:
    """
    Sum up the calls of a run: a refusal outweighs all, then a call not checked, then a redaction.

    :return: ``not_checked`` when there was no call.
    """
    for status in ("refused", "not_checked", "redacted", "compliant"):
        if status in statuses:
            return status
    return "not_checked"
