"""
The circuit breaker's rules as values: no clock, no store.

Closed: calls go through; failures in a row are counted. Open: calls are refused
until a cool-down has passed. Half open: one caller probes while the others are
still refused; its success closes the circuit, its failure opens it for twice as
long. A probe whose process died is forgotten after ``probe_s``. The pattern is
Nygard's (Release It!, 2007); the ledger keeps one :class:`Health` per endpoint
for all workers and applies these functions under its lock.

======  =====================  ===============================
state   ``opened_at``          ``probe_until``
======  =====================  ===============================
closed  None                   None
open    when it opened         None
half    when it opened         when the probe is given up
======  =====================  ===============================
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class BreakerRule:
    """
    When to open, and for how long.

    :param failures: failures in a row that open the circuit.
    :param cooldown_s: seconds before the first probe; doubled by each failed probe.
    :param max_cooldown_s: the most that doubling reaches.
    :param probe_s: seconds after which a silent probe counts as lost.
    """

    failures: int = 3
    cooldown_s: float = 60.0
    max_cooldown_s: float = 600.0
    probe_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Health:
    """
    What is known of an endpoint; times are wall-clock seconds, shared by machines.

    :param failures: failures in a row.
    :param opens: times in a row that the circuit opened without closing.
    """

    failures: int = 0
    opens: int = 0
    opened_at: float | None = None
    probe_until: float | None = None

    @property
    def is_closed(self) -> bool:
        return self.opened_at is None


def retry_at(health: Health, rule: BreakerRule) -> float:
    """Give the time at which an open circuit lets a probe through."""
    if health.opened_at is None:
        return 0.0
    cooldown_s = min(rule.cooldown_s * 2.0 ** max(health.opens - 1, 0), rule.max_cooldown_s)
    return health.opened_at + cooldown_s


def admit(health: Health, rule: BreakerRule, now: float) -> tuple[bool, Health]:
    """
    Decide whether a call may be made, claiming the probe when it is due.

    :return: whether to call, and the health to keep.
    """
    if health.is_closed:
        return True, health
    probing = health.probe_until is not None and now < health.probe_until
    if probing or now < retry_at(health, rule):
        return False, health
    return True, replace(health, probe_until=now + rule.probe_s)


def succeeded(health: Health) -> Health:
    """Give the health after a call that was answered: closed, nothing counted."""
    return health if health == Health() else Health()


def failed(health: Health, rule: BreakerRule, now: float) -> Health:
    """Give the health after a call that was not answered."""
    counted = replace(health, failures=health.failures + 1)
    if health.is_closed:
        return replace(counted, opens=1, opened_at=now) if counted.failures >= rule.failures else counted
    if health.probe_until is None:
        return counted  # A call from before the circuit opened: it says nothing new.
    return replace(counted, opens=health.opens + 1, opened_at=now, probe_until=None)
