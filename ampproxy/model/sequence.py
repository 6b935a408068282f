"""Puts the parts of a stream one after the other, for dialects whose parts may not overlap."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

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


class _Lane:
    """Parts of which no two may be open at once.

    :param choice: the candidate that they are of.
    :ivar open: the part that is open, as it came; -1: none is.
    :ivar held: the parts that wait, in the order in which they opened, each with its events.
    """

    __slots__ = ("choice", "held", "open")

    def __init__(self, choice: int) -> None:
        self.choice = choice
        self.open = -1
        # A plain dict would look at all places that were given free before.
        self.held: OrderedDict[int, list[Event]] = OrderedDict()


class Sequencer:
    """Reorders events so that no two parts of one lane are open at once.

    A part that opens while another one is open is held back, with everything that belongs to it, until
    the open one closes; parts come out in the order in which they opened. ``Finished`` (of their candidate)
    and ``Completed`` close what is open and let go what is held. A proof or extras that arrive after
    their part was closed are given with the part's number; what to do with them is the renderer's.

    :param lane_of: the lane of a part. ``None``: all parts are in one, numbered 0, 1, 2, ..., and only the
        parts and the end of the first candidate pass: some dialects have no others.
    :ivar plain: the open parts that keep their number: their deltas may pass without a call of :meth:`feed`.
    :ivar ignored: the numbers of the candidates that were left out, so that the loss can be reported.
    """

    __slots__ = ("_count", "_lane", "_lane_of", "_lanes", "_numbers", "ignored", "plain")

    def __init__(self, lane_of: Callable[[PartStarted], Hashable] | None = None) -> None:
        self._lane_of = lane_of
        self._count = 0
        self._lanes: dict[Hashable, _Lane] = {}
        #: The lane of each part, and its number as it goes out; held parts have none yet.
        self._lane: dict[int, _Lane] = {}
        self._numbers: dict[int, int] = {}
        self.plain: set[int] = set()
        self.ignored: set[int] = set()

    def feed(self, events: Sequence[Event]) -> Sequence[Event]:
        """Take the next events; give those that may go out now, in order."""
        out: list[Event] = []
        for event in events:
            # The common case first: an open part goes on and was not renumbered.
            if type(event) is Delta and event.index in self.plain:
                out.append(event)
            elif isinstance(event, PartStarted):
                self._opened(event, out)
            elif isinstance(event, _OF_PART):
                self._of_part(event, out)
            else:
                self._other(event, out)
        return out

    def _opened(self, event: PartStarted, out: list[Event]) -> None:
        if self._lane_of is None and event.choice:
            self.ignored.add(event.choice)
            return
        key = 0 if self._lane_of is None else self._lane_of(event)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(event.choice)
        self._lane[event.index] = lane
        if lane.open < 0:
            self._begin(lane, event, out)
        else:
            lane.held[event.index] = [event]

    def _begin(self, lane: _Lane, event: PartStarted, out: list[Event]) -> None:
        number = self._count if self._lane_of is None else event.index
        self._count += 1
        lane.open = event.index
        self._numbers[event.index] = number
        if number == event.index:
            self.plain.add(number)
        out.append(_numbered(event, number))

    def _of_part(
        self, event: Delta | SectionBreak | PartSigned | PartExtras | PartClosed, out: list[Event]
    ) -> None:
        index = event.index
        lane = self._lane.get(index)
        if lane is None:
            return
        if index in lane.held:
            lane.held[index].append(event)
            return
        late = index != lane.open and not isinstance(event, PartSigned | PartExtras)
        if late or index not in self._numbers:
            return
        out.append(_numbered(event, self._numbers[index]))
        if isinstance(event, PartClosed):
            self._end(lane)
            self._release(lane, out)

    def _end(self, lane: _Lane) -> None:
        self.plain.discard(lane.open)
        lane.open = -1

    def _release(self, lane: _Lane, out: list[Event]) -> None:
        """The open part closed: give held ones, up to one that is not closed itself."""
        while lane.held and lane.open < 0:
            first, (opened, *rest) = lane.held.popitem(last=False)
            assert isinstance(opened, PartStarted)  # what _opened put there first
            self._begin(lane, opened, out)
            number = self._numbers[first]
            for event in rest:
                out.append(_numbered(event, number))
                if isinstance(event, PartClosed):
                    self._end(lane)

    def _other(self, event: Event, out: list[Event]) -> None:
        if isinstance(event, Finished):
            if self._lane_of is None and event.choice:
                self.ignored.add(event.choice)
                return
            self._finish([lane for lane in self._lanes.values() if lane.choice == event.choice], out)
        elif isinstance(event, Completed):
            self._finish(list(self._lanes.values()), out)
        out.append(event)

    def _finish(self, lanes: Sequence[_Lane], out: list[Event]) -> None:
        for lane in lanes:
            while lane.open >= 0:
                out.append(PartClosed(self._numbers[lane.open]))
                self._end(lane)
                self._release(lane, out)


def _numbered(event: Event, number: int) -> Event:
    return event if event.index == number else msgspec.structs.replace(event, index=number)  # type: ignore[union-attr]
