import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.airflow, pytest.mark.postgres]

ORDINARY = ["2013-01-15", "2013-01-16"]
BLIZZARD = "2013-02-08"


def only(rows):
    """Take the one number out of a query's one row, as it stands in the XCom."""
    while not isinstance(rows, int):
        (rows,) = rows["__data__"] if isinstance(rows, dict) else rows
    return rows


@pytest.fixture(scope="module")
def runs(airflow):
    """Two ordinary days, the blizzard, and the first of them once more."""
    days = [*ORDINARY, BLIZZARD, ORDINARY[0]]
    done = airflow.run(*({"dag_id": "flight_quality", "day": day} for day in days))
    return list(zip(days, done["runs"], strict=True))


def test_every_run_ends_well(runs):
    """Bad data is a branch, not a failure."""
    assert {run["state"] for _, run in runs} == {"success"}


def test_ordinary_day_is_transformed_as_it_is(runs):
    """A day that passes takes the branch on_pass, and no row is left out."""
    for day, run in runs[:2]:
        assert run["tasks"]["transform"] == "success", day
        assert run["tasks"]["clean_and_transform"] == "skipped"
        assert run["values"]["quality_gate"]["passes"]
        assert only(run["values"]["transform"]) == 0
        assert only(run["values"]["publish"]) == run["values"]["quality_gate"]["row_count"]


def test_blizzard_is_cleaned_first_and_its_cancelled_flights_are_counted(runs):
    """A day that does not pass takes the branch on_fail; what is published has no cancelled flights."""
    day, run = runs[2]
    gate = run["values"]["quality_gate"]
    assert day == BLIZZARD
    assert run["tasks"]["clean_and_transform"] == "success"
    assert run["tasks"]["transform"] == "skipped"
    assert gate["quality_score"] <= 0.85
    assert gate["verdict"] == "quarantine"
    left_out = only(run["values"]["clean_and_transform"])
    assert left_out == 472
    assert only(run["values"]["publish"]) == gate["row_count"] - left_out


def test_rerun_gives_the_same_score_and_loads_nothing_twice(runs):
    """A day that is run again has the same rows and the same score."""
    first, again = (run["values"]["quality_gate"] for _, run in (runs[0], runs[3]))
    assert (first["row_count"], first["quality_score"]) == (again["row_count"], again["quality_score"])


def test_each_day_leaves_a_report(runs, airflow):
    """The gate writes the day's report where the Variable says."""
    reports = Path(airflow.settings["AIRFLOW_VAR_FLIGHTS_REPORTS"])
    written = {path.stem: json.loads(path.read_text()) for path in reports.glob("*.json")}
    assert set(written) == {day for day, _ in runs}
    assert written[BLIZZARD]["verdict"] == "quarantine"
