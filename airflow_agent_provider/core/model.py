"""The one thing a driver needs of a model, whoever provides it."""

from __future__ import annotations

from typing import Protocol

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import ModelReply


class Model(Protocol):
    """Anything that answers: a hook's client, a route over several, a scripted test double."""

    async def answer(self, call: CallModel) -> ModelReply:
        """
        Answer one call.

        :raises PermanentError: when asking again cannot help.
        :raises TransientError: when it may.
        """
        ...
