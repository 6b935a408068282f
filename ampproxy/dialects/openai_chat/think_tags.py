"""Thinking that a server writes into the content, between ``<think>`` tags.

Servers without a reader for a model's template (vLLM, llama.cpp, MiniMax) leave the tags in. Only tags that
an answer begins with are taken for thinking: text that mentions them stays as it is.
"""

from __future__ import annotations

import re
from typing import Final

_OPEN: Final = "<think>"
_CLOSE: Final = "</think>"
#: What may follow the tag where it is one: a line end, or a word. A sentence about the tag goes on with a
#: blank and a small letter, or with a mark.
_THINKS: Final = re.compile(r"\s*<think>(?=[\n\r]|\w| [^\Wa-z_])")
#: Blanks before the tag; what is longer is an answer that begins with blanks.
_MAX_START_CHARS: Final = 64

#: ``("text" | "reasoning", words)``.
Piece = tuple[str, str]


class ThinkTags:
    """Takes the content of one answer in pieces; gives what of it is thinking and what is text.

    However the content is cut into pieces, the words are the same. Line ends next to the tags are left out.

    :ivar settled: what comes from here on is text, whatever stands in it.
    """

    __slots__ = ("_closed", "_held", "_opened", "_thought", "settled")

    def __init__(self) -> None:
        self.settled = False
        self._held = ""
        self._opened = False
        #: Some of the thinking was given, so that line ends belong to it.
        self._thought = False
        self._closed = False

    def feed(self, words: str) -> list[Piece]:
        """The next piece of the content."""
        if self.settled:
            return [("text", words)] if words else []
        self._held += words
        if not self._opened:
            if _may_open(self._held):
                return []
            found = _THINKS.match(self._held)
            if found is None:
                return self.end()
            self._held, self._opened = self._held[found.end() :], True
        thoughts = [] if self._closed else self._think()
        return [*thoughts, *self._behind()] if self._closed else thoughts

    def end(self) -> list[Piece]:
        """Nothing more is thinking: what was held back until it was clear what it is."""
        held, self._held, self.settled = self._held, "", True
        return [("reasoning" if self._opened and not self._closed else "text", held)] if held else []

    def _think(self) -> list[Piece]:
        """More thinking, but for what may belong to the tag that ends it."""
        held = self._held if self._thought else self._held.lstrip("\r\n")
        words, found, rest = held.partition(_CLOSE)
        if found:
            self._closed, self._held = True, rest
            words = words.removesuffix("\n")
        else:
            kept = _kept(words)
            words, self._held = words[: len(words) - kept], words[len(words) - kept :]
        self._thought = self._thought or bool(words)
        return [("reasoning", words)] if words else []

    def _behind(self) -> list[Piece]:
        """The text behind the thinking, once it begins."""
        self._held = self._held.lstrip("\r\n")
        return self.end() if self._held else []


def _may_open(text: str) -> bool:
    """Whether the next piece may make the beginning of an answer a tag."""
    start = text.lstrip()
    if len(text) - len(start) > _MAX_START_CHARS:
        return False
    return _OPEN.startswith(start) or start == _OPEN + " "


def _kept(words: str) -> int:
    """How many characters at the end may belong to the closing tag, with the line end before it."""
    size = next((n for n in range(len(_CLOSE) - 1, 0, -1) if words.endswith(_CLOSE[:n])), 0)
    return size + words.endswith("\n", 0, len(words) - size)
