"""
A journal that keeps no personal data.

What is written is redacted; what the flow gets is not. For that a flow must be given
the same in a first run and in a replay:

A model's reply is redacted with the placeholders of its call. They depend on the call
alone, so a replay, which makes the same call, finds the values again. A value that the
model brought up itself has no place in the call: the flow gets its placeholder, in
both runs.

A tool's result cannot be found again. When it held personal data the tool is asked
once more in a replay, and its answer must be what it was, redaction for redaction;
otherwise the world has changed and the replay would be nonsense.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from airflow_agent_provider.core.effects import CallModel, ToolResult
from airflow_agent_provider.core.journal import Entry, Journal, recall
from airflow_agent_provider.core.messages import Message, ModelReply, reply_from_json, to_json
from airflow_agent_provider.exceptions import JournalMismatch

if TYPE_CHECKING:
    from airflow_agent_provider.governance.redaction import Redactor


class PrivateJournal:
    """
    Writes entries redacted and reads them back whole.

    :param journal: where entries are kept.
    :param redactor: the flow's; None: entries are kept as they are.
    """

    def __init__(self, journal: Journal, redactor: Redactor | None) -> None:
        self._journal = journal
        self._redactor = redactor

    def recall(self, path: str, kind: str, mark: str) -> Entry | None:
        """
        Give the entry of an effect, or None when it was never answered.

        :raises JournalMismatch: when something else was asked at this path.
        """
        return recall(self._journal, path, kind, mark)

    def reply(self, entry: Entry, call: CallModel) -> ModelReply:
        """Give back the reply that was kept for a call."""
        reply = reply_from_json(entry.reply)
        if self._redactor is None:
            return reply
        branch = self._redactor.branch(allowed=())
        branch.redact_call(call)
        return branch.restore_reply(reply)

    def keep_reply(self, path: str, mark: str, call: CallModel, reply: ModelReply) -> ModelReply:
        """Keep a reply; gives what the flow gets, now and in a replay."""
        kept = reply if self._redactor is None else _redacted(reply, call, self._redactor)
        entry = Entry(mark, "CallModel", to_json(kept))
        self._journal.write(path, entry)
        return reply if kept is reply else self.reply(entry, call)

    def result(self, entry: Entry) -> ToolResult | None:
        """Give back the result that was kept, or None when the tool must be asked again."""
        if entry.reply["redacted"]:
            return None
        return ToolResult(entry.reply["content"], entry.reply["failed"])

    def keep_result(self, path: str, mark: str, result: ToolResult, earlier: Entry | None) -> None:
        """
        Keep a result.

        :param earlier: what was kept when the tool was asked before.
        :raises JournalMismatch: when the tool now says something else.
        """
        content = (
            self._redactor.branch(allowed=()).redact(result.content) if self._redactor else result.content
        )
        kept = {**asdict(result), "content": content, "redacted": content != result.content}
        if earlier is None:
            self._journal.write(path, Entry(mark, "CallTool", kept))
        elif earlier.reply != kept:
            raise JournalMismatch(
                f"step {path}: the tool's result held personal data, so it was asked again rather than kept, "
                "and its answer has changed. Clear the task to start afresh"
            )


def _redacted(reply: ModelReply, call: CallModel, redactor: Redactor) -> ModelReply:
    branch = redactor.branch(allowed=())
    branch.redact_call(call)
    said = CallModel((Message("assistant", reply.text, reply.tool_requests),))
    hidden = branch.redact_call(said)
    if hidden is said:
        return reply
    [message] = hidden.messages
    return replace(reply, text=message.content, tool_requests=message.tool_requests)
