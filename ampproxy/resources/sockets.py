"""WebSockets at the paths of Responses: requests come as messages, and events leave as such.

Each message is a request of its own, answered in its turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from zope.interface import implementer

from ampproxy.dialects.base import Dialect
from ampproxy.dialects.messages import Messages, Question
from ampproxy.errors import ClientFault, ExchangeError, GatewayFault
from ampproxy.generation import Generation
from ampproxy.http.server_reading import Reading
from ampproxy.relay.workers import REQUEST_OBJECTS, takes_long
from ampproxy.resources.socket_frames import SocketFrames
from ampproxy.server.message_requests import MessageChannel, MessageRequest, head_for, request_of
from ampproxy.server.site import GatewayRequest, GatewaySite
from ampproxy.upstream.held import Share
from ampproxy.wire.sse import EventReader

#: So many messages may wait for the answer to the one before them.
_MAX_WAITING = 16
#: Seconds that a client has to close its side.
_CLOSING = 5.0
#: Seconds between two looks at a connection on which nothing is under way: it is not to keep the gateway from
#: ending.
_LOOK = 5.0


@implementer(IHalfCloseableProtocol)
class ResponsesSocket(Protocol):
    """One connection: its messages are served one after another, in their order.

    :param upgrade: the request that opened it; it is not kept.
    :param dialect: what is spoken; ``messages``: how.
    :ivar ended: fires when the connection has ended, with how: whether the client closed it, and why not.
    :ivar received: bytes that came; likewise ``sent``.
    """

    transport: Any

    def __init__(
        self, generation: Generation, upgrade: GatewayRequest, dialect: Dialect, messages: Messages
    ) -> None:
        self._dialect, self._messages = dialect, messages
        runtime, limits = generation.runtime, generation.config.limits
        self._site: GatewaySite = upgrade.site
        self._head, self._secure = head_for(upgrade), upgrade.isSecure()
        self._clock, self._wall, self._new_id = runtime.clock, runtime.wall, runtime.new_id
        self._idle = generation.config.timeouts.tunnel_idle
        self._frames = SocketFrames(limits.max_body)
        self._conversation = messages.conversation(limits.max_body)
        self._workers, self._most, self._log = runtime.workers, limits.max_body, runtime.log
        #: What waits and what is kept, of all bodies that may be held.
        self._share = Share(runtime.held, limits.max_held)
        self._waiting: deque[bytes] = deque()
        self._behind = b""
        self._later: IDelayedCall | None = None
        self._full = False
        self._deadlines = runtime.deadlines
        self._reading = False
        self._request: MessageRequest | None = None
        self._answer: _Answer | None = None
        self._timer: IDelayedCall | None = None
        self._why = ""
        self.received = self.sent = 0
        self.ended: Deferred[str] = Deferred()

    def connectionMade(self) -> None:
        """The client has the connection."""
        self._taking = Reading(self.transport, self._deadlines, self._may_not_read, self._not_read)
        self._channel = MessageChannel(self.transport, secure=self._secure, answering=self)
        self._look_in(0.0)

    def dataReceived(self, data: bytes) -> None:
        """More of its messages."""
        self.received += len(data)
        if self._frames.closed:
            return
        if self._later is not None or self._full:
            # Read before it was paused.
            self._behind += data
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        self._later = None
        messages, out, self._behind = self._frames.feed(data)
        if self._behind:
            self._later = self._clock.callLater(0, self._go_on_reading)
            self._pace()
        self._write(out)
        self._waiting += messages
        if len(self._waiting) > _MAX_WAITING or sum(map(len, self._waiting)) > self._most:
            self.close(1008, "Too many messages wait for their answers.")
        elif self._frames.closed:
            self._close_soon()
        else:
            self._next()

    def _go_on_reading(self) -> None:
        self._later = None
        if not (self._full or self._frames.closed):
            data, self._behind = self._behind, b""
            self._take(data)
            self._pace()

    def pace(self, *, full: bool) -> None:
        """See :class:`~ampproxy.server.message_requests.Answering`. A client that does not read is not read
        either: else it could ask for more and more that it does not take.
        """
        self._full = full
        if full:
            self._taking.paused()
        else:
            self._taking.resumed()
            if self._behind and self._later is None:
                self._later = self._clock.callLater(0, self._go_on_reading)
        self._pace()

    def _pace(self) -> None:
        if self._frames.closed:
            return
        if self._full or self._later is not None:
            self.transport.pauseProducing()
        else:
            self.transport.resumeProducing()

    def _may_not_read(self) -> float:
        return self._site.limits.answer_timeout

    def _not_read(self) -> None:
        why = (
            f"The client took nothing of its answer for {self._may_not_read():g} s"
            " (setting: limits.answer-timeout)."
        )
        self.abort(ClientFault.of("timeout", why, status=408, code="answer_timeout"))
        self.transport.abortConnection()

    def readConnectionLost(self) -> None:
        """The client will send nothing more: without its close that is no orderly end."""
        self._end_channel()
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """As we wished."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client is gone: so is whatever is made for it."""
        self._frames.closed = True
        self._end_timer()
        self._drop(reason)
        if not self.ended.called:
            self.ended.callback(self._why)

    def abort(self, error: ExchangeError) -> None:
        """End it, with what the client is to be told."""
        self._why = error.error.message
        if self._request is not None:
            self._request.abort(error)
        self.close(1008, error.error.message)

    def close(self, code: int, reason: str) -> None:
        """Close the connection from our side."""
        self._write(self._frames.close(code, reason))
        self._close_soon()

    def _drop(self, reason: Failure) -> None:
        """End what is made for the client, and keep nothing for it."""
        self._waiting.clear()
        self._conversation.forget()
        self._share.give_back()
        self._frames.forget()
        self._behind = b""
        later, self._later = self._later, None
        if later is not None:
            later.cancel()
        request, self._request, self._answer = self._request, None, None
        if request is not None:
            request.connectionLost(reason)
        self._end_channel()

    def _end_channel(self) -> None:
        self._taking.end()
        self._channel.end()

    # One answer after another.

    def _next(self) -> None:
        while self._waiting and not self._is_busy and not self._frames.closed:
            self._serve(self._waiting.popleft())
        self._hold()
        if not self._is_busy and not self._frames.closed:
            self._look_in(0.0)

    @property
    def _is_busy(self) -> bool:
        return self._reading or self._request is not None

    def _hold(self) -> None:
        """Count what is held; where there is no room for it, what was said before is forgotten."""
        kept = self._frames.size + sum(map(len, self._waiting))
        self._share.give_back()
        try:
            self._share.grow(self._conversation.size + kept)
        except ExchangeError:
            self._conversation.forget()
            self._hold_alone(kept)

    def _hold_alone(self, kept: int) -> None:
        try:
            self._share.grow(kept)
        except ExchangeError as full:
            self._why = full.error.message
            self.close(1013, full.error.message)

    def _serve(self, text: bytes) -> None:
        self._end_timer()
        if not takes_long(text, REQUEST_OBJECTS):
            try:
                self._ask(*self._read(text))
            except ClientFault as fault:
                self._refuse(text, fault)
            return
        self._reading = True
        reading = self._workers.run(partial(self._read, text), len(text))
        reading.addCallbacks(lambda found: self._ask(*found), lambda failure: self._unread(text, failure))
        reading.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        """A defect of ours."""
        self._log.failure("Unhandled error while reading a message", failure)
        self.abort(GatewayFault.of("internal", "Internal error; see the gateway's log."))

    def _read(self, text: bytes) -> tuple[Question, bytes, tuple[bytes, ...]]:
        """What a message asks, with what it goes on from, and its items. In any thread."""
        question = self._messages.read(text)
        return question, *self._conversation.whole(question.body)

    def _unread(self, text: bytes, failure: Failure) -> None:
        self._reading = False
        failure.trap(ClientFault)
        self._refuse(text, failure.value)
        self._go_on()

    def _refuse(self, text: bytes, fault: Any) -> None:
        refusal = self._dialect.error_body(fault.error)
        self._send([self._messages.error(fault.error.status, {}, refusal, self._messages.stream_of(text))])

    def _ask(self, question: Question, body: bytes, items: tuple[bytes, ...]) -> None:
        read_apart, self._reading = self._reading, False
        if self._frames.closed:
            return
        if not question.generate:
            id_ = self._new_id("resp_")
            self._conversation.keep(id_, items)
            self._send(self._messages.warm_up(question, id_, int(self._wall())))
            if read_apart:
                self._go_on()
            return
        self._answer = _Answer(
            self._dialect,
            self._messages,
            question.stream_id,
            lambda event: self._conversation.note(items, event),
        )
        request = self._request = request_of(self._site, self._channel, self._head(len(body)))
        request.ask(body)

    def piece(self, request: MessageRequest, data: bytes) -> None:
        """See :class:`~ampproxy.server.message_requests.Answering`."""
        if self._answer is not None and request is self._request:
            messages, silent = self._answer.feed(request, data)
            self._send(messages)
            if silent:
                self._write(self._frames.ping())

    def over(self, request: MessageRequest, *, whole: bool) -> None:
        """See :class:`~ampproxy.server.message_requests.Answering`."""
        answer, self._answer, self._request = self._answer, None, None
        if answer is not None:
            self._send(answer.end(request, whole=whole))
        # In a turn of its own: whoever served the last one may still be at it.
        self._clock.callLater(0, self._go_on)

    def _go_on(self) -> None:
        if not self._frames.closed:
            self._next()

    def _silent_for(self, seconds: float) -> None:
        """Nothing is under way, and has not been for so long."""
        self._timer = None
        if self._site.lifecycle.ending:
            self.close(1012, "The gateway restarts.")
        elif seconds >= self._idle:
            self._why = f"silent for too long (setting: timeouts.tunnel-idle, {self._idle:g} s)"
            self.close(1001, "Silent for too long.")
        else:
            self._look_in(seconds)

    def _look_in(self, silent: float) -> None:
        self._end_timer()
        wait = min(_LOOK, max(self._idle - silent, 0.01))
        self._timer = self._clock.callLater(wait, self._silent_for, silent + wait)

    def _send(self, messages: list[bytes]) -> None:
        self._write(b"".join(map(self._frames.message, messages)))

    def _write(self, data: bytes) -> None:
        if data:
            self.sent += len(data)
            self.transport.write(data)

    # What ends it.

    def _close_soon(self) -> None:
        """Let what was written arrive; the client has a while to close."""
        self._end_timer()
        self._drop(Failure(ConnectionDone()))
        self._timer = self._clock.callLater(_CLOSING, self._abort)
        self.transport.loseConnection()

    def _abort(self) -> None:
        self._timer = None
        self.transport.abortConnection()

    def _end_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


