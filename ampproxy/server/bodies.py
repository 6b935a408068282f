"""Request bodies that are gathered before they are looked at."""

from __future__ import annotations

from ampproxy.errors import ClientFault, ExchangeError
from ampproxy.upstream.held import Share
from ampproxy.wire.pieces import add


class GatheredBody:
    """A request body kept in memory, up to a limit.

    :param share: what it takes of what all may hold together.
    """

    __slots__ = ("_limit", "_pieces", "_share", "size")

    def __init__(self, limit: int, share: Share) -> None:
        self._limit = limit
        self._share = share
        self._pieces: list[bytes] = []
        self.size = 0

    def push(self, data: bytes) -> None:
        """Take more.

        :raises ClientFault: it grew past the limit.
        :raises GatewayFault: all of them together did.
        """
        self.size += len(data)
        if self.size > self._limit:
            raise body_too_large(self._limit)
        self._share.grow(len(data))
        if self._pieces:
            add(self._pieces, data)
        else:
            self._pieces.append(data)

    def take(self) -> bytes:
        """The whole body, once."""
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def body_too_large(limit: int, hint: str = " (setting: limits.max-body)") -> ExchangeError:
    """The refusal of a body over ``limit`` bytes.

    :param hint: what sets the limit.
    """
    return ClientFault.of("too_large", f"The request body is larger than {limit} bytes{hint}.")
