"""The calls of a stream while they come: their pieces on the wire, and what is known of each so far."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from ampproxy.dialects.ends import is_cut_off
from ampproxy.dialects.json import NULL, is_object, loads, text_of
from ampproxy.dialects.openai_chat.messages_in import arguments_text
from ampproxy.dialects.openai_chat.thought_state import proof_beside
from ampproxy.model.base import Json
from ampproxy.model.parts import Signature

_OUTSIDE: Final = re.compile(r'["{}\[\]]')
_IN_STRING: Final = re.compile(r'["\\]')


class FunctionDelta(msgspec.Struct):
    """A piece of a function's call."""

    name: str | None = None
    arguments: Json = NULL
    provider_specific_fields: Json = NULL


class _CustomDelta(msgspec.Struct):
    name: str | None = None
    input: str | None = None


class CallDelta(msgspec.Struct):
    """A piece of one of ``tool_calls``.

    :ivar name: of a function, from servers that leave ``function`` out; likewise ``arguments``.
    """

    index: int | float | str | None = None
    id: str | int | None = None
    function: FunctionDelta | None = None
    custom: _CustomDelta | None = None
    extra_content: Json = NULL
    provider_specific_fields: Json = NULL
    name: str | None = None
    arguments: Json = NULL

    def proof(self) -> Signature | None:
        """The proof that stands beside the call."""
        extra, own = self.extra_content, self.provider_specific_fields
        inner = NULL if self.function is None else self.function.provider_specific_fields
        if extra is own is inner is NULL:
            return None
        fields = "provider_specific_fields"
        return proof_beside((("extra_content", extra), (fields, own), (fields, inner)))

    def known(self) -> tuple[int | None, str | None]:
        """The number and the id, however they are written."""
        index, id_ = self.index, self.id
        if type(index) is not int and index is not None:
            text = str(index).removesuffix(".0")
            index = int(text) if text.isdecimal() else None
        return index, None if id_ is None else str(id_)


class Brackets:
    """Follows the brackets of a text, each piece of which is looked at once."""

    __slots__ = ("_any", "_depth", "_escaped", "_in_string", "_seen")

    def __init__(self) -> None:
        self._seen = self._depth = 0
        self._any = self._in_string = self._escaped = False

    def closed(self, pieces: Sequence[str]) -> bool:
        """Whether there are brackets in the text, and all of them are closed.

        :param pieces: those of the time before, and what came since.
        """
        for number in range(self._seen, len(pieces)):
            self._take(pieces[number])
        self._seen = len(pieces)
        return self._any and not self._depth and not self._in_string

    def _take(self, piece: str) -> None:
        at = int(self._escaped and bool(piece))
        self._escaped = self._escaped and not piece
        while found := (_IN_STRING if self._in_string else _OUTSIDE).search(piece, at):
            at, mark = found.end(), found.group()
            if mark == '"':
                self._in_string = not self._in_string
            elif mark == "\\":
                at += 1
                self._escaped = at > len(piece)
            else:
                self._any = True
                self._depth += 1 if mark in "{[" else -1


class Call(msgspec.Struct):
    """A call while it comes.

    :ivar part: its part's number; below zero until its name is known.
    :ivar given: the id that the server gave.
    :ivar pieces: the arguments so far: to see whether they came, and whether they are whole.
    :ivar begun: whether any came, be they none.
    """

    number: int
    name: str = ""
    part: int = -1
    given: str | None = None
    freeform: bool = False
    closed: bool = False
    #: Whether the arguments are a JSON text within a JSON text, which shows when they are whole.
    encoded: bool = False
    signature: Signature | None = None
    pieces: list[str] = []
    begun: bool = False
    _brackets: Brackets = msgspec.field(default_factory=Brackets)
    _broken: bool = False

    def repeats(self, piece: str) -> bool:
        """Whether a piece adds nothing: no arguments before any came, or all of them once more, from servers
        that end a call with the whole of it.
        """
        if not self.pieces:
            return piece == "{}" and not self.freeform
        return piece[:1] == "{" and self.whole() and piece.strip() == "".join(self.pieces).strip()

    def is_followed(self, piece: str) -> bool:
        """Whether a piece begins another call of the same tool: no object goes on with one."""
        return piece[:1] == "{" and bool(self.name) and self.whole() and not self.repeats(piece)

    def whole(self) -> bool:
        """Whether the arguments so far are a JSON object.

        Closed brackets make them one at once or never, so that the text is put together once.
        """
        if self._broken or not self._brackets.closed(self.pieces):
            return False
        self._broken = not is_object("".join(self.pieces))
        return not self._broken

    def cut(self) -> bool:
        """Whether the arguments are the beginning of an object."""
        return not self.freeform and is_cut_off("".join(self.pieces))

    def rest(self) -> str:
        """What of the arguments goes to the client when they are whole."""
        text = "".join(self.pieces)
        if self.encoded:
            inner = loads(text.encode("utf-8", "replace"))
            return inner if isinstance(inner, str) and is_object(inner) else text
        return "" if self.freeform or text.strip() else "{}"


def arguments_of(wire: CallDelta) -> str:
    """What a piece adds to the arguments; some servers write them as an object."""
    if wire.custom is not None:
        return wire.custom.input or ""
    if wire.function is None or wire.function.arguments is NULL:
        return ""
    raw = wire.function.arguments
    text = text_of(raw)
    if text is not None:
        return text
    return "" if raw == NULL else arguments_text(raw)


def is_cut(call: Call) -> bool:
    """Whether the arguments of a call are the beginning of something."""
    text = "".join(call.pieces)
    return not call.freeform and bool(text.strip()) and not is_object(text)


def begins_another(call: Call, id_: str | None, name: str | None, piece: str) -> bool:
    """Whether a piece under a known call's index is another call: it has another id, it names another tool
    where both have arguments, or it repeats a name after arguments that are whole (servers that leave the
    index at 0 for every call).
    """
    if not name or not call.name:
        return False
    if piece and call.begun and name != call.name:
        return True
    if id_ and call.given:
        return id_ != call.given
    return call.whole()
