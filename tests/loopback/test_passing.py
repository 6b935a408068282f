"""Large bodies that only pass: whole, in order, held back by who is slow, and broken off in time."""

from __future__ import annotations

import gzip
import hashlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

from ampproxy.http import outbox
from ampproxy.relay.record import Outcome
from tests.loopback.test_edges import AMP, HEALTH, House, answers
from tests.reactor import in_reactor

pytestmark = pytest.mark.loopback

SIZE = 6 * 1024 * 1024
BODY = bytes(range(256)) * (SIZE // 256)
DOWNLOAD = b"GET /api/threads HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: k\r\n"
HEAD = AMP + b"Content-Length: %d\r\n\r\n" % SIZE
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Amp:
    """An upstream for one connection, with what it does there in a thread."""

    def __init__(self, what: Callable[[socket.socket], object]) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run, args=(what,))
        self._thread.start()
        self.result: Any = None

    def _run(self, what: Callable[[socket.socket], object]) -> None:
        connection, _ = self._socket.accept()
        with connection:
            connection.settimeout(30)
            self.result = what(connection)

    def wait(self, seconds: float) -> None:
        """Let it do what it does."""
        self._thread.join(seconds)

    def end(self) -> Any:
        """What came of it."""
        self._thread.join(30)
        self._socket.close()
        return self.result


def body_of(connection: socket.socket, size: int, pause: Callable[[], object] = lambda: None) -> bytes:
    """A request's body, or as much as comes of it."""
    said = b""
    while b"\r\n\r\n" not in said:
        said += connection.recv(65536)
    pieces = [said.partition(b"\r\n\r\n")[2]]
    left = size - len(pieces[0])
    while left > 0:
        pause()
        try:
            piece = connection.recv(min(left, 1 << 18))
        except ConnectionResetError:
            break
        if not piece:
            break
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


@pytest.fixture
def house(tmp_path: Any) -> Iterator[House]:
    made = House(tmp_path, tls=False)
    yield made
    in_reactor(made.stop)


@pytest.fixture
def drawn(monkeypatch: Any) -> list[int]:
    """How many bytes each call took."""
    seen: list[int] = []
    real = outbox.splice

    def splice(*arguments: Any) -> tuple[int, bytes]:
        taken, unsent = real(*arguments)
        seen.append(taken)
        return taken, unsent

    monkeypatch.setattr(outbox, "splice", splice)
    return seen


def start(house: House, what: Callable[[socket.socket], object]) -> Amp:
    amp = Amp(what)
    in_reactor(house.start, amp.port)
    return amp


def test_upload(house: House, drawn: list[int]) -> None:
    """Byte for byte, and nothing of the request behind it. Most of it is not even read."""

    def serve(connection: socket.socket) -> str:
        body = body_of(connection, SIZE)
        connection.sendall(OK)
        return hashlib.sha256(body).hexdigest()

    amp = start(house, serve)
    said = house.said(HEAD, BODY + HEALTH + b"Connection: close\r\n\r\n")
    assert answers(said) == [200, 200]
    assert amp.end() == hashlib.sha256(BODY).hexdigest()
    assert sum(drawn) > SIZE / 2


def test_slow_upstream(house: House, drawn: list[int]) -> None:
    """It is sent no more than it takes, so the client waits."""
    sent, may = [0], threading.Event()

    def serve(connection: socket.socket) -> bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        assert may.wait(30)
        body = body_of(connection, 8 * SIZE)
        connection.sendall(OK)
        return body

    def send(client: socket.socket) -> None:
        for _ in range(8):
            client.sendall(BODY)
            sent[0] += SIZE

    amp = start(house, serve)
    with closing(house.connect()) as client:
        client.settimeout(30)
        client.sendall(AMP + b"Content-Length: %d\r\n\r\n" % (8 * SIZE))
        sender = threading.Thread(target=send, args=(client,))
        sender.start()
        sender.join(1)
        assert sent[0] < 8 * SIZE
        may.set()
        assert answers(client.recv(65536)) == [200]
        sender.join(30)
    assert amp.end() == BODY * 8


