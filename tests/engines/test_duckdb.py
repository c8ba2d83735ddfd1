import gzip
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_agent_provider.engines.duckdb import open_files
from airflow_agent_provider.exceptions import (
    ColumnNotFound,
    ConfigurationError,
    DataError,
    EmptyBatch,
    PermanentError,
    UnreadableFile,
)
from airflow_agent_provider.quality.checks import CustomSql, NotNull
from airflow_agent_provider.quality.quarantine import failing_rows_sql
from airflow_agent_provider.quality.scan import scan


@pytest.fixture
def flights(tmp_path):
    path = tmp_path / "flights.parquet"
    pq.write_table(pa.table({"flight": [1, 2, 3], "tailnum": ["N1", None, "N3"]}), path)
    return str(path)


def opened(*paths, kind="parquet", **options):
    return open_files([str(path) for path in paths], kind, label="the batch", **options)


def columns_of(*paths, kind):
    with opened(*paths, kind=kind) as batch:
        return {column.name: (column.type, column.kind) for column in batch.columns()}


def rows_of(*paths, kind="csv"):
    with opened(*paths, kind=kind) as batch:
        return [tuple(row.values()) for row in batch.rows("SELECT * FROM measured", max_rows=100)]


def written(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


RAGGED = "a,b,c\n" + "1,2,3\n" * 5 + "4,secret\n" + "1,2,3\n" * 3
DAMAGED = [
    ("ragged.csv", RAGGED, "csv", "ragged.csv, line 7: 2 fields where the header has 3"),
    ("wide.csv", "a,b\n1,2\n1,2,secret\n", "csv", "wide.csv, line 3: 3 fields where the header has 2"),
    ("latin.csv", "a,b\n1,sécret\n".encode("latin-1"), "csv", "latin.csv, line 2: not UTF-8"),
    ("header.csv", "é,b\n1,2\n".encode("latin-1"), "csv", "header.csv, line 1: not UTF-8"),
    ("quote.csv", 'a,b\n1,"secret\n2,3\n', "csv", "quote.csv, line 2: a quote is opened and never closed"),
    ("nameless.csv", "a,,c\n1,2,3\n", "csv", "nameless.csv, line 1: column 2 has no name"),
    ("plain.csv.gz", "a,b\n1,2\n", "csv", "plain.csv.gz: cannot be read"),
    (
        "cut.csv.gz",
        gzip.compress(os.urandom(3) + b"a,b\n" + os.urandom(90_000).hex().encode())[:600],
        "csv",
        "cut.csv.gz",
    ),
    ("bad.json", '{"a": 1}\n{"a": "secret"\n', "json", "bad.json, at byte"),
    (
        "latin.json",
        '{"a": "sécret"}\n'.encode("latin-1"),
        "json",
        "latin.json, at byte 9 in record/value 2: not UTF-8",
    ),
    (
        "text.parquet",
        "no parquet at all, but secret",
        "parquet",
        "text.parquet: no Parquet file, or cut short",
    ),
    ("empty.parquet", "", "parquet", "empty.parquet: no Parquet file, or cut short"),
]


@pytest.mark.parametrize(("name", "content", "kind", "said"), DAMAGED, ids=[one[0] for one in DAMAGED])
def test_a_damaged_file_is_named_with_the_place_of_the_damage(tmp_path, name, content, kind, said):
    """The error says which file, which line and what to do, and quotes nothing of the content."""
    path = written(tmp_path, name, content)
    with pytest.raises(UnreadableFile) as caught, opened(path, kind=kind) as batch:
        batch.rows("SELECT * FROM measured", max_rows=9)
    assert said in str(caught.value)
    assert "cret" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_parquet_file_cut_short_is_named(tmp_path, flights):
    """Without its footer a Parquet file cannot be read at all."""
    whole = Path(flights).read_bytes()
    cut = written(tmp_path, "cut.parquet", whole[: len(whole) // 2])
    with pytest.raises(UnreadableFile, match=r"cut\.parquet: no Parquet file, or cut short"), opened(cut):
        pass


def test_a_parquet_file_damaged_inside_is_named(tmp_path):
    """Pages that cannot be decoded are found when they are read."""
    path = tmp_path / "inside.parquet"
    pq.write_table(pa.table({"a": [str(place) * 9 for place in range(20_000)]}), path)
    content = bytearray(path.read_bytes())
    content[1000:4000] = b"\xff" * 3000
    path.write_bytes(content)
    with opened(path) as batch, pytest.raises(DataError, match=r"the batch|inside"):
        scan(batch, [])


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("none.csv", "", "csv"),
        ("blank.csv", "\n", "csv"),
        ("header.csv", "a,b\n", "csv"),
        ("none.json", "", "json"),
    ],
)
def test_a_file_of_nothing_is_an_empty_batch(tmp_path, name, content, kind):
    """No header or no row: the error says that there is nothing to measure."""
    path = written(tmp_path, name, content)
    with pytest.raises(EmptyBatch, match="nothing can be measured"), opened(path, kind=kind) as batch:
        scan(batch, [])


def test_a_parquet_file_without_columns_is_an_empty_batch(tmp_path):
    """Rows without columns cannot be measured."""
    path = tmp_path / "bare.parquet"
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}).select([]), path)
    with pytest.raises(DataError, match=r"the batch|no columns|bare"), opened(path) as batch:
        scan(batch, [])


