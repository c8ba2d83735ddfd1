"""
Asking the ledger from an event loop, which should not wait.

A local file that is free answers faster than a thread starts; one that is busy, and a
database over the network, are waited for on a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from airflow_agent_provider.ledger.connections import LedgerBusy, hurried
from airflow_agent_provider.ledger.database import Database

T = TypeVar("T")


async def patiently(database: Database, function: Callable[[], T]) -> T:
    """
    Run a function that asks a ledger.

    :param function: may be run twice, the first time in vain: a busy ledger lets it be begun again.
    :raises SourceUnavailable: when the ledger does not answer.
    :raises ConfigurationError: when it cannot be used as it is set up.
    """
    if database.dialect == "sqlite":
        try:
            with hurried():
                return function()
        except LedgerBusy:
            pass
    return await asyncio.to_thread(function)
