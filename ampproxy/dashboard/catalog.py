"""The models that are served, with what is known of them; and where a request for one would go."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from ampproxy.catalog.families import Family
from ampproxy.catalog.lifecycle import day_of
from ampproxy.dashboard.shapes import (
    Explanation,
    Model,
    Models,
    OfferShown,
    Pattern,
    Price,
    Server,
)
from ampproxy.generation import Generation
from ampproxy.ledger.price import USUAL
from ampproxy.ledger.prices import PriceBook
from ampproxy.routing.catalog import Catalog, Source
from ampproxy.routing.route import RouteTarget
from ampproxy.routing.suffix import split_suffix
from ampproxy.wire.redact import printable


def models(generation: Generation, prices: PriceBook, states: Mapping[str, str]) -> Models:
    """What is served. Looks prices up, which takes a while.

    :param states: how each account is, by its label.
    """
    catalog, today = generation.router.catalog, day_of(generation.runtime.wall())
    found = tuple(_model(generation, model.id, prices, states, today) for model in catalog.models())
    return Models(found, tuple(_patterns(generation, catalog)))


def _model(
    generation: Generation, id: str, prices: PriceBook, states: Mapping[str, str], today: date
) -> Model:
    servers = [
        _server(offer, source, prices, states) for offer, source in generation.router.catalog.sourced(id)
    ]
    upstream = servers[0].name if servers else id
    family: Family = generation.families.find(split_suffix(upstream)[0])
    return Model(
        id=printable(id),
        servers=tuple(servers),
        context=family.context,
        max_output=family.max_output,
        thinks=family.thinks,
        input=family.input,
        price=_price(upstream, prices),
        retires=None if family.retires is None else family.retires.isoformat(),
        gone=family.gone(today),
        successor=family.successor,
    )


def _server(offer: RouteTarget, source: Source, prices: PriceBook, states: Mapping[str, str]) -> Server:
    label = offer.account.label
    return Server(
        label,
        printable(offer.upstream_model),
        offer.account.dialect,
        source,
        states.get(label, ""),
        prices.is_flat(label),
    )


def _price(model: str, prices: PriceBook) -> Price | None:
    found = prices.find(model, USUAL)
    return None if found is None else Price(found.input, found.cache_read, found.cache_write, found.output)


def _patterns(generation: Generation, catalog: Catalog) -> list[Pattern]:
    return [
        Pattern(pattern, account.label)
        for account in generation.config.accounts
        for pattern in catalog.families(account)
    ]


def explain(generation: Generation, asked: str, role: str, *, amp: bool) -> Explanation:
    """Where a request for a model would go.

    :param role: what Amp uses it for; empty: unknown.
    :param amp: whether it comes by one of Amp's paths.
    """
    route = generation.router.route(asked, amp=amp, role=role)
    offers = tuple(
        OfferShown(
            offer.account.label,
            printable(offer.upstream_model),
            offer.account.dialect,
            offer.account.priority,
        )
        for offer in route.offers
    )
    return Explanation(
        asked=printable(route.requested_model),
        route=route.kind.value,
        served=printable(route.resolved_model),
        role=route.role,
        thinking=route.suffix or "",
        reasons=route.reasons,
        offers=offers,
        nearest=tuple(map(printable, route.nearest)),
        suggested_config=route.suggested_config,
    )
