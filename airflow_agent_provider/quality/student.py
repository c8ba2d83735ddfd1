"""
The tail of Student's t distribution, for whole degrees of freedom.

Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 26.7.3 and 26.7.4:
the probability of ``|T| < t`` is a finite sum of powers of ``cos(atan(t / sqrt(v)))``.
Exact but for rounding, and small enough that no statistics library is needed.
"""

from __future__ import annotations

import math

SMALLEST = 1e-12
"""Tails below this are lost in rounding and given as this."""


def upper_tail(t: float, degrees: int) -> float:
    """
    Give the probability of a value above ``t``.

    :param degrees: degrees of freedom, 1 or more.
    :return: in [1e-12, 1].
    """
    angle = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    if degrees % 2:
        within = (angle + sine * _series(cosine, cosine, range(1, degrees - 1, 2))) * 2 / math.pi
    else:
        within = sine * _series(1.0, cosine, range(0, degrees - 1, 2))
    return max((1 - within) / 2, SMALLEST)


def _series(first: float, cosine: float, orders: range) -> float:
    total, term = 0.0, first
    for order in orders:
        total += term
        term *= cosine * cosine * (order + 1) / (order + 2)
    return total
