"""Thinking that a server writes into the content, between ``<think>`` tags.

Servers without a reader for a model's template (vLLM, llama.cpp, MiniMax) leave the tags in. Only tags that
an answer begins with are taken for thinking: text that mentions them stays as it is.

Templates that open the thought in the prompt (Qwen, DeepSeek, GLM) leave only the tag that ends it. In a
text that is there at once, one that ends a line shows what stands before it. In a stream that is known too
late, and nothing is held back for it: in the first answer of a model that thinks it is text. What came of it
holds for the next ones, whose beginning is thinking from the first word. If the tag then never comes, the
words are sent once more as text.
"""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

from ampproxy.dialects.base import Opening

_CLOSE: Final = "</think>"
#: What begins a thought -> what ends it: as most models write it, Magistral, Seed-OSS, Kimi-VL.
_TAGS: Final = {
    "<think>": _CLOSE,
    "[THINK]": "[/THINK]",
    "<seed:think>": "</seed:think>",
    "◁think▷": "◁/think▷",
}
#: What may follow the tag where it is one: a line end, or a word. A sentence about the tag goes on with a
#: blank and a small letter, or with a mark.
_THINKS: Final = re.compile(rf"\s*({'|'.join(map(re.escape, _TAGS))})(?=[\n\r]|\w| [^\Wa-z_])")
#: The tag that ends a thought alone, where it is one: it ends a line, or a sentence before another, and no
#: code; and at the end of a text.
_LONE: Final = re.compile(r"(?<![`'\"])</think>[ \t]*(?=[\r\n])|(?<=[\n.!?。])</think>(?=[^\s`'\"])")
_LAST: Final = re.compile(r"(?<![`'\"])</think>\s*\Z")
_CODE: Final = "```"
#: So much of a first answer is looked through for that tag, and so often where it is mentioned.
_MAX_WATCHED_CHARS: Final = 64 * 1024
_MAX_LOOKS: Final = 8
#: More than the tag, and what has to follow it.
_NEAR_CHARS: Final = 16
#: Blanks before the tag; what is longer is an answer that begins with blanks.
_MAX_START_CHARS: Final = 64

#: What some words are, and they.
Piece: TypeAlias = tuple[Literal["text", "reasoning"], str]


