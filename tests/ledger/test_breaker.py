"""One breaker for all workers."""

import pytest

from airflow_agent_provider.exceptions import CircuitOpen, EndpointDisabled
from airflow_agent_provider.ledger.breaker import LedgerBreaker
from airflow_agent_provider.ledger.database import SQLiteDatabase
from airflow_agent_provider.routing.breaker import BreakerRule, Health


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def workers(tmp_path, clock):
    """Two workers that share nothing but the ledger."""
    rule = BreakerRule(failures=2, cooldown_s=30)
    both = [LedgerBreaker(SQLiteDatabase(tmp_path / "l.sqlite"), rule, clock=clock) for _ in range(2)]
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
