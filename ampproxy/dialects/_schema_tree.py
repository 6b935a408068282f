"""A JSON Schema as a tree that keeps the exact text of what nobody looks at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from ampproxy.model.base import Json
from ampproxy.model.loss import Loss

#: One schema: its members by name, each as exact text.
Node: TypeAlias = dict[str, Json]

_NODE = msgspec.json.Decoder(dict[str, Json])
_ARRAY = msgspec.json.Decoder(list[Json])
_ENCODE = msgspec.json.Encoder().encode
_MOST_LOSSES = 32


def node_of(text: bytes | Json | None) -> Node | None:
    """The members of a JSON object; ``{}`` for ``true``; ``None`` for anything else."""
    if text is None:
        return None
    raw = bytes(text)
    if raw.strip() == b"true":
        return {}
    try:
        return _NODE.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def array_of(text: bytes | Json | None) -> list[Json] | None:
    """The elements of a JSON array; ``None`` for anything else."""
    if text is None:
        return None
    try:
        return _ARRAY.decode(bytes(text))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def value_of(text: bytes | Json | None) -> Any:
    """What a small piece of JSON says; ``None`` where it is missing or cannot be read."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(bytes(text))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def member(node: Node, key: str) -> Any:
    """What a member says."""
    return value_of(node.get(key))


def strings(text: bytes | Json | None) -> list[str]:
    """The strings of a JSON array, in order; other elements are left out."""
    found = value_of(text)
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def encode(value: object) -> bytes:
    """JSON text; exact pieces stay exact."""
    return _ENCODE(value)


def quoted(value: object) -> Json:
    """JSON text as a piece to be put into a tree."""
    return Json(_ENCODE(value))


class Root:
    """A schema in which local references are looked up; each level of it is taken apart once.

    :param node: the whole schema.
    """

    __slots__ = ("_below", "node")

    def __init__(self, node: Node | None) -> None:
        self.node = node
        self._below: dict[str, Root] = {}

    def resolve(self, pointer: object) -> Node | None:
        """What a local reference (``#/$defs/name``) points to; ``None`` for any other."""
        if not isinstance(pointer, str) or not pointer.startswith("#"):
            return None
        place = self
        for step in pointer[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if place.node is None or name not in place.node:
                return None
            place = place._step(place.node[name], name)
        return place.node

    def _step(self, found: Json, name: str) -> Root:
        place = self._below.get(name)
        if place is None:
            node = node_of(found)
            if node is None and (items := array_of(found)) is not None:
                node = {str(index): item for index, item in enumerate(items)}
            place = self._below[name] = Root(node)
        return place


def merge(base: Node, others: Sequence[Node], *, every: bool) -> Node:
    """One object schema out of several. ``base`` wins where they differ.

    :param every: all of them hold (allOf), so what any requires is required; else one of them holds
        (anyOf), so only what each requires is.
    """
    merged = dict(base)
    properties = _Properties(node_of(base.get("properties")) or {})
    required = strings(base.get("required"))
    wanted: list[set[str]] = []
    for other in others:
        properties.add(node_of(other.get("properties")) or {})
        wanted.append(set(strings(other.get("required"))))
        for key, value in other.items():
            if every or key == "type":
                merged.setdefault(key, value)
    if wanted:
        extra = set.union(*wanted) if every else set.intersection(*wanted)
        required += sorted(extra - set(required))
    for key, found in (
        ("properties", properties.together("allOf" if every else "anyOf")),
        ("required", required),
    ):
        merged.pop(key, None)
        if found:
            merged[key] = quoted(found)
    return merged


class _Properties:
    """The properties of several schemas, put together; of those that differ all are kept."""

    def __init__(self, first: Node) -> None:
        self._found = first
        self._several: dict[str, dict[bytes, Json]] = {}

    def add(self, more: Node) -> None:
        """Another schema's."""
        for name, schema in more.items():
            known = self._found.setdefault(name, schema)
            if known != schema:
                several = self._several.setdefault(name, {bytes(known): known})
                several.setdefault(bytes(schema), schema)

    def together(self, combiner: str) -> Node:
        """All of them."""
        mixed = {name: quoted({combiner: list(each.values())}) for name, each in self._several.items()}
        return {**self._found, **mixed}


class Losses:
    """What lowering left out: each kind of thing once at each place, and not without end."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._found: dict[tuple[str, str], Loss] = {}

    def add(self, where: str, kind: str, why: str) -> None:
        """Remember one.

        :param where: a JSON pointer into the schema.
        """
        if len(self._found) < _MOST_LOSSES:
            self._found.setdefault(
                (where, kind), Loss(kind, self._path + where, why[:1].upper() + why[1:] + ".")
            )

    def found(self) -> tuple[Loss, ...]:
        """All of them, in the order in which they were met."""
        return tuple(self._found.values())
