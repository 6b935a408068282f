"""The shape of a request: names, types and sizes of what it holds, never a value.

What Amp's cloud sends has been seen of one format only; the shapes of the first users' requests tell the
rest, and can be shown to anybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

#: Words that are part of a format and not of anybody's text: of members that say what something is.
_TYPES = """
text image image_url input_text input_image input_file output_text tool_use tool_result thinking
redacted_thinking message reasoning function function_call function_call_output custom custom_tool_call
custom_tool_call_output ephemeral adaptive enabled disabled base64 url document file object array string
number integer boolean auto any none tool web_search refusal summary_text item_reference compaction
json_schema json_object
"""
_WORDS = {
    "type": frozenset(_TYPES.split()),
    "role": frozenset(("system", "developer", "user", "assistant", "tool")),
}
#: Members whose names below are the user's: only how many there are is shown.
_OPEN = frozenset(("properties", "$defs", "definitions", "arguments", "metadata", "logit_bias"))
_DEPTH = 8
#: Different items of a list, members of an object, characters of all.
_ITEMS, _MEMBERS, _MAX_SHAPE_CHARS = 6, 40, 4000
_NAME = 60


def shape_of(body: bytes) -> str:
    """The shape of a JSON body: ``{model: text 15, messages: [3: {role: user, content: text 20}], …}``."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"not JSON, {len(body)} bytes"
    return _cut(_shape(value, "", 0))


def headers_shape(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The names of headers, and how long each value is."""
    found = sorted((name.decode("latin-1").lower(), len(value)) for name, value in headers)
    return _cut(", ".join(f"{_shown(name)} {length}" for name, length in found))


def _shape(value: Any, member: str, depth: int) -> str:
    if isinstance(value, str):
        return value if value in _WORDS.get(member, ()) else f"text {len(value)}"
    if isinstance(value, bool):
        return "flag"
    if value is None:
        return "null"
    if isinstance(value, (int, float)):
        return "number"
    if depth >= _DEPTH or member in _OPEN or (member == "input" and isinstance(value, dict)):
        return f"{'object' if isinstance(value, dict) else 'list'} of {len(value)}"
    return _object(value, depth) if isinstance(value, dict) else _list(value, depth)


def _object(value: dict[str, Any], depth: int) -> str:
    parts = [
        f"{_shown(name)}: {_shape(inner, name, depth + 1)}" for name, inner in [*value.items()][:_MEMBERS]
    ]
    more = f", and {len(value) - _MEMBERS} more" if len(value) > _MEMBERS else ""
    return "{" + ", ".join(parts) + more + "}"


def _list(value: list[Any], depth: int) -> str:
    """How many items there are, and the first of each kind: what differs by sizes alone is one."""
    kinds: dict[object, Any] = {}
    for item in value:
        kinds.setdefault(_kind(item), item)
    shown = [_shape(item, "", depth + 1) for item in [*kinds.values()][:_ITEMS]]
    more = f" | and {len(kinds) - _ITEMS} other kinds" if len(kinds) > _ITEMS else ""
    return f"[{len(value)}: " + " | ".join(shown) + more + "]"


def _kind(item: Any) -> object:
    if not isinstance(item, dict):
        return type(item)
    words = tuple(item.get(name) if isinstance(item.get(name), str) else None for name in _WORDS)
    return (*words, *sorted(item))


def _shown(name: str) -> str:
    return name[:_NAME] if name.isprintable() and name.isascii() else f"(name of {len(name)})"


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SHAPE_CHARS else f"{text[:_MAX_SHAPE_CHARS]}… ({len(text)} characters)"
