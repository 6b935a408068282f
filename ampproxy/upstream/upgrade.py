"""Asking an origin to change the protocol of a connection (RFC 9110, section 7.8), WebSocket's beginning.

The request goes over a connection of its own. An answer with status 101 gives that connection away; any
other is an ordinary answer, read as such.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import URI
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse
from zope.interface import implementer

from ampproxy.http.client_connection import ClientConnection
from ampproxy.http.client_request import Request
from ampproxy.http.transports import give_to
from ampproxy.model.base import Guarded
from ampproxy.upstream.handshake import LINE_END, MAY_BE_HTTP, HandshakeRefused, Heads
from ampproxy.upstream.proxy import join
from ampproxy.wire.framing import BadMessage, check_status_line
from ampproxy.wire.headers import Header

SWITCHING_PROTOCOLS = 101

# A field line as it may be handed on: no folding, no control bytes but the tab.
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*\Z")


class AnswerHead(Guarded, frozen=True):
    """The first lines of an answer.

    :param raw: as they came, the empty line included.
    :param rest: what came behind them.
    """

    hidden: ClassVar[frozenset[str]] = frozenset(("raw", "rest"))

    status: int
    headers: list[Header]
    raw: bytes
    rest: bytes


class HeadParser:
    """Reads an answer's head, without I/O. Interim answers (100, 103) are skipped."""

    def __init__(self) -> None:
        self._heads = Heads("an upgrade")

    def feed(self, data: bytes) -> AnswerHead | None:
        """The next bytes, split anywhere; gives the head once it is whole.

        :raises HandshakeRefused: this is not HTTP, or its head is too large.
        """
        self._heads.rest += data
        while True:
            raw = self._heads.next()
            if not MAY_BE_HTTP.match(self._heads.rest if raw is None else raw):
                raise _not_http()
            if raw is None:
                return None
            if raw.count(b"\r\n") not in (0, raw.count(b"\n")):
                # Of mixed line ends some take one for a part of a header.
                raise _not_http()
            status, headers = _read(raw.rstrip(b"\r\n"))
            if status >= 200 or status == SWITCHING_PROTOCOLS:
                return AnswerHead(status, headers, raw, bytes(self._heads.rest))


def _read(head: bytes) -> tuple[int, list[Header]]:
    status_line, *lines = LINE_END.split(head)
    try:
        check_status_line(status_line)
    except BadMessage:
        raise _not_http() from None
    headers = []
    for text in lines:
        pair = _FIELD.match(text)
        if pair is None:
            raise _not_http()
        headers.append((pair[1], pair[2]))
    return int(status_line[9:12]), headers


def _not_http() -> HandshakeRefused:
    return HandshakeRefused("answered an upgrade with what is not HTTP")


@implementer(IHalfCloseableProtocol)
class UpgradeConnection(Protocol):
    """A connection on which one upgrade is asked for.

    :ivar answered: the connection itself if the protocol was changed, else an ``IResponse``. Cancelling it
        closes the connection.
    :ivar head: the answer's, once it changed the protocol, until the connection is handed over.
    """

    transport: Any
    head: AnswerHead

    def __init__(self, request: Request) -> None:
        self._request: Request | None = request
        self._parser: HeadParser | None = HeadParser()
        self._rest: list[bytes] = []
        self._inner: Any = None
        self.answered: Deferred[UpgradeConnection | IResponse] = Deferred(lambda _: self._abort())

    def connectionMade(self) -> None:
        """Ask."""
        assert self._request is not None
        self.transport.write(self._request.head)

    def dataReceived(self, data: bytes) -> None:
        """The answer, or what is said in the new protocol."""
        if self._inner is not None:
            self._inner.dataReceived(data)
        elif self._parser is None:
            self._rest.append(data)
        else:
            try:
                head = self._parser.feed(data)
            except HandshakeRefused:
                self._parser = None
                self._abort()
                self.answered.errback(Failure())
                return
            if head is not None:
                self._parser = None
                self._answer(head)

    def _answer(self, head: AnswerHead) -> None:
        if head.status == SWITCHING_PROTOCOLS:
            self.head = head
            self._rest.append(head.rest)
            self._request = None
            self.answered.callback(self)
            return
        assert self._request is not None
        inner: Any = ClientConnection(_NotKept(), None)
        self._inner = inner
        inner.makeConnection(self.transport)
        inner.expect(self._request).chainDeferred(self.answered)
        inner.dataReceived(head.raw + head.rest)

    def hand_over(self, protocol: IProtocol) -> bytes:
        """Connect ``protocol`` to the origin from now on; gives what has come for it already.

        It is told of a half-closed connection, too, if it is an ``IHalfCloseableProtocol``.
        """
        self._inner = protocol
        del self.head
        protocol.makeConnection(self.transport)
        give_to(self.transport, protocol)
        rest, self._rest = b"".join(self._rest), []
        return rest

    def readConnectionLost(self) -> None:
        """The origin will say nothing more: in HTTP that is the end."""
        if IHalfCloseableProtocol.providedBy(self._inner):
            self._inner.readConnectionLost()
        else:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """The origin will hear nothing more, as we wished."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection ended."""
        self._parser = None
        if self._inner is not None:
            self._inner.connectionLost(reason)
        elif not self.answered.called:
            self.answered.errback(reason)

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abortConnection()


class _NotKept:
    """In the place of a pool: a connection that nobody uses is closed, with nothing on its way."""

    clock = None

    def free(self, connection: ClientConnection) -> None:
        """It ends with its answer."""
        connection.close()

    def lost(self, connection: ClientConnection) -> None:
        """It is closed."""


class _Once(Factory):
    noisy = False

    def __init__(self, connection: UpgradeConnection) -> None:
        self._connection = connection

    def buildProtocol(self, addr: Any) -> UpgradeConnection:
        """The one connection."""
        return self._connection


def ask_for_upgrade(
    endpoint: IStreamClientEndpoint, method: bytes, url: str, headers: Headers
) -> Deferred[UpgradeConnection | IResponse]:
    """Send a request that may change the connection's protocol.

    :param url: ASCII; its origin is what ``endpoint`` connects to, and becomes ``Host``.
    :param headers: with ``Upgrade``; ``Connection`` and ``Host`` are added.
    :return: fires with the connection, to be taken by :meth:`UpgradeConnection.hand_over`, or with an
        ordinary answer.
    :raises ampproxy.upstream.handshake.HandshakeRefused: the answer was no HTTP (by the Deferred).
    """
    text = url.encode("ascii")
    uri = URI.fromBytes(text)
    default = {b"http": 80, b"https": 443}.get(uri.scheme)
    host = uri.host.decode("ascii")
    named = host if uri.port == default and ":" not in host else join(host, uri.port)
    headers = headers.copy()
    headers.setRawHeaders(b"Connection", [b"Upgrade"])
    target = b"/" + text.split(b"/", 3)[3]
    connection = UpgradeConnection(Request(method, text, target, named.encode("ascii"), headers, None))
    connecting: Deferred[Any] = endpoint.connect(_Once(connection))
    return connecting.addCallback(lambda _: connection.answered)
