"""How one vendor's proof of reasoning travels through another dialect's opaque field.

Each dialect has one opaque field for proofs: Anthropic ``signature`` and ``redacted_thinking.data``,
Responses ``encrypted_content``, Gemini ``thoughtSignature``. Vendors check what they are given
back and refuse a proof that they did not issue, and a proof's shape does not tell whose it is.
So:

- a *bare* value is the dialect's own;
- a *marked* value is another vendor's: :data:`MARK`, then base64 of a record.

The record, in bytes::

    version (1)   vendor (number in VENDORS)   place (index in PLACES)   coding (index in _CODINGS)
    length of the item id (2 bytes, big-endian)   item id (UTF-8)   value

A value that is base64 itself, as all vendors' are, is stored decoded, so that a marked value is
hardly longer than the bare one. The whole is legal base64 with its length a multiple of four, because
clients of Gemini decode the field to bytes and encode it again, some in the URL-safe alphabet.

``place`` names what the proof sat on, where the carrier cannot: Gemini's sits on a function call or a
text, and a client of Anthropic carries it in a thinking block right before that one. ``bare`` is on
reasoning, too: it sets thinking that never had a text apart from a proof whose text the client left away.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable
from typing import Literal, get_args

from ampproxy.dialects.registry import ROWS
from ampproxy.model.parts import Reasoning, Signature

Place = Literal["reasoning", "call", "text", "image", "bare"]

#: Google's documented value for a function call that has no signature because another model made it
#: ("Thought signatures" in the Gemini API's guide): the check of signatures is skipped for that call.
SKIP_SIGNATURE = "skip_thought_signature_validator"
#: What every marked value begins with. Sixteen base64 characters: the record after it stays aligned.
#: Capitals, because every request is searched for it, and letters that are rare in prose are what makes
#: that search skip.
MARK = "AMPPROXYSEALEDBY"
#: Vendors by their number, which is in clients' stored threads; likewise places: new ones are appended.
VENDORS = {row.number: row.name for row in ROWS if row.number is not None}
_NUMBERS = {name: number for number, name in VENDORS.items()}
PLACES: tuple[Place, ...] = get_args(Place)
#: The vendor of a value that has our mark and cannot be read: no vendor's, so none is given it.
UNKNOWN = "unknown"

_VERSION = 1
#: The first byte of a record that holds a summary.
_SUMMARY = 2
_HEAD = struct.Struct(">BBBBH")
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


def _unpadded(encode: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda data: encode(data).rstrip(b"=")


#: How the value was written; the first is any text, the others kinds of base64.
_CODINGS: tuple[Callable[[bytes], bytes], ...] = (
    bytes,
    base64.b64encode,
    base64.urlsafe_b64encode,
    _unpadded(base64.b64encode),
    _unpadded(base64.urlsafe_b64encode),
)


def wrap_signature(own: str, signature: Signature, place: Place = "reasoning") -> str:
    """The text that carries ``signature`` in the opaque field of dialect ``own``: bare for its own.

    :param place: what the proof sits on.
    """
    if signature.vendor == own:
        return signature.value
    coding, value = _pack(signature.value)
    item = (signature.item or "").encode()
    head = _HEAD.pack(_VERSION, _NUMBERS.get(signature.vendor, 255), PLACES.index(place), coding, len(item))
    return MARK + base64.b64encode(head + item + value).decode()


def unwrap_signature(value: str, own: str) -> Signature:
    """The proof in an opaque field of dialect ``own``. Never raises.

    A marked value that cannot be read has the vendor :data:`UNKNOWN`.
    """
    if not value.startswith(MARK):
        return Signature(own, value)
    return _read(value)[0]


def wrap_summary(text: str) -> str:
    """The text that carries a summary of a conversation in an opaque field of the client's.

    It is a record of another version than a proof's, so that no reader takes it for one.
    """
    return MARK + base64.b64encode(bytes((_SUMMARY,)) + text.encode("utf-8", "replace")).decode()


def unwrap_summary(value: str) -> str | None:
    """The summary that :func:`wrap_summary` wrapped; ``None`` for anything else. Never raises."""
    if not value.startswith(MARK):
        return None
    try:
        data = base64.b64decode(value[len(MARK) :].encode().translate(_TO_STANDARD), validate=True)
        return data[1:].decode() if data[:1] == bytes((_SUMMARY,)) else None
    except ValueError:
        return None


def place_of(value: str) -> Place:
    """What the proof in an opaque field sat on; ``reasoning`` for a value that is not marked."""
    return _read(value)[1] if value.startswith(MARK) else "reasoning"


def reasoning_place(part: Reasoning) -> Place:
    """What the proof of a reasoning part sits on."""
    return "bare" if part.redacted else "reasoning"


def is_bare(value: str) -> bool:
    """Whether the reasoning that a marked value proves never had a text."""
    return place_of(value) == "bare"


def _pack(value: str) -> tuple[int, bytes]:
    """The coding's number and the bytes that it stands for."""
    raw = value.encode()
    padded = raw.translate(_TO_STANDARD) + b"=" * (-len(raw) % 4)
    try:
        data = base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError):
        return 0, raw
    for number, encode in enumerate(_CODINGS[1:], 1):
        if encode(data) == raw:
            return number, data
    return 0, raw


def _read(value: str) -> tuple[Signature, Place]:
    try:
        body = value[len(MARK) :].encode().translate(_TO_STANDARD)
        data = base64.b64decode(body + b"=" * (-len(body) % 4), validate=True)
        version, vendor, place, coding, length = _HEAD.unpack_from(data)
        if version != _VERSION:
            raise ValueError(version)
        item, rest = data[_HEAD.size : _HEAD.size + length], data[_HEAD.size + length :]
        if len(item) != length:
            raise ValueError(length)
        text = _CODINGS[coding](rest).decode()
        return Signature(VENDORS[vendor], text, item.decode() or None), PLACES[place]
    except (ValueError, LookupError, struct.error):
        return Signature(UNKNOWN, value), "reasoning"
