"""The head of an upgrade's answer, and the connection that it gives away."""

from __future__ import annotations

import unittest
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from ampproxy.upstream.handshake import MAX_HEAD, MAX_LINES, HandshakeRefused
from ampproxy.upstream.upgrade import HeadParser, UpgradeConnection, ask_for_upgrade
from tests.growth.law import MOST, growth

HEAD = (
    b"HTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection:  Upgrade \r\n"
    b"X-A: 1\r\nX-A: 2\r\n\r\n"
)
HEADERS = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"X-A", b"1"), (b"X-A", b"2")]


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_every_split(newline: bytes) -> None:
    """Wherever the network cuts the answer, the head is the same and nothing behind it is lost."""
    text = HEAD.replace(b"\r\n", newline) + b"\x81\x01a"
    for at in range(len(text)):
        parser = HeadParser()
        head = parser.feed(text[:at])
        rest = text[at:]
        if head is None:
            head, rest = parser.feed(rest), b""
        assert head is not None
        assert (head.status, head.headers, head.rest + rest) == (101, HEADERS, b"\x81\x01a")


def test_byte_by_byte() -> None:
    """A head in single bytes is whole with its last one, not before."""
    parser = HeadParser()
    heads = [parser.feed(HEAD[at : at + 1]) for at in range(len(HEAD))]
    assert [head is None for head in heads] == [True] * (len(HEAD) - 1) + [False]


@pytest.mark.parametrize(
    "text",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"\x15\x03\x01",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 101 x\r\nno colon\r\n\r\n",
        b"HTTP/1.1 101 x\r\n folded: 1\r\n\r\n",
        b"HTTP/1.1 101 x\r\nA: b\rSet-Cookie: x\r\n\r\n",
        b"HTTP/1.1 101 x\r\nA : b\r\n\r\n",
    ],
)
def test_not_http(text: bytes) -> None:
    """What is not HTTP, or could be read in two ways, is refused."""
    with pytest.raises(HandshakeRefused, match="not HTTP"):
        HeadParser().feed(text)


@pytest.mark.parametrize("piece", [b"A: b\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n", b"A" * 5000])
def test_too_large(piece: bytes) -> None:
    """A head without an end is given up; interim answers without an end as well."""
    parser = HeadParser()
    if piece.startswith(b"A"):
        parser.feed(b"HTTP/1.1 101 x\r\n")

    def too_much() -> None:
        for _ in range(MAX_HEAD // len(piece) + 10):
            parser.feed(piece)

    with pytest.raises(HandshakeRefused, match=f"{MAX_HEAD} bytes|{MAX_LINES} lines"):
        too_much()


def test_a_head_by_the_byte() -> None:
    """Twice as long a head takes twice the time, however small its pieces are."""

    def read(size: int) -> None:
        parser = HeadParser()
        parser.feed(b"HTTP/1.1 101 x\r\nA: ")
        for _ in range(size):
            parser.feed(b"a")
        assert parser.feed(b"\r\n\r\n") is not None

    # On a busy machine all tries of one measure can be slow.
    assert any(growth(read, 20_000, 40_000) <= MOST for _ in range(3))


class Endpoint:
    """Connects to a transport in memory at once."""

    def connect(self, factory: Any) -> Deferred[Any]:
        self.transport = StringTransport()
        self.transport.abortConnection = self.transport.loseConnection  # type: ignore[method-assign]
        self.protocol = factory.buildProtocol(None)
        self.protocol.makeConnection(self.transport)
        connected: Deferred[Any] = Deferred()
        connected.callback(self.protocol)
        return connected


class Kept(Protocol):
    def __init__(self) -> None:
        self.data = b""
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True


class Asking(unittest.TestCase):
    def setUp(self) -> None:
        self.endpoint = Endpoint()
        self.results: list[Any] = []
        headers = Headers({b"Upgrade": [b"websocket"], b"X-A": [b"1", b"2"]})
        self.asking = ask_for_upgrade(
            self.endpoint,  # type: ignore[arg-type]
            b"GET",
            "https://amp.test/base//x%2Fy?a=%20&b",
            headers,
        )
        self.asking.addBoth(self.results.append)

    def hear(self, data: bytes) -> None:
        self.endpoint.protocol.dataReceived(data)

    def test_request(self) -> None:
        """The path and the query as they are; one Host, without the usual port."""
        head = self.endpoint.transport.value()
        self.assertTrue(head.startswith(b"GET /base//x%2Fy?a=%20&b HTTP/1.1\r\n"))
        self.assertTrue(head.endswith(b"\r\n\r\n"))
        lines = head.split(b"\r\n")
        for line in (b"Host: amp.test", b"Connection: Upgrade", b"Upgrade: websocket", b"X-A: 1", b"X-A: 2"):
            self.assertIn(line, lines)

    def test_switched(self) -> None:
        """What came with the head, and after it but before it was asked for, is handed over, in order."""
        self.hear(HEAD + b"one ")
        self.hear(b"two")
        (connection,) = self.results
        self.assertIsInstance(connection, UpgradeConnection)
        kept = Kept()
        self.assertEqual(connection.hand_over(kept), b"one two")
        self.hear(b"three")
        self.assertEqual(kept.data, b"three")
        self.endpoint.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(kept.lost)

    def test_ordinary_answer(self) -> None:
        """Another status is an answer with a body, decoded as always; then the connection is closed."""
        for text in (
            b"HTTP/1.1 402 Nope\r\nContent-Length: 5\r\nX-A: 1\r\n\r\nhello",
            b"HTTP/1.1 402 Nope\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        ):
            self.setUp()
            for at in range(len(text)):
                self.hear(text[at : at + 1])
            (response,) = self.results
            kept = Kept()
            response.deliverBody(kept)
            self.assertEqual((response.code, kept.data, kept.lost), (402, b"hello", True))
            self.assertTrue(self.endpoint.transport.disconnecting)

    def test_answer_until_the_end(self) -> None:
        """A body without a length ends with the connection, also where that is closed by halves."""
        self.hear(b"HTTP/1.1 500 Oh\r\n\r\nhel")
        (response,) = self.results
        kept = Kept()
        response.deliverBody(kept)
        self.hear(b"lo")
        self.endpoint.protocol.readConnectionLost()
        self.assertTrue(self.endpoint.transport.disconnecting)
        self.endpoint.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((kept.data, kept.lost), (b"hello", True))

    def test_nonsense(self) -> None:
        """What is not HTTP fails, and closes."""
        self.hear(b"SSH-2.0\r\n")
        self.results[0].trap(HandshakeRefused)
        self.assertTrue(self.endpoint.transport.disconnecting)
        self.hear(b"more")
        self.endpoint.protocol.connectionLost(Failure(ConnectionDone()))

    def test_unanswered(self) -> None:
        """A connection that ends first is a failure."""
        self.endpoint.protocol.connectionLost(Failure(ConnectionDone()))
        self.results[0].trap(ConnectionDone)

    def test_cancelled(self) -> None:
        """Whoever does not want to wait closes the connection."""
        self.asking.cancel()
        self.assertTrue(self.endpoint.transport.disconnecting)
        self.results[0].trap(CancelledError)
        self.endpoint.protocol.connectionLost(Failure(ConnectionDone()))
