"""What requests are written with: the socket where there is one; and a body's producer, paused in time."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.testing import StringTransport

from ampproxy.http.bodies import SLICE, BytesProducer
from ampproxy.http.client_request import Request, Upload
from ampproxy.http.client_writer import Writer
from ampproxy.http.headers import LowerHeaders
from ampproxy.http.outbox import HIGH
from tests.http.test_outbox import Pair


def received(pair: Pair) -> bytes:
    out = b""
    try:
        while data := pair.far.recv(1 << 20):
            out += data
    except BlockingIOError:
        pass
    return out


@pytest.fixture
def pair() -> Any:
    one = Pair()
    one.outbox.close()
    yield one
    one.near.close()
    one.far.close()


def test_at_once(pair: Pair) -> None:
    """A request is on its way when it has been written, in the same turn."""
    writer = Writer(pair.transport)
    writer.write(b"request")
    assert received(pair) == b"request"
    assert pair.transport.buffer == b""
    writer.end()
    assert pair.transport.producer is None


def test_a_body_keeps_the_pace(pair: Pair) -> None:
    """Of a large body one slice more is produced than is taken; all of it arrives, in order."""
    body = bytes(range(256)) * (20 * SLICE // 256)
    request = Request(b"POST", b"http://a.test/", b"/", b"a.test", LowerHeaders(), BytesProducer(body))
    ended: list[Any] = []
    Upload(request, Writer(pair.transport), ended.append).start()
    out = b""
    for _ in range(10_000):
        assert len(pair.transport.buffer) <= SLICE + len(request.head)
        out += received(pair)
        pair.transport.turn()
        if ended and not pair.transport.buffer:
            break
    assert out + received(pair) == request.head + body
    assert ended == [None]


def test_a_body_behind_another_request(pair: Pair) -> None:
    """One that begins while too much of an answered request still waits keeps the pace, too."""
    writer = Writer(pair.transport)
    writer.write(bytes(2 * SLICE))
    before = len(pair.transport.buffer)
    assert before > HIGH
    request = Request(
        b"POST", b"http://a.test/", b"/", b"a.test", LowerHeaders(), BytesProducer(bytes(20 * SLICE))
    )
    ended: list[Any] = []
    Upload(request, writer, ended.append).start()
    assert len(pair.transport.buffer) <= before + SLICE + len(request.head)
    while pair.transport.buffer:
        received(pair)
        pair.transport.turn()
    assert ended == [None]


def test_stopped_while_it_waits(pair: Pair) -> None:
    """Whoever gives up leaves nothing behind: the transport can be closed, and the producer is told."""
    writer = Writer(pair.transport)
    producer = BytesProducer(bytes(20 * SLICE))
    request = Request(b"POST", b"http://a.test/", b"/", b"a.test", LowerHeaders(), producer)
    ended: list[Any] = []
    upload = Upload(request, writer, ended.append)
    upload.start()
    upload.stop()
    writer.end()
    assert pair.transport.producer is None
    waits = pair.transport.buffer
    producer.resumeProducing()
    upload.write(b"more")
    assert (pair.transport.buffer, ended) == (waits, [])


def test_without_a_socket_of_its_own() -> None:
    """Under TLS, and in memory, the transport does it, and only while there is a body does it know of one."""
    transport = StringTransport()
    writer = Writer(transport)
    writer.write(b"a")
    assert transport.producer is None
    producer = BytesProducer(b"b")
    writer.register(producer)
    assert transport.producer is producer
    writer.unregister()
    writer.end()
    assert (transport.value(), transport.producer) == (b"a", None)
