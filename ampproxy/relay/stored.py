"""Whole answers that the gateway wrote for clients of Responses, which may go on from them or fetch them.

An account that speaks another dialect stores none. Each answer is kept with the items of its own request and
the id of the answer before it, so that a conversation takes the room of its length.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from ampproxy.config.schema import Limits
from ampproxy.dialects.facts import BodyFacts, Continued, facts_of
from ampproxy.errors import ClientFault

if TYPE_CHECKING:
    from ampproxy.dialects.base import Dialect, Storing

#: What an entry takes beside its texts, about. Bytes.
_OVERHEAD = 400


class StoredAnswer(NamedTuple):
    """One answer.

    :ivar previous: the id of the one before it; empty: there is none.
    :ivar items: of its own request.
    :ivar body: the whole answer.
    :ivar written: when, by the store's clock.
    """

    previous: str
    items: tuple[bytes, ...]
    body: bytes
    written: float

    @property
    def size(self) -> int:
        """What it takes, in bytes."""
        return sum(map(len, self.items)) + len(self.body) + _OVERHEAD


class StoredAnswers:
    """Answers by their clients and ids: the newest, within so many bytes and seconds. For any thread.

    :param clock: seconds, of a clock that never goes back.
    :ivar enabled: whether anything is kept at all.
    """

    def __init__(self, clock: Callable[[], float] = lambda: 0.0) -> None:
        self._clock = clock
        self._limits = Limits()
        self.enabled = self._limits.max_stored > 0
        self._lock = Lock()
        self._size = 0
        self._answers: OrderedDict[tuple[str, str], StoredAnswer] = OrderedDict()

    def configure(self, limits: Limits) -> None:
        """Keep within these limits from now on."""
        with self._lock:
            self._limits = limits
            self.enabled = limits.max_stored > 0
            self._trim()

    def put(
        self, client: str, id_: str, previous: str, items: Sequence[bytes], body: bytes, age: float = 0.0
    ) -> None:
        """Keep an answer that a client was given.

        :param age: seconds since it was.
        """
        answer = StoredAnswer(previous, tuple(items), body, self._clock() - age)
        with self._lock:
            self._drop((client, id_))
            self._answers[client, id_] = answer
            self._size += answer.size
            self._trim()

    def find(self, client: str, id_: str) -> StoredAnswer | None:
        """An answer that this client was given; ``None``: none is known, or no more."""
        with self._lock:
            self._trim()
            return self._answers.get((client, id_))

    def forget(self, client: str, id_: str) -> bool:
        """Keep an answer no longer; whether it was kept."""
        with self._lock:
            return self._drop((client, id_))

    def before(self, client: str, id_: str, storing: Storing, *, output: bool = True) -> list[bytes] | None:
        """The items of a conversation up to an answer; ``None``: a part of it is not kept, or no more.

        :param output: with the answer's own.
        """
        pieces: list[Sequence[bytes]] = []
        while id_:
            answer = self.find(client, id_)
            if answer is None:
                return None
            if output:
                pieces.append(storing.output(answer.body))
            pieces.append(answer.items)
            id_, output = answer.previous, True
        return [item for piece in reversed(pieces) for item in piece]

    def whole(
        self, dialect: Dialect, client: str, request: bytes, facts: BodyFacts
    ) -> tuple[bytes, BodyFacts]:
        """A request with the conversation that it goes on from, where that is kept, and what is known of it
        then; the same body where there is nothing to add.

        :param dialect: the client's.
        :raises ampproxy.errors.ClientFault: the request is not valid, or becomes larger than a body may be.
        """
        references = dialect.passthrough.references
        storing = None if references is None else references.storing
        if storing is None or not self.enabled:
            return request, facts
        previous = storing.previous(request)
        items = self.before(client, previous, storing) if previous else []
        if items is None:
            return request, facts
        continued = Continued(previous, tuple(storing.items(request)))
        if not previous:
            return request, facts.continuing(continued)
        body = storing.joined(request, items)
        if len(body) > self._limits.max_body:
            raise ClientFault.of(
                "too_large",
                f"With the conversation that it goes on from, the request is larger than"
                f" {self._limits.max_body} bytes (setting: limits.max-body).",
            )
        return body, facts_of(dialect, body).continuing(continued)

    def _trim(self) -> None:
        oldest = self._clock() - self._limits.store_for
        while self._answers:
            key, answer = next(iter(self._answers.items()))
            if self._size <= self._limits.max_stored and answer.written > oldest:
                return
            self._drop(key)

    def _drop(self, key: tuple[str, str]) -> bool:
        known = self._answers.pop(key, None)
        if known is not None:
            self._size -= known.size
        return known is not None
