"""
What is wrong with a batch, in words, from the evidence alone.

No model writes here: the same evidence gives the same text. Strongest evidence comes
first, which is what cost the score most; figures stand against what was allowed or
what the accepted batches showed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_agent_provider.quality.anomaly import CHECK_NAME, Anomaly
from airflow_agent_provider.quality.figures import count, figure
from airflow_agent_provider.quality.results import CheckResult, Profile
from airflow_agent_provider.quality.verdict import Policy, Verdict


def ranked(checks: Sequence[CheckResult], policy: Policy) -> list[CheckResult]:
    """Give the failed checks, first the one that costs the score most."""
    failed = [check for check in checks if not check.passed]
    # Of two that cost the same, a broken rule is said before an unusual figure.
    return sorted(
        failed,
        key=lambda one: (
            -policy.weight(one.severity) * (1 - one.credit),
            one.name == CHECK_NAME,
            one.credit,
            one.name,
        ),
    )


def issue(check: CheckResult) -> dict[str, Any]:
    """Describe a failed check as plain JSON, without row values."""
    return {
        "check": check.name,
        "dimension": check.dimension,
        "severity": check.severity,
        "columns": list(check.columns),
        "found": check.found,
        "allowed": check.allowed,
        "failing_rows": check.failing_rows,
        "message": check.message,
    }


def explain(
    verdict: Verdict,
    score: float | None,
    failed: Sequence[CheckResult],
    checks: int,
    anomaly: Anomaly,
    policy: Policy,
) -> str:
    """
    Write the explanation, a line per finding.

    :param failed: as :func:`ranked` gives them.
    :param checks: how many checks there were, passed ones included.
    """
    lines = [f"{verdict.action} {_outcome(score, policy)}"]
    if checks == 0:
        lines.append("No check was given, and there was no history to compare with: nothing was weighed.")
    elif not failed:
        lines.append(f"{count(checks, 'check')}, none failed.")
    else:
        lines.append(f"{len(failed)} of {count(checks, 'check')} failed, what costs most first:")
        lines += [f"{place}. {_finding(check)}" for place, check in enumerate(failed, 1)]
    if not any(check.name == CHECK_NAME for check in failed):
        lines.append(f"History: {anomaly.note}.")
    return "\n".join(lines)


def strongest_evidence(failed: Sequence[CheckResult], anomaly: Anomaly) -> str:
    """Give the first finding on one line; empty when there is none."""
    if not failed:
        return "" if anomaly.p_value is not None else anomaly.note.partition(";")[0]
    first = failed[0]
    if first.name == CHECK_NAME:
        return str(next((one for one in anomaly.deviations if one.outside), anomaly.deviations[0]))
    if first.found is None or first.allowed is None:
        return f"{first.name}: {first.message}"
    return f"{first.name}: {figure(first.found)}, allowed {figure(first.allowed)}"


def evidence(failed: Sequence[CheckResult], anomaly: Anomaly, profile: Profile) -> dict[str, str]:
    """
    List everything that a diagnosis may cite, most telling first: id -> one line.

    Ids are names of failed checks, features and metrics. Texts from the rows (extremes
    and frequent values) are left out.
    """
    lines = {check.name: f"{check.severity} check failed: {check.message}" for check in failed}
    if anomaly.flagged:
        lines |= {
            one.feature: f"{one} in {anomaly.history_size} accepted batches" for one in anomaly.deviations
        }
    for name, measurement in profile.metric_ids().items():
        value = measurement.value
        if isinstance(value, (int, float)):
            lines.setdefault(name, f"{figure(value)} ({measurement.precision})")
    return lines


def _outcome(score: float | None, policy: Policy) -> str:
    if score is None:
        return "There is no score."
    side = "above" if score > policy.threshold else "not above"
    return f"The score is {score:.4f}, {side} the threshold of {policy.threshold:g}."


def _finding(check: CheckResult) -> str:
    rows = "" if check.failing_rows is None else f", {count(check.failing_rows, 'row')}"
    return f"{check.name} ({check.severity}, {check.dimension}{rows}): {check.message}"
