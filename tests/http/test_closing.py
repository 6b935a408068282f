"""Connections that are to be closed: they are, whatever the other side does, and not before its time."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.task import Clock

from ampproxy.http.closing import LOOK_INTERVAL, STALLED, Closing, unsent


class Transport:
    """A connection with some bytes on their way."""

    def __init__(self, left: int = 0) -> None:
        self.dataBuffer, self.offset = bytes(left), 0
        self.let_go = self.aborted = False

    def loseConnection(self) -> None:
        self.let_go = True

    def abortConnection(self) -> None:
        self.aborted = True

    def take(self, size: int) -> None:
        self.offset += size

    @property
    def how(self) -> str:
        return "aborted" if self.aborted else "let go" if self.let_go else "open"


def closing(left: int = 0) -> tuple[Transport, Clock, Closing]:
    transport, clock = Transport(left), Clock()
    ends = Closing(transport, clock)
    ends.begin()
    return transport, clock, ends


def test_all_has_arrived() -> None:
    """The connection below TLS is closed in order; what is still there then is aborted."""
    transport, clock, _ = closing()
    clock.advance(LOOK_INTERVAL - 1)
    assert transport.how == "open"
    clock.advance(1)
    assert transport.how == "let go"
    clock.advance(LOOK_INTERVAL)
    assert transport.how == "aborted"
    assert not clock.getDelayedCalls()


def test_slow_reader() -> None:
    """Who takes a byte now and then has all the time it needs."""
    transport, clock, _ = closing(left=100)
    for _ in range(100):
        transport.take(1)
        clock.advance(LOOK_INTERVAL)
        assert not transport.aborted
    clock.advance(LOOK_INTERVAL)
    assert transport.how == "aborted"


def test_no_reader() -> None:
    """Who takes nothing has not."""
    transport, clock, _ = closing(left=100)
    clock.pump([LOOK_INTERVAL] * int(STALLED / LOOK_INTERVAL - 1))
    assert transport.how == "open"
    clock.advance(LOOK_INTERVAL)
    assert transport.how == "aborted"


def test_closed() -> None:
    """Nothing is left of a connection that is closed in time, nor begins for one that is closed."""
    transport, clock, ends = closing()
    ends.end()
    ends.begin()
    assert not clock.getDelayedCalls()
    assert transport.how == "open"


def test_begun_once() -> None:
    """A connection may be closed several times over; the first counts."""
    transport, clock, ends = closing()
    clock.advance(LOOK_INTERVAL - 1)
    ends.begin()
    clock.advance(1)
    assert transport.how == "let go"


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        other, _ = server.accept()
    with one, other:
        yield one, other


def test_what_has_not_arrived(pair: tuple[socket.socket, socket.socket]) -> None:
    """Bytes that the system holds are counted until the other side's has taken them."""
    one, other = pair

    class Real(Transport):
        fileno = one.fileno

    transport: Any = Real(left=7)
    one.setblocking(False)
    try:
        while True:
            one.send(bytes(65536))
    except BlockingIOError:
        pass
    full = unsent(transport)
    if full == 7:
        pytest.skip("this system does not tell")
    assert full > 7
    other.recv(65536)
    other.setblocking(False)
    try:
        while True:
            other.recv(65536)
    except BlockingIOError:
        pass
    assert unsent(transport) < full
