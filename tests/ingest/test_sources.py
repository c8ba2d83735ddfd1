"""Files and tables: measured where they lie, a few rows fetched, sensitive columns never asked for."""

import contextlib
import json
from dataclasses import dataclass

import pandas as pd
import pytest
from one_postgres import Hook, execute, insert, open_batch, server

from airflow_agent_provider.exceptions import ConfigurationError, SourceNotFound, UnreadableFile
from airflow_agent_provider.sources.batch_summary import summarise_batch
from airflow_agent_provider.sources.files import Files
from airflow_agent_provider.sources.ingest import ingest
from airflow_agent_provider.summary.summary import Bounds

FRAME = pd.DataFrame({
    "n": range(1000),
    "carrier": ["UA", "AA", "B6", "UA"] * 250,
    "delay": [None, 1.5, -2.0, 8.0] * 250,
    "email": [f"jane{n}@example.org" for n in range(1000)],
    "at": pd.date_range("2013-02-08", periods=1000, freq="min"),
    "note": ["x" * 5000] * 1000,
    "stops": [[{"code": "JFK"}]] * 1000,
})


@pytest.fixture
def parquet(tmp_path):
    path = tmp_path / "flights.parquet"
    FRAME.to_parquet(path)
    return path


def field(summary, name):
    [found] = [one for one in summary.fields if one.name == name]
    return found


@dataclass(frozen=True)
class Recorded(Files):
    """Files that keep each statement they are asked."""

    asked: list = None

    @contextlib.contextmanager
    def open(self):
        with super().open() as batch:
            answer = batch.rows

            def rows(sql, *, max_rows):
                self.asked.append(sql)
                return answer(sql, max_rows=max_rows)

            batch.rows = rows
            yield batch


def test_a_path_and_its_source_give_the_same_summary(parquet):
    """A path is a file, whatever stands in it."""
    summary = ingest(parquet)
    assert summary == ingest(Files(str(parquet)))
    assert (summary.kind, summary.label, summary.row_count) == ("files", str(parquet), 1000)
    assert field(summary, "n").statistics["mean"] == 499.5
    assert (field(summary, "delay").nulls, field(summary, "delay").nullable) == (250, True)
    assert field(summary, "carrier").statistics["frequent"][0] == ["UA", 500]
    assert field(summary, "at").statistics["earliest"].startswith("2013-02-08")
    assert field(summary, "stops").types == ("other",)
    assert summary.sample[0]["n"] == 0
    assert len(summary.sample[0]["note"]) == 201
    json.dumps(summary.to_json(), allow_nan=False)
    assert len(summary.to_prompt(1500)) <= 1500


def test_sensitive_columns_are_never_asked_for(parquet):
    """Their values do not leave the engine: no statement names them."""
    asked = []
    summary = ingest(Recorded(str(parquet), asked=asked), sensitive=["EMAIL", "note"])
    assert len(asked) > 1
    assert not [sql for sql in asked if "email" in sql.lower() or "note" in sql.lower()]
    assert summary.sample[0]["email"] == summary.sample[0]["note"] == "(sensitive)"
    assert field(summary, "email").sensitive
    assert field(summary, "email").nullable is None
    assert "example.org" not in summary.to_prompt()


def test_a_file_with_nothing_but_sensitive_columns_is_still_counted(tmp_path):
    """Rows are no values."""
    path = tmp_path / "people.csv"
    path.write_text("email\na@x\nb@x\n")
    summary = ingest(path, sensitive=["email"])
    assert summary.row_count == 2
    assert summary.sample == ({"email": "(sensitive)"}, {"email": "(sensitive)"})


def test_a_wide_file_is_described_by_its_first_columns(tmp_path):
    """The others are counted, and not measured."""
    path = tmp_path / "wide.parquet"
    pd.DataFrame([[0.5] * 400], columns=[f"c{n}" for n in range(400)]).to_parquet(path)
    asked = []
    summary = ingest(Recorded(str(path), asked=asked), bounds=Bounds(fields=20))
    assert len(summary.fields) == 20
    assert "380 of 400 columns are left out" in summary.notes
    assert not [sql for sql in asked if '"c20"' in sql]


def test_a_file_without_rows_is_described_all_the_same(tmp_path):
    """Columns are known before rows are."""
    path = tmp_path / "empty.parquet"
    FRAME.head(0)[["n", "carrier"]].to_parquet(path)
    summary = ingest(path)
    assert (summary.row_count, summary.sample) == (0, ())
    assert [one.name for one in summary.fields] == ["n", "carrier"]


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("none.parquet", None, SourceNotFound),
        ("broken.parquet", b"PAR1 and nothing more", UnreadableFile),
        ("ragged.csv", b"a,b\n1\n1,2,3\n", UnreadableFile),
        ("what.xyz", b"?", ConfigurationError),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_by_its_kind(tmp_path, name, content, error):
    """As the quality gate raises it."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error):
        ingest(path)


@pytest.mark.postgres
def test_a_table_is_summarised_in_its_database():
    """The same fields and the same words, whatever engine."""
    with server() as uri:
        hook = Hook(uri)
        execute(
            hook, 'CREATE TABLE flights (n bigint, carrier text, email text, "at" timestamptz, doc jsonb)'
        )
        insert(hook, "flights", [(n, "UA", "j@x.org", "2013-02-08T12:00Z", '{"a": 1}') for n in range(50)])
        with open_batch(hook, "flights") as batch:
            summary = summarise_batch(batch, "table", Bounds(), ["email"], batch.label)
    assert (summary.kind, summary.row_count, summary.label) == ("table", 50, "warehouse.flights")
    assert field(summary, "n").statistics["max"] == 49
    assert summary.sample[0] == {
        "n": 0,
        "carrier": "UA",
        "email": "(sensitive)",
        "at": "2013-02-08T12:00:00+00:00",
        "doc": '{"a": 1}',
    }
