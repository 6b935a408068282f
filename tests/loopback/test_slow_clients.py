"""Clients that hold a connection and do nothing more: each time limit closes it, over TCP and under TLS.

Under TLS the client does not answer the notice that the connection ends, as one that does nothing does not.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol

from ampproxy.config.load import parse
from ampproxy.http import closing, server_channel
from ampproxy.tap import build
from tests.reactor import in_reactor
from tests.upstream.doubles import Trusting, certificate

pytestmark = pytest.mark.loopback

WHOLE = b'{"type":"message","content":[]}'
HEAD = b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: k\r\nContent-Type: application/json\r\n"
QUESTION = b'{"model":"claude","max_tokens":5,"messages":[{"role":"user","content":"x"}]%b}'
STREAM = b', "stream": true'
#: More than the buffers of both systems hold.
MUCH = 24 * 1024 * 1024


class Vendor(Protocol):
    """Answers every request with more than a client that does not read can take."""

    def connectionMade(self) -> None:
        self.factory.open.add(self)
        self.said = b""

    def dataReceived(self, data: bytes) -> None:
        self.said += data
        if b"\r\n\r\n" not in self.said or not self.said.endswith((b"}", b"\r\n\r\n")):
            return
        stream = b'"stream"' in self.said
        kind = b"text/event-stream" if stream else b"application/json"
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, MUCH)
        )
        self.said = b""
        if stream:
            self.transport.registerProducer(self, False)
        else:
            self.transport.write(WHOLE + b" " * (MUCH - len(WHOLE)))

    def resumeProducing(self) -> None:
        text = b"x" * 30000
        data = b'{"type":"content_block_delta","delta":{"type":"text_delta","text":"%b"}}' % text
        self.transport.write(b"event: content_block_delta\ndata: " + data + b"\n\n")

    def stopProducing(self) -> None:
        pass

    def connectionLost(self, reason: Any = None) -> None:
        self.factory.open.discard(self)


class Counted(set[Any]):
    """Remembers how many there were."""

    count = 0

    def add(self, one: Any) -> None:
        self.count += 1
        super().add(one)


class House:
    """A gateway whose patience is short, and its upstreams.

    :ivar tls: the client's side of TLS; ``None``: there is none.
    """

    def __init__(self, folder: Path, *, tls: bool) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.tls: ssl.SSLContext | None = None
        if tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self.authority.configure_trust(self.tls)
            issued = self.authority.issue_cert("localhost")
            issued.private_key_pem.write_to_path(str(folder / "key.pem"))
            issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))

    async def start(self) -> None:
        self.vendors = Factory.forProtocol(Vendor)
        self.vendors.noisy = False
        self.vendors.open = set()
        theirs = certificate(self.authority, "localhost")
        self.vendor = reactor.listenSSL(0, self.vendors, theirs, interface="127.0.0.1")
        tls = f"{{enable: true, cert: {self.folder}/cert.pem, key: {self.folder}/key.pem}}"
        url = f"https://localhost:{self.vendor.getHost().port}"
        text = f"""
port: 0
api-keys: [k]
disable-cooling: true
tls: {tls if self.tls else "{enable: false}"}
limits: {{max-headers: 20, header-timeout: 500ms, body-timeout: 500ms, idle-timeout: 500ms,
         answer-timeout: 1s}}
