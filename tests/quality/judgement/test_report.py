"""The report is read back as it was written, and its summary is small and holds no row's value."""

import json
import math
from dataclasses import replace

import pytest

from airflow_agent_provider.exceptions import UnreadableFile
from airflow_agent_provider.quality.cost import Prices
from airflow_agent_provider.quality.investigation import Claim
from airflow_agent_provider.quality.report import SUMMARY_BYTES, QualityReport
from airflow_agent_provider.quality.results import Column, ColumnProfile, Measurement, Profile

SECRET = "Jane Roe"
HOSTILE = "<script>alert(1)</script>'\"|`\n\x1b[31m\u202e😀\ud800"


@pytest.fixture
def secretive(report, check):
    """A report whose profile holds texts of rows, and whose diagnosis a model wrote."""
    column = ColumnProfile(
        Column("name", "text", "text"),
        {
            "null_count": Measurement(1),
            "top": Measurement([[SECRET, 900], ["x", 1]], "sampled"),
            "min": Measurement(SECRET),
        },
    )
    judged = report(check(credit=0.0, failing_rows=3), prices=Prices(usd_per_million_rows=2.0), mean=50.0)
    return replace(
        judged,
        profile=Profile(1000, (*judged.profile.columns, column)),
        diagnosis=(Claim(f"{SECRET} did it", ("a.mean", "query:12")),),
        queries={"query:12": "SELECT 1"},
    )


def test_a_report_is_read_back_as_it_was_written(secretive):
    """All of it, and a second time the same."""
    text = secretive.to_json()
    assert QualityReport.from_json(text) == secretive
    assert QualityReport.from_json(text.encode()).to_json() == text


def test_every_verdict_and_a_cold_start_are_read_back(report, check, profile, subject):
    """Also where there is no score and no p-value."""
    cases = [
        report(),
        report(check(credit=0.0), history=2),
        report(check(severity="info"), history=0),
        report(check(credit=0.1, severity="critical", failing_rows=1)),
        report(check(credit=0.1, severity="critical")),
    ]
    for one in cases:
        assert QualityReport.from_json(one.to_json()) == one


def test_the_json_tells_what_the_dataclass_computes(secretive):
    """For readers that are not Python."""
    record = json.loads(secretive.to_json())
    assert record["version"] == 1
    assert record["analytics_ready"] is False
    assert [one["check"] for one in record["issues_found"]] == ["NotNull('a')", "LikeHistory()"]
    assert record["compliance_status"] == "not_checked"
    assert record["reprocessing_cost_impact"] == {
        "rows": 1000,
        "bytes": 5_000_000,
        "usd": 0.002,
        "reason": None,
    }


def test_a_number_that_is_not_finite_becomes_null(report):
    """JSON has none; a reader that is strict must not choke."""
    judged = report()
    columns = (
        ColumnProfile(
            Column("x", "double", "number"), {"mean": Measurement(math.nan), "max": Measurement(math.inf)}
        ),
    )
    text = replace(judged, profile=Profile(1, columns)).to_json()
    read = QualityReport.from_json(text)
    assert {one.value for one in read.profile.columns[0].metrics.values()} == {None}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', "null", b"\xff", '{"version": 99}'])
def test_what_is_no_report_is_refused(text):
    """One clear error, whatever is wrong with it."""
    with pytest.raises(UnreadableFile, match="quality report"):
        QualityReport.from_json(text)


def test_the_summary_tells_what_matters(secretive):
    """The fields that a DAG author branches on or shows."""
    short = secretive.summary()
    assert short == json.loads(json.dumps(short))
    assert short["verdict"] == "clean"
    assert (short["passes"], short["analytics_ready"]) == (False, False)
    assert short["quality_score"] == secretive.quality_score
    assert short["issues"] == len(short["issues_found"]) == 2
    assert short["issues_found"][0]["failing_rows"] == 3
    assert short["recommended_action"] == "Clean the batch before using it."


def test_the_summary_holds_no_value_of_a_row_and_no_word_of_a_model(secretive):
    """An XCom is read by many."""
    assert SECRET in secretive.to_json()
    assert SECRET not in json.dumps(secretive.summary())
    assert "did it" not in json.dumps(secretive.summary())


def test_the_summary_stays_small(report, check):
    """With hundreds of failing checks and names without end, of any script."""
    failed = [
        check(f"{number} {'😀' * 5000}", credit=0.0, columns=("ß" * 9000,) * 50, message="\ud800" * 9000)
        for number in range(300)
    ]
    judged = replace(report(*failed), dataset="d" * 50_000, batch_key="😀" * 9000)
    short = judged.summary()
    assert len(json.dumps(short)) < SUMMARY_BYTES
    assert short["issues"] == 300
    assert len(short["issues_found"]) >= 3


def test_hostile_names_survive_the_round_trip(report, check):
    """Text is data: lone surrogates, control characters, markup."""
    judged = report(check(HOSTILE, credit=0.0, message=HOSTILE, columns=(HOSTILE,)))
    assert QualityReport.from_json(judged.to_json()) == judged
