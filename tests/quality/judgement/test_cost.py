"""What is to be processed again is counted; what is not known is said, not made up."""

import math

import pytest

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.quality.cost import Prices, ReprocessingCost, reprocessing_cost
from airflow_agent_provider.quality.verdict import Verdict

PRICED = Prices(usd_per_gb=5.0, usd_per_million_rows=2.0)


@pytest.mark.parametrize("verdict", [Verdict.APPROVE, Verdict.APPROVE_WITH_NOTES])
def test_a_batch_that_passes_costs_nothing(verdict):
    """With or without a price."""
    assert reprocessing_cost(verdict, 1000, []) == ReprocessingCost(0, 0, 0.0)


@pytest.mark.parametrize("verdict", [Verdict.CLEAN, Verdict.REJECT])
def test_a_batch_that_is_sent_back_costs_all_of_it(verdict):
    """Rows by the million, bytes by the GB."""
    cost = reprocessing_cost(verdict, 2_000_000, [], byte_count=3_000_000_000, prices=PRICED)
    assert cost == ReprocessingCost(2_000_000, 3_000_000_000, 19.0)


def test_quarantine_costs_the_failing_rows(check):
    """Those of the critical checks, at most all; bytes in proportion."""
    failed = [check(f"{n}", credit=0.5, severity="critical", failing_rows=300) for n in range(2)]
    other = check("other", credit=0.5, severity="error", failing_rows=900)
    cost = reprocessing_cost(Verdict.QUARANTINE, 1000, [*failed, other], byte_count=5000)
    assert (cost.rows, cost.bytes) == (600, 3000)
    assert reprocessing_cost(Verdict.QUARANTINE, 500, failed).rows == 500


def test_without_a_price_there_is_no_figure():
    """The reason says what is missing."""
    cost = reprocessing_cost(Verdict.CLEAN, 1000, [], byte_count=5000)
    assert (cost.rows, cost.bytes, cost.usd) == (1000, 5000, None)
    assert cost.reason == "no price per GB or per million rows is configured"


def test_a_price_per_gb_needs_the_size():
    """Half of a sum is no sum."""
    cost = reprocessing_cost(Verdict.CLEAN, 1000, [], prices=PRICED)
    assert (cost.bytes, cost.usd) == (None, None)
    assert "does not tell its size" in cost.reason


@pytest.mark.parametrize("wrong", [{"usd_per_gb": -1.0}, {"usd_per_million_rows": math.nan}])
def test_a_price_that_is_no_price_is_refused(wrong):
    """By its name."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Prices(**wrong)
