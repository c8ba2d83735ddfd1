"""Budgets in the ledger: nobody passes a cap, nothing is lost, nothing is held for ever."""

from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime

import pytest

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ToolSpec, Usage
from airflow_agent_provider.exceptions import BudgetExceeded, ConfigurationError
from airflow_agent_provider.ledger.budget import Balance, LedgerBudget
from airflow_agent_provider.ledger.database import SQLiteDatabase
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
def ledger(tmp_path, clock):
    ledger = LedgerBudget(SQLiteDatabase(tmp_path / "ledger.sqlite"), hold_s=60, clock=clock)
    ledger.prepare()
    return ledger


def purse(key="dag:flights", **caps):
    return Account(key, Budget(**caps))


def test_a_call_is_charged_what_it_cost_not_what_was_held(ledger):
    """The difference is free for the next call."""
    held = ledger.reserve([purse(usd=1)], 600_000, 1_000)
    ledger.settle(held, 200_000, Usage(300, 50))
    assert ledger.balance("dag:flights") == Balance(0.2, 0, 1, 350, 0)


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
    assert ledger.balance("dag:flights") == Balance(0.6, 0.1, 2, 1_000, 0)


def test_an_answer_later_than_the_expiry_corrects_the_spend(ledger, clock):
    """A slow call is not charged twice."""
    held = ledger.reserve([purse(usd=1)], 600_000, 1_000)
    clock.now += 61
    ledger.settle(ledger.reserve([purse(usd=1)], 100, 1), 100, Usage(1, 0))
    ledger.settle(held, 50_000, Usage(10, 10))
    assert ledger.balance("dag:flights") == Balance(0.0501, 0, 2, 21, 0)


def test_a_released_call_cost_nothing(ledger):
    """The server refused it: neither money nor a request is used."""
    ledger.release(ledger.reserve([purse(usd=1)], 600_000, 1_000))
    assert ledger.balance("dag:flights") == Balance(0, 0, 0, 0, 0)


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


def spend(path, calls):
    ledger = LedgerBudget(SQLiteDatabase(path))
    served = 0
    for _ in range(calls):
        try:
            held = ledger.reserve([purse(usd=0.1)], 1_000, 1)
        except BudgetExceeded:
            continue
        ledger.settle(held, 1_000, Usage(1, 0))
        served += 1
    return served


def test_processes_together_spend_the_cap_and_no_more(tmp_path):
    """Four processes try 240 calls of a tenth of a cent against ten cents."""
    path = tmp_path / "ledger.sqlite"
    LedgerBudget(SQLiteDatabase(path)).prepare()
    with ProcessPoolExecutor(4) as pool:
        served = sum(pool.map(spend, [path] * 4, [60] * 4))
    assert served == 100
    assert LedgerBudget(SQLiteDatabase(path)).balance("dag:flights").spent_usd == pytest.approx(0.1)


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
