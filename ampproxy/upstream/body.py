"""Bodies of requests and answers, piece by piece."""

from __future__ import annotations

from typing import Protocol as TypingProtocol
from typing import cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse

from ampproxy.errors import ExchangeError, UnreadableAnswer, UpstreamFault, UpstreamTimeout
from ampproxy.http.bodies import SLICE, BytesProducer
from ampproxy.upstream.held import Share
from ampproxy.upstream.inflate import GZIP, Sniff
from ampproxy.wire.pieces import add

__all__ = ["IDLE_HINT", "SLICE", "BodyReader", "BytesProducer", "Sink", "collect"]


class Sink(TypingProtocol):
    """Who is told of an answer's body."""

    def received(self, data: bytes) -> None:
        """More of it."""

    def ended(self, error: Exception | None, *, measured: bool) -> None:
        """It is over: whole as far as HTTP can tell (``error`` is ``None``), or broken off.

        :param measured: HTTP itself said where it ends; else the connection's end was taken for it.
        """


#: What an error adds where a setting says how long an answer may pause.
IDLE_HINT = " (setting: timeouts.idle)"


class BodyReader(Protocol):
    """Hands an answer's body to a sink, and watches that it does not fall silent.

    :param idle: seconds without a byte until the upstream counts as dead, while it is not paused.
    :param hint: what an error adds about them.
    :param inflate: whether a body that is gzip without saying so is inflated.
    :ivar seen: when the last bytes came.
    """

    def __init__(
        self, sink: Sink, clock: IReactorTime, idle: float, hint: str = "", *, inflate: bool = False
    ) -> None:
        self._sniff = Sniff() if inflate else None
        self._sink: Sink | None = sink
        self._clock = clock
        self._idle = idle
        self._hint = hint
        self.seen = clock.seconds()
        self._paused = False
        self._timer: IDelayedCall | None = clock.callLater(idle, self._check)

    def dataReceived(self, data: bytes) -> None:
        """More of the body."""
        self.seen = self._clock.seconds()
        if self._sniff is not None:
            data = self._decoded(self._sniff, data)
        if self._sink is not None and data:
            self._sink.received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The body is over."""
        measured = reason.check(ResponseDone) is not None
        whole = measured or reason.check(PotentialDataLoss) is not None
        if whole and self._sniff is not None:
            try:
                rest = self._sniff.end()
            except UnreadableAnswer as cut:
                self._finish(cut, measured)
                return
            if rest and self._sink is not None:
                self._sink.received(rest)
        self._finish(None if whole else cast(Exception, reason.value), measured)

    def _decoded(self, sniff: Sniff, data: bytes) -> bytes:
        try:
            out = sniff.feed(data)
        except UnreadableAnswer as broken:
            sink = self._sink
            self.stop()
            if sink is not None:
                sink.ended(broken, measured=False)
            return b""
        if sniff.found is False:
            self._sniff = None
        return out

    def pause(self) -> None:
        """The client does not take more for now. The upstream's silence is then no fault of its own."""
        if not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pauseProducing()  # type: ignore[attr-defined]

    def resume(self) -> None:
        """The client takes more."""
        if self._paused and self.transport is not None:
            self._paused = False
            self.seen = self._clock.seconds()
            self.transport.resumeProducing()  # type: ignore[attr-defined]

    def stop(self) -> None:
        """Nobody wants the rest: close the upstream's connection and say nothing more."""
        self._sink = None
        self._cancel()
        if self.transport is not None:
            # The way that works while paused and over TLS, where loseConnection() leaves it open.
            self.transport.stopProducing()  # type: ignore[attr-defined]

    def _check(self) -> None:
        quiet = self._clock.seconds() - self.seen
        if quiet >= self._idle and not self._paused:
            self._timer = None
            sink = self._sink
            self.stop()
            if sink is not None:
                error = UpstreamTimeout.of(
                    "timeout", f"The upstream sent nothing for {self._idle:g} s{self._hint}.", retryable=True
                )
                sink.ended(error, measured=False)
            return
        again = self._idle if self._paused else self._idle - quiet
        self._timer = self._clock.callLater(max(again, 0.01), self._check)

    def _finish(self, error: Exception | None, measured: bool) -> None:
        self._cancel()
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.ended(error, measured=measured)
        # It leads back here.
        self.transport = None

    def _cancel(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


class _Collector:
    """Gathers a body into one value."""

    def __init__(self, limit: int, hint: str, share: Share | None = None) -> None:
        self._limit = limit
        self._hint = hint
        self._share = share
        self._pieces: list[bytes] = []
        self._size = 0
        self.reader: BodyReader | None = None
        self.done: Deferred[bytes] = Deferred(self._cancelled)

    def received(self, data: bytes) -> None:
        self._size += len(data)
        try:
            if self._size > self._limit:
                message = f"The upstream's answer is larger than {self._limit} bytes{self._hint}."
                raise UpstreamFault.of("unavailable", message)
            if self._share is not None:
                self._share.grow(len(data))
        except ExchangeError as error:
            self._cancelled(self.done)
            self.done.errback(error)
            return
        add(self._pieces, data)

    def ended(self, error: Exception | None, *, measured: bool) -> None:
        if self.done.called:
            return
        if error is None:
            self.done.callback(self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces))
        else:
            self.done.errback(error)

    def _cancelled(self, _: Deferred[bytes]) -> None:
        if self.reader is not None:
            self.reader.stop()


def collect(
    response: IResponse,
    *,
    limit: int,
    clock: IReactorTime,
    idle: float,
    limit_hint: str = "",
    idle_hint: str = "",
    share: Share | None = None,
    inflate: bool = False,
) -> Deferred[bytes]:
    """The whole body of an answer. Cancelling it closes the upstream's connection.

    :param limit_hint: what an error adds about the limit; likewise ``idle_hint``.
    :param share: what it takes of the bodies that may be held; whoever gives it gives it back.
    :param inflate: whether a body that is gzip without saying so is inflated; the limit is that of what comes
        out.
    :raises GatewayFault: there is no room for it.
    :raises UpstreamFault: it is larger than ``limit`` bytes.
    :raises UpstreamTimeout: nothing came for ``idle`` seconds.
    """
    whole = whole_body(response, limit, inflate=inflate)
    if whole is not None:
        return _at_once(whole, share)
    collector = _Collector(limit, limit_hint, share)
    collector.reader = BodyReader(collector, clock, idle, idle_hint, inflate=inflate)
    response.deliverBody(collector.reader)
    return collector.done


def whole_body(response: IResponse, limit: int, *, inflate: bool = False) -> bytes | None:
    """The body of an answer that came in one piece with its head; ``None``: it has to be waited for.

    :param limit: bytes.
    :param inflate: whether a body that is gzip without saying so is to be inflated, and not given here.
    """
    whole: bytes | None = getattr(response, "whole", None)
    if whole is None or len(whole) > limit or (inflate and whole.startswith(GZIP)):
        return None
    return whole


def _at_once(whole: bytes, share: Share | None) -> Deferred[bytes]:
    """A body that was all there with the answer's head."""
    try:
        if share is not None:
            share.grow(len(whole))
    except ExchangeError:
        return fail()
    return succeed(whole)
