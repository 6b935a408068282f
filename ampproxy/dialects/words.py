"""Tables of words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def by_word(words: Mapping[T, str]) -> dict[str, T]:
    """What each word means.

    :param words: a meaning -> its words, with blanks between them.
    """
    return {word: meaning for meaning, listed in words.items() for word in listed.split()}
