"""The exchanges that ended last: all that is done for the page before one is opened."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ampproxy.generation import Generation
    from ampproxy.relay.record import ExchangeRecord
    from ampproxy.wire.redact import Secret


class Recent:
    """Remembers a bounded number of them, whoever watches.

    :param wall: seconds since the epoch.
    :ivar count: how many have ended, of all.
    :ivar generation: the one in force; ``None``: none is yet.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._records: deque[tuple[float, ExchangeRecord]] = deque(maxlen=1)
        self.count = 0
        self.generation: Generation | None = None

    def use(self, generation: Generation, secrets: Collection[Secret] = ()) -> None:
        """Another configuration is in force."""
        self.generation = generation
        page = generation.config.page
        most = page.recent if page.enable else 0
        if self._records.maxlen != most:
            self._records = deque(self._records, maxlen=most)

    def observe(self, record: ExchangeRecord) -> None:
        """An exchange has ended. Called for each, so it is quick."""
        self._records.append((self._wall(), record))
        self.count += 1

    def all(self) -> list[tuple[float, ExchangeRecord]]:
        """When each ended, in seconds since the epoch, and its record; the newest is the last."""
        return list(self._records)

    def newest(self, most: int) -> list[tuple[float, ExchangeRecord]]:
        """So many of these at the most."""
        return [self._records[-at] for at in range(min(most, len(self._records)), 0, -1)]
