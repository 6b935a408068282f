"""Two connections joined: what passes, who waits for whom, and how it ends."""

from __future__ import annotations

import unittest
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from ampproxy.relay.tunnel import FLUSH, HALF_IDLE, LARGE, PIECE, SETTLE, Ending, Tunnel
from tests.http.test_transports import carry, connected

IDLE = 100.0


@implementer(ITCPTransport)
class Wire(StringTransport):
    """A connection that can be closed by halves."""

    half_closed = False
    aborted = False
    nodelay = False
    bufferSize = 65536

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.nodelay = enabled

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def abortConnection(self) -> None:
        self.aborted = True


class TlsWire(Wire, TLSMemoryBIOProtocol):
    """One that cannot, though what is below it can."""

    def __init__(self) -> None:
        Wire.__init__(self)


class Joined(unittest.TestCase):
    upstream_wire: type[Wire] = Wire

    def setUp(self) -> None:
        self.clock = Clock()
        self.tunnel = Tunnel(self.clock, IDLE)
        self.client, self.upstream = Wire(), self.upstream_wire()
        self.tunnel.client.makeConnection(self.client)
        self.tunnel.upstream.makeConnection(self.upstream)
        self.endings: list[Any] = []
        self.tunnel.start(b"early up", b"early down").addBoth(self.endings.append)

    def lose(self, leg: Any, error: type[Exception] = ConnectionDone) -> None:
        leg.connectionLost(Failure(error()))


class Bytes(Joined):
    def test_both_ways(self) -> None:
        """Bytes go across as they are, what came before the tunnel stood first; both ways are counted."""
        self.tunnel.client.dataReceived(b"\x00up")
        self.tunnel.upstream.dataReceived(b"\xffdown")
        self.assertEqual(self.upstream.value(), b"early up\x00up")
        self.assertEqual(self.client.value(), b"early down\xffdown")
        self.assertEqual((self.tunnel.client.received, self.tunnel.upstream.received), (11, 15))

    def test_who_does_not_read_is_not_written_to(self) -> None:
        """Each side's full buffer stops the reading of the other, and only that."""
        self.client.producer.pauseProducing()
        self.assertEqual((self.upstream.producerState, self.client.producerState), ("paused", "producing"))
        self.client.producer.resumeProducing()
        self.upstream.producer.pauseProducing()
        self.assertEqual((self.upstream.producerState, self.client.producerState), ("producing", "paused"))
        self.assertTrue(self.client.streaming)
        self.assertTrue(self.upstream.streaming)

    def test_small_pieces_at_once(self) -> None:
        """A socket's small frames do not wait for each other; its buffers stay small."""
        for wire in (self.client, self.upstream):
            self.assertEqual((wire.bufferSize, wire.nodelay), (PIECE, True))