@pytest.mark.parametrize("names", [["a", "a"], ["a", "A"]])
def test_columns_that_cannot_be_told_apart_are_refused(tmp_path, names):
    """DuckDB would rename the second one in silence."""
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=names)
    pq.write_table(table, tmp_path / "twice.parquet")
    written(tmp_path, "twice.csv", f"{','.join(names)}\n1,2\n")
    for name, kind in (("twice.parquet", "parquet"), ("twice.csv", "csv")):
        with (
            pytest.raises(DataError, match=rf"{name}: has more than one column"),
            opened(tmp_path / name, kind=kind),
        ):
            pass


def test_csv_types_are_those_that_all_values_fit(tmp_path):
    """One value that does not fit makes the column text; zeros in front are kept; nothing is guessed from a part."""
    header = "whole,real,flag,day,at,zoned,zip,mixed,when,huge,word,nothing"
    first = "1,1.5,true,2013-01-01,2013-01-01 12:00:00,2013-01-01T12:00:00Z,00501,1,2013-01-01,99999999999999999999,a,"
    last = "-2,1e3,FALSE,2013-12-31,2013-01-01T12:00:00.5,2013-01-01 12:00:00+01:00,10001,N/A,01/02/2013,1,b,"
    path = written(tmp_path, "types.csv", "\n".join([header, *[first] * 30_000, last]) + "\n")
    assert {name: kind for name, (kind, _) in columns_of(path, kind="csv").items()} == {
        "whole": "BIGINT",
        "real": "DOUBLE",
        "flag": "BOOLEAN",
        "day": "DATE",
        "at": "TIMESTAMP",
        "zoned": "TIMESTAMP WITH TIME ZONE",
        "huge": "DOUBLE",
        **dict.fromkeys(("zip", "mixed", "when", "word", "nothing"), "VARCHAR"),
    }


def test_a_missing_value_fits_every_type(tmp_path):
    """Empty fields leave a column the type of its other fields, wherever they stand."""
    lines = ["n,x,flag,day", ",,,", "1,1.5,true,2013-01-01", *[",,,"] * 2_000, "2,2,false,2013-01-02"]
    path = written(tmp_path, "gaps.csv", "\n".join(lines) + "\n")
    assert [kind for kind, _ in columns_of(path, kind="csv").values()] == [
        "BIGINT",
        "DOUBLE",
        "BOOLEAN",
        "DATE",
    ]


def test_a_date_that_is_none_makes_the_column_text(tmp_path):
    """The thirtieth of February looks like a date and is none: it is reported as text, not lost."""
    path = written(tmp_path, "dates.csv", "day\n2013-02-28\n2013-02-30\n")
    assert rows_of(path) == [("2013-02-28",), ("2013-02-30",)]


