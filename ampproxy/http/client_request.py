"""A request as it is sent to an upstream: its head, and its body while that is under way."""

from __future__ import annotations

import re
from collections.abc import Callable
from socket import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IProducer
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer, IResponse
from zope.interface import implementer

from ampproxy.http.bodies import SLICE, BytesProducer
from ampproxy.http.client_answer import Answer, Asked
from ampproxy.http.client_writer import Writer
from ampproxy.http.headers import lines_of

_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(rb"[\x21-\x7e]+")
#: Methods whose requests have a body, be it an empty one (RFC 9110, section 8.6).
_WITH_BODY = (b"POST", b"PUT", b"PATCH")

_CHUNKED = b"Transfer-Encoding: chunked"
#: Behind the last line of a head: its end, and an empty line.
_END = (b"", b"")


class WrongLength(Exception):
    """A body was longer or shorter than its producer had declared."""


class Request:
    """One request.

    :param uri: absolute.
    :param target: what of it is sent.
    :param host: its host, with a port that is not the usual one.
    :param accept: sees the answer before whoever asked, and gives what that one gets; what it raises, that
        one gets instead.
    :raises ValueError: it cannot be sent.
    """

    __slots__ = ("accept", "asked", "body", "chunked", "head", "method")

    def __init__(
        self,
        method: bytes,
        uri: bytes,
        target: bytes,
        host: bytes,
        headers: Headers,
        body: IBodyProducer | None,
        accept: Callable[[Answer], IResponse] | None = None,
    ) -> None:
        if not (_METHOD.fullmatch(method) and _TARGET.fullmatch(target)):
            raise ValueError("This method or URL cannot be sent.")
        self.method = method
        self.asked = Asked(method, uri, headers)
        self.body: Any = body
        self.accept = accept
        length = None if body is None else body.length
        self.chunked = length is UNKNOWN_LENGTH
        lines = [b"%b %b HTTP/1.1" % (method, target)]
        if not headers.hasHeader(b"host"):
            lines.append(b"Host: " + host)
        if length is not None or method in _WITH_BODY:
            lines.append(_CHUNKED if self.chunked else b"Content-Length: %d" % (length or 0))
        lines += lines_of(headers)
        lines += _END
        self.head = b"\r\n".join(lines)
        if self.head.count(b"\n") != len(lines) - 1:
            raise ValueError("A header that has more than one line cannot be sent.")

    def at_once(self) -> bytes | None:
        """All of the request, once, if it is so small that it is written at once; nothing of it is kept."""
        head, body = self.head, self.body
        if body is None:
            self.head = b""
            return head
        if type(body) is BytesProducer and (whole := body.take()) is not None:
            self.head, self.body = b"", None
            return head + whole
        return None


@implementer(IConsumer)
class Upload:
    """The body of a request on its way, as fast as the connection takes it.

    :param writer: of the connection.
    :param done: called when all is written, or with why it cannot be.
    """

    __slots__ = ("_chunked", "_done", "_head", "_left", "_producer", "_writer")

    def __init__(self, request: Request, writer: Writer, done: Callable[[Failure | None], None]) -> None:
        self._writer = writer
        self._producer: Any = request.body
        self._done: Callable[[Failure | None], None] | None = done
        self._head = request.head
        self._chunked = request.chunked
        self._left = 0 if request.chunked else request.body.length

    def start(self) -> None:
        """Begin with the request's head, and with what there is of the body."""
        self._writer.register(self._producer)
        try:
            producing: Deferred[None] = self._producer.startProducing(self)
        except Exception:
            self._ended(Failure())
            return
        self._flush()
        producing.addCallbacks(lambda _: self._produced(), self._ended)

    def write(self, data: bytes) -> None:
        """More of the body."""
        if self._done is None or not data:
            return
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        else:
            self._left -= len(data)
            if self._left < 0:
                self._producer.stopProducing()
                self._ended(Failure(WrongLength("more than was declared")))
                return
        if self._head and len(data) <= SLICE:
            data, self._head = self._head + data, b""
        self._flush()
        self._writer.write(data)

    def draw(self, source: socket, most: int) -> int:
        """More of the body, which has come at a socket: send it without reading it, if that can be.

        :param most: bytes.
        :return: how many bytes; 0: it is to be read, and written.
        """
        if self._done is None or self._chunked or self._head:
            return 0
        drawn: int = self._writer.draw(source, min(most, self._left))
        self._left -= drawn
        return drawn

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Not called: a body's producer is registered already."""
        raise RuntimeError("the producer of a request's body is registered already")

    def unregisterProducer(self) -> None:
        """Not called, see :meth:`registerProducer`."""

    def stop(self) -> None:
        """The connection is gone, or the answer is there: the rest is not wanted."""
        done, self._done = self._done, None
        if done is not None:
            self._writer.unregister()
            self._producer.stopProducing()

    def _flush(self) -> None:
        head, self._head = self._head, b""
        if head:
            self._writer.write(head)

    def _produced(self) -> None:
        if self._left:
            self._ended(Failure(WrongLength("less than was declared")))
            return
        if self._chunked and self._done is not None:
            self._writer.write(b"0\r\n\r\n")
        self._ended(None)

    def _ended(self, failure: Failure | None) -> None:
        done, self._done = self._done, None
        if done is not None:
            self._writer.unregister()
            done(failure)
