"""Connections to upstreams, in memory: requests, answers, their ends, and the pool."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.web.client import (
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.error import SchemeNotSupported
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IClientRequest, IResponse
from zope.interface.verify import verifyObject

from ampproxy.http.answers import BrokenOff
from ampproxy.http.bodies import SLICE, BytesProducer
from ampproxy.http.client import PoolAgent
from ampproxy.http.client_connection import MAX_READ_BYTES, READ
from ampproxy.http.client_pool import Pool
from ampproxy.http.client_request import Request, WrongLength
from ampproxy.http.heads import AnswerRefused

OK = b"HTTP/1.1 200 OK\r\n"
FIVE = OK + b"Content-Length: 5\r\n\r\nhello"


class Transport(StringTransport):
    """A connection, in memory; its buffer is as large as a real one's."""

    bufferSize = READ

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        super().loseConnection()

    @property
    def how(self) -> str:
        return "aborted" if self.aborted else "closed" if self.disconnecting else "open"


class World:
    """An agent whose connections the test plays.

    :ivar made: the connections, in order.
    :ivar held: when true, connections are made by the test.
    """

    def __init__(self, *, most: int = 3, idle: float = 8.0, accept: Any = None) -> None:
        self.clock = Clock()
        self.pool = Pool(self.clock, most=most, idle=idle)
        self.agent = PoolAgent(self.pool, self, accept)  # type: ignore[arg-type]
        self.made: list[Any] = []
        self.asked: list[Any] = []
        self.held = False
        self.waiting: list[Deferred[Any]] = []
        self.cancelled = 0

    def endpointForURI(self, uri: Any) -> World:
        if uri.scheme not in (b"http", b"https"):
            raise SchemeNotSupported("neither")
        self.asked.append((uri.scheme, uri.host, uri.port))
        return self

    def connect(self, factory: Any) -> Deferred[Any]:
        if self.held:
            waiting: Deferred[Any] = Deferred(self._cancel)
            self.waiting.append(waiting)
            return waiting
        connection = factory.buildProtocol(None)
        connection.makeConnection(Transport())
        self.made.append(connection)
        return succeed(connection)

    def _cancel(self, _: object) -> None:
        self.cancelled += 1

    def ask(self, body: Any = None, method: bytes = b"GET", uri: bytes = b"http://a.test/x") -> Asked:
        sent = {one: len(one.transport.value()) for one in self.made}
        asked = Asked(self, self.agent.request(method, uri, Headers({b"x-a": [b"1"]}), body))
        used = [one for one in self.made if len(one.transport.value()) != sent.get(one, 0)]
        asked.connection = used[0] if used else None
        return asked


