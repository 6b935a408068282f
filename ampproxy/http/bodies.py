"""Bodies of requests that are in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

#: Written to a socket at a time: what Twisted's transport hands to the kernel in one call. Of larger
#: pieces it copies what is left after every call.
SLICE = 128 * 1024


@implementer(IBodyProducer)
class BytesProducer:
    """A request body that is in memory, written in slices as fast as the connection takes it."""

    def __init__(self, body: bytes) -> None:
        self.length = len(body)
        self._body = body
        self._at = 0
        self._paused = False
        self._writing = False
        # Any buffer may be written to ours.
        self._consumer: Any = None
        self._done: Deferred[None] | None = None

    def take(self) -> bytes | None:
        """The whole body, once, if it is small enough to be written at once; it need not be produced then."""
        if self.length > SLICE or self._at:
            return None
        body, self._body = self._body, b""
        return body

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write until told to pause; the result fires when all is written."""
        self._consumer = consumer
        done = self._done = Deferred(lambda _: self.stopProducing())
        self._write()
        return done

    def pauseProducing(self) -> None:
        """The connection's buffer is full."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The connection takes more."""
        self._paused = False
        self._write()

    def stopProducing(self) -> None:
        """The connection is gone; its own failure tells everybody."""
        self._consumer = None
        self._body = b""

    def _write(self) -> None:
        # The consumer may pause and resume us from inside write().
        if self._writing:
            return
        self._writing = True
        try:
            while self._consumer is not None and not self._paused and self._at < self.length:
                # Not a copy.
                piece = memoryview(self._body)[self._at : self._at + SLICE]
                self._at += len(piece)
                self._consumer.write(piece)
        finally:
            self._writing = False
        if self._consumer is not None and self._at >= self.length and self._done is not None:
            done, self._done, self._consumer = self._done, None, None
            self._body = b""
            done.callback(None)
