"""The accounts of one model, and whose turn it is.

A choice costs the same for three accounts and for a thousand: who rests is taken out of the ring when it
is met there, and comes back when its time is over; each of these happens once a rest.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterable
from heapq import heappop, heappush
from itertools import groupby
from typing import Literal, TypeAlias

from ampproxy.config.schema import Account
from ampproxy.credentials.health import Health, Identity, PoolState, Scopes, scopes
from ampproxy.routing.route import RouteTarget
from ampproxy.routing.suffix import split_suffix

_NEVER = float("inf")
Strategy: TypeAlias = Literal["round-robin", "weighted-round-robin", "fill-first"]


class Candidate:
    """An account as one model has it.

    :ivar offers: the vendor's names that serve the model there: several where an alias is a pool.
    :ivar scopes: of each of them, what may rest. A thinking suffix makes no other model of it.
    """

    __slots__ = ("_turn", "account", "health", "identity", "offers", "scopes", "tier")

    def __init__(
        self, account: Account, offers: tuple[RouteTarget, ...], state: PoolState, call: str
    ) -> None:
        self.account = account
        self.offers = offers
        self.scopes = tuple(scopes(split_suffix(offer.upstream_model)[0], call) for offer in offers)
        self.identity: Identity = state.identity(account)
        self.health: Health = state.health(self.identity)
        self.tier = 0
        self._turn = 0

    def available_at(self, now: float) -> float:
        """When it may be asked; not later than ``now``: now."""
        health = self.health
        if not health.cooldowns:
            return 0.0
        return min(health.available_at(asked, now) for asked in self.scopes)

    def available_early_at(self, now: float) -> float:
        """When it may be asked if there is no other account."""
        return min(self.health.available_early_at(asked, now) for asked in self.scopes)

    def offer(
        self, now: float, *, early: bool = False, but: Collection[RouteTarget] = ()
    ) -> RouteTarget | None:
        """The name whose turn it is among those that may be asked for; ``None``: none may."""
        offers, scopes_, health = self.offers, self.scopes, self.health
        if len(offers) == 1 and not health.cooldowns:
            return None if but else offers[0]
        at = health.available_early_at if early else health.available_at
        for step in range(len(offers)):
            index = (self._turn + step) % len(offers)
            if offers[index] not in but and at(scopes_[index], now) <= now:
                self._turn = index + 1
                return offers[index]
        return None

    def scopes_of(self, offer: RouteTarget) -> Scopes:
        """What of the account a request by this offer concerns."""
        return self.scopes[self.offers.index(offer)]

    def named(self, model: str, now: float) -> RouteTarget | None:
        """The offer of one of the vendor's names, if it may be asked for."""
        for offer, asked in zip(self.offers, self.scopes, strict=True):
            if offer.upstream_model == model and self.health.available_at(asked, now) <= now:
                return offer
        return None


class PriorityTier:
    """The accounts of one priority, those that may be asked in a ring.

    :param rotates: begin behind the last choice; else at the first account.
    """

    __slots__ = ("_next", "_ready", "_rotates", "_waiting", "candidates")

    def __init__(self, candidates: tuple[Candidate, ...], *, rotates: bool) -> None:
        self.candidates = candidates
        self._rotates = rotates
        self._next = 0
        self.refill()

    def refill(self) -> None:
        """Look at everybody anew."""
        self._ready = list(range(len(self.candidates)))
        self._waiting: list[tuple[float, int]] = []

    def wake(self, now: float) -> None:
        """Put those back whose time is over."""
        waiting = self._waiting
        while waiting and waiting[0][0] <= now:
            insort(self._ready, heappop(waiting)[1])

    def pick(self, now: float, tried: Collection[Candidate]) -> Candidate | None:
        """The next account that may be asked and was not; ``None``: there is none."""
        if self._waiting:
            self.wake(now)
        ready, candidates = self._ready, self.candidates
        at, left = bisect_left(ready, self._next), len(ready)
        while left:
            left -= 1
            at = at if at < len(ready) else 0
            candidate = candidates[ready[at]]
            available_at = candidate.available_at(now)
            if available_at > now:
                heappush(self._waiting, (available_at, ready.pop(at)))
            elif candidate in tried:
                at += 1
            else:
                if self._rotates:
                    self._next = ready[at] + 1
                return candidate
        return None

    def is_open(self, now: float) -> bool:
        """Whether anybody here may be asked."""
        self.wake(now)
        ready = self._ready
        while ready:
            available_at = self.candidates[ready[-1]].available_at(now)
            if available_at <= now:
                return True
            heappush(self._waiting, (available_at, ready.pop()))
        return False

    def has_well(self, now: float) -> bool:
        """Whether anybody here may be asked who does not rest at all."""
        return self.is_open(now) and any(not self.candidates[place].health.cooldowns for place in self._ready)


