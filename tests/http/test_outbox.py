"""Writing at once: in order, not more than is taken, and by way of the transport where it must be."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.interfaces import ISSLTransport, ITCPTransport, IUNIXTransport
from twisted.internet.testing import StringTransport
from zope.interface import directlyProvides

from ampproxy.http.outbox import HIGH, AtOnce, Outbox
from tests.fuzz.examples import examples


class Transport:
    """A TCP connection as Twisted's: what is written waits until the socket takes it in another turn."""

    def __init__(self, handle: Any, kind: Any = ITCPTransport) -> None:
        directlyProvides(self, kind)
        self.handle = handle
        self.buffer = b""
        self.producer: Any = None
        self.closed = False

    def getHandle(self) -> Any:
        return self.handle

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert self.producer is None
        self.producer, self.streaming = producer, streaming
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.buffer += data

    def turn(self) -> None:
        """The socket takes what it can."""
        while self.buffer:
            try:
                self.buffer = self.buffer[self.handle.send(self.buffer) :]
            except BlockingIOError:
                return
        if self.producer is not None:
            self.producer.resumeProducing()


class Source:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")


class Pair:
    """Two ends of a connection whose buffers are small."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        for end in (self.near, self.far):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.transport = Transport(self.near)
        self.source = Source()
        self.outbox = Outbox(self.transport, self.source)
        self.outbox.open()

    def received(self) -> bytes:
        got = b""
        try:
            while data := self.far.recv(1 << 20):
                got += data
        except BlockingIOError:
            pass
        return got

    def close(self) -> None:
        self.near.close()
        self.far.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


def test_at_once(pair: Pair) -> None:
    """What the socket takes is there before anybody turns, and waits nowhere."""
    pair.outbox.write(b"hello")
    assert pair.received() == b"hello"
    assert pair.transport.buffer == b""
    assert pair.outbox.direct


def test_in_order(pair: Pair) -> None:
    """What is written while something waits does not overtake it; then it is written at once again."""
    large = bytes(range(256)) * 4096
    pair.outbox.write(large)
    pair.outbox.write(b"behind")
    got = b""
    assert pair.transport.buffer.endswith(b"behind")
    while len(got) < len(large) + 6:
        got += pair.received()
        pair.transport.turn()
    assert got == large + b"behind"
    pair.outbox.write(b"more")
    assert pair.received() == b"more"


def test_back_pressure(pair: Pair) -> None:
    """The source pauses when too much waits, once, and goes on when nothing does."""
    pair.outbox.write(bytes(HIGH // 2))
    while len(pair.transport.buffer) <= HIGH:
        assert pair.source.calls == []
        pair.outbox.write(bytes(1000))
    assert pair.source.calls == ["pause"]
    pair.outbox.write(bytes(HIGH))
    assert pair.source.calls == ["pause"]
    while pair.transport.buffer:
        pair.received()
        pair.transport.turn()
    assert pair.source.calls == ["pause", "resume"]


def test_broken(pair: Pair) -> None:
    """A socket that is broken is the transport's to find out; nothing is raised at who writes."""
    pair.near.close()
    pair.outbox.write(b"hello")
    assert pair.transport.buffer == b"hello"


def test_lost(pair: Pair) -> None:
    """The source hears of the end once; nothing goes to the socket any more."""
    pair.transport.producer.stopProducing()
    pair.outbox.write(b"hello")
    assert pair.received() == b""
    assert pair.source.calls == ["stop"]


def test_closed(pair: Pair) -> None:
    """Others may write now: the transport is asked for nothing more, and what waited is not written twice."""
    pair.outbox.close()
    pair.outbox.close()
    assert pair.transport.producer is None
    pair.outbox.write(b"last")
    pair.transport.turn()
    assert pair.received() == b"last"
    pair.outbox.end()
    assert pair.source.calls == []


@pytest.mark.parametrize("kinds", [(ITCPTransport, ISSLTransport), (ISSLTransport,), ()])
def test_by_way_of_the_transport(kinds: tuple[Any, ...], pair: Pair) -> None:
    """Never beside TLS, nor where there is no socket: the source is then the transport's own producer."""
    transport, source = Transport(pair.near), Source()
    directlyProvides(transport, *kinds)
    outbox = Outbox(transport, source)
    outbox.open()
    outbox.write(b"hello")
    assert (transport.buffer, pair.received()) == (b"hello", b"")
    assert (transport.producer, transport.streaming) == (source, True)
    assert not outbox.direct


def test_no_socket() -> None:
    """A transport may be of TCP's kind and have something else for a handle."""
    assert not Outbox(Transport(object()), Source()).direct
    assert not Outbox(StringTransport(), Source()).direct


def test_unix() -> None:
    """A Unix socket is written to at once, too."""
    near, far = socket.socketpair()
    with near, far:
        assert Outbox(Transport(near, IUNIXTransport), Source()).direct


class Other:
    """A socket with bytes that have come."""

    def __init__(self, data: bytes) -> None:
        self.far, self.near = socket.socketpair()
        self.near.setblocking(False)
        self.far.sendall(data)

    def left(self) -> bytes:
        """What nobody has taken."""
        self.far.close()
        with self.near:
            self.near.setblocking(True)
            return b"".join(iter(lambda: self.near.recv(65536), b""))


