"""An answer, as whoever asked sees it: Twisted's ``IResponse``."""

from __future__ import annotations

from collections.abc import Callable
from socket import socket
from typing import Any, Protocol

from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IClientRequest, IResponse
from zope.interface import implementer

from ampproxy.http.heads import Head

_DONE = Failure(ResponseDone("The answer is whole."))


@implementer(IClientRequest)
class Asked:
    """What was asked, see ``IClientRequest``."""

    __slots__ = ("absoluteURI", "headers", "method")

    def __init__(self, method: bytes, uri: bytes, headers: Headers) -> None:
        self.method = method
        self.absoluteURI = uri
        self.headers = headers


class Source(Protocol):
    """What an answer needs of its connection."""

    def pause(self) -> None:
        """Read no more for now."""

    def resume(self) -> None:
        """Read on."""

    def drop(self) -> None:
        """Close the connection at once: nobody wants the rest of the answer."""


@implementer(IResponse, IPushProducer)
class Answer:
    """The head of an answer, and its body for the protocol that asks for it. To that it is a transport, too.

    :param source: its connection, from which nothing is read until somebody wants the body.
    :ivar whole: the body, if all of it was there with the head.
    :ivar draw: where the body only passes: takes what comes next from the connection's socket, and gives how
        many bytes. See :meth:`~ampproxy.http.outbox.Outbox.draw`.
    """

    __slots__ = (
        "_end",
        "_held",
        "_paused",
        "_protocol",
        "_source",
        "code",
        "draw",
        "headers",
        "length",
        "phrase",
        "previousResponse",
        "request",
        "version",
        "whole",
    )

    def __init__(self, head: Head, request: Asked, source: Source | None, whole: bytes | None = None) -> None:
        self.version = head.version
        self.code = head.code
        self.phrase = head.phrase
        self.headers = head.headers
        self.length: Any = UNKNOWN_LENGTH if head.length is None else head.length
        self.request = request
        self.previousResponse: IResponse | None = None
        self.whole = whole
        self.draw: Callable[[socket, int], int] | None = None
        self._source = source
        self._protocol: Any = None
        self._paused = False
        self._held = [whole] if whole else []
        self._end: Failure | None = None if whole is None else _DONE

    def setPreviousResponse(self, previousResponse: IResponse) -> None:
        """See ``IResponse``."""
        self.previousResponse = previousResponse

    def deliverBody(self, protocol: IProtocol) -> None:
        """See ``IResponse``.

        :raises RuntimeError: it was asked for before.
        """
        if self._protocol is not None:
            raise RuntimeError("the body of this answer has been delivered")
        self._protocol = protocol
        protocol.makeConnection(self)  # type: ignore[arg-type]  # a transport as far as Twisted's own is
        held, self._held = self._held, []
        if held:
            protocol.dataReceived(held[0] if len(held) == 1 else b"".join(held))
        if self._end is not None:
            protocol.connectionLost(self._end)
        elif self._source is not None and not self._paused:
            self._source.resume()

    @property
    def wanted(self) -> bool:
        """Whether the body has been asked for."""
        return self._protocol is not None

    # The connection's side.

    def received(self, data: bytes) -> None:
        """More of the body."""
        if self._protocol is None:
            self._held.append(data)
        else:
            self._protocol.dataReceived(data)

    def ended(self, reason: Failure = _DONE) -> None:
        """The body is over, whole unless there is another reason."""
        self._source = self.draw = None
        self._end = reason
        if self._protocol is not None:
            self._protocol.connectionLost(reason)

    # What the body's protocol may do.

    def pauseProducing(self) -> None:
        """Read no more for now."""
        self._paused = True
        if self._source is not None:
            self._source.pause()

    def resumeProducing(self) -> None:
        """Read on."""
        self._paused = False
        if self._source is not None:
            self._source.resume()

    def stopProducing(self) -> None:
        """Close the connection: nobody wants the rest."""
        if self._source is not None:
            self._source.drop()

    def loseConnection(self) -> None:
        """The same."""
        self.stopProducing()

    def abortConnection(self) -> None:
        """The same."""
        self.stopProducing()
