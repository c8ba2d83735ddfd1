"""
From score and failing checks to what happens next. Plain code; no model is asked.

==================================================  =======================  =========
what was found, first match decides                 verdict                  branch
==================================================  =======================  =========
a critical check failed that is not about rows      ``reject``               ``on_fail``
a critical check failed on rows                     ``quarantine``           ``on_fail``
the score is not above the threshold                ``clean``                ``on_fail``
any check failed, or nothing could be weighed       ``approve_with_notes``   ``on_pass``
otherwise                                           ``approve``              ``on_pass``
==================================================  =======================  =========

A failing row check says which rows; they can be set aside and the rest used. A
wrong schema, row count or age concerns the batch as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.quality.results import CheckResult, Severity


class Verdict(StrEnum):
    """What becomes of a batch, from best to worst."""

    APPROVE = "approve"
    APPROVE_WITH_NOTES = "approve_with_notes"
    CLEAN = "clean"
    QUARANTINE = "quarantine"
    REJECT = "reject"

    @property
    def passes(self) -> bool:
        """Whether the batch goes on as it is, and counts as history for later ones."""
        return self in {Verdict.APPROVE, Verdict.APPROVE_WITH_NOTES}

    @property
    def action(self) -> str:
        """What to do, in one sentence."""
        return _ACTIONS[self]


_ACTIONS = {
    Verdict.APPROVE: "Use the batch.",
    Verdict.APPROVE_WITH_NOTES: "Use the batch, and look at the notes.",
    Verdict.CLEAN: "Clean the batch before using it.",
    Verdict.QUARANTINE: "Set the failing rows aside, then use the rest.",
    Verdict.REJECT: "Do not use the batch: have its source deliver it again.",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """
    How checks weigh and when a batch passes.

    Each severity weighs three times the one below it: one failing error cannot be bought
    off by two warnings that pass. ``info`` is reported and weighs nothing. ``critical``
    also decides by itself, whatever the score.

    :param threshold: the score must be above it.
    :param info: weight of a check of that severity; likewise the others.
    :raises ConfigurationError: for a threshold outside [0, 1], or a weight that is negative or not finite.
    """

    threshold: float = 0.85
    info: float = 0.0
    warning: float = 1.0
    error: float = 3.0
    critical: float = 9.0

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ConfigurationError(f"threshold={self.threshold}: must be a number from 0 to 1")
        for name in (one.name for one in fields(self) if one.name != "threshold"):
            weight = getattr(self, name)
            if not (math.isfinite(weight) and weight >= 0):
                raise ConfigurationError(f"Policy({name}={weight}): a weight is a number from 0 on")

    def weight(self, severity: Severity) -> float:
        """Give the weight of a check."""
        weight: float = getattr(self, severity)
        return weight


def is_row_check(check: CheckResult) -> bool:
    """Whether failing rows can be told from the others."""
    return check.failing_rows is not None


def decide(score: float | None, checks: Sequence[CheckResult], policy: Policy) -> Verdict:
    """
    Give the verdict.

    :param score: as :func:`~airflow_agent_provider.quality.score.weigh` gives it; None: nothing weighed.
    """
    failed = [check for check in checks if not check.passed]
    critical = [check for check in failed if check.severity == "critical"]
    if not all(is_row_check(check) for check in critical):
        return Verdict.REJECT
    if critical:
        return Verdict.QUARANTINE
    if score is not None and score <= policy.threshold:
        return Verdict.CLEAN
    return Verdict.APPROVE_WITH_NOTES if failed or score is None else Verdict.APPROVE
