"""
A pandas DataFrame.

Missing values, bounds and means are computed over all rows, column by column, by
pandas itself. What has to be counted value by value (distinct and frequent values,
lengths, what nested cells hold) comes from rows spread evenly over the frame.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_agent_provider.summary.fields import Fields, Node, key_name
from airflow_agent_provider.summary.rows import sample
from airflow_agent_provider.summary.summary import Bounds, Summary
from airflow_agent_provider.summary.values import plain, short

if TYPE_CHECKING:
    import pandas as pd

MAX_TYPE_CHARS = 60
SHOWN_INDEXES = 5


def is_frame(data: Any) -> bool:
    """Tell a DataFrame by its class's name: asking pandas would import it."""
    return any(
        one.__name__ == "DataFrame" and one.__module__.partition(".")[0] == "pandas"
        for one in type(data).__mro__
    )


def summarise_frame(
    frame: pd.DataFrame, bounds: Bounds, sensitive: Collection[str] = (), label: str = ""
) -> Summary:
    """
    Summarise a DataFrame.

    Time and memory go with the columns that are described, one at a time; at most a few
    copies of one column are made.
    """
    fields = Fields(bounds, sensitive)
    rows, names = len(frame), _names(frame, bounds.fields)
    looked_at = min(rows, bounds.rows, max(bounds.cells // max(len(names), 1), 1))
    spread = _spread(rows, looked_at)
    shown = _spread(rows, min(rows, bounds.sample_rows))
    samples: list[dict[str, Any]] = [{} for _ in shown]
    for place, name in enumerate(names):
        column = frame.iloc[:, place]
        node = fields.declare([name], _type_text(column))
        if node is not None:
            _measure(column, node, spread)
        for row, value in zip(samples, _values(column, shown), strict=True):
            row[name] = value
    notes = fields.notes()
    if len(names) < frame.shape[1]:
        notes.append(f"{frame.shape[1] - len(names):,} of {frame.shape[1]:,} columns are left out")
    if looked_at < rows:
        notes.append(
            "missing values, bounds and means are of all rows, other statistics of the measured ones"
        )
    index = [key_name(name) for name in islice(frame.index.names, SHOWN_INDEXES) if name is not None]
    return Summary(
        kind="dataframe",
        label=label,
        row_count=rows,
        measured_rows=looked_at,
        fields=fields.described(),
        facts={"index": index} if index else {},
        sample=sample(samples, fields.shown, bounds),
        notes=tuple(notes),
    )


def _names(frame: pd.DataFrame, number: int) -> list[str]:
    """Name the first columns; one whose name was there before gets a number."""
    names: dict[str, None] = {}
    for label in islice(frame.columns, number):
        name = base = key_name(label)
        again = 2
        while name in names:
            name = f"{base}#{again}"
            again += 1
        names[name] = None
    return list(names)


def _spread(rows: int, number: int) -> list[int]:
    return [at * rows // number for at in range(number)]


def _values(column: pd.Series[Any], places: Sequence[int]) -> list[Any]:
    part = column.iloc[list(places)]
    return [None if missing else plain(value) for value, missing in zip(part, part.isna(), strict=True)]


def _measure(column: pd.Series[Any], node: Node, spread: Sequence[int]) -> None:
    for value in _values(column, spread):
        node.tally.add(value)
    node.nulls = int(column.isna().sum())
    if node.sensitive:
        return
    kind = getattr(column.dtype, "kind", "O")
    present = column.dropna() if kind in "iufbM" else None
    if present is None or not len(present):
        return
    if kind == "b":
        node.exact = {"true": int(present.sum())}
    elif kind == "M":
        moments = present if getattr(column.dtype, "tz", None) is None else present.dt.tz_convert("UTC")
        low, high = (
            one.to_pydatetime(warn=False).replace(tzinfo=None) for one in (moments.min(), moments.max())
        )
        node.exact = {"earliest": low.isoformat(), "latest": high.isoformat()}
    elif kind == "f":
        node.exact = _floats(present)
    else:
        mean = float(f"{float(present.mean()):.12g}")
        node.exact = {"min": int(present.min()), "max": int(present.max()), "mean": mean}


def _floats(present: pd.Series[Any]) -> dict[str, Any]:
    import numpy as np

    numbers = present.to_numpy(dtype="float64")
    finite = numbers[np.isfinite(numbers)]
    beyond = {"not_finite": len(numbers) - len(finite)} if len(finite) < len(numbers) else {}
    if not len(finite):
        return beyond
    mean = finite.mean()
    found = {"min": float(finite.min()), "max": float(finite.max())}
    return found | ({"mean": float(f"{mean:.12g}")} if np.isfinite(mean) else {}) | beyond


def _type_text(column: pd.Series[Any]) -> str:
    """Give the column's type, unless it says nothing; names in nested types come from data."""
    text = short(" ".join(str(column.dtype).split()), MAX_TYPE_CHARS)
    return "" if text == "object" else text
