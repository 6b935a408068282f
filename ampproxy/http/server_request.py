"""Requests as twisted.web's resources know them, on connections of our own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from socket import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.internet.task import CooperativeTask, cooperate
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.error import UnsupportedMethod
from twisted.web.http import (
    INTERNAL_SERVER_ERROR,
    NO_BODY_CODES,
    NOT_ALLOWED,
    RESPONSES,
    Request,
    datetimeToString,
    parse_qs,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from zope.interface import implementer

from ampproxy.errors import ExchangeError
from ampproxy.http.headers import LowerHeaders, lines_of

if TYPE_CHECKING:
    from ampproxy.http.server_channel import HttpChannel
    from ampproxy.http.server_heads import Head

#: What the ``render`` of a resource returns that answers later: that of ``twisted.web.server``, which takes
#: a twentieth of the start to load.
NOT_DONE_YET = 1

_log = Logger(namespace="ampproxy")
_STATUS_LINES = {code: b"HTTP/1.1 %d %b" % (code, phrase) for code, phrase in RESPONSES.items()}


def answer_head(version: bytes, code: int, phrase: bytes, headers: Headers) -> bytes:
    """The head of an answer, with its end."""
    line = _STATUS_LINES.get(code)
    if line is None or version != b"HTTP/1.1" or phrase != RESPONSES[code]:
        line = b"%b %d %b" % (version, code, phrase)
    return b"\r\n".join([line, *lines_of(headers), b"", b""])


@implementer(IRequest)
class HttpRequest(Request):
    """One request, and its answer.

    It is twisted.web's in all that is public, but has no sessions; what is called for each request, and for
    each piece of an answer, is done here: the head and what is written first leave in one piece. Whoever
    serves it overrides :meth:`gotLength`, :meth:`handleContentChunk` and :meth:`requestReceived`, by which
    the channel reports what comes.

    :ivar channel: the connection; ``None``: the answer is out, or the client has left.
    :ivar gone: whether the client has left.
    :ivar received: whether the whole body has come.
    :ivar finished: whether the answer is complete.
    :ivar invited: whether the client was sent a ``100 Continue``.
    :ivar open_ended: whether nothing but the end of the connection ends the answer.
    """

    channel: HttpChannel  # type: ignore[assignment]  # in place of twisted.web's
    site: Any = None
    prepath: list[bytes]
    postpath: list[bytes]
    requestHeaders: LowerHeaders
    responseHeaders: LowerHeaders
    content = None
    gone = False
    received = False
    invited = False
    open_ended = False
    chunked = 0
    producer: Any = None
    _bodiless = False
    _root: bytes | None = None
    _pulled: _Pulled | None = None

    # Not the base class's, which makes much that nobody here asks for.
    def __init__(self, channel: HttpChannel, head: Head) -> None:
        self.channel = channel
        self.client = channel.peer or channel.getPeer()
        self.method, self.uri, self.clientproto = head.method, head.target, head.version
        self.requestHeaders = head.headers
        self.responseHeaders = LowerHeaders()
        self.notifications: list[Deferred[None]] = []
        self.cookies: list[bytes] = []

    @property
    def transport(self) -> Any:  # type: ignore[override]
        """The transport of the connection."""
        return self.channel.transport

    @property
    def host(self) -> Any:
        """The address to which the client has connected."""
        return self.channel.getHost()

    @property
    def args(self) -> dict[bytes, list[bytes]]:  # type: ignore[override]
        """What is in the query."""
        found: dict[bytes, list[bytes]] = parse_qs(self.uri.partition(b"?")[2], True)
        return found

    @property
    def received_cookies(self) -> dict[bytes, bytes]:  # type: ignore[override]
        """The client's cookies."""
        pairs = b";".join(self.requestHeaders.getRawHeaders(b"cookie", ())).split(b";")
        return {
            name.strip(): value for name, equals, value in (pair.partition(b"=") for pair in pairs) if equals
        }

    # What comes.

    def gotLength(self, length: int | None) -> None:
        """The headers are there.

        :param length: of the body, in bytes; ``None``: it comes in chunks.
        """
        raise NotImplementedError

    def draw(self, source: socket, most: int) -> int:
        """Take more of the body from the client's socket by oneself.

        :param most: bytes.
        :return: how many bytes; 0: they are to be read, and reported.
        """
        return 0

    def handleContentChunk(self, data: bytes) -> None:
        """More of the body."""
        raise NotImplementedError

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The body is whole."""
        raise NotImplementedError

    @property
    def expects_invitation(self) -> bool:
        """Whether the client may wait with its body until it is wanted (RFC 9110, section 10.1.1)."""
        expected = self.requestHeaders.by_name.get(b"expect")
        return (
            expected is not None
            and expected[0].lower() == b"100-continue"
            and self.clientproto == b"HTTP/1.1"
            and not self.invited
        )

    def abandoned(self) -> None:
        """The answer is out before the body was in: what still comes of that is dropped."""

    def abort(self, error: ExchangeError) -> None:
        """End what serves the request; the client gets ``error``, as far as it can still be sent one."""

    def connectionLost(self, reason: Failure) -> None:
        """The client has left before its answer was out."""
        self.gone = True
        self.channel = None  # type: ignore[assignment]
        if self._pulled is not None:
            self._pulled.stopProducing()
        notifications, self.notifications = self.notifications, []
        for deferred in notifications:
            deferred.errback(reason)

    # What a tree of resources asks of it, besides.

    def render(self, resrc: IResource) -> None:
        """Have a resource answer: with what it returns, or in its own time.

        :raises Exception: whatever it raises, but that it does not know the method.
        """
        try:
            body = resrc.render(self)
        except UnsupportedMethod as error:
            self.setResponseCode(NOT_ALLOWED)
            self.responseHeaders.setRawHeaders(b"Allow", [b", ".join(sorted(error.allowedMethods))])
            body = b""
        if body is not NOT_DONE_YET:
            self.responseHeaders.setRawHeaders(b"Content-Length", [b"%d" % len(body)])
            self.write(body)
            self.finish()

    def processingFailed(self, reason: Failure) -> Failure:
        """A resource has failed: the log gets the traceback, the client only a status, or a broken answer."""
        _log.failure("Unhandled error while serving {path}", reason, path=self.uri.decode("latin-1"))
        if self.startedWriting:
            self.channel.abortConnection()
        else:
            self.setResponseCode(INTERNAL_SERVER_ERROR)
            self.responseHeaders.setRawHeaders(b"Content-Length", [b"0"])
            self.finish()
        return reason

    def prePathURL(self) -> bytes:
        """The URL of the resource that was found last."""
        return self._url(self.prepath)

    def _url(self, parts: Iterable[bytes]) -> bytes:
        secure: bool = self.isSecure()  # type: ignore[no-untyped-call]
        name: bytes = self.getRequestHostname()  # type: ignore[no-untyped-call]
        port = self.host.port
        shown = b"" if port == (443 if secure else 80) else b":%d" % port
        path = b"/".join(quote(part, safe="").encode() for part in parts)
        return b"%b://%b%b/%b" % (b"https" if secure else b"http", name, shown, path)

    def URLPath(self) -> Any:
        """The URL that was asked for, as a ``twisted.python.urlpath.URLPath``."""
        # Not at the top: nobody here asks for it.
        from twisted.python.urlpath import URLPath

        return URLPath.fromRequest(self)

    def rememberRootURL(self) -> None:
        """Have :meth:`getRootURL` give the URL of the parent of the resource that was found last."""
        self._root = self._url(self.prepath[:-1])

    def getRootURL(self) -> bytes | None:
        """What :meth:`rememberRootURL` has noted, if it was called."""
        return self._root

    def getSession(self, sessionInterface: Any = None) -> Any:
        """There are none.

        :raises RuntimeError: always.
        """
        raise RuntimeError("This server keeps no sessions.")

    # What goes.

    def write(self, data: bytes) -> None:
        """Send more of the body, the head before the first of it.

        :raises RuntimeError: the answer is complete.
        """
        if self.finished:
            raise RuntimeError("Request.write called on a request after Request.finish was called.")
        if self.gone:
            return
        head = b"" if self.startedWriting else self._head()
        if data and not self._bodiless:
            self.sentLength += len(data)
            if self.chunked:
                data = b"%b%x\r\n%b\r\n" % (head, len(data), data)
            elif head:
                data = head + data
            self.channel.send(data)
        elif head:
            self.channel.send(head)

    def write_from(self, source: socket, most: int) -> int:
        """Send more of the body, which has come at a socket, without reading it, if that can be.

        :param most: bytes.
        :return: how many bytes; 0: they are to be read, and written.
        """
        if self.finished or self.gone or self._bodiless or self.chunked or not self.startedWriting:
            return 0
        sent = self.channel.send_from(source, most)
        self.sentLength += sent
        return sent

    def _head(self) -> bytes:
        self.startedWriting = 1
        headers = self.responseHeaders
        self._bodiless = self.code in NO_BODY_CODES or self.method == b"HEAD"
        if self.lastModified is not None or self.etag is not None or self.cookies:
            self._add_facts()
        if not (b"content-length" in headers.by_name or self._bodiless):
            if self.clientproto == b"HTTP/1.1":
                headers.setRawHeaders(b"Transfer-Encoding", [b"chunked"])
                self.chunked = 1
            else:
                self.channel.persistent = False
                self.open_ended = True
                self.channel.resets_if_killed(True)
        if not self.received and self.expects_invitation:
            # What it sends next may be the body, or another request.
            self.channel.persistent = False
        if not (self.channel.persistent or b"connection" in headers.by_name):
            headers.setRawHeaders(b"Connection", [b"close"])
        return answer_head(self.clientproto, self.code, self.code_message, headers)

    def _add_facts(self) -> None:
        """Put what resources have set by way of other methods into the headers."""
        headers = self.responseHeaders
        if self.lastModified is not None and not headers.hasHeader(b"last-modified"):
            headers.setRawHeaders(b"Last-Modified", [datetimeToString(self.lastModified)])
        if self.etag is not None:
            headers.setRawHeaders(b"ETag", [self.etag])
        for cookie in self.cookies:
            headers.addRawHeader(b"Set-Cookie", cookie)

    def finish(self) -> None:
        """The answer is complete. If the body is not, what still comes of it is dropped.

        :raises RuntimeError: the client has left.
        """
        if self.gone:
            raise RuntimeError("Request.finish called on a request after its connection was lost.")
        if self.finished:
            return
        end = b"" if self.startedWriting else self._head()
        if self.chunked:
            end += b"0\r\n\r\n"
        if end:
            self.channel.send(end)
        self.finished = 1
        if self.open_ended:
            self.channel.resets_if_killed(False)
        self.channel.finished(self)

    def over(self) -> list[Deferred[None]]:
        """The connection is for others from now on.

        :return: who is to hear of it.
        """
        if self.producer is not None:
            self.unregisterProducer()
        self.channel = None  # type: ignore[assignment]
        notifications, self.notifications = self.notifications, []
        return notifications

    # Back-pressure.

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Have it pause while the client takes less than there is.

        :param producer: an ``IPushProducer`` if ``streaming``, else an ``IPullProducer``.
        :raises ValueError: there is one already.
        :raises RuntimeError: the client has left.
        """
        if self.producer is not None:
            raise ValueError("registering a producer before the previous one was unregistered")
        if self.gone:
            raise RuntimeError("Request.registerProducer called after its connection was lost.")
        self.producer = producer
        if not streaming:
            producer = self._pulled = _Pulled(self, producer)
        self.channel.registerProducer(producer)
        if self._pulled is not None:
            self._pulled.start()

    def unregisterProducer(self) -> None:
        """It has nothing more."""
        self.producer = None
        if self._pulled is not None:
            self._pulled.stop()
            self._pulled = None
        if self.channel is not None:
            self.channel.unregisterProducer()


@implementer(IPushProducer)
class _Pulled:
    """Asks a pull producer for more, turn by turn, while the client takes it."""

    def __init__(self, request: HttpRequest, producer: IPullProducer) -> None:
        self._request = request
        self._producer = producer
        self._task: CooperativeTask[Iterator[None]] | None = None
        self._paused = False

    def start(self) -> None:
        self._task = cooperate(self._pull())
        if self._paused:
            self._task.pause()

    def _pull(self) -> Iterator[None]:
        while True:
            try:
                self._producer.resumeProducing()
            except Exception:
                failure = Failure()
                self._request.unregisterProducer()
                self._request.processingFailed(failure)
            yield None

    def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.stop()

    def pauseProducing(self) -> None:
        if self._task is not None and not self._paused:
            self._task.pause()
        self._paused = True

    def resumeProducing(self) -> None:
        if self._task is not None and self._paused:
            self._task.resume()
        self._paused = False

    def stopProducing(self) -> None:
        # The transport reports that it is gone, and so does the connection.
        if self._task is not None:
            self.stop()
            self._producer.stopProducing()
