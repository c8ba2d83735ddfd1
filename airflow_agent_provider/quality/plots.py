"""
Pictures as inline SVG: no library, no script, no file beside the page.

Colours come from the page's style, so that they follow its light or dark scheme.
Shapes differ as well as colours: what failed is a square among round points. Every
picture has a title that says in words what it shows.

A picture is drawn for a width in CSS pixels, so that its letters stay readable;
:func:`responsive` draws it twice, and the page's style shows the one that fits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from airflow_agent_provider.quality.anomaly import Deviation
from airflow_agent_provider.quality.figures import clip, figure
from airflow_agent_provider.quality.markup import esc
from airflow_agent_provider.quality.score import Contribution

WIDE, NARROW, SMALL = 960.0, 400.0, 480.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 14.0, 12.0, 30.0
LETTER = 8.6
"""Width of a letter in CSS pixels, about."""
NAMED = 90.0
"""Parts of the score bar from this width on carry their name."""
ROUND_ENDS = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True, slots=True)
class Point:
    """
    One batch in a trend.

    :param value: None leaves a gap.
    :param kind: style class of the mark, e.g. a verdict.
    """

    label: str
    value: float | None
    kind: str = ""
    failed: bool = False


def responsive(draw: Callable[[float], str]) -> str:
    """Draw a picture for a wide and for a narrow page."""
    return f'<div class="wide">{draw(WIDE)}</div><div class="narrow">{draw(NARROW)}</div>'


def score_bar(contributions: Sequence[Contribution], threshold: float, width: float = WIDE) -> str:
    """Draw the score as one bar: what was earned, what was lost and to which check, and the threshold."""
    parts, start = [], 0.0
    for kind in ("earned", "lost"):
        for one in contributions:
            share: float = getattr(one, kind)
            if share > 0:
                tip = f"{one.name}: {share:.4f} {kind}"
                parts.append(_rect(kind, start, 22, share * width, 30, tip=tip))
                if share * width > NAMED:
                    name = clip(one.name, int((share * width - 12) / LETTER))
                    parts.append(_text(f"inside {kind}", start + 6, 42, name))
                start += share * width
    mark = threshold * width
    parts += [
        _line("threshold", mark, 14, mark, 60),
        _text("axis", mark, 72, f"threshold {threshold:g}", "end" if mark * 2 > width else "start"),
    ]
    total = sum(one.earned for one in contributions)
    return _svg("bar", width, 76, f"Score {total:.4f} of 1, threshold {threshold:g}", parts)


def strip(one: Deviation) -> str:
    """Draw one feature: the accepted batches as dots on their range, this batch as a square."""
    width, middle = 320.0, 13.0
    low, high = min(*one.history, one.found), max(*one.history, one.found)

    def place(value: float) -> float:
        return 10 + (value - low) / (high - low) * (width - 20) if high > low else width / 2

    start, end = place(min(one.history)), place(max(one.history))
    kind = "now out" if one.outside else "now"
    parts = [
        _line("base", 4, middle, width - 4, middle),
        _rect("range", start - 5, middle - 8, end - start + 10, 16),
        *(_circle("past", place(value), middle, 3.5) for value in one.history),
        _rect(kind, place(one.found) - 6, middle - 6, 12, 12),
    ]
    return _svg("strip", width, 2 * middle, str(one), parts)


def trend(
    title: str,
    points: Sequence[Point],
    width: float = WIDE,
    *,
    threshold: float | None = None,
    top: float | None = None,
    height: float = 210.0,
) -> str:
    """
    Draw values over batches as a line with a mark for each.

    :param threshold: drawn as a dashed line.
    :param top: upper end of the scale; by default a round number above the largest value.
    """
    frame = _Frame.around(points, width, height, top)
    parts = [*frame.grid(), *frame.dates(points)]
    if threshold is not None:
        y = frame.y(threshold)
        parts += [
            _line("threshold", LEFT, y, width - RIGHT, y),
            _text("axis", width - RIGHT, y + 18, f"threshold {threshold:g}", "end"),
        ]
    parts += [f'<polyline class="line" points="{run}"/>' for run in frame.runs(points)]
    parts += [frame.mark(at, one, one.value) for at, one in enumerate(points) if one.value is not None]
    return _svg("trend", width, height, title, parts)


def columns(title: str, points: Sequence[Point], width: float = WIDE, *, height: float = 170.0) -> str:
    """Draw values over batches as columns from zero."""
    frame = _Frame.around(points, width, height, None)
    thick = min(max(frame.slot * 0.7, 1.0), 40.0)
    parts = [*frame.grid(), *frame.dates(points)]
    for at, one in enumerate(points):
        if one.value is not None:
            y, tip = frame.y(one.value), f"{one.label}: {figure(one.value)}"
            parts.append(
                _rect(f"column {one.kind}", frame.x(at) - thick / 2, y, thick, frame.y(0) - y, tip=tip)
            )
    return _svg("trend", width, height, title, parts)


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where values fall on the paper; the scale starts at zero."""

    width: float
    height: float
    top: float
    slots: int

    @classmethod
    def around(cls, points: Sequence[Point], width: float, height: float, top: float | None) -> _Frame:
        largest = max((one.value for one in points if one.value is not None), default=0.0)
        return cls(width, height, top or _round_end(largest), max(len(points), 1))

    @property
    def slot(self) -> float:
        return (self.width - LEFT - RIGHT) / self.slots

    def x(self, at: int) -> float:
        return LEFT + (at + 0.5) * self.slot

    def y(self, value: float) -> float:
        return self.height - BOTTOM - max(value, 0.0) / self.top * (self.height - BOTTOM - TOP)

    def grid(self) -> Iterator[str]:
        for value in (0.0, self.top / 2, self.top):
            y = self.y(value)
            yield _line("grid", LEFT, y, self.width - RIGHT, y)
            yield _text("axis", LEFT - 8, y + 5, figure(value), "end")

    def dates(self, points: Sequence[Point]) -> Iterator[str]:
        last, gaps = len(points) - 1, 4 if self.width > SMALL else 2
        for at in sorted({round(last * part / gaps) for part in range(gaps + 1)} if points else ()):
            anchor = "middle" if 0 < at < last or last == 0 else "start" if at == 0 else "end"
            yield _text("axis", self.x(at), self.height - 8, clip(points[at].label, 16), anchor)

    def runs(self, points: Sequence[Point]) -> list[str]:
        """Give the corners of the line, a new one after each gap."""
        runs: list[list[str]] = [[]]
        for at, one in enumerate(points):
            if one.value is None:
                runs.append([])
            else:
                runs[-1].append(f"{self.x(at):.1f},{self.y(one.value):.1f}")
        return [" ".join(run) for run in runs if len(run) > 1]

    def mark(self, at: int, one: Point, value: float) -> str:
        radius = min(max(self.slot * 0.4, 1.5), 5.0)
        x, y, tip = self.x(at), self.y(value), f"{one.label}: {figure(value)}"
        if one.failed:
            half = radius * 1.3
            return _rect(f"mark {one.kind}", x - half, y - half, 2 * half, 2 * half, tip=tip)
        return _circle(f"mark {one.kind}", x, y, radius, tip=tip)


def _round_end(largest: float) -> float:
    if largest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(largest))
    return next(step * power for step in ROUND_ENDS if step * power >= largest * (1 - 1e-9))


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{esc(kind)}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _rect(kind: str, x: float, y: float, width: float, height: float, *, tip: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
    return f'<rect class="{esc(kind)}" {place}>{_tip(tip)}</rect>'


def _circle(kind: str, x: float, y: float, radius: float, *, tip: str = "") -> str:
    return f'<circle class="{esc(kind)}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">{_tip(tip)}</circle>'


def _text(kind: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text class="{esc(kind)}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{esc(text)}</text>'


def _tip(text: str) -> str:
    return f"<title>{esc(text)}</title>" if text else ""


def _svg(kind: str, width: float, height: float, title: str, parts: Sequence[str]) -> str:
    head = f'<svg class="{kind}" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{esc(title)}">'
    return "\n".join([head, *parts, "</svg>"])
