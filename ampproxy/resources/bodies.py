"""Request bodies that are gathered before they are looked at."""

from __future__ import annotations

from ampproxy.errors import ClientFault, ExchangeError
from ampproxy.wire.pieces import add


class GatheredBody:
    """A request body kept in memory, up to a limit."""

    __slots__ = ("_limit", "_pieces", "size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self.size = 0

    def push(self, data: bytes) -> None:
        """Take more.

        :raises ClientFault: it grew past the limit.
        """
        self.size += len(data)
        if self.size > self._limit:
            self._pieces.clear()
            raise body_too_large(self._limit)
        add(self._pieces, data)

    def take(self) -> bytes:
        """The whole body, once."""
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def body_too_large(limit: int) -> ExchangeError:
    """The refusal of a body over ``limit`` bytes."""
    return ClientFault.of(
        "too_large", f"The request body is larger than {limit} bytes (setting: limits.max-body)."
    )
