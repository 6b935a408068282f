"""Clients: kept connections that ask again as soon as they have been answered."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STAMP = re.compile(rb"@(\d{10}\.\d{6})@")
_PIECE = 256 * 1024
_END = b"\r\n0\r\n\r\n"


class BadAnswer(Exception):
    """Not the answer that was expected."""


@dataclass(frozen=True)
class Ask:
    """A request.

    :param path: with the query.
    :param headers: besides ``Host`` and ``Content-Length``.
    """

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def head(self) -> bytes:
        """All before the body."""
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.method != "GET":
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode()


@dataclass
class Tally:
    """What clients met.

    :ivar latencies: seconds from a request's first byte to its answer's last.
    :ivar delays: seconds that paced events took from vendor to client.
    """

    latencies: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    wall: float = 0.0


class Client(asyncio.Protocol):
    """One connection.

    :ivar keep: whether the answer's bytes are wanted; ``answer`` then has them.
    """

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.keep = False
        self.answer = b""
        self.status = 0
        self.began: asyncio.Event = asyncio.Event()
        self.delays: list[float] | None = None
        self._done: Callable[[Exception | None], None] | None = None
        self._head = b""
        self._in_head = False
        self._left: int | None = 0
        self._tail = b""
        self._pieces: list[bytes] = []
        self._to_send = memoryview(b"")
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, head: bytes, body: bytes, done: Callable[[Exception | None], None]) -> None:
        """Send a request; ``done`` is called when it has been answered."""
        self._done = done
        self._in_head, self._head, self._pieces = True, b"", []
        if len(body) <= _PIECE:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self._to_send = memoryview(body)
            self.resume_writing()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        while self._to_send and not self._paused:
            piece, self._to_send = self._to_send[:_PIECE], self._to_send[_PIECE:]
            self.transport.write(piece)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            head = self._head + data
            end = head.find(b"\r\n\r\n")
            if end < 0:
                self._head = head
                return
            self._begin(head[: end + 2])
            data = head[end + 4 :]
        if self.keep:
            self._pieces.append(data)
        if self.delays is not None:
            now = time.monotonic()
            self.delays += [now - float(stamp) for stamp in _STAMP.findall(data)]
        if self._left is None:
            self._tail = data[-7:] if len(data) >= 7 else (self._tail + data)[-7:]
            if self._tail == _END:
                self._finish()
        else:
            self._left -= len(data)
            if self._left <= 0:
                self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(BadAnswer("the connection was closed before the answer was whole"))

    def _begin(self, head: bytes) -> None:
        match = _STATUS.match(head)
        self.status = int(match[1]) if match else 0
        length = _LENGTH.search(head)
        self._left = int(length[1]) if length else None
        self._tail = b"\r\n"
        self._in_head = False
        self.began.set()

    def _finish(self) -> None:
        if self.keep:
            self.answer = b"".join(self._pieces)
        done, self._done = self._done, None
        assert done is not None
        done(None if self.status == 200 else BadAnswer(f"status {self.status}"))


class Clients:
    """Some connections to one port.

    :param count: how many.
    :param tls: what they trust, where the port speaks TLS.
    """

    def __init__(self, port: int, count: int, tls: ssl.SSLContext | None = None) -> None:
        self._port = port
        self._count = count
        self._tls = tls
        self.clients: list[Client] = []

    async def __aenter__(self) -> Clients:
        loop = asyncio.get_running_loop()
        for _ in range(self._count):
            _, client = await loop.create_connection(Client, "127.0.0.1", self._port, ssl=self._tls)
            self.clients.append(client)
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self.clients:
            client._done = None
            client.transport.abort()
        await asyncio.sleep(0)

    async def drive(self, ask: Ask, seconds: float) -> Tally:
        """Ask on all connections, over and over for some time; then wait for the last answers.

        Each connection asks once at the least.

        :raises BadAnswer: an answer was not 200, or not whole.
        """
        head, body, tally = ask.head(), ask.body, Tally()
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        begin = time.perf_counter()
        deadline = begin + seconds
        busy = len(self.clients)

        def start(client: Client) -> None:
            sent = time.perf_counter()

            def done(error: Exception | None) -> None:
                nonlocal busy
                now = time.perf_counter()
                tally.latencies.append(now - sent)
                if error is None and now < deadline:
                    start(client)
                    return
                busy -= 1
                if error is not None and not over.done():
                    over.set_exception(error)
                elif not busy and not over.done():
                    over.set_result(None)

            client.send(head, body, done)

        for client in self.clients:
            start(client)
        await asyncio.wait_for(over, seconds + 60)
        tally.wall = time.perf_counter() - begin
        return tally


async def ask_once(port: int, ask: Ask, tls: ssl.SSLContext | None = None) -> tuple[int, bytes]:
    """The status and the body of one answer, chunk sizes left in."""
    async with Clients(port, 1, tls) as clients:
        client = clients.clients[0]
        client.keep = True
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: Exception | None) -> None:
            if error is not None and not client.answer:
                over.set_exception(error)
            else:
                over.set_result(None)

        client.send(ask.head(), ask.body, done)
        await asyncio.wait_for(over, 20)
        return client.status, client.answer
