"""Holds that some work takes no longer than it may."""

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
