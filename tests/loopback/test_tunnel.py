"""WebSockets through a gateway to an Amp upstream under TLS, with a real client and a real server."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from twisted.internet import reactor
from twisted.logger import formatEventAsClassicLogText
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ampproxy.config.load import parse
from ampproxy.tap import build
from tests.loopback.sockets import Sockets
from tests.reactor import in_reactor
from tests.upstream.doubles import Trusting

pytestmark = pytest.mark.loopback

KEY = {"Authorization": "Bearer canary-client-key"}
SOCKET = "/actors/gateway/threadActor/websocket/?rvt-namespace=default&rvt-key=T-1"
MANY = 200


class World:
    """The gateway between them."""

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        self.upstream = Sockets(context)
        self.lines: list[str] = []
        text = f"""
port: 0
api-keys: [canary-client-key]
ampcode: {{upstream-url: "https://localhost:{self.upstream.port}", upstream-api-key: canary-amp-key}}
"""
        config = parse(text, name="c", environ={}, home=directory, read_secret=lambda path: path.read_text())

        async def start() -> None:
            self.service = build(
                config, reactor, environ={}, policy=Trusting(authority), observer=self._observe
            )
            await self.service.listen()

        in_reactor(start)
        self.url = f"ws://127.0.0.1:{self.service.ports[0].getHost().port}"

    def _observe(self, event: Any) -> None:
        self.lines.append(formatEventAsClassicLogText(event) or "")

    @property
    def running(self) -> int:
        return int(self.service.current.runtime.running.count)

    async def quiet(self) -> None:
        """Wait until every connection has ended, at the gateway and at the upstream."""
        await until(lambda: self.running == 0 and len(self.upstream.ended) == self.upstream.begun)

    def settle(self) -> None:
        """Wait until nothing is under way."""
        in_reactor(self.service.current.runtime.running.idle, reactor, 5.0)

    def stop(self) -> None:
        in_reactor(self.service.stopService)
        self.upstream.stop()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("tunnel"))
    yield world
    world.stop()


def run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """A client, for as long as a test may take."""
    return asyncio.run(asyncio.wait_for(work(), 60))


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within 30 seconds")


def test_echo(world: World) -> None:
    """Text, a binary frame of a megabyte that does not compress, and a message in fragments come back."""

    async def work() -> None:
        async with connect(world.url + SOCKET, max_size=None, proxy=None) as socket:
            assert socket.protocol.extensions[0].name == "permessage-deflate"
            big = os.urandom(1024 * 1024)
            for message in ("hello", "", big, "x" * 1_000_000, "ünïcode"):
                await socket.send(message)
                assert await socket.recv() == message
            await socket.send(iter(["in ", "three ", "pieces"]))
            assert await socket.recv() == "in three pieces"

    run(work)
    world.settle()
    (line,) = (line for line in world.lines if " GET /actors/" in line)
    assert "tunnel     101 completed " in line
    assert "(closed by the " in line
    counted = dict(word.split("=") for word in line.split() if "=" in word)
    # Both counts are of bytes of a WebSocket, compressed where that helps.
    assert 1_000_000 < int(counted["in"]) < 1_200_000
    assert 1_000_000 < int(counted["bytes"]) < 1_200_000


def test_uncompressed(world: World) -> None:
    """What the two sides do not agree on is not there; subprotocols are theirs alone."""

    async def work() -> None:
        async with connect(
            world.url + SOCKET,
            compression=None,
            proxy=None,
            subprotocols=["rivet", "rivet_encoding.bare", "rivet_conn_params.%7B%22a%22%3A1%7D"],
        ) as socket:
            assert socket.protocol.extensions == []
            assert socket.subprotocol == "rivet"
            await socket.send(b"\x00\xff")
            assert await socket.recv() == b"\x00\xff"

    run(work)
    headers = world.upstream.requests[-1].headers
    assert headers["Sec-WebSocket-Protocol"].replace(" ", "") == (
        "rivet,rivet_encoding.bare,rivet_conn_params.%7B%22a%22%3A1%7D"
    )
    assert "Sec-WebSocket-Extensions" not in headers


def test_ping_and_pong(world: World) -> None:
    """Each side may ask whether the other is there."""

    async def work() -> None:
        async with connect(world.url + SOCKET, proxy=None) as socket:
            assert await (await socket.ping(b"hello")) >= 0
            await socket.send("ping me")
            assert await socket.recv() == "you are"

    run(work)


def test_both_may_close(world: World) -> None:
    """A close frame, its code and its words arrive, whoever sends it."""

    async def work() -> None:
        async with connect(world.url + SOCKET, proxy=None) as socket:
            await socket.send("close")
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert (socket.close_code, socket.close_reason) == (4001, "as you wish")
        await world.quiet()
        assert world.upstream.ended[-1] == 4001
        async with connect(world.url + SOCKET, proxy=None) as socket:
            await socket.close(4002)
        await world.quiet()
        assert world.upstream.ended[-1] == 4002

    run(work)


def test_both_may_vanish(world: World) -> None:
    """When one side is gone without a word, so is the other, at once; an open file stays nowhere."""

    async def work() -> None:
        async with connect(world.url + SOCKET, proxy=None) as socket:
            await socket.send("abort")
            with pytest.raises(ConnectionClosed):
                await socket.recv()
        await world.quiet()
        async with connect(world.url + SOCKET, proxy=None) as socket:
            await socket.send("x")
            await socket.recv()
            socket.transport.abort()
        await world.quiet()
        assert world.upstream.ended[-1] == 1006

    run(work)


def test_slow_reader(world: World) -> None:
    """A client that does not read stops the upstream; its leaving ends the flood."""

    async def work() -> None:
        async with connect(world.url + SOCKET, compression=None, proxy=None, ping_interval=None) as socket:
            await socket.send("flood")
            await until(lambda: world.upstream.flood > 0)
            # The buffers on the way fill, and then nothing moves any more.
            sent = -1
            while sent != world.upstream.flood:
                sent = world.upstream.flood
                await asyncio.sleep(0.3)
            assert sent < 64 * 1024 * 1024
            socket.transport.abort()
        await world.quiet()

    run(work)


def test_keys(world: World) -> None:
    """A socket of the actors needs no key and gets none; any other gets the owner's for the client's."""

    async def work() -> None:
        async with connect(world.url + SOCKET, additional_headers=KEY, proxy=None):
            pass
        assert "Authorization" not in world.upstream.requests[-1].headers
        async with connect(world.url + "/api/socket?a=%20b", additional_headers=KEY, proxy=None):
            pass
        assert world.upstream.requests[-1].headers["Authorization"] == "Bearer canary-amp-key"
        assert world.upstream.requests[-1].path == "/api/socket?a=%20b"
        count = len(world.upstream.requests)
        with pytest.raises(InvalidStatus) as caught:
            await connect(world.url + "/api/socket", proxy=None)
        assert caught.value.response.status_code == 401
        assert len(world.upstream.requests) == count

    run(work)
    assert all("canary-client-key" not in str(request.headers) for request in world.upstream.requests)


def test_refusal(world: World) -> None:
    """An upstream that does not switch answers as always."""

    async def work() -> None:
        with pytest.raises(InvalidStatus) as caught:
            await connect(world.url + SOCKET + "&refuse", proxy=None)
        answer = caught.value.response
        assert (answer.status_code, answer.body) == (402, b"out of credits")
        assert answer.headers["X-Ampproxy-Route"] == "tunnel"

    run(work)


def test_foreign_page(world: World) -> None:
    """A web page of another site opens no socket: 403, and the upstream hears nothing."""

    async def work() -> None:
        count = len(world.upstream.requests)
        with pytest.raises(InvalidStatus) as caught:
            await connect(world.url + SOCKET, origin="https://evil.test", proxy=None)
        assert caught.value.response.status_code == 403
        assert json.loads(caught.value.response.body)["code"]
        assert len(world.upstream.requests) == count

    run(work)


def test_many(world: World) -> None:
    """Two hundred at once, all of them alive."""

    async def one(number: int) -> bool:
        async with connect(
            world.url + SOCKET, proxy=None, compression=None, open_timeout=60, ping_interval=None
        ) as socket:
            opened.append(number)
            if len(opened) == MANY:
                everybody.set()
            await everybody.wait()
            await socket.send(str(number))
            return await socket.recv() == str(number)

    async def work() -> None:
        answers = await asyncio.gather(*(one(number) for number in range(MANY)))
        assert all(answers)
        await until(lambda: world.running == 0)

    opened: list[int] = []
    everybody = asyncio.Event()
    run(work)


class Counter:
    """An upstream without TLS that listens to the end before it speaks."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        connection, _ = self._socket.accept()
        said = b""
        while not said.endswith(b"\r\n\r\n"):
            said += connection.recv(1)
        connection.sendall(b"HTTP/1.1 101 OK\r\nUpgrade: counting\r\nConnection: upgrade\r\n\r\n")
        count = 0
        while data := connection.recv(65536):
            count += len(data)
        connection.sendall(b"%d bytes" % count)
        connection.close()
        self._socket.close()


def test_half_closed(tmp_path: Path) -> None:
    """Without TLS, a client that has said all still gets its answer."""
    upstream = Counter()
    text = f"port: 0\nampcode: {{upstream-url: 'http://127.0.0.1:{upstream.port}', upstream-api-key: a}}"
    config = parse(text, name="c", environ={}, home=tmp_path, read_secret=lambda path: path.read_text())
    service = build(config, reactor, environ={}, observer=lambda _: None)
    in_reactor(service.listen)
    port = service.ports[0].getHost().port
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(
            b"GET /api/x HTTP/1.1\r\nHost: localhost\r\nUpgrade: counting\r\nConnection: upgrade\r\n\r\n"
            + bytes(1_000_000)
        )
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while data := client.recv(65536):
            answer += data
    assert answer.partition(b"\r\n\r\n")[2] == b"1000000 bytes"
    in_reactor(service.stopService)
    assert service.current.runtime.running.count == 0
