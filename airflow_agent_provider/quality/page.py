"""
The report of one batch as a page: verdict first, then why, then everything behind it.

:func:`findings` and :func:`against_history` also serve the page of many batches
(:mod:`~airflow_agent_provider.quality.series`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from airflow_agent_provider.quality import plots
from airflow_agent_provider.quality.anomaly import Deviation
from airflow_agent_provider.quality.figures import batch_name, clip, count, figure, span
from airflow_agent_provider.quality.markup import chip, document, esc, section, table, tiles
from airflow_agent_provider.quality.report import QualityReport
from airflow_agent_provider.quality.results import CheckResult, ColumnProfile, Profile

COMMON = 0.01
"""Frequent values are shown from this share of the rows on: rarer ones may be a person's."""
LONGEST_NAME = 60
SHOWN_METRICS = ("min", "p05", "p50", "mean", "p95", "max", "std")


def render(report: QualityReport) -> str:
    """Write the page of one batch."""
    return document(
        f"{batch_name(report.batch_key)} {report.dataset}: {report.verdict.value}",
        "\n".join(part for part in _parts(report) if part),
    )


def findings(report: QualityReport) -> str:
    """List the failed checks, first the one that costs the score most."""
    items = "\n".join(_finding(one) for one in report.failed)
    return f'<ol class="findings">\n{items}\n</ol>' if items else ""


def _finding(one: CheckResult) -> str:
    about = (
        one.dimension if one.failing_rows is None else f"{one.dimension}, {count(one.failing_rows, 'row')}"
    )
    head = f"<strong>{esc(one.name)}</strong> {chip(one.severity, one.severity)}"
    return f'<li>{head} <span class="faint">{esc(about)}</span><br>{esc(one.message)}</li>'


def against_history(deviations: Sequence[Deviation]) -> str:
    """Show features among the accepted batches' values, largest part of the distance first."""
    rows = "\n".join(_feature(one) for one in deviations)
    return f'<div class="features">\n{rows}\n</div>' if rows else ""


def _feature(one: Deviation) -> str:
    past = span(min(one.history), max(one.history))
    words = f"against {esc(past)}; {one.share:.0%}&nbsp;of&nbsp;the&nbsp;distance"
    figures = f'<span>{esc(figure(one.found))} <span class="faint">{words}</span></span>'
    return f'<div class="feature"><code>{esc(one.feature)}</code>{plots.strip(one)}{figures}</div>'


def _parts(report: QualityReport) -> Iterator[str]:
    yield _header(report)
    outcome, *rest = report.explanation.split("\n")
    notes = "".join(f"<p>{esc(line)}</p>" for line in rest if line.startswith("History"))
    yield section("What was found", f"<p>{esc(outcome)}</p>", findings(report), notes)
    yield _diagnosis(report)
    yield _score(report)
    anomaly = report.anomaly
    yield section(
        "Against the history",
        against_history(anomaly.deviations),
        note=f"Dots are the {count(anomaly.history_size, 'accepted batch')}, the square is this one. "
        "Listed are the figures that make most of its distance to the nearest of them.",
    )
    yield _profile(report.profile)
    yield _measured(report)


def _header(report: QualityReport) -> str:
    score = "none" if report.quality_score is None else f"{report.quality_score:.4f}"
    cost, anomaly = report.reprocessing_cost_impact, report.anomaly
    money = f"{cost.usd:,.2f} USD" if cost.usd is not None else f"cost unknown: {cost.reason}"
    p_value = "not compared" if anomaly.p_value is None else f"{anomaly.p_value:.2g}"
    ready = "analytics ready" if report.analytics_ready else "not analytics ready"
    remark = f"{anomaly.history_size} accepted batches" if anomaly.p_value is not None else anomaly.note
    return "\n".join([
        f'<p class="crumb">{esc(report.dataset)}</p>',
        f"<h1>{esc(batch_name(report.batch_key))} {chip(report.verdict.value, report.verdict.value)}</h1>",
        f'<p class="note">{esc(report.label)}</p>',
        tiles([
            ("Score", score, f"passes above {report.threshold:g}"),
            ("Rows", f"{report.row_count:,}", ready),
            ("Checks failed", f"{len(report.failed)} of {len(report.checks)}", report.recommended_action),
            ("p against history", p_value, remark),
            ("To process again", count(cost.rows, "row"), money),
            ("Compliance", report.compliance_status.replace("_", " "), ""),
        ]),
    ])  # fmt: skip


