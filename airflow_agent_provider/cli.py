"""
``airflow agent-provider``: what is left of budgets, which connections are down, and a switch.

::

    airflow agent-provider budgets                   spent, reserved and left, by account
    airflow agent-provider endpoints                 failures and open circuits, by connection
    airflow agent-provider disable llm_default       nobody asks it any more, on any worker
    airflow agent-provider enable llm_default

All read the ledger that the workers share: ``--ledger-conn-id``, else the one configured
under ``[agent_provider]``. Airflow finds the commands through the provider's manifest
(https://airflow.apache.org/docs/apache-airflow-providers/core-extensions/cli-commands.html)
and imports this module for every ``airflow`` command, so that it imports little itself.
"""

from __future__ import annotations

import getpass
import os
from argparse import Namespace
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import starmap
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_agent_provider.exceptions import AgentProviderError

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand

    from airflow_agent_provider.ledger.breaker import LedgerBreaker
    from airflow_agent_provider.ledger.budget import Balance, LedgerBudget
    from airflow_agent_provider.ledger.database import Database
    from airflow_agent_provider.routing.breaker import Health

T = TypeVar("T")


def get_cli_commands() -> list[CLICommand]:
    """Give the commands to Airflow."""
    from airflow.cli.cli_config import ARG_OUTPUT, ActionCommand, Arg, GroupCommand

    def arg(name: str, told: str) -> Arg:
        return Arg((name,), help=told)  # type: ignore[no-untyped-call]

    ledger = arg("--ledger-conn-id", "PostgreSQL connection of the ledger (default: as configured)")
    connection = arg("conn_id", "The connection of type llm")
    by = arg("--by", "Who switches it off, for those who wonder (default: your account's name)")
    commands = (
        ActionCommand(
            "budgets", "Show what budgets have spent and have left", show_budgets, (ARG_OUTPUT, ledger)
        ),
        ActionCommand(
            "endpoints", "Show which connections failed or are off", show_endpoints, (ARG_OUTPUT, ledger)
        ),
        ActionCommand(
            "disable", "Switch a connection off for all workers", disable, (connection, by, ledger)
        ),
        ActionCommand("enable", "Switch a connection on again", enable, (connection, ledger)),
    )
    return [GroupCommand("agent-provider", "Budgets and model connections", commands)]


def show_budgets(args: Namespace) -> None:
    """Print every account."""
    balances = _asked(lambda: _budget(args).balances())
    _print(starmap(_balance_row, balances.items()), args.output)


def show_endpoints(args: Namespace) -> None:
    """Print every connection that failed or was switched."""
    known = _asked(lambda: _breaker(args).known())
    _print([_health_row(name, health, by) for name, (health, by) in known.items()], args.output)


def disable(args: Namespace) -> None:
    """Switch a connection off."""
    by = args.by or getpass.getuser()
    _asked(lambda: _breaker(args).disable(_existing(args.conn_id), by=by))
    print(f"{args.conn_id} is switched off by {by}: calls are refused until it is enabled.")  # noqa: T201  output


def enable(args: Namespace) -> None:
    """Switch a connection on."""
    _asked(lambda: _breaker(args).enable(_existing(args.conn_id)))
    print(f"{args.conn_id} is switched on.")  # noqa: T201  output


def _balance_row(key: str, balance: Balance) -> dict[str, Any]:
    return {
        "account": key,
        "spent_usd": f"{balance.spent_usd:.6f}",
        "reserved_usd": f"{balance.reserved_usd:.6f}",
        "left_usd": _shown(balance.left_usd, ".6f"),
        "cap_usd": _shown(balance.max_usd, ".2f"),
        "requests": balance.requests,
        "max_requests": _shown(balance.max_requests, "d"),
        "unpriced": balance.unpriced_requests,
        "tokens": balance.tokens,
        "max_tokens": _shown(balance.max_tokens, "d"),
    }


def _health_row(name: str, health: Health, disabled_by: str | None) -> dict[str, Any]:
    opened = None if health.opened_at is None else datetime.fromtimestamp(health.opened_at, UTC)
    return {
        "connection": name,
        "state": "disabled" if disabled_by else "up" if health.is_closed else "down",
        "failures_in_a_row": health.failures,
        "last_opened": opened.isoformat(timespec="seconds") if opened else "",
        "disabled_by": disabled_by or "",
    }


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _ledger(args: Namespace) -> Database:
    from airflow_agent_provider.hooks.ledger import ledger_database

    # As Airflow's own commands on connections do: without it, those of its database are not found.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    return ledger_database(args.ledger_conn_id)


def _budget(args: Namespace) -> LedgerBudget:
    from airflow_agent_provider.ledger.budget import LedgerBudget

    budget = LedgerBudget(_ledger(args))
    budget.prepare()
    return budget


def _breaker(args: Namespace) -> LedgerBreaker:
    from airflow_agent_provider.ledger.breaker import LedgerBreaker

    breaker = LedgerBreaker(_ledger(args))
    breaker.prepare()
    return breaker


def _existing(conn_id: str) -> str:
    """Refuse a slip of the pen, which would switch nothing."""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise SystemExit(f"connection {conn_id!r} does not exist") from None
    if connection.conn_type != "llm":
        raise SystemExit(f"connection {conn_id!r} is of type {connection.conn_type!r}, not llm")
    return conn_id


def _asked(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except AgentProviderError as error:
        raise SystemExit(str(error)) from None


def _print(rows: Iterable[dict[str, Any]], output: str) -> None:
    from airflow.cli.simple_table import AirflowConsole

    AirflowConsole().print_as(data=list(rows), output=output)
