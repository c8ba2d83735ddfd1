"""
How unlike its history a batch is, and by which figures.

The distance of a batch and what makes it are the business of
:mod:`~airflow_agent_provider.quality.distance`; here it becomes a p-value.

Calibration
    A distance means nothing by itself. The leave-one-out distance of every batch of
    the history says what is usual; each is taken with the scaling of the others, as
    the new batch's is. (With a common scaling, history lies inside the unit cube by
    construction and every new batch outside looks odd: half of all good ones.) The
    batch that follows it in time is left out too: in data that drifts, a past batch
    has a neighbour on both sides, the new one only behind it.

    The rank among them, the conformal p-value, cannot fall below 1/(n+1) and calls the
    largest ordinary batch as odd as a disaster. So the logarithms of the distances are
    taken as a normal sample, and the new one is held against Student's prediction
    interval: with mean m and deviation s of n logs, ``(log d - m) / (s sqrt(1 + 1/n))``
    follows t with n-1 degrees of freedom when the batch is like the others. Few batches
    make wide tails, as they should. On simulated
    batches that are like each other (normal, skewed, heavy-tailed, weekly, autocorrelated;
    8 to 60 batches of history) the share of false alarms at ``alpha`` 0.01 was measured
    as 0.00 to 0.05, the more the heavier the tails, and at 0.05 as 0.00 to 0.08.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_agent_provider.exceptions import ConfigurationError
from airflow_agent_provider.quality import student
from airflow_agent_provider.quality.distance import Features, common_space
from airflow_agent_provider.quality.features import split
from airflow_agent_provider.quality.figures import count, figure, span
from airflow_agent_provider.quality.results import CheckResult, Severity

CHECK_NAME = "LikeHistory()"
SHOWN = 8
SHORTEST = 0.1
"""Distances below a tenth of one feature's range all count as this."""
SMALLEST_SPREAD = 0.1
"""Usual distances that agree within a tenth are taken to vary by a tenth."""
FAR = 100
FEWEST = 4
"""Each batch of the history is compared with the others but one, and a spread needs two."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """
    One feature's part in the distance.

    :param share: of the squared distance, in [0, 1].
    :param history: the accepted batches' values, oldest first; those that lack it left out.
    """

    feature: str
    found: float
    share: float
    history: tuple[float, ...]

    @property
    def outside(self) -> bool:
        """Whether no accepted batch went as far."""
        return not min(self.history) <= self.found <= max(self.history)

    def __str__(self) -> str:
        low, high = min(self.history), max(self.history)
        return f"{self.feature} {figure(self.found)} against {span(low, high)}"


@dataclass(frozen=True, slots=True)
class Anomaly:
    """
    How a batch compares with its history.

    :param history_size: accepted batches that it was compared with.
    :param p_value: how often a batch like the others would be this far away; None when not judged.
    :param distance: mean distance to the nearest accepted batches, in feature ranges.
    :param usual_distance: median of the same distance over the accepted batches.
    :param deviations: the features that make most of the distance, first the largest.
    """

    history_size: int
    minimum_history: int
    alpha: float
    p_value: float | None = None
    distance: float | None = None
    usual_distance: float | None = None
    deviations: tuple[Deviation, ...] = ()

    @property
    def flagged(self) -> bool:
        """Whether the batch is unlike its history."""
        return self.p_value is not None and self.p_value < self.alpha

    @property
    def note(self) -> str:
        """One sentence about the comparison."""
        if self.history_size < self.minimum_history:
            return (
                f"cold start: {self.history_size} of {count(self.minimum_history, 'batch')}; "
                "judged by its checks alone"
            )
        if self.p_value is None:
            return "not compared: the history has no feature in common with the batch"
        batches = count(self.history_size, "accepted batch")
        if not self.flagged:
            return f"like the {batches} of its history (p = {self.p_value:.2g})"
        first = "; ".join(str(one) for one in self.deviations[:3])
        return f"unlike the {batches} of its history (p = {self.p_value:.2g}): {first}"


@dataclass(frozen=True, slots=True)
class Detector:
    """
    Compares a batch with its history.

    :param neighbours: nearest batches that the distance is averaged over (k).
    :param alpha: false alarms accepted, as a share of the good batches; 0.01 is one
        in 100 days for a daily batch.
    :param minimum_history: accepted batches below which nothing is said.
    :param window: accepted batches looked at, the latest. 60 hold eight weeks of daily
        batches, so every weekday several times; older ones describe data of the past,
        and the work grows with the square.
    :param severity: of an alarm.
    :param far_severity: of an alarm at a hundredth of ``alpha``. An ordinary batch that is
        slightly the largest seen so far costs little, a disaster that no check foresaw much.
    :raises ConfigurationError: when a parameter makes no sense.
    """

    neighbours: int = 5
    alpha: float = 0.01
    minimum_history: int = 8
    window: int = 60
    severity: Severity = "warning"
    far_severity: Severity = "error"

    def __post_init__(self) -> None:
        if self.neighbours < 1:
            raise ConfigurationError(f"Detector(neighbours={self.neighbours}): must be 1 or more")
        if not 0 < self.alpha < 1:
            raise ConfigurationError(f"Detector(alpha={self.alpha}): must be between 0 and 1")
        if self.minimum_history < FEWEST:
            raise ConfigurationError(
                f"Detector(minimum_history={self.minimum_history}): must be {FEWEST} or more"
            )
        if self.window < self.minimum_history:
            raise ConfigurationError(
                f"Detector(window={self.window}): must be minimum_history={self.minimum_history} or more"
            )

    def compare(self, batch: Features, history: Sequence[Features]) -> Anomaly:
        """
        Judge a batch by the batches before it.

        :param history: features of accepted batches, oldest first; the latest ``window`` are used.
        """
        past = history[-self.window :]
        if len(past) < self.minimum_history:
            return Anomaly(len(past), self.minimum_history, self.alpha)
        space = common_space(batch, past)
        if not space.names:
            return Anomaly(len(past), self.minimum_history, self.alpha)
        distance, shares = space.distance(space.batch, space.rows, self.neighbours)
        usual = [
            space.distance(row, space.rows[:at] + space.rows[at + 2 :], self.neighbours)[0]
            for at, row in enumerate(space.rows)
        ]
        return Anomaly(
            history_size=len(past),
            minimum_history=self.minimum_history,
            alpha=self.alpha,
            p_value=prediction_p(distance, usual),
            distance=distance,
            usual_distance=statistics.median(usual),
            deviations=tuple(_deviations(space.names, shares, batch, past)[:SHOWN]),
        )

    def check(self, anomaly: Anomaly) -> CheckResult | None:
        """
        Turn the comparison into one check of the batch.

        Its credit falls with p: 1 from ``alpha`` on, ``p / alpha`` below, 0 when far.

        :return: None when nothing could be compared.
        """
        if anomaly.p_value is None:
            return None
        far = anomaly.p_value < self.alpha / FAR
        columns = dict.fromkeys(split(one.feature)[0] for one in anomaly.deviations if one.outside)
        return CheckResult(
            name=CHECK_NAME,
            dimension="distribution",
            severity=self.far_severity if far else self.severity,
            passed=not anomaly.flagged,
            credit=0.0 if far else min(1.0, anomaly.p_value / self.alpha),
            found=anomaly.p_value,
            allowed=self.alpha,
            message=anomaly.note,
            columns=tuple(name for name in columns if name),
            metrics=tuple(one.feature for one in anomaly.deviations),
        )


def prediction_p(distance: float, usual: Sequence[float]) -> float:
    """
    Give the chance of a distance at least this large, were the batch like the others.

    :param usual: leave-one-out distances of the history; two or more.
    """
    logs = [math.log(max(one, SHORTEST)) for one in usual]
    spread = max(statistics.stdev(logs), SMALLEST_SPREAD) * math.sqrt(1 + 1 / len(logs))
    return student.upper_tail(
        (math.log(max(distance, SHORTEST)) - statistics.fmean(logs)) / spread, len(logs) - 1
    )


def _deviations(
    names: Sequence[str], shares: Sequence[float], batch: Features, past: Sequence[Features]
) -> list[Deviation]:
    ranked = sorted(zip(shares, names, strict=True), key=lambda one: (-one[0], one[1]))
    return [
        # A feature that the batch lacks is the null share of a column that it lost.
        Deviation(name, batch.get(name, 1.0), share, tuple(row[name] for row in past if name in row))
        for share, name in ranked
        if share > 0
    ]