class ThinkTags:
    """Takes the content of one answer in pieces; gives what of it is thinking and what is text.

    However the content is cut into pieces, the words are the same. Line ends next to the tags are left out.

    :param opening: how the model's thinking was seen to begin, and is from here on; ``None``: it is no model
        that is known to think.
    :ivar settled: what comes from here on is text, whatever stands in it.
    """

    __slots__ = (
        *("_close", "_closed", "_held", "_opened", "_opening"),
        *("_supposed", "_thought", "_watched", "settled"),
    )

    def __init__(self, opening: Opening | None = None) -> None:
        self._opening = opening
        #: What was given as thinking without a tag that says so.
        self._supposed: list[str] | None = None
        self._watched: _Watched | None = None
        self._held, self._close = "", _CLOSE
        #: Of these the second: some of the thinking was given, so that line ends belong to it.
        self._opened = self._thought = self._closed = self.settled = False

    def feed(self, words: str) -> list[Piece]:
        """The next piece of the content."""
        if self.settled:
            return [("text", words)] if words else []
        if self._watched is not None:
            return self._watch(self._watched, words)
        self._held += words
        if not self._opened:
            if _may_open(self._held):
                return []
            found = _THINKS.match(self._held)
            if found is not None:
                self._held, self._opened = self._held[found.end() :], True
                self._close = _TAGS[found[1]]
                self._note(unmarked=False)
            elif _CLOSE in self._held and (lone := _lone(self._held, _LONE)) is not None:
                return [*self._before(lone), *self._behind()]
            elif self._opening is None or self._opening.unmarked is False:
                return self.end()
            elif self._opening.unmarked:
                self._opened, self._supposed = True, []
            else:
                self._watched, words, self._held = _Watched(), self._held, ""
                return self._watch(self._watched, words)
        thoughts = [] if self._closed else self._think()
        return [*thoughts, *self._behind()] if self._closed else thoughts

    def end(self, *, cut: bool = False) -> list[Piece]:
        """Nothing more is thinking: what was held back until it was clear what it is.

        :param cut: the answer was cut off, so that its thinking may lack its end.
        """
        self.settled = True
        if self._watched is not None:
            if not cut:
                self._note(unmarked=self._watched.ends_so())
            return []
        if not self._opened:
            if _CLOSE in self._held and (last := _lone(self._held, _LAST)) is not None:
                return self._before(last)
            self._note(unmarked=False)
        held, self._held = self._held, ""
        if self._supposed is not None and not cut:
            self._note(unmarked=False)
            held = "".join(self._supposed) + held
        elif self._opened and not self._closed:
            return [("reasoning", held)] if held else []
        return [("text", held)] if held else []

    def _before(self, end: re.Match[str]) -> list[Piece]:
        """The thinking before the tag that ends it, which no tag began."""
        words, self._held = self._held[: end.start()].strip("\r\n"), self._held[end.end() :]
        self._opened = self._closed = True
        self._note(unmarked=True)
        return [("reasoning", words)] if words else []

    def _note(self, *, unmarked: bool) -> None:
        if self._opening is not None:
            self._opening.unmarked = unmarked

    def _watch(self, watched: _Watched, words: str) -> list[Piece]:
        unmarked = watched.take(words)
        if unmarked is not None:
            self._note(unmarked=unmarked)
            self.settled = True
        return [("text", words)] if words else []

    def _think(self) -> list[Piece]:
        """More thinking, but for what may belong to the tag that ends it."""
        held = self._held if self._thought else self._held.lstrip("\r\n")
        words, found, rest = held.partition(self._close)
        if found:
            self._closed, self._held, self._supposed = True, rest, None
            words = words.removesuffix("\n")
        else:
            kept = _kept(words, self._close)
            words, self._held = words[: len(words) - kept], words[len(words) - kept :]
        self._thought = self._thought or bool(words)
        if self._supposed is not None:
            self._supposed.append(words)
        return [("reasoning", words)] if words else []

    def _behind(self) -> list[Piece]:
        """The text behind the thinking, once it begins."""
        self._held = self._held.lstrip("\r\n")
        return self.end() if self._held else []


class _Watched:
    """The text of a first answer, which goes on as it comes, and shows how the next ones are to be read."""

    __slots__ = ("_looks", "_near", "_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._size = self._looks = 0
        self._near = ""

    def take(self, words: str) -> bool | None:
        """Whether a tag that none opened ended a thought in it; ``None``: that is not known yet."""
        self._pieces.append(words)
        self._size += len(words)
        near = self._near + words
        self._near = near[-_NEAR_CHARS:]
        if _CLOSE in near:
            self._looks += 1
            if _lone("".join(self._pieces), _LONE) is not None:
                return True
        return False if self._size >= _MAX_WATCHED_CHARS or self._looks >= _MAX_LOOKS else None

    def ends_so(self) -> bool:
        """Whether the tag is the last of it."""
        return _lone("".join(self._pieces), _LAST) is not None


def _lone(text: str, pattern: re.Pattern[str]) -> re.Match[str] | None:
    """The tag that ends a thought which no tag began."""
    if _CLOSE not in text:
        return None
    found = pattern.search(text)
    return found if found is not None and text.count(_CODE, 0, found.start()) % 2 == 0 else None


def _may_open(text: str) -> bool:
    """Whether the next piece may make the beginning of an answer a tag."""
    start = text.lstrip()
    if len(text) - len(start) > _MAX_START_CHARS:
        return False
    bare = start.rstrip(" ")
    opens = any(tag.startswith(start) or start == tag + " " for tag in _TAGS)
    return opens or (len(start) > 1 and _CLOSE.startswith(bare))


def _kept(words: str, close: str) -> int:
    """How many characters at the end may belong to the closing tag, with the line end before it."""
    size = next((n for n in range(len(close) - 1, 0, -1) if words.endswith(close[:n])), 0)
    return size + words.endswith("\n", 0, len(words) - size)
