"""Connections to upstreams that nobody uses now, kept for the next request."""

from __future__ import annotations

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ampproxy.http.client_connection import ClientConnection

#: How often in the time that a connection is kept one looks for those whose time is over.
_LOOKS = 4


class Pool:
    """Keeps connections. The one that was used last is used first, so that those beyond the need grow old.

    :param clock: for one timer in all.
    :param most: connections kept for each key; one more takes the place of the oldest.
    :param idle: seconds for which one is kept, and up to a quarter of that more.
    """

    def __init__(self, clock: IReactorTime, *, most: int, idle: float) -> None:
        self.clock = clock
        self._most = most
        self._idle = idle
        self._kept: dict[object, list[ClientConnection]] = {}
        self._call: IDelayedCall | None = None

    def take(self, key: object) -> ClientConnection | None:
        """A connection for a request, if one is kept."""
        kept = self._kept.get(key)
        while kept:
            connection = kept.pop()
            if connection.usable:
                return connection
        return None

    def free(self, connection: ClientConnection) -> None:
        """Keep a connection."""
        kept = self._kept.setdefault(connection.key, [])
        if len(kept) >= self._most:
            kept.pop(0).close()
        connection.since = self.clock.seconds()
        kept.append(connection)
        if self._call is None:
            self._call = self.clock.callLater(self._idle / _LOOKS, self._look)

    def lost(self, connection: ClientConnection) -> None:
        """Forget a connection that is closed."""
        kept = self._kept.get(connection.key)
        if kept is not None and connection in kept:
            kept.remove(connection)

    def close(self) -> Deferred[None]:
        """Close what is kept; the result fires when it is closed. What is in use comes back and is kept."""
        closing = [connection.close() for kept in self._kept.values() for connection in kept]
        self._kept.clear()
        self._stop()
        return gatherResults(closing).addCallback(lambda _: None)

    def _look(self) -> None:
        self._call = None
        old = self.clock.seconds() - self._idle
        for key, kept in [*self._kept.items()]:
            while kept and kept[0].since <= old:
                kept.pop(0).close()
            if not kept:
                del self._kept[key]
        if self._kept:
            self._call = self.clock.callLater(self._idle / _LOOKS, self._look)

    def _stop(self) -> None:
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()
