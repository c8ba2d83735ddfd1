"""
The report: everything that was found about one batch, in one value.

``to_json`` is the record, and ``from_json`` reads it back; ``summary`` is what fits an
XCom and holds no value of a row; ``to_html`` and ``to_markdown`` are for people.

``compliance_status`` is ``not_checked``: the checks of this release do not look for
personal data, and a status that nobody checked would be worse than none.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from airflow_agent_provider.exceptions import UnreadableFile
from airflow_agent_provider.quality.anomaly import Anomaly, Deviation
from airflow_agent_provider.quality.cost import ReprocessingCost
from airflow_agent_provider.quality.explanation import evidence, issue, ranked
from airflow_agent_provider.quality.figures import clip
from airflow_agent_provider.quality.investigation import Claim
from airflow_agent_provider.quality.results import CheckResult, Column, ColumnProfile, Measurement, Profile
from airflow_agent_provider.quality.score import Contribution
from airflow_agent_provider.quality.verdict import Policy, Verdict

VERSION = 1
SUMMARY_BYTES = 10_000
LONGEST = 160
"""Characters of one text in the summary."""
NOT_CHECKED = "not_checked"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class QualityReport:
    """
    What was found about one batch, and what follows.

    :param label: what people call the batch; no secrets.
    :param batch_at: the moment that the batch stands for.
    :param quality_score: in [0, 1]; None when nothing could be weighed.
    :param policy: the threshold and weights that it was judged by.
    :param explanation: from the evidence alone; no model wrote it.
    :param diagnosis: a model's claims, each with the evidence it cites; decides nothing.
    :param diagnosis_note: why there is no diagnosis, or what was dropped from it.
    :param queries: what the investigation ran: id -> SQL.
    :param sql: the one statement that measured the batch.
    """

    dataset: str
    batch_key: str
    label: str
    batch_at: datetime
    measured_at: datetime
    row_count: int
    quality_score: float | None
    policy: Policy
    verdict: Verdict
    recommended_action: str
    strongest_evidence: str
    explanation: str
    reprocessing_cost_impact: ReprocessingCost
    compliance_status: str
    checks: tuple[CheckResult, ...]
    contributions: tuple[Contribution, ...]
    anomaly: Anomaly
    profile: Profile
    engine: str = ""
    dialect: str = ""
    sql: str = ""
    diagnosis: tuple[Claim, ...] = ()
    diagnosis_note: str = ""
    queries: dict[str, str] = field(default_factory=dict)

    @property
    def threshold(self) -> float:
        """What the score had to be above."""
        return self.policy.threshold

    @property
    def passes(self) -> bool:
        """Whether the batch goes on as it is."""
        return self.verdict.passes

    @property
    def analytics_ready(self) -> bool:
        """Whether analyses may be built on the batch as it is."""
        return self.verdict.passes

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """The failed checks, first the one that costs the score most."""
        return tuple(ranked(self.checks, self.policy))

    @property
    def issues_found(self) -> list[dict[str, Any]]:
        """The failed checks as plain JSON, first the one that costs the score most; no row values."""
        return [issue(check) for check in self.failed]

    def evidence(self) -> dict[str, str]:
        """List what a diagnosis may cite, most telling first: id -> one line; no texts from rows."""
        return evidence(self.failed, self.anomaly, self.profile)

    def summary(self) -> dict[str, Any]:
        """
        Give what fits an XCom: plain JSON, under 10 kB, no row values, no text by a model.

        Long names are cut; of many issues the strongest are kept, ``issues`` counts them all.
        """
        issues = [_short_issue(one) for one in self.issues_found[:20]]
        short = {
            "version": VERSION,
            "dataset": _short(self.dataset),
            "batch_key": _short(self.batch_key),
            "batch_at": self.batch_at.isoformat(),
            "measured_at": self.measured_at.isoformat(),
            "row_count": self.row_count,
            "quality_score": self.quality_score,
            "threshold": self.threshold,
            "verdict": self.verdict.value,
            "passes": self.passes,
            "analytics_ready": self.analytics_ready,
            "recommended_action": self.recommended_action,
            "strongest_evidence": _short(self.strongest_evidence),
            "issues": len(self.issues_found),
            "issues_found": issues,
            "anomaly_p_value": self.anomaly.p_value,
            "history_size": self.anomaly.history_size,
            "reprocessing_cost_impact": asdict(self.reprocessing_cost_impact),
            "compliance_status": self.compliance_status,
            "diagnosis_claims": len(self.diagnosis),
        }
        while issues and len(json.dumps(short)) >= SUMMARY_BYTES:
            issues.pop()
        return short

    def to_json(self) -> str:
        """Write the whole report; :meth:`from_json` reads it. A number that is not finite becomes null."""
        derived = {"issues_found": self.issues_found, "analytics_ready": self.analytics_ready}
        return json.dumps({"version": VERSION, **_plain(asdict(self)), **_plain(derived)}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> QualityReport:
        """
        Read what :meth:`to_json` wrote.

        :raises UnreadableFile: when it is no report, or one of another version.
        """
        try:
            record = json.loads(text)
            if record["version"] != VERSION:
                raise UnreadableFile(
                    f"quality report: version {record['version']!r}, this release reads {VERSION}"
                )
            return _report(record)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UnreadableFile(
                f"quality report: {type(error).__name__}, not what to_json writes"
            ) from error

    def to_html(self) -> str:
        """Write one self-contained page: no script, no request to anywhere."""
        from airflow_agent_provider.quality import page

        return page.render(self)

    def to_markdown(self) -> str:
        """Write the report for a ticket, a chat or a log."""
        from airflow_agent_provider.quality import markdown

        return markdown.render(self)


def _short(text: str) -> str:
    # Six bytes for each character outside ASCII, twelve outside the basic plane.
    text = clip(text, LONGEST)
    while len(json.dumps(text)) > 3 * LONGEST:
        text = clip(text, len(text) * 2 // 3)
    return text


def _short_issue(found: dict[str, Any]) -> dict[str, Any]:
    return {
        **found,
        "check": _short(found["check"]),
        "message": _short(found["message"]),
        "columns": [_short(name) for name in found["columns"][:3]],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.isoformat() if isinstance(value, datetime) else value


def _report(record: dict[str, Any]) -> QualityReport:
    profile = record["profile"]
    anomaly = record["anomaly"]
    return QualityReport(
        **{name: record[name] for name in _AS_IS},
        batch_at=datetime.fromisoformat(record["batch_at"]),
        measured_at=datetime.fromisoformat(record["measured_at"]),
        policy=Policy(**record["policy"]),
        verdict=Verdict(record["verdict"]),
        reprocessing_cost_impact=ReprocessingCost(**record["reprocessing_cost_impact"]),
        checks=tuple(_tuples(CheckResult, one, "columns", "metrics") for one in record["checks"]),
        contributions=tuple(Contribution(**one) for one in record["contributions"]),
        anomaly=Anomaly(**{
            **anomaly,
            "deviations": tuple(_tuples(Deviation, one, "history") for one in anomaly["deviations"]),
        }),
        profile=Profile(profile["row_count"], tuple(_column(one) for one in profile["columns"])),
        diagnosis=tuple(_tuples(Claim, one, "evidence") for one in record["diagnosis"]),
    )


_AS_IS = (
    *(
        "dataset",
        "batch_key",
        "label",
        "row_count",
        "quality_score",
        "recommended_action",
        "strongest_evidence",
    ),
    *("explanation", "compliance_status", "engine", "dialect", "sql", "diagnosis_note", "queries"),
)


def _tuples(kind: type[T], record: dict[str, Any], *names: str) -> T:
    return kind(**{**record, **{name: tuple(record[name]) for name in names}})


def _column(record: dict[str, Any]) -> ColumnProfile:
    metrics = {name: Measurement(**one) for name, one in record["metrics"].items()}
    return ColumnProfile(Column(**record["column"]), metrics)
