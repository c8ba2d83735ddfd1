"""One breaker for all workers."""

from concurrent.futures import ProcessPoolExecutor

import pytest

from airflow_agent_provider.exceptions import CircuitOpen, EndpointDisabled
from airflow_agent_provider.ledger.breaker import LedgerBreaker
from airflow_agent_provider.routing.breaker import BreakerRule, Health


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def workers(store, clock):
    """Two workers that share nothing but the ledger."""
    rule = BreakerRule(failures=2, cooldown_s=30)
    both = [LedgerBreaker(store.open(), rule, clock=clock) for _ in range(2)]
    both[0].prepare()
    return both


def test_failures_seen_by_one_worker_spare_the_other(workers):
    """The second worker does not pay a time-out to learn it."""
    one, other = workers
    one.failed("llm")
    one.failed("llm")
    with pytest.raises(CircuitOpen, match="2 calls in a row failed; next try in 30 s"):
        other.admit("llm")


def test_endpoints_are_apart(workers):
    """One that is down does not stop the other."""
    workers[0].failed("a")
    workers[0].failed("a")
    workers[1].admit("b")


def test_one_worker_probes_and_its_success_lets_all_through(workers, clock):
    """The others wait for the probe's end."""
    one, other = workers
    one.failed("llm")
    one.failed("llm")
    clock.now += 31
    one.admit("llm")
    with pytest.raises(CircuitOpen):
        other.admit("llm")
    one.succeeded("llm")
    other.admit("llm")
    assert other.health("llm") == Health()


def test_a_person_can_switch_an_endpoint_off_for_everybody(workers):
    """And on again."""
    one, other = workers
    one.disable("llm", by="admin")
    with pytest.raises(EndpointDisabled, match="switched off by admin"):
        other.admit("llm")
    one.enable("llm")
    other.admit("llm")


def test_what_is_known_of_every_endpoint_can_be_seen(workers):
    """Healthy ones are listed once they failed or were switched."""
    one, other = workers
    one.failed("b")
    one.disable("a", by="admin")
    assert other.known() == {"a": (Health(), "admin"), "b": (Health(failures=1), None)}


def fail_and_probe(store, calls):
    """Fail some calls of one endpoint, then try to probe another whose circuit is open."""
    breaker = LedgerBreaker(store.open(hold=True), BreakerRule(failures=10**6, probe_s=3600))
    for _ in range(calls):
        breaker.failed("busy")
    try:
        breaker.admit("down")
    except CircuitOpen:
        return 0
    return 1


def test_processes_lose_no_failure_and_send_one_probe(store):
    """Counting and claiming happen under the row's lock."""
    long_ago = LedgerBreaker(store.open(), BreakerRule(failures=1), clock=lambda: 0.0)
    long_ago.prepare()
    long_ago.failed("down")
    with ProcessPoolExecutor(4) as pool:
        probes = sum(pool.map(fail_and_probe, [store] * 4, [25] * 4))
    assert long_ago.health("busy").failures == 100
    assert probes == 1
