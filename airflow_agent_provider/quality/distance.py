"""
How far a batch is from its history, and which features make the distance.

Distance
    The mean distance to the nearest accepted batches, in the space of
    :mod:`features <airflow_agent_provider.quality.features>` scaled by their range in
    the history: the average-kNN method of Redyuk et al. (EDBT 2021,
    https://doi.org/10.5441/002/edbt.2021.07). Nearest neighbours keep working where a
    mean and a standard deviation fail: on data with a weekly rhythm a Saturday finds
    its like among the Saturdays.

Resolution
    Where the history hardly moves, its range is no yardstick: one row more than the
    always 100 rows is not infinitely far. So each kind of feature has a smallest
    difference worth speaking of (:func:`resolution`), in the feature's own unit.
    Smaller steps out of the range count for nothing, and no range is taken to be
    smaller. The size of these units is a judgement about data, not fitted to any.

Attribution
    The squared distance to each neighbour is a sum over the features; a feature's
    share of it, averaged over the neighbours, says how much of the distance it makes.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airflow_agent_provider.quality.features import NULL_SHARE, ROW_COUNT, SHARES, split

ONE_PERCENT = 0.01
A_TENTH = 0.1
"""Of a standard deviation: half of what Cohen (1988) calls a small effect."""

LARGEST = 1e150

Features = Mapping[str, float]


def resolution(feature: str, past: Sequence[Features]) -> float:
    """
    Give the smallest difference worth speaking of, in the unit of the scaled feature.

    Shares: one percentage point. Rows: one per cent. Shortest and longest text: one
    character. Mean, quantiles and standard deviation of numbers: a tenth of the
    column's usual standard deviation; minimum and maximum, which a single row can
    move: one of them. Ranges and lags of times: a tenth of the column's usual range
    (which is more than the hour that daylight saving moves in a day). Anything else:
    one per cent of its largest size.
    """
    column, metric = split(feature)
    if metric in SHARES or feature == ROW_COUNT:
        return ONE_PERCENT
    if metric in {"length_min", "length_max"}:
        return 1.0
    if metric in {"range_s", "lag_s"} and (usual := _median(f"{column}.range_s", past)):
        return A_TENTH * usual
    if usual := _median(f"{column}.std", past):
        if metric in {"mean", "std", "p05", "p50", "p95"}:
            return A_TENTH * usual
        if metric in {"min", "max"}:
            return usual
    return ONE_PERCENT * max(abs(row[feature]) for row in past if feature in row) or 1.0


def _median(feature: str, past: Sequence[Features]) -> float:
    values = [row[feature] for row in past if feature in row]
    return statistics.median(values) if values else 0.0


@dataclass(frozen=True, slots=True)
class Space:
    """The features that can be compared, and the batches as points in it, in the order of ``names``."""

    names: list[str]
    resolutions: list[float]
    batch: list[float]
    rows: list[list[float]]

    def distance(
        self, point: list[float], others: list[list[float]], neighbours: int
    ) -> tuple[float, list[float]]:
        """Give the mean distance to the nearest others, and each feature's share of its square."""
        lows, highs = ([edge(axis) for axis in zip(*others, strict=True)] for edge in (min, max))
        pulled, spans = [], []
        for value, low, high, step in zip(point, lows, highs, self.resolutions, strict=True):
            pulled.append(_toward(value, low, high, step))
            spans.append(max(high - low, step))
        place = [value / wide for value, wide in zip(pulled, spans, strict=True)]
        scaled = ([value / wide for value, wide in zip(row, spans, strict=True)] for row in others)
        nearest = sorted((math.dist(place, row), row) for row in scaled)[:neighbours]
        apart = [(far, row) for far, row in nearest if far > 0]
        shares = [0.0] * len(place)
        for far, row in apart:
            for axis, (mine, theirs) in enumerate(zip(place, row, strict=True)):
                shares[axis] += ((mine - theirs) / far) ** 2 / len(apart)
        return statistics.fmean(far for far, _ in nearest), shares


def common_space(batch: Features, past: Sequence[Features]) -> Space:
    """
    Choose what to compare: features that the batch has and at least half of the history.

    A batch of the past that lacks one is given the others' median: it says nothing about
    it. A column that the batch lost altogether counts as a column of nulls.
    """
    columns = {split(name)[0] for name in batch}
    names, steps, found, axes = [], [], [], []
    for name in sorted({name for row in past for name in row}):
        column, metric = split(name)
        lost = metric == NULL_SHARE and column not in columns
        values = [row[name] for row in past if name in row]
        if not (name in batch or lost) or 2 * len(values) < len(past):
            continue
        middle = statistics.median(values)
        names.append(name)
        steps.append(resolution(name, past))
        found.append(_scale(name, 1.0 if lost else batch[name]))
        axes.append([_scale(name, row.get(name, middle)) for row in past])
    return Space(names, steps, found, [list(row) for row in zip(*axes, strict=True)])


def _toward(value: float, low: float, high: float, step: float) -> float:
    """Take a step out of the range back, but not further than its edge."""
    if value > high:
        return max(high, value - step)
    return min(low, value + step) if value < low else value


def _scale(name: str, value: float) -> float:
    # Row counts grow and shrink by factors. Differences of larger numbers would not be finite.
    return math.log1p(value) if name == ROW_COUNT else min(max(value, -LARGEST), LARGEST)
