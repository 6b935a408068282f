"""Upstreams that do not take part in the end of a connection: it ends all the same."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers

from ampproxy.http import closing
from ampproxy.upstream import client as upstream_client
from ampproxy.upstream import ways as upstream
from ampproxy.upstream.body import BytesProducer, collect
from ampproxy.upstream.client import UpstreamClient
from tests.reactor import in_reactor
from tests.upstream.doubles import Trusting

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="Linux tells who is connected"),
]

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n%b"


class Deaf:
    """A server that answers one request, and then neither reads nor closes.

    :ivar sockets: those of its connections.
    """

    def __init__(self, answer: bytes, *, tls: bool, reads: bool = True) -> None:
        self.authority = trustme.CA()
        self.answer, self.reads = answer, reads
        self.sockets: list[Any] = []
        self._context: Any = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.authority.issue_cert("localhost").configure_cert(self._context)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http{'s' if tls else ''}://localhost:{self._server.getsockname()[1]}/"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._server.accept()
            except OSError:
                return
            try:
                one = self._context.wrap_socket(plain, server_side=True) if self._context else plain
                self.sockets.append(one)
                if self.reads:
                    one.recv(65536)
                one.sendall(self.answer)
            except OSError:
                pass

    def close(self) -> None:
        self._server.close()
        for one in self.sockets:
            one.close()


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closing, "LOOK_INTERVAL", 0.3)
        patch.setattr(closing, "STALLED", 0.6)
        patch.setattr(upstream, "POOL_IDLE", 0.3)
        yield


def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "not within 15 s"
        time.sleep(0.05)


def connected(deaf: Deaf) -> int:
    """How many descriptors are connections to the server; of one that was closed only the system knows."""
    port = f":{deaf._server.getsockname()[1]:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(port) and row[9] != "0" for row in rows)


async def ask(client: UpstreamClient, deaf: Deaf, body: bytes | None = None) -> Any:
    producer = None if body is None else BytesProducer(body)
    return await client.send("GET" if body is None else "POST", deaf.url, Headers(), producer)


def client_of(deaf: Deaf) -> UpstreamClient:
    return UpstreamClient(reactor, connect_timeout=5, policy=Trusting(deaf.authority))


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("how", ["idle", "closed", "the last", "cut", "too large"])
def test_that_does_nothing(how: str, tls: bool) -> None:
    """A kept connection whose time is over, one that is closed with the service, one whose answer was its
    last, and one whose answer nobody wants any more.
    """
    more = b"Connection: close\r\n" if how == "the last" else b""
    deaf = Deaf(LENGTH % (5 if how in ("idle", "closed", "the last") else 500_000, more, b"whole"), tls=tls)

    async def use() -> UpstreamClient:
        client = client_of(deaf)
        response = await ask(client, deaf)
        gathering: Deferred[bytes] = collect(
            response, limit=3 if how == "too large" else 1_000_000, clock=reactor, idle=60
        )
        if how == "cut":
            gathering.addErrback(lambda _: None)
            gathering.cancel()
        elif how == "too large":
            gathering.addErrback(lambda _: None)
        else:
            assert await gathering == b"whole"
        return client

    client = in_reactor(use)
    if how == "closed":
        in_reactor(client.close, timeout=60)
    try:
        wait(lambda: connected(deaf) == 0)
    finally:
        deaf.close()
        in_reactor(client.close)


def test_the_end_does_not_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who closes the client, because the service ends, goes on soon; the connection ends with the process."""
    monkeypatch.setattr(closing, "LOOK_INTERVAL", 90.0)
    monkeypatch.setattr(upstream_client, "CLOSING", 0.1)
    deaf = Deaf(LENGTH % (5, b"", b"whole"), tls=True)
    client = client_of(deaf)

    async def use() -> None:
        await collect(await ask(client, deaf), limit=10, clock=reactor, idle=60)
        await client.close()

    try:
        in_reactor(use, timeout=60)
        assert connected(deaf) == 1
    finally:
        deaf.close()


@pytest.mark.parametrize("tls", [False, True])
def test_that_answers_and_does_not_read_the_question(tls: bool) -> None:
    """An answer that comes before the question is read, and says that it was the connection's last."""
    deaf = Deaf(LENGTH % (2, b"Connection: close\r\n", b"no"), tls=tls, reads=False)
    client = client_of(deaf)

    async def use() -> bytes:
        response = await ask(client, deaf, bytes(20_000_000))
        return await collect(response, limit=100, clock=reactor, idle=60)

    try:
        assert in_reactor(use) == b"no"
        wait(lambda: connected(deaf) == 0)
    finally:
        deaf.close()
