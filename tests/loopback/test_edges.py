"""What is not HTTP, from clients and from upstreams, over TCP and under TLS."""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol

from ampproxy.config.load import parse
from ampproxy.tap import build
from tests.reactor import in_reactor
from tests.upstream.doubles import Trusting, certificate

pytestmark = pytest.mark.loopback

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
MODEL = b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: k\r\n"
AMP = b"POST /api/threads HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: k\r\n"
LIST = b"GET /api/threads HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: k\r\n"
BEHIND = HEALTH + b"\r\n"
QUESTION = b'{"model":"claude","max_tokens":5,"messages":[{"role":"user","content":"x"}]}'
GOOD = b'{"type":"message","id":"m","role":"assistant","model":"claude","content":[],"usage":{}}'
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def is_whole(request: bytes) -> bool:
    """Whether a request has come with its body, in however many pieces."""
    head, end, body = request.partition(b"\r\n\r\n")
    if b"chunked" in head.lower():
        return body.endswith(b"0\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", head.lower())
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


class Upstream(Protocol):
    """Answers every request with what the test wants, and leaves the connection open."""

    def connectionMade(self) -> None:
        self.factory.connections += 1
        self.said = b""

    def dataReceived(self, data: bytes) -> None:
        self.said += data
        if is_whole(self.said) or self.said.endswith(b"hello"):
            self.factory.asked.append(self.said)
            self.said = b""
            if self.factory.hangs_up:
                self.factory.hangs_up -= 1
                self.transport.loseConnection()
                return
            self.transport.write(self.factory.answer)


class House:
    """A gateway, and an upstream that is a vendor and Amp."""

    def __init__(self, folder: Path, *, tls: bool) -> None:
        self.authority = trustme.CA()
        self.folder = folder
        self.events: list[Any] = []
        self.tls: ssl.SSLContext | None = None
        if tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self.authority.configure_trust(self.tls)
            issued = self.authority.issue_cert("localhost")
            issued.private_key_pem.write_to_path(str(folder / "key.pem"))
            issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))

    async def start(self, port: int = 0) -> None:
        """Begin.

        :param port: of another upstream, which is plain; 0: none.
        """
        factory: Any = Factory.forProtocol(Upstream)
        factory.noisy, factory.connections, factory.asked, factory.answer = False, 0, [], b""
        # So many requests are not answered.
        factory.hangs_up = 0
        self.upstream = factory
        if self.tls is None:
            self.listening = reactor.listenTCP(0, factory, interface="127.0.0.1")
        else:
            theirs = certificate(self.authority, "localhost")
            self.listening = reactor.listenSSL(0, factory, theirs, interface="127.0.0.1")
        tls = f"{{enable: true, cert: {self.folder}/cert.pem, key: {self.folder}/key.pem}}"
        url = f"http{'s' if self.tls else ''}://localhost:{self.listening.getHost().port}"
        if port:
            url = f"http://127.0.0.1:{port}"
        text = f"""
port: 0
api-keys: [k]
disable-cooling: true
passthrough-headers: true
tls: {tls if self.tls else "{enable: false}"}
claude-api-key: [{{api-key: account-key-123456, base-url: "{url}", models: [{{name: claude}}]}}]
ampcode: {{upstream-url: "{url}", upstream-api-key: amp-key}}
"""
        config = parse(text, name="c", environ={}, home=self.folder, read_secret=Path.read_text)
        self.service = build(
            config, reactor, environ={}, policy=Trusting(self.authority), observer=self.events.append
        )
        await self.service.listen()
        self.port = self.service.ports[0].getHost().port

    async def stop(self) -> None:
        await self.service.stopService()
        await self.listening.stopListening()

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), 10)
        return client if self.tls is None else self.tls.wrap_socket(client, server_hostname="localhost")

    def said(self, *pieces: bytes, until: bytes = b"") -> bytes:
        """What comes back for these pieces, until the end of the connection."""
        with self.connect() as client:
            for piece in pieces:
                try:
                    client.sendall(piece)
                except OSError:
                    break
            said = b""
            try:
                while not until or until not in said:
                    data = client.recv(65536)
                    if not data:
                        break
                    said += data
            except (ConnectionResetError, ssl.SSLEOFError):
                pass
            return said

    def ask(self, head: bytes, answer: bytes, body: bytes = QUESTION, *, until: bytes = b"") -> bytes:
        """The answer to one request, whose upstream answers so."""
        self.upstream.answer = answer
        return self.said(
            head + b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body), until=until
        )


@pytest.fixture(scope="module", params=["tcp", "tls"])
def house(request: Any, tmp_path_factory: Any) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("edges"), tls=request.param == "tls")
    in_reactor(made.start)
    yield made
    in_reactor(made.stop)


