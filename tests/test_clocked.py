"""What is slow, or grows too fast, is found; what is not, passes on a busy machine, too."""

from __future__ import annotations

import time
from contextlib import nullcontext

import pytest

from tests import clocked
from tests.clocked import assert_grows, within


class Clock:
    """Time that passes as the work on the clock says.

    :ivar late: for how long this thread is kept from its work, by the number of the measure.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.late: dict[int, float] = {}
        self.measures = 0

    def thread_time(self) -> float:
        return self.now

    def work(self, seconds: float) -> float:
        self.now += seconds + self.late.get(self.measures, 0.0)
        self.measures += 1
        return seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(clocked, "time", made)
    return made


def test_within(clock: Clock) -> None:
    """What takes too long each time fails; what does once, is measured again."""
    assert within(2, lambda: clock.work(1)) == 1
    clock.late = {1: 5.0, 2: 5.0}
    assert within(2, lambda: clock.work(1)) == 1
    assert clock.measures == 4
    with pytest.raises(AssertionError, match=r"takes 2\.000 s, and may take 2"):
        within(2, lambda: clock.work(2))
    assert clock.measures == 4 + clocked.TRIES


@pytest.mark.parametrize(("power", "good"), [(1.0, True), (1.3, True), (2.0, False), (3.0, False)])
def test_growth(clock: Clock, power: float, good: bool) -> None:
    """Ten times as much may take 25 times as long."""
    with nullcontext() if good else pytest.raises(AssertionError, match="10 times as much takes"):
        assert_grows(clock.work, lambda size: float(size**power), 10, 100, 25)


def test_growth_on_a_busy_machine(clock: Clock) -> None:
    """Whatever is added to some measures, the others tell."""
    clock.late = dict.fromkeys((0, 3, 7), 1000.0)
    assert_grows(clock.work, float, 10, 100, 25)
    assert clock.measures == 12
    clock.late = dict.fromkeys((12, 13), 1000.0)
    with pytest.raises(AssertionError, match="10 times as much takes 100"):
        assert_grows(clock.work, lambda size: float(size * size), 10, 100, 25)


def test_time_of_this_thread() -> None:
    """Waiting is no work."""
    within(0.05, lambda: time.sleep(0.1))
