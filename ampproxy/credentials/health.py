"""Which accounts rest, for which models, why and until when. All times are handed in."""

from __future__ import annotations

import os
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple, Protocol

from twisted.internet.defer import Deferred

from ampproxy.config.schema import Account, AccountKind
from ampproxy.credentials.names import account_name
from ampproxy.credentials.outcomes import WHOLE_ACCOUNT, Verdict

#: The shortest rest.
MIN_COOLDOWN = 1.0
#: The longest that an account is left alone if there is no other, unless its vendor asked for more.
MAX_ALONE_SECONDS = 60.0
#: How soon a request looks again for an account that another one is just trying.
RECHECK = 1.0
#: No rest is counted up further than this; the interval has long reached its bound.
_MAX_FAILURES = 40
#: So many cooldowns of one account are remembered; clients may invent names of models. The one whose time is
#: over longest goes first.
MAX_COOLDOWNS = 256
#: So many conversations are remembered; the one that was silent longest goes first.
MAX_AFFINITIES = 100_000


class Identity(NamedTuple):
    """What makes an account the same one in two configurations. The key itself is not in it."""

    kind: AccountKind
    base_url: str
    digest: bytes


class Scope(NamedTuple):
    """What rests of an account: one kind of call of a model, the whole model, or (both empty) everything."""

    model: str = ""
    call: str = ""


#: The scopes that concern one request, the widest first: the account, the model, this kind of call.
Scopes = tuple[Scope, Scope, Scope]


def scopes(model: str, call: str) -> Scopes:
    """The scopes of a request."""
    return Scope(), Scope(model), Scope(model, call)


class Cooldown:
    """A pause of one account, for all that a scope covers.

    A rest does not end by itself: when its time is over, one request tries the account (it is half
    open), and only a success ends it.

    A *soft* rest is our own precaution: no limit of the vendor's. If there is no other account, it is
    broken off early: at once after a first failure, which need not mean anything, then with growing
    pauses. Without this a single failure would shut out the owner of a single account.

    :ivar until: when the account may be tried; monotonic seconds.
    :ivar since: when the last failure was counted.
    """

    __slots__ = ("_early", "failures", "half_open", "since", "until", "verdict")

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.failures = 0
        self.since = self.until = self._early = 0.0
        self.half_open = False

    @classmethod
    def of(cls, verdict: Verdict, failures: int, since: float, until: float) -> Cooldown:
        """One that another process has begun."""
        cooldown = cls(verdict)
        cooldown.failures = min(max(failures, 1), _MAX_FAILURES)
        cooldown.since, cooldown.until = since, until
        cooldown._early = min(since + cooldown._pause(), until)
        return cooldown

    def failed(self, verdict: Verdict, began: float, now: float, longest: float) -> bool:
        """Count a failure; says whether it was news.

        :param began: when the request that failed was sent. What was under way before the rest began
            says nothing new, so that ten requests that fail together count as one.
        """
        if self.failures and began <= self.since:
            return False
        self.verdict, self.since, self.half_open = verdict, now, False
        self.failures = min(self.failures + 1, _MAX_FAILURES)
        cooldown = verdict.hint
        if cooldown is None:
            cooldown = min(verdict.cooldown * 2.0 ** (self.failures - 1), verdict.longest)
        self.until = now + min(max(cooldown, MIN_COOLDOWN), longest)
        self._early = min(now + self._pause(), self.until)
        return True

    def claim(self, now: float) -> None:
        """A request tries the account."""
        self.half_open = True
        self._early = now + self._pause()

    def _pause(self) -> float:
        return 0.0 if self.failures < 2 else min(2.0 ** (self.failures - 2), MAX_ALONE_SECONDS)

    def available_at(self, now: float) -> float:
        """When this no longer stands in the way; not later than ``now`` if it does not."""
        return now + RECHECK if self.half_open else self.until

    def available_early_at(self, now: float) -> float:
        """Likewise if there is no other account."""
        verdict = self.verdict
        soft = verdict.hint is None and verdict.cooldown > MIN_COOLDOWN
        return self._early if soft else self.available_at(now)


class SeenHeaders(Protocol):
    """Response headers: ``twisted.web.http_headers.Headers``."""

    def getAllRawHeaders(self) -> Iterable[tuple[bytes, list[bytes]]]:
        """All of them."""