class Body(Protocol):
    def __init__(self) -> None:
        self.calls: list[bytes] = []
        self.end: Any = None

    def dataReceived(self, data: bytes) -> None:
        self.calls.append(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.end = reason.value


class Asked:
    """A request, and what became of it."""

    def __init__(self, world: World, answered: Deferred[Any]) -> None:
        self.connection: Any = None
        self.answered = answered
        self.response: Any = None
        self.error: Any = None
        answered.addCallbacks(self._response, self._failed)

    def _response(self, response: Any) -> None:
        self.response = response

    def _failed(self, failure: Failure) -> None:
        self.error = failure.value

    @property
    def transport(self) -> Transport:
        transport: Transport = self.connection.transport
        return transport

    def say(self, *pieces: bytes) -> Asked:
        for piece in pieces:
            self.connection.dataReceived(piece)
        return self

    def body(self) -> Body:
        body = Body()
        self.response.deliverBody(body)
        return body

    def lose(self, error: Exception | None = None) -> None:
        self.connection.connectionLost(Failure(error or ConnectionDone()))


class Typed:
    """A body that the test writes.

    :param length: what it declares.
    """

    def __init__(self, length: Any = UNKNOWN_LENGTH) -> None:
        self.length = length
        self.consumer: Any = None
        self.state = "new"
        self.done: Deferred[None] = Deferred()

    def startProducing(self, consumer: Any) -> Deferred[None]:
        self.consumer = consumer
        self.state = "producing"
        return self.done

    def pauseProducing(self) -> None:
        self.state = "paused"

    def resumeProducing(self) -> None:
        self.state = "producing"

    def stopProducing(self) -> None:
        self.state = "stopped"


def test_not_kept_when_tls_has_ended() -> None:
    """A connection whose other side has ended TLS is being closed, which only what is below TLS knows."""
    world = World()
    first = world.ask().say(FIVE)
    below: Any = StringTransport()
    below.setTcpNoDelay = lambda on: None
    tls = TLSMemoryBIOProtocol(Factory(), first.connection)
    tls.transport = below
    first.connection.makeConnection(tls)
    assert first.connection.usable
    below.disconnecting = True
    assert not tls.disconnecting
    assert not first.connection.usable
    assert world.ask().connection is not first.connection


@pytest.mark.parametrize("when", ["connectionMade", "dataReceived"])
def test_paused_by_what_came_with_the_head(when: str) -> None:
    """Whoever has enough at the first piece gets no second: its connection is not read on for it."""
    asked = World().ask().say(OK + b"Content-Length: 9\r\n\r\nhello")
    body = Body()
    setattr(body, when, lambda *_: body.transport.pauseProducing())  # type: ignore[union-attr]
    asked.response.deliverBody(body)
    assert asked.transport.producerState == "paused"
    body.transport.resumeProducing()  # type: ignore[union-attr]
    assert asked.transport.producerState == "producing"


def test_interfaces() -> None:
    """What is given out is what Twisted's interfaces promise."""
    world = World()
    asked = world.ask().say(FIVE)
    assert verifyObject(IAgent, world.agent)
    assert verifyObject(IResponse, asked.response)
    assert verifyObject(IClientRequest, asked.response.request)
    request = asked.response.request
    assert (request.method, request.absoluteURI) == (b"GET", b"http://a.test/x")
    asked.response.setPreviousResponse(asked.response)
    assert asked.response.previousResponse is asked.response


@pytest.mark.parametrize(
    ("uri", "first", "host", "origin"),
    [
        (b"http://a.test/x?y=/z", b"GET /x?y=/z", b"a.test", (b"http", b"a.test", 80)),
        (b"http://a.test:80/", b"GET /", b"a.test", (b"http", b"a.test", 80)),
        (b"http://a.test:81//x", b"GET //x", b"a.test:81", (b"http", b"a.test", 81)),
        (b"https://a.test/%2F;p", b"GET /%2F;p", b"a.test", (b"https", b"a.test", 443)),
        (b"https://[::1]:8443/x", b"GET /x", b"[::1]:8443", (b"https", b"::1", 8443)),
        (b"http://[::1]/x", b"GET /x", b"[::1]", (b"http", b"::1", 80)),
        (b"http://a.test", b"GET /", b"a.test", (b"http", b"a.test", 80)),
        (b"http://a.test?x/y", b"GET /?x/y", b"a.test", (b"http", b"a.test", 80)),
        (b"http://a.test/x#part", b"GET /x", b"a.test", (b"http", b"a.test", 80)),
    ],
)
def test_first_lines(uri: bytes, first: bytes, host: bytes, origin: tuple[bytes, bytes, int]) -> None:
    """Each URL leads to its origin, and is asked for as it is."""
    world = World()
    asked = world.ask(uri=uri)
    assert world.asked == [origin]
    assert asked.transport.value() == first + b" HTTP/1.1\r\nHost: " + host + b"\r\nX-A: 1\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "body", "lines", "sent"),
    [
        (b"GET", None, b"", b""),
        (b"POST", None, b"Content-Length: 0\r\n", b""),
        (b"POST", BytesProducer(b""), b"Content-Length: 0\r\n", b""),
        (b"POST", BytesProducer(b"hello"), b"Content-Length: 5\r\n", b"hello"),
        (b"GET", BytesProducer(b"hello"), b"Content-Length: 5\r\n", b"hello"),
        (b"PUT", BytesProducer(b"a" * 3 * SLICE), b"Content-Length: %d\r\n" % (3 * SLICE), b"a" * 3 * SLICE),
    ],
)
def test_bodies_in_memory(method: bytes, body: Any, lines: bytes, sent: bytes) -> None:
    """A body has its length, and is there in full."""
    asked = World().ask(body, method)
    head = method + b" /x HTTP/1.1\r\nHost: a.test\r\n" + lines + b"X-A: 1\r\n\r\n"
    assert asked.transport.value() == head + sent
    assert asked.transport.producer is None


