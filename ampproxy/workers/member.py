"""One worker, as the supervisor sees it: its channel, and what is known of it."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Sequence
from typing import Any, Literal, Protocol

from ampproxy.channel.link import Link
from ampproxy.channel.messages import Beat, Message, encode, from_worker
from ampproxy.relay.record import ExchangeRecord
from ampproxy.status import WorkerStatus

#: Seconds for which what workers send is gathered before it is read: waking the supervisor costs more than
#: a message does. It is also the longest that a worker's question waits under load.
READ_PAUSE = 0.01
#: A worker that misses the shared state for so many beats, while the supervisor does not, misses it alone.
ALONE_BEATS = 5
#: Seconds of silence from which on a worker is shown as hung; it is asked each second.
HUNG = 3.0


class Owner(Protocol):
    """Who a worker belongs to."""

    def message(self, member: Member, message: Any, descriptors: list[int]) -> None:
        """It has sent something."""

    def defect(self, member: Member) -> None:
        """What it has sent could not be used: the exception at hand is why."""

    def gone(self, member: Member) -> None:
        """Its channel is closed: it has ended."""


class Member:
    """A worker. A :class:`~ampproxy.channel.link.Receiver`.

    :param number: its place, from 1 on.
    :param sock: the supervisor's end of the channel.
    :param now: when it was started, by the reactor's clock; ``wall`` in seconds since the epoch.
    :ivar pid: its process; 0: not known yet.
    :ivar ready: whether it can accept.
    :ivar leaving: whether it accepts nothing more.
    :ivar killed: whether it was killed by us; ``anew``: only to begin again, through no fault of its own.
    :ivar accepts: on which sockets it was asked to accept.
    :ivar beat: how it was when it last answered, at ``answered``.
    :ivar live: what it has under way, as far as that was reported, by its own key.
    :ivar prepared: its answer to another configuration; ``None``: it has not answered yet.
    """

    def __init__(
        self, reactor: Any, owner: Owner, number: int, sock: socket.socket, now: float, wall: float
    ) -> None:
        self._owner = owner
        self.number = number
        self.started, self.started_at = now, wall
        self.pid = 0
        self.ready = self.leaving = self.killed = False
        self.anew = False
        self.accepts: tuple[int, ...] = ()
        self.beat = Beat(0, 0, 0, 0, 0.0)
        self.answered = now
        self._missed = 0
        self.live: dict[int, ExchangeRecord] = {}
        self.prepared: tuple[str, ...] | None = None
        self.ended = self.written = 0
        self._unwritten: deque[tuple[int, int]] = deque()
        self.link = Link(reactor, sock, self, pause=READ_PAUSE)

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send it something."""
        self.link.send(encode(message), descriptors)

    def received(self, payload: bytes, descriptors: list[int]) -> None:
        try:
            self._owner.message(self, from_worker(payload), descriptors)
        except Exception:
            # One message must not cost the channel, which is the worker's life.
            self._owner.defect(self)

    def lost(self) -> None:
        self._owner.gone(self)

    @property
    def serves(self) -> bool:
        """Whether it has begun to serve, and nothing is known against it."""
        return (self.ready or self.leaving) and not self.killed

    def misses_alone(self) -> bool:
        """Whether it has missed the shared state for too long to be a moment's delay; so only once, until it
        has it again. Asked each second, as long as the supervisor has it.
        """
        self._missed = self._missed + 1 if self.beat.away else 0
        return self._missed == ALONE_BEATS

    def kept(self, number: int, position: int) -> None:
        """An exchange of it has ended, and its rows end at a place in what the ledger is to write.

        :param number: the worker's own.
        """
        self.ended = number
        self._unwritten.append((position, number))

    def status(self, now: float, deaths: int = 0, in_a_row: int = 0) -> WorkerStatus:
        """How it is, for people."""
        beat, silent = self.beat, now - self.answered
        state: Literal["ready", "starting", "leaving", "hung"] = "ready" if self.ready else "starting"
        if self.leaving:
            state = "leaving"
        elif self.ready and silent > HUNG:
            state = "hung"
        return WorkerStatus(
            self.number,
            state,
            self.pid,
            self.started_at,
            beat.running,
            beat.connections,
            beat.rss,
            beat.cpu,
            deaths,
            in_a_row,
        )

    def settle(self, written: int) -> int:
        """The number of its last exchange that is written, with all before it.

        :param written: how far the ledger has come.
        """
        waiting = self._unwritten
        while waiting and waiting[0][0] <= written:
            self.written = waiting.popleft()[1]
        return self.written
