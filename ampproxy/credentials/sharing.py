"""Cooldowns and the homes of conversations among processes (see :mod:`ampproxy.state`).

An account is known there by the name that the ledger has for it, a conversation by a digest, so that what is
shared shows neither a key nor a thread's id. Times travel as durations.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b

import msgspec
from twisted.internet.defer import Deferred, succeed

from ampproxy.credentials.health import Affinity, Cooldown, Identity, PoolState, Scope
from ampproxy.credentials.outcomes import Action, Verdict
from ampproxy.state.entries import Entry
from ampproxy.state.shared import Shared

COOLDOWN, AFFINITY, QUOTA = "cooldown", "affinity", "quota"
#: Seconds after its end for which a cooldown is remembered, for the count of failures in a row; and for which
#: it is known that one has ended.
REMEMBERED_SECONDS = 3600.0
#: Seconds for which other processes leave an account alone that one of them is just trying.
PROBE_SECONDS = 30.0
#: Seconds between two reports of an account's limits, which are for display, and for which one is worth
#: something.
QUOTA_PAUSE_SECONDS, QUOTA_SECONDS = 15.0, 86400.0
#: So many cooldowns are remembered as known to others, of all accounts together.
MOST_KNOWN = 4096
#: The headers that tell of limits (:mod:`ampproxy.credentials.quota`).
_LIMITS = ("anthropic-ratelimit-", "x-ratelimit-", "x-codex-")
#: Between the parts of a key. No name of an account or a model has it.
_BETWEEN = "\0"


class _Cooldown(msgspec.Struct, array_like=True):
    """A cooldown as it travels. Its end is the entry's, but for :data:`REMEMBERED_SECONDS`."""

    action: str
    reason: str
    cooldown: float
    longest: float
    hint: float | None
    suggestion: str
    always: bool
    per_operation: bool
    vendor_message: str
    failures: int


class _Affinity(msgspec.Struct, array_like=True):
    """A conversation's home as it travels. It is forgotten when the entry ends."""

    account: str
    model: str


_encode = msgspec.msgpack.Encoder().encode
_cooldown = msgspec.msgpack.Decoder(_Cooldown).decode
_headers = msgspec.msgpack.Decoder(dict[str, str]).decode
_affinity = msgspec.msgpack.Decoder(_Affinity).decode
#: What another version may have written.
_BAD = (msgspec.MsgspecError, KeyError, UnicodeDecodeError, RecursionError)


def share_pool(
    state: PoolState, shared: Shared, seconds: Callable[[], float], wall: Callable[[], float] = time.time
) -> None:
    """Have what is known of accounts and conversations be known to all processes; before any of it is.

    :param seconds: the clock of the cooldowns.
    :param wall: seconds since the epoch.
    """
    if shared.active:
        state.sharing = PoolSharing(state, shared, seconds, wall)


class PoolSharing:
    """Publishes what changes here; implements :class:`ampproxy.credentials.health.Sharing`."""

    def __init__(
        self, state: PoolState, shared: Shared, seconds: Callable[[], float], wall: Callable[[], float]
    ) -> None:
        self._shared = shared
        self._seconds = seconds
        self._limits = QuotaTopic(state, wall)
        self._reported: dict[Identity, float] = {}
        shared.subscribe(QUOTA, self._limits)
        self._cooldowns = CooldownTopic(state, seconds)
        self._affinities = AffinityTopic(state, seconds)
        shared.subscribe(COOLDOWN, self._cooldowns)
        shared.subscribe(AFFINITY, self._affinities)

    def key(self, model: str, key: str) -> str:
        text = f"{model}{_BETWEEN}{key}".encode("utf-8", "surrogatepass")
        return blake2b(text, digest_size=16).hexdigest()

    def publish_cooldowns(self, identity: Identity, scopes: Iterable[Scope]) -> None:
        for scope in scopes:
            entry = self._cooldowns.entry(identity, scope)
            if entry is not None:
                self._shared.publish(entry.kind, entry.key, entry.value, entry.ttl)

    def publish_limits(self, identity: Identity) -> None:
        """See :class:`~ampproxy.credentials.health.Sharing`; not with every answer."""
        now = self._seconds()
        if now - self._reported.get(identity, -QUOTA_PAUSE_SECONDS) < QUOTA_PAUSE_SECONDS:
            return
        entry = self._limits.entry(identity)
        if entry is not None:
            self._reported[identity] = now
            self._shared.publish(entry.kind, entry.key, entry.value, entry.ttl)

    def publish_affinity(self, key: str, affinity: Affinity) -> None:
        entry = self._affinities.entry(key, affinity)
        if entry is not None:
            self._shared.publish(entry.kind, entry.key, entry.value, entry.ttl)

    def claim(self, key: str, affinity: Affinity) -> Deferred[None]:
        entry = self._affinities.entry(key, affinity)
        if entry is None or entry.value is None:
            return succeed(None)
        claimed = self._shared.claim(entry.kind, entry.key, entry.value, entry.ttl)
        return claimed.addCallback(
            lambda value: self._affinities.apply(Entry(AFFINITY, key, value, entry.ttl))
        )


