"""Reports as plain text: figures, the terminal's table, markdown."""

import math
from dataclasses import replace

import pytest

from airflow_agent_provider.quality.figures import batch_name, clip, count, figure, printable, span
from airflow_agent_provider.quality.investigation import Claim
from airflow_agent_provider.quality.table import table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.50753, "0.508"),
        (0.00012345, "0.000123"),
        (1.4e-09, "1.4e-09"),
        (12.345, "12.3"),
        (123.7, "124"),
        (-14.95, "-14.9"),
        (1234.5, "1,234"),
        (1_234_567.0, "1,234,567"),
        (1e15, "1e+15"),
        (5, "5"),
        (0.1, "0.1"),
        (math.inf, "inf"),
    ],
)
def test_figures_are_written_as_people_read_them(value, text):
    """Three digits that matter, whole numbers in full."""
    assert figure(value) == text


def test_small_words():
    """Ranges, counts, cuts and names of batches."""
    assert (span(0, 0.25), span(5, 5)) == ("0 to 0.25", "always 5")
    assert (count(1, "batch"), count(2, "batch"), count(1200, "row")) == (
        "1 batch",
        "2 batches",
        "1,200 rows",
    )
    assert (clip("abcdef", 4), clip("abc", 4)) == ("abc…", "abc")
    assert batch_name("2013-02-08T00:00:00+00:00") == "2013-02-08"
    assert batch_name("2013-02-08T05:30:00+00:00") == "2013-02-08 05:30"
    assert batch_name("manual__x") == "manual__x"
    assert printable("a\x1b[2Jb\u202ec") == "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}c"


def test_the_table_is_aligned_and_narrow(report, check):
    """A line per batch, none longer than 120 characters, whatever the names."""
    long = replace(report(check("x" * 500, credit=0.0)), batch_key="k" * 200, row_count=10**12)
    lines = table([report(), long, report(check(credit=0.0), history=0, day=4)]).split("\n")
    assert len(lines) == 5
    assert max(len(line) for line in lines) <= 120
    assert lines[0].split() == ["batch", "rows", "score", "verdict", "strongest", "evidence"]
    column = lines[0].index("verdict")
    assert [line[column:].split()[0] for line in lines[2:]] == ["approve", "clean", "clean"]
    assert lines[3].endswith("…")


def test_the_table_cannot_rewrite_the_terminal(report, check):
    """Nor break its lines."""
    evil = replace(report(check("\x1b[2J\nApproved", credit=0.0)), batch_key="a\rb")
    text = table([evil])
    assert len(text.split("\n")) == 3
    assert all(line.isprintable() for line in text.split("\n"))


def test_an_empty_table_has_its_head():
    """And nothing else."""
    assert len(table([]).split("\n")) == 2


def test_markdown_tells_the_same_story(report, check):
    """Verdict, findings, history, score."""
    judged = replace(report(check(credit=0.25), mean=50.0), diagnosis=(Claim("Because.", ("a.mean",)),))
    text = judged.to_markdown()
    assert text.startswith("# flights, 2013-01-15: clean\n")
    assert "2. `NotNull('a')` (error, completeness): 75.0% of the rows fail, 0% allowed" in text
    assert "| `a.mean` | 50 | 0 to 0.6 |" in text
    assert "- Because. (`a.mean`)" in text
    assert f"Score **{judged.quality_score:.4f}**" in text


@pytest.mark.parametrize(
    "attack",
    [
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "`</code><b>`",
        "a|b\nc",
        "# h\n- l",
        "@all",
    ],
)
def test_markdown_of_others_stays_text(report, check, attack):
    """No markup, link, mention, table cell or line of theirs."""
    plain, evil = (
        report(check("x", credit=0.0)),
        report(check(attack, credit=0.0, message=attack), dataset=attack),
    )
    evil = replace(evil, diagnosis=(Claim(attack, (attack,)),))
    text = evil.to_markdown()
    outside_code = "".join(text.split("`")[::2])
    assert not any(bad in outside_code for bad in ("<img", "<b>", "](", "@all", "\nc", "\n- l"))
    cells = [line.replace("\\|", "").count("|") for line in text.split("\n") if line.startswith("|")]
    expected = [line.count("|") for line in plain.to_markdown().split("\n") if line.startswith("|")]
    assert cells == expected
