"""How a connection to an upstream writes: at once, where its socket takes it."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from ampproxy.http.outbox import Outbox


@implementer(IPushProducer)
class Writer:
    """Writes to one transport, and is its only writer until :meth:`end`.

    In the place of the transport's producer it stands for that of a body, while there is one.

    :ivar write: sends bytes, or keeps what the other side does not take yet.
    :ivar draw: sends what has come at another socket; see :meth:`~ampproxy.http.outbox.Outbox.draw`.
    """

    __slots__ = ("_outbox", "_producer", "_transport", "draw", "write")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._producer: Any = None
        outbox = Outbox(transport, self)
        self._outbox = outbox if outbox.direct else None
        self.write = outbox.write
        self.draw = outbox.draw
        if outbox.direct:
            outbox.open()

    def register(self, producer: Any) -> None:
        """Have ``producer`` pause while too much waits."""
        self._producer = producer
        if self._outbox is None:
            self._transport.registerProducer(producer, True)
        else:
            self._outbox.renew()

    def unregister(self) -> None:
        """End that."""
        producer, self._producer = self._producer, None
        if self._outbox is None and producer is not None:
            self._transport.unregisterProducer()

    def end(self) -> None:
        """Write nothing any more: the transport is about to be closed, or is."""
        self.unregister()
        if self._outbox is not None:
            self._outbox.close()
            self._outbox.end()

    def pauseProducing(self) -> None:
        """Too much waits."""
        if self._producer is not None:
            self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        """Nothing waits any more."""
        if self._producer is not None:
            self._producer.resumeProducing()

    def stopProducing(self) -> None:
        """The transport is gone; the connection hears of it, too."""
