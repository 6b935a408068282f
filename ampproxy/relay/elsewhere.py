"""What clients of Responses refer to and another process of the same service keeps."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from twisted.internet.defer import Deferred

from ampproxy.dialects.base import Dialect
from ampproxy.errors import ClientFault
from ampproxy.relay.remembered import Remembered
from ampproxy.relay.stored import StoredAnswer, StoredAnswers

#: The form of the ids that the gateway gives.
_OURS = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
#: So many ids are sought at once.
MAX_SOUGHT = 500
#: So much of parts is given at once, and so much of answers; who needs more asks again. Bytes.
MAX_GIVEN = 16 * 1024 * 1024
#: An answer that is larger is not given at all. Bytes.
MAX_ALONE = 32 * 1024 * 1024


class Elsewhere(Protocol):
    """Finds in other processes what this one does not keep."""

    def fetch(self, dialect: Dialect, client: str, request: bytes) -> Deferred[None] | None:
        """Have what a request refers to kept here, too, as far as another process keeps it; ``None``: there
        is nothing to wait for.

        :param dialect: the client's.
        """

    def fetch_answer(self, client: str, id_: str) -> Deferred[None] | None:
        """Likewise a whole answer, with those before it."""

    def forget(self, client: str, id_: str) -> None:
        """Have no process keep a whole answer any longer."""


#: With its id, and its age in seconds.
Part = tuple[str, bytes, float]
#: Its id, the id of the one before it, the request's items, the body, the age.
Answer = tuple[str, str, tuple[bytes, ...], bytes, float]


class Sought(NamedTuple):
    """What is to be found: the ids of parts of answers, and those of whole ones."""

    parts: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


class Given(NamedTuple):
    """What was found."""

    parts: tuple[Part, ...] = ()
    answers: tuple[Answer, ...] = ()


class Keeps:
    """What this process keeps for its clients.

    :param clock: the one of both.
    :param known: whether something is known to be stored by a vendor, so that it is not one of ours.
    """

    def __init__(
        self,
        remembered: Remembered,
        stored: StoredAnswers,
        clock: Callable[[], float],
        known: Callable[[str], bool],
    ) -> None:
        self._remembered = remembered
        self._stored = stored
        self._clock = clock
        self._known = known

    def missing(self, dialect: Dialect, client: str, request: bytes) -> Sought:
        """What a request refers to and is not kept here. Of a chain of answers that is the first gap."""
        references = dialect.passthrough.references
        if references is None:
            return Sought()
        parts: dict[str, None] = {}

        def find(id_: str) -> bytes | None:
            found = self._remembered.find(client, id_)
            if found is None and self._may_be_ours(id_):
                parts[id_] = None
            return found

        try:
            references.replaced(request, find)
            previous = "" if references.storing is None else references.storing.previous(request)
        except ClientFault:
            # Whoever serves the request finds the same, in its turn.
            return Sought()
        return Sought(tuple(parts)[:MAX_SOUGHT], self.gap(client, previous))

    def gap(self, client: str, id_: str) -> tuple[str, ...]:
        """The first answer of a chain that is not kept here."""
        if not self._stored.enabled:
            return ()
        while id_ and (answer := self._stored.find(client, id_)) is not None:
            id_ = answer.previous
        return (id_,) if self._may_be_ours(id_) else ()

    def _may_be_ours(self, id_: str) -> bool:
        return _OURS.match(id_) is not None and not self._known(id_)

    def give(self, client: str, sought: Sought) -> Given:
        """What is kept here of what another process seeks, with the answers before those that it seeks."""
        now, room = self._clock(), MAX_GIVEN
        parts: list[Part] = []
        for id_ in sought.parts:
            found = self._remembered.kept(client, id_)
            if found is not None and len(found[1]) <= room:
                room -= len(found[1])
                parts.append((id_, found[1], now - found[0]))
        answers: list[Answer] = []
        room = MAX_GIVEN
        for id_, answer in self._chain(client, sought.answers):
            # The first may be larger.
            if answer.size > (room if answers else MAX_ALONE):
                break
            room -= answer.size
            answers.append((id_, answer.previous, answer.items, answer.body, now - answer.written))
        return Given(tuple(parts), tuple(answers))

    def _chain(self, client: str, ids: Sequence[str]) -> list[tuple[str, StoredAnswer]]:
        found: dict[str, StoredAnswer] = {}
        for id_ in ids:
            while id_ and id_ not in found and (answer := self._stored.find(client, id_)) is not None:
                found[id_] = answer
                id_ = answer.previous
        return list(found.items())

    def take(self, client: str, given: Given) -> None:
        """Keep what another process has given."""
        for id_, text, age in given.parts:
            self._remembered.put(client, ((id_, text),), age)
        for id_, previous, items, body, age in reversed(given.answers):
            self._stored.put(client, id_, previous, items, body, age)

    def forget(self, client: str, id_: str) -> None:
        """Keep a whole answer no longer."""
        self._stored.forget(client, id_)
