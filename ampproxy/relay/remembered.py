"""Parts of answers that the gateway wrote for a client, for as long as the client may refer to them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from ampproxy.config.schema import Limits
from ampproxy.dialects.facts import BodyFacts, facts_of

if TYPE_CHECKING:
    from ampproxy.dialects.base import Dialect


class Remembered:
    """Parts by their clients and ids: the newest, within so many bytes and seconds. For any thread.

    :param clock: seconds, of a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = lambda: 0.0) -> None:
        self._clock = clock
        self._limits = Limits()
        self._lock = Lock()
        self._size = 0
        #: (client, id) -> when it was written, and its text.
        self._parts: OrderedDict[tuple[str, str], tuple[float, bytes]] = OrderedDict()

    def configure(self, limits: Limits) -> None:
        """Remember within these limits from now on."""
        with self._lock:
            self._limits = limits
            self._trim()

    def put(self, client: str, parts: Iterable[tuple[str, bytes]], age: float = 0.0) -> None:
        """Remember what a client was given.

        :param age: seconds since it was.
        """
        now = self._clock() - age
        with self._lock:
            for id_, text in parts:
                self._drop((client, id_))
                self._parts[client, id_] = now, text
                self._size += _size(client, id_, text)
            self._trim()

    def find(self, client: str, id_: str) -> bytes | None:
        """A part that this client was given; ``None``: none is known, or no more."""
        found = self.kept(client, id_)
        return None if found is None else found[1]

    def kept(self, client: str, id_: str) -> tuple[float, bytes] | None:
        """Likewise, with when it was written, by the clock."""
        with self._lock:
            self._trim()
            return self._parts.get((client, id_))

    def whole(
        self, dialect: Dialect, client: str, request: bytes, facts: BodyFacts
    ) -> tuple[bytes, BodyFacts]:
        """A request with what it refers to, as far as this client was given it, and what is known of it then;
        the same objects where it refers to nothing of that.

        :param dialect: the client's.
        :raises ampproxy.errors.ClientFault: the request is not valid.
        """
        references = dialect.passthrough.references
        if references is None:
            return request, facts
        found = references.replaced(request, partial(self.find, client))
        if found is request:
            return request, facts
        return found, facts_of(dialect, found).continuing(facts.continued)

    def _trim(self) -> None:
        oldest = self._clock() - self._limits.remember_for
        while self._parts:
            key, (written, _) = next(iter(self._parts.items()))
            if self._size <= self._limits.max_remembered and written > oldest:
                return
            self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        known = self._parts.pop(key, None)
        if known is not None:
            self._size -= _size(*key, known[1])


#: What an entry takes beside its texts, about. Bytes.
_OVERHEAD = 300


def _size(client: str, id_: str, text: bytes) -> int:
    return len(client) + len(id_) + len(text) + _OVERHEAD
