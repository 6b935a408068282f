"""Which schemas OpenAI enforces."""

from __future__ import annotations

from collections.abc import Mapping

from ampproxy.model.base import Json
from ampproxy.wire.values import loads

_STRICT_DEPTH = 64


def is_strict(schema: bytes | Json) -> bool:
    """Whether OpenAI takes a schema with ``strict: true``: each object in it is closed
    (``additionalProperties: false``) and requires all of its properties.
    """
    tree = loads(schema)
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
