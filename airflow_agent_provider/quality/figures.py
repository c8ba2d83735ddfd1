"""Numbers as people read them; every report writes them the same way."""

from __future__ import annotations

import math
from datetime import datetime, time

SMALLEST, THOUSAND, LARGEST, LARGEST_WHOLE = 1e-4, 1e3, 1e9, 1e15
"""Where numbers change their form: below and above, they are written as powers of ten."""


def figure(value: float) -> str:
    """Write a number with about three significant digits, whole numbers in full: ``1,234``, ``0.508``."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < LARGEST_WHOLE:
        return f"{int(value):,}"
    if abs(value) >= LARGEST or abs(value) < SMALLEST:
        return f"{value:.3g}"
    if abs(value) >= THOUSAND:
        return f"{value:,.0f}"
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits > 0 else f"{value:.0f}"


def span(low: float, high: float) -> str:
    """Write a range: ``0.001 to 0.109``, or ``always 5``."""
    return f"always {figure(low)}" if low == high else f"{figure(low)} to {figure(high)}"


def count(number: int, noun: str) -> str:
    """Write a number of things: ``1 check``, ``1,200 rows``, ``2 batches``."""
    plural = "es" if noun.endswith(("ch", "s", "sh", "x")) else "s"
    return f"{number:,} {noun}{'' if number == 1 else plural}"


def clip(text: str, length: int) -> str:
    """Cut a text to a length, and say so by an ellipsis."""
    return text if len(text) <= length else text[: max(length - 1, 0)].rstrip() + "…"


def printable(text: str) -> str:
    """Replace control and bidirectional characters and lone surrogates: they rewrite terminals and pages."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def batch_name(key: str) -> str:
    """Shorten a batch key that is a moment, to the day where it is midnight; other keys stay as they are."""
    try:
        moment = datetime.fromisoformat(key)
    except ValueError:
        return key
    return f"{moment:%Y-%m-%d}" if moment.time() == time.min else f"{moment:%Y-%m-%d %H:%M}"
