"""A tool's schema reaches each vendor in the language that the vendor takes."""

from __future__ import annotations

import json
import time

import pytest

from ampproxy.dialects._schema import is_strict, lower, raise_gemini
from ampproxy.model.base import Json


def gemini(schema):
    text, losses = lower(json.dumps(schema).encode(), "gemini")
    return json.loads(text), [loss.kind for loss in losses]


def anthropic(schema):
    text, losses = lower(json.dumps(schema).encode(), "anthropic")
    return json.loads(text), [loss.kind for loss in losses]


GEMINI_CASES = {
    "types": (
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a", "b"]},
        {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "required": ["a"]},
        [],
    ),
    "annotations": (
        {"$schema": "x", "$id": "y", "type": "boolean", "examples": [True], "description": "d"},
        {"type": "BOOLEAN", "description": "d", "example": True},
        [],
    ),
    "ref": (
        {"$ref": "#/$defs/p", "description": "mine", "$defs": {"p": {"type": "string", "description": "p"}}},
        {"type": "STRING", "description": "mine"},
        [],
    ),
    "unknown ref": ({"$ref": "http://x/y", "type": "string"}, {"type": "STRING"}, ["schema_ref"]),
    "const": ({"const": "x"}, {"type": "STRING", "enum": ["x"], "format": "enum"}, []),
    "number enum": ({"type": "integer", "enum": [1, 2]}, {"type": "INTEGER"}, ["schema_enum"]),
    "untyped number enum": ({"enum": [1, 2.5]}, {"type": "NUMBER"}, ["schema_enum"]),
    "nullable by list": ({"type": ["string", "null"]}, {"type": "STRING", "nullable": True}, []),
    "nullable enum": (
        {"type": ["string", "null"], "enum": ["a", None]},
        {"type": "STRING", "nullable": True, "enum": ["a"], "format": "enum"},
        [],
    ),
    "nullable by anyOf": (
        {"anyOf": [{"type": "integer"}, {"type": "null"}], "description": "n"},
        {"type": "INTEGER", "nullable": True, "description": "n"},
        [],
    ),
    "type list": (
        {"type": ["string", "integer"]},
        {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]},
        [],
    ),
    "oneOf": (
        {"oneOf": [{"type": "string"}, {"type": "number"}], "description": "d"},
        {"anyOf": [{"type": "STRING", "description": "d"}, {"type": "NUMBER", "description": "d"}]},
        [],
    ),
    "allOf": (
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                {"properties": {"b": {"type": "string"}}, "required": ["b"]},
            ]
        },
        {
            "type": "OBJECT",
            "properties": {"a": {"type": "STRING"}, "b": {"type": "STRING"}},
            "required": ["a", "b"],
        },
        [],
    ),
    "exclusive integer": (
        {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10},
        {"type": "INTEGER", "minimum": 1, "maximum": 9},
        [],
    ),
    "exclusive number": (
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "NUMBER", "minimum": 0},
        ["schema_keyword"],
    ),
    "formats": (
        {"type": "object", "properties": {"u": {"type": "string", "format": "uri"}}},
        {"type": "OBJECT", "properties": {"u": {"type": "STRING"}}},
        ["schema_keyword"],
    ),
    "date-time": (
        {"type": "string", "format": "date-time"},
        {"type": "STRING", "format": "date-time"},
        [],
    ),
    "closed": ({"type": "object", "additionalProperties": False}, {"type": "OBJECT"}, ["schema_keyword"]),
    "array": (
        {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
        {"type": "ARRAY", "items": {"type": "STRING"}, "minItems": 1},
        ["schema_keyword"],
    ),
    "tuple": (
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}]},
        {"type": "ARRAY", "items": {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}]}},
        ["schema_keyword"],
    ),
    "boolean schema": (
        {"type": "object", "properties": {"a": True}},
        {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
        [],
    ),
    "wrong values": (
        {"type": "string", "minLength": "x", "description": 5, "pattern": True},
        {"type": "STRING"},
        ["schema_keyword"] * 3,
    ),
    "already proto": (
        {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}},
        {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}},
        [],
    ),
}


@pytest.mark.parametrize("name", GEMINI_CASES)
def test_gemini(name):
    """Each keyword is kept, rewritten or left out and said."""
    schema, expected, losses = GEMINI_CASES[name]
    assert gemini(schema) == (expected, losses)


def test_gemini_cuts_recursion():
    """A schema that contains itself ends, and the cut is said."""
    tree = {
        "type": "object",
        "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}},
    }
    found, losses = gemini(tree)
    assert losses == ["schema_recursion"]
    inner = found["properties"]["kids"]["items"]
    assert inner["properties"]["kids"]["items"] == {"type": "OBJECT"}


def test_gemini_bounds_exponential_references():
    """A small schema that unfolds to a giant is cut in no time."""
    defs = {
        f"a{n}": {"type": "object", "properties": {k: {"$ref": f"#/$defs/a{n + 1}"} for k in "abcdefgh"}}
        for n in range(20)
    }
    defs["a20"] = {"type": "string"}
    start = time.perf_counter()
    text, losses = lower(json.dumps({"$ref": "#/$defs/a0", "$defs": defs}).encode(), "gemini")
    assert time.perf_counter() - start < 3
    assert len(text) < 400_000
    assert "schema_size" in [loss.kind for loss in losses]
    assert len(losses) <= 32


