"""Deadlines: at their time or a tick later, never before, and on one timer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from ampproxy.http.deadlines import Deadlines


def test_passes_once_at_its_time() -> None:
    """A whole number of ticks is met exactly."""
    clock, passed = Clock(), []
    wheel = Deadlines(clock)
    wheel.after(3.0, lambda: passed.append(clock.seconds()))
    clock.advance(2.9)
    assert passed == []
    clock.advance(0.1)
    clock.pump([1.0] * 10)
    assert passed == [3.0]


@given(st.lists(st.tuples(st.floats(0.0, 50.0), st.floats(0.0, 3.0)), min_size=1, max_size=20))
def test_never_early_and_at_most_a_tick_late(plans: list[tuple[float, float]]) -> None:
    """Whatever else is started, each passes within one tick after its time."""
    clock = Clock()
    wheel = Deadlines(clock)
    due: dict[int, float] = {}
    seen: dict[int, float] = {}

    def start(number: int, seconds: float) -> None:
        due[number] = clock.seconds() + seconds
        wheel.after(seconds, lambda: seen.setdefault(number, clock.seconds()))

    for number, (seconds, pause) in enumerate(plans):
        start(number, seconds)
        clock.advance(pause)
    clock.pump([0.25] * 250)
    assert due.keys() == seen.keys()
    # What passes within one long step of the clock is seen at its end.
    assert all(due[number] <= seen[number] <= due[number] + 1.0 + 3.0 for number in due)
    assert all(
        seen[number] <= due[number] + 1.25 for number in due if due[number] > sum(pause for _, pause in plans)
    )


def test_cancelled_does_not_pass() -> None:
    """Cancelled, it is kept nowhere; and it can be started again."""
    clock, passed = Clock(), []
    wheel = Deadlines(clock)
    deadline = wheel.after(2.0, lambda: passed.append(clock.seconds()))
    deadline.cancel()
    deadline.cancel()
    assert not deadline.active
    clock.pump([1.0] * 5)
    assert passed == []
    deadline.start(2.0)
    assert deadline.active
    clock.pump([1.0] * 5)
    assert passed == [7.0]
    assert not deadline.active


@pytest.mark.parametrize(("first", "second"), [(2.0, 5.0), (5.0, 2.0), (2.0, 2.0)])
def test_started_anew_counts_from_then(first: float, second: float) -> None:
    """Put off, or moved ahead."""
    clock, passed = Clock(), []
    wheel = Deadlines(clock)
    deadline = wheel.after(first, lambda: passed.append(clock.seconds()))
    clock.advance(1.0)
    deadline.start(second)
    clock.pump([0.5] * 20)
    assert passed == [1.0 + second]


def test_one_timer_for_all() -> None:
    """However many there are, the reactor has one call, and it is not asked at every start."""
    clock = Clock()
    wheel = Deadlines(clock)
    deadlines = [wheel.after(60.0 + number % 10, lambda: None) for number in range(1000)]
    assert len(clock.getDelayedCalls()) == 1
    for deadline in deadlines:
        deadline.cancel()
    clock.advance(100.0)
    assert clock.getDelayedCalls() == []


def test_an_earlier_one_is_not_missed() -> None:
    """One that is due before all others passes before them."""
    clock, passed = Clock(), []
    wheel = Deadlines(clock)
    wheel.after(100.0, lambda: passed.append("late"))
    wheel.after(1.0, lambda: passed.append("early"))
    clock.advance(1.0)
    assert passed == ["early"]
    clock.advance(99.0)
    assert passed == ["early", "late"]


def test_a_failure_leaves_the_others() -> None:
    """What one of them raises is the clock's to report; the others pass all the same."""
    clock, passed = Clock(), []
    wheel = Deadlines(clock)

    def fail() -> None:
        passed.append("failed")
        raise ZeroDivisionError

    for _ in range(3):
        wheel.after(1.0, fail)
    wheel.after(2.0, lambda: passed.append("later"))
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            clock.advance(1.0)
    clock.advance(1.0)
    assert passed == ["failed"] * 3 + ["later"]


def test_started_again_while_it_passes() -> None:
    """One that starts itself anew without waiting does not hold the reactor."""
    clock, passed = Clock(), []
    wheel = Deadlines(clock)

    def again() -> None:
        passed.append(clock.seconds())
        deadline.start(0.0)

    deadline = wheel.after(1.0, again)
    clock.advance(1.0)
    assert passed == [1.0]
    clock.advance(1.0)
    assert passed == [1.0, 2.0]
