"""The fast lanes of pass-through: chunks of ordinary events go on without being taken apart.

A lane counts in a chunk of whole events what it knows of ordinary ones (how they begin or end), and how
many line ends there are. If every event and every line is accounted for, nothing in the chunk needs
attention, and it goes on as it is or with one substitution. If anything is not, the lane says so, each
event is looked at, and the lane learns how this stream's ordinary events look. A few scans of the
chunk cost a tenth of taking its events apart.
"""

from __future__ import annotations

import re
from typing import Protocol

import msgspec

from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS, GEMINI, RESPONSES


class Lane(Protocol):
    """One stream's fast lane."""

    def forward(self, whole: bytes) -> bytes | None:
        """What goes to the client for these whole events; ``None``: each must be looked at."""
        ...

    def learn(self, block: bytes, out: bytes) -> None:
        """This event (without its blank line) needed nothing but perhaps the other model name."""
        ...


#: How every event ends whose data is an object; half of one is not to pass.
_END = b"}\n\n"


class NamedLane:
    """For dialects whose deltas hold nothing to rewrite and are told by their ``event`` line."""

    __slots__ = ("_kind", "_next", "_prefix")

    def __init__(self, kind: re.Pattern[bytes]) -> None:
        self._kind = kind
        self._prefix = b""
        self._next = b""

    def forward(self, whole: bytes) -> bytes | None:
        """See :meth:`Lane.forward`."""
        # Every event begins with the two lines that deltas begin with, and has no third.
        if not self._prefix or not whole.startswith(self._prefix) or not whole.endswith(_END):
            return None
        count = whole.count(self._next) + 1
        return whole if whole.count(b"\n") == 3 * count else None

    def learn(self, block: bytes, out: bytes) -> None:
        """See :meth:`Lane.learn`."""
        match = self._kind.match(block)
        if match is not None:
            self._prefix = match.group()
            self._next = _END + self._prefix


_DATA = b"data: {"
_NEXT_DATA = b"\n\ndata: {"
_NEXT = b"}" + _NEXT_DATA

#: The beginning of an event up to its model, at depth one: no bracket lies between. An unescaped quote
#: before ``model`` can only open a member's name, so this cannot lie within a string.
_HEAD = re.compile(rb'data: \{[^{}\[\]\n]*?(?P<name>"model": ?)(?P<value>"[^"\\\n]*")')


class ChatLane:
    """For chunks that all hold the model's name, before any bracket.

    First by the exact bytes up to it, which are the same in all chunks of most streams; where they are
    not (a time, an id of its own), by the member's own bytes and what stands before them.

    :param model: the asked name, or empty if nothing is rewritten.
    """

    __slots__ = ("_anchor", "_ends", "_head", "_model", "_new", "_old")

    def __init__(self, model: str) -> None:
        self._model = msgspec.json.encode(model) if model else b""
        self._anchor = b""
        self._ends = False
        self._head = b""
        self._old = b""
        self._new = b""

    def forward(self, whole: bytes) -> bytes | None:
        """See :meth:`Lane.forward`."""
        if not self._anchor or not whole.startswith(_DATA):
            return None
        lines = whole.count(b"\n")
        # The anchor is the mark of a choice that did not end. Tool calls need attention unless they are
        # mere pieces of arguments, numbered.
        if 2 * whole.count(self._anchor) != lines or not (self._ends or 2 * whole.count(_END) == lines):
            return None
        calls = whole.count(b'"tool_calls"')
        if calls and (calls != whole.count(b'"tool_calls":[{"index":') or b'"name"' in whole):
            return None
        if not self._model:
            return whole if 2 * whole.count(_NEXT_DATA) == lines - 2 else None
        if self._new == self._old:
            return whole if 2 * whole.count(self._old) == lines else None
        # One such member an event, and each within a beginning that is known, or else shown to be one.
        pieces = whole.split(self._old)
        if 2 * len(pieces) != lines + 2:
            return None
        if 2 * whole.count(self._head) != lines and not (
            _at_top(b"\n\n" + pieces[0]) and all(map(_at_top, pieces[1:-1]))
        ):
            return None
        return self._new.join(pieces)

    def learn(self, block: bytes, out: bytes) -> None:
        """See :meth:`Lane.learn`."""
        anchor = _ANCHOR.search(block)
        if anchor is None:
            return
        if self._model:
            head = _HEAD.match(block)
            if head is None:
                return
            new = head["name"] + self._model
            if block[: head.start("name")] + new + block[head.end() :] != out:
                return
            self._head, self._old, self._new = head.group(), head["name"] + head["value"], new
        self._anchor = anchor.group()
        # Mostly nothing follows it: then the end of the event need not be counted apart.
        self._ends = block.endswith(self._anchor + b"}")
        if self._ends:
            self._anchor += _END


