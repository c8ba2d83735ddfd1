"""
Fields as a tree, grown while rows pass by.

A row's values are visited to a bounded depth, lists for their first items, and the
whole data for a bounded number of values. A cycle is nesting without end, so the
bound on depth ends it too. A sensitive field has no fields below it: nothing of what
it holds is looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from airflow_agent_provider.summary.summary import Bounds, Field
from airflow_agent_provider.summary.tally import Tally
from airflow_agent_provider.summary.values import HIDDEN, plain, shown, type_of

WORD = re.compile(r"[^\W\d][\w-]*")
MAX_PART_CHARS = 80
MAX_NAME_CHARS = 200
SHOWN_ITEMS = 3
ITEMS = None
"""The key below which a list's items stand; every other key is a text."""
SCALAR = "value"
MORE = "…"


class Node:
    """
    One field and those below it.

    :ivar objects: how often an object was seen here, whose keys are the children.
    :ivar partial: some object here was not looked at to its end, so that a missing key proves nothing.
    """

    def __init__(self, parts: tuple[str | None, ...], *, sensitive: bool) -> None:
        self.parts = parts
        self.sensitive = sensitive
        self.tally = Tally()
        self.children: dict[str | None, Node] = {}
        self.objects = 0
        self.partial = False
        self.declared = ""
        self.nullable: bool | None = None


