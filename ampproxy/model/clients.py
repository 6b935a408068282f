"""A client key of the configuration: how it is recognized, whose it is, what it may do, and how much."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import ClassVar, Final, Literal, TypeAlias

from ampproxy.model.base import Noted, Value
from ampproxy.wire.redact import Secret, Unseen

#: The classes of routes: requests to models; what vendors store for all clients of an account, as files and
#: batches; what is forwarded to Amp; what the gateway reports of itself.
MODELS: Final = "models"
STORED: Final = "stored"
AMP: Final = "amp"
ADMIN: Final = "admin"
ROUTES = (MODELS, STORED, AMP, ADMIN)
#: What the key of the section ``neo`` opens, and no entry of ``api-keys`` can: requests to models on the few
#: paths that Amp's cloud uses.
NEO_ROUTE: Final = "neo"
#: The name of the client whose key that is.
NEO_CLIENT: Final = "amp-cloud"

Unit: TypeAlias = Literal["requests", "tokens", "usd"]
Period: TypeAlias = Literal["minute", "day", "week", "month"]

#: Limits in US dollars are counted in millionths, so that sums are exact.
MICRO = 1_000_000


def hash_of(key: str) -> str:
    """The hash under which a key is stored and recognized: SHA-256, as 64 hexadecimal digits.

    No salt and no slow function (as for passwords): the keys that are stored so are made here, of 256 random
    bits, and no number of guesses finds one. A slow function would cost each request what it costs a guess.
    """
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class KeyLimit(Value, frozen=True):
    """How much of something a client may use within a period.

    :param most: a number of requests or tokens, or of millionths of a US dollar.
    """

    unit: Unit
    period: Period
    most: int

    @property
    def setting(self) -> str:
        """Its name in the configuration: ``tokens-per-day``."""
        return f"{self.unit}-per-{self.period}"


class ClientKey(Noted, frozen=True, kw_only=True, eq=False):
    """One entry of ``api-keys``.

    :param secret: the key; ``None`` where only its hash is stored.
    :param hash: else that: 64 hexadecimal digits (see :func:`hash_of`).
    :param name: whose it is, in log, ledger and metrics; empty: it is named by a digest.
    :param expires: seconds since the epoch from which on it is rejected.
    :param old_hash: of the key before a rotation; empty: there is none.
    :param old_until: seconds since the epoch from which on that one is rejected.
    :param models: patterns in lower case of the models that may serve it; empty: all.
    :param accounts: patterns in lower case of the accounts that may serve it; empty: all.
    :param routes: the classes of routes that it opens.
    :param limits: how much it may use.
    :param concurrent: how many of its requests to models may be under way at once; ``None``: any number.
    :param amp: whether its requests to models may go to the Amp upstream.
    :param upstream: the Amp key with which they go there; ``None``: the configured one.
    :param line: where it stands.
    :param index: its place in the list, from 0: several may stand in one line.
    """

    notes: ClassVar[frozenset[str]] = frozenset(("line", "index"))

    secret: Secret | None = None
    hash: str = ""
    name: str = ""
    expires: float | None = None
    old_hash: str = ""
    old_until: float | None = None
    models: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    routes: tuple[str, ...] = ROUTES
    limits: tuple[KeyLimit, ...] = ()
    concurrent: int | None = None
    amp: bool = True
    upstream: Secret | None = None
    line: int = 0
    index: int = 0

    @property
    def current_hash(self) -> str:
        """The hash of the key that is valid now; empty where the key is not to be had here."""
        if self.secret is None:
            return self.hash
        return "" if isinstance(self.secret, Unseen) else hash_of(self.secret.reveal())

    @property
    def hashes(self) -> tuple[str, ...]:
        """Those of the key and of the one before it, as far as they are known."""
        return tuple(filter(None, (self.current_hash, self.old_hash)))

    @property
    def identity(self) -> Secret:
        """What its client is known by, whatever key it has at the moment: its name, else its key."""
        if self.name:
            return Secret(f"client {self.name}")
        assert self.secret is not None
        return self.secret

    @property
    def section(self) -> str:
        """What holds its settings, as errors name them."""
        return NEO_ROUTE if NEO_ROUTE in self.routes else "api-keys[]"

    @property
    def is_restricted(self) -> bool:
        """Whether it may not do all that the gateway can, or has an Amp key of its own."""
        return bool(
            self.models
            or self.accounts
            or self.limits
            or self.concurrent is not None
            or self.routes != ROUTES
            or not self.amp
            or self.upstream is not None
        )


def marks_of(key: ClientKey) -> tuple[object, ...]:
    """What two entries with the same key have in common."""
    unseen = (key.secret,) if isinstance(key.secret, Unseen) else ()
    return (*unseen, *key.hashes)


def keys_for(clients: Iterable[ClientKey], route: str) -> tuple[Secret, ...]:
    """The keys that open a class of routes and are not stored as hashes alone; not all may be to be had."""
    return tuple(one.secret for one in clients if one.secret is not None and route in one.routes)


class KnownKeys:
    """The keys of some clients, also those that are stored as hashes and those before a rotation."""

    def __init__(self, clients: Iterable[ClientKey]) -> None:
        self._marks = frozenset(mark for client in clients for mark in marks_of(client))

    def __contains__(self, secret: object) -> bool:
        """Whether a secret is one of them."""
        if not isinstance(secret, Secret) or not secret:
            return False
        return not self._marks.isdisjoint(marks_of(ClientKey(secret=secret)))


class Standing(Value, frozen=True):
    """How a client stands with one of its limits.

    :param left: of ``limit.most``, after all that is under way; below 0 where a limit was lowered.
    :param renews: when counting begins anew, in seconds since the epoch.
    """

    limit: KeyLimit
    left: int
    renews: float


def tightest(standings: Iterable[Standing], unit: Unit) -> Standing | None:
    """Of the limits of one unit that with the least left; ``None`` if there is none."""
    of_unit = (standing for standing in standings if standing.limit.unit == unit)
    return min(of_unit, key=lambda standing: (standing.left, -standing.renews), default=None)
