"""A JSON Schema as a tree that keeps the exact text of what nobody looks at."""

from __future__ import annotations

from typing import Any, TypeAlias

from ampproxy.model.base import Json
from ampproxy.wire.json import NULL, members
from ampproxy.wire.values import encode, loads, to_raw

#: One schema: its members by name, each as exact text.
Node: TypeAlias = dict[str, Json]


def node_of(text: bytes | Json | None) -> Node | None:
    """The members of a JSON object; ``{}`` for ``true``; ``None`` for anything else."""
    if text is None:
        return None
    return {} if bytes(text).strip() == b"true" else members(text)


def member(node: Node, key: str) -> Any:
    """What a small member says; ``None`` where it is missing or cannot be read."""
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
