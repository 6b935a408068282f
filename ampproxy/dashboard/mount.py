"""Where the page and the admin API are in the service. Until one of them is asked for, neither is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from ampproxy.dashboard.feed import Feed
from ampproxy.dashboard.visits import Visits
from ampproxy.generation import Generation
from ampproxy.relay.record import ExchangeRecord
from ampproxy.resources.base import Branch, GatewayResource, NotFoundResource
from ampproxy.server.site import GatewayRequest

if TYPE_CHECKING:
    from ampproxy.dashboard.desk import Desk
    from ampproxy.dashboard.signing import SignIns
    from ampproxy.ledger.prices import PriceBook

InThread = Callable[[Callable[[], Any]], "Deferred[Any]"]


class Dashboard:
    """The page and its API, for as long as the process runs.

    :param reactor: its clock, and what starts the doctor's process.
    :param in_thread: runs a function in another thread.
    :param wall: seconds since the epoch.
    :param live: the records that are under way.
    :param ending: whether the service ends.
    :ivar feed: hears of each exchange that has ended, and of each configuration that comes in force.
    :ivar desk: what all of it shares; ``None`` until it is loaded.
    """

    def __init__(
        self,
        reactor: Any,
        in_thread: InThread,
        wall: Callable[[], float],
        live: Mapping[int, ExchangeRecord],
        ending: Callable[[], bool] = lambda: False,
    ) -> None:
        self._reactor = reactor
        self._in_thread = in_thread
        self._wall = wall
        self.feed = Feed(reactor, wall, in_thread, self._prices, live, _accounts, ending)
        self.visits = Visits(getattr(reactor, "spawnProcess", None) or _no_process, reactor.callLater, wall)
        self.desk: Desk | None = None

    def mount(self, generation: Generation) -> Branch | None:
        """What serves below ``/ampproxy`` besides the tree; ``None``: the page is switched off."""
        return Entrance(generation, self) if generation.config.page.enable else None

    def stop(self) -> None:
        """The service ends: so do the doctor's visit and the streams of pages, each in order."""
        self.visits.stop()
        self.feed.close()

    async def load(self) -> None:
        """Load it, in a thread: it takes some tenths of a second, in which streams go on."""
        await self._in_thread(_imported)
        if self.desk is None:
            from ampproxy.dashboard.desk import Books, Desk

            sign_ins = partial(_sign_ins, self._reactor, self._in_thread, self._wall)
            self.desk = Desk(self._in_thread, self.feed, Books(), self.visits, sign_ins)

    def _prices(self, generation: Generation) -> PriceBook | None:
        return None if self.desk is None else self.desk.books.of(generation.config)


class Entrance(Branch):
    """Finds the resources of a generation, once they are loaded."""

    def __init__(self, generation: Generation, dashboard: Dashboard) -> None:
        super().__init__(NotFoundResource(generation))
        self._generation = generation
        self._dashboard = dashboard
        self._loading = LoadingResource(generation, dashboard)

    def getChild(self, path: bytes, request: Any) -> GatewayResource:
        """What has been made already is a child by now."""
        desk = self._dashboard.desk
        if desk is None:
            return self._loading
        if not self.children:
            self._fill(desk)
            found: GatewayResource = self.getChildWithDefault(path, request)
            return found
        return self.itself

    def _fill(self, desk: Desk) -> None:
        from ampproxy.dashboard.tree import children

        for name, resource in children(self._generation, desk).items():
            self.putChild(name, resource)


class LoadingResource(GatewayResource):
    """Has a request wait until the page is loaded; then another resource admits it, and serves it."""

    opened_by_links = True

    def __init__(self, generation: Generation, dashboard: Dashboard) -> None:
        super().__init__(generation)
        self._dashboard = dashboard

    def authorize(self, request: GatewayRequest) -> Deferred[None]:
        """Nothing is loaded for who may not even ask."""
        super().authorize(request)
        return Deferred.fromCoroutine(self._find(request))

    async def _find(self, request: GatewayRequest) -> None:
        await self._dashboard.load()
        if not request.gone:
            waiting = request.find()
            if waiting is not None:
                await waiting

    def render(self, request: GatewayRequest) -> Any:
        """Never reached: another resource was found."""
        raise AssertionError


def _imported() -> None:
    from ampproxy.dashboard import tree

    assert tree


def _accounts(generation: Generation) -> bytes:
    # Only where a page watches, and then it is loaded.
    from ampproxy.dashboard.questions import accounts_json

    return accounts_json(generation)


def _sign_ins(reactor: Any, in_thread: InThread, wall: Callable[[], float]) -> SignIns:
    # Not at the top: its libraries are slow to load, and most users log in seldom.
    from ampproxy.dashboard.signing import SignIns

    return SignIns(reactor, in_thread, wall)


def _no_process(*_: Any, **__: Any) -> None:
    raise OSError("no process can be started here")
