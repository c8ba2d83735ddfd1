"""The verdict follows from score, severities and policy, and from nothing else."""

import math

import pytest

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.quality.verdict import Policy, Verdict, decide

ROWS = {"credit": 0.5, "failing_rows": 10}
WHOLE = {"credit": 0.5}


@pytest.mark.parametrize(
    ("score", "checks", "verdict"),
    [
        (1.0, [{}], "approve"),
        (0.97, [{}, {**WHOLE, "severity": "warning"}], "approve_with_notes"),
        (0.97, [{}, {**WHOLE, "severity": "info"}], "approve_with_notes"),
        (0.85, [{}], "clean"),
        (0.3, [WHOLE], "clean"),
        (0.99, [{}, {**ROWS, "severity": "critical"}], "quarantine"),
        (0.99, [{}, {**WHOLE, "severity": "critical"}], "reject"),
        (0.2, [{**ROWS, "severity": "critical"}, {**WHOLE, "severity": "critical"}], "reject"),
        (1.0, [{"severity": "critical", "failing_rows": 0}], "approve"),
        (None, [], "approve_with_notes"),
        (None, [{**WHOLE, "severity": "info"}], "approve_with_notes"),
    ],
)
def test_the_table_of_verdicts(check, score, checks, verdict):
    """As the module's docstring tabulates it; the first match decides."""
    results = [check(f"check {number}", **one) for number, one in enumerate(checks)]
    assert decide(score, results, Policy()) == verdict


def test_the_score_must_be_above_the_threshold():
    """On it is not above it; with a threshold of 1 nothing passes, with 0 all but the worthless does."""
    assert decide(0.85, [], Policy(threshold=0.85)) is Verdict.CLEAN
    assert decide(0.8501, [], Policy(threshold=0.85)) is Verdict.APPROVE
    assert decide(1.0, [], Policy(threshold=1.0)) is Verdict.CLEAN
    assert decide(0.0, [], Policy(threshold=0.0)) is Verdict.CLEAN
    assert decide(0.0001, [], Policy(threshold=0.0)) is Verdict.APPROVE


def test_approval_passes_and_nothing_else():
    """The branch is chosen by this."""
    assert [one.value for one in Verdict if one.passes] == ["approve", "approve_with_notes"]
    assert all(one.action.endswith(".") for one in Verdict)


@pytest.mark.parametrize("threshold", [-0.01, 1.01, math.nan, math.inf])
def test_a_threshold_outside_zero_to_one_is_refused(threshold):
    """Before anything is measured."""
    with pytest.raises(ConfigurationError, match="must be a number from 0 to 1"):
        Policy(threshold=threshold)


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_a_weight_that_is_no_weight_is_refused(weight):
    """By its name."""
    with pytest.raises(ConfigurationError, match="Policy\\(critical="):
        Policy(critical=weight)