@pytest.mark.parametrize("reads", [True, False])
def test_client_leaves(house: House, reads: bool) -> None:
    """The upstream is not told that this was all, and the log does not take it for a defect."""
    may = threading.Event()

    def serve(connection: socket.socket) -> bytes:
        assert reads or may.wait(30)
        return body_of(connection, SIZE)

    amp = start(house, serve)
    with closing(house.connect()) as client:
        client.sendall(HEAD + BODY[: SIZE // 4])
        # It is under way, and may wait for an upstream that takes no more.
        time.sleep(0.2)
    may.set()
    assert len(amp.end()) < SIZE
    assert [event["exchange"].outcome for event in house.events if "exchange" in event] == [
        Outcome.CLIENT_LEFT
    ]
    assert [event for event in house.events if "log_failure" in event] == []


def test_upstream_leaves(house: House) -> None:
    """The client hears why, although it is still sending."""
    amp = start(house, lambda connection: body_of(connection, SIZE // 3))
    said = house.said(HEAD, BODY, until=b"}")
    assert answers(said) == [502]
    amp.end()


def test_upstream_answers_early(house: House) -> None:
    """The client has the answer, and its connection is not cut under it."""

    def serve(connection: socket.socket) -> None:
        body_of(connection, SIZE // 3)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")

    amp = start(house, serve)
    with closing(house.connect()) as client:
        client.settimeout(30)
        client.sendall(HEAD + BODY[: SIZE // 2])
        assert answers(client.recv(65536)) == [413]
        client.sendall(BODY[SIZE // 2 :] + HEALTH + b"Connection: close\r\n\r\n")
        assert answers(b"".join(iter(lambda: client.recv(65536), b""))) == [200]
    amp.end()


def send_answer(connection: socket.socket, body: bytes, length: int = SIZE, headers: bytes = b"") -> None:
    """Answer one request; whoever asked may leave."""
    body_of(connection, 0)
    head = b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n" % (headers, length)
    with suppress(OSError):
        connection.sendall(head + body)


def test_download(house: House, drawn: list[int]) -> None:
    """Byte for byte, two on the same connections. Most of it is not even read."""

    def serve(connection: socket.socket) -> None:
        send_answer(connection, BODY)
        send_answer(connection, BODY)

    amp = start(house, serve)
    said = house.said(DOWNLOAD + b"\r\n", DOWNLOAD + b"Connection: close\r\n\r\n")
    first, second = said.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert first.partition(b"\r\n\r\n")[2] == BODY
    assert second.partition(b"\r\n\r\n")[2] == BODY
    assert sum(drawn) > SIZE
    amp.end()


def test_slow_client(house: House, drawn: list[int]) -> None:
    """The upstream is asked for no more than the client takes."""
    sent = [0]

    def serve(connection: socket.socket) -> None:
        send_answer(connection, b"", 8 * SIZE)
        for _ in range(8):
            connection.sendall(BODY)
            sent[0] += SIZE

    amp = start(house, serve)
    with closing(house.connect()) as client:
        client.settimeout(30)
        client.sendall(DOWNLOAD + b"Connection: close\r\n\r\n")
        amp.wait(1)
        assert sent[0] < 8 * SIZE
        said = b"".join(iter(lambda: client.recv(1 << 18), b""))
    assert said.partition(b"\r\n\r\n")[2] == BODY * 8
    assert sum(drawn) > 0
    amp.end()


def test_cut_download(house: House) -> None:
    """The client sees that this was not all."""
    amp = start(house, lambda connection: send_answer(connection, BODY[: SIZE // 2]))
    said = house.said(DOWNLOAD + b"\r\n")
    assert b"Content-Length: %d\r\n" % SIZE in said
    body = said.partition(b"\r\n\r\n")[2]
    assert SIZE > len(body) > 0
    assert BODY.startswith(body)
    amp.end()


def test_client_leaves_a_download(house: House) -> None:
    """The upstream's connection is closed."""

    def serve(connection: socket.socket) -> bytes:
        send_answer(connection, BODY[: SIZE // 2])
        try:
            return connection.recv(1)
        except ConnectionResetError:
            return b""

    amp = start(house, serve)
    with closing(house.connect()) as client:
        client.sendall(DOWNLOAD + b"\r\n")
        assert answers(client.recv(65536)) == [200]
    assert amp.end() == b""


def test_what_is_changed_is_read(house: House, drawn: list[int]) -> None:
    """A body that is gzip and does not say so is inflated, however large it is."""
    body = gzip.compress(random.Random(7).randbytes(SIZE))
    amp = start(house, lambda connection: send_answer(connection, body, len(body)))
    # Such a client gets no chunks.
    said = house.said(DOWNLOAD.replace(b"1.1", b"1.0") + b"\r\n")
    assert random.Random(7).randbytes(SIZE)[-1000:] in said
    assert sum(drawn) == 0
    amp.end()
