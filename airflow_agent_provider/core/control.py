"""
What stands between a model and the wire: budgets, breakers, rate limits.

A driver asks a :class:`Control` before *each try* of a call, not before each call:
a try that was sent may be billed, and three tries are three requests. Whoever
implements it shares what it counts with all workers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import ModelReply, Usage


@dataclass(frozen=True, slots=True)
class CallRecord:
    """
    One try that ended, for metrics; no content.

    :param outcome: ``answered``, ``cached``, or the error's class name.
    :param cost_micros: micro-dollars; None when unknown.
    :param seconds: from admission to the end.
    """

    endpoint: str
    model: str
    outcome: str
    usage: Usage
    cost_micros: int | None
    seconds: float


class Control(Protocol):
    """Admits tries and learns how they ended. Every ticket is given back exactly once."""

    async def admit(self, call: CallModel) -> Any:
        """
        Let a try through, after waiting for its turn when there is one.

        :return: a ticket for what was reserved.
        :raises BudgetExceeded: when it could pass a cap.
        :raises CircuitOpen: when the endpoint is known to be down.
        """
        ...

    async def answered(self, ticket: Any, reply: ModelReply) -> ModelReply:
        """Settle a try that was answered; gives the reply with its cost."""
        ...

    async def failed(self, ticket: Any, error: BaseException) -> None:
        """Settle a try that was not: its cost is nothing or, when it may have been billed, the worst case."""
        ...

    async def aclose(self) -> None:
        """Close what is held open between calls; the control stays usable."""
        ...
