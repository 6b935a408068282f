"""What one worker keeps for clients of Responses, and another one is asked for: the supervisor asks all
others.

Nothing is copied before it is needed: a client mostly comes back over the connection that it has, and so to
the worker that has answered it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from ampproxy.channel.messages import Forget, Has, Message, Seek
from ampproxy.dialects.base import Dialect
from ampproxy.relay.elsewhere import MAX_GIVEN, Given, Keeps, Sought

#: Seconds that the others may take; then the request goes on with what is here.
TIMEOUT = 2.0
#: The messages of this module.
SEARCHING = (Seek, Has, Forget)


class Seeker:
    """In a worker; implements :class:`~ampproxy.relay.elsewhere.Elsewhere`.

    :param send: sends to the supervisor.
    """

    def __init__(self, keeps: Keeps, clock: IReactorTime, send: Callable[[Message], None]) -> None:
        self._keeps = keeps
        self._clock = clock
        self._send = send
        self._waiting: dict[int, Deferred[Given]] = {}
        self._number = 0
        #: Whether there is a supervisor.
        self.open = True

    def fetch(self, dialect: Dialect, client: str, request: bytes) -> Deferred[None] | None:
        return self._fetch(client, lambda: self._keeps.missing(dialect, client, request))

    def fetch_answer(self, client: str, id_: str) -> Deferred[None] | None:
        return self._fetch(client, lambda: Sought((), self._keeps.gap(client, id_)))

    def forget(self, client: str, id_: str) -> None:
        self._send(Forget(client, id_))

    def message(self, message: Any) -> None:
        """The supervisor has sent something."""
        if isinstance(message, Seek):
            self._send(Has(message.number, self._keeps.give(message.client, message.sought)))
        elif isinstance(message, Has):
            waiting = self._waiting.pop(message.number, None)
            if waiting is not None:
                waiting.callback(message.given)
        else:
            self._keeps.forget(message.client, message.id)

    def _fetch(self, client: str, missing: Callable[[], Sought]) -> Deferred[None] | None:
        if not self.open:
            return None
        sought = missing()
        if not any(sought):
            return None
        return Deferred.fromCoroutine(self._fetched(client, sought, missing))

    async def _fetched(self, client: str, sought: Sought, missing: Callable[[], Sought]) -> None:
        """Ask until nothing is missing that was not asked for: a chain may be at several workers."""
        asked: set[str] = set()
        while any(sought):
            asked.update(*sought)
            given = await self._ask(client, sought)
            self._keeps.take(client, given)
            parts, answers = missing()
            sought = Sought(_without(parts, asked), _without(answers, asked))

    def _ask(self, client: str, sought: Sought) -> Deferred[Given]:
        self._number += 1
        number = self._number
        waiting: Deferred[Given] = Deferred()
        self._waiting[number] = waiting
        self._send(Seek(number, client, sought))
        waiting.addTimeout(TIMEOUT, self._clock)

        def late(failure: Failure) -> Given:
            self._waiting.pop(number, None)
            failure.trap(TimeoutError)
            return Given()

        return waiting.addErrback(late)


def _without(ids: Iterable[str], asked: set[str]) -> tuple[str, ...]:
    return tuple(id_ for id_ in ids if id_ not in asked)


class Peer(Protocol):
    """A worker.

    :ivar serves: whether it has begun to serve, and may answer.
    """

    @property
    def serves(self) -> bool:
        """See above."""

    def send(self, message: Message) -> None:
        """Send it something."""


@dataclass(slots=True, eq=False)
class _Search:
    """One that is under way.

    :ivar number: the asker's own.
    :ivar left: who has not answered.
    :ivar size: of the parts, in bytes.
    """

    asker: Peer
    number: int
    sought: Sought
    left: set[Peer]
    parts: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    size: int = 0

    @property
    def is_over(self) -> bool:
        """Whether no one is left, or nothing more is to be found."""
        return not self.left or (
            self.parts.keys() >= set(self.sought.parts) and self.answers.keys() >= set(self.sought.answers)
        )

    def add(self, given: Given) -> None:
        """Take what one has."""
        for part in given.parts:
            if part[0] not in self.parts and self.size + len(part[1]) <= MAX_GIVEN:
                self.parts[part[0]] = part
                self.size += len(part[1])
        if len(given.answers) > len(self.answers):
            # The longest chain: it ends where the next search begins.
            self.answers = {answer[0]: answer for answer in given.answers}

    @property
    def found(self) -> Given:
        """All of it."""
        return Given(tuple(self.parts.values()), tuple(self.answers.values()))


class Searches:
    """In the supervisor."""

    def __init__(self) -> None:
        self._number = 0
        self._searches: dict[int, _Search] = {}

    def message(self, peer: Peer, message: Seek | Has | Forget, peers: Iterable[Peer]) -> None:
        """A worker has sent something.

        :param peers: all workers.
        """
        others = [other for other in peers if other is not peer and other.serves]
        if isinstance(message, Seek):
            self._seek(peer, message, others)
        elif isinstance(message, Has):
            search = self._searches.get(message.number)
            if search is not None:
                search.add(message.given)
                search.left.discard(peer)
                self._settle(message.number, search)
        else:
            for other in others:
                other.send(message)

    def gone(self, peer: Peer) -> None:
        """A worker has ended."""
        for number, search in list(self._searches.items()):
            if search.asker is peer:
                del self._searches[number]
                continue
            search.left.discard(peer)
            self._settle(number, search)

    def _seek(self, peer: Peer, message: Seek, others: Sequence[Peer]) -> None:
        self._number += 1
        number = self._number
        search = self._searches[number] = _Search(peer, message.number, message.sought, set(others))
        for other in others:
            other.send(Seek(number, message.client, message.sought))
        self._settle(number, search)

    def _settle(self, number: int, search: _Search) -> None:
        if search.is_over and self._searches.pop(number, None) is not None:
            search.asker.send(Has(search.number, search.found))
