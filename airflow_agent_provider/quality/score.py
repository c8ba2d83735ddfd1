"""
The score: a weighted mean of what the checks earned.

``score = sum(weight * credit) / sum(weight)``, with the weight of a check given by its
severity (:class:`~airflow_agent_provider.quality.verdict.Policy`) and its credit by how
badly it failed: 1 when it passed, less the worse. Nothing else enters: no model, no
clock, no order. Whether the batch is like its history is one check among the others.

It is computed in exact arithmetic and rounded *down* to four decimals, and so are the
contributions, by largest remainder: the figures in a report add up to the score in the
report, the threshold is compared with the number that people see, and 1.0000 means that
nothing was lost. A check that fares worse never raises the score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.quality.results import CheckResult, Severity
from airflow_agent_provider.quality.verdict import Policy

STEPS = 10_000
"""The score moves in steps of one ten-thousandth."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """
    One check's part in the score; a whole number of ten-thousandths each.

    :param weight: by severity.
    :param share: of the score that it could earn; all shares add up to 1.
    :param earned: what it did earn; all add up to the score.
    """

    name: str
    severity: Severity
    weight: float
    credit: float
    share: float
    earned: float

    @property
    def lost(self) -> float:
        """What it cost the score."""
        return round((self.share - self.earned) * STEPS) / STEPS


@dataclass(frozen=True, slots=True)
class Score:
    """
    The score and where it comes from.

    :param value: in [0, 1], or None when no check weighs anything.
    :param contributions: one for each check, in the order of the checks.
    """

    value: float | None
    contributions: tuple[Contribution, ...]


def weigh(checks: Sequence[CheckResult], policy: Policy) -> Score:
    """
    Score a batch by its checks.

    :raises ConfigurationError: when a check's credit is not a number from 0 to 1.
    """
    for check in checks:
        if not 0 <= check.credit <= 1:
            raise ConfigurationError(
                f"check {check.name}: its credit is {check.credit}, not a number from 0 to 1"
            )
    weights = [Fraction(policy.weight(check.severity)) for check in checks]
    total = sum(weights)
    if total == 0:
        blank = (Contribution(one.name, one.severity, 0.0, one.credit, 0.0, 0.0) for one in checks)
        return Score(None, tuple(blank))
    earned = _steps([w * Fraction(one.credit) / total for w, one in zip(weights, checks, strict=True)])
    lost = _steps(
        [w * (1 - Fraction(one.credit)) / total for w, one in zip(weights, checks, strict=True)], up=True
    )
    contributions = tuple(
        Contribution(
            check.name, check.severity, float(weight), check.credit, (won + gone) / STEPS, won / STEPS
        )
        for check, weight, won, gone in zip(checks, weights, earned, lost, strict=True)
    )
    return Score(sum(earned) / STEPS, contributions)


def _steps(parts: list[Fraction], *, up: bool = False) -> list[int]:
    """Round parts to whole steps whose sum is the rounded sum, by largest remainder (Hamilton's method)."""
    exact = [part * STEPS for part in parts]
    floors = [math.floor(part) for part in exact]
    whole = math.ceil(sum(exact)) if up else math.floor(sum(exact))
    order = sorted(range(len(exact)), key=lambda at: (floors[at] - exact[at], at))
    for at in order[: whole - sum(floors)]:
        floors[at] += 1
    return floors
