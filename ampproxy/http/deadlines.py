"""Deadlines that nearly never pass, on one timer for all of them.

A timer of the reactor's costs an object, a place in its heap and a way out of it again. A connection has
several of them for each request, and of ten thousand not one passes. Here a deadline is a place in a set, and
the reactor is asked for one call for all.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Deadlines:
    """A wheel of deadlines: each passes at its time at the earliest, and up to one tick later.

    A deadline that falls on a whole tick passes at that very time.

    :param clock: gives the time, and calls back.
    :param tick: seconds between two looks.
    """

    def __init__(self, clock: IReactorTime, tick: float = 1.0) -> None:
        self.clock = clock
        self._tick = tick
        self._slots: dict[int, set[Deadline]] = {}
        self._call: IDelayedCall | None = None
        self._next = 0
        self._past = -1

    def deadline(self, passed: Callable[[], None]) -> Deadline:
        """A deadline that is not running yet.

        :param passed: is called each time it passes; what it raises is the clock's to report.
        """
        return Deadline(self, passed)

    def after(self, seconds: float, passed: Callable[[], None]) -> Deadline:
        """A deadline that runs already."""
        deadline = Deadline(self, passed)
        # As Deadline.start, without a call for each step.
        deadline._due = deadline._until = due = self.clock.seconds() + seconds
        deadline._number = self.put(deadline, due)
        return deadline

    def put(self, deadline: Deadline, due: float) -> int:
        """Have a deadline looked at when ``due`` has come.

        :return: its place.
        """
        # A place that was looked at is not looked at again: what is started there waits for the next.
        number = max(ceil(due / self._tick), self._past + 1)
        slot = self._slots.get(number)
        if slot is None:
            self._slots[number] = {deadline}
            if self._call is None or number < self._next:
                self._ask_for(number)
        else:
            slot.add(deadline)
        return number

    def remove(self, deadline: Deadline, number: int) -> None:
        """Look at a deadline no more."""
        slot = self._slots[number]
        slot.discard(deadline)
        if not slot:
            del self._slots[number]
            if not self._slots and self._call is not None:
                self._call.cancel()
                self._call = None

    def _ask_for(self, number: int) -> None:
        """Have the clock call when that tick has come."""
        self._next = number
        wait = max(0.0, number * self._tick - self.clock.seconds())
        if self._call is not None and self._call.active():
            self._call.reset(wait)
        else:
            self._call = self.clock.callLater(wait, self._look)

    def _look(self) -> None:
        self._call = None
        now = self.clock.seconds()
        self._past = past = int(now // self._tick)
        try:
            for number in sorted(number for number in self._slots if number <= past):
                while number in self._slots:
                    self._look_at(number, now)
        finally:
            # Also if one of them failed: the others are still in their places, and are next.
            if self._slots:
                self._ask_for(min(self._slots))

    def _look_at(self, number: int, now: float) -> None:
        """Look at any one of those in a place, the last of which takes the place with it."""
        slot = self._slots[number]
        deadline = slot.pop()
        if not slot:
            del self._slots[number]
        deadline.look(now)


def _nothing() -> None:
    pass


class Deadline:
    """One of them. It may be started and cancelled any number of times.

    Started anew while it runs, it is put off, which costs next to nothing, or moved ahead.

    :param deadlines: where it is kept.
    :param passed: is called when it has passed.
    """

    __slots__ = ("_deadlines", "_due", "_number", "_passed", "_until")

    def __init__(self, deadlines: Deadlines, passed: Callable[[], None]) -> None:
        self._deadlines = deadlines
        self._passed = passed
        self._due = self._until = 0.0
        self._number: int | None = None

    @property
    def active(self) -> bool:
        """Whether it runs."""
        return self._number is not None

    def start(self, seconds: float) -> None:
        """Let it pass ``seconds`` from now, whenever it would have passed before."""
        self._due = due = self._deadlines.clock.seconds() + seconds
        if self._number is not None:
            if due >= self._until:
                return  # It is looked at before that, and then put where it belongs.
            self._deadlines.remove(self, self._number)
        self._put(due)

    def cancel(self) -> None:
        """Let it not pass. One that does not run may be cancelled, too."""
        number, self._number = self._number, None
        if number is not None:
            self._deadlines.remove(self, number)

    def end(self) -> None:
        """Let it never pass again, and forget what it would have called."""
        number, self._number = self._number, None
        if number is not None:
            self._deadlines.remove(self, number)
        self._passed = _nothing

    def look(self, now: float) -> None:
        """The wheel has taken it out of its place, for the time of that place has come."""
        self._number = None
        if self._due > now:
            self._put(self._due)
        else:
            self._passed()

    def _put(self, due: float) -> None:
        self._until = due
        self._number = self._deadlines.put(self, due)
