"""The state that workers share: a hub in the supervisor, which each reaches over its channel (see
:mod:`ampproxy.state`).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed

from ampproxy.channel.messages import Arrived, Claim, Claimed, Known, Lock, Locked, Message, Put, Unlock
from ampproxy.state.entries import Entry
from ampproxy.state.hub import Hub
from ampproxy.state.view import View

#: So many entries go to a new worker in one message.
_SLICE = 500


class Peer(Protocol):
    """A worker."""

    def send(self, message: Message) -> None:
        """Send it something."""


class HubOfWorkers:
    """The hub, and the supervisor's own link to it. A :class:`~ampproxy.state.view.Link`.

    :param seconds: a clock that only grows.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._hub = Hub()
        self._seconds = seconds
        self._peers: list[Peer] = []
        self._own: View | None = None

    def join(self, view: View) -> None:
        """Have the supervisor's own view share, too."""
        self._own = view
        view.use(self)
        for entry in self._hub.entries(self._seconds()):
            view.known(entry)
        view.opened()

    def welcome(self, peer: Peer) -> None:
        """A worker can be reached from now on: it gets what the hub knows."""
        known = self._hub.entries(self._seconds())
        while entries := tuple(islice(known, _SLICE)):
            peer.send(Known(entries))
        peer.send(Known(()))
        self._peers.append(peer)

    def left(self, peer: Peer) -> None:
        """It cannot any more."""
        if peer in self._peers:
            self._peers.remove(peer)

    def message(self, peer: Peer, message: Put | Claim | Lock | Unlock) -> None:
        """A worker has sent something."""
        if isinstance(message, Put):
            self._put(message.entry, message.number, peer)
        elif isinstance(message, Claim):
            peer.send(Claimed(message.number, self._claim(message.entry, peer)))
        elif isinstance(message, Lock):
            lease = self._hub.lock(message.name, message.ttl, self._seconds())
            peer.send(Locked(message.number, lease))
        else:
            self._hub.unlock(message.name, message.lease)

    # The supervisor's own link.

    def put(self, entry: Entry, number: int) -> None:
        self._put(entry, number, None)

    def claim(self, entry: Entry) -> Deferred[bytes]:
        return succeed(self._claim(entry, None))

    def lock(self, name: str, ttl: float) -> Deferred[int | None]:
        return succeed(self._hub.lock(name, ttl, self._seconds()))

    def unlock(self, name: str, number: int) -> None:
        self._hub.unlock(name, number)

    def _put(self, entry: Entry, number: int, origin: Peer | None) -> None:
        if self._hub.put(entry, self._seconds(), exchanged=not number):
            self._send(entry, number, origin)

    def _claim(self, entry: Entry, origin: Peer | None) -> bytes:
        value, won = self._hub.claim(entry, self._seconds())
        if won:
            self._send(entry, 0, origin)
        return value

    def _send(self, entry: Entry, number: int, origin: Peer | None) -> None:
        for peer in self._peers:
            peer.send(Arrived(entry, number if peer is origin else None))
        if self._own is not None:
            self._own.arrived(entry, number if origin is None else None)


class ChannelLink:
    """A worker's link to the hub. A :class:`~ampproxy.state.view.Link`.

    :param send: sends to the supervisor.
    """

    def __init__(self, view: View, send: Callable[[Message], None]) -> None:
        self._view = view
        self._send = send
        self._waiting: dict[int, Deferred[Any]] = {}
        self._number = 0

    def put(self, entry: Entry, number: int) -> None:
        self._send(Put(entry, number))

    def claim(self, entry: Entry) -> Deferred[bytes]:
        number, claimed = self._asked()
        self._send(Claim(entry, number))
        return claimed

    def lock(self, name: str, ttl: float) -> Deferred[int | None]:
        number, locked = self._asked()
        self._send(Lock(name, ttl, number))
        return locked

    def unlock(self, name: str, number: int) -> None:
        self._send(Unlock(name, number))

    def message(self, message: Any) -> None:
        """The supervisor has sent something of the shared state."""
        if isinstance(message, Arrived):
            self._view.arrived(message.entry, message.own)
        elif isinstance(message, Claimed):
            self._answered(message.number, message.value)
        elif isinstance(message, Locked):
            self._answered(message.number, message.lease)
        elif message.entries:
            for entry in message.entries:
                self._view.known(entry)
        else:
            self._view.opened()

    def _asked(self) -> tuple[int, Deferred[Any]]:
        self._number += 1
        number = self._number
        asked: Deferred[Any] = Deferred(lambda _: self._forget(number))
        self._waiting[number] = asked
        return number, asked

    def _forget(self, number: int) -> None:
        self._waiting.pop(number, None)

    def _answered(self, number: int, value: object) -> None:
        waiting = self._waiting.pop(number, None)
        if waiting is not None:
            waiting.callback(value)
