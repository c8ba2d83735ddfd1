"""Many batches as a plain table for a terminal: what a run over a month looks like at a glance."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_agent_provider.quality.figures import batch_name, clip, printable
from airflow_agent_provider.quality.report import QualityReport

HEAD = ("batch", "rows", "score", "verdict", "strongest evidence")
WIDTH = 120
LONGEST_KEY = 32


def table(reports: Sequence[QualityReport]) -> str:
    """
    Write a line per batch, aligned, in the given order; no line is longer than 120 characters.

    The texts come from data: control characters, which could rewrite a terminal, are replaced.
    """
    rows = [
        (
            clip(printable(batch_name(one.batch_key)), LONGEST_KEY),
            f"{one.row_count:,}",
            "none" if one.quality_score is None else f"{one.quality_score:.4f}",
            one.verdict.value,
            printable(one.strongest_evidence),
        )
        for one in reports
    ]
    widths = [max(len(row[at]) for row in (HEAD, *rows)) for at in range(4)]
    rest = WIDTH - sum(widths) - 2 * len(widths)
    rule = ("-" * widths[0], "-" * widths[1], "-" * widths[2], "-" * widths[3], "-" * len(HEAD[4]))
    return "\n".join(_line(row, widths, rest) for row in (HEAD, rule, *rows))


def _line(row: Sequence[str], widths: Sequence[int], rest: int) -> str:
    key, rows, score, verdict, evidence = row
    cells = (key.ljust(widths[0]), rows.rjust(widths[1]), score.rjust(widths[2]), verdict.ljust(widths[3]))
    return f"{'  '.join(cells)}  {clip(evidence, rest)}".rstrip()
