"""Where the page and the admin API are in the service. Until one of them is asked for, neither is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from ampproxy.dashboard.recent import Recent
from ampproxy.generation import Generation
from ampproxy.relay.record import ExchangeRecord
from ampproxy.resources.base import Branch, GatewayResource, NotFoundResource
from ampproxy.server.site import GatewayRequest

if TYPE_CHECKING:
    from ampproxy.dashboard.desk import Desk
    from ampproxy.dashboard.signing import SignIns

InThread = Callable[[Callable[[], Any]], "Deferred[Any]"]


class Dashboard:
    """The page and its API, for as long as the process runs.

    :param reactor: its clock, and what starts the doctor's process.
    :param in_thread: runs a function in another thread.
    :param wall: seconds since the epoch.
    :param live: the records that are under way.
    :param ending: whether the service ends.
    :ivar recent: hears of each exchange that has ended, and of each configuration that comes in force.
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
        self._live = live
        self._ending = ending
        self.recent = Recent(wall)
        self.desk: Desk | None = None

    def mount(self, generation: Generation) -> Branch | None:
        """What serves below ``/ampproxy`` besides the tree; ``None``: the page is switched off."""
        return Entrance(generation, self) if generation.config.page.enable else None

    def stop(self) -> None:
        """The service ends."""
        if self.desk is not None:
            self.desk.stop()

    async def load(self) -> None:
        """Load it, in a thread: it takes some tenths of a second, in which streams go on."""
        await self._in_thread(_imported)
        if self.desk is None:
            self.desk = self._make_desk()

    def _make_desk(self) -> Desk:
        from ampproxy.dashboard.desk import Books, Desk
        from ampproxy.dashboard.feed import Feed
        from ampproxy.dashboard.questions import accounts_json
        from ampproxy.dashboard.visits import Visits

        reactor, in_thread, wall, books = self._reactor, self._in_thread, self._wall, Books()
        feed = Feed(
            self.recent,
            reactor,
            wall,
            in_thread,
            lambda generation: books.of(generation.config),
            self._live,
            accounts_json,
            self._ending,
        )
        visits = Visits(getattr(reactor, "spawnProcess", None) or _no_process, reactor.callLater, wall)
        return Desk(in_thread, feed, books, visits, partial(_sign_ins, reactor, in_thread, wall))


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


def _sign_ins(reactor: Any, in_thread: InThread, wall: Callable[[], float]) -> SignIns:
    # Not at the top: its libraries are slow to load, and most users log in seldom.
    from ampproxy.dashboard.signing import SignIns

    return SignIns(reactor, in_thread, wall)


def _no_process(*_: Any, **__: Any) -> None:
    raise OSError("no process can be started here")