def _diagnosis(report: QualityReport) -> str:
    claims = "\n".join(
        f"<li>{esc(one.claim)}<br>{' '.join(f'<code>{esc(name)}</code>' for name in one.evidence)}</li>"
        for one in report.diagnosis
    )
    note = f'<p class="note">{esc(report.diagnosis_note)}</p>' if report.diagnosis_note else ""
    return section(
        "Diagnosis",
        f'<ol class="findings">\n{claims}\n</ol>' if claims else "",
        note,
        note="Written by a model after the verdict stood; it decided nothing. Each claim names its evidence."
        if claims
        else "",
    )


def _score(report: QualityReport) -> str:
    if report.quality_score is None:
        return ""
    rows = [
        (
            f"<code>{esc(clip(check.name, LONGEST_NAME))}</code>",
            chip("passed", "passed") if check.passed else chip(check.severity, check.severity),
            esc(check.dimension),
            f"{part.weight:g}",
            f"{part.credit:.3f}",
            f"{part.share:.4f}",
            f"{part.earned:.4f}",
            f"{part.lost:.4f}",
        )
        for check, part in zip(report.checks, report.contributions, strict=True)
    ]
    head = ("check", "outcome", "dimension", "weight", "credit", "could earn", "earned", "lost")
    return section(
        "How the score came about",
        plots.responsive(lambda width: plots.score_bar(report.contributions, report.threshold, width)),
        table(head, rows, numbers=range(3, 8)),
        note="A mean of what the checks earned, weighted by severity. What was earned adds up to the score.",
    )


def _profile(profile: Profile) -> str:
    head = ("column", "type", "nulls", "distinct", *SHOWN_METRICS, "common values")
    rows = [_profile_row(one, profile.row_count) for one in profile.columns]
    return section("Profile", table(head, rows, numbers=range(2, 4 + len(SHOWN_METRICS))) if rows else "")


def _profile_row(one: ColumnProfile, row_count: int) -> list[str]:
    metrics = {name: measured.value for name, measured in one.metrics.items()}
    rough = {name for name, measured in one.metrics.items() if measured.precision != "exact"}
    nulls = metrics.get("null_count")
    share = f"{nulls / row_count:.1%}" if isinstance(nulls, (int, float)) and row_count else ""

    def cell(name: str) -> str:
        value = metrics.get(name)
        if isinstance(value, (int, float)):
            return ("≈&nbsp;" if name in rough else "") + figure(value)
        # The extremes of a text column are values of single rows.
        return _moment(value) if isinstance(value, str) and one.column.kind == "time" else ""

    top = metrics.get("top")
    common = [
        f"<code>{esc(clip(str(value), 24))}</code>&nbsp;{number / row_count:.0%}"
        for value, number in (top[:3] if isinstance(top, list) else [])
        if isinstance(number, (int, float)) and row_count and number > 1 and number / row_count >= COMMON
    ]
    return [
        f"<code>{esc(clip(one.column.name, LONGEST_NAME))}</code>",
        esc(one.column.type),
        share,
        cell("distinct_count"),
        *(cell(name) for name in SHOWN_METRICS),
        " ".join(common),
    ]


def _moment(text: str) -> str:
    return " ".join(f"<span>{esc(part)}</span>" for part in text[:16].split("T"))


def _measured(report: QualityReport) -> str:
    where = " ".join(
        part for part in (report.engine, f"({report.dialect})" if report.dialect else "") if part
    )
    at = report.measured_at.strftime("%Y-%m-%d %H:%M:%S %Z")
    statements = [("The statement", report.sql)] if report.sql else []
    statements += [(name, sql) for name, sql in report.queries.items()]
    details = "\n".join(
        f"<details><summary>{esc(name)}</summary><pre>{esc(sql)}</pre></details>" for name, sql in statements
    )
    return section("How it was measured", f"<p>{esc(where or 'Measured')}, {esc(at)}</p>", details)
