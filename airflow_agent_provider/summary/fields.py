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
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any

from airflow_agent_provider.summary.summary import Bounds, Field
from airflow_agent_provider.summary.tally import Tally
from airflow_agent_provider.summary.values import HIDDEN, plain, short, shown, type_of

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
    :ivar nulls: nulls that were counted elsewhere, over all rows; None: the tally's are all there are.
    :ivar exact: statistics that were computed elsewhere, over all rows.
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
        self.nulls: int | None = None
        self.exact: dict[str, Any] = {}


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
        """Make a field known before any value is seen; None below a sensitive one, or without room."""
        node: Node | None = self.root
        for part in parts:
            node = self._child(node, part) if node and not node.sensitive else None
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
        return tuple(
            field for node in self.root.children.values() for field in self._described(node, self.root)
        )

    def notes(self) -> list[str]:
        """Say what was left out."""
        unknown = [quoted(one) for name, one in self._sensitive.items() if name not in self._found]
        said = {
            f"only the first {self.bounds.fields} fields are described": self.left_out,
            f"nothing below level {self.bounds.depth} of nesting is described": self.too_deep,
            f"declared sensitive, but not among the fields described: {', '.join(unknown)}": unknown,
        }
        return [text for text, holds in said.items() if holds]

    def _add_object(self, row: Mapping[Any, Any], node: Node) -> None:
        node.objects += 1
        for key, value in islice(row.items(), max(self._cells, 0)):
            self._add_below(node, key_name(key), value)
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
            for item in islice(_ordered(value), max(min(self.bounds.items, self._cells), 0)):
                self._add_below(node, ITEMS, item)

    def _child(self, parent: Node, key: str | None) -> Node | None:
        node = parent.children.get(key)
        if node is None:
            if self._number >= self.bounds.fields:
                self.left_out = True
                return None
            parts = (*parent.parts, key)
            node = Node(parts, sensitive=self._is_sensitive(parts))
            parent.children[key] = node
            self._number += 1
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
        nulls = _nulls(node, parent)
        nullable = node.nullable
        if nullable is None and nulls is not None:
            nullable = nulls > 0 or (None if parent.partial else False)
        one = Field(
            name=path_name(node.parts),
            types=tuple(name for name, _ in sorted(tally.types.items(), key=lambda one: (-one[1], one[0]))),
            nullable=nullable,
            nulls=nulls,
            statistics={} if node.sensitive else tally.statistics() | node.exact,
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
            return self._shown_object(value, node, value_chars)
        if kind == "list":
            return self._shown_list(value, node.children.get(ITEMS), value_chars)
        return shown(value, value_chars)

    def _shown_object(self, value: Mapping[Any, Any], node: Node, value_chars: int) -> dict[str, Any]:
        row = {}
        for key, item in islice(value.items(), 2 * self.bounds.fields):
            name = key_name(key)
            if name in node.children:
                row[short(name, MAX_PART_CHARS)] = self._shown(item, node.children[name], value_chars)
        left = len(value) - len(row)
        return row | ({MORE: f"{left} more"} if left else {})

    def _shown_list(self, value: Collection[Any], node: Node | None, value_chars: int) -> list[Any]:
        listed = (
            [self._shown(item, node, value_chars) for item in islice(_ordered(value), SHOWN_ITEMS)]
            if node
            else []
        )
        left = len(value) - len(listed)
        return [*listed, *([f"({left} more)"] if left else [])]


def _nulls(node: Node, parent: Node) -> int | None:
    """Count where a field is null or missing; None when nobody looked."""
    if node.nulls is not None:
        return node.nulls
    if node.parts[-1] is ITEMS or parent.partial or not parent.objects:
        return node.tally.nulls if node.tally.seen else None
    return node.tally.nulls + parent.objects - node.tally.seen


def _ordered(value: Collection[Any]) -> Iterable[Any]:
    """Give a list's items; a set's are not looked at, they come in another order in each process."""
    return () if isinstance(value, AbstractSet) else value


def key_name(key: Any) -> str:
    """Write an object's key as text."""
    if isinstance(key, str):
        return key
    if isinstance(key, tuple):
        return ".".join(str(shown(plain(one), MAX_PART_CHARS)) for one in key)
    return str(shown(plain(key), MAX_PART_CHARS))


def path_name(parts: Sequence[str | None]) -> str:
    """Write a path: ``customer.city``, ``items[].price``, ``"first name"``."""
    text = ""
    for part in parts:
        text += "[]" if part is ITEMS else f".{part_name(part)}" if text else part_name(part)
    return text if len(text) <= MAX_NAME_CHARS else f"{text[: MAX_NAME_CHARS - 1]}{MORE}"


def part_name(part: str) -> str:
    """Write one name; in quotation marks when it is no plain word and could look like anything."""
    if len(part) > MAX_PART_CHARS:
        part = f"{part[: MAX_PART_CHARS - 1]}{MORE}"
    return part if WORD.fullmatch(part) else quoted(part)


def quoted(text: str) -> str:
    """Write a text in quotation marks on one line."""
    return json.dumps(text, ensure_ascii=not text.isprintable())
