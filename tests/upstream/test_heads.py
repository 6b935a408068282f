"""Heads of answers without end: of ordinary answers, of interim ones, of upgrades, and of proxies."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from ampproxy.http.client_connection import ClientConnection
from ampproxy.http.client_request import Request
from ampproxy.upstream.body import SLICE, BytesProducer
from ampproxy.upstream.failures import explain
from ampproxy.upstream.handshake import MAX_HEAD, MAX_LINES, ConnectHandshake, HandshakeRefused
from ampproxy.upstream.upgrade import HeadParser
from tests.upstream.test_answers import Home

OK = b"HTTP/1.1 200 OK\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
LARGE = b"X-A: %b\r\n" % (b"a" * 1000)
#: Heads that have no end.
ENDLESS = [
    pytest.param(OK, LARGE, f"{MAX_HEAD} bytes", id="large"),
    pytest.param(OK, b"A:b\r\n", f"{MAX_LINES} lines", id="many"),
    pytest.param(OK + b"X-A: ", b"a" * 1000, f"{MAX_HEAD} bytes", id="one line"),
    pytest.param(OK + b"X-A: a\r\n", b" a\r\n", f"{MAX_LINES} lines", id="folded"),
    pytest.param(b"HTTP/1.1 200 ", b"a" * 1000, f"{MAX_HEAD} bytes", id="a phrase"),
    pytest.param(b"", INTERIM, f"{MAX_HEAD} bytes", id="interim answers"),
    pytest.param(b"", INTERIM[:-2] + LARGE * 10 + b"\r\n", f"{MAX_HEAD} bytes", id="large interim answers"),
]


class Asked:
    """A connection on which something was asked."""

    def __init__(self, body: bytes | None = None, *, takes: bool = True) -> None:
        self.transport = StringTransport()
        self.transport.abortConnection = self.transport.loseConnection  # type: ignore[method-assign]
        self.home = Home()
        self.clock = self.home.clock
        self.connection = ClientConnection(self.home, "key")
        self.connection.makeConnection(self.transport)
        self.producer = None if body is None else BytesProducer(body)
        if not takes and self.producer is not None:
            self.producer._paused = True
        self.told: list[Any] = []
        request = Request(b"POST", b"http://x/", b"/", b"x", Headers(), self.producer)
        self.connection.ask(request).addBoth(self.told.append)

    def feed(self, begin: bytes, more: bytes) -> int:
        """Say something, and more of it until nobody listens; how much that was."""
        self.connection.dataReceived(begin)
        fed = len(begin)
        while not self.transport.disconnecting and fed < 10 * MAX_HEAD:
            self.connection.dataReceived(more)
            fed += len(more)
        return fed

    def why(self) -> str:
        (failure,) = self.told
        error = explain(failure.value, "account")
        assert error.error.status == 502
        return error.error.message


@pytest.mark.parametrize(("begin", "more", "words"), ENDLESS)
def test_answer(begin: bytes, more: bytes, words: str) -> None:
    """The connection is closed at the limit, and the error says whose answer it was and what was wrong."""
    asked = Asked(b"question")
    assert asked.feed(begin, more) < MAX_HEAD + 20_000
    assert asked.why() == f"account answered with more than {words} of headers."
    asked.connection.connectionLost(Failure(ConnectionDone()))
    assert not asked.clock.getDelayedCalls()


def test_answer_to_half_a_question() -> None:
    """Also while the question is not sent yet: who waits for the answer hears of it, once."""
    asked = Asked(b"question" * SLICE, takes=False)
    asked.feed(OK, LARGE)
    assert "headers" in asked.why()
    assert asked.producer is not None
    assert asked.producer._body == b""
    asked.connection.connectionLost(Failure(ConnectionDone()))
    assert len(asked.told) == 1


def test_usual_answers() -> None:
    """Some interim answers, and each new answer of a kept connection, have room."""
    asked = Asked(b"question")
    for number in range(5):
        asked.connection.dataReceived(INTERIM * 400 + OK + b"Content-Length: 0\r\n" + LARGE * 20 + b"\r\n")
        assert [response.code for response in asked.told] == [200] * (number + 1)
        request = Request(b"GET", b"http://x/", b"/", b"x", Headers(), None)
        asked.connection.ask(request).addBoth(asked.told.append)


def test_one_long_line() -> None:
    """A single header may take nearly all of it."""
    asked = Asked(b"question")
    asked.connection.dataReceived(OK + b"X-A: " + b"a" * (MAX_HEAD - 1000) + b"\r\n\r\n")
    assert asked.told[0].code == 200


OTHERS = [HeadParser, lambda: ConnectHandshake("api.test", 443)]


@pytest.mark.parametrize(("begin", "more", "words"), ENDLESS)
@pytest.mark.parametrize("make", OTHERS)
def test_other_answers(make: Any, begin: bytes, more: bytes, words: str) -> None:
    """The same bound for upgrades and for proxies."""
    parser = make()
    fed = 0

    def feed_all() -> None:
        nonlocal fed
        parser.feed(begin)
        while fed < 10 * MAX_HEAD:
            fed += len(more)
            parser.feed(more)

    with pytest.raises(HandshakeRefused, match="of headers"):
        feed_all()
    assert fed < MAX_HEAD + 20_000


@pytest.mark.parametrize("make", OTHERS)
def test_other_answers_of_many_lines(make: Any) -> None:
    """Lines count there, too."""
    parser = make()
    with pytest.raises(HandshakeRefused, match=f"{MAX_LINES} lines"):
        parser.feed(OK + b"A:b\r\n" * (MAX_LINES + 1) + b"\r\n")
