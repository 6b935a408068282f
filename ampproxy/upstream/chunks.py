"""Twisted's HTTP client, with many small HTTP chunks decoded at once.

A vendor sends each event as a chunk of its own, and a read brings hundreds of them. Twisted's decoder
takes them one by one, which is half of what a relayed stream costs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import (
    BODY,
    STATUS,
    HTTP11ClientProtocol,
    HTTPClientParser,
    Request,
    ResponseFailed,
    TransportProxyProducer,
)
from twisted.web.client import _HTTP11ClientFactory
from twisted.web.http import (
    SWITCHING,
    _ChunkedTransferDecoder,
    _MalformedChunkedDataError,
    maxChunkSizeLineLength,
)

from ampproxy.upstream.closing import Closing
from ampproxy.upstream.handshake import MAX_HEAD, MAX_LINES, HandshakeRefused, HeadLimit
from ampproxy.wire.framing import (
    CONTROLS,
    MAX_LENGTH,
    BadMessage,
    answer_length,
    check_begun,
    check_status_line,
    check_trailer,
    is_name,
)

_CR = 13
#: A chunk's size line without extensions (RFC 9112, section 7.1), of a size that fits in memory.
_SIZE = re.compile(rb"([0-9a-fA-F]{1,7})\r\n")
#: Bytes of extensions that any chunk may have, beside twice its own size.
_FREE = 16
#: Any such line, or the beginning of one.
_SIZE_LINE = re.compile(rb"([0-9a-fA-F]{0,16})((?<=.);[\t\x20-\x7e\x80-\xff]*)?\r?")


class ChunkDecoder(_ChunkedTransferDecoder):
    """Hands over in one piece all chunks that one read brought whole.

    Whatever is not a plain whole chunk (the last one, extensions, half a chunk, anything malformed) goes
    through the base class, once its lines have been looked at: a wrong one is refused before it has ended.

    :ivar fault: what was wrong, as the end of a sentence; public.
    """

    fault = ""
    _most_extra = MAX_HEAD
    _extra = 0
    _trailers = 0
    _most_trailers = MAX_LINES
    _bounds = ""

    def bound(self, size: int, trailers: int) -> None:
        """Use the limits of a request's headers.

        :param size: bytes that trailers may have, and extensions beyond what is in keeping with their chunks.
        """
        self._most_extra = size
        self._maxTrailerHeadersSize = size
        self._most_trailers = trailers
        self._bounds = f" (settings: limits.max-header-bytes, {size}; limits.max-headers, {trailers})"

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
            self._check_size_line()
            return super()._dataReceived_CHUNK_LENGTH()
        del self._buffer[:at]
        self._start = 0
        self.dataCallback(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        return True

    def _check_size_line(self) -> None:
        end = self._buffer.find(b"\r\n", self._start)
        parts = _SIZE_LINE.fullmatch(self._buffer, 0, maxChunkSizeLineLength if end < 0 else end)
        if parts is None or (end >= 0 and not parts[1]) or int(parts[1] or b"0", 16) > MAX_LENGTH:
            raise self._broken("the size of a chunk is no plain hexadecimal number, or too large")
        if end >= 0:
            # Some sign every chunk there: that is no more than the chunk.
            self._extra = max(0, self._extra - _FREE - 2 * int(parts[1], 16))
            self._add_extra(len(parts[2] or b""))

    def _dataReceived_CRLF(self) -> bool:
        if not b"\r\n".startswith(self._buffer[:2]):
            raise self._broken("no line end follows a chunk")
        return super()._dataReceived_CRLF()

    def _dataReceived_TRAILER(self) -> bool:
        end = self._buffer.find(b"\r\n", self._start)
        try:
            if end < 0:
                check_begun(bytes(self._buffer[self._start :]))
            elif end:
                check_trailer(bytes(self._buffer[:end]))
                self._trailers += 1
                self._add_extra(end)
        except BadMessage as bad:
            raise self._broken(f"it has {bad.words}") from None
        more = super()._dataReceived_TRAILER()
        if end < 0:
            # The base class would look at all of it again.
            self._start = len(self._buffer) - 1
        return more

    def _add_extra(self, size: int) -> None:
        self._extra += size
        if self._extra > self._most_extra or self._trailers > self._most_trailers:
            raise self._broken(f"its extensions and trailers are too many or too large{self._bounds}")

    def _broken(self, what: str) -> _MalformedChunkedDataError:
        self.fault = f": {what}"
        return _MalformedChunkedDataError(what)


class AnswerParser(HTTPClientParser):
    """Twisted's parser of answers, with a bound for their heads, and strict: Twisted itself counts nothing,
    and passes control characters on.

    A head may end all its lines in LF alone, as some servers do; one that mixes line ends is refused.

    :raises ampproxy.upstream.handshake.HandshakeRefused: a head is too large, or not valid HTTP/1.
    """

    request: Request
    response: Any
    transport: Any
    state: str
    _partialHeader: list[bytes] | None
    limit: HeadLimit
    MAX_LENGTH = MAX_HEAD
    _transferDecoders = {b"chunked": ChunkDecoder}  # noqa: RUF012 - the base class's
    _controls = 0
    _measured = False
    options: Collection[bytes] = ()

    def lineReceived(self, line: bytes) -> None:
        """One line of a head."""
        begins = self.state == STATUS
        if begins:
            self.limit.begin()
        self.limit.take(len(line) + 1)
        try:
            if begins:
                self._check_first(line)
            elif len(line) - len(line.translate(None, CONTROLS)) != self._controls:
                raise BadMessage("a control character, or mixed line ends, in its headers")
            elif self._controls and line[-1] != _CR:
                raise BadMessage("mixed line ends in its headers")
            super().lineReceived(line)  # type: ignore[no-untyped-call]
        except BadMessage as bad:
            raise HandshakeRefused(f"answered with {bad.words}") from None
        except (ValueError, AttributeError):
            # The base class's, for a header without a colon or a good name, or one that goes on before any.
            raise HandshakeRefused("answered with a line among its headers that is no header") from None

    def _check_first(self, line: bytes) -> None:
        # Each line after it has as many control characters: the CR at its end, or none.
        self._controls = int(line.endswith(b"\r"))
        check_status_line(line.removesuffix(b"\r"))

    def lineLengthExceeded(self, line: bytes) -> None:
        """One line alone is too long."""
        self.limit.check(len(line))

    def allHeadersReceived(self) -> None:
        """See where the body ends, before the base class does; drop what is the connection's own."""
        status = self.response.code
        if status == SWITCHING:
            raise BadMessage("another protocol that was not requested")
        values = self.connHeaders.getRawHeaders(b"Connection")
        if values:
            self._drop_named(values)
        if status >= 200 and status not in self.NO_BODY_CODES and self.request.method != b"HEAD":
            self._check_framing()
        super().allHeadersReceived()  # type: ignore[no-untyped-call]

    def _drop_named(self, values: Sequence[bytes]) -> None:
        # Here and nowhere else it is known: of an answer's headers Twisted shows no "Connection".
        self.options = {option.strip().lower() for value in values for option in value.split(b",")}
        for option in filter(is_name, self.options):
            self.headers.removeHeader(option)

    def _check_framing(self) -> None:
        codings = self.connHeaders.getRawHeaders(b"Transfer-Encoding", ())
        length = answer_length(codings, self.connHeaders.getRawHeaders(b"Content-Length", ()))
        if codings and self.response.version < (b"HTTP", 1, 1):
            raise BadMessage("a Transfer-Encoding, which HTTP/1.0 does not have")
        self._measured = bool(codings) or length is not None

    def _finished(self, rest: bytes) -> None:
        if not (rest and self._measured):
            super()._finished(rest)  # type: ignore[no-untyped-call]
            return
        refused = HandshakeRefused("answered with more than its headers announce")
        if self.state != BODY:
            raise refused
        # Told here: the base class takes an answer that has its length for whole.
        self.bodyDecoder = None
        super()._finished(rest)  # type: ignore[no-untyped-call]
        self.response._bodyDataFinished(Failure(ResponseFailed([Failure(refused)], self.response)))


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
            # Twisted leaves no other way to have it make another parser.
            self._parser.__class__ = AnswerParser
            self._parser.limit = HeadLimit()
            # Nothing of the answer is there yet.
            self._transportProxy = Transport(self.transport, self._closing)
            self._parser.transport = self._transportProxy
        return answer

    def _finishResponse(self, rest: bytes) -> None:
        # What is behind an answer could be taken for the next one; and Twisted knows but one way of saying
        # "close".
        parser, request = self._parser, self._currentRequest
        if parser is not None and request is not None:
            options = parser.options
            kept = (
                b"close" not in options
                if parser.response.version >= (b"HTTP", 1, 1)
                else b"keep-alive" in options
            )
            if rest or not kept:
                request.persistent = False
        super()._finishResponse(rest)

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
