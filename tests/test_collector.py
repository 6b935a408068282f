"""When garbage is collected: when the memory has grown, and not often."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import Logger

from ampproxy.collector import EVERY, GROWN, PAUSE, SPARE, Collector, resident

START = 80_000_000


class Process:
    """A process that grows, and gives back what a collection finds."""

    def __init__(self, *, told: bool = True) -> None:
        self.clock = Clock()
        self.told = told
        self.used, self.garbage, self.held, self.collected = START, 0, 0, 0
        self.events: list[Any] = []
        log = Logger(namespace="test", observer=self.events.append)
        self.trimmed = self.spare = 0
        collector = Collector(
            *(self.clock, log, lambda: self.held), size=self.size, collect=self.collect, trim=self.trim
        )
        collector.start()

    def size(self) -> int | None:
        return self.used + self.garbage + self.held + self.spare if self.told else None

    def collect(self) -> int:
        self.collected += 1
        self.garbage = 0
        return 1

    def trim(self) -> None:
        self.spare = 0
        self.trimmed += 1

    def wait(self, seconds: float) -> int:
        """How often it was collected by then."""
        for _ in range(int(seconds / EVERY)):
            self.clock.advance(EVERY)
        return self.collected


def test_garbage() -> None:
    """Garbage is found soon after there is much of it, each time."""
    process = Process()
    assert process.wait(600) == 0
    for number in range(1, 4):
        process.garbage = GROWN
        assert process.wait(EVERY) == number
        assert (process.garbage, process.trimmed) == (0, number)
        process.wait(PAUSE)
    assert "collected" in process.events[0]["log_format"].lower()


def test_no_garbage() -> None:
    """Bodies that are held are none, nor is what is needed: a collection for it is not repeated."""
    process = Process()
    process.held = 10 * GROWN
    assert process.wait(600) == 0
    process.held = 0
    process.used += GROWN
    assert process.wait(6000) == 1


def test_what_nobody_uses() -> None:
    """Is given back soon, and what is needed is not looked at again and again."""
    process = Process()
    process.used += SPARE - 1
    process.wait(600)
    assert process.trimmed == 0
    process.used += 1
    process.spare = 2 * SPARE
    assert process.wait(EVERY) == 0
    assert (process.trimmed, process.spare) == (1, 0)
    process.wait(600)
    assert process.trimmed == 1
    process.used = START + 1
    process.wait(EVERY)
    assert process.trimmed == 1
    process.used -= 1
    process.wait(EVERY)
    assert (process.trimmed, process.spare) == (2, 0)


def test_rest() -> None:
    """However fast the garbage comes, there is a minute between two collections."""
    process = Process()
    for _ in range(60):
        process.garbage += GROWN
        process.wait(EVERY)
    assert process.collected <= 600 / PAUSE + 1


def test_where_nobody_tells() -> None:
    """Nothing is done where the system does not say what a process has."""
    process = Process(told=False)
    process.garbage = 10 * GROWN
    assert process.wait(600) == 0


def test_resident() -> None:
    """Linux says it."""
    size = resident()
    assert size is None or 1_000_000 < size < 10**12