claude-api-key: [{{api-key: a, base-url: "{url}", models: [{{name: claude}}]}}]
ampcode: {{upstream-url: "{url}", upstream-api-key: amp-key}}
"""
        config = parse(text, name="c", environ={}, home=self.folder, read_secret=Path.read_text)
        self.events: list[Any] = []
        self.service = build(
            config, reactor, environ={}, policy=Trusting(self.authority), observer=self.events.append
        )
        self.service.site.channels = Counted()
        await self.service.listen()
        self.port = self.service.ports[0].getHost().port

    async def stop(self) -> None:
        await self.service.stopService()
        await self.vendor.stopListening()

    def connect(self, *, handshake: bool = True, buffer: int = 0) -> socket.socket:
        before = self.service.site.channels.count
        plain = socket.socket()
        if buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        plain.settimeout(60)
        plain.connect(("127.0.0.1", self.port))
        self.wait(lambda: self.service.site.channels.count > before)
        if self.tls is None or not handshake:
            return plain
        return self.tls.wrap_socket(plain, server_hostname="localhost")

    @property
    def open(self) -> int:
        """How many clients are connected."""
        return int(in_reactor(lambda: len(self.service.site.channels)))

    def wait(self, condition: Callable[[], object], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "not within 20 s"
            time.sleep(0.05)

    def ends(self, client: socket.socket) -> None:
        """The gateway closes the connection though the client does nothing."""
        self.wait(lambda: self.open == 0)
        client.close()


@pytest.fixture(scope="module", params=["tcp", "tls"])
def house(request: Any, tmp_path_factory: Any) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"), tls=request.param == "tls")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closing, "LOOK_INTERVAL", 0.5)
        patch.setattr(server_channel, "LINGER", 0.5)
        in_reactor(house.start)
        yield house
        in_reactor(house.stop, timeout=30)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("idle", b""),
        ("half a head", b"GET /healthz HTTP/1.1\r\nHost: local"),
        ("a slow body", HEAD + b"Content-Length: 100\r\n\r\n{"),
        ("one answered request", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("the last request", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        ("400", b"nonsense\r\n\r\n"),
        ("404", b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("413", HEAD + b"Content-Length: 99999999999\r\n\r\n{"),
        ("431", b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 30),
    ],
)
def test_that_does_nothing(house: House, what: str, said: bytes) -> None:
    """The connection is closed some seconds after its time limit."""
    client = house.connect()
    client.sendall(said)
    house.ends(client)


def test_that_shakes_no_hand(house: House) -> None:
    """Nor need TLS have begun."""
    client = house.connect(handshake=False)
    house.ends(client)


def test_one_too_many(house: House) -> None:
    """A client that is turned away for want of descriptors does not keep one: it never begins with TLS."""
    site = house.service.site
    lost: list[object] = []
    made = site.buildProtocol

    def refuse(addr: Any) -> Any:
        site._descriptors.suffice = lambda: False
        try:
            refusal = made(addr)
        finally:
            del site._descriptors.suffice
        refusal.connectionLost = lost.append
        return refusal

    site.buildProtocol = refuse
    try:
        client = socket.create_connection(("127.0.0.1", house.port))
        house.wait(lambda: lost)
    finally:
        del site.buildProtocol
    client.close()


@pytest.mark.parametrize(
    ("what", "asked"),
    [
        ("a stream", HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(QUESTION % STREAM), QUESTION % STREAM)),
        ("a whole answer", HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(QUESTION % b""), QUESTION % b"")),
        ("of Amp's own", b"GET /api/user HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: k\r\n\r\n"),
        ("a page", b"GET /docs/x HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ],
)
def test_that_does_not_read(house: House, what: str, asked: bytes) -> None:
    """It is closed, its upstream too, and the log says for what."""
    del house.events[:]
    client = house.connect(buffer=4096)
    client.sendall(asked)
    house.wait(lambda: house.vendors.open)
    house.ends(client)
    (told,) = [event for event in list(house.events) if event.get("log_kind") == "exchange"]
    assert told["outcome"] == "broken-off"
    assert "limits.answer-timeout" in told["why"]
    if what != "a whole answer":
        house.wait(lambda: not house.vendors.open)


def test_that_reads_slowly(house: House) -> None:
    """One that takes a little now and then is served on."""
    del house.events[:]
    client = house.connect(buffer=4096)
    asked = QUESTION % STREAM
    client.sendall(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(asked), asked))
    until = time.monotonic() + 3
    while time.monotonic() < until:
        time.sleep(0.2)
        assert client.recv(65536)
    assert house.open == 1
    client.close()
    house.wait(lambda: house.open == 0)
    (told,) = [event for event in list(house.events) if event.get("log_kind") == "exchange"]
    assert told["outcome"] == "client-left"