@pytest.mark.parametrize(
    ("method", "uri", "headers"),
    [
        (b"GE T", b"http://a.test/", {}),
        (b"GET\r\n", b"http://a.test/", {}),
        (b"GET", b"http://a.test/a b", {}),
        (b"GET", b"http://a.test/\r\nA: b", {}),
        (b"GET", b"http://a.test/\xe9", {}),
    ],
)
def test_what_cannot_be_sent(method: bytes, uri: bytes, headers: Any) -> None:
    """It is refused before anything is connected, or a connection taken."""
    world = World()
    asked = Asked(world, world.agent.request(method, uri, Headers(headers)))
    assert isinstance(asked.error, ValueError)
    assert not world.made


def test_no_header_has_two_lines() -> None:
    """Not even headers that were made without looking at them."""

    class Lying(Headers):
        def getAllRawHeaders(self) -> Any:
            return iter([(b"A", [b"b\r\nC: d"])])

    with pytest.raises(ValueError, match="one line"):
        Request(b"GET", b"http://a.test/", b"/", b"a.test", Lying(), None)


def test_other_schemes() -> None:
    """Neither http nor https."""
    assert isinstance(World().ask(uri=b"ftp://a.test/").error, SchemeNotSupported)


def test_chunked_body() -> None:
    """A body without a length is sent in chunks as it comes, and the head with the first of them."""
    body = Typed()
    asked = World().ask(body, b"POST")
    body.consumer.write(b"hel")
    body.consumer.write(b"")
    body.consumer.write(b"lo")
    body.done.callback(None)
    head, _, rest = asked.transport.value().partition(b"\r\n\r\n")
    assert b"\r\nTransfer-Encoding: chunked" in head
    assert rest == b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
    assert asked.transport.producer is None


def test_slow_connection_pauses_the_body() -> None:
    """The body's producer is the connection's until all is written."""
    body = Typed(5)
    asked = World().ask(body, b"POST")
    assert asked.transport.producer is body
    assert asked.transport.streaming
    body.consumer.write(b"hello")
    body.done.callback(None)
    assert asked.transport.producer is None
    assert asked.say(FIVE).response.whole == b"hello"


@pytest.mark.parametrize("written", [b"hell", b"hello!"])
def test_wrong_length(written: bytes) -> None:
    """A body of another length than it declares is a defect: what is sent cannot be a request any more."""
    body = Typed(5)
    asked = World().ask(body, b"POST")
    body.consumer.write(written)
    if len(written) < 5:
        body.done.callback(None)
    assert isinstance(asked.error, RequestGenerationFailed)
    assert isinstance(asked.error.reasons[0].value, WrongLength)
    assert asked.transport.how == "aborted"
    assert b"hello!" not in asked.transport.value()
    body.consumer.write(b"more")
    assert b"more" not in asked.transport.value()


def test_body_that_fails() -> None:
    """Likewise one whose producer fails, at once or later."""
    body = Typed()
    asked = World().ask(body, b"POST")
    body.done.errback(ValueError())
    assert isinstance(asked.error, RequestGenerationFailed)
    assert asked.transport.how == "aborted"
    body = Typed()
    body.done = fail(ValueError())
    assert isinstance(World().ask(body, b"POST").error, RequestGenerationFailed)


def test_whole_at_once() -> None:
    """An answer that came in one read is whole when it is given, and its connection free for the next."""
    world = World()
    asked = world.ask()
    second: list[Asked] = []
    asked.answered.addCallback(lambda _: second.append(world.ask()))
    asked.say(FIVE)
    assert asked.response.whole == b"hello"
    assert second[0].connection is asked.connection
    body = asked.body()
    assert body.calls == [b"hello"]
    assert isinstance(body.end, ResponseDone)
    second[0].say(OK + b"Content-Length: 3\r\n\r\nnew")
    assert second[0].response.whole == b"new"
    with pytest.raises(RuntimeError):
        asked.body()


