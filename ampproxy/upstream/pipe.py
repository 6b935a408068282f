"""Bodies of requests that are still arriving, piece by piece."""

from __future__ import annotations

from collections.abc import Callable
from socket import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.python.failure import Failure
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from ampproxy.http.bodies import SLICE
from ampproxy.wire.pieces import add


@implementer(IBodyProducer)
class PipeProducer:
    """A request body that is still arriving from the client, handed on as it comes.

    :param length: its length where the client said one, else ``UNKNOWN_LENGTH``.
    :param pause: asks the source to wait; called when more is buffered than the upstream takes.
    :param resume: asks it to go on.
    """

    def __init__(self, length: int | None, *, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self.length = UNKNOWN_LENGTH if length is None else length
        self._pause = pause
        self._resume = resume
        self._waiting: list[bytes] = []
        self._waiting_size = 0
        # Ours shows more than the interface has.
        self._consumer: Any = None
        self._done: Deferred[None] | None = None
        self._held = False
        self._paused = False
        self._ended = False
        self._closed = False
        self._looking: tuple[int, Deferred[bytes]] | None = None

    def beginning(self, size: int) -> Deferred[bytes]:
        """What has arrived, as soon as that is ``size`` bytes (at most :data:`SLICE`) or all there is. To be
        asked before it is produced.
        """
        looking: Deferred[bytes] = Deferred(self._forget)
        self._looking = size, looking
        self._look()
        return looking

    def change_beginning(self, change: Callable[[bytes], bytes]) -> None:
        """Have what has arrived, of which nothing was produced, replaced; the length follows."""
        before = b"".join(self._waiting)
        after = change(before)
        self._waiting[:] = [after] if after else []
        self._waiting_size = len(after)
        if isinstance(self.length, int):
            self.length += len(after) - len(before)

    def _look(self) -> None:
        if self._looking is None:
            return
        size, looking = self._looking
        if self._waiting_size >= size or self._ended or self._closed:
            self._looking = None
            looking.callback(b"".join(self._waiting))

    def _forget(self, _: object) -> None:
        self._looking = None

    @property
    def held(self) -> bool:
        """Whether the source has been asked to wait."""
        return self._held

    def push(self, data: bytes) -> None:
        """The next bytes from the client."""
        if self._closed:
            return
        if self._consumer is not None and not self._paused and not self._waiting:
            self._consumer.write(data)
            return
        add(self._waiting, data)
        self._waiting_size += len(data)
        if self._waiting_size >= SLICE and not self._held:
            self._held = True
            self._pause()
        self._look()

    def draw(self, source: socket, most: int) -> int:
        """Have the upstream take the next bytes from the client's own socket, if it can.

        :param most: bytes.
        :return: how many bytes; 0: they are to be read, and pushed.
        """
        if self._paused or self._waiting:
            return 0
        # Ours can; another library's consumer cannot, and there is none before the connection stands.
        draw = getattr(self._consumer, "draw", None)
        return 0 if draw is None else draw(source, most)

    def end(self) -> None:
        """The client sent all."""
        self._ended = True
        self._look()
        self._flush()

    def abandon(self, reason: Failure | None = None) -> None:
        """Nothing more is wanted: the client left (``reason``), or the upstream has answered already.

        What the client still sends is dropped from now on.
        """
        self._closed = True
        self._waiting.clear()
        self._look()
        done, self._done, self._consumer = self._done, None, None
        if self._held:
            self._held = False
            self._resume()
        if done is not None and reason is not None:
            done.errback(reason)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """The connection stands: hand over what has arrived, then the rest as it comes."""
        done = self._done = Deferred(lambda _: self.stopProducing())
        self._consumer = consumer
        self._flush()
        return done

    def pauseProducing(self) -> None:
        """The connection's buffer is full: so is the client's, from now on."""
        self._paused = True
        if not self._held and not self._closed:
            self._held = True
            self._pause()

    def resumeProducing(self) -> None:
        """The connection takes more."""
        self._paused = False
        self._flush()

    def stopProducing(self) -> None:
        """The connection is gone; its own failure tells everybody."""
        self._done = None
        self.abandon()

    def _flush(self) -> None:
        # write() may pause us, or stop us altogether, before it returns.
        while self._waiting and self._consumer is not None and not self._paused:
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._waiting_size = 0
            self._consumer.write(data)
        if self._waiting or self._consumer is None or self._paused:
            return
        if self._held:
            self._held = False
            self._resume()
        if self._ended and self._done is not None:
            done, self._done, self._consumer = self._done, None, None
            done.callback(None)
