"""Pages are whole, ask for nothing, and show other people's text as text."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from airflow_agent_provider.quality.investigation import Claim
from airflow_agent_provider.quality.plots import Point, columns, score_bar, strip, trend
from airflow_agent_provider.quality.results import Column, ColumnProfile, Measurement, Profile
from airflow_agent_provider.quality.series import MAX_DETAILS, render_series

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload='alert(1)'>",
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "javascript:alert(1)",
    "<!--",
    "]]>",
    "&lt;b&gt;",
    "a\x00b\x1b[31m\u202e\ud800",
    "{{ 7*7 }} ${7*7}",
]
VOID = {"meta", "br"}
ALLOWED = set(
    "html head meta title style body main section header h1 h2 h3 p div span strong code pre ol li br a table "
    "thead tbody tr th td details summary svg rect circle line text polyline".split()
)


class Strict(HTMLParser):
    """Collects the elements and attributes of a page; fails on one that is not closed."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.attributes, self.words = [], set(), [], []

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data)


def parsed(page):
    parser = Strict()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def hostile(report, check, attack):
    """A report with other people's text wherever it can stand."""
    judged = report(
        check(attack, credit=0.2, message=attack, columns=(attack,), failing_rows=3),
        mean=50.0,
        dataset=attack,
    )
    column = ColumnProfile(
        Column(attack, attack, "text"),
        {"null_count": Measurement(500), "top": Measurement([[attack, 900]]), "min": Measurement(attack)},
    )
    moment = ColumnProfile(
        Column("t", "time", "time"), {"min": Measurement(attack), "max": Measurement("2013-02-08T05:00")}
    )
    deviations = tuple(replace(one, feature=f"{attack}.mean") for one in judged.anomaly.deviations)
    return replace(
        judged,
        batch_key=attack,
        label=attack,
        engine=attack,
        dialect=attack,
        sql=attack,
        strongest_evidence=attack,
        explanation=f"{attack}\nHistory: {attack}",
        anomaly=replace(judged.anomaly, deviations=deviations),
        profile=Profile(1000, (*judged.profile.columns, column, moment)),
        diagnosis=(Claim(attack, (attack,)),),
        diagnosis_note=attack,
        queries={attack: attack},
    )


@pytest.mark.parametrize("attack", ATTACKS)
def test_other_peoples_text_stays_text(report, check, attack):
    """In every place of both pages: no element, no attribute and no address of theirs."""
    judged = hostile(report, check, attack)
    for page in (judged.to_html(), render_series([judged, report(day=1)])):
        found = parsed(page)
        assert found.elements <= ALLOWED
        assert not any(name.startswith("on") or name == "src" for name, _ in found.attributes)
        assert all(value.startswith("#batch-") for name, value in found.attributes if name == "href")
        page.encode("utf-8")
        words = "".join(found.words)
        assert (
            "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in attack)
            in words
        )


def test_pages_ask_for_nothing(report, check):
    """No address, no script, no import; and a policy that forbids them."""
    for page in (report(check(credit=0.0)).to_html(), render_series([report()])):
        assert not re.search(r"https?:|url\(|@import|<script|<link|<iframe|src=", page)
        assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page


def test_the_page_shows_verdict_score_and_evidence(report, check):
    """What a person looks for first."""
    judged = report(check(credit=0.25, failing_rows=750), mean=50.0)
    words = " ".join(parsed(judged.to_html()).words)
    for expected in (
        "clean",
        f"{judged.quality_score:.4f}",
        "passes above 0.85",
        "750 rows",
        "a.mean",
        "1,000",
    ):
        assert expected in words
    assert "Diagnosis" not in words
    assert "not checked" in words


def test_values_that_few_rows_share_are_not_shown(report):
    """A frequent value describes the data; a rare one may be a person."""
    column = ColumnProfile(
        Column("name", "text", "text"),
        {
            "null_count": Measurement(0),
            "top": Measurement([["common", 500], ["rare", 5]]),
            "min": Measurement("Aaron"),
        },
    )
    page = replace(report(), profile=Profile(1000, (column,))).to_html()
    assert "common" in page
    assert "rare" not in page
    assert "Aaron" not in page


def test_approximate_figures_are_marked(report):
    """A reader must know which figure is exact."""
    column = ColumnProfile(Column("x", "int", "number"), {"distinct_count": Measurement(1234, "approximate")})
    assert "≈&nbsp;1,234" in replace(report(), profile=Profile(1000, (column,))).to_html()


def test_a_page_is_written_for_the_emptiest_of_reports(report, check, profile, subject):
    """No checks, no history, no columns, no score."""
    from airflow_agent_provider.quality.judgement import judge

    bare = judge(subject(), Profile(0, ()), (), ())
    words = " ".join(parsed(bare.to_html()).words)
    assert "none" in words
    assert "cold start: 0 of 8 batches" in words
    parsed(render_series([bare]))
    assert "no batches yet" in render_series([])


def test_the_series_lists_every_batch_in_time_and_links_to_what_was_found(report, check):
    """Order of the moments, whatever order the reports come in."""
    good, bad = [report(day=day) for day in (3, 1)], report(check(credit=0.0), day=2)
    page = render_series([*good, bad])
    assert [page.index(f">2013-01-{day}<") for day in (16, 17, 18)] == sorted(
        page.index(f">2013-01-{day}<") for day in (16, 17, 18)
    )
    assert '<a href="#batch-0">2013-01-17</a>' in page
    assert 'id="batch-0" open' in page


def test_a_long_series_stays_readable(report, check):
    """Details of the worst batches only; the table has all."""
    bad = report(check(credit=0.0))
    page = render_series([replace(bad, batch_key=f"batch {number}") for number in range(MAX_DETAILS + 20)])
    assert page.count('<details class="batch"') == MAX_DETAILS
    assert page.count("<tr>") == MAX_DETAILS + 20 + 1


def test_pictures_are_well_formed_and_stay_on_the_paper(report):
    """For one point, many, equal values, gaps, none at all."""
    judged = report(mean=50.0)
    series = [
        [],
        [Point("a", 1.0)],
        [Point("a", 0.0), Point("b", None), Point("c", 0.0, failed=True)],
        [Point(f"<{number}>", number**2 * 1e6, "clean", failed=number > 8) for number in range(90)],
    ]
    pictures = [score_bar(judged.contributions, 0.85), *(strip(one) for one in judged.anomaly.deviations)]
    pictures += [draw("title & more", points) for points in series for draw in (trend, columns)]
    for picture in pictures:
        root = ET.fromstring(picture)
        _, _, width, height = map(float, root.get("viewBox").split())
        for shape in root:
            for name, limit in (
                ("x", width),
                ("cx", width),
                ("x2", width),
                ("y", height),
                ("cy", height),
                ("y2", height),
            ):
                assert -0.1 <= float(shape.get(name, 0)) <= limit + 0.1


def test_the_score_bar_is_as_wide_as_the_score(report, check):
    """What was earned fills its share of the paper."""
    judged = report(check(credit=0.5), check("b"))
    root = ET.fromstring(score_bar(judged.contributions, 0.85))
    earned = sum(float(shape.get("width")) for shape in root if shape.get("class") == "earned")
    assert earned / 960 == pytest.approx(judged.quality_score, abs=0.001)
