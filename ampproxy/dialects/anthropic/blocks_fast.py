"""The commonest content blocks, read the short way.

A message that has only text, inline pictures, thinking, calls and results, and no member that is not
known, is decoded in one go; any other is read by :mod:`ampproxy.dialects.anthropic.blocks`, block by
block, which gives the same parts. Long threads are thousands of such blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from ampproxy.dialects.json import NULL, Decoder, read_or_none
from ampproxy.dialects.proof import MARK
from ampproxy.model.base import ANTHROPIC, Json
from ampproxy.model.parts import Image, Inline, Part, Reasoning, Sealed, Text, ToolCall, ToolResult


class _Block(msgspec.Struct, tag_field="type", forbid_unknown_fields=True):
    pass


class _Text(_Block, tag="text"):
    text: str
    cache_control: Json = NULL


class _Bytes(msgspec.Struct, tag_field="type", tag="base64", forbid_unknown_fields=True):
    media_type: str
    data: str


class _Image(_Block, tag="image"):
    source: _Bytes
    cache_control: Json = NULL


class _Thinking(_Block, tag="thinking"):
    thinking: str
    signature: str


class _Redacted(_Block, tag="redacted_thinking"):
    data: str


class _Call(_Block, tag="tool_use"):
    id: str
    name: str
    input: Json
    cache_control: Json = NULL


class _Result(_Block, tag="tool_result"):
    tool_use_id: str
    content: str | list[_Text | _Image] = ""
    is_error: bool = False
    cache_control: Json = NULL


_BLOCKS: Final = Decoder(list[_Text | _Image | _Thinking | _Redacted | _Call | _Result])


def parse_plain(raw: Json) -> list[Part] | None:
    """The parts of a list of blocks; ``None``: read it the long way, which also names what is wrong."""
    found = read_or_none(_BLOCKS, raw)
    if found is None:
        return None
    parts: list[Part] = []
    for block in found:
        part = _PARTS[type(block)](block)
        if part is None:
            return None
        parts.append(part)
    return parts


def _cache(raw: Json) -> Json | None:
    return None if raw == NULL else raw


def _text(block: _Text) -> Part:
    cache = block.cache_control
    return Text(block.text, None if cache == NULL else cache)


def _image(block: _Image) -> Part:
    source = Inline(block.source.media_type, block.source.data)
    return Image(source, cache=_cache(block.cache_control))


def _thinking(block: _Thinking) -> Part | None:
    signature = block.signature
    if signature.startswith(MARK) or not signature.strip():
        return None
    return Reasoning(block.thinking, Sealed(ANTHROPIC, signature))


def _redacted(block: _Redacted) -> Part | None:
    data = block.data
    return None if data.startswith(MARK) else Reasoning("", Sealed(ANTHROPIC, data), redacted=True)


def _call(block: _Call) -> Part | None:
    arguments = bytes(block.input)
    if not arguments.startswith(b"{"):
        return None
    return ToolCall(block.id, block.name, arguments.decode(), cache=_cache(block.cache_control))


def _result(block: _Result) -> Part:
    content = block.content
    if isinstance(content, str):
        parts: tuple[Any, ...] = (Text(content),) if content else ()
    else:
        parts = tuple([_PARTS[type(inner)](inner) for inner in content])
    return ToolResult(block.tool_use_id, parts, block.is_error, cache=_cache(block.cache_control))


_PARTS: Final[dict[type, Callable[[Any], Part | None]]] = {
    _Text: _text,
    _Image: _image,
    _Thinking: _thinking,
    _Redacted: _redacted,
    _Call: _call,
    _Result: _result,
}
