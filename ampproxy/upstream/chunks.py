"""Twisted's HTTP client, with many small HTTP chunks decoded at once.

A vendor sends each event as a chunk of its own, and a read brings hundreds of them. Twisted's decoder
takes them one by one, which is half of what a relayed stream costs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import (
    STATUS,
    HTTP11ClientProtocol,
    HTTPClientParser,
    Request,
    ResponseFailed,
    TransportProxyProducer,
)
from twisted.web.client import _HTTP11ClientFactory
from twisted.web.http import _ChunkedTransferDecoder

from ampproxy.upstream.closing import Closing
from ampproxy.upstream.handshake import MAX_HEAD, HeadLimit

#: A chunk's size line without extensions (RFC 9112, section 7.1), of a size that fits in memory.
_SIZE = re.compile(rb"([0-9a-fA-F]{1,7})\r\n")


class ChunkDecoder(_ChunkedTransferDecoder):
    """Hands over in one piece all chunks that one read brought whole.

    Whatever is not a plain whole chunk (the last one, extensions, half a chunk, anything malformed) is left
    to the base class, which is as strict as before.
    """

    def _dataReceived_CHUNK_LENGTH(self) -> bool:
        # Not copied as a whole: between chunks that are none of ours it would be for each of them.
        data = self._buffer
        pieces = []
        at = 0
        match = _SIZE.match(data)
        while match is not None:
            start = match.end()
            end = start + int(match[1], 16)
            if end == start or data[end : end + 2] != b"\r\n":
                break
            pieces.append(bytes(data[start:end]))
            at = end + 2
            match = _SIZE.match(data, at)
        if not pieces:
            return super()._dataReceived_CHUNK_LENGTH()
        del self._buffer[:at]
        self._start = 0
        self.dataCallback(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        return True


class AnswerParser(HTTPClientParser):
    """Twisted's parser of answers, with a bound for their heads; Twisted itself counts nothing.

    :raises ampproxy.upstream.handshake.HandshakeRefused: a head is too large.
    """

    limit: HeadLimit
    MAX_LENGTH = MAX_HEAD

    def lineReceived(self, line: bytes) -> None:
        """One line of a head."""
        if self.state == STATUS:
            self.limit.begin()
        self.limit.take(len(line) + 1)
        super().lineReceived(line)  # type: ignore[no-untyped-call]

    def lineLengthExceeded(self, line: bytes) -> None:
        """One line alone is too long."""
        self.limit.check(len(line))


class Transport(TransportProxyProducer):
    """What an answer has of its connection: it pauses it, and closes it in time.

    :param closing: of the connection.
    """

    def __init__(self, transport: Any, closing: Closing) -> None:
        super().__init__(transport)  # type: ignore[no-untyped-call]
        self._closing = closing

    def stopProducing(self) -> None:
        """Nobody wants the rest."""
        self._close(super().stopProducing)

    def loseConnection(self) -> None:
        """Close the connection."""
        self._close(super().loseConnection)

    def _close(self, close: Callable[[], None]) -> None:
        if self._producer is not None:
            self._closing.begin()
        close()


class Connection(HTTP11ClientProtocol):
    """A kept connection to an upstream. It is closed in time."""

    transport: Any
    _parser: Any
    _closing: Closing

    def __init__(self, quiescent: Callable[[Any], None], clock: IReactorTime) -> None:
        super().__init__(quiescent)  # type: ignore[no-untyped-call]
        self._clock = clock

    def makeConnection(self, transport: Any) -> None:
        """It stands."""
        self._closing = Closing(transport, self._clock)
        super().makeConnection(transport)  # type: ignore[no-untyped-call]

    def request(self, request: Request) -> Deferred[Any]:
        """Send a request; its answer's chunks go through :class:`ChunkDecoder`."""
        answer = super().request(request)
        if self._parser is not None:
            self._parser._transferDecoders = {b"chunked": ChunkDecoder}
            # Twisted leaves no other way to have it make another parser.
            self._parser.__class__ = AnswerParser
            self._parser.limit = HeadLimit()
            # Nothing of the answer is there yet.
            self._transportProxy = Transport(self.transport, self._closing)
            self._parser.transport = self._transportProxy
        return answer

    def abort(self) -> Deferred[None]:
        """Close it; the result fires when it is closed."""
        closed: Deferred[None] = super().abort()  # type: ignore[no-untyped-call]
        if not closed.called:
            self._closing.begin()
        return closed

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is closed."""
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        self._closing.end()

    def _giveUp(self, reason: Failure) -> None:
        waiting = self._finishedRequest if self._state == "TRANSMITTING" else None
        request, parsed = self._currentRequest, self._responseDeferred
        if waiting is not None and parsed is not None:
            # Twisted would never tell who waits: the answer cannot be read, and the question is not sent yet.
            parsed.addErrback(lambda _: None)
        super()._giveUp(reason)  # type: ignore[no-untyped-call]
        self._closing.begin()
        if waiting is not None and request is not None:
            self._state = "GENERATION_FAILED"
            request.stopWriting()
            waiting.errback(Failure(ResponseFailed([reason])))


class ConnectionFactory(_HTTP11ClientFactory):
    """Makes connections, without a line in the log for each."""

    noisy = False

    def __init__(self, quiescent: Callable[[Any], None], told: str, clock: IReactorTime) -> None:
        super().__init__(quiescent, told)  # type: ignore[no-untyped-call]
        self._clock = clock

    def buildProtocol(self, addr: Any) -> Connection:
        """A connection that goes back to the pool when it is quiescent."""
        return Connection(self._quiescentCallback, self._clock)
