"""
Money, requests and tokens, counted for all workers at once.

::

    reserve ──> (the call) ──> settle      what it cost replaces what was reserved
                          └──> release     it surely cost nothing

A reservation is made by one conditional statement per account, all accounts of a
call in one transaction: it succeeds only while ``spent + reserved + this`` stays
within the cap, so that no number of processes can pass it. A process that is
killed between reserving and settling leaves its reservation; when that expires it
becomes *spend* at its worst case, because the provider may well have billed the
call. So a hard kill loses no spend, and holds nothing for ever.

Requests are counted when they are reserved and taken back only by ``release``.

Every transaction locks an account's row before it touches the account's reservations,
and the accounts of a call by the order of their names: no two transactions can wait for
each other. The row also keeps the caps it was last asked with, so that people can see
what is left; the cap that counts is the one that the next call brings.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airflow_agent_provider.core.messages import Usage
from airflow_agent_provider.exceptions import BudgetExceeded
from airflow_agent_provider.ledger.database import Database, Row, Statements
from airflow_agent_provider.routing.budget import Account
from airflow_agent_provider.routing.price import MICROS

SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS agent_budget (
        account TEXT PRIMARY KEY,
        spent_micros BIGINT NOT NULL,
        reserved_micros BIGINT NOT NULL,
        requests BIGINT NOT NULL,
        spent_tokens BIGINT NOT NULL,
        reserved_tokens BIGINT NOT NULL,
        unpriced_requests BIGINT NOT NULL,
        updated_at DOUBLE PRECISION NOT NULL,
        max_micros BIGINT,
        max_tokens BIGINT,
        max_requests BIGINT
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS agent_reservation (
        id TEXT NOT NULL,
        account TEXT NOT NULL,
        micros BIGINT NOT NULL,
        tokens BIGINT NOT NULL,
        expires_at DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (id, account)
    )
    """,
    "CREATE INDEX IF NOT EXISTS agent_reservation_expiry ON agent_reservation (account, expires_at)",
)
_LOCK = """
    INSERT INTO agent_budget
    VALUES (:account, 0, 0, 0, 0, 0, 0, :now, :max_micros, :max_tokens, :max_requests)
    ON CONFLICT (account) DO UPDATE SET
        updated_at = excluded.updated_at, max_micros = excluded.max_micros,
        max_tokens = excluded.max_tokens, max_requests = excluded.max_requests
"""
_EXPIRED = """
    DELETE FROM agent_reservation WHERE account = :account AND expires_at < :now RETURNING micros, tokens
"""
_BOOK_EXPIRED = """
    UPDATE agent_budget SET
        spent_micros = spent_micros + :micros, reserved_micros = reserved_micros - :micros,
        spent_tokens = spent_tokens + :tokens, reserved_tokens = reserved_tokens - :tokens
    WHERE account = :account
"""
_RESERVE = """
    UPDATE agent_budget SET
        reserved_micros = reserved_micros + :micros, reserved_tokens = reserved_tokens + :tokens,
        requests = requests + 1, unpriced_requests = unpriced_requests + :unpriced, updated_at = :now
    WHERE account = :account
        AND (max_micros IS NULL OR spent_micros + reserved_micros + :micros <= max_micros)
        AND (max_tokens IS NULL OR spent_tokens + reserved_tokens + :tokens <= max_tokens)
        AND (max_requests IS NULL OR requests + 1 <= max_requests)
    RETURNING requests
"""
_NOTE = """
    INSERT INTO agent_reservation VALUES (:id, :account, :micros, :tokens, :expires_at)
"""
_TAKE = "DELETE FROM agent_reservation WHERE id = :id AND account = :account RETURNING micros, tokens"
_SETTLE = """
    UPDATE agent_budget SET
        spent_micros = spent_micros + :spent_micros, reserved_micros = reserved_micros - :held_micros,
        spent_tokens = spent_tokens + :spent_tokens, reserved_tokens = reserved_tokens - :held_tokens,
        requests = requests - :returned, unpriced_requests = unpriced_requests - :unpriced, updated_at = :now
    WHERE account = :account
    RETURNING *
"""
_BALANCE = "SELECT * FROM agent_budget WHERE account = :account"
_BALANCES = "SELECT * FROM agent_budget ORDER BY account"


@dataclass(frozen=True, slots=True)
class Reservation:
    """
    What a call may cost, held in every account that it draws on.

    :param micros: micro-dollars held; None when the model has no price.
    """

    id: str
    accounts: tuple[Account, ...]
    micros: int | None
    tokens: int


@dataclass(frozen=True, slots=True)
class Balance:
    """
    What an account shows; the caps are those that it was last asked with.

    :param tokens: input and output tokens spent.
    :param unpriced_requests: requests whose cost is unknown.
    :param max_usd: None: not capped.
    """

    spent_usd: float = 0.0
    reserved_usd: float = 0.0
    requests: int = 0
    tokens: int = 0
    unpriced_requests: int = 0
    reserved_tokens: int = 0
    max_usd: float | None = None
    max_requests: int | None = None
    max_tokens: int | None = None

    @property
    def left_usd(self) -> float | None:
        """Dollars that are neither spent nor reserved; None when money is not capped."""
        return None if self.max_usd is None else self.max_usd - self.spent_usd - self.reserved_usd


