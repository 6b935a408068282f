"""A wall clock that is set is noticed, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import Logger, formatEvent

from ampproxy.clock import INTERVAL, ClockWatch


class Watched:
    def __init__(self) -> None:
        self.clock = Clock()
        self.offset = 1_700_000_000.0
        self.lines: list[Any] = []
        self.changes = 0
        log = Logger(observer=lambda event: self.lines.append(formatEvent(event)))
        self.watch = ClockWatch(self.clock, lambda: self.clock.seconds() + self.offset, log, self.changed)
        self.watch.start()

    def changed(self) -> None:
        self.changes += 1

    def wait(self, seconds: int) -> None:
        self.clock.pump([INTERVAL] * int(seconds / INTERVAL))


@pytest.mark.parametrize(
    ("jump", "words"), [(3600, "forward by 3600 s, or this machine slept"), (-3600, "back by 3600 s;")]
)
def test_set_by_an_hour(jump: int, words: str) -> None:
    """Told once."""
    watched = Watched()
    watched.wait(60)
    watched.offset += jump
    watched.wait(60)
    assert (len(watched.lines), watched.changes) == (1, 1)
    assert words in watched.lines[0]
    watched.watch.stop()
    watched.watch.stop()
    assert watched.clock.getDelayedCalls() == []


def test_slow_correction() -> None:
    """A clock that is brought right little by little, as a time daemon does it, is no news."""
    watched = Watched()
    for _ in range(600):
        watched.offset += 0.5
        watched.wait(1)
    assert (watched.lines, watched.changes) == ([], 0)
