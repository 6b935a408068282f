"""Writing at once: what a socket takes now needs no buffer, no ``epoll_ctl`` and no further turn of the
reactor.

By public interfaces alone: ``getHandle()`` is the socket, and a transport calls a *pull* producer exactly
when its own buffer has run empty. Who is the only writer and knows that nothing waits may send by itself, and
nothing overtakes what is still on its way.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from twisted.internet.interfaces import IPullProducer, ISSLTransport, ITCPTransport, IUNIXTransport
from zope.interface import directlyProvides, implementer, providedBy

from ampproxy.http.splicing import splice

#: So much may wait in a transport before its producer is paused; Twisted's own mark. Bytes.
HIGH = 64 * 1024
#: So much goes from socket to socket in one turn of the reactor, which takes about a millisecond. Bytes.
MAX_DRAWN_BYTES = 4 * 1024 * 1024


class Source(Protocol):
    """Who writes: it hears of it when the other side takes less than there is. As ``IPushProducer``."""

    def pauseProducing(self) -> None:
        """More than :data:`HIGH` bytes wait."""

    def resumeProducing(self) -> None:
        """Nothing waits any more."""

    def stopProducing(self) -> None:
        """The connection is gone."""


class _NoProducer:
    """Stands for a source that is gone."""

    def pauseProducing(self) -> None:
        pass

    resumeProducing = stopProducing = pauseProducing


_NO_PRODUCER = _NoProducer()


def socket_of(transport: Any) -> socket.socket | None:
    """The socket that a transport writes to as it is; ``None`` where there is none, or TLS lies between."""
    if ISSLTransport.providedBy(transport):
        return None
    if not any(interface.providedBy(transport) for interface in (ITCPTransport, IUNIXTransport)):
        return None
    handle = transport.getHandle()
    return handle if isinstance(handle, socket.socket) else None


@implementer(IPullProducer)
class Outbox:
    """What is written to one connection, whose only writer it is from :meth:`open` to :meth:`close`.

    Where the transport has a socket of its own, it is written to at once; else by way of the transport.

    :param transport: nothing has been written to it yet.
    :ivar direct: whether it has such a socket.
    """

    __slots__ = ("_held", "_open", "_paused", "_send", "_socket", "_source", "_transport", "direct")

    def __init__(self, transport: Any, source: Source) -> None:
        self._transport = transport
        self._source = source
        self._socket = socket_of(transport)
        self.direct = self._socket is not None
        self._send: Callable[[bytes | memoryview], int] | None = None
        self._held = 0
        self._paused = self._open = False

    def open(self) -> None:
        """Begin."""
        self._open = True
        if self.direct:
            self._transport.registerProducer(self, False)
        else:
            self._transport.registerProducer(self._source, True)

    def write(self, data: bytes | memoryview) -> None:
        """Send it: at once, as far as nothing waits."""
        send = self._send
        if send is None:
            self._wait(data)
            return
        try:
            sent = send(data)
        except OSError:
            # Full, or broken: the transport finds out which.
            sent = 0
        if sent < len(data):
            self._send = None
            self._wait(data[sent:] if sent else data)

    def draw(self, source: socket.socket, most: int) -> int:
        """Send what has come at another socket, without reading it.

        :param most: bytes.
        :return: how many bytes that one gave; 0: nothing is there, or it is to be read and written.
        """
        target = self._socket
        if self._send is None or target is None:
            return 0
        taken, unsent = splice(source, target, min(most, MAX_DRAWN_BYTES))
        if unsent:
            self._send = None
            self._wait(unsent)
        return taken

    def _wait(self, data: bytes | memoryview) -> None:
        self._transport.write(bytes(data))
        if self.direct and self._open:
            self._held += len(data)
            if self._held > HIGH and not self._paused:
                self._paused = True
                self._source.pauseProducing()

    def resumeProducing(self) -> None:
        """The transport has nothing left to send."""
        if not self._open:
            return
        assert self._socket is not None
        self._send = self._socket.send
        self._held = 0
        if self._paused:
            self._paused = False
            self._source.resumeProducing()

    def stopProducing(self) -> None:
        """The transport is gone."""
        self._send = None
        self._open = False
        source, self._source = self._source, _NO_PRODUCER
        source.stopProducing()

    def serve(self, source: Source) -> None:
        """From now on another one writes."""
        self._source = source
        if self._paused:
            source.pauseProducing()

    def renew(self) -> None:
        """What follows is another's: while too much waits, pause it at its first piece, and not before it has
        begun.
        """
        self._paused = False

    def close(self) -> None:
        """Write nothing any more: the transport is for others, or about to be closed."""
        self._send = None
        if self._open:
            self._open = False
            self._transport.unregisterProducer()

    def end(self) -> None:
        """The connection is gone: forget who wrote."""
        self._send = None
        self._open = False
        self._source = _NO_PRODUCER


class AtOnce:
    """A transport for a layer that writes to it alone, such as TLS: its socket is written to at once.

    All else of the transport is as it is.

    :param transport: has a socket of its own (see :func:`socket_of`); nothing has been written to it yet.
    """

    def __init__(self, transport: Any) -> None:
        directlyProvides(self, providedBy(transport))
        self._transport = transport
        self._outbox = Outbox(transport, _NO_PRODUCER)
        self._outbox.open()
        self.write = self._outbox.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    @property
    def bufferSize(self) -> int:
        """Bytes that are read at a time."""
        size: int = self._transport.bufferSize
        return size

    @bufferSize.setter
    def bufferSize(self, size: int) -> None:
        self._transport.bufferSize = size

    @property
    def disconnecting(self) -> bool:
        """Whether it is being closed. Asked for at each read and write."""
        closing: bool = self._transport.disconnecting
        return closing

    def writeSequence(self, pieces: Iterable[bytes]) -> None:
        """Send several pieces."""
        self.write(b"".join(pieces))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Have it pause while more waits than the other side takes.

        :param producer: an ``IPushProducer``.
        """
        self._outbox.serve(producer)

    def unregisterProducer(self) -> None:
        """It has nothing more."""
        self._outbox.serve(_NO_PRODUCER)

    def loseConnection(self) -> None:
        """Close it when all that was written is sent."""
        self._outbox.close()
        self._transport.loseConnection()