class WeightedTier(PriorityTier):
    """Accounts of one priority that are asked in proportion to their weights: smooth weighted round robin.

    At each choice every account that may be asked earns its weight, and the one that has earned most serves
    and pays what all earned. One of weight 5 among two of weight 1 so serves five times of seven, and never
    five times in a row. An account that rests earns nothing, so that it comes back without arrears. A choice
    looks at every account of the tier.
    """

    __slots__ = ("_earned",)

    def __init__(self, candidates: tuple[Candidate, ...]) -> None:
        super().__init__(candidates, rotates=False)
        self._earned = [0] * len(candidates)

    def pick(self, now: float, tried: Collection[Candidate]) -> Candidate | None:
        self.wake(now)
        self._set_aside(now)
        candidates, earned = self.candidates, self._earned
        ready = [place for place in self._ready if candidates[place] not in tried]
        if not ready:
            return None
        total = 0
        for place in ready:
            weight = candidates[place].account.weight
            earned[place] += weight
            total += weight
        chosen = max(ready, key=earned.__getitem__)
        earned[chosen] -= total
        return candidates[chosen]

    def _set_aside(self, now: float) -> None:
        """Take those out who rest."""
        opens = [(self.candidates[place].available_at(now), place) for place in self._ready]
        self._ready = [place for available_at, place in opens if available_at <= now]
        for available_at, place in opens:
            if available_at > now:
                heappush(self._waiting, (available_at, place))


class AccountSelector:
    """All accounts that serve one model, by priority.

    :param offers: as a route has them: best priority first.
    :param strategy: as ``routing.strategy`` says it.
    :param call: what kind of call is asked for.
    :param can: whether an offer's account has such a call at all.
    """

    def __init__(
        self,
        offers: Iterable[RouteTarget],
        state: PoolState,
        *,
        strategy: Strategy,
        call: str,
        can: Callable[[RouteTarget], bool],
    ) -> None:
        self._state = state
        self._opened = state.opened
        tiers = []
        able = [offer for offer in offers if can(offer)]
        for _, tier in groupby(able, lambda offer: offer.account.priority):
            grouped = (tuple(names) for _, names in groupby(tier, lambda offer: offer.account.label))
            candidates = tuple(Candidate(names[0].account, names, state, call) for names in grouped)
            tiers.append(_tier(candidates, strategy))
        self.tiers = tuple(tiers)
        self.count = sum(len(tier.candidates) for tier in tiers)
        self._by_identity: dict[Identity, Candidate] = {}
        for number, tier_ in enumerate(tiers):
            for candidate in tier_.candidates:
                candidate.tier = number
                self._by_identity.setdefault(candidate.identity, candidate)
        #: The version of the state that was looked at, and when somebody may be asked at the earliest.
        self._closed: tuple[int, float] = (-1, 0.0)

    def candidates(self) -> Iterable[Candidate]:
        """All accounts, in the order in which they come without rests."""
        return (candidate for tier in self.tiers for candidate in tier.candidates)

    def pick(self, now: float, tried: Collection[Candidate]) -> Candidate | None:
        """The account whose turn it is, of the best priority that has any that may be asked."""
        for tier in self.tiers if self._opened == self._state.opened else self._fresh():
            candidate = tier.pick(now, tried)
            if candidate is not None:
                return candidate
        return None

    def pick_early(self, now: float, tried: Collection[Candidate]) -> Candidate | None:
        """Where nobody may be asked: the first whose rest may be broken off, in order of priority."""
        if self._early_until(now) > now:
            return None
        return next(
            (
                candidate
                for candidate in self.candidates()
                if candidate not in tried and candidate.available_early_at(now) <= now
            ),
            None,
        )

    def unavailable_until(self, now: float) -> float:
        """When the first of them may be asked, early if need be; not later than ``now``: now."""
        return now if any(tier.is_open(now) for tier in self._fresh()) else self._early_until(now)

    def _fresh(self) -> tuple[PriorityTier, ...]:
        """The tiers, refilled if somebody is well again earlier than was foreseen."""
        if self._opened != self._state.opened:
            self._opened = self._state.opened
            for tier in self.tiers:
                tier.refill()
        return self.tiers

    def _early_until(self, now: float) -> float:
        version, until = self._closed
        if version != self._state.version or until <= now:
            until = min(
                (candidate.available_early_at(now) for candidate in self.candidates()), default=_NEVER
            )
            self._closed = self._state.version, until
        return until

    def find(self, identity: Identity, now: float) -> Candidate | None:
        """An account where a conversation is at home, unless a better priority serves again."""
        candidate = self._by_identity.get(identity)
        if candidate is None or any(tier.has_well(now) for tier in self._fresh()[: candidate.tier]):
            return None
        return candidate


def _tier(candidates: tuple[Candidate, ...], strategy: Strategy) -> PriorityTier:
    if strategy == "weighted-round-robin":
        return WeightedTier(candidates)
    return PriorityTier(candidates, rotates=strategy == "round-robin")
