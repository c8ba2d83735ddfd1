"""Which tasks a verdict leads to."""

from __future__ import annotations

import difflib
from typing import Any

from airflow_agent_provider.exceptions import ConfigurationError


def branch_ids(task: Any, parameter: str, target: str | list[str] | None) -> list[str]:
    """
    Find the tasks and task groups that a branch parameter names.

    Inside a task group a name without the group's prefix is looked for in the
    group first, so that a group can be copied without renaming its branches.

    :param task: the branching operator, in its DAG.
    :param parameter: the parameter's name, for the error.
    :param target: task or task group ids.
    :return: full ids; empty when nothing was named.
    :raises ConfigurationError: when a name is no task or group directly downstream.
    """
    names = [target] if isinstance(target, str) else list(target or [])
    return [_find(task, parameter, name) for name in names]


def _find(task: Any, parameter: str, name: str) -> str:
    group = task.task_group
    prefixed = group.child_id(name) if group else name
    known = {*task.dag.task_ids, *task.dag.task_group_dict}
    for candidate in (prefixed, name):
        if candidate in known and _is_downstream(task, candidate):
            return str(candidate)
    downstream = sorted(task.downstream_task_ids)
    where = f"task {task.task_id!r}: {parameter}={name!r}"
    if name in known or prefixed in known:
        raise ConfigurationError(
            f"{where} is not directly downstream; write `{task.label} >> {name}` "
            f"(downstream now: {downstream})"
        )
    near = difflib.get_close_matches(name, [str(one) for one in known if one], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigurationError(
        f"{where} does not exist in DAG {task.dag.dag_id!r}{hint} (directly downstream: {downstream})"
    )


def _is_downstream(task: Any, candidate: str) -> bool:
    group = task.dag.task_group_dict.get(candidate)
    if group is None:
        return candidate in task.downstream_task_ids
    return any(root.task_id in task.downstream_task_ids for root in group.roots)
