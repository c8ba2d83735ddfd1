import re

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from airflow_agent_provider.quality.checks.pattern import portable

ATOMS = some.sampled_from([
    "a",
    "B",
    "7",
    r"\d",
    r"\w",
    r"\s",
    r"\D",
    r"\W",
    r"\S",
    ".",
    r"\.",
    "[a-c]",
    "[^a-c]",
    r"[\d_]",
    r"[\]\[^-]",
    "[]a]",
    r"\-",
    r"\n",
    r"\t",
    " ",
    "é",
    "(?:ab|c)",
    "(a|)",
    "^",
    "$",
    r"[\\]",
    r"\\",
    '"',
    "'",
    "#",
    "%",
    "[.]",
    "]",
])
REPEATS = some.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,}", "{0,2}", "*?", "+?", "??"])
PIECES = some.lists(some.tuples(ATOMS, REPEATS), min_size=1, max_size=5)
TEXTS = some.text(alphabet="abcAB_7 .-é\n\t][\"'\\#%^", max_size=6)


def written(pieces):
    # Nothing can be repeated of an anchor.
    return "".join(atom + ("" if atom in {"^", "$"} else repeat) for atom, repeat in pieces)


@given(pieces=PIECES, text=TEXTS)
@settings(max_examples=400, deadline=None)
@example(pieces=[(".", "")], text="\n")
@example(pieces=[("a", ""), ("$", "")], text="a\n")
def test_re2_matches_what_python_matches(pieces, text):
    """A translated pattern matches in DuckDB exactly when Python's ASCII fullmatch does of the original."""
    pattern = written(pieces)
    # Python lets $ match before a last newline; the value as a whole then is not matched anyway.
    expected = re.fullmatch(pattern.replace("$", r"\Z"), text, re.ASCII) is not None
    found = duckdb.execute("SELECT regexp_matches(?, ?)", [text, portable(pattern)]).fetchall()
    assert found == [(expected,)]


@pytest.mark.parametrize(("text", "expected"), [("ABC", True), ("abc", True), ("abd", False)])
def test_a_leading_flag_ignores_case(text, expected):
    """``(?i)`` in front is the one flag that all engines share."""
    assert duckdb.execute("SELECT regexp_matches(?, ?)", [text, portable("(?i)aBc")]).fetchall() == [
        (expected,)
    ]


@pytest.mark.parametrize(
    "pattern",
    [
        r"\bword",
        r"a\B",
        r"\Aa",
        r"a\Z",
        r"(a)\1",
        "(?P<x>a)",
        "(?P<x>a)(?P=x)",
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        "(?<!a)b",
        "(?s).",
        "(?m)^a",
        "(?x) a",
        "a(?i)b",
        "(?>a)",
        "a*+",
        "a++",
        "a{2}+",
        "a{,3}",
        "a{1",
        "a}",
        "a{256}",
        "[[:alpha:]]",
        r"[\D]",
        r"\u0041",
        r"\x41",
        "(?#note)a",
        "[a",
        "(a",
        "*a",
        r"\p{L}",
        "[a&&b]",
    ],
)
def test_what_engines_read_differently_is_refused(pattern):
    """No pattern passes that two engines could answer differently."""
    with pytest.raises(ValueError, match=r"engines|regular expression|write|at most|list the characters"):
        portable(pattern)