class Health:
    """How one account is.

    :ivar rests: what rests of it.
    :ivar proven: whether it has served a request since this process started.
    :ivar seen: headers of the last answer that told of limits, and when it came (wall time).
    """

    __slots__ = ("cooldowns", "proven", "seen", "seen_at")

    def __init__(self) -> None:
        self.cooldowns: dict[Scope, Cooldown] = {}
        self.proven = False
        self.seen: SeenHeaders | None = None
        self.seen_at = 0.0

    def cooldowns_for(self, asked: Scopes) -> list[Cooldown]:
        """The rests that stand in the way of a request."""
        return [cooldown for scope in asked if (cooldown := self.cooldowns.get(scope)) is not None]

    def available_at(self, asked: Scopes, now: float) -> float:
        """When the account may be asked; not later than ``now``: now."""
        return max((cooldown.available_at(now) for cooldown in self.cooldowns_for(asked)), default=0.0)

    def available_early_at(self, asked: Scopes, now: float) -> float:
        """When it may be asked if there is no other."""
        return max((cooldown.available_early_at(now) for cooldown in self.cooldowns_for(asked)), default=0.0)

    def failed(
        self, asked: Scopes, verdict: Verdict, began: float, now: float, longest: float
    ) -> tuple[Cooldown, bool, bool]:
        """Let it rest; gives the rest, whether the failure was news, and whether the account is back
        earlier than it was.
        """
        account, model, call = asked
        scope = account if verdict.action in WHOLE_ACCOUNT else call if verdict.per_operation else model
        cooldown = self.cooldowns.get(scope)
        if cooldown is None:
            cooldown = Cooldown(verdict)
            self.remember(scope, cooldown)
        before = cooldown.until
        news = cooldown.failed(verdict, began, now, longest)
        return cooldown, news, cooldown.until < before

    def remember(self, scope: Scope, cooldown: Cooldown) -> None:
        """Keep a cooldown, in place of the one whose time is over longest where there are too many."""
        if scope not in self.cooldowns and len(self.cooldowns) >= MAX_COOLDOWNS:
            del self.cooldowns[min(self.cooldowns, key=lambda one: self.cooldowns[one].until)]
        self.cooldowns[scope] = cooldown

    def succeeded(self, asked: Scopes, began: float) -> bool:
        """End the rests that the success disproves; says whether there was one. A request that was under way
        when a rest began proves nothing.
        """
        over = [
            scope
            for scope in asked
            if (cooldown := self.cooldowns.get(scope)) is not None and began > cooldown.since
        ]
        for scope in over:
            del self.cooldowns[scope]
        return bool(over)


class Affinity(NamedTuple):
    """Where a conversation is at home: an account, the vendor's model there, until when.

    :ivar since: when it came there.
    :ivar published: until when other processes know it to be there; 0: they do not.
    """

    identity: Identity
    model: str
    until: float
    since: float = 0.0
    published: float = 0.0


class Sharing(Protocol):
    """What tells other processes of changes: :class:`ampproxy.credentials.sharing.PoolSharing`."""

    def key(self, model: str, key: str) -> str:
        """What a conversation is known by among processes."""

    def publish_cooldowns(self, identity: Identity, scopes: Iterable[Scope]) -> None:
        """The cooldowns of these scopes have begun, changed or ended."""

    def publish_limits(self, identity: Identity) -> None:
        """An account's answer has told of its limits."""

    def publish_affinity(self, key: str, affinity: Affinity) -> None:
        """A conversation is at home there."""

    def claim(self, key: str, affinity: Affinity) -> Deferred[None]:
        """Have the processes agree on a conversation's home; it is kept when this fires. Never fails."""


