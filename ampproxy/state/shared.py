"""What the service sees of the state that it shares with others, and what shares nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from twisted.internet.defer import Deferred, succeed

from ampproxy.state.entries import Entry
from ampproxy.status import SharedReport


class Away(Exception):
    """What the state is shared by cannot be reached. The message gives the reason, without a secret."""


class Lease(NamedTuple):
    """A lock that is held.

    :ivar number: higher than that of every earlier holder.
    """

    name: str
    number: int


class Topic(Protocol):
    """What the entries of one kind mean to a part of the service."""

    def apply(self, entry: Entry) -> None:
        """Another process knows this; it takes the place of what is known here. Never raises."""

    def age(self, key: str) -> float | None:
        """Seconds since what is known here was learned; ``None``: nothing is known."""

    def entries(self) -> Iterable[Entry]:
        """All that is known here and worth sharing."""


class Shared(Protocol):
    """See :mod:`ampproxy.state`."""

    @property
    def active(self) -> bool:
        """Whether there may be others at all. Where it is false nothing needs to be made for publishing."""

    def subscribe(self, kind: str, topic: Topic) -> None:
        """Have a topic apply what others publish."""

    def publish(self, kind: str, key: str, value: bytes | None, ttl: float) -> None:
        """Have the others know this. It is not applied here.

        :param value: ``None``: it has ended.
        :param ttl: seconds for which it is worth something; without a value, for which the end must be known.
        """

    def claim(self, kind: str, key: str, value: bytes, ttl: float) -> Deferred[bytes]:
        """Have the others know this unless one of them was first; fires with what counts. Fails only if
        it is cancelled.
        """

    def lock(self, name: str, ttl: float) -> Deferred[Lease | None]:
        """Hold a lock for some seconds; ``None``: another holds it.

        :return: fails with :class:`Away`.
        """

    def unlock(self, lease: Lease) -> None:
        """Let others have it, if it is still held by this lease."""

    def report(self) -> SharedReport:
        """How it goes."""

    @property
    def refusal(self) -> str:
        """Why no request is served now, for the state must be shared and is not; empty: they are served."""

    def start(self) -> None:
        """Connect, and stay connected; when all topics have subscribed."""

    def stop(self) -> Deferred[None]:
        """Send what waits, and end; fires when that is done, and soon."""


class Alone:
    """Nothing is shared: there is one process, and what it knows is all that is known."""

    active = False
    refusal = ""

    def __init__(self) -> None:
        self._number = 0

    def subscribe(self, kind: str, topic: Topic) -> None:
        """Nothing is ever applied."""

    def publish(self, kind: str, key: str, value: bytes | None, ttl: float) -> None:
        """There is no one to know."""

    def claim(self, kind: str, key: str, value: bytes, ttl: float) -> Deferred[bytes]:
        """One's own value counts."""
        return succeed(value)

    def lock(self, name: str, ttl: float) -> Deferred[Lease | None]:
        """The file's lock is all that is needed."""
        self._number += 1
        return succeed(Lease(name, self._number))

    def unlock(self, lease: Lease) -> None:
        """There is nothing to let go."""

    def report(self) -> SharedReport:
        """Nothing is shared."""
        return SharedReport()

    def start(self) -> None:
        """There is nothing to connect to."""

    def stop(self) -> Deferred[None]:
        """There is nothing to end."""
        return succeed(None)


ALONE = Alone()