def answers(said: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d\d\d) ", said)]


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (AMP + b"Content-Length: 5\r\nTransfer-Encoding: identity\r\n\r\nhello", 400),
        (AMP + b"Transfer-Encoding: identity\r\n\r\n", 400),
        (AMP + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
        (MODEL + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        (MODEL + b"Content-Length: 5, 5\r\n\r\nhello", 400),
        (MODEL + b"Content-Length: +5\r\n\r\nhello", 400),
        (AMP + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 413),
        (HEALTH.replace(b"\r\n", b"\n") + b"\n", 400),
        (HEALTH + b"A: b\r\n c\r\n\r\n", 400),
        (HEALTH + b"A : b\r\n\r\n", 400),
        (HEALTH + b"A: b\rc\r\n\r\n", 400),
        (HEALTH + b"A: \0\r\n\r\n", 400),
        (HEALTH + b"A: \x7f\r\n\r\n", 400),
        (HEALTH.replace(b"healthz", b"\x7f"), 400),
        (HEALTH.replace(b"1.1", b"3.0") + b"\r\n", 505),
        (HEALTH.replace(b"1.1", b"1.10") + b"\r\n", 400),
        (AMP + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", 400),
        (AMP + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n", 400),
        (AMP + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", 400),
        (MODEL + b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n", 400),
    ],
)
def test_requests(house: House, said: bytes, status: int) -> None:
    """One refusal, then the end of the connection: nothing behind it is served, sent at once or later."""
    for pieces in ((said + BEHIND,), (said, BEHIND, BEHIND)):
        got = house.said(*pieces)
        assert answers(got) == [status]
        assert b"Connection: close\r\n" in got


def test_good_requests_follow(house: House) -> None:
    """After a good request, however its body comes, the next one is served."""
    house.upstream.answer = OK + b"Content-Length: 2\r\n\r\nok"
    for body in (
        b"Content-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ):
        got = house.said(AMP + body, HEALTH + b"Connection: close\r\n\r\n")
        assert answers(got) == [200, 200]


WRONG = [
    OK + b"A: b\0c\r\nContent-Length: 2\r\n\r\nok",
    OK + b"A: b\rc\r\nContent-Length: 2\r\n\r\nok",
    OK + b"A: b\nSet-Cookie: c\r\nContent-Length: 2\r\n\r\nok",
    OK + b"A: b\x7f\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 O\0K\r\nContent-Length: 2\r\n\r\nok",
    OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    OK + b"Content-Length: +2\r\n\r\nok",
    OK + b"Content-Length: 2, 3\r\n\r\nok",
    OK + b"Transfer-Encoding: identity\r\n\r\nok",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
]


@pytest.mark.parametrize("answer", WRONG)
def test_answers(house: House, answer: bytes) -> None:
    """502 that names the account, or Amp, with nothing of the answer; the next one has a new connection."""
    good = OK + b"Content-Length: %d\r\n\r\n%b" % (len(GOOD), GOOD)
    for head, named in ((MODEL, "claude"), (AMP, "localhost")):
        house.ask(head, good)
        before = house.upstream.connections
        said = house.ask(head, answer)
        assert answers(said) == [502]
        assert named in str(json.loads(said.partition(b"\r\n\r\n")[2])["error"])
        assert b"Set-Cookie" not in said
        assert answers(house.ask(head, good)) == [200]
        assert house.upstream.connections == before + 1


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 5\r\n\r\nhello world",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n",
    ],
)
def test_broken_answers(house: House, rest: bytes) -> None:
    """502 from an account whose answer is awaited whole; what is passed on as it comes is broken off."""
    assert answers(house.ask(MODEL, OK + rest)) == [502]
    good = OK + b"Content-Length: 2\r\n\r\nok"
    house.ask(AMP, good)
    before = house.upstream.connections
    said = house.ask(AMP, b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + rest)
    assert not said.endswith(b"0\r\n\r\n")
    assert answers(said) in ([200], [502])
    assert answers(house.ask(AMP, good)) == [200]
    assert house.upstream.connections == before + 1


def test_headers_of_the_connection(house: House) -> None:
    """What an upstream's ``Connection`` names stays behind, also where all of a vendor's headers pass."""
    answer = OK + b"Connection: X-Hop\r\nX-Hop: 1\r\nX-Kept: 1\r\nContent-Length: %d\r\n\r\n%b" % (
        len(GOOD),
        GOOD,
    )
    for head in (MODEL, AMP):
        said = house.ask(head, answer)
        assert b"X-Kept: 1\r\n" in said
        assert b"X-Hop" not in said


def test_interim_answers(house: House) -> None:
    """They are for the gateway alone."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    answer = early * 3 + OK + b"Content-Length: %d\r\n\r\n%b" % (len(GOOD), GOOD)
    for head in (MODEL, AMP):
        said = house.ask(head, answer)
        assert answers(said) == [200]
        assert b"Link" not in said


def test_early_final_answer(house: House) -> None:
    """An upload whose answer comes first: the client has it, and its connection is not cut under it."""
    house.upstream.answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
    body = b"hello"
    with house.connect() as client:
        client.sendall(AMP + b"Content-Length: 50\r\n\r\n" + body)
        said = b""
        while not said.endswith(b"no"):
            said += client.recv(65536)
        client.sendall(b"y" * 45 + HEALTH + b"Connection: close\r\n\r\n")
        while data := client.recv(65536):
            said += data
    assert answers(said) == [413, 200]
    assert b"100 Continue" not in said


@pytest.mark.parametrize(
    ("head", "times", "status", "asked"),
    [
        (LIST, 1, 200, 2),
        (LIST, 2, 502, 2),
        (LIST.replace(b"GET", b"HEAD"), 1, 200, 2),
        (LIST.replace(b"GET", b"DELETE"), 1, 502, 1),
        (AMP + b"Content-Length: 5\r\n", 1, 502, 1),
    ],
)
def test_hung_up_unanswered(house: House, head: bytes, times: int, status: int, asked: int) -> None:
    """What only asks is asked once more, on another connection; what may have done something is not."""
    house.upstream.answer = OK + b"Content-Length: 0\r\n\r\n"
    house.upstream.hangs_up = times
    house.upstream.asked.clear()
    body = b"hello" if b"Content-Length" in head else b""
    said = house.said(head + b"Connection: close\r\n\r\n" + body)
    house.upstream.hangs_up = 0
    assert answers(said) == [status]
    assert len(house.upstream.asked) == asked
