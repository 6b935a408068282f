"""The same warning over and over."""

from __future__ import annotations

from twisted.internet.task import Clock

from ampproxy.logs.duplicates import BURST, MOST, WINDOW, DuplicateFilter


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.told: list[tuple[str, str]] = []
        self.storms = DuplicateFilter(
            self.clock.seconds, self.clock.callLater, lambda level, text: self.told.append((level, text))
        )


def test_few_are_told() -> None:
    """A warning that comes now and then is never held back, and nothing is said about it."""
    world = World()
    for _ in range(3 * BURST):
        assert world.storms.admit("warn", "x")
        world.clock.advance(WINDOW / BURST + 1)
    world.clock.advance(2 * WINDOW)
    assert world.told == []
    assert world.clock.getDelayedCalls() == []


def test_different_ones() -> None:
    """Another text, or the same at another level, is another warning."""
    world = World()
    for number in range(BURST):
        assert all(world.storms.admit(level, text) for level in ("warn", "error") for text in ("x", "y"))
        assert number < BURST
    assert not world.storms.admit("warn", "x")
    assert world.storms.admit("warn", "z")


def test_counts() -> None:
    """How many were held back is told when the window ends, though nothing else happens."""
    world = World()
    for _ in range(100):
        world.storms.admit("warn", "x\nmore")
    world.clock.advance(10)
    for _ in range(BURST + 1):
        world.storms.admit("error", "y")
    world.clock.advance(WINDOW - 10)
    assert world.told == [("warn", f"{100 - BURST} more like this within 30 s: x")]
    world.clock.advance(10)
    assert world.told[1:] == [("error", "1 more like this within 30 s: y")]
    assert world.clock.getDelayedCalls() == []


def test_memory_has_an_end() -> None:
    """A storm of different texts pushes the oldest out, which is told of first."""
    world = World()
    for _ in range(BURST + 2):
        world.storms.admit("warn", "first")
    for number in range(10 * MOST):
        assert world.storms.admit("warn", f"text {number}")
    assert world.told == [("warn", "2 more like this within 1 s: first")]
    assert len(world.storms._storms) == MOST
    world.clock.pump([WINDOW, WINDOW])
    assert world.clock.getDelayedCalls() == []
