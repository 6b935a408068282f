"""Amp's own keys as what clients present: whose each of them is, by Amp's word.

A key that Amp's login has handed to a client is not one of the gateway's. Amp alone can say whose it is, and
it is asked once for each key; what it said is believed for a while. Keys are kept as keyed digests only.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from typing import TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.http_headers import Headers

from ampproxy.errors import ClientFault, ExchangeError, UpstreamFault
from ampproxy.model.base import Value
from ampproxy.relay.forward import Sends
from ampproxy.upstream.body import BytesProducer, collect
from ampproxy.upstream.failures import explain

#: Seconds for which Amp's word is believed: that a key is good; that it is not.
GOOD_FOR = 900.0
BAD_FOR = 60.0
#: Seconds for which a key that was good goes on being so while Amp cannot be asked.
GRACE = 3600.0
#: Seconds until Amp is asked again that could not be: about a key that was good; about one that is new.
PAUSE = 30.0
PAUSE_NEW = 5.0
#: So many keys are remembered, good ones and bad ones.
MAX_KEYS = 256
#: So many keys that are new are asked about in a minute, from one peer and from all others than this machine:
#: whoever tries keys tries Amp's patience with us.
NEW_A_MINUTE = 20
NEW_FROM_ELSEWHERE = 100
#: Who asks from this machine.
HERE = ""
#: Seconds that Amp has to answer, and the most bytes of the answer.
TIMEOUT = 15.0
_MAX_ANSWER_BYTES = 1024 * 1024

_QUESTION = b'{"method":"getUserInfo","params":{}}'


class AmpUser(Value, frozen=True):
    """Whose key it is.

    :param id: Amp's id of the user.
    :param email: empty if Amp does not tell.
    """

    id: str
    email: str

    @property
    def label(self) -> str:
        """How the log names the user: nothing in it is secret."""
        return "amp:" + re.sub(r"[^A-Za-z0-9@._+-]", "_", self.email or self.id)[:100]


class _User(msgspec.Struct):
    id: str
    email: str = ""


class _Error(msgspec.Struct):
    code: str = ""


class _Answer(msgspec.Struct):
    ok: bool = False
    result: _User | None = None
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Answer).decode


class _Good(msgspec.Struct):
    user: AmpUser
    until: float
    at_most: float


class _Budget:
    """How many new keys were asked about in the last minute, by whom. Bounded by what it lets through."""

    def __init__(self) -> None:
        self._spent: dict[str, list[float]] = {}

    def spend(self, peer: str, now: float) -> None:
        """Count one more.

        :raises ClientFault: status 429: this peer has had enough, or all that are elsewhere have.
        """
        recent = {one: [when for when in spent if now - when < 60.0] for one, spent in self._spent.items()}
        self._spent = {one: spent for one, spent in recent.items() if spent}
        mine = self._spent.get(peer, [])
        others = sorted(when for one, spent in self._spent.items() if one != HERE for when in spent)
        full = mine if len(mine) >= NEW_A_MINUTE else others
        if len(mine) >= NEW_A_MINUTE or (peer != HERE and len(others) >= NEW_FROM_ELSEWHERE):
            raise ClientFault.of(
                "rate_limit",
                "Too many unrecognised keys; new keys are checked with Amp at a limited rate.",
                retry_after=60.0 - (now - full[0]),
            )
        self._spent[peer] = [*mine, now]


class AmpUsers:
    """Knows the users of keys, and asks Amp about those it does not know.

    :param url: the Amp upstream's, without a slash at its end.
    :param allowed: ids or addresses of the only users that count, lower case; empty: any.
    :param proxy: the URL of the proxy on the way to Amp; it may hold a password.
    :param before: of the configuration before: what it knows of the same upstream's users is known here.
    """

    def __init__(
        self,
        url: str,
        allowed: Iterable[str],
        client: Sends,
        clock: IReactorTime,
        log: Logger,
        proxy: str | None = None,
        before: AmpUsers | None = None,
    ) -> None:
        self._url = url
        self._allowed = frozenset(allowed)
        self._client = client
        self._clock = clock
        self._log = log
        self._proxy = proxy
        self._salt = os.urandom(32)
        self._good: dict[bytes, _Good] = {}
        self._bad: dict[bytes, tuple[float, ExchangeError]] = {}
        self._asking: dict[bytes, list[Deferred[AmpUser]]] = {}
        self._budget = _Budget()
        if before is not None and before._url == url:
            self._salt = before._salt
            self._good, self._bad = dict(before._good), dict(before._bad)
            self._budget = before._budget

    def may(self, *, local: bool) -> None:
        """Whether Amp's keys count at all for somebody who sits there.

        :raises ClientFault: status 403: for others than this machine, only users that are named count.
        """
        if not local and not self._allowed:
            raise ClientFault.of(
                "permission",
                "Amp's keys are accepted only from the gateway's own machine, unless their users are "
                "listed (setting: ampcode.allowed-amp-users).",
            )

    def allows(self, user: AmpUser, *, local: bool) -> bool:
        """Whether a user whom Amp knows may use the gateway from there."""
        try:
            self.may(local=local)
            self._allow(user)
        except ExchangeError:
            return False
        return True

    def find(self, key: bytes, peer: str = HERE) -> AmpUser | Deferred[AmpUser]:
        """Whose key it is; where that is not known, the result comes when Amp has answered.

        :param peer: who presents it, if that is not this machine: each has a budget of new keys.
        :raises ClientFault: Amp does not know it (401), its user is not allowed (403), or too many keys are
            new (429).
        :raises UpstreamFault: Amp could not be asked. Both come by the Deferred if there is one.
        """
        digest = hashlib.blake2b(key, key=self._salt, digest_size=16).digest()
        now = self._clock.seconds()
        good = self._good.get(digest)
        if good is not None and now < good.until:
            return self._allow(good.user)
        until, refusal = self._bad.get(digest, (0.0, None))
        if refusal is not None and now < until:
            raise refusal.with_traceback(None)
        waiting: Deferred[AmpUser] = Deferred()
        if digest in self._asking:
            self._asking[digest].append(waiting)
            return waiting
        if good is None:
            self._budget.spend(peer, now)
        self._asking[digest] = [waiting]
        Deferred.fromCoroutine(self._ask_once(digest, key))
        return waiting

    async def _ask_once(self, digest: bytes, key: bytes) -> None:
        try:
            user = await self._ask(key)
        except Exception as error:
            self._failed(digest, error)
        else:
            self._was_good(digest, user)

    def _allow(self, user: AmpUser) -> AmpUser:
        if self._allowed and not {user.id.lower(), user.email.lower()} & self._allowed:
            raise ClientFault.of(
                "permission",
                f"The Amp user {user.email or user.id} is not allowed to use this gateway"
                " (setting: ampcode.allowed-amp-users).",
            )
        return user

    async def _ask(self, key: bytes) -> AmpUser:
        headers = Headers({b"Content-Type": [b"application/json"], b"Accept": [b"application/json"]})
        headers.setRawHeaders(b"Authorization", [b"Bearer " + key])
        headers.setRawHeaders(b"X-Api-Key", [key])
        url = f"{self._url}/api/internal?getUserInfo"
        try:
            sending = self._client.send("POST", url, headers, BytesProducer(_QUESTION), self._proxy)
            response = await sending.addTimeout(TIMEOUT, self._clock)
            body = await collect(
                response, limit=_MAX_ANSWER_BYTES, clock=self._clock, idle=TIMEOUT
            ).addTimeout(TIMEOUT, self._clock)
        except ExchangeError as error:
            raise _unknown(error.error.message) from None
        except Exception as error:
            raise _unknown(explain(error, "the Amp upstream").error.message) from None
        return _user_of(response.code, body)

    def _was_good(self, digest: bytes, user: AmpUser) -> None:
        now = self._clock.seconds()
        if digest not in self._good:
            self._log.info("Amp confirmed a key of {user}", log_kind="amp-user", user=user.label)
        self._bad.pop(digest, None)
        _remember(self._good, digest, _Good(user, now + GOOD_FOR, now + GOOD_FOR + GRACE))
        self._settle(digest, user)

    def _failed(self, digest: bytes, error: Exception) -> None:
        now = self._clock.seconds()
        good = self._good.get(digest)
        if not isinstance(error, UpstreamFault):
            self._good.pop(digest, None)
        elif good is not None and now < good.at_most:
            good.until = now + PAUSE
            self._log.warn(
                "The key of {user} stays accepted for now. {why}",
                user=good.user.label,
                why=error.error.message,
            )
            self._settle(digest, good.user)
            return
        if isinstance(error, ExchangeError):
            pause = PAUSE_NEW if isinstance(error, UpstreamFault) else BAD_FOR
            _remember(self._bad, digest, (now + pause, error))
        self._settle(digest, error)

    def _settle(self, digest: bytes, what: AmpUser | Exception) -> None:
        """Tell all who wait."""
        for waiting in self._asking.pop(digest, ()):
            if isinstance(what, Exception):
                waiting.errback(what)
                continue
            try:
                user = self._allow(what)
            except ExchangeError as refusal:
                waiting.errback(refusal)
            else:
                waiting.callback(user)


_Known = TypeVar("_Known")


def _remember(book: dict[bytes, _Known], digest: bytes, what: _Known) -> None:
    """Keep it, and not too many."""
    book.pop(digest, None)
    while len(book) >= MAX_KEYS:
        del book[next(iter(book))]
    book[digest] = what


def _user_of(status: int, body: bytes) -> AmpUser:
    """What Amp said.

    :raises ClientFault: it does not know the key.
    :raises UpstreamFault: it said something else.
    """
    if status == 401:
        raise _refused()
    if status != 200:
        raise _unknown(f"it answered with status {status}")
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _unknown("its answer cannot be read") from None
    if answer.ok and answer.result is not None and answer.result.id:
        return AmpUser(answer.result.id, answer.result.email)
    code = answer.error.code if answer.error is not None else ""
    if code == "auth-required":
        raise _refused()
    raise _unknown("its answer names no user")


def _refused() -> ExchangeError:
    return ClientFault.of(
        "authentication",
        "Invalid API key: Amp does not know it. Log in again with: amp login",
        code="invalid_api_key",
    )


def _unknown(why: str) -> ExchangeError:
    return UpstreamFault.of(
        "unavailable", f"The key could not be checked with Amp: {why.rstrip('.')}.", retryable=True
    )