def numbered(start: int, size: int) -> bytes:
    return bytes((start + at) % 251 for at in range(size))


@settings(max_examples=examples(50), deadline=None)
@given(
    st.lists(
        st.one_of(
            st.integers(1, 30_000),
            st.tuples(st.integers(0, 30_000), st.integers(0, 30_000)),
            st.sampled_from(["turn", "read"]),
        ),
        max_size=30,
    )
)
def test_nothing_is_lost(plan: list[Any]) -> None:
    """However writing, drawing, reading and turning follow each other, the bytes come in order."""
    pair, written, got = Pair(), b"", b""
    try:
        for step in plan:
            if step == "turn":
                pair.transport.turn()
            elif step == "read":
                got += pair.received()
            elif isinstance(step, tuple):
                there, most = step
                data = numbered(len(written), there)
                written += data
                other = Other(data)
                drawn = pair.outbox.draw(other.near, most)
                left = other.left()
                assert drawn <= most
                assert left == data[drawn:]
                pair.outbox.write(left)
            else:
                data = numbered(len(written), step)
                written += data
                pair.outbox.write(data)
        while len(got) < len(written):
            pair.transport.turn()
            got += pair.received()
        assert got == written
    finally:
        pair.close()


def test_drawn(pair: Pair) -> None:
    """What is at another socket goes on without being read, and not more than was asked for."""
    other = Other(b"0123456789")
    assert pair.outbox.draw(other.near, 4) == 4
    assert pair.received() == b"0123"
    assert pair.transport.buffer == b""
    assert pair.outbox.draw(other.near, 100) == 6
    assert pair.outbox.draw(other.near, 100) == 0
    assert pair.received() == b"456789"
    assert other.left() == b""


def test_nothing_is_drawn_past_what_waits(pair: Pair) -> None:
    """Nor from a socket that has ended or is closed, nor where TLS lies between."""
    other = Other(b"behind")
    pair.outbox.write(bytes(HIGH * 3))
    assert pair.transport.buffer
    assert pair.outbox.draw(other.near, 100) == 0
    assert Outbox(Transport(pair.near, ISSLTransport), Source()).draw(other.near, 100) == 0
    while pair.transport.buffer:
        pair.received()
        pair.transport.turn()
    other.far.close()
    assert pair.outbox.draw(other.near, 100) == len(b"behind")
    assert pair.outbox.draw(other.near, 100) == 0
    other.near.close()
    assert pair.outbox.draw(other.near, 100) == 0


def test_drawn_for_a_broken_socket(pair: Pair) -> None:
    """What it does not take is the transport's to send, which finds out why."""
    other = Other(b"hello")
    pair.far.close()
    assert pair.outbox.draw(other.near, 100) == 5
    assert pair.transport.buffer == b"hello"
    other.left()


def test_no_descriptor_is_left(pair: Pair) -> None:
    """However it ends."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("there is no /proc here")
    other = Other(bytes(60_000))
    before = len(list(folder.iterdir()))
    for _ in range(20):
        pair.outbox.draw(other.near, 10_000)
        pair.transport.turn()
        pair.received()
    assert len(list(folder.iterdir())) == before
    other.left()


class Tcp(Transport):
    """One that can be closed, and read."""

    bufferSize = 65536
    disconnecting = False
    left_open = True

    def loseConnection(self) -> None:
        assert self.producer is None
        self.disconnecting = True

    def pauseProducing(self) -> None:
        self.left_open = False


def test_below_another_layer(pair: Pair) -> None:
    """TLS writes to what is below it at once, pauses by it, closes it, and has all else of it."""
    pair.outbox.close()
    below, source = Tcp(pair.near), Source()
    layer = AtOnce(below)
    assert ITCPTransport.providedBy(layer)
    layer.write(b"one")
    layer.writeSequence([b"two", b"three"])
    assert pair.received() == b"onetwothree"
    layer.write(bytes(HIGH * 3))
    assert below.buffer
    layer.registerProducer(source, True)
    assert source.calls == ["pause"]
    while below.buffer:
        pair.received()
        below.turn()
    assert source.calls == ["pause", "resume"]
    layer.unregisterProducer()
    layer.write(bytes(HIGH * 3))
    assert source.calls == ["pause", "resume"]
    layer.bufferSize = 16
    assert (below.bufferSize, layer.bufferSize) == (16, 16)
    layer.pauseProducing()
    assert not below.left_open
    layer.loseConnection()
    assert layer.disconnecting
    layer.write(b"last")
    assert below.buffer.endswith(b"last")


def test_a_layer_that_is_lost(pair: Pair) -> None:
    """Who writes above hears of it once, and is not kept."""
    pair.outbox.close()
    below, source = Tcp(pair.near), Source()
    layer = AtOnce(below)
    layer.registerProducer(source, True)
    below.producer.stopProducing()
    assert source.calls == ["stop"]
    layer.unregisterProducer()
    assert source.calls == ["stop"]
