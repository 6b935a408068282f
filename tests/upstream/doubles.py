"""Servers on this machine for the tests of the way out: an origin, an HTTP and a SOCKS5 proxy; all strict."""

from __future__ import annotations

import base64
import gzip
import re
import socket
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import trustme
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer

from ampproxy.upstream.body import collect


@implementer(IPolicyForHTTPS)
class Trusting:
    """Trusts one authority, and nobody else."""

    def __init__(self, authority: trustme.CA) -> None:
        root = Certificate.loadPEM(authority.cert_pem.bytes())
        self._root = trustRootFromCertificates([root])

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        return optionsForClientTLS(hostname.decode("ascii"), trustRoot=self._root)


def certificate(authority: trustme.CA, *names: str, not_after: datetime | None = None) -> Any:
    """The TLS side of a server that goes by these names."""
    leaf = authority.issue_cert(*names, not_after=not_after)
    return PrivateCertificate.loadPEM(leaf.private_key_and_cert_chain_pem.bytes()).options()


class Listening:
    """Something that listens on 127.0.0.1 while it is used as an asynchronous context."""

    tls: Any = None
    port = 0

    def factory(self) -> Any:
        raise NotImplementedError

    async def __aenter__(self) -> Any:
        self._factory = self.factory()
        if self.tls is None:
            listening = reactor.listenTCP(0, self._factory, interface="127.0.0.1")
        else:
            listening = reactor.listenSSL(0, self._factory, self.tls, interface="127.0.0.1")
        self._listening = listening
        self.port = listening.getHost().port
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listening.stopListening()


class Origin(Listening):
    """An HTTP server that answers by path and keeps what it was asked.

    :ivar left: fires when the client of ``/stream``, which never ends, has closed its connection.
    """

    def __init__(self, tls: Any = None) -> None:
        self.tls = tls
        self.ports: set[int] = set()
        self.requests: list[tuple[bytes, Headers, bytes]] = []
        self.left: Deferred[None] = Deferred()

    def factory(self) -> Site:
        class Silent(Site):
            noisy = False

            def log(self, request: Any) -> None:
                pass

        return Silent(_Answers(self))

    @property
    def connections(self) -> int:
        """How many connections have brought requests. Others are strangers': what asks for a service that is
        gone may meet this one at its port.
        """
        return len(self.ports)


class _Answers(Resource):
    isLeaf = True

    def __init__(self, origin: Origin) -> None:
        super().__init__()
        self._origin = origin

    def render(self, request: Request) -> Any:
        body = request.content.read()
        self._origin.ports.add(request.getClientAddress().port)
        self._origin.requests.append((request.path, request.requestHeaders.copy(), body))
        if request.path == b"/redirect":
            request.redirect(b"/elsewhere")
        elif request.path == b"/cookie":
            request.addCookie(b"session", b"of-somebody")
        elif request.path == b"/gzip":
            request.setHeader(b"content-encoding", b"gzip")
            return gzip.compress(b"compressed on the way")
        elif request.path == b"/gzip/cut":
            request.setHeader(b"content-encoding", b"gzip")
            return gzip.compress(b"compressed on the way")[:-9]
        elif request.path == b"/gzip/broken":
            request.setHeader(b"content-encoding", b"gzip")
            return b"<html>not compressed at all</html>"
        elif request.path == b"/silent":
            return NOT_DONE_YET
        elif request.path == b"/drop":
            request.channel.transport.abortConnection()
            return NOT_DONE_YET
        elif request.path == b"/stream":
            request.write(b"begun")
            request.notifyFinish().addErrback(lambda _: self._origin.left.callback(None))
            return NOT_DONE_YET
        elif request.path == b"/big":
            return b"0123456789abcdef" * 100_000
        return b"hello " + body


class _Raw(Protocol):
    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(self._answer)
        self.transport.loseConnection()


class Raw(Listening):
    """Answers anything with the same bytes, and closes."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def factory(self) -> Factory:
        return _factory(lambda: _Raw(self._answer))


def _factory(make: Any) -> Factory:
    factory = Factory.forProtocol(make)
    factory.noisy = False
    return factory


class Pump(Protocol):
    """Hands bytes to its peer, with back-pressure."""

    peer: Any = None

    def pair(self, other: Any) -> None:
        self.peer, other.peer = other, self
        self.transport.registerProducer(IPushProducer(other.transport), True)
        other.transport.registerProducer(IPushProducer(self.transport), True)

    def dataReceived(self, data: bytes) -> None:
        self.peer.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.peer is not None:
            self.peer.transport.unregisterProducer()
            self.peer.transport.loseConnection()
            self.transport.unregisterProducer()


class ProxyDouble(Listening):
    """What both kinds of proxy have.

    :param names: what its own resolver knows: name -> address.
    :param credentials: what it demands; ``None``: it takes nobody's.
    :ivar asked: the targets, as they were asked for.
    :ivar complaints: what a client did that it may not do.
    """

    protocol: Any

    def __init__(
        self,
        names: Mapping[str, str] | None = None,
        credentials: tuple[str, str] | None = None,
        tls: Any = None,
    ) -> None:
        self.names = dict(names or {})
        self.credentials = credentials
        self.tls = tls
        self.asked: list[tuple[str, int]] = []
        self.complaints: list[str] = []

    def factory(self) -> Factory:
        return _factory(lambda: self.protocol(self))


class _Half(Pump):
    """The client's side of a proxy: a handshake, then a pump."""

    def __init__(self, proxy: ProxyDouble) -> None:
        self.proxy = proxy
        self.said = b""

    def dataReceived(self, data: bytes) -> None:
        if self.peer is not None:
            super().dataReceived(data)
            return
        self.said += data
        self.advance()

    def advance(self) -> None:
        raise NotImplementedError

    def reach(self, host: str, port: int, reached: Any, failed: Any) -> None:
        self.proxy.asked.append((host, port))
        address = self.proxy.names.get(host, host)
        if not re.match(r"[0-9.]+\Z", address):
            failed(None)
            return
        self.transport.pauseProducing()

        def pair(other: Pump) -> None:
            self.transport.resumeProducing()
            reached()
            self.pair(other)

        way = TCP4ClientEndpoint(reactor, address, port, 5)
        connectProtocol(way, Pump()).addCallbacks(pair, failed)

    def wrong(self, complaint: str) -> None:
        self.proxy.complaints.append(complaint)
        self.transport.abortConnection()


