"""JSON Schema as each vendor accepts it.

Tools and structured outputs carry JSON Schema. Some vendors take only part of the language and answer
400 to the rest, so a schema is lowered by whitelist: what is known to be accepted is kept, the rest is
rewritten where that loses nothing, and else left out and said.

Numbers keep their exact text. A schema may be hostile: depth, size and the expansion of references are
bounded, and what is cut is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from ampproxy.dialects._schema_gemini import lower_gemini, raise_gemini
from ampproxy.dialects._schema_tree import Losses, Node, Root, array_of, encode, member, merge, node_of
from ampproxy.model.base import Json
from ampproxy.model.loss import Loss

__all__ = ["Profile", "is_strict", "lower", "raise_gemini"]

#: ``gemini``: the proto Schema of ``parameters`` and ``responseSchema``. ``anthropic``: the JSON Schema
#: of ``input_schema``, whose top must be a plain object.
Profile: TypeAlias = Literal["gemini", "anthropic"]

_EMPTY_OBJECT = b'{"type":"object","properties":{}}'
_STRICT_DEPTH = 64
_DEEPEST_FLATTENING = 16
_MOST_BRANCHES = 256
#: What references may bring in, in bytes: references to one large definition must not multiply it. A schema
#: that is larger itself may have as much again.
_MOST_REFERRED = 1024 * 1024
_COMBINERS = ("allOf", "anyOf", "oneOf")


def lower(schema: bytes | Json, profile: Profile, path: str = "schema") -> tuple[bytes, tuple[Loss, ...]]:
    """Say a JSON Schema in what a vendor accepts.

    :param path: where it stands in the request, for the losses.
    :returns: the lowered schema, and what it could not keep. Never raises: what is no schema at all
        becomes the schema of any object.
    """
    losses = Losses(path)
    node = node_of(schema)
    if node is None:
        losses.add("", "schema", "the schema is not a JSON object, so any object is accepted instead")
        node = {}
    if profile == "gemini":
        return lower_gemini(node, losses), losses.found()
    return _lower_anthropic(bytes(schema), node, losses), losses.found()


def _lower_anthropic(text: bytes, node: Node, losses: Losses) -> bytes:
    """``input_schema`` must say ``type: object`` at its top, and no allOf, anyOf or oneOf beside it."""
    if member(node, "type") == "object" and not any(key in node for key in (*_COMBINERS, "$ref")):
        return text
    flat = _Flattening(node, max(_MOST_REFERRED, len(text)), losses).flat(node)
    kind = member(flat, "type")
    if kind is not None and kind != "object" and kind != ["object"]:
        losses.add("/type", "schema_type", "the arguments of a tool are an object here")
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
                "", "schema_size", "references or combinations at the top are too many or too deep"
            )
            return {}
        found = {key: value for key, value in node.items() if key not in (*_COMBINERS, "$ref")}
        target = self._root.resolve(member(node, "$ref")) if "$ref" in node else None
        if target is not None:
            self._room -= sum(len(memoryview(value)) for value in target.values())
            found = merge(found, [self.flat(target, depth + 1)], every=True)
        for key in _COMBINERS:
            branches = array_of(node.get(key))
            if not branches:
                continue
            if key != "allOf":
                self._losses.add("/" + key, "schema_choice", "top-level alternatives became one object")
            merged = [self.flat(node_of(branch) or {}, depth + 1) for branch in branches]
            merged = [one for one in merged if member(one, "type") != "null"]
            found = merge(found, merged, every=key == "allOf")
        return found


def is_strict(schema: bytes | Json) -> bool:
    """Whether OpenAI takes a schema with ``strict: true``: each object in it is closed
    (``additionalProperties: false``) and requires all of its properties.
    """
    try:
        tree = msgspec.json.decode(bytes(schema))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(tree, dict) and tree.get("type") == "object" and _closed(tree, 0)


def _closed(node: object, depth: int) -> bool:
    if depth > _STRICT_DEPTH:
        return False
    if not isinstance(node, dict):
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
