import pytest

from airflow_agent_provider.exceptions import ConfigurationError, SourceNotFound
from airflow_agent_provider.quality.checks import NotNull
from airflow_agent_provider.quality.scan import scan
from airflow_agent_provider.sources.files import Files


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for day in ("2013-02-08", "2013-02-09"):
        (tmp_path / "data" / f"flights_{day}.csv").write_text(f"day,tailnum\n{day},N1\n{day},\n")
    return tmp_path


def rows_of(source):
    with source.open() as batch:
        return scan(batch, [NotNull("tailnum")], profile="none").profile.row_count


def test_one_file_and_a_pattern_are_batches(folder):
    """A path is one file, a pattern all files that it finds, relative to the worker's directory or not."""
    assert rows_of(Files("data/flights_2013-02-08.csv")) == 2
    assert rows_of(Files("data/*.csv")) == 4
    assert rows_of(Files(f"file://{folder}/data/flights_2013-02-0?.csv")) == 4


def test_a_format_may_be_given_where_no_suffix_tells(folder):
    """Any name will do when the format is said."""
    (folder / "plain").write_text("tailnum\nN1\n")
    assert rows_of(Files("plain", format="csv")) == 1
    with (
        pytest.raises(ConfigurationError, match="give format= one of parquet, csv, json"),
        Files("plain").open(),
    ):
        pass


@pytest.mark.parametrize(
    ("path", "error", "said"),
    [
        ("data/nothing.csv", SourceNotFound, r"data/nothing\.csv: no such file"),
        ("data/*.parquet", SourceNotFound, r"data/\*\.parquet: no file matches"),
        ("data", ConfigurationError, r"is a directory; name its files"),
        ("s3://bucket/x.parquet", ConfigurationError, r"s3:// cannot be read"),
        ("http://127.0.0.1/x.csv", ConfigurationError, r"http:// cannot be read"),
    ],
)
def test_a_path_that_leads_nowhere_is_said_so(folder, path, error, said):
    """Each way of naming no file has its own message."""
    with pytest.raises(error, match=said), Files(path).open():
        pass


def test_a_path_with_wildcard_letters_may_be_a_file_itself(folder):
    """A file called like a pattern is that file."""
    (folder / "data[1].csv").write_text("tailnum\nN1\n")
    assert rows_of(Files("data[1].csv")) == 1


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda: Files(""), r"Files\(path=''\): must be text"),
        (lambda: Files("x.csv", format="xml"), r"Files\(format='xml'\): must be one of parquet, csv, json"),
        (lambda: Files("x.csv", memory_limit="much"), r"Files\(memory_limit='much'\): must be a size"),
        (lambda: Files("x.csv", threads=0), r"Files\(threads=0\): must be at least 1"),
        (lambda: Files("x.csv", columns=[1]), r"Files\(columns=\[1\]\): must be a list of column names"),
        (lambda: Files("x.csv", name=" "), r"Files\(name=' '\): must be text"),
    ],
)
def test_an_impossible_source_is_refused_when_it_is_written(write, said):
    """The DAG file fails to parse and names the field."""
    with pytest.raises(ConfigurationError, match=said):
        write()


@pytest.mark.parametrize(
    ("one", "other", "dataset"),
    [
        ("data/flights_2013-02-08.csv", "data/flights_2013-12-31.csv", "data/flights_*.csv"),
        ("data/20130208/a.parquet", "data/20131231/a.parquet", "data/*/a.parquet"),
        (
            "d/year=2013/month=2/day=8/*.csv",
            "d/year=2014/month=12/day=31/*.csv",
            "d/year=*/month=*/day=*/*.csv",
        ),
        ("d/2013-02-08T05:00:00+00:00.json", "d/2013-02-08T06:00:00+00:00.json", "d/*.json"),
        ("d/2013/02/08.csv", "d/2014/03/09.csv", "d/*.csv"),
    ],
)
def test_each_day_of_files_adds_to_one_history(one, other, dataset):
    """Dates in a path are the batch's, not the data set's."""
    assert Files(one).dataset == Files(other).dataset == dataset


def test_other_figures_in_a_path_name_other_data_sets():
    """Versions and regions are not taken for dates, and a name overrides all."""
    assert Files("v2/region1.csv").dataset != Files("v2/region2.csv").dataset
    assert Files("shop_987654.csv").dataset != Files("shop_987655.csv").dataset
    assert Files("v2/region1.csv", name="orders").dataset == "orders"
