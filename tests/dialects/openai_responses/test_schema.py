"""Which schemas OpenAI enforces."""

from __future__ import annotations

import json

import pytest

from ampproxy.adapt.schema import is_strict


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
