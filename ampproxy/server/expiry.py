"""Ends what is under way with client keys that expire, at the time at which they do."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Seconds after which the time is looked at again, however far away the next end is: the clock may be set.
MAX_WAIT_SECONDS = 3600.0
#: Seconds behind the end, so that it has surely come.
_BEHIND = 0.05


class Expiry:
    """Waits for the next end of a key.

    :param next_end: when that is, in seconds since the epoch; ``None``: no key has one.
    :param wall: seconds since the epoch.
    :param due: called when it has come.
    """

    def __init__(
        self,
        clock: IReactorTime,
        wall: Callable[[], float],
        next_end: Callable[[], float | None],
        due: Callable[[], object],
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._next_end = next_end
        self._due = due
        self._timer: IDelayedCall | None = None

    def watch(self) -> None:
        """Wait, from now on by the keys of the present configuration."""
        self.stop()
        end = self._next_end()
        if end is not None:
            delay = min(max(0.0, end - self._wall()) + _BEHIND, MAX_WAIT_SECONDS)
            self._timer = self._clock.callLater(delay, self._look)

    def stop(self) -> None:
        """Wait no longer."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _look(self) -> None:
        self._timer = None
        self._due()
        self.watch()
