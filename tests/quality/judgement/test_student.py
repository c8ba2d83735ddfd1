"""The tail of Student's t, against printed tables and its own symmetries."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_agent_provider.quality.student import SMALLEST, upper_tail

steady = settings(deadline=None, derandomize=True, database=None)
TABLE = {
    # degrees of freedom: the values exceeded with probability 0.05 and 0.005
    1: (6.31375, 63.65674),
    2: (2.91999, 9.92484),
    3: (2.35336, 5.84091),
    7: (1.89458, 3.49948),
    10: (1.81246, 3.16927),
    30: (1.69726, 2.75000),
}


@pytest.mark.parametrize(("degrees", "values"), TABLE.items())
def test_tails_are_those_of_the_printed_tables(degrees, values):
    """For even and odd degrees of freedom."""
    assert [upper_tail(value, degrees) for value in values] == pytest.approx([0.05, 0.005], rel=1e-4)


def test_many_degrees_of_freedom_approach_the_normal_distribution():
    """1.96 is exceeded in 2.5 of 100 cases."""
    assert upper_tail(1.959964, 10_000) == pytest.approx(0.025, rel=1e-3)


def test_a_tail_too_small_for_arithmetic_is_given_as_the_smallest():
    """Never as zero: a p-value of zero claims too much."""
    assert upper_tail(math.inf, 7) == SMALLEST
    assert upper_tail(1e9, 50) == SMALLEST


@steady
@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.integers(1, 400))
def test_the_tail_falls_and_is_symmetric(one, other, degrees):
    """Larger values are rarer, and both sides add up to one."""
    low, high = sorted((one, other))
    assert upper_tail(high, degrees) <= upper_tail(low, degrees) + 1e-12
    assert upper_tail(one, degrees) + upper_tail(-one, degrees) == pytest.approx(1.0)
