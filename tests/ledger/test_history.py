"""The history is the same wherever it is kept: in memory, in SQLite, in PostgreSQL."""

import os
import subprocess
import sys
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.ledger.database import PostgresDatabase, SQLiteDatabase
from airflow_agent_provider.ledger.history import LedgerHistory
from airflow_agent_provider.quality.history import HistoryRow, MemoryHistory

START = datetime(2013, 1, 15, tzinfo=UTC)
WORKER = """
import sys
from datetime import UTC, datetime, timedelta
from airflow_agent_provider.ledger.database import SQLiteDatabase
from airflow_agent_provider.ledger.history import LedgerHistory
from airflow_agent_provider.quality.history import HistoryRow
path, number = sys.argv[1], int(sys.argv[2])
history = LedgerHistory(SQLiteDatabase(path))
for day in range(10):
    at = datetime(2013, 1, 1, tzinfo=UTC) + timedelta(days=day)
    for key in (f"{number}-{day}", f"shared-{day}"):
        history.record(HistoryRow("flights", key, at, at, {"row_count": day}, 1.0, "approve", True))
        history.accepted("flights", exclude=key)
"""


def day(number, *, accepted=True, dataset="flights", **changes):
    at = START + timedelta(days=number)
    row = HistoryRow(
        dataset,
        f"day-{number}",
        at,
        at,
        {"row_count": float(number)},
        0.9,
        "approve" if accepted else "reject",
        accepted,
    )
    return replace(row, **changes)


def memory(tmp_path, request):
    return MemoryHistory()


def sqlite(tmp_path, request):
    return LedgerHistory(SQLiteDatabase(tmp_path / "ledger.sqlite"))


def postgres(tmp_path, request):
    import psycopg2

    # A schema for each test: one server serves them all.
    uri, schema = request.getfixturevalue("postgres_uri"), f"s{uuid.uuid4().hex}"
    with psycopg2.connect(uri) as connection:
        connection.cursor().execute(f"CREATE SCHEMA {schema}")
    connection.close()
    return LedgerHistory(
        PostgresDatabase(
            lambda: psycopg2.connect(uri, options=f"-c search_path={schema}"), driver=psycopg2, label="test"
        )
    )


@pytest.fixture(params=[memory, sqlite, pytest.param(postgres, marks=pytest.mark.postgres)])
def history(request, tmp_path):
    return request.param(tmp_path, request)


def keys(rows):
    return [row.batch_key for row in rows]


def test_a_row_comes_back_as_it_was_recorded(history):
    """Figures, moments and all; a moment of another zone is the same moment."""
    row = day(0, features={"a.null_share": 0.1, 'say "ü".mean': -1e300}, score=None)
    row = replace(row, batch_at=START.astimezone(timezone(timedelta(hours=-5))))
    history.record(row)
    assert history.find("flights", "day-0") == row
    assert history.find("flights", "day-1") is None
    assert history.find("other", "day-0") is None


def test_a_batch_recorded_again_counts_once(history):
    """The later row replaces the earlier: a rerun is no second batch."""
    history.record(day(0))
    history.record(day(0, score=0.1, features={"row_count": 7.0}))
    [row] = history.accepted("flights", exclude="day-1")
    assert (row.score, row.features) == (0.1, {"row_count": 7.0})


def test_a_batch_is_not_part_of_its_own_history(history):
    """Also not on a rerun, when its row is already there."""
    for number in range(3):
        history.record(day(number))
    assert keys(history.accepted("flights", exclude="day-1")) == ["day-0", "day-2"]


def test_rejected_batches_and_other_data_sets_do_not_count(history):
    """They are on record all the same."""
    history.record(day(0))
    history.record(day(1, accepted=False))
    history.record(day(2, dataset="other"))
    assert keys(history.accepted("flights", exclude="x")) == ["day-0"]
    assert history.find("flights", "day-1").verdict == "reject"


def test_the_latest_batches_are_given_oldest_first_in_whatever_order_they_came(history):
    """A backfill may run backwards; what counts is the moment that a batch stands for."""
    for number in (5, 1, 4, 0, 3, 2):
        history.record(day(number))
    assert keys(history.accepted("flights", exclude="x", limit=3)) == ["day-3", "day-4", "day-5"]
    before = history.accepted("flights", exclude="x", before=START + timedelta(days=3), limit=2)
    assert keys(before) == ["day-1", "day-2"]


def test_years_far_away_are_sorted_as_time(history):
    """Not as text: the year 999 comes before the year 2013."""
    history.record(day(0))
    history.record(day(1, batch_at=datetime(999, 1, 1, tzinfo=UTC)))
    history.record(day(2, batch_at=datetime(9998, 1, 1, tzinfo=UTC)))
    assert keys(history.accepted("flights", exclude="x")) == ["day-1", "day-0", "day-2"]


def test_feedback_outweighs_the_gate(history):
    """A person admits what was rejected and expels what was accepted; the last word counts."""
    history.record(day(0))
    history.record(day(1, accepted=False))
    history.expel("flights", "day-0", by="ana", reason="test data")
    history.admit("flights", "day-1", by="ana", reason="a real storm")
    assert keys(history.accepted("flights", exclude="x")) == ["day-1"]
    history.admit("flights", "day-0", by="bo", reason="checked")
    assert keys(history.accepted("flights", exclude="x")) == ["day-0", "day-1"]
    feedback = history.find("flights", "day-0").feedback
    assert (feedback.decision, feedback.by, feedback.reason) == ("admit", "bo", "checked")


def test_a_rerun_never_overwrites_feedback(history):
    """Whatever the gate says the second time."""
    history.record(day(0, accepted=False))
    history.admit("flights", "day-0", by="ana", reason="good")
    again = day(0, accepted=False, score=0.2)
    history.record(again)
    assert keys(history.accepted("flights", exclude="x")) == ["day-0"]
    assert history.find("flights", "day-0") == replace(
        again, feedback=history.find("flights", "day-0").feedback
    )


def test_feedback_on_a_batch_that_was_never_judged_is_refused(history):
    """A slip in the key must not lie dormant until such a batch comes."""
    with pytest.raises(ConfigurationError, match="no batch 'day-9'"):
        history.admit("flights", "day-9", by="ana", reason="typo")
    history.record(day(9, accepted=False))
    assert history.accepted("flights", exclude="x") == []


def test_hostile_names_are_values(history):
    """Quotes, percent signs and colons in names reach no statement."""
    name = "x'; DROP TABLE agent_quality_history; -- %s %(a)s :limit"
    history.record(day(0, dataset=name, batch_key=name))
    assert keys(history.accepted(name, exclude="x")) == [name]


def test_processes_share_one_history(tmp_path):
    """Rows of all, each key once, although the file and its tables were made by all at once."""
    path = tmp_path / "ledger.sqlite"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, path, str(number)], env=environment, stderr=subprocess.PIPE
        )
        for number in range(4)
    ]
    assert [worker.communicate()[1] for worker in workers] == [b""] * 4
    rows = LedgerHistory(SQLiteDatabase(path)).accepted("flights", exclude="x", limit=1000)
    assert len(rows) == 4 * 10 + 10


def test_a_row_without_key_or_zone_is_refused():
    """Before it is written anywhere."""
    with pytest.raises(ConfigurationError, match="batch key"):
        day(0, batch_key="")
    with pytest.raises(ConfigurationError, match="batch_at needs a time zone"):
        day(0, batch_at=datetime(2013, 1, 1))  # noqa: DTZ001
