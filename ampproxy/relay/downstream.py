"""The client's side of an exchange, as the relay sees it."""

from __future__ import annotations

from collections.abc import Callable
from socket import socket
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from ampproxy.errors import ExchangeError
from ampproxy.http.headers import LowerHeaders
from ampproxy.upstream.body import SLICE


class Downstream(Protocol):
    """A ``twisted.web`` request that is being answered.

    :ivar on_leave: called when the client leaves before the answer is out.
    :ivar on_abort: called when the answer is to end though neither side wants that, with what to say.
    """

    responseHeaders: LowerHeaders
    on_leave: Callable[[], None] | None
    on_abort: Callable[[ExchangeError], None] | None

    def setResponseCode(self, code: int, message: bytes | None = None) -> None:
        """Say the status; before the first byte."""

    def write(self, data: bytes) -> None:
        """Send more of the body."""

    def write_from(self, source: socket, most: int) -> int:
        """Send more of the body from a socket; see
        :meth:`~ampproxy.http.server_request.HttpRequest.write_from`.
        """

    def finish(self) -> None:
        """End the body as it should end."""

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """Have ``producer`` pause while the client does not read."""

    def unregisterProducer(self) -> None:
        """End that."""

    def break_off(self) -> None:
        """Close the connection so that the client sees that the answer is not whole."""


@implementer(IPushProducer)
class SlicedBody:
    """Writes a large body as fast as the client reads it, not into memory a second time."""

    def __init__(self, downstream: Downstream, body: bytes) -> None:
        self._downstream: Downstream | None = downstream
        self._body = memoryview(body)
        self._paused = False
        self._writing = False
        self.done: Deferred[None] = Deferred()

    def start(self) -> Deferred[None]:
        """Begin; the result fires when all is written, or the client has left."""
        assert self._downstream is not None
        self._downstream.registerProducer(self, True)
        self.resumeProducing()
        return self.done

    def pauseProducing(self) -> None:
        """The client does not read."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The client reads again."""
        self._paused = False
        if self._writing:
            return
        self._writing = True
        while self._body and not self._paused and self._downstream is not None:
            piece, self._body = self._body[:SLICE], self._body[SLICE:]
            self._downstream.write(bytes(piece))
        self._writing = False
        if not self._body:
            self.stopProducing()

    def stopProducing(self) -> None:
        """All is written, or nothing more is to be."""
        downstream, self._downstream = self._downstream, None
        if downstream is not None:
            downstream.unregisterProducer()
            self.done.callback(None)
