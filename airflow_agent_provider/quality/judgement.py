"""
The judgement of a measured batch: from profile and check results to the report.

Nothing is measured and nothing is written here. The gate measures first; when that
fails there is no judgement and no history row. It then asks for the judgement, and
records :func:`history_row` when the report stands.

A gate without checks has its history alone. Before there is enough of it nothing can
be weighed: the batch passes with a note and no score, for a gate that turned the first
batches away would never have a history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from airflow_agent_provider.quality.anomaly import Detector
from airflow_agent_provider.quality.cost import Prices, reprocessing_cost
from airflow_agent_provider.quality.explanation import explain, ranked, strongest_evidence
from airflow_agent_provider.quality.features import features
from airflow_agent_provider.quality.history import History, HistoryRow
from airflow_agent_provider.quality.report import NOT_CHECKED, QualityReport
from airflow_agent_provider.quality.results import CheckResult, Profile
from airflow_agent_provider.quality.score import weigh
from airflow_agent_provider.quality.verdict import Policy, decide


@dataclass(frozen=True, slots=True)
class Subject:
    """
    Which batch is judged.

    :param dataset: name that the history is kept under.
    :param batch_key: what tells it from the data set's other batches.
    :param label: what people call it; no secrets.
    :param batch_at: the moment that it stands for, with a time zone.
    :param measured_at: when it was measured, with a time zone.
    """

    dataset: str
    batch_key: str
    label: str
    batch_at: datetime
    measured_at: datetime


@dataclass(frozen=True, slots=True)
class Means:
    """
    How the batch was measured.

    :param engine: what ran the statement, for people.
    :param byte_count: size of the batch, when the source tells.
    """

    engine: str = ""
    dialect: str = ""
    sql: str = ""
    byte_count: int | None = None


def past_batches(history: History, subject: Subject, detector: Detector | None = None) -> list[HistoryRow]:
    """
    Read what a batch is judged by: the accepted batches that stand for earlier moments.

    So a rerun is judged as the first run was, whatever came after. Where fewer than the
    detector needs are earlier, as in a backfill that runs backwards, later ones serve too.
    """
    detector = detector or Detector()
    earlier = history.accepted(
        subject.dataset, exclude=subject.batch_key, before=subject.batch_at, limit=detector.window
    )
    if len(earlier) >= detector.minimum_history:
        return earlier
    return history.accepted(subject.dataset, exclude=subject.batch_key, limit=detector.window)


def judge(
    subject: Subject,
    profile: Profile,
    checks: Sequence[CheckResult],
    history: Sequence[HistoryRow],
    *,
    detector: Detector | None = None,
    policy: Policy | None = None,
    prices: Prices | None = None,
    means: Means | None = None,
) -> QualityReport:
    """
    Judge a batch; the same arguments give the same report.

    :param history: accepted batches, oldest first, without the batch itself.
    """
    detector, policy, means = detector or Detector(), policy or Policy(), means or Means()
    anomaly = detector.compare(
        features(profile, batch_at=subject.batch_at),
        [row.features for row in history if row.batch_key != subject.batch_key],
    )
    unusual = detector.check(anomaly)
    judged = (*checks, unusual) if unusual else tuple(checks)
    score = weigh(judged, policy)
    verdict = decide(score.value, judged, policy)
    failed = ranked(judged, policy)
    return QualityReport(
        dataset=subject.dataset,
        batch_key=subject.batch_key,
        label=subject.label,
        batch_at=subject.batch_at,
        measured_at=subject.measured_at,
        row_count=profile.row_count,
        quality_score=score.value,
        policy=policy,
        verdict=verdict,
        recommended_action=verdict.action,
        strongest_evidence=strongest_evidence(failed, anomaly),
        explanation=explain(verdict, score.value, failed, len(judged), anomaly, policy),
        reprocessing_cost_impact=reprocessing_cost(
            verdict, profile.row_count, judged, byte_count=means.byte_count, prices=prices
        ),
        compliance_status=NOT_CHECKED,
        checks=judged,
        contributions=score.contributions,
        anomaly=anomaly,
        profile=profile,
        engine=means.engine,
        dialect=means.dialect,
        sql=means.sql,
    )


def history_row(report: QualityReport) -> HistoryRow:
    """Give what the history keeps of a batch."""
    return HistoryRow(
        dataset=report.dataset,
        batch_key=report.batch_key,
        batch_at=report.batch_at,
        recorded_at=report.measured_at,
        features=features(report.profile, batch_at=report.batch_at),
        score=report.quality_score,
        verdict=report.verdict.value,
        accepted=report.passes,
    )