class Settling(Joined):
    """Under TLS, what was needed for large pieces is given back some time later."""

    upstream_wire = TlsWire

    def setUp(self) -> None:
        super().setUp()
        self.connection, self.far = connected()
        self.upstream._tlsConnection = self.connection  # type: ignore[attr-defined]

    @property
    def buffers(self) -> tuple[Any, Any]:
        return self.connection._into_ssl, self.connection._from_ssl

    def test_after_the_handshake(self) -> None:
        """Once at the beginning, and then not without a reason."""
        before = self.buffers
        self.clock.advance(SETTLE)
        after = self.buffers
        self.assertNotEqual(after, before)
        self.tunnel.upstream.dataReceived(b"small")
        self.clock.advance(SETTLE * 2)
        self.assertEqual(self.buffers, after)

    def test_after_large_pieces(self) -> None:
        """Once for many of them, on whichever side they came."""
        self.clock.advance(SETTLE)
        for leg in (self.tunnel.client, self.tunnel.upstream):
            before = self.buffers
            for _ in range(100):
                leg.dataReceived(bytes(LARGE))
            self.assertEqual(len(self.clock.getDelayedCalls()), 2)
            self.clock.advance(SETTLE)
            self.assertNotEqual(self.buffers, before)

    def test_not_while_they_are_in_use(self) -> None:
        """What is on its way is waited for."""
        before = self.buffers
        self.connection.send(b"on its way")
        self.clock.advance(SETTLE)
        self.assertEqual(self.buffers, before)
        carry(self.connection, self.far)
        self.clock.advance(SETTLE)
        self.assertNotEqual(self.buffers, before)

    def test_the_end(self) -> None:
        """Nothing waits behind a tunnel that has ended, nor touches a side that is gone."""
        self.lose(self.tunnel.upstream)
        self.clock.advance(SETTLE)
        self.tunnel.client.dataReceived(bytes(LARGE))
        self.lose(self.tunnel.client)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Ends(Joined):
    def sides(self) -> Any:
        tunnel = self.tunnel
        return (tunnel.client, self.client, tunnel.upstream, self.upstream), (
            tunnel.upstream,
            self.upstream,
            tunnel.client,
            self.client,
        )

    def test_one_ends_the_other(self) -> None:
        """A side that is gone closes the other after what was on its way; only then the tunnel has ended."""
        for which in (0, 1):
            for error in (ConnectionDone, ConnectionLost):
                self.setUp()
                leg, _, other, wire = self.sides()[which]
                self.lose(leg, error)
                self.assertTrue(wire.disconnecting)
                self.assertIsNone(wire.producer)
                self.assertEqual(self.endings, [])
                self.lose(other)
                self.assertEqual(self.endings, [Ending(leg.side, error is ConnectionDone)])
                self.assertFalse(wire.aborted)
                self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_paused_side_is_resumed_to_be_closed(self) -> None:
        """Else TLS would wait for an end that nobody reads."""
        self.upstream.pauseProducing()
        self.lose(self.tunnel.client)
        self.assertEqual(self.upstream.producerState, "producing")

    def test_nothing_is_said_to_a_closing_side(self) -> None:
        """What comes from a side that is being closed goes nowhere."""
        self.lose(self.tunnel.client)
        self.tunnel.upstream.dataReceived(b"late")
        self.assertEqual(self.client.value(), b"early down")

    def test_a_side_that_does_not_close(self) -> None:
        """It has its time to take what is left, then it is cut off."""
        self.lose(self.tunnel.upstream)
        self.clock.advance(FLUSH - 1)
        self.assertFalse(self.client.aborted)
        self.clock.advance(1)
        self.assertTrue(self.client.aborted)

    def test_half_closed(self) -> None:
        """Who says no more still hears; when both have said all, both are closed."""
        for which in (0, 1):
            self.setUp()
            leg, own, other, wire = self.sides()[which]
            leg.readConnectionLost()
            self.assertEqual((wire.half_closed, wire.disconnecting, wire.producer), (True, False, None))
            other.dataReceived(b" still")
            self.assertTrue(own.value().endswith(b" still"))
            other.readConnectionLost()
            self.assertTrue(own.disconnecting)
            self.assertTrue(wire.disconnecting)
            self.lose(leg)
            self.lose(other)
            self.assertEqual(self.endings, [Ending(leg.side, orderly=True)])

    def test_half_closed_and_silent(self) -> None:
        """A half-closed tunnel is not kept for as long as a whole one."""
        self.tunnel.client.readConnectionLost()
        self.clock.advance(HALF_IDLE - 1)
        self.tunnel.upstream.dataReceived(b"x")
        self.clock.advance(HALF_IDLE - 1)
        self.assertFalse(self.upstream.disconnecting)
        self.clock.advance(1)
        self.assertTrue(self.upstream.disconnecting)
        self.assertTrue(self.client.disconnecting)

    def test_silence(self) -> None:
        """Either side's words keep both alive; silence of both ends the tunnel."""
        for leg in (self.tunnel.client, self.tunnel.upstream, self.tunnel.client):
            self.clock.advance(IDLE - 1)
            leg.dataReceived(b"ping")
        self.clock.advance(IDLE - 1)
        self.assertFalse(self.client.disconnecting)
        self.clock.advance(1)
        self.assertTrue(self.client.disconnecting)
        self.assertTrue(self.upstream.disconnecting)
        self.lose(self.tunnel.client)
        self.lose(self.tunnel.upstream)
        self.assertEqual(self.endings, [Ending("", orderly=True)])
        self.assertEqual(self.clock.getDelayedCalls(), [])


class UnderTls(Joined):
    upstream_wire = TlsWire

    def test_no_halves(self) -> None:
        """Under TLS a side that hears no more is closed, and so is the other."""
        self.tunnel.client.readConnectionLost()
        self.assertEqual((self.upstream.half_closed, self.upstream.disconnecting), (False, True))
        self.assertTrue(self.client.disconnecting)
        self.lose(self.tunnel.upstream)
        self.lose(self.tunnel.client)
        self.assertEqual(self.endings, [Ending("client", orderly=True)])
