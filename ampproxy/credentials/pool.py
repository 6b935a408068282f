"""Choosing among the accounts that offer a model, and remembering how each of them did.

Accounts of a higher priority come first. Within one priority ``round-robin`` begins with the next account at
each request, ``weighted-round-robin`` shares requests by the accounts' weights, ``fill-first`` begins with
the first of the file. Accounts that rest are passed over; one whose rest is over is given one request to
prove itself. A conversation stays where it is as long as it is served there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ampproxy.config.schema import Account, Routing
from ampproxy.credentials.health import Cooldown, Identity, PoolState, SeenHeaders
from ampproxy.credentials.names import account_name
from ampproxy.credentials.outcomes import COOLDOWNS, Verdict
from ampproxy.credentials.quota import HasHeader, states_limits
from ampproxy.credentials.selector import AccountSelector, Candidate
from ampproxy.routing.route import Route, RouteTarget
from ampproxy.routing.suffix import split_suffix
from ampproxy.wire.redact import printable
from ampproxy.wire.words import local_time, span

#: Clients may invent names that a vendor's family covers; so many models keep their turn.
_MAX_SELECTORS = 4096
#: So many equal tuples of offers are known by their identity: a route for each thinking suffix.
_MAX_KNOWN = 8


class AnswerHeaders(SeenHeaders, HasHeader):
    """The headers of an answer."""


def _anything(_: RouteTarget) -> bool:
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
        self._selectors: OrderedDict[
            tuple[str, str, tuple[str, ...]], tuple[AccountSelector, list[tuple[RouteTarget, ...]]]
        ] = OrderedDict()
        state.keep(state.identity(account) for account in accounts)

    def select(
        self,
        route: Route,
        *,
        key: Callable[[], str | None] | None = None,
        most: int = 0,
        call: str = "any",
        can: Callable[[RouteTarget], bool] = _anything,
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
        served = route.resolved_model
        model = split_suffix(served)[0] if served.endswith(")") else served
        selector = self._selector(model, call, route.offers, can, whose)
        sticks = key is not None and self.routing.session_affinity and selector.count > 1
        return Selection(self, selector, model, key() if sticks and key is not None else None, most)

    def all_cooling(
        self,
        route: Route,
        now: float,
        *,
        call: str = "any",
        can: Callable[[RouteTarget], bool] = _anything,
        whose: tuple[str, ...] = (),
    ) -> bool:
        """Whether all accounts of a route rest, so that none may be asked now."""
        selector = self._selector(split_suffix(route.resolved_model)[0], call, route.offers, can, whose)
        return selector.count > 0 and selector.unavailable_until(now) > now

    def selector(
        self, route: Route, call: str, can: Callable[[RouteTarget], bool], whose: tuple[str, ...] = ()
    ) -> tuple[str, AccountSelector]:
        """The model of a route by its bare name, and its accounts."""
        model = split_suffix(route.resolved_model)[0]
        return model, self._selector(model, call, route.offers, can, whose)

    def _selector(
        self,
        model: str,
        call: str,
        offers: tuple[RouteTarget, ...],
        can: Callable[[RouteTarget], bool],
        whose: tuple[str, ...],
    ) -> AccountSelector:
        found = self._selectors.get((model, call, whose))
        if found is not None:
            selector, known = found
            if offers is known[0] or any(offers is other for other in known):
                return selector
            if offers == known[0]:
                known[1:] = [offers, *known[1 : _MAX_KNOWN - 1]]
                return selector
        elif len(self._selectors) >= _MAX_SELECTORS:
            self._selectors.popitem(last=False)
        selector = AccountSelector(offers, self.state, strategy=self.routing.strategy, call=call, can=can)
        self._selectors[model, call, whose] = selector, [offers]
        return selector


class Selection:
    """One request's way through accounts: ask for the next, and say how it did.

    :ivar count: how many accounts there are.
    :ivar left: the account where the conversation was at home before this request went elsewhere.
    :ivar reported: whether the log has the last failure.
    :ivar shared: whether other processes have a say in the account of a conversation (:meth:`claim`).
    """

    __slots__ = (
        "_began",
        "_candidate",
        "_early",
        "_held",
        "_key",
        "_model",
        "_most",
        "_names",
        "_offer",
        "_pool",
        "_selector",
        "_tried",
        "count",
        "left",
        "reported",
        "shared",
    )

    def __init__(self, pool: Pool, selector: AccountSelector, model: str, key: str | None, most: int) -> None:
        self._pool = pool
        self.shared = pool.state.sharing is not None
        self._selector = selector
        self._model = model
        self._key = key
        self._most = most
        self._tried: list[Candidate] = []
        self._names: list[RouteTarget] = []
        self._candidate: Candidate | None = None
        self._offer: RouteTarget | None = None
        self._began = 0.0
        self._early = self.reported = False
        self.left: Identity | None = None
        self._held: list[Cooldown] = []
        self.count = selector.count

    def next(self, now: float) -> RouteTarget | None:
        """The account to ask now, and under which of the vendor's names; ``None``: there is none.

        Each call must be followed by one of :meth:`succeeded`, :meth:`failed` and :meth:`abandoned`.
        """
        self._early = False
        offer = None if self._candidate is None else self._another_name(now)
        offer = offer or self._another_account(now)
        self._offer, self._began = offer, now
        if offer is None or self._candidate is None:
            return None
        self._names.append(offer)
        candidate = self._candidate
        if candidate.health.cooldowns:
            self._probe(candidate, offer, now)
        if self._key is not None:
            ttl = self._pool.routing.session_affinity_ttl
            before = self._pool.state.keep_affinity(
                self._model, self._key, candidate.identity, offer.upstream_model, now, ttl
            )
            if before is not None and before.identity != candidate.identity:
                self.left = before.identity
        return offer

    def claim(self, now: float) -> Deferred[None] | None:
        """Have all processes agree on the account of a conversation that is new here, before the first
        :meth:`next`; ``None``: there is nothing to wait for.
        """
        state, key = self._pool.state, self._key
        if state.sharing is None or key is None or state.affinity_for(self._model, key, now) is not None:
            return None
        candidate = self._selector.pick(now, ())
        offer = None if candidate is None else candidate.offer(now)
        if candidate is None or offer is None:
            return None
        ttl = self._pool.routing.session_affinity_ttl
        return state.claim_affinity(self._model, key, candidate.identity, offer.upstream_model, now, ttl)

    def has_another(self, now: float) -> bool:
        """Whether there is an account to go on to that is not in cooldown."""
        if self._most and len(self._tried) >= self._most:
            return False
        return any(
            candidate not in self._tried and candidate.available_at(now) <= now
            for candidate in self._selector.candidates()
        )

    def again(self) -> None:
        """Begin anew: everybody may be asked once more."""
        self._tried.clear()
        self._names.clear()
        self._candidate = None

    def saw(self, headers: AnswerHeaders, wall: float) -> None:
        """The account answered with these headers: what they tell of limits is kept for display."""
        candidate = self._candidate
        if candidate is not None and states_limits(candidate.account.dialect, headers):
            candidate.health.seen, candidate.health.seen_at = headers, wall
            if self._pool.state.sharing is not None:
                self._pool.state.sharing.publish_limits(candidate.identity)

    def succeeded(self) -> None:
        """The account serves: whatever rest it had is over."""
        candidate, offer = self._candidate, self._offer
        if candidate is None or offer is None:
            return
        candidate.health.proven = True
        if not candidate.health.cooldowns:
            return
        asked = candidate.scopes_of(offer)
        if candidate.health.succeeded(asked, self._began):
            self._pool.state.changed(candidate.identity, asked, opened=True)
            self._pool.log.info(
                "{account} serves {model} again", account=candidate.account.label, model=offer.upstream_model
            )

    def failed(self, verdict: Verdict, now: float, wall: float) -> float:
        """The account failed; gives in how many seconds it may be asked again (0: at once).

        :param wall: seconds since the epoch, for the log.
        """
        candidate, offer = self._candidate, self._offer
        self.reported = False
        if candidate is None or offer is None:
            return 0.0
        if verdict.action not in COOLDOWNS or (candidate.account.disable_cooling and not verdict.always):
            self.abandoned()
            return 0.0
        state = self._pool.state
        asked = candidate.scopes_of(offer)
        cooldown, news, sooner = candidate.health.failed(
            asked, verdict, self._began, now, self._pool.routing.max_cooldown
        )
        self._release()
        state.changed(candidate.identity, asked, opened=sooner)
        if news:
            state.begun[account_name(candidate.account), verdict.action.name.lower()] += 1
            self.reported = True
            self._log_cooldown(candidate, offer, cooldown, now, wall)
        return max(0.0, cooldown.until - now)

    def abandoned(self) -> None:
        """Nothing was learnt of the account: the client left, or its request was at fault."""
        candidate, offer = self._candidate, self._offer
        if self._release() and candidate is not None and offer is not None:
            self._pool.state.changed(candidate.identity, candidate.scopes_of(offer), opened=True)

    def wait(self, now: float) -> float | None:
        """In how many seconds somebody may be asked; ``None``: nobody ever."""
        until = self._selector.unavailable_until(now)
        return None if self.count == 0 else max(0.0, until - now)

    def cooling(self) -> list[tuple[Account, Cooldown]]:
        """The accounts that rest, and why; those that are back first come first."""
        found = []
        for candidate in self._selector.candidates():
            cooldowns = [
                cooldown for asked in candidate.scopes for cooldown in candidate.health.cooldowns_for(asked)
            ]
            if cooldowns:
                found.append((candidate.account, max(cooldowns, key=lambda cooldown: cooldown.until)))
        found.sort(key=lambda pair: pair[1].until)
        return found

    def _another_name(self, now: float) -> RouteTarget | None:
        """Another of the vendor's names at the same account, where an alias is a pool of them."""
        candidate = self._candidate
        if candidate is None or len(candidate.offers) == 1:
            return None
        return candidate.offer(now, but=self._names)

    def _another_account(self, now: float) -> RouteTarget | None:
        tried = self._tried
        if self._most and len(tried) >= self._most:
            return None
        selector = self._selector
        if self._key is not None and not tried:
            offer = self._sticky_offer(now)
            if offer is not None:
                return offer
        candidate = selector.pick(now, tried)
        if candidate is None:
            self._early = True
            candidate = selector.pick_early(now, tried)
        if candidate is None:
            return None
        self._candidate = candidate
        tried.append(candidate)
        return candidate.offer(now, early=self._early)

    def _sticky_offer(self, now: float) -> RouteTarget | None:
        assert self._key is not None
        affinity = self._pool.state.affinity_for(self._model, self._key, now)
        candidate = None if affinity is None else self._selector.find(affinity.identity, now)
        if affinity is None or candidate is None or candidate.available_at(now) > now:
            return None
        self._candidate = candidate
        self._tried.append(candidate)
        return candidate.named(affinity.model, now) or candidate.offer(now)

    def _probe(self, candidate: Candidate, offer: RouteTarget, now: float) -> None:
        self._held = candidate.health.cooldowns_for(candidate.scopes_of(offer))
        if not self._held:
            # Only others of its models rest.
            return
        for cooldown in self._held:
            cooldown.claim(now)
        self._pool.state.changed(candidate.identity, candidate.scopes_of(offer))
        self._pool.log.info(
            "{account} is tried again for {model}{why}",
            account=candidate.account.label,
            model=offer.upstream_model,
            why=", early: every account for it is cooling down" if self._early else " after its cooldown",
        )

    def _release(self) -> bool:
        """End what :meth:`_probe` began; says whether it had."""
        held, self._held = self._held, []
        for cooldown in held:
            cooldown.half_open = False
        return bool(held)

    def _log_cooldown(
        self, candidate: Candidate, offer: RouteTarget, cooldown: Cooldown, now: float, wall: float
    ) -> None:
        verdict, seconds = cooldown.verdict, cooldown.until - now
        self._pool.log.warn(
            "{account} {reason} for {model}{said}; cooling down until {until} ({span}), failure"
            " {failures} in a row{hint}{remedy}",
            account=candidate.account.label,
            model=offer.upstream_model,
            reason=verdict.reason,
            said=f" ({printable(verdict.vendor_message)})" if verdict.vendor_message else "",
            until=local_time(wall + seconds),
            span=span(seconds),
            seconds=seconds,
            failures=cooldown.failures,
            hint="" if verdict.hint is None else f"; its vendor asks for {span(verdict.hint)}",
            remedy=f". To do: {verdict.suggestion}" if verdict.suggestion else "",
        )
