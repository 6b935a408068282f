"""Gemini's own kind of schema reaches others as JSON Schema."""

from __future__ import annotations

import json

import pytest

from ampproxy.dialects.gemini.request_in import raise_gemini
from ampproxy.model.base import Json


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
        (
            {"type": "INTEGER", "format": "enum", "enum": ["101", "-2", "x", 3], "nullable": True},
            {"type": ["integer", "null"], "enum": [101, -2, "x", 3, None]},
        ),
        ({"type": "NUMBER", "enum": ["0.5", "1e3"]}, {"type": "number", "enum": [0.5, 1000.0]}),
        ({"type": "STRING", "enum": ["101"]}, {"type": "string", "enum": ["101"]}),
        ({"type": "object", "properties": {"a": {"type": "string"}}},) * 2,
        ([], {}),
    ],
)
def test_raise_gemini(proto, expected):
    """Gemini's schema reaches others as JSON Schema."""
    assert json.loads(raise_gemini(json.dumps(proto).encode())) == expected


def test_raw_pieces_are_taken():
    """A schema may come as a piece of a body."""
    assert raise_gemini(Json(b'{"type":"NULL"}')) == b'{"type":"null"}'


def test_numbers_keep_their_text():
    """A bound past what a float holds is sent as it came."""
    text = raise_gemini(b'{"type":"NUMBER","maximum":123456789012345678901234567890.10}')
    assert text == b'{"type":"number","maximum":123456789012345678901234567890.10}'
