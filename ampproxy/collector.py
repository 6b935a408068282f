"""Garbage that only a collection finds: it is looked for when the memory has grown.

Nothing here leaves bodies in cycles of references, but a library may, and Python counts objects, not bytes.
"""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

#: Seconds between two looks.
EVERY = 10.0
#: A collection stops everything for some ten milliseconds: it is worth it where the process has grown by so
#: many bytes, beside the bodies that it holds knowingly, and not again for so many seconds.
GROWN, PAUSE = 128 * 1024 * 1024, 60.0
#: To give back what nobody uses takes about a millisecond: it is worth it for so many bytes.
SPARE = 32 * 1024 * 1024


def resident() -> int | None:
    """The bytes of memory that the process has; ``None`` where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


class Collector:
    """Collects garbage when the memory grows.

    :param held: gives the bytes that are held knowingly.
    :param size: gives what the process has; see :func:`resident`.
    :param trim: see :func:`trim_malloc`.
    """

    def __init__(
        self,
        clock: IReactorTime,
        log: Logger,
        held: Callable[[], int],
        *,
        size: Callable[[], int | None] = resident,
        collect: Callable[[], int] = gc.collect,
        trim: Callable[[], None] | None = None,
    ) -> None:
        self._clock = clock
        self._log = log
        self._held = held
        self._size = size
        self._collect = collect
        self._trim = trim or trim_malloc
        self._before = self._least = self._most = 0
        self._paused_until = 0.0

    def start(self) -> None:
        """Begin, with what the process has now as what it needs."""
        size = self._size()
        if size is not None:
            self._before = self._least = self._most = size
            self._clock.callLater(EVERY, self._look)

    def _look(self) -> None:
        self._clock.callLater(EVERY, self._look)
        size, now = self._size(), self._clock.seconds()
        if size is None:
            return
        needed = size - self._held()
        self._before = min(self._before, needed)
        if now < self._paused_until or needed - self._before < GROWN:
            self._give_back(needed)
            return
        self._paused_until = now + PAUSE
        found = self._collect()
        self._trim()
        # What is left it needs, for all that can be known.
        self._before = (self._size() or size) - self._held()
        self._given_back()
        self._log.debug(
            "Collected {count} objects: {before} MB of memory before, {after} MB after",
            count=found,
            before=round(size / 1e6),
            after=round((self._size() or size) / 1e6),
        )

    def _give_back(self, needed: int) -> None:
        """The system gets back by itself only what lies behind all that is used. The rest that large bodies
        leave is given to it when the process needs much more than after the last time, or much less.
        """
        self._most = max(self._most, needed)
        if needed - self._least >= SPARE or self._most - needed >= SPARE:
            self._trim()
            self._given_back()

    def _given_back(self) -> None:
        self._least = self._most = (self._size() or 0) - self._held()


def tune_malloc() -> None:
    """Have glibc keep some of what large bodies give back: else every request of a few megabytes is paid
    for with thousands of page faults. Have it hold one arena for all threads. Does nothing elsewhere.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    # M_ARENA_MAX: threads seldom allocate at once here, and each arena keeps pages of its own.
    mallopt(-8, 1)
    mallopt(-3, 32 * 1024 * 1024)  # M_MMAP_THRESHOLD
    mallopt(-1, 24 * 1024 * 1024)  # M_TRIM_THRESHOLD


def trim_malloc() -> None:
    """Have glibc give the system back what it holds and nobody uses. Does nothing elsewhere."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return
