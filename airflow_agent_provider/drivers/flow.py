"""
The one driver: runs a flow on asyncio and answers its effects.

A single agent, parallel tools or a thousand agents in one task slot are all this
loop. Before an effect is carried out its path is looked up in the journal; what
was answered before is not asked again. Synchronous tools run in the event loop's
bounded thread pool.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow_agent_provider.core.effects import (
    CallModel,
    CallTool,
    Effect,
    Flow,
    Gather,
    ToolResult,
    fingerprint,
)
from airflow_agent_provider.core.journal import Entry, Journal, MemoryJournal
from airflow_agent_provider.core.limits import Limits, Spent
from airflow_agent_provider.core.messages import ModelReply
from airflow_agent_provider.core.model import Model
from airflow_agent_provider.core.tool import Tool, result_text
from airflow_agent_provider.drivers import spans
from airflow_agent_provider.drivers.private_journal import PrivateJournal
from airflow_agent_provider.exceptions import AgentProviderError, ConfigurationError, LimitReached, ToolFailed

if TYPE_CHECKING:
    from airflow_agent_provider.governance.redaction import Redactor

log = logging.getLogger(__name__)
T = TypeVar("T")
MAX_ERROR_CHARS = 500


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """
    What a flow returned and what it took.

    :param replayed: effects answered from the journal.
    """

    value: T
    spent: Spent
    replayed: int


def _redactor() -> Redactor:
    # Its patterns cost 25 ms to compile: not before a flow is driven.
    from airflow_agent_provider.governance.redaction import Redactor

    return Redactor()


@dataclass(slots=True)
class Driver:
    """
    Carries out the effects of flows.

    :param model: answers ``CallModel``; None for flows that call none.
    :param tools: the granted tools; their names must differ.
    :param journal: where replies are kept and found again.
    :param limits: bounds of everything this driver runs.
    :param redactor: keeps personal data out of the journal; None: the journal may hold it.
    """

    model: Model | None = None
    tools: Iterable[Tool] = ()
    journal: Journal = field(default_factory=MemoryJournal)
    limits: Limits = field(default_factory=Limits)
    redactor: Redactor | None = field(default_factory=_redactor)
    spent: Spent = field(default_factory=Spent, init=False)
    replayed: int = field(default=0, init=False)
    _granted: dict[str, Tool] = field(default_factory=dict, init=False)
    _journal: PrivateJournal = field(init=False)

    def __post_init__(self) -> None:
        self._journal = PrivateJournal(self.journal, self.redactor)
        for tool in self.tools:
            if tool.spec.name in self._granted:
                raise ConfigurationError(f"two tools are named {tool.spec.name!r}: rename one")
            self._granted[tool.spec.name] = tool

    async def run(self, flow: Flow[T]) -> Outcome[T]:
        """
        Run a flow to its end.

        :raises LimitReached: when a limit or ``limits.timeout_s`` passes.
        :raises AgentProviderError: what the model raised; the flow may not catch it.
        """
        try:
            async with asyncio.timeout(self.limits.timeout_s) as deadline:
                value = await self._advance(flow, "")
        except TimeoutError:
            if not deadline.expired():
                raise
            raise LimitReached(
                f"timeout_s={self.limits.timeout_s:g} passed after {self.spent.model_calls} model calls and "
                f"{self.spent.tool_calls} tool calls"
            ) from None
        return Outcome(value, self.spent, self.replayed)

    async def _advance(self, flow: Flow[T], prefix: str) -> T:
        reply: Any = None
        step = 0
        try:
            while True:
                effect = flow.send(reply)
                reply = await self._answer(effect, f"{prefix}{step}")
                step += 1
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            flow.close()

    async def _answer(self, effect: Effect, path: str) -> Any:
        if isinstance(effect, Gather):
            return await self._gather(effect, path)
        if isinstance(effect, CallModel):
            self.spent.admit_model_call(self.limits)
        else:
            self.spent.admit_tool_call(self.limits)
        mark = fingerprint(effect)
        entry = self._journal.recall(path, type(effect).__name__, mark)
        if isinstance(effect, CallModel):
            return await self._call_model(effect, path, mark, entry)
        return await self._call_tool(effect, path, mark, entry)

    async def _gather(self, effect: Gather, path: str) -> tuple[Any, ...]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._advance(flow, f"{path}.{number}/"))
                    for number, flow in enumerate(effect.flows)
                ]
        except* AgentProviderError as several:
            # One named error reads better than a group; the others fell to the same cause.
            raise several.exceptions[0] from None
        return tuple(task.result() for task in tasks)

    async def _call_model(self, call: CallModel, path: str, mark: str, entry: Entry | None) -> ModelReply:
        if entry is not None:
            reply = self._journal.reply(entry, call)
            self.replayed += 1
        elif self.model is None:
            raise ConfigurationError(f"step {path}: the flow calls a model, but none is configured")
        else:
            reply = self._journal.keep_reply(path, mark, call, await self.model.answer(call))
        self.spent.usage += reply.usage
        log.info(
            "step %s: %s%s, %d tokens in, %d out, %s",
            path,
            reply.model or "model",
            " (from the journal)" if entry else "",
            reply.usage.input_tokens,
            reply.usage.output_tokens,
            f"asks for {len(reply.tool_requests)} tools" if reply.tool_requests else reply.stop_reason,
        )
        return reply

    async def _call_tool(self, call: CallTool, path: str, mark: str, entry: Entry | None) -> ToolResult:
        kept = self._journal.result(entry) if entry else None
        if kept is not None:
            self.replayed += 1
            return kept
        tool = self._granted.get(call.name)
        if tool is None:
            raise ConfigurationError(f"step {path}: the flow calls tool {call.name!r}, which is not granted")
        try:
            with spans.tool(call.name):
                async with asyncio.timeout(tool.timeout_s):
                    result = ToolResult(result_text(await _invoke(tool, call.arguments), tool.max_chars))
        except TimeoutError:
            result = ToolResult(f"{call.name} gave no result within {tool.timeout_s:g} s", failed=True)
        except ToolFailed as error:
            result = ToolResult(str(error)[:MAX_ERROR_CHARS], failed=True)
        except Exception as error:  # noqa: BLE001  a tool is anyone's code; whatever it raises is told to the model
            log.warning("step %s: tool %s raised %s", path, call.name, type(error).__name__)
            text = f"ToolFailed: {call.name} raised {type(error).__name__}: {error}"
            result = ToolResult(text[:MAX_ERROR_CHARS], failed=True)
        self._journal.keep_result(path, mark, result, entry)
        log.info("step %s: tool %s %s", path, call.name, "failed" if result.failed else "done")
        return result


async def _invoke(tool: Tool, arguments: dict[str, Any]) -> Any:
    if inspect.iscoroutinefunction(tool.function):
        return await tool.function(**arguments)
    return await asyncio.to_thread(tool.function, **arguments)
