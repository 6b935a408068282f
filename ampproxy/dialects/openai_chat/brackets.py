"""Whether a JSON text that comes in pieces is whole yet."""

from __future__ import annotations

import re
from collections.abc import Sequence

_OUTSIDE = re.compile(r'["{}\[\]]')
_IN_STRING = re.compile(r'["\\]')


class Brackets:
    """Follows the brackets of a text, each piece of which is looked at once."""

    __slots__ = ("_any", "_depth", "_escaped", "_in_string", "_seen")

    def __init__(self) -> None:
        self._seen = 0
        self._depth = 0
        self._any = False
        self._in_string = False
        self._escaped = False

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
