"""Who accepts where, and when a worker that has died is replaced: decisions, without I/O and without a
clock.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

#: Seconds for which a worker must have lived for its death to be the first again.
STABLE = 30.0
#: Seconds until the one after next is started, which doubles; and the most of them.
BACKOFF, MAX_BACKOFF_SECONDS = 0.5, 30.0


def assigned(count: int, able: Collection[int]) -> dict[int, tuple[int, ...]]:
    """On whose sockets each worker accepts: on its own, and on those of workers that cannot, which are
    spread.

    :param count: how many workers there are to be, numbered from 1; slots are numbered from 0.
    :param able: those that can accept.
    """
    workers = sorted(able)
    slots: dict[int, list[int]] = {number: [] for number in workers}
    spare = 0
    for number in range(1, count + 1):
        if number in slots:
            slots[number].append(number - 1)
        elif workers:
            slots[workers[spare % len(workers)]].append(number - 1)
            spare += 1
    return {number: tuple(found) for number, found in slots.items()}


def spread(slots: Collection[int], count: int, sockets: int) -> tuple[int, ...]:
    """The same where there are more sockets than workers, which an earlier process had more of."""
    return tuple(slot for slot in range(max(count, sockets)) if slot % count in slots)


class Deaths(msgspec.Struct):
    """How often a worker has died.

    :ivar total: since the service began.
    :ivar row: one after another, none of which had lived for :data:`STABLE` seconds.
    """

    total: int = 0
    row: int = 0

    def recent(self, lived: float) -> int:
        """How many in a row, as long as the one that lives now may be the next.

        :param lived: for how many seconds it has.
        """
        return 0 if lived >= STABLE else self.row

    def died(self, lived: float) -> float:
        """Once more; gives the seconds until it is started again. The first time that is at once.

        :param lived: for how many seconds.
        """
        self.total += 1
        self.row = 1 if lived >= STABLE else self.row + 1
        if self.row <= 1:
            return 0.0
        return float(min(BACKOFF * 2.0 ** (self.row - 2), MAX_BACKOFF_SECONDS))
