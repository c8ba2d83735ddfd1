"""
Answers that fit a JSON schema.

The API is asked for the schema, but nothing a model returns is trusted: the text
is parsed and checked here, and the model gets one chance to repair it.
"""

from __future__ import annotations

import json
import re
from typing import Any

from airflow_agent_provider.core.effects import CallModel, Flow
from airflow_agent_provider.core.memo import Memo
from airflow_agent_provider.core.memory import TURN, Memory
from airflow_agent_provider.core.messages import Message, ModelReply
from airflow_agent_provider.core.schema import violations
from airflow_agent_provider.exceptions import InvalidReply, ModelRefused

FENCE = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
MAX_PROBLEMS = 5


def structured(
    call: CallModel, reply: ModelReply, memory: Memory | None = None
) -> Flow[tuple[Any, ModelReply]]:
    """
    Turn a reply into a value that fits ``call.schema``, asking once more when it does not.

    :param call: the call that was answered; its schema must not be None.
    :param reply: the answer to it.
    :param memory: what the call's messages were made of, so that the repair stays within its bounds too.
    :return: the value, and the reply that it came from.
    :raises ModelRefused: when the model declined.
    :raises InvalidReply: when the second answer does not fit either; says what is
        wrong and where, not what was answered.
    """
    value, problems = _parse(reply, call.schema or {})
    if not problems:
        return value, reply
    repair = Message(
        "user",
        "That answer does not fit the required JSON schema:\n- "
        + "\n- ".join(problems)
        + "\nAnswer again with the corrected JSON object only.",
    )
    turn = (Message("assistant", reply.text), repair)
    messages = memory.adding(Memo(TURN, turn)).messages if memory else (*call.messages, *turn)
    second: ModelReply = yield CallModel(messages, (), call.schema, call.max_tokens, call.temperature)
    value, problems = _parse(second, call.schema or {})
    if problems:
        raise InvalidReply(
            f"the answer of {second.model or 'the model'} does not fit its schema, also after one repair: "
            + "; ".join(problems)
        )
    return value, second


def _parse(reply: ModelReply, schema: dict[str, Any]) -> tuple[Any, list[str]]:
    if reply.stop_reason == "refusal":
        raise ModelRefused(f"{reply.model or 'the model'} declined to answer")
    if reply.stop_reason == "length":
        return None, ["the answer was cut off at max_tokens: be brief"]
    fenced = FENCE.match(reply.text)
    try:
        value = json.loads(fenced.group(1) if fenced else reply.text)
    except (ValueError, RecursionError):
        return None, ["the answer is not JSON"]
    return value, violations(value, schema)[:MAX_PROBLEMS]
