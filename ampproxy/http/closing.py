"""Connections that are to be closed, and are, whatever the other side does.

``loseConnection()`` waits until the other side has taken what was written; under TLS also until it has
answered the notice that the connection ends ("close_notify"), which many never do. Neither wait has an end in
Twisted.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from ampproxy.http.outbox import AtOnce, socket_of

#: Seconds that the other side of a connection has to close it, too, when it has taken all that was written.
LOOK_INTERVAL = 5.0
#: Seconds for which it may take no byte of what is still on its way to it.
STALLED = 30.0


def lowest(transport: Any) -> Any:
    """The transport below TLS, and below TLS within TLS."""
    while isinstance(transport, TLSMemoryBIOProtocol):
        transport = transport.transport
    return transport


def unsent(transport: Any) -> int:
    """The bytes that were written to a connection and that the other side has not taken: Twisted's, without
    those of its last turn, and the system's.

    Where the system does not report them (all but Linux), only Twisted's are counted.
    """
    below = lowest(transport)
    waiting = len(getattr(below, "dataBuffer", b"")) - getattr(below, "offset", 0)
    return waiting + _in_the_system(below)


def _in_the_system(transport: Any) -> int:
    try:
        # Of sockets, what the other side has not acknowledged (SIOCOUTQ has the same number).
        waiting = fcntl.ioctl(transport.fileno(), termios.TIOCOUTQ, bytes(4))
    except (AttributeError, OSError, TypeError, ValueError):
        return 0
    number: int = struct.unpack("i", waiting)[0]
    return number


def reset_at_end(transport: Any, on: bool) -> None:
    """Have the system reset a connection, rather than end it in order, when its socket is closed: by the end
    of the process, whatever that dies of. Nothing happens where there is no such socket.
    """
    try:
        handle = lowest(transport).getHandle()
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", on, 0))
    except (AttributeError, OSError):
        pass


class Closing:
    """Sees to it that a connection which is to be closed is gone some time later.

    :param transport: of the connection.
    """

    def __init__(self, transport: Any, clock: IReactorTime) -> None:
        self._transport = transport
        self._clock = clock
        self._left = 0
        self._stalled = 0.0
        self._let_go = False
        self._over = False
        self._call: IDelayedCall | None = None

    def begin(self) -> None:
        """``loseConnection()`` was called."""
        if self._call is None and not self._over:
            self._left = unsent(self._transport)
            self._wait()

    def end(self) -> None:
        """The connection is gone."""
        self._over = True
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _wait(self) -> None:
        self._call = self._clock.callLater(LOOK_INTERVAL, self._look)

    def _look(self) -> None:
        left, before = unsent(self._transport), self._left
        self._left = left
        self._stalled = self._stalled + LOOK_INTERVAL if left and left >= before else 0.0
        if self._stalled >= STALLED or self._let_go:
            self._transport.abortConnection()
            return
        self._wait()
        if not left:
            # All has arrived. Closed like this, and not aborted, it can also be read by who is slow.
            self._let_go = True
            lowest(self._transport).loseConnection()


class TLS(TLSMemoryBIOProtocol):
    """A connection under TLS that is closed in time. What is written goes out at once: whoever writes joins
    what belongs together.
    """

    factory: TLSFactory
    transport: Any

    def makeConnection(self, transport: Any) -> None:
        """The connection stands; its handshake begins."""
        self._closing = Closing(self, self.factory.clock)
        if socket_of(transport) is not None:
            transport = AtOnce(transport)
        super().makeConnection(transport)  # type: ignore[no-untyped-call]

    def loseConnection(self) -> None:
        """Close it: send the notice of that to the other side, and do not wait for its answer for ever."""
        super().loseConnection()  # type: ignore[no-untyped-call]
        if self.connected:
            self._closing.begin()

    def dataReceived(self, data: bytes) -> None:
        """Bytes of the other side's. Where it has ended TLS, or broken it, what is below is closed when all
        that was on its way has been taken; that is seen here, and when more is written.
        """
        super().dataReceived(data)  # type: ignore[no-untyped-call]
        if self.transport.disconnecting:
            self._closing.begin()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        super().write(data)  # type: ignore[no-untyped-call]
        if self.transport.disconnecting:
            self._closing.begin()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is closed."""
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        self._closing.end()


class TLSFactory(TLSMemoryBIOFactory):
    """Puts protocols under TLS.

    :param creator: an ``IOpenSSLClientConnectionCreator``, ``IOpenSSLServerConnectionCreator`` or a context
        factory.
    :param client: whether it is the client's side.
    :param wrapped: makes the protocols.
    """

    def __init__(self, creator: Any, client: bool, wrapped: IProtocolFactory, clock: IReactorTime) -> None:
        super().__init__(creator, client, wrapped, clock=clock)
        self.clock = clock
        # Not Twisted's, which gathers what is written in a turn of the reactor: a request, too, is one piece.
        self.protocol = TLS


@implementer(IStreamClientEndpoint)
class TLSEndpoint:
    """An endpoint under TLS; as Twisted's ``wrapClientTLS``, but that connections are closed in time.

    :param creator: an ``IOpenSSLClientConnectionCreator``.
    :param plain: the endpoint without TLS.
    """

    def __init__(self, creator: Any, plain: IStreamClientEndpoint, clock: IReactorTime) -> None:
        self._creator = creator
        self._plain = plain
        self._clock = clock

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; the TLS handshake may go on afterwards."""
        factory = TLSFactory(self._creator, True, protocolFactory, self._clock)
        connecting: Deferred[Any] = self._plain.connect(factory)
        return connecting.addCallback(lambda tls: tls.wrappedProtocol)
