"""A stream from an upstream to a client."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from socket import socket

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.python.failure import Failure
from twisted.web.iweb import IResponse
from zope.interface import implementer

from ampproxy.errors import ClientGone, ExchangeError, TruncatedStream
from ampproxy.interfaces import StreamFilter
from ampproxy.model.events import WireError
from ampproxy.relay.downstream import Downstream
from ampproxy.relay.gaps import Gaps
from ampproxy.relay.quotes import QUOTED
from ampproxy.relay.workers import LARGE, SMALL, Workers, has_more_objects
from ampproxy.upstream.body import IDLE_HINT, BodyReader

#: Objects in what one turn brings that take some 50 ms. A full read of the events that vendors send has some
#: 1,600 of them, and stays in its turn.
_OBJECTS = 4000
#: What may end an event: without one of these, more of a large one costs nothing.
_ENDS = b"\n", b"\r", b"}"


class _Over:
    """Stands in the place of the filter of a stream that has ended: that one knows the question."""

    complete = False

    @staticmethod
    def feed(data: bytes) -> bytes:
        return b""

    @staticmethod
    def end() -> bytes:
        return b""

    keepalive = end


_OVER = _Over()


@implementer(IPushProducer)
class StreamRelay:
    """Passes one stream on, through a filter, with back-pressure.

    What one read of the upstream's connection brought, all its HTTP chunks together, leaves at once, in one
    write.

    :param filter: pass-through or translation; whole events come out of it.
    :param error_event: says an error in the client's dialect after the stream began.
    :param keepalive: seconds of silence until the client is sent a sign of life; 0 for never.
    :param on_first: called once, when the first bytes go to the client.
    :param reads_errors: whether the client reads an error within its stream, which then ends as it should.
    :param workers: take apart what would keep the reactor waiting; ``None``: nothing is taken apart here.
    :ivar began: whether anything went to the client.
    :ivar busy: seconds that its pieces spent here, from the turn of their arrival to the write.
    :ivar beginning: the first of its bytes, as long as nothing went to the client.
    :ivar gaps: how long the upstream paused between two pieces.
    """

    def __init__(
        self,
        downstream: Downstream,
        filter: StreamFilter,
        clock: IReactorTime,
        *,
        error_event: Callable[[WireError], bytes],
        keepalive: float,
        on_first: Callable[[], None],
        reads_errors: Callable[[], bool] = lambda: False,
        workers: Workers | None = None,
    ) -> None:
        self._downstream = downstream
        self._filter = filter
        self._clock = clock
        self._error_event = error_event
        self._keepalive = keepalive
        self._on_first = on_first
        self._reads_errors = reads_errors
        self._workers = workers
        self._work: Deferred[bytes] | None = None
        self._withheld = 0
        self._end: tuple[Exception | None, bool] | None = None
        self._pending: list[bytes] = []
        self._passing = False
        self._alive_call: IDelayedCall | None = None
        self._written_at = clock.seconds()
        self._reader: BodyReader | None = None
        self._paused = False
        self._arrived = 0.0
        self.began = False
        self.beginning = b""
        self.bytes_out = 0
        self.busy = 0.0
        self.gaps = Gaps()
        self.done: Deferred[None] = Deferred()

    def start(self, response: IResponse, idle: float, *, inflate: bool = False) -> Deferred[None]:
        """Begin. The result fires when the stream was passed on whole; fails with
        :class:`ExchangeError` when it broke off (the client was told), with :class:`ClientGone` when
        the client left (the upstream was closed).

        :param inflate: see :class:`~ampproxy.upstream.body.BodyReader`.
        """
        self._reader = BodyReader(self, self._clock, idle, IDLE_HINT, inflate=inflate)
        self._downstream.registerProducer(self, True)
        if self._keepalive > 0:
            self._alive_call = self._clock.callLater(self._keepalive, self._stay_alive)
        response.deliverBody(self._reader)
        return self.done

    # The upstream's side (upstream.body.Sink).

    def received(self, data: bytes) -> None:
        """More of the upstream's body, all that one read of its connection brought: passed on at once."""
        if self.done.called:
            return
        if self._passing or self._work is not None:
            # A write can have the client ask for more, which may be here already: it comes after this.
            self._pending.append(data)
            return
        self._pass_on(data)
        if self._pending:
            self._flush()

    def draw(self, source: socket, most: int) -> int:
        """More of it, which the client may have as it is: taken from a socket without being read.

        :param most: bytes.
        :return: how many bytes; 0: they are to be read.
        """
        if not self.began or self._passing or self._pending or self.done.called:
            return 0
        drawn = self._downstream.write_from(source, most)
        self.bytes_out += drawn
        return drawn

    def ended(self, error: Exception | None, *, measured: bool) -> None:
        """The upstream's body is over. Only the dialect's terminal event proves it whole."""
        self._flush()
        if self._work is not None:
            self._end = error, measured
            return
        if self.done.called:
            return
        try:
            self._write(self._filter.end())
        except ExchangeError as truncated:
            self._fail(error if isinstance(error, ExchangeError) else truncated)
            return
        if error is not None and not self._filter.complete:
            self._fail(error if isinstance(error, ExchangeError) else TruncatedStream())
            return
        self._close()
        self._downstream.finish()
        self.done.callback(None)

    # The client's side.

    def pauseProducing(self) -> None:
        """The client does not read: neither do we."""
        self._paused = True
        if self._reader is not None:
            self._reader.pause()

    def resumeProducing(self) -> None:
        """The client reads again."""
        self._paused = False
        if self._reader is not None and self._work is None:
            self._reader.resume()
            # That nothing came meanwhile was the client's doing.
            self._arrived = self._reader.seen

    def stopProducing(self) -> None:
        """The client left."""
        self.client_left()

    def client_left(self) -> None:
        """Close the upstream at once."""
        if self.done.called:
            return
        if self._reader is not None:
            self._reader.stop()
        self._close(connected=False)
        self.done.errback(ClientGone())

    def fail(self, error: ExchangeError) -> None:
        """End the stream from outside: the client is told in its dialect, the upstream is closed."""
        if not self.done.called:
            self._fail(error)

    def _flush(self) -> None:
        """Pass on what waits."""
        while self._pending and self._work is None and not self.done.called:
            data = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
            self._pending.clear()
            self._pass_on(data)

    def _pass_on(self, data: bytes) -> None:
        assert self._reader is not None
        came, before = self._reader.seen, self._arrived
        self._arrived = came
        if before:
            self.gaps.add(came - before)
        if not self.began and len(self.beginning) < QUOTED:
            self.beginning += data[:QUOTED]
        size = len(data)
        # Nearly all that comes is small: no call for that.
        if size + self._withheld > SMALL and self._takes_long(data):
            self._feed_apart(data, came)
            return
        try:
            out = self._filter.feed(data)
        except ExchangeError as error:
            self._fail(error)
            return
        if not out:
            self._withheld += size
            return
        self._withheld = 0
        self._passing = True
        if self.began:
            # As :meth:`_write`, without a call for each event.
            self._written_at = self._clock.seconds()
            self.bytes_out += len(out)
            self._downstream.write(out)
        else:
            self._write(out)
        self._passing = False
        self.busy += self._written_at - came

    def _takes_long(self, data: bytes) -> bool:
        """Whether a huge event may end here, or very many do."""
        size = len(data)
        if self._workers is None:
            return False
        if size + self._withheld > LARGE and any(end in data for end in _ENDS):
            return True
        return size > SMALL and has_more_objects(data, _OBJECTS)

    def _feed_apart(self, data: bytes, came: float) -> None:
        """Feed the filter in a thread; what comes meanwhile waits, and so does the upstream."""
        assert self._workers is not None
        assert self._reader is not None
        self._reader.pause()
        self._work = self._workers.run(partial(self._filter.feed, data), self._withheld + len(data))
        self._work.addCallbacks(partial(self._fed, size=len(data), came=came), self._not_fed)

    def _fed(self, out: bytes, size: int, came: float) -> None:
        self._work = None
        if self.done.called:
            return
        self._withheld = 0 if out else self._withheld + size
        if out:
            self._passing = True
            self._write(out)
            self._passing = False
            self.busy += self._written_at - came
        if self._end is not None:
            self.ended(self._end[0], measured=self._end[1])
            return
        self._flush()
        if self._work is None and not self.done.called and not self._paused:
            self.resumeProducing()

    def _not_fed(self, failure: Failure) -> None:
        self._work = None
        if self.done.called:
            return
        if isinstance(failure.value, ExchangeError):
            self._fail(failure.value)
        else:
            # As where the filter is fed at once: a defect of ours ends the stream.
            self._close()
            self.done.errback(failure)

    def _write(self, out: bytes) -> None:
        if not out:
            return
        if not self.began:
            self.began = True
            self._on_first()
        self._written_at = self._clock.seconds()
        self.bytes_out += len(out)
        self._downstream.write(out)

    def _fail(self, error: ExchangeError) -> None:
        """Tell the client in its dialect, and close without a clean end, which would look like a whole answer
        to a client that overlooks the error.

        A client that has been sent nothing yet can still be told by an honest status, or be served by
        another account: that is the caller's to do.
        """
        if self._reader is not None:
            self._reader.stop()
        if self.began:
            # In a piece of its own: some clients read it only so.
            self._write(error.sent_before)
            self._write(self._error_event(error.error))
        self._close()
        if self.began and self._reads_errors():
            self._downstream.finish()
        elif self.began:
            self._downstream.break_off()
        self.done.errback(error)

    def _stay_alive(self) -> None:
        quiet = self._clock.seconds() - self._written_at
        if quiet >= self._keepalive:
            # A filter that works in a thread is not to be asked for anything.
            if not self._paused and self._work is None:
                self._write(self._filter.keepalive())
            quiet = 0.0
        self._alive_call = self._clock.callLater(self._keepalive - quiet, self._stay_alive)

    def _close(self, *, connected: bool = True) -> None:
        call, self._alive_call = self._alive_call, None
        if call is not None and call.active():
            call.cancel()
        self._pending.clear()
        if connected:
            self._downstream.unregisterProducer()
        # All of them lead to the question, and the client's connection may stay for long.
        self._filter, self._error_event, self._on_first = _OVER, _no_event, _ignore


def _no_event(error: WireError) -> bytes:
    return b""


def _ignore() -> None:
    pass
