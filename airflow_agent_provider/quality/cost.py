"""
What a batch that does not pass costs to process again.

Rows are known, bytes when the source told them, money only when somebody gave a price:
no figure is made up, and what is missing is said. The rows are those that the verdict
sends back: none of a batch that passes, the failing ones of a quarantined batch (at
most: a row may fail several checks), all of any other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.quality.results import CheckResult
from airflow_agent_provider.quality.verdict import Verdict

GB = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """
    What processing costs; both prices are charged when both are given.

    :param usd_per_gb: US dollars for 10^9 bytes.
    :param usd_per_million_rows: US dollars for 10^6 rows.
    :raises ConfigurationError: for a price that is negative or not finite.
    """

    usd_per_gb: float | None = None
    usd_per_million_rows: float | None = None

    def __post_init__(self) -> None:
        for name in ("usd_per_gb", "usd_per_million_rows"):
            price = getattr(self, name)
            if price is not None and not (math.isfinite(price) and price >= 0):
                raise ConfigurationError(f"Prices({name}={price}): a price is a number from 0 on")


@dataclass(frozen=True, slots=True)
class ReprocessingCost:
    """
    What has to be processed again.

    :param rows: at most.
    :param bytes: None when the source did not tell its size.
    :param usd: None when it cannot be known; ``reason`` says why.
    """

    rows: int
    bytes: int | None
    usd: float | None
    reason: str | None = None


def reprocessing_cost(
    verdict: Verdict,
    row_count: int,
    checks: Sequence[CheckResult],
    *,
    byte_count: int | None = None,
    prices: Prices | None = None,
) -> ReprocessingCost:
    """
    Estimate what the verdict sends back.

    :param byte_count: of the whole batch; the part is taken to be as large as its share of the rows.
    """
    rows = row_count
    if verdict.passes:
        rows = 0
    elif verdict is Verdict.QUARANTINE:
        failing = (one.failing_rows or 0 for one in checks if not one.passed and one.severity == "critical")
        rows = min(row_count, sum(failing))
    size = 0 if rows == 0 else None
    if byte_count is not None and row_count:
        size = round(byte_count * rows / row_count)
    usd, reason = _usd(rows, size, prices or Prices())
    return ReprocessingCost(rows, size, usd, reason)


def _usd(rows: int, size: int | None, prices: Prices) -> tuple[float | None, str | None]:
    if rows == 0:
        return 0.0, None
    if prices.usd_per_gb is None and prices.usd_per_million_rows is None:
        return None, "no price per GB or per million rows is configured"
    if prices.usd_per_gb is not None and size is None:
        return None, "a price per GB is configured, but the source does not tell its size"
    usd = rows / 1e6 * (prices.usd_per_million_rows or 0.0) + (size or 0) / GB * (prices.usd_per_gb or 0.0)
    return round(usd, 6), None
