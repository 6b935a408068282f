"""Values of JSON text, and JSON text of values: nothing here complains of what it cannot read."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from ampproxy.wire.json import BAD_JSON
from ampproxy.wire.json import NULL as NULL
from ampproxy.wire.late import LatePattern

#: JSON that nobody here interprets.
Json = msgspec.Raw
#: A JSON object of which no member is interpreted.
Members = dict[str, Json]

#: Writes JSON; ``encode(value) -> bytes``. ``Raw`` values are written as they came.
ENCODER: Final = msgspec.json.Encoder()
encode = ENCODER.encode

_ANY: Final = msgspec.json.Decoder()
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_TEXT: Final = msgspec.json.Decoder(str)

#: Backslashes that escape one another, a pair of surrogates, or half of one: in this order, so that a
#: half is one only where nothing else began.
_HALVES = LatePattern(
    rb"(?:\\\\)+|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_HALF = LatePattern(rb"\\u[dD][89a-fA-F]")
_INSTEAD: Final = rb"\ufffd"


def whole_surrogates(body: bytes) -> bytes | None:
    """The JSON text with U+FFFD for every escaped half of a surrogate pair; ``None``: there is none.

    JavaScript cuts strings in the middle of a character and writes the halves as escapes. The decoder
    refuses them, and a whole thread must not fail for half an emoji.
    """
    first = _HALF.search(body)
    if first is None:
        return None
    # In place, one escape for another of its length: bodies are large, and may be made of nothing else.
    fixed = bytearray(body)
    for found in _HALVES.finditer(body):
        if found[1]:
            fixed[found.start() : found.end()] = _INSTEAD
    return bytes(fixed) if fixed != body else None


#: Strings, and numbers that are none in JSON.
_TOKENS = LatePattern(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|-?\b(?:NaN|Infinity)\b', re.DOTALL)
_CONTROL = LatePattern(rb"[\x00-\x1f]")


def sound(body: bytes) -> bytes | None:
    """The JSON text as a decoder takes it; ``None``: it has nothing of what is put right here.

    That is half characters, control characters in strings, and NaN and infinity, as Python writes them; and
    the field of an event before it, which some proxies write twice.
    """
    fixed = _TOKENS.sub(_sound, whole_surrogates(body) or body)
    if fixed.startswith(b"data:"):
        fixed = fixed[5:].lstrip(b" ")
    return fixed if fixed != body else None


def _sound(token: re.Match[bytes]) -> bytes:
    text = token[0]
    if not text.startswith(b'"'):
        return b"null"
    return _CONTROL.sub(lambda found: b"\\u%04x" % found[0][0], text) if _CONTROL.search(text) else text


def loads(raw: bytes | Json, default: Any = None) -> Any:
    """Plain Python values of JSON text; ``default`` where it is not JSON. Never raises."""
    try:
        return _ANY.decode(raw)
    except BAD_JSON:
        fixed = whole_surrogates(bytes_of(raw))
        return loads(fixed, default) if fixed else default


def text_of(raw: bytes | Json) -> str | None:
    """The text of a JSON string; ``None`` for anything else. Never raises."""
    try:
        return _TEXT.decode(raw)
    except BAD_JSON:
        return None


def is_object(text: str | bytes) -> bool:
    """Whether this is the text of a JSON object."""
    try:
        _OBJECT.decode(text)
    except BAD_JSON:
        return False
    return True


def object_or_empty(text: str) -> Json:
    """The text of a JSON object for a dialect that wants arguments as an object.

    Arguments that are not an object (a model's slip, cut off by a limit) are kept under ``_raw``,
    so that the vendor accepts the thread and the model sees what it wrote.
    """
    if not text.strip():
        return raw_text("{}")
    if is_object(text):
        return raw_text(text)
    fixed = (whole_surrogates(text.encode("utf-8", "replace")) or b"").decode()
    return raw_text(fixed) if is_object(fixed) else to_raw({"_raw": text})


def to_raw(value: Any) -> Json:
    """A value as uninterpreted JSON."""
    return Json(encode(value))


def raw_text(text: str | bytes) -> Json:
    """JSON text as uninterpreted JSON."""
    return Json(text.encode() if isinstance(text, str) else text)


def raw_str(raw: Json) -> str:
    """The exact text of uninterpreted JSON."""
    return bytes_of(raw).decode("utf-8", "replace")


def bytes_of(raw: bytes | Json) -> bytes:
    """JSON text as bytes, without a copy where it is such."""
    return raw if isinstance(raw, bytes) else bytes(raw)


def without_nulls(found: Members) -> Members:
    """The members that are not ``null``."""
    return {name: value for name, value in found.items() if value != NULL}
