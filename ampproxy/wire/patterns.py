"""Regular expressions that the user wrote, matched in bounded time.

Python's own module cannot be stopped: ``(a+)+b`` and a name of thirty letters take it minutes, and nobody
else is served meanwhile. The ``regex`` module reads the same patterns and takes a deadline.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Protocol

from ampproxy.wire.late import LatePattern

#: Seconds of the processor that all patterns together may take for one text.
BUDGET = 0.02


class Pattern(Protocol):
    """What is used of a pattern of ``regex``, which has no types."""

    def search(self, text: str, *, timeout: float) -> object | None:
        """The first match, or ``None``. Raises ``TimeoutError``."""


def compiled(source: str) -> Pattern:
    """The pattern, in any case.

    :raises ValueError: it is none.
    """
    # Not at the top: few configurations have one.
    import regex

    try:
        pattern: Pattern = regex.compile(source, regex.IGNORECASE)
    except (regex.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return pattern


def found(pattern: Pattern, text: str, seconds: float = BUDGET) -> bool:
    """Whether it matches anywhere.

    :param seconds: of the processor, above 0.
    :raises TimeoutError: nobody knows: it took longer.
    """
    return pattern.search(text, timeout=seconds) is not None


def slow_text(source: str, longest: int) -> str:
    """A text for which a pattern takes longer than :data:`BUDGET`, if one is found; else empty.

    Tried are the pattern's own words and some letters, over and over: that is what a pattern with repeats
    within repeats is slow for.

    :param source: of a pattern that :func:`compiled` takes.
    :param longest: characters that a text has at the most.
    """
    # One repeat without a choice takes time by the square of the length at the most, which is nothing here.
    if sum(map(source.count, "*+{?|")) < 2:
        return ""
    pattern = compiled(source)
    for text in _texts(source, longest):
        try:
            found(pattern, text)
        except TimeoutError:
            return text
    return ""


_FILLERS = ("a", "0", "-", ".", "a-", "a0", "ab", "A.", "/", " ", ",")
_ENDS = ("", "!", "\n")
_NO_LITERAL = LatePattern(r"\\[a-zA-Z]|\(\?[:=!<#P]*|\{[0-9,]*\}|[][()|?*+^$.\\]")


def _texts(source: str, longest: int) -> Iterator[str]:
    words = [word for word in dict.fromkeys(_NO_LITERAL.split(source)) if word][:8]
    for piece, end in itertools.product((*words, *_FILLERS), _ENDS):
        yield (piece * (longest // len(piece) + 1))[: longest - len(end)] + end
    for word, piece in itertools.product(words, _FILLERS):
        yield (word + piece * longest)[: longest - 1] + "!"
        # What a pattern ends with is looked for first: a text without it would cost nothing.
        tail = (word + words[-1])[: longest // 2] + "!"
        yield (piece * longest)[: longest - len(tail)] + tail
