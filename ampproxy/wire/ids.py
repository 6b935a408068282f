"""Unguessable ids, made many at a time: a call of the system for each costs more than all else about it."""

from __future__ import annotations

import os
from collections.abc import Callable

#: So many are made at once, each of so many bytes: as many as a UUID's.
_BATCH, _SIZE = 256, 16


class Ids:
    """Makes ids, each once, in any thread.

    :param random: gives so many random bytes; must be fit for secrets.
    """

    def __init__(self, random: Callable[[int], bytes] = os.urandom) -> None:
        self._random = random
        self._ready: list[str] = []

    def __call__(self, prefix: str) -> str:
        """The prefix and 32 hexadecimal digits."""
        try:
            # One step of the interpreter: no two threads are given the same.
            return prefix + self._ready.pop()
        except IndexError:
            return prefix + self._more()

    def _more(self) -> str:
        digits = self._random(_BATCH * _SIZE).hex()
        made = [digits[at : at + 2 * _SIZE] for at in range(0, len(digits), 2 * _SIZE)]
        first = made.pop()
        self._ready.extend(made)
        return first