def test_one_call_a_read() -> None:
    """However many chunks a read brings, they are handed over in one call."""
    asked = World().ask().say(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    body = asked.body()
    asked.say(b"1\r\na\r\n" * 500, b"2\r\nbc\r\n" * 3 + b"2\r\n", b"d", b"e\r\n0\r\n\r\n")
    assert body.calls == [b"a" * 500, b"bc" * 3, b"d", b"e"]
    assert isinstance(body.end, ResponseDone)
    assert asked.response.whole is None


def test_reads_wait_for_who_wants_the_body() -> None:
    """Nothing more is read until the body is asked for; then as its protocol's pace allows."""
    asked = World().ask().say(OK + b"Content-Length: 9\r\n\r\nhel")
    assert asked.transport.producerState == "paused"
    asked.say(b"lo ")
    body = asked.body()
    assert body.calls == [b"hello "]
    assert asked.transport.producerState == "producing"
    transport: Any = body.transport
    transport.pauseProducing()
    assert asked.transport.producerState == "paused"
    transport.resumeProducing()
    assert asked.transport.producerState == "producing"
    transport.pauseProducing()
    asked.say(b"end")
    assert isinstance(body.end, ResponseDone)
    # Free for the next request, and the old one has no hold of it any more.
    assert asked.transport.producerState == "producing"
    transport.pauseProducing()
    transport.stopProducing()
    assert (asked.transport.producerState, asked.transport.how) == ("producing", "open")


@pytest.mark.parametrize("how", ["stopProducing", "loseConnection", "abortConnection"])
def test_nobody_wants_the_rest(how: str) -> None:
    """The connection is closed at once, and never used again."""
    world = World()
    asked = world.ask().say(OK + b"Content-Length: 9\r\n\r\nhel")
    body = asked.body()
    getattr(body.transport, how)()
    assert asked.transport.how == "aborted"
    asked.say(b"lo more")
    assert body.calls == [b"hel"]
    asked.lose()
    assert isinstance(body.end, ResponseFailed)
    assert world.ask().connection is not asked.connection


def test_reads_grow() -> None:
    """A download is read in larger and larger pieces, without being copied; the next answer begins anew."""
    asked = World().ask().say(OK + b"Content-Length: %d\r\n\r\n" % (8 * MAX_READ_BYTES))
    body = asked.body()
    sizes = []
    left = 8 * MAX_READ_BYTES
    while left:
        size = min(asked.transport.bufferSize, left)
        sizes.append(size)
        data = bytes(size)
        asked.say(data)
        assert body.calls[-1] is data
        left -= size
    assert sizes[:5] == [READ, 2 * READ, 4 * READ, MAX_READ_BYTES, MAX_READ_BYTES]
    assert asked.transport.bufferSize == READ


def test_no_large_reads_of_small_chunks() -> None:
    """Each chunk is work: of an answer in small ones no read is larger than usual, even if it began well."""
    asked = World().ask().say(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    asked.body()
    sizes = []
    for kind, reads in ((b"2000\r\n" + bytes(0x2000) + b"\r\n", 4), (b"2\r\nxx\r\n", 16)):
        coming = kind * (reads * READ // len(kind))
        while coming:
            size = asked.transport.bufferSize
            sizes.append(size)
            asked.say(coming[:size])
            coming = coming[size:]
    assert 2 * READ in sizes
    assert sizes[-4:] == [READ] * 4


@pytest.mark.parametrize(
    ("data", "error", "kind"),
    [
        (b"", ConnectionDone(), ResponseNeverReceived),
        (b"", ConnectionLost(), ResponseNeverReceived),
        (b"HTTP/1.1 200", ConnectionDone(), ResponseFailed),
        (b"HTTP/1.1 100 Continue\r\n\r\n", ConnectionDone(), ResponseFailed),
    ],
)
def test_lost_before_the_answer(data: bytes, error: Exception, kind: type) -> None:
    """Whether anything was begun there is known."""
    asked = World().ask()
    if data:
        asked.say(data)
    asked.lose(error)
    assert type(asked.error) is kind
    assert asked.error.reasons[0].value is error


def test_lost_before_all_was_asked() -> None:
    """Then it is not known what the other side has seen, and the body's producer stops."""
    body = Typed()
    asked = World().ask(body, b"POST")
    asked.lose()
    assert type(asked.error) is RequestTransmissionFailed
    assert body.state == "stopped"
    body.done.callback(None)


@pytest.mark.parametrize(
    ("head", "error", "kind"),
    [
        (b"\r\n", ConnectionDone(), PotentialDataLoss),
        (b"\r\n", ConnectionLost(), ResponseFailed),
        (b"Content-Length: 9\r\n\r\n", ConnectionDone(), ResponseFailed),
        (b"Transfer-Encoding: chunked\r\n\r\n9\r\n", ConnectionDone(), ResponseFailed),
    ],
)
def test_lost_within_the_answer(head: bytes, error: Exception, kind: type) -> None:
    """Only an answer that has neither length nor chunks may end with its connection, and only in order."""
    asked = World().ask().say(OK + head + b"hello")
    body = asked.body()
    asked.lose(error)
    assert type(body.end) is kind
    assert body.calls == [b"hello"]
    if kind is ResponseFailed:
        assert isinstance(body.end.reasons[-1].value, BrokenOff)
        assert body.end.response is asked.response


def test_lost_before_the_body_was_wanted() -> None:
    """Whoever asks for it later gets what came, and hears how it ended."""
    asked = World().ask().say(OK + b"Content-Length: 9\r\n\r\nhello")
    asked.lose()
    body = asked.body()
    assert body.calls == [b"hello"]
    assert isinstance(body.end, ResponseFailed)


def test_refused_answer() -> None:
    """A head that is none fails the request; the connection is closed."""
    asked = World().ask().say(OK + b"A: \0\r\n\r\n")
    assert isinstance(asked.error, ResponseFailed)
    assert isinstance(asked.error.reasons[0].value, AnswerRefused)
    assert asked.transport.how == "aborted"


@pytest.mark.parametrize("surplus", [b"x", b"\r\n", FIVE])
def test_surplus(surplus: bytes) -> None:
    """What comes behind an answer, or unasked, is never an answer to anything."""
    world = World()
    first = world.ask().say(FIVE + surplus)
    body = first.body()
    assert isinstance(body.end, ResponseFailed)
    second = world.ask()
    assert (first.transport.how, second.connection is first.connection) == ("aborted", False)
    second.say(FIVE).say(surplus)
    third = world.ask()
    assert (second.transport.how, third.connection is second.connection) == ("aborted", False)
    assert second.response.whole == b"hello"
    assert third.response is None


@pytest.mark.parametrize("pieces", [(FIVE,), (FIVE[:-5], b"hello")])
def test_early_answer(pieces: tuple[bytes, ...]) -> None:
    """An answer that is whole before the request is counts; the rest is not sent, and the connection ends."""
    world = World()
    body = Typed(1000)
    asked = world.ask(body, b"POST")
    body.consumer.write(b"begun")
    asked.say(*pieces)
    assert asked.response.code == 200
    assert asked.body().calls == [b"hello"]
    assert body.state == "stopped"
    assert asked.transport.how == "aborted"
    body.consumer.write(b"more")
    assert not asked.transport.value().endswith(b"more")
    assert world.ask().connection is not asked.connection


def test_answer_while_asking() -> None:
    """The head of an answer is given though the request is not sent yet; both go on."""
    body = Typed(10)
    asked = World().ask(body, b"POST")
    asked.say(OK + b"Content-Length: 5\r\n\r\n")
    got = asked.body()
    body.consumer.write(b"0123456789")
    body.done.callback(None)
    asked.say(b"hello")
    assert got.calls == [b"hello"]
    assert asked.transport.how == "open"


@pytest.mark.parametrize("whole", [True, False])
def test_cancelled(whole: bool) -> None:
    """Whoever does not want to wait closes the connection, and the body stops; nothing is left."""
    body = None if whole else Typed()
    asked = World().ask(body, b"POST")
    asked.answered.cancel()
    assert isinstance(asked.error, CancelledError)
    assert asked.transport.how == "aborted"
    assert body is None or body.state == "stopped"
    asked.say(FIVE)
    asked.lose()


def test_cancelled_while_connecting() -> None:
    """The connection is not made."""
    world = World()
    world.held = True
    asked = world.ask()
    asked.answered.cancel()
    assert world.cancelled == 1
    assert isinstance(asked.error, CancelledError)


def test_reader_with_a_defect() -> None:
    """What the reader of a body raises ends the answer for it, and the connection."""

    class Broken(Body):
        def dataReceived(self, data: bytes) -> None:
            raise ZeroDivisionError

    asked = World().ask().say(OK + b"Content-Length: 9\r\n\r\n")
    body = Broken()
    asked.response.deliverBody(body)
    asked.say(b"hello")
    assert isinstance(body.end.reasons[0].value, ZeroDivisionError)
    assert asked.transport.how == "aborted"


@pytest.mark.parametrize("pieces", [(FIVE,), (FIVE[:-3], b"llo")])
def test_accept(pieces: tuple[bytes, ...]) -> None:
    """Each answer is seen before it is given; what is raised then is given instead."""

    def accept(answer: Any) -> Any:
        if answer.code != 200:
            raise ZeroDivisionError
        return "accepted", answer

    world = World(accept=accept)
    asked = world.ask().say(*pieces)
    assert asked.response[0] == "accepted"
    world = World(accept=accept)
    asked = world.ask().say(*(piece.replace(b" 200 ", b" 500 ") for piece in pieces))
    assert isinstance(asked.error, ZeroDivisionError)
    assert asked.transport.how == ("open" if len(pieces) == 1 else "aborted")


def test_pool_gives_the_last_used() -> None:
    """So that those beyond the need grow old and are closed."""
    world = World()
    first, second = world.ask(), world.ask()
    first.say(FIVE)
    second.say(FIVE)
    assert world.ask().connection is second.connection
    assert world.ask().connection is first.connection
    assert len(world.made) == 2
    assert world.ask(uri=b"http://b.test/").connection is world.made[2]


def test_pool_is_bounded() -> None:
    """One more than it holds takes the place of the oldest."""
    world = World(most=2)
    several = [world.ask() for _ in range(3)]
    for asked in several:
        asked.say(FIVE)
    assert [asked.transport.how for asked in several] == ["closed", "open", "open"]


def test_pool_closes_the_idle() -> None:
    """In time, by one timer for all, which ends when nothing is kept."""
    world = World(idle=8, most=200)
    for asked in [world.ask() for _ in range(100)]:
        asked.say(FIVE)
    assert len(world.clock.getDelayedCalls()) == 1
    world.clock.pump([1] * 7)
    used = world.ask()
    used.say(FIVE)
    world.clock.pump([1] * 3)
    assert [one.transport.how for one in world.made].count("closed") == 99
    assert used.transport.how == "open"
    world.clock.pump([1] * 8)
    assert used.transport.how == "closed"
    for one in world.made:
        one.connectionLost(Failure(ConnectionDone()))
    assert not world.clock.getDelayedCalls()


def test_pool_forgets_the_lost() -> None:
    """A kept connection that the other side closes is not used."""
    world = World()
    asked = world.ask().say(FIVE)
    asked.lose()
    assert world.ask().connection is not asked.connection


def test_pool_closes() -> None:
    """All that is kept, in order; the result fires when it is closed, whatever the other side does."""
    world = World()
    kept, used = world.ask(), world.ask()
    kept.say(FIVE)
    closed: list[Any] = []
    world.pool.close().addCallback(closed.append)
    assert (kept.transport.how, used.transport.how, closed) == ("closed", "open", [])
    world.clock.pump([1] * 30)
    assert kept.transport.how == "aborted"
    kept.lose()
    assert closed == [None]
    assert used.say(FIVE).response.whole == b"hello"
    assert used.transport.how == "open"


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nConnection: close", b"HTTP/1.0 200 OK"])
def test_not_kept(head: bytes) -> None:
    """A connection whose last answer this was is closed in order, and in time."""
    world = World()
    asked = world.ask().say(head + b"\r\nContent-Length: 5\r\n\r\nhello")
    assert asked.response.whole == b"hello"
    assert asked.transport.how == "closed"
    assert world.ask().connection is not asked.connection
    world.clock.pump([1] * 30)
    assert asked.transport.how == "aborted"
