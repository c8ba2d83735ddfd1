import pytest

pytestmark = [pytest.mark.airflow, pytest.mark.postgres]


WRONG = {
    "threshold": {"threshold": 1.5},
    "kind": {"kind": "cube"},
    "checks": {"checks": [{"column": "tailnum"}]},
}


@pytest.fixture(scope="module")
def runs(airflow):
    """The blizzard's flights are loaded; then the form as it stands, with a file, other checks, wrong values."""
    forms = {
        "as it stands": {},
        "file": {"kind": "file", "path": str(airflow.landing / "2013-02-08.csv")},
        "strict": {
            "checks": [{"type": "accepted_values", "column": "origin", "values": ["EWR"]}],
            "threshold": 0,
        },
        **WRONG,
    }
    load = {"dag_id": "flight_quality", "day": "2013-02-08"}
    done = airflow.run(load, *({"dag_id": "quality_on_demand", "conf": form} for form in forms.values()))
    return dict(zip(forms, done["runs"][1:], strict=True))


def test_the_form_as_it_stands_judges_the_blizzard(runs):
    """Pressing Trigger without filling in anything works, and finds what is wrong with the day."""
    gate = runs["as it stands"]["values"]["quality_gate"]
    assert runs["as it stands"]["state"] == "success"
    assert gate["row_count"] == 930
    assert gate["verdict"] == "quarantine"
    assert "dep_time" in gate["strongest_evidence"]


def test_a_file_gets_the_verdict_that_its_table_gets(runs):
    """The same day's file, through the other engine, has the same rows and the same score."""
    table, file = (runs[form]["values"]["quality_gate"] for form in ("as it stands", "file"))
    decided = ("row_count", "quality_score", "verdict")
    assert [table[name] for name in decided] == [file[name] for name in decided]


def test_checks_and_threshold_come_from_the_form(runs):
    """What the form says is what the batch is judged by."""
    gate = runs["strict"]["values"]["quality_gate"]
    assert gate["threshold"] == 0
    assert [issue["check"] for issue in gate["issues_found"]] == ["AcceptedValues('origin')"]


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_value_is_refused_by_its_field(runs, field):
    """Airflow refuses the form before any task runs, and names the field."""
    assert runs[field]["state"] == "refused"
    assert f"Invalid input for param {field}" in runs[field]["error"]
