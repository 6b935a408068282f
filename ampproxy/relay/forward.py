"""Requests handed on to the Amp upstream as they are, and its answers handed back as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.web.http import NO_BODY_CODES
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer, IResponse

from ampproxy.errors import ClientGone, ExchangeError
from ampproxy.http.client_answer import Answer
from ampproxy.http.deadlines import Deadlines
from ampproxy.http.headers import LowerHeaders
from ampproxy.relay.answer_headers import UNBUFFERED
from ampproxy.relay.downstream import Downstream
from ampproxy.relay.filters import Chain, Filter, GunzipFilter, IdentityFilter
from ampproxy.relay.record import ExchangeRecord
from ampproxy.relay.stream import StreamRelay
from ampproxy.upstream.body import SLICE, whole_body
from ampproxy.upstream.failures import died_unanswered, explain
from ampproxy.wire.headers import Header, response_headers


class Meter(Protocol):
    """What sees an answer go by."""

    def feed(self, data: bytes) -> None:
        """More of it."""


class _Metered:
    """A filter whose output a meter sees."""

    complete = False

    def __init__(self, inner: Filter, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    def feed(self, data: bytes) -> bytes:
        return self._seen(self._inner.feed(data))

    def end(self) -> bytes:
        return self._seen(self._inner.end())

    def keepalive(self) -> bytes:
        return b""

    def _seen(self, out: bytes) -> bytes:
        if out:
            self._meter.feed(out)
        return out


class Sends(Protocol):
    """What sends a request: ``UpstreamClient``."""

    def send(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: IBodyProducer | None = None,
        proxy: str | None = None,
    ) -> Deferred[Any]:
        """Send it; the result is an ``IResponse``."""


class Change(Protocol):
    """What becomes of an answer on its way back."""

    def headers(self, headers: list[Header]) -> list[Header]:
        """Its headers, as the client gets them."""

    def body(self, status: int, headers: Headers) -> Filter | None:
        """What changes its body, in plain text; ``None``: nothing does.

        :param headers: as the upstream sent them.
        """


#: Methods that change nothing (RFC 9110, section 9.2.1).
_SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(slots=True)
class Forward:
    """One request to be handed on.

    :param headers: as they are to be sent, credentials included.
    :param url: with the query.
    :param origin: how errors name the upstream.
    :param proxy: the URL of the proxy to go through; it may hold a password.
    :param meter: sees the body of an answer that is no error.
    :param change: what is changed of the answer.
    """

    method: str
    url: str
    headers: Headers
    body: IBodyProducer | None
    origin: str
    record: ExchangeRecord
    proxy: str | None = field(default=None, repr=False)
    meter: Meter | None = None
    change: Change | None = None


async def forward(
    what: Forward,
    downstream: Downstream,
    *,
    client: Sends,
    clock: IReactorTime,
    deadlines: Deadlines,
    first_byte: float,
    idle: float,
    mark: Callable[[Headers], None],
) -> None:
    """Send it, and pass the answer back with back-pressure, whatever its status. An answer that is to be
    changed comes back without a length; one in a coding that we cannot undo is not changed. What only asks
    is sent once more where a kept connection turns out to be closed.

    :param mark: adds our own response headers.
    :raises ExchangeError: no answer came; nothing was sent to the client.
    :raises ClientGone: the client left; the upstream was closed.
    """
    gone = ClientWatch(downstream)
    again = _no_body if what.body is None and what.method in _SAFE else None
    response = await sent(
        what, gone, client=client, clock=clock, deadlines=deadlines, first_byte=first_byte, body=again
    )
    await pass_back(what, response, downstream, gone, clock=clock, idle=idle, mark=mark)


def _no_body() -> None:
    return None


async def sent(
    what: Forward,
    gone: ClientWatch,
    *,
    client: Sends,
    clock: IReactorTime,
    deadlines: Deadlines,
    first_byte: float,
    body: Callable[[], IBodyProducer | None] | None = None,
) -> IResponse:
    """Send it; gives the answer's headers, whatever its status.

    :param body: makes the body anew: a kept connection that the other side had closed is then tried once
        more. ``None``: it can be sent but once.
    :raises ExchangeError: no answer came; nothing was sent to the client.
    :raises ClientGone: the client left; the upstream was closed.
    """
    for again in (False, True):
        try:
            produced = what.body if body is None else body()
            sending = client.send(what.method, what.url, what.headers, produced, what.proxy)
            if what.record.sent is None:
                what.record.sent = clock.seconds()
            response: IResponse = await gone.wait_for(sending, deadlines, first_byte)
        except (ClientGone, ExchangeError):
            raise
        except Exception as error:
            if again or body is None or not died_unanswered(error):
                raise explain(error, what.origin, serving=True) from None
        else:
            return response
    raise AssertionError("unreachable")


async def pass_back(
    what: Forward,
    response: IResponse,
    downstream: Downstream,
    gone: ClientWatch,
    *,
    clock: IReactorTime,
    idle: float,
    mark: Callable[[Headers], None],
) -> None:
    """Pass an answer back with back-pressure; see :func:`forward`.

    :raises ExchangeError: it broke off.
    :raises ClientGone: the client left; the upstream was closed.
    """
    record = what.record
    record.status = response.code
    headers = downstream.responseHeaders
    downstream.setResponseCode(response.code, response.phrase)
    headers.removeHeader(b"Content-Type")
    sniffer = _filter_for(response)
    change = None if what.change is None else what.change.body(response.code, response.headers)
    if change is not None and not _is_coded(response):
        sniffer = Chain(sniffer, change)
    for name, value in _passing(response, what.change, changes=sniffer.changed):
        # Twisted's decoder leaves an empty Content-Encoding behind.
        if (value or name.lower() != b"content-encoding") and not _ours(name, headers):
            headers.addRawHeader(name, value)
    mark(headers)
    if _is_stream(response):
        record.stream = True
        headers.setRawHeaders(*UNBUFFERED)
    length = response.length
    # The length of an answer without a body is that of the one it stands for (RFC 9110, section 8.6).
    bodiless = what.method == "HEAD" or response.code in NO_BODY_CODES

    def on_first() -> None:
        record.first_byte = clock.seconds()
        if length != UNKNOWN_LENGTH and not sniffer.changed and not bodiless:
            headers.setRawHeaders(b"Content-Length", [b"%d" % length])

    metered = sniffer if what.meter is None or response.code >= 400 else _Metered(sniffer, what.meter)
    whole = whole_body(response, SLICE)
    if whole:
        # Nearly all of Amp's answers: there is nothing to wait for, and nobody to be held back.
        came = clock.seconds()
        out = metered.feed(whole) + metered.end()
        on_first()
        record.bytes_out = len(out)
        downstream.write(out)
        downstream.finish()
        record.busy = clock.seconds() - came
        return
    relay = StreamRelay(downstream, metered, clock, error_event=lambda _: b"", keepalive=0, on_first=on_first)
    if length == 0:
        on_first()
    gone.on_end(relay.client_left, relay.fail)
    if isinstance(response, Answer) and metered is sniffer:
        response.draw = lambda source, most: 0 if sniffer.changed else relay.draw(source, most)
    try:
        await relay.start(response, idle)
    finally:
        record.bytes_out, record.busy = relay.bytes_out, relay.busy
        if record.stream:
            record.gaps = relay.gaps


def pairs(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Headers as pairs, in order; a name that comes several times stays several times. Where they were read
    by our own parser, names are in lower case.
    """
    if isinstance(headers, LowerHeaders):
        return headers.pairs()
    return [(name, value) for name, values in headers.getAllRawHeaders() for value in values]