class PoolState:
    """What is known of accounts and conversations; lives longer than a configuration.

    :ivar sharing: tells other processes of changes; ``None``: there are none.
    :ivar version: changes whenever the state of any account does.
    :ivar opened: changes whenever an account is well again earlier than was foreseen.
    :ivar begun: how many rests have begun, by the account's name and what was wrong.
    """

    def __init__(self) -> None:
        self._salt = os.urandom(16)
        self._health: dict[Identity, Health] = {}
        self._affinities: OrderedDict[tuple[str, str] | str, Affinity] = OrderedDict()
        self._names: dict[Identity, str] = {}
        self._named: dict[str, Identity] = {}
        self.sharing: Sharing | None = None
        self.version = 0
        self.opened = 0
        self.begun: Counter[tuple[str, str]] = Counter()

    def identity(self, account: Account) -> Identity:
        """What an account is known by: its key and its own headers, which may name an organisation; without
        a key its label.
        """
        marks = [
            account.api_key.reveal() or f" {account.label}",
            *(part for pair in account.headers for part in pair),
        ]
        whole = "\0".join(marks).encode("utf-8", "surrogatepass")
        digest = blake2b(whole, key=self._salt, digest_size=16).digest()
        identity = Identity(account.kind, account.base_url, digest)
        if identity not in self._names:
            self._names[identity] = name = account_name(account)
            self._named[name] = identity
        return identity

    def name_of(self, identity: Identity) -> str | None:
        """What an account is known by among processes; ``None``: it is not configured any more."""
        return self._names.get(identity)

    def named(self, name: str) -> Identity | None:
        """An account of that name; ``None``: there is none here."""
        return self._named.get(name)

    def accounts(self) -> Iterator[tuple[Identity, Health]]:
        """The accounts of which anything is known."""
        return iter(tuple(self._health.items()))

    def health(self, identity: Identity) -> Health:
        """An account's health: good, if nothing is known."""
        health = self._health.get(identity)
        if health is None:
            health = self._health[identity] = Health()
        return health

    def changed(self, identity: Identity, scopes: Iterable[Scope], *, opened: bool = False) -> None:
        """The cooldowns of an account have changed here.

        :param opened: whether it may be asked earlier than was foreseen.
        """
        self.version += 1
        self.opened += opened
        if self.sharing is not None:
            self.sharing.publish_cooldowns(identity, scopes)

    def reset(self, account: Account) -> None:
        """End all rests of an account: what was held against it has gone."""
        identity = self.identity(account)
        health = self._health.get(identity)
        if health is not None and health.cooldowns:
            over = tuple(health.cooldowns)
            health.cooldowns.clear()
            self.changed(identity, over, opened=True)

    def keep(self, identities: Iterable[Identity]) -> None:
        """Forget all accounts but these: the others are no longer configured."""
        kept = set(identities)
        self._health = {identity: health for identity, health in self._health.items() if identity in kept}
        self._names = {identity: name for identity, name in self._names.items() if identity in kept}
        self._named = {name: identity for identity, name in self._names.items()}

    def affinity_for(self, model: str, key: str, now: float) -> Affinity | None:
        """Where a conversation is at home."""
        known = self._affinity_key(model, key)
        affinity = self._affinities.get(known)
        if affinity is not None and affinity.until < now:
            del self._affinities[known]
            return None
        return affinity

    def keep_affinity(
        self, model: str, key: str, identity: Identity, offered: str, now: float, ttl: float
    ) -> Affinity | None:
        """Give a conversation a home, or renew it; gives the one that it had.

        :param offered: the vendor's model there.
        :param ttl: seconds until it is forgotten.
        """
        known, until = self._affinity_key(model, key), now + ttl
        before = self._affinities.get(known)
        if before is not None and before.identity == identity and before.model == offered:
            affinity = Affinity(identity, offered, until, before.since, before.published)
        else:
            affinity = Affinity(identity, offered, until, now)
        if self.sharing is not None and affinity.published < now + ttl / 2:
            affinity = affinity._replace(published=until)
            self.sharing.publish_affinity(str(known), affinity)
        self.put_affinity(known, affinity)
        return before

    def claim_affinity(
        self, model: str, key: str, identity: Identity, offered: str, now: float, ttl: float
    ) -> Deferred[None] | None:
        """Have all processes agree on the home of a conversation that has none here; ``None``: there is
        nothing to wait for.
        """
        if self.sharing is None or self.affinity_for(model, key, now) is not None:
            return None
        affinity = Affinity(identity, offered, now + ttl, now, now + ttl)
        return self.sharing.claim(self.sharing.key(model, key), affinity)

    def put_affinity(self, known: tuple[str, str] | str, affinity: Affinity) -> None:
        """Keep where a conversation is at home."""
        affinities = self._affinities
        affinities[known] = affinity
        affinities.move_to_end(known)
        if len(affinities) > MAX_AFFINITIES:
            affinities.popitem(last=False)

    def drop_affinity(self, known: str) -> None:
        """Forget where a conversation is at home."""
        self._affinities.pop(known, None)

    def affinity_of(self, known: str) -> Affinity | None:
        """Where a conversation is at home, by what it is known by among processes."""
        return self._affinities.get(known)

    def affinities(self) -> Iterator[tuple[str, Affinity]]:
        """All homes, by what the conversations are known by among processes; none without others."""
        return (
            (known, affinity) for known, affinity in tuple(self._affinities.items()) if isinstance(known, str)
        )

    def _affinity_key(self, model: str, key: str) -> tuple[str, str] | str:
        return (model, key) if self.sharing is None else self.sharing.key(model, key)
