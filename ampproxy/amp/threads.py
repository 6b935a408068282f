"""The thread that a request of Amp's cloud is of. No header names it; a line in a system block does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

#: ``Amp Thread URL: https://ampcode.com/threads/T-…``. Other threads may be named without the label.
_LINE: Final = re.compile(
    r"(?m)^[ \t>*-]*Amp Thread URL:[ \t]*https?://\S{1,200}/threads/(T-[0-9A-Za-z-]{8,64})"
)
_LABEL: Final = b"Amp Thread URL:"
_OPEN, _CLOSE = "<instructions>", "</instructions>"
#: System turns stand at the beginning; so many are looked at.
_TURNS = 8
_SYSTEM = frozenset(("system", "developer"))


class _Body(msgspec.Struct):
    """The members that can have a system text, of each of the three formats."""

    system: msgspec.Raw = msgspec.Raw(b"null")
    instructions: msgspec.Raw = msgspec.Raw(b"null")
    messages: msgspec.Raw = msgspec.Raw(b"null")
    input: msgspec.Raw = msgspec.Raw(b"null")


_BODY: Final = msgspec.json.Decoder(_Body)
_ANY: Final = msgspec.json.Decoder()
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_BAD: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)


def thread_of(body: bytes) -> str:
    """The thread that a request's system text names by Amp's label; empty if none, or several, are named so.

    What the user's own instructions say (``<instructions>``) does not count. The id tells conversations
    apart; it lets nobody in. Never raises.

    :param body: JSON of one of the formats of Amp's connections.
    """
    if _LABEL not in body:
        return ""
    try:
        found = {thread for text in _system_texts(_BODY.decode(body)) for thread in _threads(text)}
    except _BAD:
        return ""
    return found.pop() if len(found) == 1 else ""


def _threads(text: str) -> Iterator[str]:
    return (match[1] for match in _LINE.finditer(_without_instructions(text)))


def _without_instructions(text: str) -> str:
    """The text up to the first instructions and behind the last: a user may write either mark in them."""
    begin, end = text.find(_OPEN), text.rfind(_CLOSE)
    if begin < 0:
        return text
    return text[:begin] + (text[end + len(_CLOSE) :] if end > begin else "")


def _system_texts(body: _Body) -> Iterator[str]:
    for raw in (body.system, body.instructions):
        if _LABEL in bytes(raw):
            yield from _texts(_ANY.decode(raw))
    for raw in (body.messages, body.input):
        yield from _in_turns(raw)


def _in_turns(raw: msgspec.Raw) -> Iterator[str]:
    if bytes(memoryview(raw)[:1]) != b"[":
        return
    for item in _ITEMS.decode(raw)[:_TURNS]:
        if _LABEL not in bytes(item):
            continue
        turn = _ANY.decode(item)
        if isinstance(turn, dict) and turn.get("role") in _SYSTEM:
            yield from _texts(turn.get("content"))


def _texts(value: Any) -> Iterator[str]:
    """The text itself, or those of its parts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            text = part.get("text") if isinstance(part, dict) else None
            if isinstance(text, str):
                yield text
