"""Answers that are not HTTP, or can be read in two ways: honest errors, on connections never used again."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers

from ampproxy.http.client_connection import ClientConnection
from ampproxy.http.client_request import Request
from ampproxy.upstream.failures import explain
from ampproxy.upstream.handshake import HandshakeRefused
from ampproxy.upstream.upgrade import HeadParser, UpgradeConnection
from ampproxy.wire.framing import BadMessage, answer_length
from tests.cases import each

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


class Body(Protocol):
    """Keeps an answer's body, and how it ended."""

    def __init__(self) -> None:
        self.data = b""
        self.end: Any = None

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.end = reason.value


class Home:
    """In the place of a pool."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.kept: list[ClientConnection] = []

    def free(self, connection: ClientConnection) -> None:
        self.kept.append(connection)

    def lost(self, connection: ClientConnection) -> None:
        if connection in self.kept:
            self.kept.remove(connection)


class Asked:
    """One request on a kept connection, and what became of it.

    :param size: the answer comes in pieces of so many bytes; 0: at once.
    """

    def __init__(self, answer: bytes, size: int = 0, *, method: bytes = b"GET", closes: bool = False) -> None:
        self.transport = StringTransport()
        self.transport.abortConnection = self.transport.loseConnection  # type: ignore[method-assign]
        self.home = Home()
        self.kept = self.home.kept
        self.connection = ClientConnection(self.home, "key")
        self.connection.makeConnection(self.transport)
        self.body = Body()
        self.error: Any = None
        self.response: Any = None
        request = Request(method, b"http://x/", b"/", b"x", Headers(), None)
        self.connection.ask(request).addCallbacks(self._answered, self._failed)
        for at in range(0, len(answer), size or len(answer)):
            if not self.transport.disconnecting:
                self.connection.dataReceived(answer[at : at + (size or len(answer))])
        if closes:
            self.connection.connectionLost(Failure(ConnectionDone()))

    def _answered(self, response: Any) -> None:
        self.response = response
        response.deliverBody(self.body)

    def _failed(self, failure: Failure) -> None:
        self.error = failure.value

    @property
    def used_again(self) -> bool:
        return bool(self.kept) and not self.transport.disconnecting

    def why(self) -> str:
        """Why there is no answer, or why it broke off."""
        error = explain(self.error or self.body.end, "account-7")
        assert error.error.status == 502
        assert "account-7" in error.error.message
        return error.error.message


#: Heads that are refused before anything of them goes on.
HEADS = [
    *(OK + b"A: b%bc\r\n\r\n" % byte for byte in (b"\0", b"\1", b"\x0b", b"\x1b", b"\x7f", b"\r", b"\n")),
    *(b"HTTP/1.1 200 O%bK\r\n\r\n" % byte for byte in (b"\0", b"\r", b"\x7f", b"\x1b")),
    OK + b"A\0: b\r\n\r\n",
    OK + b"A : b\r\n\r\n",
    OK + b": b\r\n\r\n",
    OK + b"nothing\r\n\r\n",
    OK + b" A: b\r\n\r\n",
    OK + b"A: b\nSet-Cookie: c=d\r\n\r\n",
    b"HTTP/1.1 200 OK\nA: b\r\n\n",
    b"HTTP/1.1 200 OK\nA: b\r\n\r\n",
    b"HTTP/1.1 +200 OK\r\n\r\n",
    b"HTTP/1.1 20_0 OK\r\n\r\n",
    b"HTTP/1.1 -200 OK\r\n\r\n",
    b"HTTP/1.1 99 OK\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1  200 OK\r\n\r\n",
    b"HTTP/2.0 200 OK\r\n\r\n",
    b"http/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 200\tOK\r\n\r\n",
    b"ICY 200 OK\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    OK + b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\n",
    OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n",
    OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n",
    OK + b"Transfer-Encoding:\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    *(
        OK + b"Content-Length: %b\r\n\r\n" % length
        for length in (b"+5", b"-5", b"0x5", b"5_0", b"5 0", b"5, 6", b"5,", b"", b"9" * 30, b"9" * 5000)
    ),
    OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
]


@each("head", HEADS)
def test_heads(head: bytes) -> None:
    """However it is cut, there is no answer, the error names the account, and the connection ends."""
    for size in (0, 1, 7):
        asked = Asked(head + b"5\r\nhello\r\n0\r\n\r\n", size)
        assert asked.response is None
        assert asked.why()
        assert not asked.used_again
        assert asked.transport.disconnecting


@pytest.mark.parametrize(
    "answer",
    [
        *(
            CHUNKED + b"5\r\nhello\r\n" + rest
            for rest in (
                b"0x5\r\nhello\r\n",
                b"+5\r\nhello\r\n",
                b"5 \r\nhello\r\n",
                b"x\r\n",
                b"\r\n",
                b"5\nhello\r\n",
                b"5\r\nhelloX",
                b"5\r\nhello\n",
                b"ffffffffffffffff\r\nhello",
                b"00000000000000005\r\nhello",
                b"5;\0\r\nhello",
                b"0\r\nnothing\r\n",
                b"0\r\nContent-Length: 5\r\n",
                b"0\r\nA: \0\r\n",
                b"0\r\n" + b"A: b\r\n" * 600,
                b"0\r\n\n",
            )
        ),
    ],
)
def test_bodies(answer: bytes) -> None:
    """A body that cannot be read is broken off, not taken for whole, and says whose it was."""
    for size in (0, 1, 7):
        asked = Asked(answer, size)
        assert asked.response.code == 200
        assert asked.body.data.startswith(b"hello")
        assert "broke the chunked coding" in asked.why()
        assert not asked.used_again
        assert asked.transport.disconnecting


@pytest.mark.parametrize("answer", [OK + b"Content-Length: 9\r\n\r\nhello", CHUNKED + b"5\r\nhello\r\n"])
def test_shorter(answer: bytes) -> None:
    """So is one whose connection ends before it."""
    asked = Asked(answer, closes=True)
    assert asked.body.data == b"hello"
    assert asked.why() == "account-7 broke off its answer."


@pytest.mark.parametrize(
    "answer", [OK + b"Content-Length: 5\r\n\r\nhello", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("surplus", [b"x", b"\r\n", OK + b"Content-Length: 3\r\n\r\nbad"])
def test_longer(answer: bytes, surplus: bytes) -> None:
    """More than was announced is no good end, and never the answer to another request."""
    asked = Asked(answer + surplus)
    assert asked.body.data == b"hello"
    assert "more than its headers announce" in asked.why()
    assert not asked.kept
    assert asked.transport.disconnecting


def test_more_than_nothing() -> None:
    """Likewise of an answer that has announced an empty body: nothing of it has gone on yet."""
    asked = Asked(OK + b"Content-Length: 0\r\n\r\nsurplus")
    assert asked.response is None
    assert "more than its headers announce" in asked.why()
    assert not asked.kept


def test_surplus_of_an_idle_connection() -> None:
    """What comes when nothing was asked ends a kept connection."""
    asked = Asked(OK + b"Content-Length: 5\r\n\r\nhello")
    assert asked.used_again
    asked.connection.dataReceived(OK)
    assert asked.transport.disconnecting


@pytest.mark.parametrize(
    ("method", "status", "more"),
    [
        (b"HEAD", 200, b"Content-Length: 5\r\n"),
        (b"HEAD", 200, b"Transfer-Encoding: chunked\r\n"),
        (b"GET", 204, b""),
        (b"GET", 204, b"Content-Length: 5\r\n"),
        (b"GET", 304, b"Content-Length: 5\r\n"),
    ],
)
def test_without_body(method: bytes, status: int, more: bytes) -> None:
    """Such an answer ends with its headers. What comes behind them is dropped with the connection."""
    head = b"HTTP/1.1 %d Fine\r\n%b\r\n" % (status, more)
    for body in (b"", b"hello"):
        asked = Asked(head + body, method=method)
        assert asked.response.code == status
        assert asked.body.data == b""
        assert isinstance(asked.body.end, ResponseDone)
        assert asked.used_again is not bool(body)


def test_interim_answers() -> None:
    """Any number of them, with headers, in any pieces, come before the answer and are no part of it."""
    interim = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 9\r\n\r\n"
    )
    for size in range(1, 40):
        asked = Asked(interim * 2 + OK + b"Content-Length: 5\r\nA: b\r\n\r\nhello", size)
        assert asked.body.data == b"hello"
        assert list(asked.response.headers.getAllRawHeaders()) == [(b"A", [b"b"])]
        assert asked.used_again


@pytest.mark.parametrize(
    ("head", "again"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200\r\n", True),
        (b"HTTP/1.1 200 \r\n", True),
        (b"HTTP/1.1 200 d\xe9j\xe0 vu\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x, close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: keep alive; x, (y),,\r\n", True),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n", True),
        (b"HTTP/1.1 200 OK\r\nA: b\tc \xe9\r\n d\r\nB:\r\n", True),
    ],
)
def test_good_answers(head: bytes, again: bool) -> None:
    """Whether the connection is used again is as the answer says it."""
    for lines in (b"\r\n", b"\n"):
        for size in (0, 1):
            text = (head + b"Content-Length: 5\r\n\r\n").replace(b"\r\n", lines) + b"hello"
            asked = Asked(text, size)
            assert asked.body.data == b"hello"
            assert isinstance(asked.body.end, ResponseDone)
            assert asked.used_again is again


def test_headers_of_the_connection() -> None:
    """What an answer's ``Connection`` names does not go on."""
    asked = Asked(
        OK + b"Connection: x-hop, Keep-Alive,X-Other\r\nConnection: X-Third\r\nX-Hop: 1\r\nX-Other: 1\r\n"
        b"x-third: 1\r\nx-third: 2\r\nX-Kept: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n"
    )
    assert list(asked.response.headers.getAllRawHeaders()) == [(b"X-Kept", [b"1"])]