class _ConnectHalf(_Half):
    def advance(self) -> None:
        head, end, rest = self.said.partition(b"\r\n\r\n")
        if not end:
            return
        self.said = b""
        if rest:
            self.wrong("bytes for the tunnel before the tunnel")
            return
        first, *lines = head.decode("ascii").split("\r\n")
        match = re.match(r"CONNECT (\S+):(\d+) HTTP/1\.1\Z", first)
        headers = dict(line.split(": ", 1) for line in lines)
        if match is None or headers.get("Host") != f"{match[1]}:{match[2]}":
            self.wrong(f"not a CONNECT: {first}")
            return
        if headers.get("Proxy-Authorization") != self._expected():
            self.answer("407 Proxy Authentication Required", 'Proxy-Authenticate: Basic realm="tests"')
            return
        self.reach(
            match[1].strip("[]"),
            int(match[2]),
            lambda: self.answer("200 Connection established", close=False),
            lambda _: self.answer("502 Bad Gateway"),
        )

    def _expected(self) -> str | None:
        if self.proxy.credentials is None:
            return None
        return "Basic " + base64.b64encode(":".join(self.proxy.credentials).encode()).decode()

    def answer(self, status: str, *headers: str, close: bool = True) -> None:
        lines = [f"HTTP/1.1 {status}", *headers, "", ""]
        self.transport.write("\r\n".join(lines).encode())
        if close:
            self.transport.loseConnection()


class ConnectProxy(ProxyDouble):
    """An HTTP proxy that knows CONNECT only."""

    protocol = _ConnectHalf


class _SocksHalf(_Half):
    step = "greeting"

    def advance(self) -> None:
        getattr(self, self.step)()

    def greeting(self) -> None:
        said = self.said
        if len(said) < 2 or len(said) < 2 + said[1]:
            return
        methods, self.said = said[2 : 2 + said[1]], said[2 + said[1] :]
        wanted = 0 if self.proxy.credentials is None else 2
        if said[0] != 5 or self.said:
            self.wrong("not a SOCKS5 greeting alone")
        elif wanted not in methods:
            self.transport.write(b"\x05\xff")
            self.transport.loseConnection()
        else:
            self.transport.write(bytes([5, wanted]))
            self.step = "request" if wanted == 0 else "password"

    def password(self) -> None:
        said = self.said
        if len(said) < 2 or len(said) < 3 + said[1] or len(said) < 3 + said[1] + said[2 + said[1]]:
            return
        user, password = said[2 : 2 + said[1]], said[3 + said[1] :]
        self.said = b""
        right = said[0] == 1 and (user.decode(), password.decode()) == self.proxy.credentials
        self.transport.write(b"\x01\x00" if right else b"\x01\x01")
        self.step = "request"
        if not right:
            self.transport.loseConnection()

    def request(self) -> None:
        said = self.said
        if len(said) < 5:
            return
        length = {1: 4, 3: said[4] + 1, 4: 16}[said[3]]
        if len(said) < 6 + length:
            return
        self.said = said[6 + length :]
        if said[:3] != b"\x05\x01\x00" or self.said:
            self.wrong("not a request to connect alone")
            return
        raw = said[4 : 4 + length]
        host = {
            1: lambda: socket.inet_ntoa(raw),
            3: lambda: raw[1:].decode(),
            4: lambda: socket.inet_ntop(socket.AF_INET6, raw),
        }[said[3]]()
        port = int.from_bytes(said[4 + length : 6 + length], "big")
        self.reach(host, port, lambda: self.reply(0), lambda _: self.reply(4))

    def reply(self, code: int) -> None:
        self.transport.write(bytes([5, code, 0, 1, 127, 0, 0, 1, 0, 80]))
        if code:
            self.transport.loseConnection()


class SocksProxy(ProxyDouble):
    """A SOCKS5 proxy that only connects."""

    protocol = _SocksHalf


async def body_of(response: Any) -> bytes:
    """The whole body of an answer."""
    return await collect(response, limit=10_000_000, clock=reactor, idle=5.0)