def _passing(response: IResponse, change: Change | None, *, changes: bool) -> list[Header]:
    kept = response_headers(pairs(response.headers), body_changes=changes)
    return kept if change is None else change.headers(kept)


def _is_coded(response: IResponse) -> bool:
    return any(response.headers.getRawHeaders(b"content-encoding") or ())


def _filter_for(response: IResponse) -> IdentityFilter:
    if _is_coded(response):
        return IdentityFilter()
    return IdentityFilter() if _is_stream(response) else GunzipFilter()


def _is_stream(response: IResponse) -> bool:
    kinds = response.headers.getRawHeaders(b"content-type") or ()
    return any(kind.lower().startswith(b"text/event-stream") for kind in kinds)


def _ours(name: bytes, headers: Headers) -> bool:
    """Whether an upstream's header is one that we have set: the upstream is a gateway like this one."""
    return name.lower().startswith(b"x-ampproxy-") and headers.hasHeader(name)


class ClientWatch:
    """Watches for what ends an exchange from outside, from the first moment on: the client's leaving, and its
    being aborted.
    """

    def __init__(self, downstream: Downstream) -> None:
        self.left = False
        self._aborted: ExchangeError | None = None
        self._on_leave: Callable[[], Any] | None = None
        self._on_abort: Callable[[ExchangeError], Any] | None = None
        downstream.on_leave = self._leave
        downstream.on_abort = self._abort

    def _leave(self) -> None:
        self.left = True
        on_leave, self._on_leave = self._on_leave, None
        if on_leave is not None:
            on_leave()

    def _abort(self, error: ExchangeError) -> None:
        if self._aborted is not None:
            return
        self._aborted = error
        on_abort, self._on_abort = self._on_abort, None
        if on_abort is not None:
            on_abort(error)

    def on_end(self, on_leave: Callable[[], Any], on_abort: Callable[[ExchangeError], Any]) -> None:
        """Call one of these when the exchange ends so; at once if it has.

        :param on_abort: gets what the client is to be told.
        """
        if self.left:
            on_leave()
        elif self._aborted is not None:
            on_abort(self._aborted)
        else:
            self._on_leave, self._on_abort = on_leave, on_abort

    def check(self) -> None:
        """Go on only if nothing of that has happened.

        :raises ClientGone: the client left.
        :raises ExchangeError: the exchange was aborted.
        """
        if self.left:
            raise ClientGone()
        if self._aborted is not None:
            raise self._aborted

    async def wait_for(
        self, waiting: Deferred[Any], deadlines: Deadlines | None = None, within: float = 0
    ) -> Any:
        """Wait, but not longer than that: it cancels ``waiting``.

        :param deadlines: where there is a limit, what counts it.
        :param within: the limit, in seconds; it may be one tick of ``deadlines`` longer.
        :raises ClientGone: the client left.
        :raises ExchangeError: the exchange was aborted.
        :raises TimeoutError: of Twisted's: the limit is over.
        """
        self.on_end(waiting.cancel, lambda _: waiting.cancel())
        deadline = None if deadlines is None else deadlines.after(within, waiting.cancel)
        try:
            return await waiting
        except Exception as error:
            self.check()
            if deadline is not None and not deadline.active and isinstance(error, CancelledError):
                raise TimeoutError(within, "Deferred") from None
            raise
        finally:
            self._on_leave = self._on_abort = None
            if deadline is not None:
                deadline.end()
