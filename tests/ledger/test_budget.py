"""Budgets in the ledger: nobody passes a cap, nothing is lost, nothing is held for ever."""

import os
import random
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime

import pytest

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ToolSpec, Usage
from airflow_agent_provider.exceptions import BudgetExceeded, ConfigurationError
from airflow_agent_provider.ledger.budget import Balance, LedgerBudget
from airflow_agent_provider.routing.budget import Account, Budget, Spender, account, worst_case

RUN = Spender("flights", "scheduled__1", datetime(2013, 2, 8, tzinfo=UTC))


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(store, clock):
    ledger = LedgerBudget(store.open(), hold_s=60, clock=clock)
    ledger.prepare()
    return ledger


def purse(key="dag:flights", **caps):
    return Account(key, Budget(**caps))


def test_a_call_is_charged_what_it_cost_not_what_was_held(ledger):
    """The difference is free for the next call."""
    held = ledger.reserve([purse(usd=1)], 600_000, 1_000)
    ledger.settle(held, 200_000, Usage(300, 50))
    assert ledger.balance("dag:flights") == Balance(0.2, 0, 1, 350, max_usd=1)


def test_a_call_that_could_pass_the_cap_is_refused_and_holds_nothing(ledger):
    """Money is checked before it is spent."""
    ledger.reserve([purse(usd=1)], 600_000, 1_000)
    with pytest.raises(BudgetExceeded, match=r"dag:flights: 0\.400000 of 1\.00 USD are left, .* 0\.500000"):
        ledger.reserve([purse(usd=1)], 500_000, 1_000)
    assert ledger.balance("dag:flights").reserved_usd == 0.6


def test_several_budgets_hold_together_or_not_at_all(ledger):
    """A refused month gives the run's reservation back."""
    run, month = purse("run:1", usd=10), purse("month:1", usd=0.1)
    with pytest.raises(BudgetExceeded, match="month:1"):
        ledger.reserve([run, month], 500_000, 10)
    assert ledger.balance("run:1").reserved_usd == 0
    assert ledger.balance("run:1").requests == 0


def test_a_killed_process_loses_no_spend_and_holds_nothing_for_ever(ledger, clock):
    """Its reservation becomes spend at the worst case when it expires."""
    ledger.reserve([purse(usd=1)], 600_000, 1_000)
    clock.now += 61
    ledger.reserve([purse(usd=1)], 100_000, 10)
    assert ledger.balance("dag:flights") == Balance(0.6, 0.1, 2, 1_000, reserved_tokens=10, max_usd=1)


def test_an_answer_later_than_the_expiry_corrects_the_spend(ledger, clock):
    """A slow call is not charged twice."""
    held = ledger.reserve([purse(usd=1)], 600_000, 1_000)
    clock.now += 61
    ledger.settle(ledger.reserve([purse(usd=1)], 100, 1), 100, Usage(1, 0))
    ledger.settle(held, 50_000, Usage(10, 10))
    assert ledger.balance("dag:flights") == Balance(0.0501, 0, 2, 21, max_usd=1)


def test_a_released_call_cost_nothing(ledger):
    """The server refused it: neither money nor a request is used."""
    ledger.release(ledger.reserve([purse(usd=1)], 600_000, 1_000))
    assert ledger.balance("dag:flights") == Balance(max_usd=1)


def test_requests_are_capped(ledger):
    """Reserved ones count: a kill does not refill them."""
    for _ in range(2):
        ledger.reserve([purse(requests=2)], None, 10)
    with pytest.raises(BudgetExceeded, match="all 2 requests are used"):
        ledger.reserve([purse(requests=2)], None, 10)
    assert ledger.balance("dag:flights").unpriced_requests == 2


def test_tokens_are_capped(ledger):
    """By their worst case."""
    with pytest.raises(BudgetExceeded, match="100 of 100 tokens are left, the call may take 101"):
        ledger.reserve([purse(tokens=100)], 1, 101)


def test_what_is_left_can_be_seen(ledger):
    """Of every account that was ever drawn on, with the caps that it was last asked with."""
    ledger.reserve([purse("team:data", usd=2, requests=9), purse("dag:flights", tokens=500)], 600_000, 100)
    shown = ledger.balances()
    assert list(shown) == ["dag:flights", "team:data"]
    assert shown["team:data"].left_usd == pytest.approx(1.4)
    assert (shown["team:data"].requests, shown["team:data"].max_requests) == (1, 9)
    assert (shown["dag:flights"].reserved_tokens, shown["dag:flights"].max_tokens) == (100, 500)
    assert shown["dag:flights"].left_usd is None
    assert ledger.balance("dag:other") == Balance()


def test_a_new_cap_counts_from_the_next_call_on(ledger):
    """A raised budget lets calls through again; a lowered one stops them."""
    ledger.settle(ledger.reserve([purse(usd=1)], 900_000, 10), 900_000, Usage(5, 5))
    with pytest.raises(BudgetExceeded):
        ledger.reserve([purse(usd=1)], 200_000, 10)
    ledger.settle(ledger.reserve([purse(usd=2)], 200_000, 10), 200_000, Usage(5, 5))
    with pytest.raises(BudgetExceeded, match=r"-0\.100000 of 1\.00 USD are left"):
        ledger.reserve([purse(usd=1)], 1, 1)


