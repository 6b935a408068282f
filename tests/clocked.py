"""Holds that some work takes no longer than it may, and that its time grows no faster."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: How often work is measured before it counts as slow: a busy machine only ever adds.
TRIES = 5


def within(limit: float, work: Callable[[], T]) -> T:
    """What the work returns, which must take less than so many seconds of this thread in one of the tries."""
    best = float("inf")
    for _ in range(TRIES):
        began = time.thread_time()
        result = work()
        best = min(best, time.thread_time() - began)
        if best < limit:
            return result
    raise AssertionError(f"takes {best:.3f} s, and may take {limit}")


def assert_grows(
    work: Callable[[T], object], made: Callable[[int], T], small: int, large: int, most: float
) -> None:
    """Hold that work on what has the larger size takes less than so many times as long as on the other.

    The smaller one is measured several times: what else the machine does must not make it look dear.
    """
    before, after = float("inf"), float("inf")
    for _ in range(TRIES):
        before = min(before, *(_seconds(work, made(small)) for _ in range(3)))
        after = min(after, _seconds(work, made(large)))
        if after < most * before:
            return
    raise AssertionError(f"{large / small:.0f} times as much takes {after / before:.1f} times as long")


def _seconds(work: Callable[[T], object], given: T) -> float:
    began = time.thread_time()
    work(given)
    return time.thread_time() - began
