import pytest

pytestmark = [pytest.mark.airflow, pytest.mark.postgres]


@pytest.fixture(scope="module")
def loaded(airflow):
    """The blizzard's flights are in the warehouse."""
    airflow.run("flight_quality", days=["2013-02-08"])
    return airflow


def test_the_form_as_it_stands_judges_the_blizzard(loaded):
    """Pressing Trigger without filling in anything works, and finds what is wrong with the day."""
    (run,) = loaded.run("quality_on_demand")
    gate = run["values"]["quality_gate"]
    assert run["state"] == "success"
    assert gate["row_count"] == 930
    assert gate["verdict"] == "quarantine"
    assert "dep_time" in gate["strongest_evidence"]


def test_a_file_gets_the_verdict_that_its_table_gets(loaded):
    """The same day's file, through the other engine, has the same rows and the same score."""
    (table,) = loaded.run("quality_on_demand")
    path = str(loaded.landing / "2013-02-08.csv")
    (file,) = loaded.run("quality_on_demand", conf={"kind": "file", "path": path})
    first, second = (run["values"]["quality_gate"] for run in (table, file))
    assert (first["row_count"], first["quality_score"], first["verdict"]) == (
        second["row_count"],
        second["quality_score"],
        second["verdict"],
    )


def test_checks_and_threshold_come_from_the_form(loaded):
    """What the form says is what the batch is judged by."""
    conf = {"checks": [{"type": "accepted_values", "column": "origin", "values": ["EWR", "JFK"]}], "threshold": 0}
    (run,) = loaded.run("quality_on_demand", conf=conf)
    gate = run["values"]["quality_gate"]
    assert gate["threshold"] == 0
    assert [issue["check"] for issue in gate["issues_found"]] == ["AcceptedValues('origin', ['EWR', 'JFK'])"]


@pytest.mark.parametrize(
    ("conf", "complaint"),
    [
        ({"threshold": 1.5}, "threshold"),
        ({"kind": "cube"}, "kind"),
        ({"checks": [{"column": "tailnum"}]}, "checks"),
    ],
)
def test_a_wrong_value_is_refused_by_its_field(airflow, conf, complaint):
    """Airflow refuses the form before any task runs, and names the field."""
    with pytest.raises(AssertionError, match=f"Invalid input for param {complaint}"):
        airflow.run("quality_on_demand", conf=conf)
