"""JSON Schema as Anthropic accepts it.

Tools carry JSON Schema, of which the vendor takes only part at the top of ``input_schema``, and answers 400
to the rest: what it is known to accept is kept, the rest is rewritten where that loses nothing, and else
left out and said.

Numbers keep their exact text. A schema may be hostile: depth, size and the expansion of references are
bounded, and what is cut is said.
"""

from __future__ import annotations

from collections.abc import Sequence

from ampproxy.adapt.schema_tree import Node, member, node_of, strings
from ampproxy.model.base import Json
from ampproxy.model.loss import Loss
from ampproxy.wire.json import elements
from ampproxy.wire.values import encode, to_raw

_EMPTY_OBJECT = b'{"type":"object","properties":{}}'
_DEEPEST_FLATTENING = 16
_MOST_BRANCHES = 256
#: What references may bring in, in bytes: references to one large definition must not multiply it. A schema
#: that is larger itself may have as much again.
_MOST_REFERRED = 1024 * 1024
_MOST_LOSSES = 32
_COMBINERS = ("allOf", "anyOf", "oneOf")


def lower(schema: bytes | Json, path: str = "schema") -> tuple[bytes, tuple[Loss, ...]]:
    """Say a JSON Schema as an ``input_schema``.

    :param path: where it stands in the request, for the losses.
    :returns: the lowered schema, and what it could not keep. Never raises: what is no schema at all
        becomes the schema of any object.
    """
    losses = Losses(path)
    node = node_of(schema)
    if node is None:
        losses.add("", "schema_type", "the schema is not a JSON object, so any object is accepted instead")
        node = {}
    return _lowered(bytes(schema), node, losses), losses.found()


def _lowered(text: bytes, node: Node, losses: Losses) -> bytes:
    """``input_schema`` must say ``type: object`` at its top, and no allOf, anyOf or oneOf beside it."""
    if member(node, "type") == "object" and not any(key in node for key in (*_COMBINERS, "$ref")):
        return text
    flat = _Flattening(node, max(_MOST_REFERRED, len(text)), losses).flat(node)
    kind = member(flat, "type")
    if kind is not None and kind != "object" and kind != ["object"]:
        losses.add("/type", "schema_type", "a tool's arguments must be an object")
        return _EMPTY_OBJECT
    flat["type"] = Json(b'"object"')
    flat.setdefault("properties", Json(b"{}"))
    return encode(flat)


class _Flattening:
    """Merges the top's ``$ref`` and combiners into one object schema, within a number of steps.

    :param room: how many bytes references may bring in.
    """

    def __init__(self, root: Node, room: int, losses: Losses) -> None:
        self._root = Root(root)
        self._losses = losses
        self._left = _MOST_BRANCHES
        self._room = room

    def flat(self, node: Node, depth: int = 0) -> Node:
        """The node without references and combiners at its top."""
        self._left -= 1
        if depth > _DEEPEST_FLATTENING or self._left < 0 or self._room < 0:
            self._losses.add(
                "", "schema_size", "too many or too deep references or combinations at the top level"
            )
            return {}
        found = {key: value for key, value in node.items() if key not in (*_COMBINERS, "$ref")}
        target = self._root.resolve(member(node, "$ref")) if "$ref" in node else None
        if target is not None:
            self._room -= sum(len(memoryview(value)) for value in target.values())
            found = merge(found, [self.flat(target, depth + 1)], every=True)
        for key in _COMBINERS:
            branches = elements(node.get(key))
            if not branches:
                continue
            if key != "allOf":
                self._losses.add("/" + key, "schema_choice", "top-level alternatives became one object")
            merged = [self.flat(node_of(branch) or {}, depth + 1) for branch in branches]
            merged = [one for one in merged if member(one, "type") != "null"]
            found = merge(found, merged, every=key == "allOf")
        return found


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
            if node is None and (items := elements(found)):
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
            merged[key] = to_raw(found)
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
        mixed = {name: to_raw({combiner: list(each.values())}) for name, each in self._several.items()}
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