def test_empty_fields_are_null_and_quoted_ones_are_empty(tmp_path):
    """CSV tells a missing value from an empty text by its quotes."""
    path = written(tmp_path, "empty.csv", 'a,b\n1,""\n2,\n3,"x, ""y"""\n')
    assert rows_of(path) == [(1, ""), (2, None), (3, 'x, "y"')]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_header_tells_the_delimiter(tmp_path, delimiter):
    """Semicolons and tabs are read as they are written; a quoted comma in the header is no delimiter."""
    path = written(tmp_path, "d.csv", f'"a,x"{delimiter}b\n1{delimiter}it is # 2\n')
    assert rows_of(path) == [(1, "it is # 2")]
    assert list(columns_of(path, kind="csv")) == ["a,x", "b"]


def test_many_files_are_one_batch(tmp_path):
    """Files of one header are read together, compressed ones too; another header is refused by name."""
    one = written(tmp_path, "1.csv", "a,b\n1,x\n")
    two = written(tmp_path, "2.csv.gz", gzip.compress(b"a,b\n2,y\n"))
    assert sorted(rows_of(one, two)) == [(1, "x"), (2, "y")]
    three = written(tmp_path, "3.csv", "b,a\nx,1\n")
    with pytest.raises(DataError, match=r"3\.csv: has another header than"), opened(one, three, kind="csv"):
        pass


def test_json_is_read_as_lines_and_as_a_list(tmp_path):
    """Objects, one a line or in one list; a missing field is NULL; dates that are not all dates stay text."""
    lines = written(
        tmp_path,
        "lines.jsonl",
        '{"a": 1, "d": "2013-01-01", "m": "2013-01-01"}\n{"a": 2, "d": "2013-01-02", "m": "01/02/2013"}\n',
    )
    listed = written(tmp_path, "list.json", '[{"a": 1}, {"b": "x"}]')
    assert rows_of(lines, kind="json") == [
        (1, date(2013, 1, 1), "2013-01-01"),
        (2, date(2013, 1, 2), "01/02/2013"),
    ]
    assert rows_of(listed, kind="json") == [(1, None), (None, "x")]


def test_only_wanted_columns_are_measured(flights):
    """A list of columns narrows the batch; one that is not there is named."""
    with opened(flights, columns=["tailnum"]) as batch:
        assert [column.name for column in batch.columns()] == ["tailnum"]
    with (
        pytest.raises(ColumnNotFound, match="no column 'nope'; it has flight, tailnum"),
        opened(flights, columns=["nope"]),
    ):
        pass


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('{other}')",
        "SELECT * FROM '{other}'",
        "COPY measured TO '{new}'",
        "SET threads = 1",
        "ATTACH '{new}'",
        "INSTALL httpfs",
        "SELECT 1; SELECT 2",
        "CREATE TABLE x AS SELECT 1",
        "",
        "DROP VIEW measured",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM read_parquet('http://127.0.0.1:1/x.parquet')",
        "EXPORT DATABASE '{new}'",
    ],
)
def test_the_engine_is_closed_to_the_rest_of_the_machine(tmp_path, flights, sql):
    """Neither other files nor the network can be reached, nothing can be written or reconfigured."""
    other = written(tmp_path, "other.txt", "secret")
    new = tmp_path / "new"
    with opened(flights) as batch:
        with pytest.raises(PermanentError) as caught:
            batch.rows(sql.format(other=other, new=new), max_rows=9)
        assert batch.rows("SELECT count(*) AS n FROM measured", max_rows=1) == [{"n": 3}]
    assert "secret" not in str(caught.value)
    assert not new.exists()


def test_rows_are_capped(flights):
    """No more rows leave the engine than asked for; a comment at the end does not lift the cap."""
    with opened(flights) as batch:
        assert len(batch.rows("SELECT * FROM measured, range(1000) -- all of them", max_rows=5)) == 5


def test_nothing_is_left_behind(tmp_path, flights, monkeypatch):
    """The temporary directory goes with the batch, also after an error."""
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "work"))
    (tmp_path / "work").mkdir()
    for path, kind in ((flights, "parquet"), (written(tmp_path, "bad.csv", RAGGED), "csv")):
        try:
            with opened(path, kind=kind) as batch:
                assert list((tmp_path / "work").iterdir())
                batch.columns()
        except UnreadableFile:
            pass
    assert list((tmp_path / "work").iterdir()) == []


