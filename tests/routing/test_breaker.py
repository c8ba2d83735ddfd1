"""The breaker as a state machine, with a clock held by hand."""

from hypothesis import given
from hypothesis import strategies as st

from airflow_agent_provider.routing.breaker import BreakerRule, Health, admit, failed, retry_at, succeeded

RULE = BreakerRule(failures=3, cooldown_s=30, max_cooldown_s=100, probe_s=10)


def opened(now=0.0):
    health = Health()
    for _ in range(RULE.failures):
        health = failed(health, RULE, now)
    return health


def test_it_opens_after_failures_in_a_row_only():
    """A success in between starts the count anew."""
    health = failed(failed(Health(), RULE, 0), RULE, 0)
    assert failed(succeeded(health), RULE, 0).is_closed
    assert not failed(health, RULE, 0).is_closed


def test_an_open_circuit_refuses_until_the_cooldown_has_passed():
    """Nobody pays a time-out in between."""
    assert not admit(opened(), RULE, 29.9)[0]
    assert admit(opened(), RULE, 30)[0]


def test_only_one_caller_probes():
    """The others are refused until the probe has ended."""
    _, probing = admit(opened(), RULE, 30)
    assert not admit(probing, RULE, 31)[0]


def test_a_lost_probe_is_forgotten():
    """Its process was killed: after probe_s the next one may try."""
    _, probing = admit(opened(), RULE, 30)
    assert admit(probing, RULE, 40)[0]


def test_a_good_probe_closes_the_circuit():
    """And forgets the failures."""
    _, probing = admit(opened(), RULE, 30)
    assert succeeded(probing) == Health()


def test_each_failed_probe_doubles_the_cooldown_up_to_its_bound():
    """30, 60, 100, 100 seconds."""
    health, now, waits = opened(), 0.0, []
    for _ in range(4):
        waits.append(retry_at(health, RULE) - now)
        now = retry_at(health, RULE)
        _, health = admit(health, RULE, now)
        health = failed(health, RULE, now)
    assert waits == [30, 60, 100, 100]


def test_calls_from_before_the_opening_do_not_prolong_it():
    """Four calls in flight that fail late must not push the probe away."""
    late = failed(failed(opened(0), RULE, 20), RULE, 25)
    assert retry_at(late, RULE) == retry_at(opened(0), RULE)


@given(st.lists(st.sampled_from(["call", "ok", "fail", "wait"]), max_size=60))
def test_whatever_happens_it_is_never_stuck(events):
    """After the longest cool-down and a lost probe somebody may always call."""
    health, now = Health(), 0.0
    for event in events:
        now += 7 if event == "wait" else 0
        if event == "call":
            _, health = admit(health, RULE, now)
        elif event == "ok":
            health = succeeded(health)
        elif event == "fail":
            health = failed(health, RULE, now)
    assert admit(health, RULE, now + RULE.max_cooldown_s + RULE.probe_s)[0]
