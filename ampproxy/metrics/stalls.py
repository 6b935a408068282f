"""What held the reactor: as long as one turn of it lasts, every stream stands still and nobody is served.

The reactor leaves a mark of the time ten times a second; that is all that it does for this. A thread looks
whether the mark is late, and if it is, at which lines of code the reactor's thread is. Of these only file,
line and function are told: no value of a variable is read.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

#: Seconds from one mark to the next.
BEAT = 0.1
#: So long a turn may last until it is told of while it lasts; seconds.
LONG = 5.0
#: Seconds from one report to the next; what comes between is counted.
PAUSE = 10.0
#: So many frames are told.
DEEPEST = 6

_HERE = Path(__file__).parents[1]
#: Functions in which the reactor waits for something to do, in all reactors: then nothing holds it.
_WAITS = frozenset(("doPoll", "doSelect", "doKEvent", "doIteration", "_doReadOrWrite"))


class Stalls:
    """Tells of turns of the reactor that last too long.

    :param clock: the reactor.
    :param thread: the id of its thread; ``None``: the main one.
    :ivar longest: the longest turn so far, in seconds; known to :data:`BEAT`, from ``after`` on.
    """

    def __init__(self, clock: IReactorTime, log: Logger, *, thread: int | None = None) -> None:
        self.longest = 0.0
        self._clock = clock
        self._log = log
        self._thread = threading.main_thread().ident if thread is None else thread
        self._after = 0.25
        self._mark = 0.0
        self._call: IDelayedCall | None = None
        self._ended = threading.Event()
        self._logged_at = float("-inf")
        self._suppressed = 0

    def use(self, after: float) -> None:
        """Tell of turns that last so many seconds."""
        self._after = after

    def start(self) -> None:
        """Watch from now on; called by the reactor."""
        if self._call is None:
            self._beat()
            self._ended = ended = threading.Event()
            threading.Thread(target=self._watch, args=(ended,), name="ampproxy-stalls", daemon=True).start()

    def stop(self) -> None:
        """Watch no longer."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
            self._ended.set()

    def _beat(self) -> None:
        self._mark = time.monotonic()
        self._call = self._clock.callLater(BEAT, self._beat)

    def _watch(self, ended: threading.Event) -> None:
        while not ended.wait(BEAT + self._after / 2):
            mark = self._mark
            if time.monotonic() - mark < self._after:
                continue
            where = self._where()
            if where:
                self._follow(ended, mark, where)

    def _follow(self, ended: threading.Event, mark: float, where: str) -> None:
        """A turn lasts too long: see when it ends."""
        last, reported = mark, False
        while self._mark == mark and not ended.wait(BEAT / 4):
            last = time.monotonic()
            self.longest = max(self.longest, last - mark)
            if last - mark >= LONG and not reported:
                reported = True
                self._report("has been held up for {seconds} s, and still is", last - mark, where)
        lasted = (last if self._mark == mark else self._mark) - mark
        self.longest = max(self.longest, lasted)
        if self._mark != mark:
            self._report("was held up for {seconds} s", lasted, where)

    def _report(self, what: str, seconds: float, where: str) -> None:
        now = time.monotonic()
        if now - self._logged_at < PAUSE and seconds < LONG:
            self._suppressed += 1
            return
        self._logged_at, suppressed = now, self._suppressed
        self._suppressed = 0
        self._log.warn(
            "The reactor " + what + ": all streams waited. It ran {where}{more}",
            log_kind="stall",
            seconds=round(seconds, 2),
            where=where,
            more=f" ({suppressed} more such turns since the last report)" if suppressed else "",
        )

    def _where(self) -> str:
        """The innermost lines that the reactor's thread runs; empty where it waits for something to do."""
        frame = sys._current_frames().get(self._thread or 0)
        if frame is None or frame.f_code.co_name in _WAITS:
            return ""
        return " < ".join(_lines(frame))


def _lines(frame: FrameType | None) -> Iterator[str]:
    """The innermost frame, and the innermost of our own, as ``file:line function``."""
    count, first = 0, True
    while frame is not None and count < DEEPEST:
        path = Path(frame.f_code.co_filename)
        ours = path.is_relative_to(_HERE)
        if ours or first:
            name = path.relative_to(_HERE.parent) if ours else Path(*path.parts[-2:])
            yield f"{name}:{frame.f_lineno} {frame.f_code.co_name}"
            count += 1
        frame, first = frame.f_back, False