class _Answer:
    """The answer to one message, as it is made.

    :param note: is given each event.
    """

    def __init__(
        self, dialect: Dialect, messages: Messages, stream_id: str, note: Callable[[bytes], None]
    ) -> None:
        self._dialect, self._messages = dialect, messages
        self._stream_id = stream_id
        self._note = note
        self._events = EventReader()
        self._body: list[bytes] = []
        self._ended = False

    def feed(self, request: MessageRequest, data: bytes) -> tuple[list[bytes], bool]:
        """More of it: gives the messages, and whether it was but a sign of life."""
        if not _is_stream(request):
            self._body.append(data)
            return [], False
        named = self._events.feed(data)
        for name, event in named:
            self._note_end(name, event)
        found = [event for _, event in named if event]
        return [self._messages.event(event, self._stream_id) for event in found], data.startswith(b":")

    def end(self, request: MessageRequest, *, whole: bool) -> list[bytes]:
        """It is over; gives the last messages: an error, unless its events were the whole."""
        if self._ended:
            return []
        headers = {
            name.decode("latin-1").lower(): values[-1].decode("latin-1")
            for name, values in request.responseHeaders.getAllRawHeaders()
        }
        if request.code >= 400 and self._body:
            return [self._messages.error(request.code, headers, b"".join(self._body), self._stream_id)]
        error = ExchangeError.of("unavailable", "The model's answer broke off before its end.").error
        return [self._messages.error(error.status, headers, self._dialect.error_body(error), self._stream_id)]

    def _note_end(self, name: bytes, event: bytes) -> None:
        if (name or self._messages.type_of(event)) in self._messages.last:
            self._ended = True
            self._note(event)


def _is_stream(request: MessageRequest) -> bool:
    kinds = request.responseHeaders.getRawHeaders(b"content-type") or [b""]
    return request.code == 200 and kinds[0].startswith(b"text/event-stream")


def accepting(upgrade: GatewayRequest) -> Headers:
    """The headers of status 101 for a request that asks for a WebSocket.

    :raises ClientFault: it asks for none that is known.
    """
    from wsproto.utilities import generate_accept_token

    get = upgrade.requestHeaders.getRawHeaders
    keys = get(b"sec-websocket-key") or [b""]
    if get(b"sec-websocket-version") != [b"13"] or not keys[0]:
        upgrade.responseHeaders.setRawHeaders(b"Sec-WebSocket-Version", [b"13"])
        raise ClientFault.of("invalid_request", "This is no WebSocket of version 13.", status=426)
    headers = Headers()
    headers.setRawHeaders(b"Connection", [b"Upgrade"])
    headers.setRawHeaders(b"Upgrade", [b"websocket"])
    headers.setRawHeaders(b"Sec-WebSocket-Accept", [generate_accept_token(keys[0].strip())])
    return headers
