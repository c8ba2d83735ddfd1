"""
The hook behind connections of type ``llm``: any chat model, asked over HTTP.

The connection says where the model is, which it is and how patient to be (see
``hooks/llm_connection.py`` for every field). The hook reads it, keeps the key
out of the logs and gives a model to ask::

    model = LLMHook("llm_default").get_model()
    async with model:
        reply = await model.answer(CallModel((Message("user", "Hello"),)))

Nothing is read or sent before the first method that needs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from airflow_agent_provider.exceptions import AgentProviderError, ConfigurationError, RequestRejected

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_agent_provider.core.effects import CallModel
    from airflow_agent_provider.core.messages import ModelReply
    from airflow_agent_provider.drivers.http import HttpModel
    from airflow_agent_provider.routing.budget import Budget, Spender

DEFAULT_MAX_TOKENS = 1024
PROBE_TOKENS = 16  # the Responses API takes no smaller bound


class LLMHook(BaseHook):
    """
    Asks the model of a connection.

    :param llm_conn_id: a connection of type ``llm``.
    :param model: asked instead of the connection's own model.
    :param budgets: what may be spent; a call that could pass one is refused before it is made.
    :param spender: on whose account; required with budgets.
    :param ledger_conn_id: SQL connection of the ledger that all workers share; by default as configured.
    """

    conn_name_attr = "llm_conn_id"
    default_conn_name = "llm_default"
    conn_type = "llm"
    hook_name = "LLM"

    def __init__(
        self,
        llm_conn_id: str = default_conn_name,
        *,
        model: str | None = None,
        budgets: Sequence[Budget] = (),
        spender: Spender | None = None,
        ledger_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.llm_conn_id = llm_conn_id
        self.model = model
        self.budgets = tuple(budgets)
        self.spender = spender
        self.ledger_conn_id = ledger_conn_id

    def get_model(self) -> HttpModel:
        """
        Give the connection's model; it connects when first asked.

        ``endpoint.model`` and ``endpoint.base_url`` say what is asked and where.

        :raises ConfigurationError: when the connection is missing or one of its fields is wrong.
        """
        try:
            connection = self.get_connection(self.llm_conn_id)
        except _not_found():
            raise self._missing() from None
        return self._model(connection)

    async def aget_model(self) -> HttpModel:
        """
        Give the connection's model where an event loop runs, without holding the loop up.

        :raises ConfigurationError: as :meth:`get_model`.
        """
        try:
            connection = await self.aget_connection(self.llm_conn_id)
        except _not_found():
            raise self._missing() from None
        # On a thread: it tells the supervisor what to mask, and may read an aws connection.
        return await asyncio.to_thread(self._model, connection)

    def get_conn(self) -> HttpModel:
        """Give the model, under the name that Airflow's hooks share."""
        return self.get_model()

    def answer(self, call: CallModel) -> ModelReply:
        """
        Ask once and wait for the answer; for plain functions, where no event loop runs.

        :raises ConfigurationError: when called where an event loop runs.
        :raises AgentProviderError: as ``HttpModel.answer``.
        """
        _require_no_loop()
        return asyncio.run(_answer_once(self.get_model(), call))

    def chat(self, text: str, *, system: str | None = None, max_tokens: int | None = None) -> ModelReply:
        """
        Ask one question and wait for the answer.

        :param system: what the model is told about its part.
        :param max_tokens: the answer's tokens at most; 1024 when left out.
        :raises AgentProviderError: as :meth:`answer`.
        """
        from airflow_agent_provider.core.effects import CallModel
        from airflow_agent_provider.core.messages import Message

        messages = (Message("system", system),) if system else ()
        call = CallModel((*messages, Message("user", text)), max_tokens=max_tokens or DEFAULT_MAX_TOKENS)
        return self.answer(call)

    def test_connection(self) -> tuple[bool, str]:
        """
        Look the model up at the server; where it lists none, ask it for a word.

        :return: whether the model can be asked, and a sentence for the person who pressed the button.
        """
        try:
            _require_no_loop()
            return True, asyncio.run(_probe(self.get_model()))
        except AgentProviderError as error:
            return False, str(error)

    def _missing(self) -> ConfigurationError:
        return ConfigurationError(
            f"connection {self.llm_conn_id!r} does not exist: create it in the UI under Admin, "
            "Connections with type LLM, or set the environment variable "
            f"AIRFLOW_CONN_{self.llm_conn_id.upper()}"
        )

    def _model(self, connection: Connection) -> HttpModel:
        from airflow.sdk.log import mask_secret

        from airflow_agent_provider.drivers.http import HttpModel
        from airflow_agent_provider.hooks.ledger import ledger_database
        from airflow_agent_provider.hooks.llm_connection import read_connection
        from airflow_agent_provider.hooks.llm_terms import read_terms
        from airflow_agent_provider.hooks.metrics import count_call
        from airflow_agent_provider.ledger.control import LedgerControl

        wire, endpoint = read_connection(connection, model=self.model)
        for secret in endpoint.secrets:
            mask_secret(secret)
        terms = read_terms(connection, endpoint, self.budgets, self.spender)
        ledger = ledger_database(self.ledger_conn_id, hold=True)
        return HttpModel(wire, endpoint, control=LedgerControl(ledger, terms, on_call=count_call))


def _not_found() -> type[Exception]:
    from airflow.sdk.exceptions import AirflowNotFoundException

    return AirflowNotFoundException


async def _answer_once(model: HttpModel, call: CallModel) -> ModelReply:
    async with AsyncExitStack() as open_models:
        # A model put in its place by a test may have nothing to close.
        if isinstance(model, AbstractAsyncContextManager):
            await open_models.enter_async_context(model)
        return await model.answer(call)


async def _probe(model: HttpModel) -> str:
    from airflow_agent_provider.core.effects import CallModel
    from airflow_agent_provider.core.messages import Message

    name, base_url = model.endpoint.model, model.endpoint.base_url
    async with model:
        try:
            if name in await model.models():
                return f"{base_url} answers and has the model {name}"
        except RequestRejected:
            pass  # not every server lists its models; a wrong key is refused below as well
        await model.answer(CallModel((Message("user", "Hi"),), max_tokens=PROBE_TOKENS))
    return f"{base_url} answers, and so does the model {name}"


def _require_no_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise ConfigurationError(
        "an event loop runs here: await get_model().answer(call) rather than call the hook's own methods"
    )