def spend(store, calls):
    ledger = LedgerBudget(store.open(hold=True))
    served = 0
    for _ in range(calls):
        try:
            held = ledger.reserve([purse(usd=0.1)], 1_000, 1)
        except BudgetExceeded:
            continue
        ledger.settle(held, 1_000, Usage(1, 0))
        served += 1
    return served


def test_processes_together_spend_the_cap_and_no_more(store):
    """Four processes try 240 calls of a tenth of a cent against ten cents."""
    LedgerBudget(store.open()).prepare()
    with ProcessPoolExecutor(4) as pool:
        served = sum(pool.map(spend, [store] * 4, [60] * 4))
    assert served == 100
    assert LedgerBudget(store.open()).balance("dag:flights").spent_usd == pytest.approx(0.1)


SCOPES = ("run:1", "dag:flights", "month:flights:2013-02", "team:data")


def draw(store, seed):
    """Reserve in several accounts, in any order, settling late or not at all; reservations expire at once."""
    dice = random.Random(seed)
    ledger = LedgerBudget(store.open(hold=True), hold_s=0.002)
    kept = 0
    for _ in range(40):
        keys = dice.sample(SCOPES, dice.randint(2, 4))
        held = ledger.reserve([purse(key, requests=10**9, usd=1000) for key in keys], 1_000, 1)
        time.sleep(dice.choice((0, 0.004)))
        if dice.random() < 0.5:
            ledger.settle(held, 700, Usage(1, 0))
            kept += 300 * len(keys)
    return kept


def test_accounts_of_several_scopes_never_wait_for_each_other(store):
    """No deadlock, and to the micro-dollar what was reserved less what settling gave back."""
    LedgerBudget(store.open()).prepare()
    with ProcessPoolExecutor(4) as pool:
        given_back = sum(pool.map(draw, [store] * 4, range(4)))
    later = LedgerBudget(store.open(), clock=lambda: time.time() + 60)
    later.release(later.reserve([purse(key, usd=1000) for key in SCOPES], 0, 0))
    shown = later.balances().values()
    assert all(balance.reserved_usd == 0 for balance in shown)
    reserved = 1_000 * sum(balance.requests for balance in shown)
    assert round(sum(balance.spent_usd for balance in shown) * 1e6) == reserved - given_back


def reserve_and_die(store):
    ledger = LedgerBudget(store.open(hold=True), hold_s=0.01)
    ledger.reserve([purse(usd=1, requests=2)], 250_000, 10)
    os.kill(os.getpid(), signal.SIGKILL)


def test_killed_processes_do_not_refill_requests(store):
    """Two are killed with a reservation each: the third finds nothing left, and half a dollar spent."""
    LedgerBudget(store.open()).prepare()
    for _ in range(2):
        child = os.fork()
        if child == 0:
            reserve_and_die(store)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
    time.sleep(0.02)
    ledger = LedgerBudget(store.open())
    with pytest.raises(BudgetExceeded, match="all 2 requests"):
        ledger.reserve([purse(usd=1, requests=2)], 250_000, 10)
    ledger.release(ledger.reserve([purse(usd=1, requests=3)], 1, 1))
    assert ledger.balance("dag:flights") == Balance(0.5, 0, 2, 20, max_usd=1, max_requests=3)


@pytest.mark.parametrize(
    ("budget", "key"),
    [
        (Budget(usd=1), "run:flights:scheduled__1"),
        (Budget(usd=1, per="dag"), "dag:flights"),
        (Budget(usd=1, per="month"), "month:flights:2013-02"),
        (Budget(usd=1, per="month", name="nightly"), "month:nightly:2013-02"),
        (Budget(usd=1, per="team", name="data"), "team:data"),
    ],
)
def test_a_budget_draws_on_the_account_that_its_scope_names(budget, key):
    """The same key is the same purse."""
    assert account(budget, RUN).key == key


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"usd": -1},
        {"usd": float("nan")},
        {"requests": float("inf")},
        {"requests": 2.5},
        {"tokens": -1},
        {"usd": 1e300},
        {"tokens": 10**30},
        {"usd": 1, "per": "week"},
        {"usd": 1, "per": "team"},
    ],
)
def test_a_budget_that_means_nothing_is_refused(wrong):
    """Where it is written, not where it is spent."""
    with pytest.raises(ConfigurationError, match="Budget"):
        Budget(**wrong)


def test_the_worst_case_bounds_any_tokenizer():
    """No token is shorter than a byte, and tools and schemas are sent too."""
    plain = worst_case(CallModel((Message("user", "é" * 100),), max_tokens=50))
    assert plain.input_tokens >= 200
    assert plain.output_tokens == 50
    more = worst_case(
        CallModel((Message("user", "é" * 100),), (ToolSpec("t", "d" * 100, {}),), {"x": "y" * 100})
    )
    assert more.input_tokens >= plain.input_tokens + 200
    assert worst_case(CallModel((), max_tokens=50), max_tokens=20).output_tokens == 20


def test_the_worst_case_counts_what_providers_add_for_tools():
    """Anthropic writes an instruction of some hundred tokens in front of a prompt with tools."""
    plain = worst_case(CallModel((Message("user", "hi"),)))
    tools = worst_case(CallModel((Message("user", "hi"),), (ToolSpec("t", "", {}),)))
    schema = worst_case(CallModel((Message("user", "hi"),), schema={"type": "object"}))
    assert min(tools.input_tokens, schema.input_tokens) > plain.input_tokens + 800
