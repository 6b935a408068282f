"""A tunnel: two connections whose bytes are handed across, whatever they mean.

Each side's transport is the producer of the other's: what one side does not read, the other is not asked
for. When one side says no more, the other is told so, where its transport can say that alone; when one
side is gone, the other gets what was still on its way to it and is closed.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IReactorTime, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from ampproxy.http.transports import release_buffers
from ampproxy.model.base import Value

#: Seconds that a closing side has to take what is still on its way to it.
FLUSH = 10.0

#: Bytes read at a time: no more than what TLS has in one record.
PIECE = 16 * 1024

#: A piece of this size leaves buffers behind that are worth to be given back, so many seconds later. Bytes.
LARGE = 2 * 1024
SETTLE = 2.0

#: Seconds of silence after which a tunnel ends that one side has closed for its part: most programs that
#: do this are gone.
HALF_IDLE = 30.0


class Ending(Value, frozen=True):
    """How a tunnel ended.

    :param side: who ended it; ``""``: neither side, it was silent for too long or aborted.
    :param orderly: whether that side closed its connection as one does.
    :param why: for what it was aborted.
    """

    side: str
    orderly: bool
    why: str = ""


@implementer(IHalfCloseableProtocol)
class Leg(Protocol):
    """One side of a tunnel.

    :ivar received: bytes that came from this side.
    """

    transport: Any
    peer: Leg

    def __init__(self, tunnel: Tunnel, side: str) -> None:
        self.side = side
        self.received = 0
        self.gone = False
        self.silent = False
        self._tunnel = tunnel
        self._closing = False
        self._fed = False
        self._flush_call: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Connected: read smaller pieces than an exchange does, and send each at once."""
        below = self.transport
        while isinstance(below, TLSMemoryBIOProtocol):
            below = below.transport
        if hasattr(below, "bufferSize"):
            below.bufferSize = PIECE
        if ITCPTransport.providedBy(below):
            below.setTcpNoDelay(True)

    def feed_from(self, producer: Any) -> None:
        """Have ``producer`` pause while this side does not read."""
        self._fed = True
        self.transport.registerProducer(producer, True)

    def dataReceived(self, data: bytes) -> None:
        """This side said something."""
        self.received += len(data)
        self._tunnel.stir()
        if len(data) >= LARGE:
            self._tunnel.settle_later()
        peer = self.peer
        if not (peer._closing or peer.gone):
            peer.transport.write(data)

    def readConnectionLost(self) -> None:
        """This side will say no more, but still listens."""
        if self.silent:
            return
        self.silent = True
        self._tunnel.hush(self)

    def writeConnectionLost(self) -> None:
        """This side was told that the other will say no more."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """This side is gone."""
        self.gone = True
        self._fed = False
        if self._flush_call is not None and self._flush_call.active():
            self._flush_call.cancel()
        self._tunnel.lost(self, orderly=reason.check(ConnectionDone) is not None)

    def hush(self) -> bool:
        """Tell this side that the other will say no more; false if that cannot be said without closing."""
        # Under TLS, Twisted ends both directions together.
        if isinstance(self.transport, TLSMemoryBIOProtocol) or self._closing or self.gone:
            return False
        lose = getattr(self.transport, "loseWriteConnection", None)
        if lose is None:
            return False
        self._release()
        lose()
        return True

    def close(self, clock: IReactorTime) -> None:
        """Close this side when it has got what is on its way; without that, after :data:`FLUSH` seconds."""
        if self._closing or self.gone or self.transport is None:
            return
        self._closing = True
        self._release()
        if not self.silent:
            # TLS ends with an answer of the other side, which is not seen while reading is paused.
            self.transport.resumeProducing()
        self._flush_call = clock.callLater(FLUSH, self.transport.abortConnection)
        self.transport.loseConnection()

    def _release(self) -> None:
        if self._fed:
            self._fed = False
            self.transport.unregisterProducer()


class Tunnel:
    """The two legs, and their common end.

    Connect both legs, then :meth:`start`.

    :param idle: seconds of silence, on both sides, after which it ends.
    """

    def __init__(self, clock: IReactorTime, idle: float) -> None:
        self._clock = clock
        self._idle = idle
        self._stirred = 0.0
        self._idle_call: IDelayedCall | None = None
        self._settle_call: IDelayedCall | None = None
        self._ending: Ending | None = None
        self._done: Deferred[Ending] = Deferred()
        self.client = Leg(self, "client")
        self.upstream = Leg(self, "upstream")
        self.client.peer, self.upstream.peer = self.upstream, self.client

    def start(self, from_client: bytes = b"", from_upstream: bytes = b"") -> Deferred[Ending]:
        """Begin with what has come already; the result fires when both sides are closed."""
        self.stir()
        legs = (self.client, from_client), (self.upstream, from_upstream)
        if not (self.client.gone or self.upstream.gone):
            for leg, _ in legs:
                leg.feed_from(leg.peer.transport)
        for leg, early in legs:
            if early:
                leg.dataReceived(early)
        if not self._done.called:
            self._idle_call = self._clock.callLater(self._idle, self._look)
            # The handshakes have left buffers behind.
            self.settle_later()
        return self._done

    def settle_later(self) -> None:
        """Something large went through: soon give back what was needed for it."""
        if self._settle_call is None and not self._done.called:
            self._settle_call = self._clock.callLater(SETTLE, self._settle)

    def _settle(self) -> None:
        self._settle_call = None
        legs = self.client, self.upstream
        if not all(leg.gone or release_buffers(leg.transport) for leg in legs):
            self.settle_later()

    def stir(self) -> None:
        """One of the sides said something."""
        self._stirred = self._clock.seconds()

    def hush(self, leg: Leg) -> None:
        """A side says no more."""
        self._end(Ending(leg.side, orderly=True))
        if leg.peer.silent or not leg.peer.hush():
            self._close()
            return
        self._idle = min(self._idle, HALF_IDLE)
        self.stir()
        self._rest()
        self._idle_call = self._clock.callLater(self._idle, self._look)

    def lost(self, leg: Leg, *, orderly: bool) -> None:
        """A side is gone."""
        self._end(Ending(leg.side, orderly))
        if not leg.peer.gone:
            leg.peer.close(self._clock)
        # Closing may have ended the other side within the call.
        if leg.peer.gone and not self._done.called:
            self._rest()
            if self._settle_call is not None:
                self._settle_call.cancel()
                self._settle_call = None
            assert self._ending is not None
            self._done.callback(self._ending)

    def abort(self, why: str) -> None:
        """Close both sides."""
        self._end(Ending("", orderly=True, why=why))
        self._close()

    def _end(self, ending: Ending) -> None:
        if self._ending is None:
            self._ending = ending

    def _close(self) -> None:
        self._rest()
        self.client.close(self._clock)
        self.upstream.close(self._clock)

    def _rest(self) -> None:
        if self._idle_call is not None and self._idle_call.active():
            self._idle_call.cancel()
        self._idle_call = None

    def _look(self) -> None:
        self._idle_call = None
        quiet = self._clock.seconds() - self._stirred
        if quiet >= self._idle:
            self._end(Ending("", orderly=True))
            self._close()
        else:
            self._idle_call = self._clock.callLater(self._idle - quiet, self._look)