def _at_top(piece: bytes) -> bool:
    """Whether what ends here began a line of data and opened no bracket since."""
    at = piece.rfind(b"{")
    if piece[at - 8 : at + 1] != _NEXT_DATA:
        return False
    return piece.find(b"}", at) < 0 and piece.find(b"[", at) < 0 and piece.find(b"]", at) < 0


#: Closes the list of choices, so that no event has it twice.
_ANCHOR = re.compile(rb'"finish_reason": ?null(?:, ?"[a-z_]+": ?null)*\}\]')

_CALLS = (b'"finishReason"', b'"functionCall"', b'"promptFeedback"')
_ENDS = (b'"finishReason"', b'"promptFeedback"', b'"error"')


class GeminiLane:
    """For events that all end with the model's name, behind the last inner bracket.

    :param model: the asked name, or empty if nothing is rewritten.
    """

    __slots__ = ("_model", "_new", "_old", "_ready", "_stops", "_tail")

    def __init__(self, model: str) -> None:
        self._model = msgspec.json.encode(model) if model else b""
        self._stops = _CALLS if model else _ENDS
        self._old = b""
        self._new = b""
        self._tail = b""
        self._ready = False

    def forward(self, whole: bytes) -> bytes | None:
        """See :meth:`Lane.forward`."""
        if not self._ready or not whole.startswith(_DATA):
            return None
        lines = whole.count(b"\n")
        for stop in self._stops:
            if stop in whole:
                return None
        if not self._model:
            return whole if 2 * whole.count(_NEXT) == lines - 2 and whole.endswith(_END) else None
        if self._new == self._old:
            return whole if 2 * whole.count(self._old) == lines == 2 * whole.count(_END) else None
        # One such member an event, and each within an end that is known.
        pieces = whole.split(self._old)
        if 2 * len(pieces) != lines + 2 or 2 * whole.count(self._tail) != lines:
            return None
        return self._new.join(pieces)

    def learn(self, block: bytes, out: bytes) -> None:
        """See :meth:`Lane.learn`."""
        if any(stop in block for stop in self._stops):
            return
        if self._model:
            tail = block[max(block.rfind(b"}", 0, -1), block.rfind(b"]", 0, -1)) :]
            match = _VERSION.search(tail)
            if match is None:
                return
            new = match["name"] + self._model
            if block[: -len(tail)] + tail[: match.start()] + new + tail[match.end() :] != out:
                return
            self._tail, self._old, self._new = tail + b"\n\n", match.group(), new
        self._ready = True


_VERSION = re.compile(rb'(?<!\\)(?P<name>"modelVersion": ?)"[^"\\\n]*"')


class NoLane:
    """For dialects without one: every event is looked at."""

    def forward(self, whole: bytes) -> bytes | None:
        """See :meth:`Lane.forward`."""
        return None

    def learn(self, block: bytes, out: bytes) -> None:
        """See :meth:`Lane.learn`."""


_ANTHROPIC_DELTA = re.compile(rb"event: content_block_delta\ndata: \{")
_RESPONSES_DELTA = re.compile(rb"event: response\.[a-z_.]+\.delta\ndata: \{")


def lane(dialect: str, model: str) -> Lane:
    """A fast lane for one stream. ``model``: the asked name, empty if nothing is to be rewritten."""
    if dialect == ANTHROPIC:
        return NamedLane(_ANTHROPIC_DELTA)
    if dialect == RESPONSES:
        return NamedLane(_RESPONSES_DELTA)
    if dialect in (CHAT, COMPLETIONS):
        return ChatLane(model)
    return GeminiLane(model) if dialect == GEMINI else NoLane()
