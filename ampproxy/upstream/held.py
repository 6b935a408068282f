"""What all exchanges hold of bodies together, and the most of it."""

from __future__ import annotations

from ampproxy.errors import ClientFault, GatewayFault

#: Seconds after which a client that was turned away may try again: most uploads and answers are over by then.
RETRY_AFTER = 5.0


class Held:
    """Counts the bytes of request bodies that are gathered, and of whole answers.

    :ivar total: how many there are now.
    """

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total = 0


class Share:
    """What one exchange has of them, until it gives it back.

    :param limit: how many bytes all may hold together (``limits.max-held``).
    """

    __slots__ = ("_held", "_limit", "size")

    def __init__(self, held: Held, limit: int) -> None:
        self._held = held
        self._limit = limit
        self.size = 0

    def check(self, size: int) -> None:
        """See whether there is room for ``size`` bytes more, and take none.

        :raises GatewayFault: there is not, until others are through.
        :raises ClientFault: there will never be.
        """
        if self._held.total + size <= self._limit:
            return
        limit = f"(setting: limits.max-held, {self._limit} bytes)"
        if self.size + size > self._limit:
            raise ClientFault.of(
                "too_large", f"This is larger than the limit for all bodies together {limit}."
            )
        raise GatewayFault.of(
            "overloaded",
            f"The gateway already holds as many bodies as it may {limit}. Try again when other requests have"
            " finished.",
            retry_after=RETRY_AFTER,
        )

    def grow(self, size: int) -> None:
        """Take ``size`` bytes more.

        :raises ExchangeError: as :meth:`check`; what was taken before stays taken.
        """
        if self._held.total + size > self._limit:
            self.check(size)
        self.size += size
        self._held.total += size

    def give_back(self) -> None:
        """Take nothing any more. May be called again."""
        self._held.total -= self.size
        self.size = 0
