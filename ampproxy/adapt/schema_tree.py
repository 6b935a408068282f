"""A JSON Schema as a tree that keeps the exact text of what nobody looks at."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from ampproxy.model.base import Json
from ampproxy.wire.json import BAD_JSON

#: One schema: its members by name, each as exact text.
Node: TypeAlias = dict[str, Json]

_NODE = msgspec.json.Decoder(dict[str, Json])
_ARRAY = msgspec.json.Decoder(list[Json])
_ENCODE = msgspec.json.Encoder().encode


def node_of(text: bytes | Json | None) -> Node | None:
    """The members of a JSON object; ``{}`` for ``true``; ``None`` for anything else."""
    if text is None:
        return None
    raw = bytes(text)
    if raw.strip() == b"true":
        return {}
    try:
        return _NODE.decode(raw)
    except BAD_JSON:
        return None


def array_of(text: bytes | Json | None) -> list[Json] | None:
    """The elements of a JSON array; ``None`` for anything else."""
    if text is None:
        return None
    try:
        return _ARRAY.decode(bytes(text))
    except BAD_JSON:
        return None


def value_of(text: bytes | Json | None) -> Any:
    """What a small piece of JSON says; ``None`` where it is missing or cannot be read."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(bytes(text))
    except BAD_JSON:
        return None


def member(node: Node, key: str) -> Any:
    """What a member says."""
    return value_of(node.get(key))


def strings(text: bytes | Json | None) -> list[str]:
    """The strings of a JSON array, in order; other elements are left out."""
    found = value_of(text)
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
    return Json(encode({**node, "description": quoted(text)}))


def encode(value: object) -> bytes:
    """JSON text; exact pieces stay exact."""
    return _ENCODE(value)


def quoted(value: object) -> Json:
    """JSON text as a piece to be put into a tree."""
    return Json(_ENCODE(value))
