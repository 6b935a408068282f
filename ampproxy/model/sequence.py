"""Puts the parts of a stream one after the other, for dialects whose parts may not overlap."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from ampproxy.model.events import (
    Completed,
    Delta,
    Event,
    Finished,
    PartClosed,
    PartExtras,
    PartSigned,
    PartStarted,
    SectionBreak,
)

_OF_PART = (Delta, SectionBreak, PartSigned, PartExtras, PartClosed)


class Sequencer:
    """Reorders events so that no two parts are open at once, and numbers the parts 0, 1, 2, ...

    A part that opens while another is open is held back, with everything that belongs to it, until
    the open one closes; parts come out in the order in which they opened. ``Finished`` and
    ``Completed`` close what is open and let go what is held. A proof or extras that arrive after
    their part was closed are given with the part's number; what to do with them is the renderer's.

    Only the parts and the end of the first candidate pass: the dialects that need this have no others.

    :ivar straight: the part whose deltas pass as they came, without a call of :meth:`feed`; below 0: none.
    :ivar ignored: the numbers of the candidates that were left out, so that the loss can be told.
    """

    __slots__ = ("_count", "_held", "_numbers", "_open", "ignored", "straight")

    def __init__(self) -> None:
        self._open = -1
        self._count = 0
        #: The part's number as it came -> as it goes out; absent for held and foreign parts.
        self._numbers: dict[int, int] = {}
        self.straight = -1
        self._held: OrderedDict[int, list[Event]] = OrderedDict()
        self.ignored: set[int] = set()

    def feed(self, events: Sequence[Event]) -> Sequence[Event]:
        """Take the next events; give those that may be said now, in order."""
        out: list[Event] = []
        for event in events:
            # The common case first: the open part goes on and nothing was renumbered.
            if type(event) is Delta and event.index == self.straight:
                out.append(event)
            elif isinstance(event, PartStarted):
                self._opened(event, out)
            elif isinstance(event, _OF_PART):
                self._of_part(event, out)
            else:
                self._other(event, out)
        return out

    def _opened(self, event: PartStarted, out: list[Event]) -> None:
        if event.choice:
            self.ignored.add(event.choice)
        elif self._open < 0:
            self._begin(event, out)
        else:
            self._held[event.index] = [event]

    def _begin(self, event: PartStarted, out: list[Event]) -> None:
        number, self._count = self._count, self._count + 1
        self._open = event.index
        self._numbers[event.index] = number
        self.straight = number if number == event.index else -1
        out.append(_numbered(event, number))

    def _of_part(
        self, event: Delta | SectionBreak | PartSigned | PartExtras | PartClosed, out: list[Event]
    ) -> None:
        index = event.index
        if index in self._held:
            self._held[index].append(event)
            return
        number = self._numbers.get(index)
        late = index != self._open and not isinstance(event, PartSigned | PartExtras)
        if number is None or late:
            return
        out.append(_numbered(event, number))
        if isinstance(event, PartClosed):
            self._open = self.straight = -1
            self._release(out)

    def _release(self, out: list[Event]) -> None:
        """The open part closed: say held ones, up to one that is not closed itself."""
        while self._held and self._open < 0:
            # A plain dict would look at all places that were given free before.
            first, (opened, *rest) = self._held.popitem(last=False)
            assert isinstance(opened, PartStarted)  # what _opened put there first
            self._begin(opened, out)
            number = self._numbers[first]
            for event in rest:
                out.append(_numbered(event, number))
                if isinstance(event, PartClosed):
                    self._open = self.straight = -1

    def _other(self, event: Event, out: list[Event]) -> None:
        if isinstance(event, Finished) and event.choice:
            self.ignored.add(event.choice)
            return
        if isinstance(event, Finished | Completed):
            while self._open >= 0:
                out.append(PartClosed(self._numbers[self._open]))
                self._open = self.straight = -1
                self._release(out)
        out.append(event)


def _numbered(event: Event, number: int) -> Event:
    return event if event.index == number else msgspec.structs.replace(event, index=number)  # type: ignore[union-attr]
