"""Measures that the time of some work grows as its input does.

Times are those of this thread alone, so that a busy machine changes them little; what seems to fail is
measured again, since noise only ever adds.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ampproxy.collector import tune_malloc

T = TypeVar("T")

# As in the service. Without it glibc gives large texts back to the kernel and asks for them again at each
# try, which takes longer than the work, and jumps with the size.
tune_malloc()

#: Twice the input takes at most so many times as long. Quadratic work takes four times as long.
MOST = 2.5
#: Seconds that twice the input should take, so that its time can be compared.
LEAST = 0.0015
#: The sizes, of which twice as many are made, too. There are few, so that works which are given the same have
#: it made once.
LADDER = (75, 150, 300, 600, 1200, 2400)
#: How often a ratio is measured again, and at how many larger sizes: where a cache of the processor ends, the
#: time may jump once, but quadratic work only gets worse.
TRIES, SIZES = 15, 3


@contextmanager
def _without_collector() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def seconds(work: Callable[[T], object], given: T) -> float:
    """How long the work took."""
    with _without_collector():
        start = time.thread_time()
        work(given)
        return time.thread_time() - start


def growth(work: Callable[[T], object], small: T, large: T, after: float | None = None) -> float:
    """How many times as long the work takes for what is twice as much.

    :param after: how long it has taken for that, if that is known.
    """
    after, before = seconds(work, large) if after is None else after, seconds(work, small)
    for _ in range(TRIES):
        if after <= MOST * before:
            break
        before, after = min(before, seconds(work, small)), min(after, seconds(work, large))
    return after / before


def assert_linear(work: Callable[[T], object], made: Callable[[int], T], least: float = LEAST) -> None:
    """Twice as much takes at most :data:`MOST` times as long.

    :param made: makes the input of a size. What takes hardly any time is measured at a larger size.
    :param least: seconds that the larger one should take: what is quadratic in little shows late.
    """
    size = LADDER[0]
    took = seconds(work, made(2 * size))
    if took < least:
        enough = size * least / took
        size = next((one for one in LADDER if one >= enough), LADDER[-1])
        took = seconds(work, made(2 * size))
        if took < LEAST / 2:
            return
    ratios = []
    for _ in range(SIZES):
        ratios.append(growth(work, made(size), made(2 * size), took))
        if ratios[-1] <= MOST:
            return
        size *= 2
        took = seconds(work, made(2 * size))
    raise AssertionError(f"Up to {size} of them, twice as many take {ratios} times as long.")
