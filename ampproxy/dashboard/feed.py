"""Requests as they happen, for the pages that watch: server-sent events, without a queue.

What a page has not been sent yet is what is newer among the exchanges that are remembered anyway, so that one
that reads slowly, or not at all, costs no memory: when it reads again it is sent the newest, and how many it
missed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from ampproxy.dashboard.recent import Recent
from ampproxy.dashboard.shapes import Exchange, Live
from ampproxy.relay.record import ExchangeRecord

if TYPE_CHECKING:
    from ampproxy.generation import Generation
    from ampproxy.ledger.prices import PriceBook

#: Seconds between two looks at what is new.
INTERVAL = 0.25
#: Looks between two at the accounts.
_ACCOUNTS_EVERY = 4
#: Seconds of silence after which a comment is sent, so that no proxy takes the stream for dead.
KEEPALIVE = 15.0
#: Exchanges that have ended in one event, and that are under way: a page shows no more.
MOST_ENDED, MOST_RUNNING = 40, 50


class Watched(Protocol):
    """The request of a page that watches: :class:`~ampproxy.server.site.GatewayRequest`."""

    gone: bool

    @property
    def outdated(self) -> bool:
        """Whether another configuration is in force than the one that let it in."""

    def write(self, data: bytes) -> None:
        """Send more."""

    def finish(self) -> None:
        """Send no more."""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Be told when the client takes less than there is."""

    def unregisterProducer(self) -> None:
        """Be told no more."""

    def notifyFinish(self) -> Deferred[None]:
        """Fires when it is over; fails when the client has left."""


@implementer(IPushProducer)
@dataclass(eq=False)
class Watcher:
    """A page that watches.

    :param until: seconds since the epoch from which on it may not.
    :ivar seen: how many exchanges had ended, of all, when it was sent what had.
    :ivar running: what it was sent last of what is under way; likewise ``accounts``.
    """

    request: Watched
    until: float | None
    seen: int
    paused: bool = False
    running: bytes = b""
    accounts: bytes = b""
    sent_at: float = 0.0
    closed: bool = field(default=False, init=False)

    def pauseProducing(self) -> None:
        """It takes nothing at the moment."""
        self.paused = True

    def resumeProducing(self) -> None:
        """It does again."""
        self.paused = False

    def stopProducing(self) -> None:
        """It has left."""
        self.closed = True

    def send(self, data: bytes, now: float) -> None:
        """Send it events."""
        self.sent_at = now
        self.request.write(data)

    def close(self) -> None:
        """End its stream; the page asks anew."""
        if not self.closed and not self.request.gone:
            self.closed = True
            self.request.unregisterProducer()
            self.request.finish()


