"""
Turns and answers made of blocks, as Anthropic, Amazon Bedrock and Gemini write them.

What the three share, and chat completions do not:

- System texts stand beside the turns; they are joined, wherever they stood.
- Turns alternate. Neighbours of one role become one turn, so that the results of
  parallel tools go back together.
- Where the API has no answer format of its own, an answer that must fit a schema is
  asked for as a forced tool named ``answer``: what the model passes to it is the
  reply's text. With other tools granted as well, the model must call one of them or
  ``answer``; a call of both at once is a premature answer and only the tools count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import Message, ModelReply, StopReason, ToolRequest, Usage
from airflow_agent_provider.wire import body

Block = dict[str, Any]
ANSWER_DESCRIPTION = "Give the final answer."


def system_text(messages: tuple[Message, ...]) -> str:
    """Join the system texts."""
    return "\n\n".join(one.content for one in messages if one.role == "system" and one.content)


def turns(
    messages: tuple[Message, ...], blocks: Callable[[Message], list[Block]]
) -> list[tuple[Literal["user", "assistant"], list[Block]]]:
    """
    Give the alternating turns; a message that makes no blocks is left out.

    :param blocks: writes one message; a tool's result belongs to the user's turn.
    """
    joined: list[tuple[Literal["user", "assistant"], list[Block]]] = []
    for message in messages:
        if message.role == "system":
            continue
        role: Literal["user", "assistant"] = "assistant" if message.role == "assistant" else "user"
        written = blocks(message)
        if joined and joined[-1][0] == role:
            joined[-1][1].extend(written)
        elif written:
            joined.append((role, written))
    return joined


def answer_tool(call: CallModel) -> str:
    """Name the tool that carries a structured answer, unlike any tool that was granted."""
    name = "answer"
    while any(tool.name == name for tool in call.tools):
        name += "_"
    return name


class Answer:
    """
    Gathers an answer's blocks.

    :param answer_tool: the tool whose arguments are the answer itself; None when none was offered.
    """

    def __init__(self, answer_tool: str | None = None) -> None:
        self._answer_tool = answer_tool
        self._texts: list[str] = []
        self._answers: list[str] = []
        self._requests: list[ToolRequest] = []

    def add_text(self, text: str) -> None:
        self._texts.append(text)

    def add_tool(self, identity: str, name: str, arguments: Any, signature: str = "") -> None:
        """
        Add a tool request.

        :param identity: what its result must name; made of the position when it is empty.
        """
        if name == self._answer_tool:
            self._answers.append(body.write_text(arguments))
            return
        position = len(self._texts) + len(self._answers) + len(self._requests)
        request = body.tool_request(identity or f"call_{position}", name, arguments, signature)
        self._requests.append(request)

    def reply(self, reason: StopReason, *, usage: Usage, model: str, request_id: str) -> ModelReply:
        """Give what was gathered, with a reason that fits it."""
        if self._requests and reason in {"stop", "other"}:
            reason = "tool_calls"
        if self._answers and not self._requests and reason == "tool_calls":
            reason = "stop"
        answered = self._answers and not self._requests
        return ModelReply(
            text=self._answers[0] if answered else "".join(self._texts),
            tool_requests=tuple(self._requests),
            stop_reason=reason,
            usage=usage,
            model=model,
            request_id=request_id,
        )
