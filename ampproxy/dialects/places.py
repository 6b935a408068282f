"""Finds places for parts that travelled apart from where they belong, and calls for results without ids."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from ampproxy.dialects.proof import Place
from ampproxy.model.parts import Image, Part, Reasoning, Text, ToolCall

#: Where a carried proof belongs, and whether that part stands after its carrier.
_HOMES: Final[dict[str, tuple[type[ToolCall | Text | Image], bool]]] = {
    "call": (ToolCall, True),
    "text": (Text, False),
    "image": (Image, False),
}


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


class Carrier(Reasoning, frozen=True):
    """A proof on its way to the part that it sat on, in thinking of its own."""

    place: Place = "call"


def carried(part: Reasoning, place: Place) -> Reasoning:
    """Thinking of a client's, as the carrier that it is where its proof sat on something else."""
    return part if place not in _HOMES else Carrier(**msgspec.structs.asdict(part), place=place)


def settle(parts: Sequence[Part]) -> list[Part]:
    """Put carried proofs back onto their parts: Gemini's on the call after or the text before the
    carrier. One whose part is gone is dropped: its vendor would refuse it anywhere else.
    """
    if not any(isinstance(part, Carrier) for part in parts):
        return list(parts)
    found = list(parts)
    unproven = [(at, part) for at, part in enumerate(parts) if getattr(part, "signature", 0) is None]
    free = {
        kind: Places([at for at, part in unproven if isinstance(part, kind)]) for kind, _ in _HOMES.values()
    }
    for at, carrier in enumerate(parts):
        if isinstance(carrier, Carrier):
            kind, after = _HOMES[carrier.place]
            places = free[kind]
            # The nearest part on the side on which it belongs, else on the other.
            first, second = (places.after, places.before) if after else (places.before, places.after)
            if (home := first(at)) is not None or (home := second(at)) is not None:
                found[home] = replace(found[home], signature=carrier.signature)
    return [part for part in found if not isinstance(part, Carrier)]


class Waiting(msgspec.Struct):
    """Calls in their order, each of which is answered once."""

    _calls: list[ToolCall] = []
    #: The numbers of the calls: of an id, of a name, and all. Those that another way has found since are
    #: dropped when they come up.
    _numbers: dict[tuple[str, str] | None, deque[int]] = {}
    _answered: set[int] = set()

    def add(self, call: ToolCall) -> None:
        """One more call."""
        for key in (("id", call.id), ("name", call.name), None):
            self._numbers.setdefault(key, deque()).append(len(self._calls))
        self._calls.append(call)

    def take(self, id: str | None, name: str | None) -> ToolCall | None:
        """The first call of an id, else of a name, else of all; ``None``: none of these waits."""
        numbers = self._numbers.get(("id", id) if id else ("name", name) if name else None)
        while numbers:
            number = numbers.popleft()
            if number not in self._answered:
                self._answered.add(number)
                return self._calls[number]
        return None
