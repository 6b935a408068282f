"""JSON Schema to Gemini's proto Schema, and back.

Gemini's ``Schema`` (``parameters``, ``responseSchema``) is a selection of OpenAPI 3.0's: types in upper
case, ``nullable``, ``anyOf``; no references, no ``const``, ``enum`` on strings only. Source: the
reference of ``Schema`` of the Gemini API, and Vertex's rule that beside ``anyOf`` nothing else may stand.
"""

from __future__ import annotations

from typing import Any

from ampproxy.dialects._schema_tree import (
    Losses,
    Node,
    Root,
    array_of,
    encode,
    member,
    merge,
    node_of,
    quoted,
    strings,
    value_of,
)
from ampproxy.model.base import Json

_DEEPEST = 24
_MOST_NODES = 2000

_NUMBER = (int, float)
#: Members that every type may have, and what their values must be.
_COMMON: dict[str, tuple[type, ...]] = {"title": (str,), "description": (str,), "default": (), "example": ()}
#: Members by type.
_OWN: dict[str, dict[str, tuple[type, ...]]] = {
    "STRING": {"format": (str,), "minLength": (int,), "maxLength": (int,), "pattern": (str,)},
    "NUMBER": {"format": (str,), "minimum": _NUMBER, "maximum": _NUMBER},
    "INTEGER": {"format": (str,), "minimum": _NUMBER, "maximum": _NUMBER},
    "BOOLEAN": {},
    "ARRAY": {"minItems": (int,), "maxItems": (int,)},
    "OBJECT": {"minProperties": (int,), "maxProperties": (int,), "propertyOrdering": (list,)},
}
_FORMATS = {
    "STRING": ("enum", "date-time"),
    "NUMBER": ("float", "double"),
    "INTEGER": ("int32", "int64"),
}
#: Members that say nothing about what is valid, or that are dealt with by themselves.
_SILENT = frozenset(
    (
        *("$schema", "$id", "$comment", "$anchor", "$defs", "definitions", "examples", "deprecated"),
        *("readOnly", "writeOnly", "type", "nullable", "enum", "const", "properties", "required"),
        *("items", "prefixItems", "exclusiveMinimum", "exclusiveMaximum"),
    )
)
#: What a member without a type tells about it.
_HINTS = (
    (("properties", "required", "additionalProperties", "patternProperties"), "OBJECT"),
    (("items", "prefixItems", "minItems", "maxItems", "uniqueItems"), "ARRAY"),
    (("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), "NUMBER"),
)


def lower_gemini(root: Node, losses: Losses) -> bytes:
    """Say a JSON Schema as Gemini's proto Schema. What is left out is said in ``losses``."""
    return encode(_Lowering(root, losses).schema(root, "", frozenset(), 0))


class _Lowering:
    def __init__(self, root: Node, losses: Losses) -> None:
        self._root = Root(root)
        self._losses = losses
        self._left = _MOST_NODES

    def schema(self, node: Node, where: str, refs: frozenset[str], depth: int) -> dict[str, Any]:
        """One schema, with all below it.

        :param refs: the references that led here; meeting one again is recursion.
        """
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            self._losses.add(
                where, "schema_size", "the schema is too large or too deep, the rest was left out"
            )
            return _stump(node)
        node, refs, whole = self._opened(node, where, refs, 0)
        if not whole:
            return _stump(node)
        nullable, kinds = _kinds(node)
        choices = self._choices(node, where)
        if choices is not None:
            nullable = nullable or any(_is_null(choice) for choice in choices)
            common = {key: value for key, value in node.items() if key not in ("anyOf", "oneOf")}
            branches = [merge(branch, [common], every=True) for branch in choices if not _is_null(branch)]
            branches = branches or [common]
        elif len(kinds) > 1:
            branches = [node | {"type": quoted(kind)} for kind in kinds]
        else:
            return self._plain(node, kinds[0] if kinds else None, nullable, where, refs, depth)
        lowered = [
            self.schema(branch, f"{where}/anyOf/{n}", refs, depth + 1) for n, branch in enumerate(branches)
        ]
        if nullable:
            lowered = [branch if "anyOf" in branch else branch | {"nullable": True} for branch in lowered]
        return lowered[0] if len(lowered) == 1 else {"anyOf": lowered}

    def _opened(
        self, node: Node, where: str, refs: frozenset[str], depth: int
    ) -> tuple[Node, frozenset[str], bool]:
        """The node with its reference and its ``allOf`` put in place; false if that would never end."""
        if "$ref" in node:
            pointer = str(member(node, "$ref"))
            siblings = {key: value for key, value in node.items() if key != "$ref"}
            target = self._root.resolve(pointer)
            if pointer in refs or depth > _DEEPEST:
                self._losses.add(where, "schema_recursion", "a schema that contains itself was cut")
                return siblings | {"type": quoted(member(target or {}, "type") or "object")}, refs, False
            if target is None:
                self._losses.add(where, "schema_ref", f"{pointer} is not in the schema")
                return siblings, refs, True
            return self._opened(merge(siblings, [target], every=True), where, refs | {pointer}, depth + 1)
        parts = array_of(node.get("allOf"))
        if parts is None:
            return node, refs, True
        merged = {key: value for key, value in node.items() if key != "allOf"}
        every: list[Node] = []
        for part in parts:
            self._left -= 1
            if self._left < 0:
                break
            opened, refs, _ = self._opened(node_of(part) or {}, where, refs, depth + 1)
            every.append(opened)
        return merge(merged, every, every=True), refs, True

    def _choices(self, node: Node, where: str) -> list[Node] | None:
        if "anyOf" in node and "oneOf" in node:
            self._losses.add(where + "/oneOf", "schema_keyword", "oneOf beside anyOf cannot be said")
        found = array_of(node.get("anyOf")) or array_of(node.get("oneOf"))
        if not found:
            return None
        return [opened for opened in (node_of(choice) for choice in found) if opened is not None]

    def _plain(
        self, node: Node, kind: str | None, nullable: bool, where: str, refs: frozenset[str], depth: int
    ) -> dict[str, Any]:
        """A schema of one type."""
        words, numbers = self._enum(node, where)
        kind = kind or ("STRING" if words else numbers or _hinted(node))
        if kind is None:
            kind = "STRING"
            if not node.keys() <= {"description", "title"} or depth == 0:
                self._losses.add(where, "schema_type", "a schema without a type is said as a string")
        found: dict[str, Any] = {"type": kind}
        if nullable:
            found["nullable"] = True
        self._members(node, kind, found, where)
        if words and kind == "STRING":
            found["enum"] = words
            found["format"] = "enum"
        if kind in ("NUMBER", "INTEGER"):
            self._bounds(node, kind, found, where)
        elif kind == "ARRAY":
            found["items"] = self._items(node, where, refs, depth)
        elif kind == "OBJECT":
            self._object(node, found, where, refs, depth)
        return found

    def _members(self, node: Node, kind: str, found: dict[str, Any], where: str) -> None:
        allowed = _COMMON | _OWN[kind]
        for key, raw in node.items():
            if key in _SILENT or (key == "additionalProperties" and value_of(raw) is True):
                continue
            types = allowed.get(key)
            value = value_of(raw) if types else None
            if types is None or (types and (not isinstance(value, types) or isinstance(value, bool))):
                self._losses.add(f"{where}/{key}", "schema_keyword", f"{key} cannot be said of this type")
            elif key == "format" and value not in _FORMATS.get(kind, ()):
                self._losses.add(
                    f"{where}/format", "schema_keyword", f"the format {value} is not known there"
                )
            else:
                found[key] = raw
        examples = array_of(node.get("examples"))
        if examples and "example" not in node:
            found["example"] = examples[0]

    def _enum(self, node: Node, where: str) -> tuple[list[str], str | None]:
        """The words of ``enum`` or ``const``; or, where they are not words, the type that they tell."""
        values = member(node, "enum")
        if "const" in node:
            values = [member(node, "const")]
        if not isinstance(values, list):
            return [], None
        values = [value for value in values if value is not None]
        if all(isinstance(value, str) for value in values):
            return list(dict.fromkeys(value for value in values if value)), None
        self._losses.add(where + "/enum", "schema_enum", "only texts can be enumerated")
        kinds = {_type_of(value) for value in values}
        if kinds == {"INTEGER", "NUMBER"}:
            return [], "NUMBER"
        return [], kinds.pop() if len(kinds) == 1 else None

    def _bounds(self, node: Node, kind: str, found: dict[str, Any], where: str) -> None:
        for key, inclusive, step in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
            value = member(node, key)
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                continue
            if kind == "INTEGER" and isinstance(value, int):
                found.setdefault(inclusive, value + step)
            else:
                found.setdefault(inclusive, node[key])
                self._losses.add(f"{where}/{key}", "schema_keyword", f"{key} became {inclusive}")

    def _items(self, node: Node, where: str, refs: frozenset[str], depth: int) -> dict[str, Any]:
        places = array_of(node.get("prefixItems")) or array_of(node.get("items"))
        if places:
            self._losses.add(where + "/items", "schema_keyword", "the places of a tuple became alternatives")
            return self.schema({"anyOf": quoted(places)}, where + "/items", refs, depth + 1)
        items = node_of(node.get("items"))
        return self.schema(items if items is not None else {}, where + "/items", refs, depth + 1)

    def _object(
        self, node: Node, found: dict[str, Any], where: str, refs: frozenset[str], depth: int
    ) -> None:
        properties = {
            name: self.schema(schema, f"{where}/properties/{name}", refs, depth + 1)
            for name, text in (node_of(node.get("properties")) or {}).items()
            if (schema := node_of(text)) is not None and name
        }
        if properties:
            found["properties"] = properties
        required = [name for name in dict.fromkeys(strings(node.get("required"))) if name in properties]
        if required:
            found["required"] = required


def _kinds(node: Node) -> tuple[bool, list[str]]:
    """Whether null is allowed, and the other types in Gemini's spelling."""
    said = member(node, "type")
    names = [name.upper() for name in (said if isinstance(said, list) else [said]) if isinstance(name, str)]
    values = member(node, "enum")
    nullable = member(node, "nullable") is True or "NULL" in names
    if not names and isinstance(values, list) and None in values:
        nullable = True
    return nullable, [name for name in dict.fromkeys(names) if name in _OWN]


def _is_null(node: Node) -> bool:
    if "const" in node:
        return member(node, "const") is None
    return member(node, "type") in ("null", ["null"], "NULL") or member(node, "enum") == [None]


def _hinted(node: Node) -> str | None:
    for keys, kind in _HINTS:
        if any(key in node for key in keys):
            return kind
    return None


def _type_of(value: object) -> str | None:
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, int):
        return "INTEGER"
    return "NUMBER" if isinstance(value, float) else None


def _stump(node: Node) -> dict[str, Any]:
    """What stands where a schema was cut: its type, so that something of that kind is given."""
    _, kinds = _kinds(node)
    kind = kinds[0] if kinds else "OBJECT"
    found: dict[str, Any] = {"type": kind}
    if kind == "ARRAY":
        found["items"] = {"type": "STRING"}
    if isinstance(member(node, "description"), str):
        found["description"] = node["description"]
    return found


# -- and back -----------------------------------------------------------------------------------------

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


def raise_gemini(schema: bytes | Json) -> bytes:
    """Say Gemini's proto Schema as JSON Schema.

    What is no schema becomes ``{}``. ``propertyOrdering``, which JSON Schema does not know, is left out.
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
            found[key] = [_raised(node_of(text) or {}, depth + 1) for text in array_of(raw) or ()]
        elif key == "type":
            kind = value_of(raw)
            if isinstance(kind, str) and kind.upper() != "TYPE_UNSPECIFIED":
                found[key] = kind.lower()
            elif isinstance(kind, list):
                found[key] = raw
        elif key in _INT64:
            text = value_of(raw)
            found[key] = Json(text.encode()) if isinstance(text, str) and text.isdecimal() else raw
        elif key == "example":
            found["examples"] = [raw]
        elif key not in ("nullable", "propertyOrdering") and not (
            key == "format" and value_of(raw) == "enum"
        ):
            found[key] = raw
    return _with_null(found) if member(node, "nullable") is True else found


def _with_null(found: dict[str, Any]) -> dict[str, Any]:
    if isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    elif "anyOf" in found:
        found["anyOf"].append({"type": "null"})
    values = array_of(found["enum"]) if "enum" in found else None
    if values is not None and Json(b"null") not in values:
        found["enum"] = [*values, Json(b"null")]
    return found
