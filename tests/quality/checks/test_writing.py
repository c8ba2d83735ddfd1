import math
import subprocess
import sys

import pytest

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.quality.checks import (
    AcceptedValues,
    Between,
    CustomQuery,
    CustomSql,
    Fresh,
    HasSchema,
    Matches,
    NotNull,
    RowCount,
    Unique,
)

IMPOSSIBLE = [
    (lambda: NotNull(""), "NotNull(column='')", "name a column"),
    (lambda: NotNull(None), "NotNull(column=None)", "name a column"),
    (lambda: NotNull("a", tolerance=1), "NotNull(tolerance=1)", "below 1"),
    (lambda: NotNull("a", tolerance=-0.1), "NotNull(tolerance=-0.1)", "at least 0"),
    (lambda: NotNull("a", tolerance=math.nan), "NotNull(tolerance=nan)", "finite"),
    (lambda: NotNull("a", tolerance=None), "NotNull(tolerance=None)", "number"),
    (lambda: NotNull("a", tolerance=True), "NotNull(tolerance=True)", "number"),
    (lambda: NotNull("a", severity="bad"), "NotNull(severity='bad')", "info, warning, error, critical"),
    (lambda: NotNull("a", name=" "), "NotNull(name=' ')", "text"),
    (Unique, "Unique(columns=())", "at least one column"),
    (lambda: Unique("a", ""), "Unique(columns=('a', ''))", "each must name a column"),
    (lambda: Unique("a", "a"), "Unique(columns=('a', 'a'))", "twice"),
    (lambda: AcceptedValues("a", []), "AcceptedValues(values=[])", "at least one value"),
    (lambda: AcceptedValues("a", "abc"), "AcceptedValues(values='abc')", "list of values"),
    (lambda: AcceptedValues("a", ["x", None]), "AcceptedValues(values=['x', None])", "NULL never fails"),
    (lambda: AcceptedValues("a", [math.nan]), "AcceptedValues(values=[nan])", "finite"),
    (lambda: Between("a"), "Between(minimum=None)", "minimum, maximum or both"),
    (lambda: Between("a", 2, 1), "Between(minimum=2)", "at most maximum=1"),
    (lambda: Between("a", math.nan, 1), "Between(minimum=nan)", "finite"),
    (lambda: Between("a", 0, math.inf), "Between(maximum=inf)", "finite"),
    (lambda: Between("a", 0, "soon"), "Between(maximum='soon')", "ISO 8601"),
    (lambda: Between("a", 0, "2013-01-01"), "Between(minimum=0)", "comparable"),
    (lambda: Between("a", "2013-01-02", "2013-01-01"), "Between(minimum='2013-01-02')", "at most maximum"),
    (lambda: Matches("a", "("), "Matches(pattern='(')", "not a regular expression"),
    (lambda: Matches("a", ""), "Matches(pattern='')", "regular expression"),
    (lambda: Matches("a", r"\bx"), "Matches(pattern=", "engines do not share"),
    (RowCount, "RowCount(minimum=None)", "minimum, maximum or both"),
    (lambda: RowCount(-1), "RowCount(minimum=-1)", "at least 0"),
    (lambda: RowCount(3, 2), "RowCount(minimum=3)", "at most maximum=2"),
    (lambda: Fresh("a", -1), "Fresh(hours=-1)", "at least 0"),
    (lambda: Fresh("a", 1, reference="now"), "Fresh(reference='now')", "ISO 8601"),
    (lambda: HasSchema({}), "HasSchema(columns={})", "at least one column"),
    (lambda: HasSchema({"a": 1}), "HasSchema(columns={'a': 1})", "'a' must have a kind"),
    (lambda: HasSchema({"": "text"}), "HasSchema(columns={'': 'text'})", "no column name"),
    (lambda: CustomSql(" "), "CustomSql(condition=' ')", "condition"),
    (lambda: CustomQuery("select 1"), "CustomQuery(minimum=None)", "minimum, maximum or both"),
    (lambda: CustomQuery("select 1", 3, 2), "CustomQuery(minimum=3)", "at most maximum=2"),
]


@pytest.mark.parametrize(("write", "what", "rule"), IMPOSSIBLE)
def test_an_impossible_check_is_refused_when_it_is_written(write, what, rule):
    """The DAG file fails to parse, and the message names check, parameter, value and rule."""
    with pytest.raises(ConfigurationError) as caught:
        write()
    assert str(caught.value).startswith(what)
    assert rule in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (NotNull("a"), NotNull("a", tolerance=0.5, severity="info", name="renamed")),
        (Between("a", 0, 1), Between("a", -5, 5)),
        (RowCount(1), RowCount(None, 9)),
        (Matches("a", "x"), Matches("a", "y")),
        (HasSchema({"a": None}), HasSchema({"b": None})),
        (CustomSql("a  >\n1"), CustomSql("a > 1", tolerance=0.1)),
    ],
)
def test_identity_survives_thresholds_severity_and_name(one, other):
    """A history by identity goes on when an author tunes a check."""
    assert one.identity == other.identity


def test_different_questions_have_different_identities():
    """Two checks that ask of different things never share a history."""
    checks = [
        NotNull("a"),
        NotNull("b"),
        Unique("a"),
        Unique("a", "b"),
        CustomSql("a > 1"),
        CustomSql("a > 2"),
    ]
    assert len({check.identity for check in checks}) == len(checks)


def test_a_check_is_labelled_as_it_was_written():
    """The report calls a check what its author would."""
    assert [
        check.label
        for check in (NotNull("tailnum"), Unique("a", "b"), Between("distance", 0, 6000), RowCount(5))
    ] == ["NotNull('tailnum')", "Unique('a', 'b')", "Between('distance', 0, 6000)", "RowCount(5)"]


def test_writing_checks_imports_no_engine():
    """DAG files are parsed all the time: checks and sources load neither SQL libraries nor data frames nor Airflow."""
    code = (
        "import sys\n"
        "import airflow_agent_provider.quality.checks, airflow_agent_provider.sources.catalogue\n"
        "heavy = {'sqlglot', 'duckdb', 'pandas', 'numpy', 'pyarrow', 'airflow', 'httpx'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