class CooldownTopic:
    """The cooldowns of all accounts; a key is an account's name, a model and a kind of call."""

    def __init__(self, state: PoolState, seconds: Callable[[], float]) -> None:
        self._state = state
        self._seconds = seconds
        #: Those that others know of, so that they hear of their end; the newest last.
        self._known: dict[tuple[Identity, Scope], None] = {}

    def entry(self, identity: Identity, scope: Scope) -> Entry | None:
        """How a scope of an account is now; ``None``: it is well, as others know."""
        name = self._state.name_of(identity)
        if name is None:
            return None
        key = _BETWEEN.join((name, *scope))
        cooldown = self._state.health(identity).cooldowns.get(scope)
        if cooldown is not None:
            self._note((identity, scope))
            return self._entry(key, cooldown)
        if (identity, scope) not in self._known:
            return None
        del self._known[identity, scope]
        return Entry(COOLDOWN, key, None, REMEMBERED_SECONDS)

    def _note(self, one: tuple[Identity, Scope]) -> None:
        """Others know of it. Of what is forgotten here they do not hear: their entries expire."""
        self._known.pop(one, None)
        if len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[one] = None

    def apply(self, entry: Entry) -> None:
        """See :class:`~ampproxy.state.shared.Topic`."""
        found = self._place(entry.key)
        if found is None:
            return
        identity, scope = found
        cooldowns = self._state.health(identity).cooldowns
        before = cooldowns.get(scope)
        if entry.value is None:
            cooldowns.pop(scope, None)
            self._known.pop(found, None)
        else:
            try:
                self._state.health(identity).remember(scope, self._read(_cooldown(entry.value), entry))
            except _BAD:
                return
            self._note(found)
        after = cooldowns.get(scope)
        self._state.version += 1
        self._state.opened += before is not None and (after is None or after.until < before.until)

    def age(self, key: str) -> float | None:
        """See :class:`~ampproxy.state.shared.Topic`."""
        found = self._place(key)
        cooldown = None if found is None else self._state.health(found[0]).cooldowns.get(found[1])
        return None if cooldown is None else max(0.0, self._seconds() - cooldown.since)

    def entries(self) -> Iterator[Entry]:
        """See :class:`~ampproxy.state.shared.Topic`."""
        for identity, health in self._state.accounts():
            for scope in tuple(health.cooldowns):
                entry = self.entry(identity, scope)
                if entry is not None and entry.value is not None:
                    yield msgspec.structs.replace(
                        entry, age=max(0.0, self._seconds() - health.cooldowns[scope].since)
                    )

    def _place(self, key: str) -> tuple[Identity, Scope] | None:
        name, *scope = key.split(_BETWEEN)
        identity = self._state.named(name)
        return None if identity is None or len(scope) != 2 else (identity, Scope(*scope))

    def _entry(self, key: str, cooldown: Cooldown) -> Entry:
        verdict, now = cooldown.verdict, self._seconds()
        until = max(cooldown.until, now + PROBE_SECONDS) if cooldown.half_open else cooldown.until
        left = max(0.0, until - now)
        value = _Cooldown(
            verdict.action.name,
            verdict.reason,
            verdict.cooldown,
            verdict.longest,
            verdict.hint,
            verdict.suggestion,
            verdict.always,
            verdict.per_operation,
            verdict.vendor_message,
            cooldown.failures,
        )
        return Entry(COOLDOWN, key, _encode(value), left + REMEMBERED_SECONDS)

    def _read(self, read: _Cooldown, entry: Entry) -> Cooldown:
        verdict = Verdict(
            action=Action[read.action],
            reason=read.reason,
            cooldown=read.cooldown,
            longest=read.longest,
            hint=read.hint,
            suggestion=read.suggestion,
            always=read.always,
            per_operation=read.per_operation,
            vendor_message=read.vendor_message,
        )
        now = self._seconds()
        return Cooldown.of(verdict, read.failures, now - entry.age, now + entry.ttl - REMEMBERED_SECONDS)


