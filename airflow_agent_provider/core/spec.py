"""
What a DAG author writes: small frozen values that render and serialize themselves.

Checks and sources are dataclasses that live in DAG files and sit in template
fields. Airflow asks two things of such an object. ``serialize()`` gives the plain
form that the UI shows and the DAG is stored by, so it must be the same in each
parse. ``resolve(context)`` gives a copy with every Jinja template rendered
(``airflow/sdk/definitions/_internal/templater.py``); the original is shared by
all task instances and is never touched.

A parameter that still holds a template is not judged: its value is known when the
task runs. :func:`pending` tells so, and ``__post_init__`` runs again on the
rendered copy.

The third way in is a form in the UI, which gives JSON: :func:`parse` reads
``{"type": "not_null", "column": "tailnum"}`` against the known types.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, Self, TypeVar

from airflow_agent_provider.exceptions import ConfigurationError

S = TypeVar("S", bound="Spec")


def pending(value: Any) -> bool:
    """Tell whether a value still holds a Jinja template, at any depth."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, Mapping):
        return any(pending(one) for one in value.values())
    if isinstance(value, (tuple, list)):
        return any(pending(one) for one in value)
    return False


def snake(name: str) -> str:
    """Spell a class name as a JSON author would: ``NotNull`` becomes ``not_null``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@dataclass(frozen=True)
class Spec:
    """Base of the values that users write in DAGs; subclasses are frozen dataclasses."""

    def serialize(self) -> dict[str, Any]:
        """Give the plain JSON form; fields at their default are left out."""
        written = {one.name: getattr(self, one.name) for one in fields(self)}
        shown = {
            one.name: _plain(written[one.name]) for one in fields(self) if written[one.name] != _default(one)
        }
        return {"type": type(self).__name__, **shown}

    def resolve(self, context: Mapping[str, Any]) -> Self:
        """
        Give a copy whose strings were rendered by the task's own templater.

        :param context: Airflow's task context; ``task`` and ``dag`` are read.
        :raises ConfigurationError: when a rendered value is not allowed.
        """
        task = context["task"]
        environment = task.get_template_env(context.get("dag"))
        return self.build(**{
            one.name: task.render_template(getattr(self, one.name), context, environment)
            for one in fields(self)
        })

    @classmethod
    def build(cls, **values: Any) -> Self:
        """
        Make an instance of named fields, whatever form its ``__init__`` has.

        :raises ConfigurationError: when a field is unknown, missing or not allowed.
        """
        known = {one.name: one for one in fields(cls)}
        unknown = [name for name in values if name not in known]
        if unknown:
            raise ConfigurationError(
                f"{cls.__name__}: unknown field {unknown[0]!r}; known: {', '.join(known)}"
            )
        filled = {name: values.get(name, _default(one)) for name, one in known.items()}
        missing = [name for name, value in filled.items() if value is MISSING]
        if missing:
            raise ConfigurationError(f"{cls.__name__}: missing field {missing[0]!r}")
        made = object.__new__(cls)
        for name, value in filled.items():
            made.settle(name, value)
        made.__post_init__()
        return made

    def __post_init__(self) -> None:
        """Check and settle the fields; subclasses extend it."""

    def settle(self, name: str, value: Any) -> None:
        """Set a field's final form; for ``__post_init__`` only."""
        object.__setattr__(self, name, value)  # noqa: PLC2801  # frozen for everyone else


def parse(written: Any, known: Iterable[type[S]], *, noun: str) -> S:
    """
    Read a spec from its JSON form.

    :param written: ``{"type": ..., field: value, ...}``; the type is spelt
        ``NotNull`` or ``not_null``. An instance passes through.
    :param noun: what is being read, for messages: ``check 3``, ``source``.
    :raises ConfigurationError: naming the part at fault and what is known.
    """
    types = {snake(one.__name__): one for one in known}
    for one in types.values():
        if isinstance(written, one):
            return written
    if not isinstance(written, Mapping) or not isinstance(written.get("type"), str):
        raise ConfigurationError(
            f'{noun}: must be an object with a "type" of {", ".join(types)}; not {type(written).__name__}'
        )
    wanted = snake(written["type"].strip()).replace("-", "_").replace(" ", "_")
    if wanted not in types:
        near = difflib.get_close_matches(wanted, types, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigurationError(f"{noun}: unknown type {written['type']!r}; known: {', '.join(types)}{hint}")
    values = {str(name): value for name, value in written.items() if name != "type"}
    try:
        return types[wanted].build(**values)
    except ConfigurationError as error:
        raise ConfigurationError(f"{noun}: {error}") from error


def _default(one: Field[Any]) -> Any:
    if one.default_factory is not MISSING:
        return one.default_factory()
    return one.default


def _plain(value: Any) -> Any:
    """Turn tuples into lists and mappings into dicts, as JSON would."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    return value
