"""A client that leaves closes its upstream, whatever that does: over real sockets, with and without TLS."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from twisted.internet import reactor

from ampproxy.config.load import parse
from ampproxy.tap import build
from tests.reactor import in_reactor
from tests.upstream.doubles import Trusting

pytestmark = pytest.mark.loopback

#: The vendor's end must be closed within so many seconds after the client's.
SOON = 1.0
#: What a busy machine is granted beyond that.
GRACE = 9.0


class Mute:
    """A vendor that takes a request and says no more than it is told to say.

    :param answer: what it says once the head of the request is there.
    :param reads: whether it takes the request's body.
    :ivar asked: set when a request has come; ``left``: when its connection was closed.
    """

    def __init__(self, answer: bytes = b"", *, reads: bool = True, context: ssl.SSLContext | None = None):
        self._answer, self._reads, self._context = answer, reads, context
        self.asked, self.left, self.over = threading.Event(), threading.Event(), threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: Any) -> None:
        with contextlib.suppress(OSError):
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            seen = b""
            while b"\r\n\r\n" not in seen:
                if not (data := connection.recv(1024)):
                    return
                seen += data
            if self._answer:
                connection.sendall(self._answer)
            self.asked.set()
            if not self._reads:
                # A full pipe hides the end that comes behind it; a reset does not wait for its turn.
                while not self.over.wait(0.05):
                    connection.send(b"")
                    if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or _is_closed(connection):
                        break
            else:
                while connection.recv(65536):
                    pass
        self.left.set()

    def close(self) -> None:
        self.over.set()
        self._socket.close()


def _is_closed(connection: socket.socket) -> bool:
    """Whether the kernel knows that the other side has closed: CLOSE_WAIT, or no connection at all."""
    state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state != 1


class Setting:
    """A gateway in front of a mute vendor, with or without TLS on both sides."""

    def __init__(self, vendor: Mute, kind: str, directory: Path, authority: trustme.CA | None) -> None:
        self._authority = authority
        scheme = "http" if authority is None else "https"
        base = f"{scheme}://localhost:{vendor.port}"
        tls = ""
        if authority is not None:
            issued = authority.issue_cert("localhost")
            issued.private_key_and_cert_chain_pem.write_to_path(str(directory / "both.pem"))
            tls = f"tls: {{enable: true, cert: {directory}/both.pem, key: {directory}/both.pem}}\n"
        account = {
            "chat": f"openai-compatibility: [{{name: one, base-url: '{base}/v1',"
            " api-key-entries: [{api-key: k1}], models: [{name: m}]}]",
            "anthropic": f"claude-api-key: [{{base-url: '{base}', api-key: k1, models: [{{name: m}}]}}]",
        }[kind]
        text = f"port: 0\nhost: 127.0.0.1\napi-keys: [k]\nkeepalive-seconds: 0\n{tls}{account}\n"
        policy = None if authority is None else Trusting(authority)

        async def start() -> Any:
            config = parse(text, name="c", environ={}, home=directory, read_secret=Path.read_text)
            service = build(config, reactor, environ={}, policy=policy, observer=lambda _: None)
            await service.listen()
            return service

        self.service = in_reactor(start)
        self.port = self.service.ports[0].getHost().port

    def connect(self) -> Any:
        connection: Any = socket.create_connection(("127.0.0.1", self.port), 10)
        if self._authority is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._authority.configure_trust(context)
            connection = context.wrap_socket(connection, server_hostname="localhost")
        return connection

    def stop(self) -> None:
        in_reactor(self.service.stopService, timeout=60)


@pytest.fixture(params=[False, True], ids=["tcp", "tls"])
def authority(request: pytest.FixtureRequest) -> trustme.CA | None:
    return trustme.CA() if request.param else None


@pytest.fixture
def begin(tmp_path: Path, authority: trustme.CA | None) -> Iterator[Any]:
    """Starts a vendor and a gateway: ``begin("chat", answer=b"...")``."""
    running: list[Any] = []

    def start(kind: str, make: type[Mute] = Mute, **more: Any) -> tuple[Mute, Setting]:
        context = None
        if authority is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("localhost").configure_cert(context)
        vendor = make(context=context, **more)
        running.append(vendor)
        setting = Setting(vendor, kind, tmp_path, authority)
        running.insert(0, setting)
        return vendor, setting

    yield start
    for one in running:
        one.stop() if isinstance(one, Setting) else one.close()


def request(kind: str, *, stream: bool, padding: int = 0) -> bytes:
    path = {"chat": b"/v1/chat/completions", "anthropic": b"/v1/messages"}[kind]
    said = [{"role": "user", "content": "hi" + "x" * padding}]
    body = json.dumps({"model": "m", "max_tokens": 9, "stream": stream, "messages": said}).encode()
    return (
        b"POST %b HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer k\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (path, len(body), body)
    )


def leave(connection: Any, way: str) -> None:
    """As clients do: an orderly close, one that resets, or one that only says that no more will come."""
    if way == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if way == "shutdown":
        socket.socket.shutdown(connection, socket.SHUT_WR)
    else:
        connection.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
WHEN = {
    "before the answer": b"",
    "within the head": HEAD,
    "after the head": HEAD + b"Content-Length: 99\r\n\r\n",
    "within the body": HEAD + b"Content-Length: 99\r\n\r\n{",
    "within an error": b"HTTP/1.1 500 Bad\r\nContent-Length: 99\r\n\r\n{",
}


def check(vendor: Mute, connection: Any, way: str) -> None:
    assert vendor.asked.wait(60)
    time.sleep(0.1)
    assert not vendor.left.is_set()
    began = time.monotonic()
    leave(connection, way)
    assert vendor.left.wait(SOON + GRACE), f"not closed {time.monotonic() - began:.1f} s later"


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("way", ["close", "reset", "shutdown"])
@pytest.mark.parametrize(("kind", "stream"), [("chat", False), ("chat", True), ("anthropic", False)])
def test_a_mute_vendor(begin: Any, kind: str, way: str, when: str, stream: bool) -> None:
    """Whatever the vendor has said so far, its connection is closed within a second."""
    vendor, setting = begin(kind, answer=WHEN[when])
    connection = setting.connect()
    connection.sendall(request(kind, stream=stream))
    check(vendor, connection, way)


@pytest.mark.parametrize("way", ["close", "reset"])
@pytest.mark.parametrize("behind", [0, 100_000, 5_000_000])
def test_a_request_behind_it(begin: Any, way: str, behind: int) -> None:
    """Also on a connection that was used before, and with a request of any size that waits behind it."""
    vendor, setting = begin("chat")
    connection = setting.connect()
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"200" in connection.recv(65536)
    connection.sendall(request("chat", stream=False) + request("chat", stream=False, padding=behind))
    check(vendor, connection, way)


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
CHAT_ANSWER = (
    b'{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}'
)


class Shy(Mute):
    """Takes a connection, and does not even shake hands."""

    def _talk(self, connection: Any) -> None:
        with contextlib.suppress(OSError):
            while connection.recv(65536):
                self.asked.set()
        self.left.set()


@pytest.mark.parametrize("way", ["close", "reset"])
def test_before_the_handshake(begin: Any, way: str) -> None:
    """Also while the connection to the vendor is not made yet, as far as TLS is concerned."""
    vendor, setting = begin("chat", make=Shy)
    connection = setting.connect()
    connection.sendall(request("chat", stream=False))
    check(vendor, connection, way)


class Once(Mute):
    """Answers the first request of a connection, and no other."""

    def _talk(self, connection: Any) -> None:
        with contextlib.suppress(OSError):
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            connection.recv(65536)
            connection.sendall(OK % (len(CHAT_ANSWER), CHAT_ANSWER))
            while connection.recv(65536):
                self.asked.set()
        self.left.set()


@pytest.mark.parametrize("way", ["close", "reset"])
def test_a_kept_connection(begin: Any, way: str) -> None:
    """Also where the request went over a connection to the vendor that was kept from another one."""
    vendor, setting = begin("chat", make=Once)
    connection = setting.connect()
    connection.sendall(request("chat", stream=False))
    assert b"assistant" in connection.recv(65536)
    connection.sendall(request("chat", stream=False))
    check(vendor, connection, way)


@pytest.mark.parametrize("way", ["close", "reset"])
@pytest.mark.parametrize("reads", [False, True])
def test_a_large_request(begin: Any, way: str, reads: bool) -> None:
    """Also while the vendor does not take the request, so that most of it waits here."""
    vendor, setting = begin("chat", reads=reads)
    connection = setting.connect()
    connection.sendall(request("chat", stream=False, padding=20_000_000))
    check(vendor, connection, way)
