"""Gemini's proto Schema as JSON Schema.

Gemini's ``Schema`` (``parameters``, ``responseSchema``) is a selection of OpenAPI 3.0's: types in upper
case, ``nullable``, ``anyOf``; no references, no ``const``, ``enum`` on strings only. Source: the
reference of ``Schema`` of the Gemini API. The way there is not needed: ``parametersJsonSchema`` and
``responseJsonSchema`` take JSON Schema as it is.
"""

from __future__ import annotations

import re
from typing import Any

from ampproxy.adapt.schema import Node, member, node_of, strings
from ampproxy.dialects.json import NULL, encode, loads
from ampproxy.model.base import Json
from ampproxy.wire.json import elements

#: Levels of a schema that are translated; what is below them stays as it is.
_DEEPEST = 24

_SPELLINGS = {
    "any_of": "anyOf",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "property_ordering": "propertyOrdering",
    "additional_properties": "additionalProperties",
    "defs": "$defs",
    "ref": "$ref",
}
#: int64 in the proto: a JSON string or a number.
_INT64 = frozenset(("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"))
_GROUPS = frozenset(("properties", "$defs"))
#: As JSON writes one.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")


def raise_gemini(schema: bytes | Json) -> bytes:
    """Write Gemini's proto Schema as JSON Schema.

    What is no schema becomes ``{}``. ``propertyOrdering``, which JSON Schema does not know, becomes the order
    in which the properties stand, since models write them in that order.
    """
    return encode(_raised(node_of(schema) or {}, 0))


def _raised(node: Node, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, raw in node.items():
        key = _SPELLINGS.get(name, name)
        if key in _GROUPS and depth < _DEEPEST and (group := node_of(raw)) is not None:
            found[key] = {entry: _raised(node_of(text) or {}, depth + 1) for entry, text in group.items()}
        elif key in ("items", "additionalProperties") and depth < _DEEPEST and bytes(raw)[:1] == b"{":
            found[key] = _raised(node_of(raw) or {}, depth + 1)
        elif key == "anyOf" and depth < _DEEPEST:
            found[key] = [_raised(node_of(text) or {}, depth + 1) for text in elements(raw)]
        elif key == "type":
            kind = loads(raw)
            if isinstance(kind, str) and kind.upper() != "TYPE_UNSPECIFIED":
                found[key] = kind.lower()
            elif isinstance(kind, list):
                found[key] = raw
        elif key in _INT64:
            text = loads(raw)
            found[key] = Json(text.encode()) if isinstance(text, str) and text.isdecimal() else raw
        elif key == "example":
            found["examples"] = [raw]
        elif key not in ("nullable", "propertyOrdering") and not (key == "format" and loads(raw) == "enum"):
            found[key] = raw
    ordering = node.get("propertyOrdering", node.get("property_ordering"))
    if ordering is not None and isinstance(found.get("properties"), dict):
        found["properties"] = _ordered(found["properties"], strings(ordering))
    if found.get("type") in ("integer", "number") and (values := elements(found.get("enum"))):
        found["enum"] = Json(encode([_number(value) for value in values]))
    return _with_null(found) if member(node, "nullable") is True else found


def _number(value: Json) -> Json:
    """A value of an enum of numbers, which is a text in the proto: ``"101"``."""
    text = loads(value)
    return Json(text.encode()) if isinstance(text, str) and _NUMBER.fullmatch(text) else value


def _ordered(properties: dict[str, Any], names: list[str]) -> dict[str, Any]:
    first = {name: properties[name] for name in names if name in properties}
    return {**first, **properties}


def _with_null(found: dict[str, Any]) -> dict[str, Any]:
    if isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    elif "anyOf" in found:
        found["anyOf"].append({"type": "null"})
    values = elements(found.get("enum"))
    if values and NULL not in values:
        found["enum"] = [*values, NULL]
    return found
