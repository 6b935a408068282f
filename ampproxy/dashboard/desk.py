"""What the page and the admin API share: threads for what waits for a disk, prices, what is live."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore

from ampproxy.config.schema import Config
from ampproxy.dashboard.feed import Feed
from ampproxy.dashboard.visits import Visits
from ampproxy.errors import GatewayFault
from ampproxy.ledger import LedgerError
from ampproxy.ledger.book import price_book
from ampproxy.ledger.prices import PriceBook

if TYPE_CHECKING:
    from ampproxy.dashboard.signing import SignIns

T = TypeVar("T")
InThread = Callable[[Callable[[], Any]], "Deferred[Any]"]

#: Questions to the disk at a time: more would only compete for it.
_AT_ONCE = 2


class Books:
    """The prices of the configuration that was asked for last. Used in threads: that takes a while."""

    def __init__(self) -> None:
        self._last: tuple[Config, PriceBook] | None = None

    def of(self, config: Config) -> PriceBook:
        """The prices under a configuration.

        :raises LedgerError: the user's own file cannot be used.
        """
        last = self._last
        if last is None or last[0] is not config:
            last = self._last = config, price_book(config)
        return last[1]


class Desk:
    """One for a process.

    :param in_thread: runs a function in another thread.
    :param visits: runs the doctor.
    :param sign_ins: makes what runs logins, whose libraries are slow to load.
    """

    def __init__(
        self, in_thread: InThread, feed: Feed, books: Books, visits: Visits, sign_ins: Callable[[], SignIns]
    ) -> None:
        self.feed = feed
        self.books = books
        self.visits = visits
        self._make_sign_ins = sign_ins
        self._sign_ins: SignIns | None = None
        self._in_thread = in_thread
        self._room = DeferredSemaphore(_AT_ONCE)

    @property
    def sign_ins(self) -> SignIns:
        """What runs logins; made when it is asked for first."""
        if self._sign_ins is None:
            self._sign_ins = self._make_sign_ins()
        return self._sign_ins

    def stop(self) -> None:
        """The service ends: so do the doctor's visit and the streams of pages, each in order."""
        self.visits.stop()
        self.feed.close()

    async def apart(self, work: Callable[[], T]) -> T:
        """Do what waits for a disk in another thread.

        :raises GatewayFault: status 503: the ledger cannot be read.
        """
        try:
            done: T = await self._room.run(self._in_thread, work)
        except LedgerError as error:
            raise GatewayFault.of("unavailable", f"{error} (setting: ledger)", status=503) from None
        return done
