"""Which of the models that Amp's cloud asks for are served here, and what it costs where they are not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ampproxy.amp.connections import Served
from ampproxy.model.clients import ClientKey
from ampproxy.routing.decide import Router
from ampproxy.routing.route import Route, RouteKind
from ampproxy.routing.suffix import split_suffix
from ampproxy.tenants.tenant import Tenant, offered


@dataclass(frozen=True, slots=True)
class Split:
    """The models that Amp's cloud may ask for.

    :param here: served by an account.
    :param elsewhere: all others, as Amp names them: they stay with Amp, or with the user's other connections.
    """

    here: tuple[Served, ...]
    elsewhere: tuple[str, ...]


def cloud_route(router: Router, asked: str) -> Route:
    """Where a request of Amp's cloud goes: never to Amp."""
    return router.route(asked, amp=False, neo=True)


_HERE = (RouteKind.LOCAL, RouteKind.MAPPED)


def split(router: Router, key: ClientKey | None, models: Iterable[str]) -> Split:
    """Which of these models are served here.

    :param key: of Amp's cloud, whose ``models`` and ``accounts`` count; ``None``: it may use all.
    :param models: as Amp names them, ``provider/model``.
    """
    here: list[Served] = []
    elsewhere: list[str] = []
    for asked in models:
        found = _served(router, key, asked)
        if found is None:
            elsewhere.append(asked)
        else:
            here.append(found)
    return Split(tuple(here), tuple(elsewhere))


def _served(router: Router, key: ClientKey | None, asked: str) -> Served | None:
    route = cloud_route(router, asked)
    if route.kind not in _HERE or router.catalog.is_guess(split_suffix(route.resolved_model)[0]):
        # An error in Amp has no fallback, so a name that a vendor's list lacks is not worth a try.
        return None
    offers = route.offers
    if key is not None:
        offers = offered(Tenant("", "", key), split_suffix(route.resolved_model)[0], offers)
    return Served(asked, _name(router, asked), offers[0].account.dialect) if offers else None


def _name(router: Router, asked: str) -> str:
    """The name to ask for: without the provider's word, where that is served, too."""
    rest = asked.partition("/")[2]
    return rest if rest and cloud_route(router, rest).kind in _HERE else asked