class Feed:
    """Sends what has ended to who watches.

    :param recent: what has ended, and the configuration in force.
    :param wall: seconds since the epoch.
    :param in_thread: runs a function in another thread, where prices are looked up.
    :param prices: the prices that hold under a configuration; called there, and may raise.
    :param live: the records that are under way.
    :param accounts: how the accounts are, as JSON.
    """

    def __init__(
        self,
        recent: Recent,
        clock: IReactorTime,
        wall: Callable[[], float],
        in_thread: Callable[[Callable[[], Any]], Deferred[Any]],
        prices: Callable[[Generation], PriceBook],
        live: Mapping[int, ExchangeRecord],
        accounts: Callable[[Generation], bytes],
        ending: Callable[[], bool],
    ) -> None:
        self._recent = recent
        self._clock = clock
        self._wall = wall
        self._in_thread = in_thread
        self._prices = prices
        self._live = live
        self._accounts = accounts
        self._ending = ending
        self._watchers: list[Watcher] = []
        self._timer: IDelayedCall | None = None
        self._turn = 0

    @property
    def watching(self) -> int:
        """How many pages watch."""
        return len(self._watchers)

    async def snapshot(self) -> Live:
        """What is under way and what ended last."""
        ended = await self._priced(self._recent.all())
        return Live(self._running(), len(self._live), ended)

    def watch(self, request: Watched, until: float | None = None) -> None:
        """Send a page what happens, until it leaves.

        :param until: seconds since the epoch.
        """
        watcher = Watcher(request, until, self._recent.count, sent_at=self._clock.seconds())
        request.registerProducer(watcher, True)
        self._watchers.append(watcher)
        request.notifyFinish().addBoth(lambda _: self._left(watcher))
        watcher.send(b": ampproxy\n\nretry: 2000\n\n", self._clock.seconds())
        if self._timer is None:
            self._timer = self._clock.callLater(0, self._look)

    def close(self) -> None:
        """End every page's stream in order."""
        for watcher in list(self._watchers):
            watcher.close()

    def _left(self, watcher: Watcher) -> None:
        watcher.closed = True
        if watcher in self._watchers:
            self._watchers.remove(watcher)
        if not self._watchers and self._timer is not None and self._timer.active():
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Send what is new to who takes it, and look again soon."""
        self._timer = None
        working = Deferred.fromCoroutine(self._send())
        working.addBoth(self._again)

    def _again(self, result: object) -> None:
        generation = self._recent.generation
        if isinstance(result, Failure) and generation is not None:
            generation.runtime.log.failure("Unhandled error while showing requests", result)
        if self._watchers and self._timer is None:
            self._timer = self._clock.callLater(INTERVAL, self._look)

    async def _send(self) -> None:
        self._turn += 1
        wall, now = self._wall(), self._clock.seconds()
        for watcher in list(self._watchers):
            over = watcher.until is not None and watcher.until <= wall
            if over or watcher.request.outdated or self._ending():
                watcher.close()
        takers = [one for one in self._watchers if not (one.paused or one.closed)]
        if not takers:
            return
        count, oldest = self._recent.count, min(one.seen for one in takers)
        news = self._recent.newest(min(count - oldest, MOST_ENDED))
        ended = await self._priced(news) if news else ()
        running = self._running_event()
        accounts = self._accounts_event() if self._turn % _ACCOUNTS_EVERY == 1 else b""
        for watcher in takers:
            if not (watcher.closed or watcher.paused):
                data = self._for(watcher, count, ended, running, accounts)
                if data or now - watcher.sent_at >= KEEPALIVE:
                    watcher.send(data or b": still here\n\n", now)

    def _for(
        self,
        watcher: Watcher,
        count: int,
        ended: tuple[Exchange, ...],
        running: bytes,
        accounts: bytes,
    ) -> bytes:
        """What one page is sent: what it has not seen."""
        parts = []
        new = count - watcher.seen
        watcher.seen = count
        if new:
            rows = ended[: min(new, len(ended))]
            parts.append(_event(b"ended", {"rows": rows, "missed": new - len(rows)}))
        if running != watcher.running:
            watcher.running = running
            parts.append(running)
        if accounts and accounts != watcher.accounts:
            watcher.accounts = accounts
            parts.append(accounts)
        return b"".join(parts)

    async def _priced(self, news: list[tuple[float, ExchangeRecord]]) -> tuple[Exchange, ...]:
        """Exchanges that have ended, the newest first."""
        generation = self._recent.generation
        if not news or generation is None:
            return ()

        from ampproxy.dashboard import exchanges

        def work() -> tuple[Exchange, ...]:
            try:
                prices = self._prices(generation)
            except Exception:
                # The user's file of prices is wrong: the usage page shows that.
                prices = None
            return tuple(exchanges.ended(record, wall, prices) for wall, record in reversed(news))

        done: tuple[Exchange, ...] = await self._in_thread(work)
        return done

    def _running(self) -> tuple[Exchange, ...]:
        # Not at the top: it loads what is known of prices, which nobody needs where no page watches.
        from ampproxy.dashboard import exchanges

        records = list(self._live.values())[-MOST_RUNNING:]
        return exchanges.running(reversed(records), self._clock.seconds(), self._wall())

    def _running_event(self) -> bytes:
        # When one began is a difference of two clocks; it is rounded, or it would be news each time.
        rows = [msgspec.structs.replace(row, at=round(row.at, 1)) for row in self._running()]
        return _event(b"running", {"rows": rows, "count": len(self._live)})

    def _accounts_event(self) -> bytes:
        assert self._recent.generation is not None
        return b"event: accounts\ndata: %b\n\n" % self._accounts(self._recent.generation)


def _event(name: bytes, value: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name, msgspec.json.encode(value))
