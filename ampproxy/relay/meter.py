"""Reading off what an answer costs while it goes by, changing nothing."""

from __future__ import annotations

from ampproxy.dialects.base import Dialect
from ampproxy.errors import ExchangeError
from ampproxy.model.events import Usage
from ampproxy.relay.passthrough import passing
from ampproxy.wire.json import members
from ampproxy.wire.pieces import add

#: A whole answer is held up to this size to be read at its end. Bytes.
MAX_HELD_BYTES = 8 * 1024 * 1024


class AnswerMeter:
    """Sees the bytes of one answer.

    :param dialect: which the answer is in.
    :param stream: whether it comes in events.
    """

    def __init__(self, dialect: Dialect, *, stream: bool) -> None:
        self._dialect = dialect
        self._events = passing(dialect) if stream else None
        self._held: list[bytes] = []
        self._size = 0
        self._lost = False

    def feed(self, data: bytes) -> None:
        """More of it, split anywhere. What cannot be read is not counted, and passes all the same."""
        if self._lost:
            return
        try:
            if self._events is not None:
                self._events.feed(data)
                return
        except ExchangeError:
            self._lose()
            return
        self._size += len(data)
        add(self._held, data)
        if self._size > MAX_HELD_BYTES:
            self._lose()

    @property
    def complete(self) -> bool:
        """Whether the answer came to its own end, so that what it told of its cost is final."""
        return not self._lost and (self._events is None or self._events.complete)

    def usage(self) -> Usage | None:
        """What it cost, as far as it told; ``None`` if it did not. To be asked once, at the end."""
        if self._events is not None:
            return self._events.usage
        if not self._held:
            return None
        body, self._held = b"".join(self._held), []
        return self._dialect.passthrough.usage(members(body) or {})

    def _lose(self) -> None:
        self._lost = True
        self._held = []
