"""JSON Schema as vendors accept it.

Tools carry JSON Schema, of which Anthropic takes only part at the top of ``input_schema``, and answers 400
to the rest: what it is known to accept is kept, the rest is rewritten where that loses nothing, and else
left out and noted.

Numbers keep their exact text. A schema may be hostile: depth, size and the expansion of references are
bounded, and what is cut is noted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from ampproxy.model.base import Json
from ampproxy.model.loss import Loss, Losses
from ampproxy.wire.json import NULL, elements, members
from ampproxy.wire.values import encode, loads, to_raw

_EMPTY_OBJECT = b'{"type":"object","properties":{}}'
_DEEPEST_FLATTENING = 16
_MOST_BRANCHES = 256
#: What references may bring in, in bytes: references to one large definition must not multiply it. A schema
#: that is larger itself may have as much again.
_MOST_REFERRED = 1024 * 1024
_COMBINERS = ("allOf", "anyOf", "oneOf")
#: One schema: its members by name, each as exact text.
Node: TypeAlias = dict[str, Json]
_STRICT_DEPTH = 64


def lower(schema: bytes | Json, path: str = "schema") -> tuple[bytes, tuple[Loss, ...]]:
    """Write a JSON Schema as an ``input_schema``.

    :param path: where it stands in the request, for the losses.
    :returns: the lowered schema, and what it could not keep. Never raises: what is no schema at all
        becomes the schema of any object.
    """
    losses = Losses()
    node = node_of(schema)
    if node is None:
        losses("schema_type", path, "The schema is not a JSON object, so any object is accepted instead.")
        node = {}
    text = bytes(schema)
    # It must have ``type: object`` at its top, and no allOf, anyOf or oneOf beside it.
    if member(node, "type") == "object" and not any(key in node for key in (*_COMBINERS, "$ref")):
        return text, ()
    flat = _Flattening(node, max(_MOST_REFERRED, len(text)), path, losses).flat(node)
    kind = member(flat, "type")
    if kind is not None and kind != "object" and not (isinstance(kind, list) and "object" in kind):
        losses("schema_type", f"{path}/type", "A tool's arguments must be an object.")
        return _EMPTY_OBJECT, losses.all()
    flat["type"] = Json(b'"object"')
    flat.setdefault("properties", Json(b"{}"))
    return encode(flat), losses.all()


class _Flattening:
    """Merges the top's ``$ref`` and combiners into one object schema, within a number of steps.

    :param room: how many bytes references may bring in.
    """

    def __init__(self, root: Node, room: int, path: str, losses: Losses) -> None:
        self._root = Root(root)
        self._path = path
        self._losses = losses
        self._left = _MOST_BRANCHES
        self._room = room

    def flat(self, node: Node, depth: int = 0) -> Node:
        """The node without references and combiners at its top."""
        self._left -= 1
        if depth > _DEEPEST_FLATTENING or self._left < 0 or self._room < 0:
            why = "Too many or too deep references or combinations at the top level."
            self._losses("schema_size", self._path, why)
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
                why = "Top-level alternatives became one object."
                self._losses("schema_choice", f"{self._path}/{key}", why)
            merged = [self.flat(node_of(branch) or {}, depth + 1) for branch in branches]
            merged = [one for one in merged if member(one, "type") != "null"]
            found = merge(found, merged, every=key == "allOf")
        return found


class Root(msgspec.Struct):
    """A schema in which local references are looked up; each level of it is taken apart once.

    :param node: the whole schema.
    """

    node: Node | None
    _below: dict[str, Root] = {}

    def resolve(self, pointer: object) -> Node | None:
        """What a local reference (``#/$defs/name``) points to; ``None`` for any other."""
        if not isinstance(pointer, str) or not pointer.startswith("#"):
            return None
        place = self
        for step in pointer[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if place.node is None or name not in place.node:
                return None
            if name not in place._below:
                text = place.node[name]
                items = {str(index): item for index, item in enumerate(elements(text))}
                place._below[name] = Root(items or node_of(text))
            place = place._below[name]
        return place.node


def merge(base: Node, others: Sequence[Node], *, every: bool) -> Node:
    """One object schema out of several. ``base`` wins where they differ.

    :param every: all of them hold (allOf), so what any requires is required; else one of them holds
        (anyOf), so only what each requires is.
    """
    merged = dict(base)
    for other in others:
        for key, value in other.items():
            if every or key == "type":
                merged.setdefault(key, value)
    required = strings(base.get("required"))
    if wanted := [set(strings(other.get("required"))) for other in others]:
        extra = set.union(*wanted) if every else set.intersection(*wanted)
        required += sorted(extra - set(required))
    properties = _properties((base, *others), "allOf" if every else "anyOf")
    for key, found in (("properties", properties), ("required", required)):
        merged.pop(key, None)
        if found:
            merged[key] = to_raw(found)
    return merged


def _properties(nodes: Sequence[Node], combiner: str) -> Node:
    """The properties of several schemas, put together; of those that differ all are kept."""
    found: dict[str, dict[bytes, Json]] = {}
    for node in nodes:
        for name, schema in (node_of(node.get("properties")) or {}).items():
            found.setdefault(name, {}).setdefault(bytes(schema), schema)
    together: Node = {}
    for name, (first, *others) in ((name, each.values()) for name, each in found.items()):
        together[name] = to_raw({combiner: [first, *others]}) if others else first
    return together


def node_of(text: bytes | Json | None) -> Node | None:
    """The members of a JSON object; ``{}`` for ``true``; ``None`` for anything else."""
    if text is None:
        return None
    return {} if bytes(text).strip() == b"true" else members(text)


def member(node: Node, key: str) -> Any:
    """What a small member holds; ``None`` where it is missing or cannot be read."""
    return loads(node.get(key, NULL))


def strings(text: bytes | Json | None) -> list[str]:
    """The strings of a JSON array, in order; other elements are left out."""
    found = loads(text or NULL)
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def with_description(schema: Json, description: str | None) -> Json:
    """A schema with the description that its dialect has beside it."""
    node = node_of(schema)
    if node is None or not description:
        return schema
    inner = member(node, "description")
    if inner == description:
        return schema
    text = f"{description}\n\n{inner}" if isinstance(inner, str) else description
    return Json(encode({**node, "description": to_raw(text)}))


def is_strict(schema: bytes | Json) -> bool:
    """Whether OpenAI takes a schema with ``strict: true``: each object in it is closed
    (``additionalProperties: false``) and requires all of its properties.
    """
    tree = loads(schema)
    return isinstance(tree, dict) and tree.get("type") == "object" and _closed(tree, 0)


def _closed(node: object, depth: int) -> bool:
    if depth > _STRICT_DEPTH or not isinstance(node, dict):
        return False
    properties = node.get("properties")
    if node.get("type") == "object" or properties is not None:
        if not isinstance(properties, dict) or node.get("additionalProperties") is not False:
            return False
        required = node.get("required")
        if not isinstance(required, list) or set(properties) - {str(name) for name in required}:
            return False
    if any(key in node for key in ("allOf", "oneOf", "not", "patternProperties", "if")):
        return False
    return all(_closed(child, depth + 1) for child in _children(node))


def _children(node: Mapping[str, object]) -> list[object]:
    found: list[object] = []
    for key in ("properties", "$defs", "definitions"):
        group = node.get(key)
        if isinstance(group, dict):
            found.extend(group.values())
    if "items" in node:
        found.append(node["items"])
    choices = node.get("anyOf")
    if isinstance(choices, list):
        found.extend(choices)
    return found