class LedgerBudget:
    """
    The accounts in the ledger.

    :param hold_s: seconds after which an unsettled reservation counts as spent; longer
        than any call may take.
    :param clock: wall-clock seconds, shared by machines.
    """

    def __init__(
        self, database: Database, *, hold_s: float = 900.0, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._hold_s = hold_s
        self._clock = clock

    def prepare(self) -> None:
        """Make the tables that are not there yet."""
        self._database.prepare(SCHEMA)

    def reserve(self, accounts: Sequence[Account], micros: int | None, tokens: int) -> Reservation:
        """
        Hold the worst case of a call in all accounts, or in none.

        :param micros: micro-dollars at most; None when the model has no price.
        :raises BudgetExceeded: names the account, the cap and what is left; nothing is held then.
        """
        held = Reservation(uuid.uuid4().hex, tuple(sorted(accounts, key=lambda one: one.key)), micros, tokens)
        # Accounts in one order for everybody: no two transactions wait for each other.
        with self._database.write() as statements:
            for one in held.accounts:
                self._hold(statements, one, held)
        return held

    def settle(self, held: Reservation, micros: int | None, usage: Usage) -> dict[str, Balance]:
        """
        Put what a call did cost in the place of what was held.

        :return: what its accounts show now, by their keys.
        """
        return self._close(held, micros or 0, usage.total_tokens, returned=False)

    def release(self, held: Reservation) -> None:
        """Give back what was held for a call that surely cost nothing."""
        self._close(held, 0, 0, returned=True)

    def balance(self, key: str) -> Balance:
        """Show an account; zeros when nothing was ever asked of it."""
        with self._database.read() as statements:
            rows = statements.execute(_BALANCE, {"account": key})
        return _balance(rows[0]) if rows else Balance()

    def balances(self) -> dict[str, Balance]:
        """Show every account, by its key."""
        with self._database.read() as statements:
            return {row["account"]: _balance(row) for row in statements.execute(_BALANCES)}

    def _hold(self, statements: Statements, one: Account, held: Reservation) -> None:
        now = self._clock()
        micros = held.micros or 0
        _lock(statements, one, now)
        for lost in statements.execute(_EXPIRED, {"account": one.key, "now": now}):
            statements.execute(_BOOK_EXPIRED, {"account": one.key, **lost})
        values = {"micros": micros, "tokens": held.tokens, "unpriced": int(held.micros is None)}
        if not statements.execute(_RESERVE, {"account": one.key, "now": now, **values}):
            [row] = statements.execute(_BALANCE, {"account": one.key})
            raise BudgetExceeded(_refusal(one, row, micros, held.tokens))
        note = {"id": held.id, "account": one.key, "micros": micros, "tokens": held.tokens}
        statements.execute(_NOTE, {**note, "expires_at": now + self._hold_s})

    def _close(self, held: Reservation, micros: int, tokens: int, *, returned: bool) -> dict[str, Balance]:
        balances = {}
        with self._database.write() as statements:
            for one in held.accounts:
                _lock(statements, one, self._clock())
                found = statements.execute(_TAKE, {"id": held.id, "account": one.key})
                # It expired and was booked at its worst case: correct the spend, nothing is held any more.
                expired = not found
                worst_micros, worst_tokens = held.micros or 0, held.tokens
                [row] = statements.execute(
                    _SETTLE,
                    {
                        "account": one.key,
                        "now": self._clock(),
                        "spent_micros": micros - (worst_micros if expired else 0),
                        "spent_tokens": tokens - (worst_tokens if expired else 0),
                        "held_micros": 0 if expired else worst_micros,
                        "held_tokens": 0 if expired else worst_tokens,
                        "returned": int(returned),
                        "unpriced": int(returned and held.micros is None),
                    },
                )
                balances[one.key] = _balance(row)
        return balances


def _lock(statements: Statements, one: Account, now: float) -> None:
    """Take the account's row until the transaction ends, noting its caps."""
    caps = {
        "max_micros": one.budget.micros,
        "max_tokens": one.budget.tokens,
        "max_requests": one.budget.requests,
    }
    statements.execute(_LOCK, {"account": one.key, "now": now, **caps})


def _balance(row: Row) -> Balance:
    return Balance(
        row["spent_micros"] / MICROS,
        row["reserved_micros"] / MICROS,
        row["requests"],
        row["spent_tokens"],
        row["unpriced_requests"],
        row["reserved_tokens"],
        None if row["max_micros"] is None else row["max_micros"] / MICROS,
        row["max_requests"],
        row["max_tokens"],
    )


def _refusal(one: Account, row: Row, micros: int, tokens: int) -> str:
    budget = one.budget
    if budget.requests is not None and row["requests"] >= budget.requests:
        return f"budget {one.key}: all {budget.requests} requests are used"
    used_tokens = row["spent_tokens"] + row["reserved_tokens"]
    if budget.tokens is not None and used_tokens + tokens > budget.tokens:
        return (
            f"budget {one.key}: {budget.tokens - used_tokens} of {budget.tokens} tokens are left, "
            f"the call may take {tokens}"
        )
    left = ((budget.micros or 0) - row["spent_micros"] - row["reserved_micros"]) / MICROS
    return (
        f"budget {one.key}: {left:.6f} of {budget.usd:.2f} USD are left, "
        f"the call may cost {micros / MICROS:.6f}; raise the budget, shorten the prompt or lower max_tokens"
    )