def test_too_little_memory_is_said_so(tmp_path):
    """What cannot be done within the limit names the limit."""
    path = tmp_path / "long.parquet"
    pq.write_table(pa.table({"a": ["x" * 2_000_000] * 20}), path)
    with opened(path, memory_limit="3MB") as batch, pytest.raises(PermanentError, match="raise memory_limit"):
        scan(batch, [])


MEASURE_LARGE = """
import re, sys
from pathlib import Path
from airflow_agent_provider.engines.duckdb import open_files
from airflow_agent_provider.quality.checks import NotNull
from airflow_agent_provider.quality.scan import scan

with open_files([sys.argv[1]], "csv", label="large", memory_limit="96MB", threads=1) as batch:
    rows = scan(batch, [NotNull("n")], profile="light").profile.row_count
# Not ru_maxrss: that starts at the peak of the process that forked.
print(rows, int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


def test_memory_stays_bounded_when_a_csv_is_larger(tmp_path):
    """A text file is parsed into a table that spills: the process stays near its limit."""
    path = tmp_path / "large.csv"
    line = "".join(f"{place:032x}," for place in range(3)) + "{}\n"
    with path.open("w") as file:
        file.write("a,b,c,n\n")
        file.writelines(line.format(place) for place in range(1_200_000))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE_LARGE, path], capture_output=True, text=True, check=True
    )
    rows, peak_mb = map(int, done.stdout.split())
    assert rows == 1_200_000
    assert path.stat().st_size > 120 * 2**20
    assert peak_mb < 280


CHECKS = [NotNull("tailnum"), CustomSql("flight < 3", name="it's a low flight")]


def quarantined(path, target, key):
    with opened(path) as batch:
        return batch.write_quarantine(
            str(target), key, failing_rows_sql(batch, CHECKS, scan(batch, CHECKS).results)
        )


def read(path):
    return duckdb.sql(
        f"SELECT flight, reasons, batch_key, quarantined_at IS NOT NULL FROM '{path}' ORDER BY 1"
    ).fetchall()


def test_quarantine_is_one_file_per_batch(tmp_path, flights):
    """A directory gets a file for each batch; a rerun replaces its own."""
    target = tmp_path / "deep" / "quarantine"
    assert [
        quarantined(flights, target, key) for key in ("2013-02-08T00:00:00+00:00", "two/..", "two/..")
    ] == [2, 2, 2]
    assert sorted(one.name for one in target.iterdir()) == [
        "2013-02-08T00%3A00%3A00%2B00%3A00.parquet",
        "two%2F...parquet",
    ]
    assert read(target / "two%2F...parquet") == [
        (2, "NotNull('tailnum')", "two/..", True),
        (3, "it's a low flight", "two/..", True),
    ]


def test_quarantine_may_name_its_file(tmp_path, flights):
    """A path that ends in ``.parquet`` is the file itself; when nothing fails any more it goes."""
    target = tmp_path / "bad.parquet"
    assert quarantined(flights, target, "one") == 2
    pq.write_table(pa.table({"flight": [1], "tailnum": ["N1"]}), flights)
    assert quarantined(flights, target, "one") == 0
    assert not target.exists()


def test_a_quarantine_that_cannot_be_written_says_so(tmp_path, flights):
    """A file in the way of the directory is named, and no half file is left."""
    written(tmp_path, "blocked", "a file")
    with pytest.raises(ConfigurationError, match=r"quarantine .*blocked.*: cannot be written"):
        quarantined(flights, tmp_path / "blocked" / "q", "one")


def test_an_empty_field_does_not_turn_a_column_of_numbers_into_text(tmp_path):
    """A NULL fits every type."""
    path = tmp_path / "some.csv"
    path.write_text("id,amount\n1,10\n2,\n3,-30\n")
    with open_files([str(path)], "csv", label="some.csv") as batch:
        assert [column.kind for column in batch.columns()] == ["number", "number"]