@pytest.mark.parametrize(
    ("codings", "lengths", "length"),
    [([], [], None), ([b"Chunked"], [], None), ([], [b"5"], 5), ([], [b"5", b"5 , 5"], 5), ([], [b"007"], 7)],
)
def test_length(codings: list[bytes], lengths: list[bytes], length: int | None) -> None:
    """Where an answer ends, if nothing contradicts it."""
    assert answer_length(codings, lengths) == length


def test_length_too_large() -> None:
    """A length that nobody can mean."""
    assert answer_length([], [b"%d" % 2**53]) == 2**53
    with pytest.raises(BadMessage, match="plain number"):
        answer_length([], [b"%d" % (2**53 + 1)])


#: The same for what is asked to change its protocol.
UPGRADES = [head for head in HEADS if b"\0" in head or b"\x7f" in head or b"\n" in head.replace(b"\r\n", b"")]


@pytest.mark.parametrize("head", UPGRADES)
def test_upgrades(head: bytes) -> None:
    """A head with control characters or mixed line ends is no answer to an upgrade."""
    switched = head.replace(b"200 O", b"101 O")
    with pytest.raises(HandshakeRefused):
        HeadParser().feed(switched)


def upgrade(answer: bytes) -> tuple[UpgradeConnection, StringTransport, list[Any]]:
    connection = UpgradeConnection(Request(b"GET", b"http://x/", b"/", b"x", Headers(), None))
    transport = StringTransport()
    transport.abortConnection = transport.loseConnection  # type: ignore[method-assign]
    got: list[Any] = []
    connection.answered.addBoth(got.append)
    connection.makeConnection(transport)
    connection.dataReceived(answer)
    return connection, transport, got


def test_refused_upgrade_with_two_framings() -> None:
    """Any other answer to an upgrade is read as strictly as those to ordinary requests."""
    _, transport, (failure,) = upgrade(
        b"HTTP/1.1 403 No\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert "both" in explain(failure.value, "Amp").error.message
    assert transport.disconnecting


def test_refused_upgrade_that_breaks() -> None:
    """Its body, too, and who reads that hears of it."""
    connection, transport, (response,) = upgrade(
        b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe"
    )
    body = Body()
    response.deliverBody(body)
    connection.dataReceived(b"lloX")
    assert body.data == b"hello"
    assert "chunked" in explain(body.end, "Amp").error.message
    assert transport.disconnecting
    connection.connectionLost(Failure(ConnectionDone()))
