"""Names with wildcards."""

from __future__ import annotations


def matches_wildcard(pattern: str, text: str) -> bool:
    """Whether ``text`` is ``pattern``, whose every ``*`` stands for any text. Takes time linear in both."""
    first, *others = pattern.split("*")
    if not others:
        return text == pattern
    last = others.pop()
    at, end = len(first), len(text) - len(last)
    if at > end or not (text.startswith(first) and text.endswith(last)):
        return False
    for piece in others:
        at = text.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True
