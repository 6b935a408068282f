"""How long an answer's stream paused between two of its pieces."""

from __future__ import annotations

from bisect import bisect_left

#: Upper bounds of the classes that pauses are counted in, in seconds. What is shorter than the first of
#: them nobody notices.
BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Gaps:
    """The pauses of one stream, counted by length: one stream has thousands.

    :ivar counts: how many there were in each class; the last is for those longer than all bounds.
    :ivar total: seconds of all together.
    :ivar longest: seconds of the longest; 0 if none was long enough to be noticed.
    """

    __slots__ = ("counts", "longest", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0
        self.longest = 0.0

    def add(self, gap: float) -> None:
        """One more, of so many seconds. Called for each piece of each stream."""
        self.total += gap
        if gap <= 0.1:  # BOUNDS[0], without looking it up
            self.counts[0] += 1
            return
        self.counts[bisect_left(BOUNDS, gap)] += 1
        if gap > self.longest:
            self.longest = gap
