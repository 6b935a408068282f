"""A JSON list that grows: how some of Gemini's clients get a stream."""

from __future__ import annotations

import re
from collections.abc import Callable

from ampproxy.errors import UnreadableAnswer
from ampproxy.wire.pieces import add
from ampproxy.wire.sse import EventTooLargeError


class GrowingList:
    """A JSON list that is streamed: elements pass as they are complete, what is between them as it is.

    :param element: gives an element's text as the client should see it.
    :ivar closed: the list's own bracket was closed.
    """

    __slots__ = (
        "_depth",
        "_element",
        "_escaped",
        "_held",
        "_in_string",
        "_limit",
        "_size",
        "_some",
        "closed",
    )

    def __init__(self, element: Callable[[bytes], bytes], limit: int) -> None:
        self._element = element
        self._limit = limit
        self._held: list[bytes] = []
        self._size = 0
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._some = False
        self.closed = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes, split anywhere; give those that are not part of an unfinished element."""
        out: list[bytes] = []
        start = at = 0
        while (found := self._next(data, at)) is not None:
            at = found.end()
            mark = found.group()
            if mark in b"{[":
                self._depth += 1
                if self._depth == 2:
                    out.append(self._gap(data[start : at - 1]))
                    start = at - 1
            elif mark in b"}]":
                self._depth -= 1
                if self._depth == 1:
                    self._some = True
                    out.append(self._element(b"".join((*self._held, data[start:at]))))
                    self._held, self._size, start = [], 0, at
                elif self._depth == 0:
                    self.closed = True
        if self._depth < 2:
            out.append(self._gap(data[start:]))
        else:
            self._hold(data[start:])
        return b"".join(out)

    def last(self, element: bytes) -> bytes:
        """One more element, and the end of the list; what was held of another is dropped."""
        if self.closed:
            return b""
        self.closed = True
        return (b",\n" if self._some else b"") + element + b"]"

    def _gap(self, data: bytes) -> bytes:
        """What stands between two elements.

        :raises UnreadableAnswer: it is more than that.
        """
        if data.strip(_BETWEEN):
            raise UnreadableAnswer("The model's server sent what is no element of its list of events.")
        return data

    def _next(self, data: bytes, at: int) -> re.Match[bytes] | None:
        """The next bracket outside of strings."""
        while True:
            if self._escaped:
                if at >= len(data):
                    return None
                self._escaped = False
                at += 1
            found = (_IN_STRING if self._in_string else _OUTSIDE).search(data, at)
            if found is None:
                return None
            at = found.end()
            mark = found.group()
            if mark == b"\\":
                self._escaped = True
            elif mark == b'"':
                self._in_string = not self._in_string
            else:
                return found

    def _hold(self, data: bytes) -> None:
        add(self._held, data)
        self._size += len(data)
        if self._size > self._limit:
            raise EventTooLargeError(f"An element of the list is larger than {self._limit} bytes.")


_BETWEEN = b" \t\r\n,[]\xef\xbb\xbf"
_OUTSIDE = re.compile(rb'["{}\[\]]')
_IN_STRING = re.compile(rb'["\\]')
