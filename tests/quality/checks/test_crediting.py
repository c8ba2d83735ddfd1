from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as some

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.quality.checks import (
    CustomQuery,
    Fresh,
    HasSchema,
    Matches,
    NotNull,
    RowCount,
)
from airflow_agent_provider.quality.checks.base import Measured
from airflow_agent_provider.quality.results import Column

NOON = datetime(2013, 2, 8, 12, tzinfo=UTC)


def measured(rows=100, columns=(), at=NOON, **values):
    return Measured(rows, {column.name: column for column in columns}, values, at)


def test_twice_the_allowed_share_earns_half():
    """A check allowed 5 % that found 10 % earns half."""
    result = NotNull("dep_time", tolerance=0.05).evaluate(measured(values=90))
    assert (result.passed, result.found, result.allowed, result.credit) == (False, 0.1, 0.05, 0.5)


def test_without_tolerance_there_is_no_partial_credit():
    """One failing row in a million earns nothing when none is allowed."""
    result = NotNull("dep_time").evaluate(measured(rows=10**6, values=10**6 - 1))
    assert (result.passed, result.credit, result.failing_rows) == (False, 0.0, 1)


@given(rows=some.integers(1, 10**9), data=some.data(), tolerance=some.floats(0, 1, exclude_max=True))
def test_credit_is_one_exactly_when_passed(rows, data, tolerance):
    """Credit lies in [0, 1], is 1 for a passed check and below 1 for a failed one, however near it came."""
    failing = data.draw(some.integers(0, rows))
    result = Matches("a", "x", tolerance=tolerance).evaluate(
        measured(rows=rows, values=rows, good=rows - failing)
    )
    assert result.passed == (failing / rows <= tolerance)
    assert (result.credit == 1.0) == result.passed
    assert 0.0 <= result.credit <= 1.0


@given(hundredths=some.integers(0, 99))
def test_a_share_exactly_at_its_tolerance_passes(hundredths):
    """7 of 100 rows is 7 %, whatever binary fractions make of it."""
    result = Matches("a", "x", tolerance=hundredths / 100).evaluate(
        measured(values=100, good=100 - hundredths)
    )
    assert result.passed


def test_the_message_is_a_sentence_with_figures():
    """People read what was found, of how many, and what is allowed."""
    result = NotNull("dep_time", tolerance=0.05).evaluate(measured(rows=842, values=411))
    assert result.message == "51.2 % of rows have no dep_time (431 of 842); 5 % allowed"


def test_nearly_all_is_not_said_to_be_all():
    """A share is never rounded up to 100 %."""
    assert "over 99.9 % of rows" in NotNull("a").evaluate(measured(rows=10**6, values=1)).message


@pytest.mark.parametrize(
    ("check", "rows", "passed", "credit", "allowed"),
    [
        (RowCount(80), 40, False, 0.5, 80),
        (RowCount(None, 80), 160, False, 0.5, 80),
        (RowCount(80, 160), 80, True, 1.0, 160),
        (RowCount(80, 160), 160, True, 1.0, 160),
    ],
)
def test_row_count_credits_the_ratio_to_the_bound(check, rows, passed, credit, allowed):
    """Half the rows, or twice, earn half."""
    result = check.evaluate(measured(rows=rows))
    assert (result.passed, result.credit, result.found, result.allowed) == (passed, credit, rows, allowed)


@pytest.mark.parametrize(
    ("newest", "passed", "credit", "found"),
    [
        ("2013-02-08 06:00:00", True, 1.0, 6.0),
        ("2013-02-08 06:00:00+00", True, 1.0, 6.0),
        ("2013-02-08 06:00:00+06", True, 1.0, 12.0),
        ("2013-02-07", False, 24 / 36, 36.0),
        ("2014-01-01", True, 1.0, 0.0),
        (None, False, 0.0, None),
        ("infinity", False, 0.0, None),
        ("5881580-07-10", False, 0.0, None),
        ("0044-03-15 00:00:00 BC", False, 0.0, None),
    ],
)
def test_freshness_counts_hours_to_the_reference(newest, passed, credit, found):
    """Age is measured in UTC; what is no time of the calendar fails without an error."""
    result = Fresh("t").evaluate(measured(newest=newest))
    assert (result.passed, result.credit, result.found) == (passed, credit, found)


def test_freshness_takes_its_own_reference_first():
    """A reference on the check overrides the run's."""
    assert Fresh("t", 1, reference="2013-01-01T01:00:00").evaluate(measured(newest="2013-01-01")).passed


def test_freshness_without_a_reference_says_what_to_give():
    """Pure code reads no clock: with no reference there is no answer."""
    with pytest.raises(ConfigurationError, match=r"Fresh\('t', 24.0\).*data_interval_end"):
        Fresh("t").evaluate(measured(at=None, newest="2013-01-01"))


COLUMNS = (Column("a", "INTEGER", "number"), Column("b", "VARCHAR(20)", "text"), Column("c", "DATE", "time"))


@pytest.mark.parametrize(
    ("check", "credit", "said"),
    [
        (HasSchema({"a": "number", "b": "varchar", "c": "DATE"}), 1.0, "all 3 agreed columns"),
        (HasSchema({"a": "integer", "b": None}), 1.0, "all 2 agreed columns"),
        (HasSchema({"a": "text", "z": None}), 0.0, "missing: z; differing: a is INTEGER, not text"),
        (HasSchema({"a": "number", "b": "text"}, extra=False), 2 / 3, "not agreed: c"),
    ],
)
def test_schema_counts_columns_that_differ(check, credit, said):
    """Missing, retyped and added columns are named, and cost their share."""
    result = check.evaluate(measured(columns=COLUMNS))
    assert (result.credit, said in result.message) == (credit, True)


@pytest.mark.parametrize(
    ("value", "passed", "credit"),
    [(3, True, 1.0), (1.5, False, 0.5), (6, False, 4 / 6), (-3, False, 0.0), (None, False, 0.0)],
)
def test_a_query_is_held_against_its_bounds(value, passed, credit):
    """A scalar below or above is credited by its ratio; no number earns nothing."""
    result = CustomQuery("select 1", 3, 4).evaluate(measured(value=value))
    assert (result.passed, result.credit) == (passed, credit)
