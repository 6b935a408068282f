"""Choosing among the accounts that offer a model, and remembering how each of them did.

Accounts of a higher priority come first. Within one priority ``round-robin`` begins with the next account at
each request, ``weighted-round-robin`` shares requests by the accounts' weights, ``fill-first`` begins with
the first of the file. Accounts that rest are passed over; one whose rest is over is given one request to
prove itself. A conversation stays where it is as long as it is served there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from twisted.logger import Logger

from ampproxy.config.schema import Account, Routing
from ampproxy.credentials.health import Binding, Identity, PoolState, Rest, SeenHeaders
from ampproxy.credentials.names import account_name
from ampproxy.credentials.outcomes import RESTS, Verdict
from ampproxy.credentials.quota import HasHeader, tells_limits
from ampproxy.credentials.wheel import Entry, Wheel
from ampproxy.routing.route import Offer, Route
from ampproxy.routing.suffix import split_suffix
from ampproxy.wire.redact import printable
from ampproxy.wire.words import local_time, span

#: Clients may invent names that a vendor's family covers; so many models keep their turn.
_MAX_WHEELS = 4096
#: So many equal tuples of offers are known by their identity: a route for each thinking suffix.
_MAX_KNOWN = 8


class AnswerHeaders(SeenHeaders, HasHeader):
    """The headers of an answer."""


def _anything(_: Offer) -> bool:
    return True


class Pool:
    """Chooses among the accounts of one configuration.

    :param state: what was learnt of accounts and conversations; a reload hands it on.
    :param log: is told when an account begins to rest, is tried again, and is well again.
    """

    def __init__(
        self, routing: Routing, accounts: Iterable[Account], state: PoolState, log: Logger | None = None
    ) -> None:
        self.state = state
        self.routing = routing
        self.log = Logger(namespace="ampproxy") if log is None else log
        self._wheels: OrderedDict[tuple[str, str, tuple[str, ...]], tuple[Wheel, list[tuple[Offer, ...]]]] = (
            OrderedDict()
        )
        state.keep(state.identity(account) for account in accounts)

    def select(
        self,
        route: Route,
        *,
        key: Callable[[], str | None] | None = None,
        most: int = 0,
        call: str = "any",
        can: Callable[[Offer], bool] = _anything,
        whose: tuple[str, ...] = (),
    ) -> Selection:
        """One request's way through the accounts of a route.

        :param key: gives what names the conversation; asked only where there is a choice.
        :param most: how many accounts may be tried; 0 for all.
        :param call: what kind of call it is; each has its turn.
        :param can: whether an account can serve this kind at all.
        :param whose: tells clients apart that have other accounts of the model than others; they take turns
            among their own.
        """
        served = route.served
        model = split_suffix(served)[0] if served.endswith(")") else served
        wheel = self._wheel(model, call, route.offers, can, whose)
        sticks = key is not None and self.routing.session_affinity and wheel.count > 1
        return Selection(self, wheel, model, key() if sticks and key is not None else None, most)

    def rests(
        self,
        route: Route,
        now: float,
        *,
        call: str = "any",
        can: Callable[[Offer], bool] = _anything,
        whose: tuple[str, ...] = (),
    ) -> bool:
        """Whether all accounts of a route rest, so that none may be asked now."""
        wheel = self._wheel(split_suffix(route.served)[0], call, route.offers, can, whose)
        return wheel.count > 0 and wheel.closed_until(now) > now

    def wheel(
        self, route: Route, call: str, can: Callable[[Offer], bool], whose: tuple[str, ...] = ()
    ) -> tuple[str, Wheel]:
        """The model of a route by its bare name, and its accounts."""
        model = split_suffix(route.served)[0]
        return model, self._wheel(model, call, route.offers, can, whose)

    def _wheel(
        self,
        model: str,
        call: str,
        offers: tuple[Offer, ...],
        can: Callable[[Offer], bool],
        whose: tuple[str, ...],
    ) -> Wheel:
        found = self._wheels.get((model, call, whose))
        if found is not None:
            wheel, known = found
            if offers is known[0] or any(offers is other for other in known):
                return wheel
            if offers == known[0]:
                known[1:] = [offers, *known[1 : _MAX_KNOWN - 1]]
                return wheel
        elif len(self._wheels) >= _MAX_WHEELS:
            self._wheels.popitem(last=False)
        wheel = Wheel(offers, self.state, strategy=self.routing.strategy, call=call, can=can)
        self._wheels[model, call, whose] = wheel, [offers]
        return wheel


class Selection:
    """One request's way through accounts: ask for the next, and say how it did.

    :ivar count: how many accounts there are.
    :ivar left: the account where the conversation was at home before this request went elsewhere.
    :ivar told: whether the log has been told of the last failure.
    """

    __slots__ = (
        "_began",
        "_early",
        "_entry",
        "_held",
        "_key",
        "_model",
        "_most",
        "_names",
        "_offer",
        "_pool",
        "_tried",
        "_wheel",
        "count",
        "left",
        "told",
    )

    def __init__(self, pool: Pool, wheel: Wheel, model: str, key: str | None, most: int) -> None:
        self._pool = pool
        self._wheel = wheel
        self._model = model
        self._key = key
        self._most = most
        self._tried: list[Entry] = []
        self._names: list[Offer] = []
        self._entry: Entry | None = None
        self._offer: Offer | None = None
        self._began = 0.0
        self._early = self.told = False
        self.left: Identity | None = None
        self._held: list[Rest] = []
        self.count = wheel.count

    def next(self, now: float) -> Offer | None:
        """The account to ask now, and under which of the vendor's names; ``None``: there is none.

        Each call must be followed by one of :meth:`succeeded`, :meth:`failed` and :meth:`abandoned`.
        """
        self._early = False
        offer = None if self._entry is None else self._another_name(now)
        offer = offer or self._another_account(now)
        self._offer, self._began = offer, now
        if offer is None or self._entry is None:
            return None
        self._names.append(offer)
        entry = self._entry
        if entry.health.rests:
            self._probe(entry, offer, now)
        if self._key is not None:
            until = now + self._pool.routing.session_affinity_ttl
            binding = Binding(entry.identity, offer.upstream_model, until)
            before = self._pool.state.bind(self._model, self._key, binding)
            if before is not None and before.identity != entry.identity:
                self.left = before.identity
        return offer

    def again(self) -> None:
        """Begin anew: everybody may be asked once more."""
        self._tried.clear()
        self._names.clear()
        self._entry = None

    def saw(self, headers: AnswerHeaders, wall: float) -> None:
        """The account answered with these headers: what they tell of limits is kept for display."""
        entry = self._entry
        if entry is not None and tells_limits(entry.account.dialect, headers):
            entry.health.seen, entry.health.seen_at = headers, wall

    def succeeded(self) -> None:
        """The account serves: whatever rest it had is over."""
        entry, offer = self._entry, self._offer
        if entry is None or offer is None:
            return
        entry.health.proven = True
        if not entry.health.rests:
            return
        if entry.health.succeeded(entry.scopes_of(offer), self._began):
            state = self._pool.state
            state.version += 1
            state.opened += 1
            self._pool.log.info(
                "{account} serves {model} again", account=entry.account.label, model=offer.upstream_model
            )

    def failed(self, verdict: Verdict, now: float, wall: float) -> float:
        """The account failed; gives in how many seconds it may be asked again (0: at once).

        :param wall: seconds since the epoch, for the log.
        """
        entry, offer = self._entry, self._offer
        self.told = False
        if entry is None or offer is None:
            return 0.0
        if verdict.action not in RESTS or (entry.account.disable_cooling and not verdict.always):
            self.abandoned()
            return 0.0
        state = self._pool.state
        rest, news, sooner = entry.health.failed(
            entry.scopes_of(offer), verdict, self._began, now, self._pool.routing.max_cooldown
        )
        self._release()
        state.version += 1
        state.opened += sooner
        if news:
            state.begun[account_name(entry.account), verdict.action.name.lower()] += 1
            self.told = True
            self._tell(entry, offer, rest, now, wall)
        return max(0.0, rest.until - now)

    def abandoned(self) -> None:
        """Nothing was learnt of the account: the client left, or its request was at fault."""
        if self._release():
            self._pool.state.version += 1
            self._pool.state.opened += 1

    def wait(self, now: float) -> float | None:
        """In how many seconds somebody may be asked; ``None``: nobody ever."""
        until = self._wheel.closed_until(now)
        return None if self.count == 0 else max(0.0, until - now)

    def resting(self, now: float) -> list[tuple[Account, Rest]]:
        """The accounts that rest, and why; those that are back first come first."""
        found = []
        for entry in self._wheel.entries():
            rests = [rest for asked in entry.scopes for rest in entry.health.rests_for(asked)]
            if rests:
                found.append((entry.account, max(rests, key=lambda rest: rest.until)))
        found.sort(key=lambda pair: pair[1].until)
        return found

    def _another_name(self, now: float) -> Offer | None:
        """Another of the vendor's names at the same account, where an alias is a pool of them."""
        entry = self._entry
        if entry is None or len(entry.offers) == 1:
            return None
        return entry.offer(now, but=self._names)

    def _another_account(self, now: float) -> Offer | None:
        tried = self._tried
        if self._most and len(tried) >= self._most:
            return None
        wheel = self._wheel
        if self._key is not None and not tried:
            offer = self._at_home(now)
            if offer is not None:
                return offer
        entry = wheel.pick(now, tried)
        if entry is None:
            self._early = True
            entry = wheel.pick_early(now, tried)
        if entry is None:
            return None
        self._entry = entry
        tried.append(entry)
        return entry.offer(now, early=self._early)

    def _at_home(self, now: float) -> Offer | None:
        assert self._key is not None
        binding = self._pool.state.bound(self._model, self._key, now)
        entry = None if binding is None else self._wheel.find(binding.identity, now)
        if binding is None or entry is None or entry.open_at(now) > now:
            return None
        self._entry = entry
        self._tried.append(entry)
        return entry.named(binding.model, now) or entry.offer(now)

    def _probe(self, entry: Entry, offer: Offer, now: float) -> None:
        self._held = entry.health.rests_for(entry.scopes_of(offer))
        for rest in self._held:
            rest.claim(now)
        self._pool.state.version += 1
        self._pool.log.info(
            "{account} is tried again for {model}{why}",
            account=entry.account.label,
            model=offer.upstream_model,
            why=", early: every account for it is cooling down" if self._early else " after its cooldown",
        )

    def _release(self) -> bool:
        """End what :meth:`_probe` began; says whether it had."""
        held, self._held = self._held, []
        for rest in held:
            rest.probing = False
        return bool(held)

    def _tell(self, entry: Entry, offer: Offer, rest: Rest, now: float, wall: float) -> None:
        verdict, seconds = rest.verdict, rest.until - now
        self._pool.log.warn(
            "{account} {reason} for {model}{said}; cooling down until {until} ({span}), failure"
            " {failures} in a row{hint}{remedy}",
            account=entry.account.label,
            model=offer.upstream_model,
            reason=verdict.reason,
            said=f" ({printable(verdict.said)})" if verdict.said else "",
            until=local_time(wall + seconds),
            span=span(seconds),
            seconds=seconds,
            failures=rest.failures,
            hint="" if verdict.hint is None else f"; its vendor asks for {span(verdict.hint)}",
            remedy=f". To do: {verdict.remedy}" if verdict.remedy else "",
        )
