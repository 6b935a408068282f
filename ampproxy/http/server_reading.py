"""Clients that do not read: what waits for one waits for a while, and not for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ampproxy.http.closing import unsent
from ampproxy.http.deadlines import Deadlines

#: How often one looks within the time limit. Looks are counted and not seconds: when the gateway itself stood
#: still, no client could take anything.
_LOOKS = 4


class Reading:
    """Watches, while more waits for a client than its connection holds, whether it takes any of it.

    What it takes is seen by the bytes, Twisted's and the system's, that have not arrived: a slow client is
    none that does not read.

    :param limit: gives the seconds for which a client may take nothing.
    :param late: called when it has.
    """

    def __init__(
        self, transport: Any, deadlines: Deadlines, limit: Callable[[], float], late: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._limit = limit
        self._late = late
        self._waits = False
        self._left: int | None = None
        self._still = 0
        self._deadline = deadlines.deadline(self._look)

    def paused(self) -> None:
        """From now on something waits for the client."""
        self._waits = True
        if not self._deadline.active:
            self._left = None
            self._look()

    def resumed(self) -> None:
        """It has taken what waited. The next look comes all the same: pauses are many, and mostly short."""
        self._waits = False
        self._left = None

    def end(self) -> None:
        """The connection is over, or another protocol's."""
        self._waits = False
        self._deadline.end()
        self._late = _nothing

    def _look(self) -> None:
        if not self._waits:
            return
        left, before = unsent(self._transport), self._left
        self._left = left
        self._still = self._still + 1 if left == before else 0
        if self._still >= _LOOKS:
            self._late()
        else:
            self._deadline.start(self._limit() / _LOOKS)


def _nothing() -> None:
    pass
