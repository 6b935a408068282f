"""A client's connection: requests in turn, bodies counted, limits that answer, and what is behind."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol

from ampproxy.http import server_receiving
from ampproxy.http.server_channel import LINGER
from ampproxy.http.server_receiving import AT_A_TIME, MAX_BEHIND_BYTES, MAX_EARLY_BYTES
from tests.clocked import assert_grows
from tests.http.server import House, Line, Served

HOST = b"Host: localhost\r\n"
GET = b"GET /%d HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST
UPGRADE = b"GET / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
#: So much goes through in one read.
READ = 65536


def answering(**limits: Any) -> House:
    """Every request has its answer as soon as it is whole."""
    house = House(**limits)
    house.on_whole = lambda request: request.answer(request.uri)
    return house


def targets(house: House) -> list[bytes]:
    return [request.uri for request in house.served]


@pytest.mark.parametrize("step", [0, 1, 3, 1000])
@pytest.mark.parametrize(
    "length",
    [
        b"Content-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nHost: x\r\n\r\n",
    ],
)
def test_a_body(step: int, length: bytes) -> None:
    """It comes as it is; trailers are no headers; the next request is behind it."""
    length = length.replace(b"Host: x", b"Digest: x")
    house = answering()
    house.connect().send(POST + length + GET % 2, step)
    first, second = house.served
    assert (first.got, first.whole, second.uri) == (b"hello", True, b"/2")
    assert not first.requestHeaders.hasHeader(b"digest")


def test_an_upgrade_with_a_body() -> None:
    """What is behind its head is its body, and no request that is hidden in it."""
    hidden = GET % 666
    house = answering()
    line = house.connect().send(
        POST
        + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n" % len(hidden)
        + hidden
        + GET % 2
    )
    assert targets(house) == [b"/", b"/2"]
    assert house.served[0].got == hidden
    assert not line.closed


def test_an_upgrade_that_is_declined() -> None:
    """The connection goes on with what is behind it."""
    house = House()
    line = house.connect().send(UPGRADE + GET % 2)
    assert targets(house) == [b"/"]
    house.served[0].answer()
    assert targets(house) == [b"/", b"/2"]
    assert not line.closed


def test_in_turn() -> None:
    """One request at a time; the next begins when the one before has its answer."""
    house = House()
    line = house.connect().send(b"".join(GET % number for number in range(3)))
    for number in range(3):
        assert targets(house) == [b"/%d" % each for each in range(number + 1)]
        house.served[-1].answer(b"%d" % number)
    assert [line.said.index(b"\r\n\r\n%d" % number) for number in range(3)] == sorted(
        line.said.index(b"\r\n\r\n%d" % number) for number in range(3)
    )


def test_many_at_once() -> None:
    """All of them are served, in order, but not all in one turn: others have theirs."""
    house = answering()
    line = house.connect().send(b"".join(GET % number for number in range(100)))
    assert len(house.served) == AT_A_TIME
    line.send(GET % 100)
    assert len(house.served) == AT_A_TIME
    others: list[int] = []
    house.reactor.callLater(0, lambda: others.append(len(house.served)))
    house.reactor.advance(0)
    assert others == [2 * AT_A_TIME]
    assert targets(house) == [b"/%d" % number for number in range(101)]
    assert line.said.count(b"HTTP/1.1 200") == 101
    assert house.reactor.getDelayedCalls() != []
    line.leave()
    assert house.reactor.getDelayedCalls() == []


def test_many_at_once_and_left() -> None:
    """Of a client that has left nothing more is served."""
    house = answering()
    line = house.connect().send(b"".join(GET % number for number in range(100)))
    line.leave()
    house.reactor.advance(1)
    assert len(house.served) == AT_A_TIME
    assert house.reactor.getDelayedCalls() == []


def test_ahead_of_one_that_reads_nothing() -> None:
    """A client that takes none of its answers is read no further, and is served nothing more."""
    house = House()
    line = house.connect().send(GET % 1)
    line.channel.pauseProducing()
    line.send(GET % 2 + GET % 3)
    house.served[0].answer()
    house.reactor.advance(0)
    assert targets(house) == [b"/1"]
    line.channel.resumeProducing()
    house.reactor.advance(0)
    assert targets(house) == [b"/1", b"/2"]
    house.served[1].answer()
    line.channel.pauseProducing()
    assert len(house.served) == 3
    house.served[2].answer()
    line.channel.resumeProducing()
    line.channel.pauseProducing()
    assert line.transport.producerState == "paused"
    # What was read before waits all the same.
    line.send(GET % 4)
    assert len(house.served) == 3
    line.channel.resumeProducing()
    assert line.transport.producerState == "producing"
    house.reactor.advance(0)
    assert len(house.served) == 4


def test_too_much_ahead() -> None:
    """While others have their turn, too, no more is kept than a bound; the connection is closed then."""
    house = answering()
    line = house.connect().send(b"".join(GET % number for number in range(100)))
    line.send(b"x" * MAX_BEHIND_BYTES)
    assert line.closed
    house.reactor.advance(1)
    assert len(house.served) == AT_A_TIME


def test_close_is_obeyed() -> None:
    """What is behind a request that says it is the last is dropped; the request has its answer."""
    house = answering()
    line = house.connect().send((GET % 1).replace(HOST, HOST + b"Connection: close\r\n") + GET % 2)
    assert targets(house) == [b"/1"]
    assert b"\r\nConnection: close\r\n" in line.said
    assert line.closed
    line.send(GET % 3)
    assert targets(house) == [b"/1"]


def test_what_is_behind_a_refusal_is_dropped() -> None:
    """The request before it has its answer, and it is the only refusal."""
    house = answering()
    line = house.connect().send(GET % 1 + b"nonsense\r\n\r\n" + GET % 2)
    line.send(GET % 3)
    assert targets(house) == [b"/1"]
    assert (line.said.count(b"HTTP/1.1 200 "), line.said.count(b"HTTP/1.1 400 ")) == (1, 1)
    assert line.closed


class Taker(Protocol):
    """Takes a connection over."""

    def __init__(self) -> None:
        self.said = b""
        self.lost: Any = None

    def dataReceived(self, data: bytes) -> None:
        self.said += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = reason


@pytest.mark.parametrize("at_once", [True, False])
def test_hand_over(at_once: bool) -> None:
    """Nothing that came early is lost, and nothing of HTTP is left."""
    house, taker, early = House(), Taker(), []

    def take(request: Served) -> None:
        early.append(request.channel.hand_over(taker))

    if at_once:
        house.on_head = take
    line = house.connect().send(UPGRADE + b"early")
    if not at_once:
        line.send(b" and more")
        take(house.served[0])
    assert early == [b"early" if at_once else b"early and more"]
    request, channel = weakref.ref(house.served.pop()), line.channel
    line.send(GET % 1)
    assert (taker.said, house.served) == (GET % 1, [])
    assert IHalfCloseableProtocol.providedBy(channel)
    assert (house.channels, house.reactor.getDelayedCalls()) == (set(), [])
    assert line.transport.producer is None
    assert line.transport.protocol is taker
    line.leave()
    assert taker.lost is not None
    gc.collect()
    assert request() is None


def test_early_for_a_tunnel() -> None:
    """Of what may be a tunnel's nothing is dropped: reading stops, until it is known whose it is."""
    house, taker = House(), Taker()
    line = house.connect().send(UPGRADE)
    for _ in range(5):
        line.send(b"x" * (MAX_EARLY_BYTES // 4))
    assert line.transport.producerState == "paused"
    assert house.served[0].channel.hand_over(taker) == b"x" * (5 * (MAX_EARLY_BYTES // 4))
    assert line.transport.producerState == "producing"


def test_early_for_no_tunnel() -> None:
    """Nor is the connection stuck when it becomes none."""
    house = House()
    line = house.connect().send(UPGRADE + GET % 2 * 1000)
    assert line.transport.producerState == "paused"
    house.served[0].answer()
    assert line.transport.producerState == "producing"
    assert len(house.served) == 2


def test_held_for_long() -> None:
    """A body that waits for its upstream is not slow: the client could not send it any faster."""
    house = House(body_timeout=60.0)
    line = house.connect().send(POST + b"Content-Length: 100\r\n\r\n")
    house.on_piece = lambda request: request.channel.hold_body()
    line.send(b"x")
    assert line.transport.producerState == "paused"
    house.reactor.pump([10.0] * 100)
    assert line.said == b""
    house.on_piece = lambda request: None
    line.channel.go_on_with_body()
    assert line.transport.producerState == "producing"
    house.reactor.pump([10.0] * 5)
    assert line.said == b""
    house.reactor.advance(15)
    assert line.said.startswith(b"HTTP/1.1 408 ")


def test_refused_in_mid_body() -> None:
    """Whatever serves a request hears at once that it is refused, and writes nothing behind the refusal."""
    house, left = House(), []
    line = house.connect().send(POST + b"Content-Length: 100\r\n\r\nx")
    house.served[0].notifyFinish().addErrback(left.append)
    house.reactor.pump([10.0] * 7)
    assert line.said.startswith(b"HTTP/1.1 408 ")
    assert len(left) == 1
    said = line.said
    house.served[0].write(b"answer")
    assert line.said == said


def test_lingering() -> None:
    """An answer that comes early is not cut off by what of the body is on its way; that ends soon."""
    house = House()
    house.on_head = lambda request: request.answer()
    line = house.connect().send(POST + b"Content-Length: 100\r\n\r\n" + b"x" * 50)
    assert house.served[0].abandoned_once
    assert house.served[0].got == b""
    line.send(b"x" * 50 + GET % 2)
    assert targets(house) == [b"/", b"/2"]
    assert not line.closed
    line.send(POST + b"Content-Length: 100\r\n\r\n" + b"x" * 50)
    for _ in range(3):
        house.reactor.advance(LINGER / 2)
        line.send(b"x")
    assert line.closed


def test_not_taken() -> None:
    """A client that takes nothing of its answer has a while for it; then what serves it ends, too."""
    house = House(answer_timeout=40.0)
    line = house.connect().send(GET % 1)
    house.served[0].write(b"begun")
    line.channel.pauseProducing()
    house.reactor.pump([1.0] * 39)
    assert not line.aborted
    house.reactor.pump([1.0] * 5)
    assert line.aborted
    assert house.served[0].aborted.error.code == "answer_timeout"
    line.leave()
    assert house.reactor.getDelayedCalls() == []


def test_nothing_is_kept() -> None:
    """A connection that is gone is freed, without the garbage collector, with its requests."""
    house = House()
    line = house.connect().send(POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhe")
    line.channel.pauseProducing()
    channel, request = weakref.ref(line.channel), weakref.ref(house.served.pop())
    line.leave()
    # The test's own ways to it.
    line.transport.unregisterProducer()
    del line.transport.abortConnection
    gc.disable()
    try:
        del line
        assert (channel(), request()) == (None, None)
    finally:
        gc.enable()


def test_large_reads() -> None:
    """While a body fills its reads they become larger, up to a bound, and are as usual after it."""
    house = answering()
    line = house.connect()
    line.transport.bufferSize = READ
    line.channel._outbox.direct = True
    size = 64 * READ
    line.send(POST + b"Content-Length: %d\r\n\r\n" % size)
    sizes, left = [], size
    while left:
        piece = min(left, line.transport.bufferSize)
        sizes.append(piece)
        left -= piece
        line.send(bytes(piece))
    assert sizes[:4] == [READ, 2 * READ, 4 * READ, 8 * READ]
    assert max(sizes) == server_receiving.MAX_READ_BYTES
    assert line.transport.bufferSize == READ
    assert len(house.served[0].got) == size


def test_no_large_reads_of_small_chunks() -> None:
    """Each chunk is work: a body in small ones comes in smaller reads, though it began otherwise."""
    house = answering()
    line = house.connect()
    line.transport.bufferSize = READ
    line.channel._outbox.direct = True
    line.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    sizes = []
    for kind in (b"2000\r\n" + bytes(0x2000) + b"\r\n", b"2\r\nxx\r\n", b"4\r\nxxxx\r\n"):
        coming = kind * (4 * READ // len(kind))
        while coming:
            size = line.transport.bufferSize
            sizes.append(size)
            line.send(coming[:size])
            coming = coming[size:]
    assert 2 * READ in sizes
    assert sizes[-8:] == [server_receiving.SPARSE_READ_BYTES] * 8
    line.send(b"0\r\n\r\n")
    assert line.transport.bufferSize == READ


@pytest.mark.parametrize("said", [b"", b"\r\n", b"G", POST, POST + b"Content-Length: 5\r\n\r\n"])
def test_limits_of_time(said: bytes) -> None:
    """Each is counted from its own beginning, whatever came before it on the connection."""
    house = answering(idle_timeout=75.0, header_timeout=10.0, body_timeout=60.0)
    line = house.connect()
    for _ in range(3):
        line.send(GET % 1)
        house.reactor.advance(7.5)
    line.transport.clear()
    line.send(said)
    limit = 67.5 if said in (b"", b"\r\n") else 60.0 if said.endswith(b"\r\n\r\n") else 10.0
    house.reactor.pump([0.5] * int(limit / 0.5 - 1))
    assert not line.closed
    house.reactor.pump([0.5] * 4)
    assert line.closed
    assert line.said.startswith(b"HTTP/1.1 408 ") is (limit != 67.5)


def test_time_grows_with_the_size() -> None:
    """What is sent ahead costs no more, all together, than if it came when it was due."""

    def served(count: int) -> None:
        house = answering()
        house.connect().send((GET % 1) * count)
        while len(house.served) < count:
            house.reactor.advance(0)

    assert_grows(served, int, 400, 4_000, 40)


def test_the_peer_is_asked_for_late() -> None:
    """Before the first bytes it may not be known whose connection it is."""
    house = House()
    line = Line(house)
    line.transport.peerAddr = "somebody else"
    line.send(GET % 1)
    assert house.served[0].getClientAddress() == "somebody else"
