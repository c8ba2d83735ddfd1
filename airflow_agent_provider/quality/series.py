"""Many batches on one page: how a data set fared, and what was wrong with those that stand out."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

from airflow_agent_provider.quality import plots
from airflow_agent_provider.quality.features import NULL_SHARE, features, split
from airflow_agent_provider.quality.figures import batch_name, clip
from airflow_agent_provider.quality.markup import chip, document, esc, section, table, tiles
from airflow_agent_provider.quality.page import against_history, findings
from airflow_agent_provider.quality.plots import Point
from airflow_agent_provider.quality.report import QualityReport
from airflow_agent_provider.quality.verdict import Verdict

MAX_DETAILS = 50
MULTIPLES = 4
LONGEST_KEY = 40


def render_series(reports: Sequence[QualityReport]) -> str:
    """
    Write the page of many batches, ordered by the moments that they stand for.

    :param reports: of one data set or of several; none gives a page that says so.
    """
    ordered = sorted(reports, key=lambda one: (one.batch_at, one.dataset, one.batch_key))
    datasets = ", ".join(dict.fromkeys(one.dataset for one in ordered)) or "no batches yet"
    parts = [_header(datasets, ordered)]
    if ordered:
        parts += [_scores(ordered), _rows(ordered), _nulls(ordered), _table(ordered), _details(ordered)]
    return document(f"Data quality: {datasets}", "\n".join(part for part in parts if part))


def _header(datasets: str, reports: Sequence[QualityReport]) -> str:
    counted = Counter(one.verdict for one in reports)
    items = [("Batches", str(len(reports)), f"{sum(one.row_count for one in reports):,} rows")]
    items += [
        (name.value.replace("_", " "), str(counted[name]), _remark(name)) for name in Verdict if counted[name]
    ]
    period = f"{batch_name(reports[0].batch_key)} to {batch_name(reports[-1].batch_key)}" if reports else ""
    title = f'<p class="crumb">Data quality</p>\n<h1>{esc(datasets)}</h1>'
    return f'{title}\n<p class="note">{esc(period)}</p>\n{tiles(items)}'


def _remark(verdict: Verdict) -> str:
    return "went on" if verdict.passes else "held back"


def _scores(reports: Sequence[QualityReport]) -> str:
    points = [
        Point(batch_name(one.batch_key), one.quality_score, one.verdict.value, failed=not one.passes)
        for one in reports
    ]
    thresholds = {one.threshold for one in reports}
    seen = [name for name in Verdict if any(one.verdict is name for one in reports)]
    legend = "".join(
        f'<span class="{name.value}">{"●" if name.passes else "■"} {esc(name.value.replace("_", " "))}</span>'
        for name in seen
    )
    threshold = thresholds.pop() if len(thresholds) == 1 else None
    picture = plots.responsive(
        lambda width: plots.trend("Score of each batch", points, width, threshold=threshold, top=1.0)
    )
    return section("Score", picture, f'<div class="legend">{legend}</div>')


def _rows(reports: Sequence[QualityReport]) -> str:
    points = [Point(batch_name(one.batch_key), float(one.row_count), one.verdict.value) for one in reports]
    return section("Rows", plots.responsive(lambda width: plots.columns("Rows of each batch", points, width)))


def _nulls(reports: Sequence[QualityReport]) -> str:
    shares = [features(one.profile) for one in reports]
    columns = dict.fromkeys(name for row in shares for name in row if split(name)[1] == NULL_SHARE)

    def stands_out(name: str) -> float:
        values = sorted(row[name] for row in shares if name in row)
        return values[-1] - values[len(values) // 2]

    chosen = sorted(columns, key=lambda name: (-stands_out(name), name))[:MULTIPLES]
    pictures = []
    for name in (name for name in chosen if stands_out(name) > 0):
        points = [
            Point(batch_name(one.batch_key), row.get(name), one.verdict.value, failed=not one.passes)
            for one, row in zip(reports, shares, strict=True)
        ]
        title = f"Share of nulls in {split(name)[0]}"
        picture = plots.trend(title, points, plots.SMALL, height=150)
        pictures.append(f"<div><h3><code>{esc(split(name)[0])}</code></h3>{picture}</div>")
    grid = f'<div class="multiples">\n{"".join(pictures)}\n</div>' if pictures else ""
    return section(
        "Share of nulls", grid, note="The columns whose share of nulls rose most above its usual level."
    )


def _table(reports: Sequence[QualityReport]) -> str:
    flagged = {id(one): place for place, one in enumerate(_flagged(reports))}
    rows = [
        (
            _linked(clip(batch_name(one.batch_key), LONGEST_KEY), flagged.get(id(one))),
            f"{one.row_count:,}",
            "none" if one.quality_score is None else f"{one.quality_score:.4f}",
            chip(one.verdict.value, one.verdict.value),
            esc(one.strongest_evidence),
        )
        for one in reports
    ]
    head = ("batch", "rows", "score", "verdict", "strongest evidence")
    return section("Every batch", table(head, rows, numbers=(1, 2)))


def _linked(key: str, place: int | None) -> str:
    return esc(key) if place is None else f'<a href="#batch-{place}">{esc(key)}</a>'


def _flagged(reports: Sequence[QualityReport]) -> list[QualityReport]:
    """Give the batches with a finding; the worst verdicts first when there are too many to show."""
    found = [one for one in reports if one.failed]
    worst = sorted(found, key=lambda one: list(Verdict).index(one.verdict), reverse=True)[:MAX_DETAILS]
    kept = {id(one) for one in worst}
    return [one for one in found if id(one) in kept]


def _details(reports: Sequence[QualityReport]) -> str:
    return "\n".join(itertools.starmap(_detail, enumerate(_flagged(reports))))


def _detail(place: int, one: QualityReport) -> str:
    outside = [part for part in one.anomaly.deviations if part.outside and one.anomaly.flagged]
    head = f"<strong>{esc(batch_name(one.batch_key))}</strong> {chip(one.verdict.value, one.verdict.value)}"
    return (
        f'<details class="batch" id="batch-{place}"{"" if one.passes else " open"}>\n'
        f'<summary>{head} <span class="faint">{esc(one.strongest_evidence)}</span></summary>\n'
        f"<p>{esc(one.explanation.partition(chr(10))[0])}</p>\n"
        f"{findings(one)}\n{against_history(outside[:5])}\n</details>"
    )