@pytest.mark.parametrize("combiner", ["allOf", "anyOf", "oneOf"])
@pytest.mark.parametrize("profile", ["gemini", "anthropic"])
def test_exponential_combiners_are_bounded(combiner, profile):
    """Combinations of references that double at each step are cut."""
    defs = {f"a{n}": {combiner: [{"$ref": f"#/$defs/a{n + 1}"}] * 4} for n in range(30)}
    start = time.perf_counter()
    text, _ = lower(json.dumps({"$ref": "#/$defs/a0", "$defs": defs}).encode(), profile)
    assert time.perf_counter() - start < 3
    assert len(text) < 400_000


@pytest.mark.parametrize("profile", ["gemini", "anthropic"])
@pytest.mark.parametrize("text", [b"[]", b"5", b"not json", b"", b"[" * 5000, b'{"a":' * 5000])
def test_no_schema_at_all(text, profile):
    """What is no schema becomes one, and that is said."""
    found, losses = lower(text, profile)
    assert isinstance(json.loads(found), dict)
    assert losses


@pytest.mark.parametrize("profile", ["gemini", "anthropic"])
def test_deep_schema(profile):
    """A schema nested without end does not end the process."""
    text = b'{"type":"object","properties":{"a":' * 400 + b"{}" + b"}}" * 400
    found, _ = lower(text, profile)
    assert found.startswith(b"{")


def test_numbers_keep_their_text():
    """A bound past what a float holds is sent as it came."""
    text, _ = lower(b'{"type":"number","maximum":123456789012345678901234567890.10}', "gemini")
    assert text == b'{"type":"NUMBER","maximum":123456789012345678901234567890.10}'


def test_anthropic_leaves_a_good_schema_alone():
    """An object schema goes as it is, to the byte."""
    text = b'{ "type":"object", "properties":{"n":{"maximum":1.0e5}} }'
    assert lower(text, "anthropic") == (text, ())


ANTHROPIC_CASES = {
    "no type": ({}, {"type": "object", "properties": {}}, []),
    "anyOf": (
        {
            "anyOf": [
                {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a", "b"]},
                {"type": "object", "properties": {"a": {}, "c": {}}, "required": ["a"]},
            ]
        },
        {"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "required": ["a"]},
        ["schema_choice"],
    ),
    "allOf": (
        {
            "type": "object",
            "properties": {"a": {}},
            "required": ["a"],
            "allOf": [{"properties": {"b": {"type": "string"}}, "required": ["b"]}],
        },
        {"type": "object", "properties": {"a": {}, "b": {"type": "string"}}, "required": ["a", "b"]},
        [],
    ),
    "ref": (
        {"$ref": "#/$defs/x", "$defs": {"x": {"type": "object", "properties": {"a": {}}}}},
        {
            "type": "object",
            "properties": {"a": {}},
            "$defs": {"x": {"type": "object", "properties": {"a": {}}}},
        },
        [],
    ),
    "array": ({"type": "array"}, {"type": "object", "properties": {}}, ["schema_type"]),
}


@pytest.mark.parametrize("name", ANTHROPIC_CASES)
def test_anthropic(name):
    """The top is one plain object."""
    schema, expected, losses = ANTHROPIC_CASES[name]
    assert anthropic(schema) == (expected, losses)


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ({"type": "object", "properties": {}, "required": [], "additionalProperties": False}, True),
        ({"type": "object", "properties": {}}, False),
        (
            {"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False},
            True,
        ),
        ({"type": "object", "properties": {"a": {}}, "required": [], "additionalProperties": False}, False),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "object", "properties": {}}},
                "required": ["a"],
                "additionalProperties": False,
            },
            False,
        ),
        ({"type": "string"}, False),
        ([], False),
    ],
)
def test_is_strict(schema, strict):
    """Strict mode needs closed objects that require everything, at every depth."""
    assert is_strict(json.dumps(schema).encode()) is strict


def test_is_strict_of_nonsense():
    """What is no JSON is not strict."""
    assert not is_strict(b"{")
    assert not is_strict(b'{"type":"object","items":' * 3000)


@pytest.mark.parametrize(
    ("proto", "expected"),
    [
        ({"type": "STRING"}, {"type": "string"}),
        ({"type": "TYPE_UNSPECIFIED"}, {}),
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        (
            {"type": "STRING", "format": "enum", "enum": ["a"], "nullable": True},
            {"type": ["string", "null"], "enum": ["a", None]},
        ),
        (
            {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "2", "max_items": 5},
            {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 5},
        ),
        (
            {"anyOf": [{"type": "STRING"}], "nullable": True},
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
        ),
        (
            {"type": "OBJECT", "properties": {"type": {"type": "STRING"}}, "propertyOrdering": ["type"]},
            {"type": "object", "properties": {"type": {"type": "string"}}},
        ),
        ({"type": "object", "properties": {"a": {"type": "string"}}},) * 2,
        ([], {}),
    ],
)
def test_raise_gemini(proto, expected):
    """Gemini's schema reaches others as JSON Schema."""
    assert json.loads(raise_gemini(json.dumps(proto).encode())) == expected


def test_raw_pieces_are_taken():
    """A schema may come as a piece of a body."""
    assert lower(Json(b'{"type":"object"}'), "anthropic") == (b'{"type":"object"}', ())
    assert raise_gemini(Json(b'{"type":"NULL"}')) == b'{"type":"null"}'


def test_there_and_back():
    """What Gemini's schema can say survives lowering and raising."""
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": ["string", "null"]},
            "b": {"type": "array", "items": {"type": "integer", "minimum": 3}},
        },
        "required": ["b"],
    }
    text, losses = lower(json.dumps(schema).encode(), "gemini")
    assert not losses
    assert json.loads(raise_gemini(text)) == schema
