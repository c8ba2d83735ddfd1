"""One pace for all workers."""

from concurrent.futures import ProcessPoolExecutor

import pytest

from airflow_agent_provider.ledger.rate import LedgerRate
from airflow_agent_provider.routing.rate import RateRule


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


def stopped():
    return 1_000.0


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def workers(store, clock):
    """Two workers that share nothing but the ledger: one request a second, none at once."""
    rule = RateRule(requests_per_minute=60, tokens_per_minute=6_000, burst_s=1)
    both = [LedgerRate(store.open(), rule, clock=clock) for _ in range(2)]
    both[0].prepare()
    return both


def test_workers_take_turns(workers, clock):
    """The second waits for the first one's second, whoever asks."""
    one, other = workers
    assert [one.take_turn("llm", 1), other.take_turn("llm", 1), one.take_turn("llm", 1)] == [0, 1, 2]
    clock.now += 10
    assert other.take_turn("llm", 1) == 0


def test_tokens_have_a_pace_of_their_own(workers):
    """A thousand tokens at a hundred a second keep the next call waiting for ten."""
    one, other = workers
    assert one.take_turn("llm", 1_000) == 0
    assert other.take_turn("llm", 1) == pytest.approx(9.01)


def test_endpoints_are_apart(workers):
    """One that is busy does not slow the other down."""
    workers[0].take_turn("a", 1)
    assert workers[1].take_turn("b", 1) == 0


def test_a_server_that_asks_to_wait_is_obeyed_by_all(store, workers, clock):
    """Also by workers that know of no limit; a shorter wait does not shorten a longer one."""
    workers[0].block("llm", 30)
    workers[0].block("llm", 5)
    unlimited = LedgerRate(store.open(), clock=clock)
    assert unlimited.take_turn("llm", 1) == 30
    assert workers[1].take_turn("llm", 1) == 30
    clock.now += 31
    assert unlimited.take_turn("llm", 1) == 0


def take_turns(store, calls):
    rate = LedgerRate(store.open(hold=True), RateRule(requests_per_minute=60, burst_s=1), clock=stopped)
    return [rate.take_turn("llm", 1) for _ in range(calls)]


def test_processes_never_share_a_turn(store):
    """Four processes take a hundred turns while the clock stands still: one for each second."""
    LedgerRate(store.open()).prepare()
    with ProcessPoolExecutor(4) as pool:
        turns = [turn for some in pool.map(take_turns, [store] * 4, [25] * 4) for turn in some]
    assert sorted(turns) == [pytest.approx(second) for second in range(100)]
