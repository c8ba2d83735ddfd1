"""
What is plainly wrong with an answer: found by plain code, told without quoting it.

Used where an answer is taken or left without a person or a model looking at it: a
cascade escalates, a cache does not keep. It says nothing about whether an answer is true.
"""

from __future__ import annotations

import json

from airflow_agent_provider.core.effects import CallModel
from airflow_agent_provider.core.messages import ModelReply, ToolRequest
from airflow_agent_provider.core.schema import violations


def shortcoming(call: CallModel, reply: ModelReply) -> str:
    """
    Say why an answer cannot be used as it is; empty when nothing is plainly wrong.

    It must be whole, not a refusal and not empty; tool requests must fit the tools that
    were offered, and a text the call's schema. A fence around JSON is no fault.
    """
    if reply.stop_reason == "refusal":
        return "the model declined to answer"
    if reply.stop_reason == "length":
        return "the answer was cut off at max_tokens"
    if reply.tool_requests:
        return next(filter(None, (_tool_problem(call, request) for request in reply.tool_requests)), "")
    if not reply.text.strip():
        return "the answer is empty"
    return _schema_problem(call, reply.text) if call.schema is not None else ""


def _tool_problem(call: CallModel, request: ToolRequest) -> str:
    offered = {spec.name: spec for spec in call.tools}
    if request.name not in offered:
        return "the answer asks for a tool that was not offered"
    if request.arguments is None:
        return f"the arguments for tool {request.name} are no JSON object"
    problems = violations(request.arguments, offered[request.name].parameters)
    return f"the arguments for tool {request.name} do not fit: {problems[0]}" if problems else ""


def _schema_problem(call: CallModel, text: str) -> str:
    text = text.strip()
    if text.startswith("```"):
        text = text.partition("\n")[2].removesuffix("```")
    try:
        problems = violations(json.loads(text), call.schema or {})
    except (ValueError, RecursionError):
        return "the answer is not JSON"
    return f"the answer does not fit its schema: {problems[0]}" if problems else ""
