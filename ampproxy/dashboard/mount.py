"""What of the page and of the admin API is where below ``/ampproxy``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.web.resource import IResource

from ampproxy.dashboard.api import BASE, ROUTES, ApiResource, DocumentResource, LiveResource
from ampproxy.dashboard.desk import Books, Desk
from ampproxy.dashboard.entry import LoginResource, LogoutResource
from ampproxy.dashboard.feed import Feed
from ampproxy.dashboard.pages import VIEWS, HomeResource, StaticResource, ViewResource
from ampproxy.dashboard.questions import accounts_json
from ampproxy.dashboard.visits import Visits
from ampproxy.generation import Generation
from ampproxy.relay.record import ExchangeRecord
from ampproxy.resources.root import Branch

if TYPE_CHECKING:
    from ampproxy.dashboard.signing import SignIns

InThread = Callable[[Callable[[], Any]], "Deferred[Any]"]


class Dashboard:
    """The page and its API, for as long as the process runs.

    :param reactor: its clock, and what starts the doctor's process.
    :param in_thread: runs a function in another thread.
    :param wall: seconds since the epoch.
    :param live: the records that are under way.
    :param ending: whether the service ends.
    :ivar feed: hears of each exchange that has ended, and of each configuration that comes in force.
    """

    def __init__(
        self,
        reactor: Any,
        in_thread: InThread,
        wall: Callable[[], float],
        live: Mapping[int, ExchangeRecord],
        ending: Callable[[], bool] = lambda: False,
    ) -> None:
        books = Books()
        self.feed = Feed(
            reactor,
            wall,
            in_thread,
            lambda generation: books.of(generation.config),
            live,
            accounts_json,
            ending,
        )
        spawn = getattr(reactor, "spawnProcess", None)
        self.visits = Visits(spawn or _no_process, reactor.callLater, wall)
        sign_ins = partial(_sign_ins, reactor, in_thread, wall)
        self._desk = Desk(in_thread, self.feed, books, self.visits, sign_ins)

    def mount(self, generation: Generation) -> Mapping[bytes, IResource]:
        """What a generation has below ``/ampproxy``; nothing where the page is switched off."""
        if not generation.config.page.enable:
            return {}
        desk = self._desk
        found: dict[bytes, Any] = {
            b"live": LiveResource(generation, desk, f"{BASE}/live".encode()),
            b"openapi.json": DocumentResource(generation, desk, f"{BASE}/openapi.json".encode()),
            b"page": self._page(generation),
        }
        for route in ROUTES:
            if route.ask is None:
                continue
            first, _, rest = route.path.partition("/")
            resource = ApiResource(generation, desk, route)
            if rest:
                branch = found[first.encode()]
                if not isinstance(branch, Branch):
                    branch = found[first.encode()] = Branch(branch)
                branch.putChild(rest.encode(), resource)
            else:
                found[first.encode()] = resource
        return found

    def _page(self, generation: Generation) -> Branch:
        page = Branch(HomeResource(generation, self._desk))
        for view in VIEWS:
            page.putChild(view.name.encode(), ViewResource(generation, self._desk, view))
        page.putChild(b"static", StaticResource(generation))
        page.putChild(b"login", LoginResource(generation, self._desk))
        page.putChild(b"logout", LogoutResource(generation, self._desk))
        return page


def _sign_ins(reactor: Any, in_thread: InThread, wall: Callable[[], float]) -> SignIns:
    # Not at the top: its libraries are slow to load, and most users log in seldom.
    from ampproxy.dashboard.signing import SignIns

    return SignIns(reactor, in_thread, wall)


def _no_process(*_: Any, **__: Any) -> None:
    raise OSError("no process can be started here")
