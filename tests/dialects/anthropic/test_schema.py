"""A tool's schema reaches Anthropic in the language that it takes."""

from __future__ import annotations

import json

import pytest

from ampproxy.adapt.schema import lower
from ampproxy.model.base import Json
from tests.clocked import within


def lowered(schema):
    text, losses = lower(json.dumps(schema).encode())
    return json.loads(text), [loss.kind for loss in losses]


CASES = {
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


@pytest.mark.parametrize("name", CASES)
def test_lowered(name):
    """The top is one plain object."""
    schema, expected, losses = CASES[name]
    assert lowered(schema) == (expected, losses)


def test_a_good_schema_is_left_alone():
    """An object schema goes as it is, to the byte."""
    text = b'{ "type":"object", "properties":{"n":{"maximum":1.0e5}} }'
    assert lower(text) == (text, ())


def test_raw_pieces_are_taken():
    """A schema may come as a piece of a body."""
    assert lower(Json(b'{"type":"object"}')) == (b'{"type":"object"}', ())


@pytest.mark.parametrize("combiner", ["allOf", "anyOf", "oneOf"])
def test_exponential_combiners_are_bounded(combiner):
    """Combinations of references that double at each step are cut, and that is said."""
    defs = {f"a{n}": {combiner: [{"$ref": f"#/$defs/a{n + 1}"}] * 4} for n in range(30)}
    text, losses = within(3, lambda: lower(json.dumps({"$ref": "#/$defs/a0", "$defs": defs}).encode()))
    assert len(text) < 400_000
    assert "schema_size" in [loss.kind for loss in losses]
    assert len(losses) <= 32


@pytest.mark.parametrize("text", [b"[]", b"5", b"not json", b"", b"[" * 5000, b'{"a":' * 5000])
def test_no_schema_at_all(text):
    """What is no schema becomes one, and that is said."""
    found, losses = lower(text)
    assert isinstance(json.loads(found), dict)
    assert losses


def test_deep_schema():
    """A schema nested without end does not end the process."""
    text = b'{"type":"object","properties":{"a":' * 400 + b"{}" + b"}}" * 400
    found, _ = lower(text)
    assert found.startswith(b"{")


def test_numbers_keep_their_text():
    """A bound past what a float holds is sent as it came, also out of a schema that is written anew."""
    number = b'{"type":"number","maximum":123456789012345678901234567890.10}'
    text, _ = lower(b'{"allOf":[{"properties":{"n":' + number + b"}}]}")
    assert number in text
