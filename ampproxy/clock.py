"""The two clocks: one that runs evenly, for all that takes a while, and the wall clock, which is set."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

#: Seconds between two looks.
INTERVAL = 1.0
#: A difference of so many seconds from one look to the next is told; smaller corrections are common.
_NOTABLE = 5.0


def use_monotonic_clock(reactor: Any) -> None:
    """Have the reactor count time by the monotonic clock.

    Twisted's own counts by the wall clock: when that is set an hour forward, every time limit passes at
    once and all streams are cut; set back, nothing that was to happen later happens for an hour.
    """
    reactor.seconds = time.monotonic


class ClockWatch:
    """Notices when the wall clock is set.

    :param clock: runs evenly.
    :param wall: seconds since the epoch.
    :param changed: called when it was set.
    """

    def __init__(
        self, clock: IReactorTime, wall: Callable[[], float], log: Logger, changed: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._log = log
        self._changed = changed
        self._offset = wall() - clock.seconds()
        self._loop = LoopingCall(self._look)
        self._loop.clock = clock

    def start(self) -> None:
        """Watch from now on."""
        self._loop.start(INTERVAL, now=False)

    def stop(self) -> None:
        """Watch no longer."""
        if self._loop.running:
            self._loop.stop()

    def _look(self) -> None:
        before, self._offset = self._offset, self._wall() - self._clock.seconds()
        jump = self._offset - before
        if abs(jump) < _NOTABLE:
            return
        self._log.warn(
            "The system's clock went {way} by {seconds} s{perhaps}; time limits and cooldowns are not"
            " affected",
            way="forward" if jump > 0 else "back",
            seconds=round(abs(jump)),
            # The monotonic clock stands still meanwhile.
            perhaps=", or this machine slept" if jump > 0 else "",
        )
        self._changed()