class Fields:
    """
    The fields of some data.

    :param sensitive: names of fields whose values must not be shown: a name on its own
        (``email``) wherever it stands, or with those above it (``customer.email``); with
        everything below. Capitals make no difference.
    """

    def __init__(self, bounds: Bounds, sensitive: Collection[str] = ()) -> None:
        self.bounds = bounds
        self.root = Node((), sensitive=False)
        self.left_out = False
        self.too_deep = False
        self._sensitive = {one.casefold().replace("[]", ""): one for one in sensitive}
        self._found: set[str] = set()
        self._cells = bounds.cells
        self._number = 0

    @property
    def exhausted(self) -> bool:
        """Whether no more values may be looked at."""
        return self._cells <= 0

    def add(self, row: Any) -> None:
        """Count a row's values; a row that is no object counts as the field ``value``."""
        row = plain(row)
        if type_of(row) == "object":
            self._add_object(row, self.root)
        else:
            self.root.objects += 1
            self._add_below(self.root, SCALAR, row)

    def declare(
        self, parts: Sequence[str | None], declared: str = "", *, nullable: bool | None = None
    ) -> Node | None:
        """Make a field known before any value is seen; None when there is no room for it."""
        node: Node | None = self.root
        for part in parts:
            node = self._child(node, part) if node else None
        if node:
            node.declared, node.nullable = declared, nullable
        return node

    def shown(self, row: Any, value_chars: int) -> Any:
        """Give a row as plain JSON: values cut, sensitive ones hidden, unknown fields counted."""
        row = plain(row)
        if type_of(row) == "object":
            return self._shown(row, self.root, value_chars)
        node = self.root.children.get(SCALAR)
        return self._shown(row, node, value_chars) if node else MORE

    def described(self) -> tuple[Field, ...]:
        """Give the fields, those above before those below, in the order in which they came up."""
        return tuple(field for node in self.root.children.values() for field in self._described(node, self.root))

    def notes(self) -> list[str]:
        """Say what was left out."""
        unknown = [one for name, one in self._sensitive.items() if name not in self._found]
        said = {
            f"only the first {self.bounds.fields} fields are described": self.left_out,
            f"nothing below level {self.bounds.depth} of nesting is described": self.too_deep,
            f"declared sensitive, but not among the fields: {', '.join(map(quoted, unknown))}": unknown,
        }
        return [text for text, holds in said.items() if holds]

    def _add_object(self, row: Mapping[Any, Any], node: Node) -> None:
        node.objects += 1
        for key, value in islice(row.items(), max(self._cells, 0)):
            self._add_below(node, str(key), value)
        node.partial |= self.exhausted

    def _add_below(self, parent: Node, key: str | None, value: Any) -> None:
        self._cells -= 1
        node = self._child(parent, key)
        if node is None:
            return
        value = plain(value)
        kind = node.tally.add(value)
        if node.sensitive or kind not in {"object", "list"}:
            return
        if len(node.parts) >= self.bounds.depth:
            self.too_deep = True
        elif kind == "object":
            self._add_object(value, node)
        else:
            for item in islice(value, max(min(self.bounds.items, self._cells), 0)):
                self._add_below(node, ITEMS, item)

    def _child(self, parent: Node, key: str | None) -> Node | None:
        node = parent.children.get(key)
        if node is None:
            if self._number >= self.bounds.fields:
                self.left_out = True
                return None
            parts = (*parent.parts, key)
            node = Node(parts, sensitive=parent.sensitive or self._is_sensitive(parts))
            parent.children[key] = node
            self._number += key is not ITEMS
        return node

    def _is_sensitive(self, parts: Sequence[str | None]) -> bool:
        names = [part.casefold() for part in parts if part is not ITEMS]
        ends = {".".join(names[start:]) for start in range(len(names))} & self._sensitive.keys()
        self._found |= ends
        return bool(ends)

    def _described(self, node: Node, parent: Node) -> Iterable[Field]:
        tally = node.tally
        below = [field for child in node.children.values() for field in self._described(child, node)]
        if node.parts[-1] is ITEMS and not node.declared and set(tally.types) <= {"object"}:
            return below  # that the items are objects, the fields below them tell
        counted = parent.objects > 0 and not parent.partial and node.parts[-1] is not ITEMS
        nulls = tally.nulls + (parent.objects - tally.seen if counted else 0)
        nullable = node.nullable
        if nullable is None and (tally.seen or counted):
            nullable = True if nulls else None if parent.partial else False
        one = Field(
            name=path_name(node.parts),
            types=tuple(name for name, _ in sorted(tally.types.items(), key=lambda one: (-one[1], one[0]))),
            nullable=nullable,
            nulls=nulls if tally.seen or counted else None,
            statistics={} if node.sensitive else tally.statistics(),
            declared=node.declared,
            sensitive=node.sensitive,
        )
        return [one, *below]

    def _shown(self, value: Any, node: Node, value_chars: int) -> Any:
        value = plain(value)
        if node.sensitive:
            return HIDDEN
        kind = type_of(value)
        if kind == "object":
            known = [
                (key, item, node.children[str(key)])
                for key, item in islice(value.items(), 2 * self.bounds.fields)
                if str(key) in node.children
            ]
            row = {part_name(str(key)): self._shown(item, child, value_chars) for key, item, child in known}
            left = len(value) - len(known)
            return row | ({MORE: f"{left} more"} if left else {})
        if kind == "list":
            items = node.children.get(ITEMS)
            listed = list(islice(value, SHOWN_ITEMS)) if items else []
            left = len(value) - len(listed)
            return [
                *(self._shown(item, items, value_chars) for item in listed if items),
                *([f"({left} more)"] if left else []),
            ]
        return shown(value, value_chars)


def path_name(parts: Sequence[str | None]) -> str:
    """Write a path: ``customer.city``, ``items[].price``, ``"first name"``."""
    text = ""
    for part in parts:
        text += "[]" if part is ITEMS else f".{part_name(part)}" if text else part_name(part)
    return text if len(text) <= MAX_NAME_CHARS else f"{text[: MAX_NAME_CHARS - 1]}{MORE}"


def part_name(part: str) -> str:
    """Write one name; in quotation marks when it is no plain word, so that it cannot look like anything else."""
    if len(part) > MAX_PART_CHARS:
        part = f"{part[: MAX_PART_CHARS - 1]}{MORE}"
    return part if WORD.fullmatch(part) else quoted(part)


def quoted(text: str) -> str:
    """Write a text in quotation marks on one line."""
    return json.dumps(text, ensure_ascii=not text.isprintable())
