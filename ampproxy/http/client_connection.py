"""A connection to an upstream: one request and one answer at a time."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime, ITCPTransport
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.client import (
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse

from ampproxy.http.answers import AnswerReader, BrokenOff
from ampproxy.http.client_answer import Answer
from ampproxy.http.client_request import Request, Upload
from ampproxy.http.client_writer import Writer
from ampproxy.http.closing import Closing, lowest
from ampproxy.http.outbox import socket_of

#: What one read may bring, bytes: twice as much each time that a read was filled, between these two.
READ = 64 * 1024
MAX_READ_BYTES = 512 * 1024
_NEVER = 1 << 62


class Home(Protocol):
    """Where connections are kept that nobody uses."""

    @property
    def clock(self) -> IReactorTime | None:
        """By which connections are closed in time; ``None``: they need not be."""

    def free(self, connection: ClientConnection) -> None:
        """It can be used again."""

    def lost(self, connection: ClientConnection) -> None:
        """It is closed."""


class ClientConnection(TwistedProtocol):
    """A connection, used for any number of requests.

    :ivar key: what it is connected to.
    :ivar since: when it was last used, in the clock's seconds.
    """

    transport: Any

    def __init__(self, home: Home, key: object) -> None:
        self._home = home
        self.key = key
        self.since = 0.0
        self._request: Request | None = None
        self._writer: Writer | None = None
        self._upload: Upload | None = None
        self._reader: AnswerReader | None = None
        self._answered: Deferred[IResponse] | None = None
        self._answer: Answer | None = None
        self._paused = False
        self._read = _NEVER
        self._closing: Closing | None = None
        self._closed: list[Deferred[None]] = []
        self._ends = self._dropped = self._gone = False
        self._lowest: Any = None

    def connectionMade(self) -> None:
        """It stands."""
        # Where the other side has ended TLS, only what is below that knows.
        self._lowest = lowest(self.transport)
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        if getattr(self.transport, "bufferSize", 0) == READ:
            self._read = READ

    def _read_more(self, reader: AnswerReader, *, sparse: bool) -> None:
        """A read was filled: a large body goes on from socket to socket, or else in fewer, larger reads.

        :param sparse: whether most of that read was no body. In small chunks, each is work for which all
            others wait: then no read is larger than usual.
        """
        if sparse:
            self._read_as_usual()
        elif self._reader is reader and not self._draw(reader) and self._read < MAX_READ_BYTES:
            self._read = self.transport.bufferSize = 2 * self._read

    def _read_as_usual(self) -> None:
        if READ < self._read < _NEVER:
            self._read = self.transport.bufferSize = READ

    def _draw(self, reader: AnswerReader) -> int:
        draw, most = None if self._answer is None else self._answer.draw, reader.may_be_drawn()
        source = None if draw is None or self._paused else socket_of(self.transport)
        if draw is None or source is None or not most:
            return 0
        drawn = draw(source, most)
        reader.drawn(drawn)
        return drawn

    @property
    def usable(self) -> bool:
        """Whether a request may be sent now."""
        return not (self._reader or self._dropped or self._ends or self._lowest.disconnecting)

    def ask(self, request: Request) -> Deferred[IResponse]:
        """Send a request. The result fires when the head of its answer is there; cancelling it closes the
        connection.

        :raises RequestGenerationFailed: its body's producer failed (all of these by the result).
        :raises RequestTransmissionFailed: the connection ended before all of it was written.
        :raises ResponseNeverReceived: it ended before a byte of the answer.
        :raises ResponseFailed: it ended in the head of the answer, or that is no good answer.
        """
        answered = self.expect(request)
        writer = self._writer
        if writer is None:
            writer = self._writer = Writer(self.transport)
        data = request.at_once()
        if data is not None:
            writer.write(data)
        else:
            self._upload = Upload(request, writer, self._sent)
            self._upload.start()
        return answered

    def expect(self, request: Request) -> Deferred[IResponse]:
        """Wait for the answer to a request that somebody else has sent; see :meth:`ask`."""
        answered: Deferred[IResponse] = Deferred(self._cancelled)
        self._answered = answered
        self._request = request
        self._reader = AnswerReader(bodiless=request.method == b"HEAD")
        return answered

    def _sent(self, failure: Failure | None) -> None:
        self._upload = None
        if failure is not None:
            self._fail(Failure(RequestGenerationFailed([failure])))

    def _cancelled(self, _: object) -> None:
        self._answered = None
        self.drop()

    def dataReceived(self, data: bytes) -> None:
        """More of the answer."""
        reader = self._reader
        if reader is None or self._dropped:
            # Nobody asked.
            self.drop()
            return
        full = len(data) >= self._read
        try:
            body = reader.feed(data)
            answer = self._answer
            if answer is not None:
                if body:
                    answer.received(body)
            elif not self._begin(reader, body):
                return
            self._go_on(reader)
            if full:
                self._read_more(reader, sparse=2 * len(body) < len(data))
        except Exception:
            # Of whoever reads the answer: a defect, to be seen where the answer is awaited.
            self._break_off(Failure())

    def _begin(self, reader: AnswerReader, body: bytes) -> bool:
        """Give the answer to whoever asked, if its head is there; whether there is more to be done."""
        head, request = reader.head, self._request
        if head is None or request is None:
            if reader.fault is not None:
                self._fail(Failure(ResponseFailed([Failure(reader.fault)])))
            return False
        if reader.ended:
            # Free before anybody hears of it, for another request.
            answer = Answer(head, request.asked, None, body)
            answered = self._answered
            self._answered = None
            self._release(keep=reader.keep)
        else:
            answer = self._answer = Answer(head, request.asked, self)
            if body:
                answer.received(body)
            answered, self._answered = self._answered, None
        if answered is not None:
            self._give(answered, answer, request)
        return not reader.ended

    def _give(self, answered: Deferred[IResponse], answer: Answer, request: Request) -> None:
        if request.accept is None:
            answered.callback(answer)
            return
        try:
            accepted = request.accept(answer)
        except Exception:
            answer.stopProducing()
            answered.errback(Failure())
        else:
            answered.callback(accepted)

    def _go_on(self, reader: AnswerReader) -> None:
        """After each read, once the body has been handed over."""
        answer = self._answer
        if answer is None or self._reader is not reader:
            return
        if reader.fault is not None:
            self._break_off(Failure(reader.fault))
        elif reader.ended:
            self._answer = None
            self._release(keep=reader.keep)
            answer.ended()
        elif not answer.wanted:
            self.pause()

    def pause(self) -> None:
        """Read no more for now."""
        if not self._paused:
            self._paused = True
            self.transport.pauseProducing()

    def resume(self) -> None:
        """Read on."""
        if self._paused:
            self._paused = False
            self.transport.resumeProducing()

    def _release(self, *, keep: bool) -> None:
        """The answer is whole."""
        self._reader = self._request = None
        self._read_as_usual()
        if self._upload is not None:
            # Answered before all was asked: what is still on its way would be taken for the next request.
            self.drop()
        elif not keep or self._lowest.disconnecting:
            self.close()
        else:
            if self._paused:
                self.resume()
            self._home.free(self)

    def _fail(self, failure: Failure) -> None:
        """There is no answer, and will be none."""
        answered, self._answered = self._answered, None
        self.drop()
        if answered is not None:
            answered.errback(failure)
        elif self._answer is not None:
            self._break_off(failure)

    def _break_off(self, reason: Failure) -> None:
        """The answer is not whole, and never will be."""
        answer, self._answer = self._answer, None
        self.drop()
        if answer is not None:
            answer.ended(Failure(ResponseFailed([reason], answer)))

    def drop(self) -> None:
        """Close it at once, whatever is on its way."""
        if not self._dropped:
            self._dropped = True
            self._stop_writing()
            self.transport.abortConnection()

    def close(self) -> Deferred[None]:
        """Close it in order; the result fires when it is closed."""
        closed: Deferred[None] = Deferred()
        if self._gone:
            closed.callback(None)
            return closed
        self._closed.append(closed)
        if not (self._ends or self._dropped):
            self._ends = True
            # While it is paused, an end of TLS would not be seen.
            self.resume()
            self._stop_writing()
            self.transport.loseConnection()
            if self._home.clock is not None:
                self._closing = Closing(self.transport, self._home.clock)
                self._closing.begin()
        return closed

    def _stop_writing(self) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.stop()
        if self._writer is not None:
            self._writer.end()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is closed."""
        self._dropped = self._gone = True
        self._home.lost(self)
        if self._closing is not None:
            self._closing.end()
        unsent = self._upload is not None
        self._stop_writing()
        reader, self._reader = self._reader, None
        answer, self._answer = self._answer, None
        answered, self._answered = self._answered, None
        if answered is not None:
            begun = reader is not None and reader.begun
            kind = ResponseFailed if begun else RequestTransmissionFailed if unsent else ResponseNeverReceived
            answered.errback(Failure(kind([reason])))
        elif answer is not None:
            answer.ended(self._end_of(answer, reader, reason))
        closed, self._closed = self._closed, []
        for waiting in closed:
            waiting.callback(None)

    @staticmethod
    def _end_of(answer: Answer, reader: AnswerReader | None, reason: Failure) -> Failure:
        """What the end of the connection means for an answer that has begun."""
        if reader is not None and reader.until_closed and reason.check(ConnectionDone):
            return Failure(PotentialDataLoss())
        return Failure(ResponseFailed([reason, Failure(BrokenOff("the connection ended before"))], answer))
