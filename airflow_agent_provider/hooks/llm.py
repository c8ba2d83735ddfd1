"""
The hook behind connections of type ``llm``: any chat model, asked over HTTP.

The connection says where the model is, which it is and how patient to be (see
``hooks/llm_connection.py`` for every field). The hook reads it, keeps the key
out of the logs and gives a model to ask::

    model = LLMHook("llm_default").get_model()
    async with model:
        reply = await model.answer(CallModel((Message("user", "Hello"),)))

Several connections may stand for one, as a list of ids or behind a connection that
holds such a list (``hooks/llm_route.py``).

Nothing is read or sent before the first method that needs it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow.sdk import BaseHook

from airflow_agent_provider.exceptions import AgentProviderError, ConfigurationError, RequestRejected

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_agent_provider.core.effects import CallModel
    from airflow_agent_provider.core.messages import ModelReply
    from airflow_agent_provider.core.model import Model
    from airflow_agent_provider.drivers.http import HttpModel
    from airflow_agent_provider.drivers.private import PrivateModel
    from airflow_agent_provider.drivers.route import RoutedModel
    from airflow_agent_provider.governance.policy import Policy
    from airflow_agent_provider.governance.redaction import Redactor
    from airflow_agent_provider.hooks.llm_connection import ConnectionFields
    from airflow_agent_provider.hooks.llm_route import Tree
    from airflow_agent_provider.ledger.cache import CachedModel
    from airflow_agent_provider.ledger.control import Terms
    from airflow_agent_provider.ledger.database import Database
    from airflow_agent_provider.routing.budget import Budget, Spender
    from airflow_agent_provider.routing.estimate import Estimate

    AnyModel: TypeAlias = PrivateModel | RoutedModel

DEFAULT_MAX_TOKENS = 1024
PROBE_TOKENS = 16  # the Responses API takes no smaller bound


class LLMHook(BaseHook):
    """
    Asks the model of a connection.

    :param llm_conn_id: a connection of type ``llm``, or a list of them: the next is asked when one fails.
    :param model: asked instead of the connection's own model; not with several connections.
    :param budgets: what may be spent; a call that could pass one is refused before it is made.
    :param spender: on whose account; required with budgets.
    :param ledger_conn_id: SQL connection of the ledger that all workers share; by default as configured.
    :param policy: which personal data may go where; by default all of it is replaced by placeholders.
    :param data_tags: what is said of the data, such as ``eu``, for the policy.
    """

    conn_name_attr = "llm_conn_id"
    default_conn_name = "llm_default"
    conn_type = "llm"
    hook_name = "LLM"

    def __init__(
        self,
        llm_conn_id: str | Sequence[str] = default_conn_name,
        *,
        model: str | None = None,
        budgets: Sequence[Budget] = (),
        spender: Spender | None = None,
        ledger_conn_id: str | None = None,
        policy: Policy | None = None,
        data_tags: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.llm_conn_id = llm_conn_id
        self.model = model
        self.budgets = tuple(budgets)
        self.spender = spender
        self.ledger_conn_id = ledger_conn_id
        self.policy = policy
        self.data_tags = tuple(data_tags)
        self._redactor: Redactor | None = None

    def get_model(self) -> AnyModel:
        """
        Give the connection's model; it connects when first asked.

        ``endpoint.model`` and ``endpoint.base_url`` say what is asked and where; of
        several connections ``stops`` says it of each.

        :raises ConfigurationError: when a connection is missing or one of its fields is wrong.
        """
        return self._open(self._read())

    async def aget_model(self) -> AnyModel:
        """
        Give the connection's model where an event loop runs, without holding the loop up.

        :raises ConfigurationError: as :meth:`get_model`.
        """
        from airflow_agent_provider.hooks.llm_route import read_route

        reading = read_route(self.llm_conn_id)
        try:
            name = next(reading)
            while True:
                name = reading.send(await self._afind(name))
        except StopIteration as end:
            tree: Tree = end.value
        # On a thread: it tells the supervisor what to mask, and may read an aws connection.
        return await asyncio.to_thread(self._open, tree)

    def get_conn(self) -> AnyModel:
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

    def estimate(self, calls: Sequence[CallModel], *, answer_share: float = 0.5) -> Estimate:
        """
        Tell what calls will cost before they are made; nothing is sent.

        Of several connections, the worst is that of the dearest and the expected that of the first.
        A call that is tried again, or asked of the next connection, may cost more than once.

        :param answer_share: how much of what an answer may have it is expected to use, from 0 to 1.
        :return: dollars are None when a model's price is not known, of a route already when one is not.
        :raises ConfigurationError: as :meth:`get_model`.
        """
        from airflow_agent_provider.hooks.llm_route import leaves
        from airflow_agent_provider.routing.estimate import dearest, estimate

        ledger = self._ledger()
        terms = [self._connect(ledger, leaf.connection)[1] for leaf in leaves(self._read())]
        return dearest([
            estimate(calls, one.price, max_tokens=one.max_tokens, answer_share=answer_share) for one in terms
        ])

    def test_connection(self) -> tuple[bool, str]:
        """
        Look the model up at the server; where it lists none, ask it for a word. In a route, each.

        :return: whether all models can be asked, and a sentence for the person who pressed the button.
        """
        from airflow_agent_provider.hooks.llm_route import leaves

        try:
            _require_no_loop()
            # The connections alone: a route's validator may not be importable where the button is.
            models = [self._model(leaf.connection) for leaf in leaves(self._read())]
        except AgentProviderError as error:
            return False, str(error)
        tested = asyncio.run(_probe_each(models))
        return all(worked for worked, _ in tested), "; ".join(told for _, told in tested)

    def _read(self) -> Tree:
        from airflow_agent_provider.hooks.llm_route import read_route

        reading = read_route(self.llm_conn_id)
        try:
            name = next(reading)
            while True:
                name = reading.send(self._find(name))
        except StopIteration as end:
            tree: Tree = end.value
            return tree

    def _find(self, name: str) -> Connection:
        try:
            return self.get_connection(name)
        except _not_found():
            raise _missing(name) from None

    async def _afind(self, name: str) -> Connection:
        try:
            return await self.aget_connection(name)
        except _not_found():
            raise _missing(name) from None

    def _open(self, tree: Tree) -> AnyModel:
        from airflow_agent_provider.hooks.llm_route import Leaf, open_route

        if isinstance(tree, Leaf):
            return self._private(self._model(tree.connection), tree.connection)
        if self.model:
            raise ConfigurationError(f"{tree.where}: model= cannot be given for several connections")
        ledger = self._ledger()
        return open_route(tree, functools.partial(self._connect_privately, ledger), ledger)

    def _model(self, connection: ConnectionFields) -> HttpModel | CachedModel:
        return self._connect(self._ledger(), connection)[0]

    def _connect_privately(
        self, ledger: Database, connection: ConnectionFields, *, once: bool = False
    ) -> tuple[PrivateModel, Terms]:
        model, terms = self._connect(ledger, connection, once=once)
        return self._private(model, connection), terms

    def _private(self, model: HttpModel | CachedModel, connection: ConnectionFields) -> PrivateModel:
        """Put the policy before a model: placeholders go out, values come back."""
        from airflow_agent_provider.drivers.private import PrivateModel
        from airflow_agent_provider.governance.policy import Destination
        from airflow_agent_provider.governance.redaction import Redactor
        from airflow_agent_provider.hooks.llm_extras import read_extras
        from airflow_agent_provider.hooks.metrics import count_clearance

        # One for all connections of a route: a text is scanned once.
        self._redactor = self._redactor or Redactor()
        extras = read_extras(connection.extra, model.endpoint.name)
        return PrivateModel(
            model,
            Destination(connection.conn_id, extras.get("provider", "openai"), model.endpoint.region),
            policy=self.policy,
            redactor=self._redactor,
            tags=self.data_tags,
            on_audit=count_clearance,
        )

    def _ledger(self) -> Database:
        from airflow_agent_provider.hooks.ledger import ledger_database

        return ledger_database(self.ledger_conn_id, hold=True)

    def _connect(
        self, ledger: Database, connection: ConnectionFields, *, once: bool = False
    ) -> tuple[HttpModel | CachedModel, Terms]:
        """
        Give the model of one connection, and the terms on which it is asked.

        :param once: do not try again after a failure, unless the connection says so.
        """
        from airflow.sdk.log import mask_secret

        from airflow_agent_provider.drivers.http import HttpModel
        from airflow_agent_provider.hooks.llm_connection import read_connection
        from airflow_agent_provider.hooks.llm_extras import read_extras
        from airflow_agent_provider.hooks.llm_terms import read_cache_ttl_s, read_terms
        from airflow_agent_provider.hooks.metrics import count_call, gauge_balance, gauge_health
        from airflow_agent_provider.ledger.cache import CachedModel, LedgerCache
        from airflow_agent_provider.ledger.control import LedgerControl

        wire, endpoint = read_connection(connection, model=self.model)
        for secret in endpoint.secrets:
            mask_secret(secret)
        if once and "max_retries" not in read_extras(connection.extra, endpoint.name):
            endpoint = dataclasses.replace(endpoint, max_retries=0)
        terms = read_terms(connection, endpoint, self.budgets, self.spender)
        control = LedgerControl(
            ledger, terms, on_call=count_call, on_balance=gauge_balance, on_health=gauge_health
        )
        model = HttpModel(wire, endpoint, control=control)
        ttl_s = read_cache_ttl_s(connection, endpoint, wire)
        if ttl_s is None:
            return model, terms
        cache = LedgerCache(ledger, ttl_s=ttl_s)
        return CachedModel(model, cache, connection=connection.conn_id, on_call=count_call), terms


def _missing(conn_id: str) -> ConfigurationError:
    return ConfigurationError(
        f"connection {conn_id!r} does not exist: create it in the UI under Admin, "
        "Connections with type LLM, or set the environment variable "
        f"AIRFLOW_CONN_{conn_id.upper()}"
    )


def _not_found() -> type[Exception]:
    from airflow.sdk.exceptions import AirflowNotFoundException

    return AirflowNotFoundException


async def _answer_once(model: Model, call: CallModel) -> ModelReply:
    async with AsyncExitStack() as open_models:
        # A model put in its place by a test may have nothing to close.
        if isinstance(model, AbstractAsyncContextManager):
            await open_models.enter_async_context(model)
        return await model.answer(call)


async def _probe_each(models: Sequence[HttpModel | CachedModel]) -> list[tuple[bool, str]]:
    from airflow_agent_provider.ledger.cache import CachedModel

    tested = []
    for model in models:
        try:
            # A kept reply would answer for a server that is gone.
            tested.append((True, await _probe(model.model if isinstance(model, CachedModel) else model)))
        except AgentProviderError as error:
            tested.append((False, str(error)))
    return tested


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
