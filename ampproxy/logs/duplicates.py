"""Holds back the same warning over and over, and tells how often it came."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import msgspec

#: Seconds for which the same warning counts as the same trouble.
WINDOW = 30.0
#: So often it is told in that time.
BURST = 5
#: So many different warnings are watched at a time; further ones push the oldest out.
MAX_WARNINGS = 256


class _Storm(msgspec.Struct):
    level: str
    message: str
    began: float
    count: int = 0


class DuplicateFilter:
    """Counts warnings that are the same.

    :param now: seconds, monotonic.
    :param later: calls a function after so many seconds: ``IReactorTime.callLater``.
    :param report: is told a level and a message, for what was held back.
    """

    def __init__(
        self,
        now: Callable[[], float],
        later: Callable[[float, Callable[[], None]], object],
        report: Callable[[str, str], None],
    ) -> None:
        self._now = now
        self._later = later
        self._report = report
        self._storms: OrderedDict[tuple[str, str], _Storm] = OrderedDict()
        self._waiting = False

    def admit(self, level: str, message: str) -> bool:
        """Whether this one is to be told; if not, it is counted and told of at the end of the window."""
        key = level, message
        storm = self._storms.get(key)
        if storm is None:
            while len(self._storms) >= MAX_WARNINGS:
                self._end(next(iter(self._storms)))
            storm = self._storms[key] = _Storm(level, message, self._now())
            self._wait()
        storm.count += 1
        return storm.count <= BURST

    def flush(self) -> None:
        """Tell of all that was held back, now: the service ends."""
        for key in list(self._storms):
            self._end(key)

    def _wait(self) -> None:
        if not self._waiting and self._storms:
            self._waiting = True
            oldest = next(iter(self._storms.values()))
            self._later(max(0.0, oldest.began + WINDOW - self._now()), self._look)

    def _look(self) -> None:
        self._waiting = False
        now = self._now()
        for key, storm in list(self._storms.items()):
            if storm.began + WINDOW > now:
                break
            self._end(key)
        self._wait()

    def _end(self, key: tuple[str, str]) -> None:
        storm = self._storms.pop(key)
        more = storm.count - BURST
        if more > 0:
            first = storm.message.partition("\n")[0]
            seconds = max(1, round(self._now() - storm.began))
            self._report(storm.level, f"{more} more like this within {seconds} s: {first}")
