"""
Test doubles for DAGs and flows that use a model. Shipped for users' own tests.

:class:`ScriptedModel` answers from a script instead of a server. It is no model:
use it to test what your DAG does with an answer, never to show one to people.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import ModelReply, ToolRequest, Usage

Line: TypeAlias = str | ModelReply | ToolRequest | list[ToolRequest] | Exception
Script: TypeAlias = Line | Callable[[CallModel], Line]


class ScriptExhausted(AssertionError):
    """More calls were made than the script has lines."""


@dataclass
class ScriptedModel:
    """
    Answer each call with the next line of a script, and keep the calls.

    A line is a text, a tool request or a list of them, a whole ``ModelReply``, an
    exception to raise, or a function of the call that gives one of these.

    :param script: the lines, in order.
    :param usage: tokens that each answer is said to have cost.
    """

    script: Iterable[Script]
    usage: Usage = field(default_factory=lambda: Usage(100, 20))
    calls: list[CallModel] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._lines = iter(self.script)

    async def answer(self, call: CallModel) -> ModelReply:
        """Give the next line as a reply."""
        self.calls.append(call)
        try:
            line = next(self._lines)
        except StopIteration:
            raise ScriptExhausted(f"call {len(self.calls)} has no line in the script") from None
        if callable(line):
            line = line(call)
        return self._reply(line)

    def _reply(self, line: Line) -> ModelReply:
        if isinstance(line, Exception):
            raise line
        if isinstance(line, ModelReply):
            return line
        if isinstance(line, str):
            return ModelReply(line, usage=self.usage, model="scripted")
        requests = (line,) if isinstance(line, ToolRequest) else tuple(line)
        return ModelReply("", requests, "tool_calls", self.usage, "scripted")

    @contextmanager
    def installed(self) -> Generator[ScriptedModel]:
        """Let every ``LLMHook`` of this process answer from the script, whatever its connection says."""
        from airflow_agent_provider.hooks.llm import LLMHook

        async def aget_model(_hook: LLMHook) -> ScriptedModel:  # noqa: RUF029 - stands in for one that waits
            return self

        originals = LLMHook.get_model, LLMHook.aget_model
        LLMHook.get_model = lambda _hook: self  # type: ignore[method-assign, assignment, return-value]
        LLMHook.aget_model = aget_model  # type: ignore[method-assign, assignment]
        try:
            yield self
        finally:
            LLMHook.get_model, LLMHook.aget_model = originals  # type: ignore[method-assign]