class _Reported:
    """Headers that another process has seen; a :class:`~ampproxy.credentials.health.SeenHeaders`."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def getAllRawHeaders(self) -> Iterable[tuple[bytes, list[bytes]]]:
        for name, text in self._headers.items():
            yield name.encode("latin-1", "replace"), [text.encode("latin-1", "replace")]


class QuotaTopic:
    """What the vendors' answers told of accounts' limits, for display; a key is an account's name."""

    def __init__(self, state: PoolState, wall: Callable[[], float]) -> None:
        self._state = state
        self._wall = wall

    def entry(self, identity: Identity) -> Entry | None:
        """The limits as they travel; ``None``: nothing is known."""
        health, name = self._state.health(identity), self._state.name_of(identity)
        if health.seen is None or name is None:
            return None
        headers = {
            lower: values[-1].decode("latin-1")
            for header, values in health.seen.getAllRawHeaders()
            if (lower := header.decode("latin-1").lower()).startswith(_LIMITS)
        }
        age = max(0.0, self._wall() - health.seen_at)
        return Entry(QUOTA, name, _encode(headers), max(0.0, QUOTA_SECONDS - age), age)

    def apply(self, entry: Entry) -> None:
        """See :class:`~ampproxy.state.shared.Topic`."""
        identity = self._state.named(entry.key)
        if identity is None or entry.value is None:
            return
        try:
            headers = _headers(entry.value)
        except _BAD:
            return
        health = self._state.health(identity)
        health.seen = _Reported(headers)
        health.seen_at = self._wall() - entry.age

    def age(self, key: str) -> float | None:
        """See :class:`~ampproxy.state.shared.Topic`."""
        identity = self._state.named(key)
        health = None if identity is None else self._state.health(identity)
        return None if health is None or health.seen is None else max(0.0, self._wall() - health.seen_at)

    def entries(self) -> Iterator[Entry]:
        """See :class:`~ampproxy.state.shared.Topic`."""
        for identity, _ in self._state.accounts():
            entry = self.entry(identity)
            if entry is not None:
                yield entry


class AffinityTopic:
    """The homes of conversations; a key is a conversation's digest."""

    def __init__(self, state: PoolState, seconds: Callable[[], float]) -> None:
        self._state = state
        self._seconds = seconds

    def entry(self, key: str, affinity: Affinity) -> Entry | None:
        """A home as it travels; ``None``: its account is not configured any more."""
        left = affinity.until - self._seconds()
        name = self._state.name_of(affinity.identity)
        if name is None or left <= 0:
            return None
        return Entry(AFFINITY, key, _encode(_Affinity(name, affinity.model)), left)

    def apply(self, entry: Entry) -> None:
        """See :class:`~ampproxy.state.shared.Topic`."""
        if entry.value is None:
            self._state.drop_affinity(entry.key)
            return
        try:
            read = _affinity(entry.value)
        except _BAD:
            return
        identity, now = self._state.named(read.account), self._seconds()
        if identity is not None:
            until = now + entry.ttl
            self._state.put_affinity(entry.key, Affinity(identity, read.model, until, now - entry.age, until))

    def age(self, key: str) -> float | None:
        """See :class:`~ampproxy.state.shared.Topic`."""
        affinity = self._state.affinity_of(key)
        return None if affinity is None else max(0.0, self._seconds() - affinity.since)

    def entries(self) -> Iterator[Entry]:
        """See :class:`~ampproxy.state.shared.Topic`."""
        for key, affinity in self._state.affinities():
            entry = self.entry(key, affinity)
            if entry is not None:
                yield msgspec.structs.replace(entry, age=max(0.0, self._seconds() - affinity.since))
