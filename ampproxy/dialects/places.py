"""Finds places for parts that travelled apart from where they belong."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence


class Places:
    """Places in a row, each of which is given once, to whoever asks for the nearest free one.

    A request is answered in next to no time however many places near it are taken: runs of taken ones
    are stepped over at once (union-find with path halving).

    :param places: ascending.
    """

    __slots__ = ("_earlier", "_later", "_places")

    def __init__(self, places: Sequence[int]) -> None:
        self._places = places
        #: Number of a place -> itself while it is free, else one towards the next free place. The last
        #: number here, and 0 among the earlier ones (numbers from 1), stand for none.
        self._later = list(range(len(places) + 1))
        self._earlier = list(range(len(places) + 1))

    def after(self, at: int) -> int | None:
        """Take the first free place after ``at``."""
        number = _root(self._later, bisect_right(self._places, at))
        return self._take(number) if number < len(self._places) else None

    def before(self, at: int) -> int | None:
        """Take the last free place before ``at``."""
        number = _root(self._earlier, bisect_left(self._places, at))
        return self._take(number - 1) if number else None

    def _take(self, number: int) -> int:
        self._later[number] = number + 1
        self._earlier[number + 1] = number
        return self._places[number]


def _root(links: list[int], number: int) -> int:
    while links[number] != number:
        links[number] = links[links[number]]
        number = links[number]
    return number
