"""
Requests and tokens a minute, shared by all workers: whose turn is when.

The generic cell rate algorithm keeps one number per limit, the time up to which
the limit is used up ("theoretical arrival time", ITU-T I.371). A call moves it on
by its own share of the minute and goes when the number lies no more than the burst
ahead of the clock. The turn is taken when it is asked for: nobody polls, and who
asks first goes first. A server that says ``Retry-After`` blocks the pace for all.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from airflow_agent_provider.exceptions import ConfigurationError

MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class RateRule:
    """
    What an endpoint allows.

    :param requests_per_minute: calls at most; None: no limit.
    :param tokens_per_minute: input and output tokens at most, by their worst case; None: no limit.
    :param burst_s: how many seconds' worth may go at once.
    :raises ConfigurationError: when a limit is not positive.
    """

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    burst_s: float = 5.0

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if value is not None and not value > 0:
                raise ConfigurationError(f"RateRule({one.name}={value!r}): must be greater than 0")


@dataclass(frozen=True, slots=True)
class Pace:
    """
    Up to when the limits of an endpoint are used up; wall-clock seconds.

    :param blocked_until: until when the server asked to wait.
    """

    requests_at: float = 0.0
    tokens_at: float = 0.0
    blocked_until: float = 0.0


def take_turn(pace: Pace, rule: RateRule, tokens: int, now: float) -> tuple[float, Pace]:
    """
    Take the next turn.

    :param tokens: what the call may use at most.
    :return: seconds to wait before going, and the pace to keep.
    """
    requests_at, tokens_at = pace.requests_at, pace.tokens_at
    wait_s = pace.blocked_until - now
    if rule.requests_per_minute:
        requests_at = max(requests_at, now) + MINUTE_S / rule.requests_per_minute
        # The first call of an idle minute goes at once, however slow the limit is.
        wait_s = max(wait_s, requests_at - now - max(rule.burst_s, MINUTE_S / rule.requests_per_minute))
    if rule.tokens_per_minute:
        share_s = tokens * MINUTE_S / rule.tokens_per_minute
        tokens_at = max(tokens_at, now) + share_s
        wait_s = max(wait_s, tokens_at - now - max(rule.burst_s, share_s))
    return max(wait_s, 0.0), replace(pace, requests_at=requests_at, tokens_at=tokens_at)


def blocked(pace: Pace, wait_s: float, now: float) -> Pace:
    """Give the pace after the server asked everybody to wait."""
    return replace(pace, blocked_until=max(pace.blocked_until, now + wait_s))
