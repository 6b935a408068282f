"""In which order a route's accounts are tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TypeVar
from zlib import crc32

from ampproxy.config.schema import Routing
from ampproxy.routing.route import Offer, Route
from ampproxy.routing.suffix import split_suffix

T = TypeVar("T")

#: Clients may invent names that a vendor's family covers; so many models keep their place.
_MAX_MODELS = 4096


class Pool:
    """Chooses among accounts that offer the same model.

    ``fill-first`` always begins with the first account of the highest priority. ``round-robin`` begins with
    the next one at each request, counted for each visible model, thinking suffix ignored. Lower
    priorities always come after higher ones. An account that offers a model under several of the vendor's
    names (an alias pool) tries them in turn before the next account is tried, and begins with another name
    at each round.
    """

    def __init__(self, routing: Routing) -> None:
        self._rotates = routing.strategy == "round-robin"
        self._sticks = routing.session_affinity
        self._wheels: dict[str, _Wheel] = {}

    def order(self, route: Route, key: str | None = None) -> Sequence[Offer]:
        """The offers of a route, in the order in which to try them.

        :param key: what names the conversation; with ``routing.session-affinity`` the same key gets the
            same order as long as the offers are the same, and does not move the others' turn.
        """
        offers = route.offers
        if len(offers) < 2 or not self._rotates:
            return offers
        wheel = self._wheel(split_suffix(route.served)[0], offers)
        if key is not None and self._sticks:
            return wheel.at(crc32(key.encode("utf-8", "surrogatepass")))
        wheel.turn += 1
        return wheel.at(wheel.turn - 1)

    def _wheel(self, model: str, offers: tuple[Offer, ...]) -> _Wheel:
        wheel = self._wheels.get(model)
        if wheel is not None and wheel.offers == offers:
            return wheel
        if len(self._wheels) >= _MAX_MODELS:
            del self._wheels[next(iter(self._wheels))]
        wheel = self._wheels[model] = _Wheel(offers)
        return wheel


class _Wheel:
    """The offers of one model: priorities, in each its accounts, of each its names."""

    __slots__ = ("_tiers", "offers", "turn")

    def __init__(self, offers: tuple[Offer, ...]) -> None:
        self.offers = offers
        self.turn = 0
        self._tiers = tuple(
            _grouped(tier, lambda offer: offer.account.label)
            for tier in _grouped(offers, lambda offer: offer.account.priority)
        )

    def at(self, turn: int) -> tuple[Offer, ...]:
        """The order at one turn: the accounts move by one each time, an account's names once a round."""
        ordered: list[Offer] = []
        for accounts in self._tiers:
            rounds = turn // len(accounts)
            for names in _rotated(accounts, turn):
                ordered += _rotated(names, rounds)
        return tuple(ordered)


def _rotated(items: tuple[T, ...], turn: int) -> tuple[T, ...]:
    start = turn % len(items)
    return items[start:] + items[:start] if start else items


def _grouped(offers: tuple[Offer, ...], by: Callable[[Offer], object]) -> tuple[tuple[Offer, ...], ...]:
    """Neighbours that are equal in ``by``, together: a route's offers come sorted."""
    return tuple(tuple(group) for _, group in groupby(offers, by))
