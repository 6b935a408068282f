"""Signs of life in a stream before its vendor has begun it: an edge in front of the gateway cuts what does
not begin in time.
"""

from __future__ import annotations

import msgspec
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ampproxy.dialects.base import Dialect
from ampproxy.errors import ExchangeError
from ampproxy.relay.answer_headers import UNBUFFERED
from ampproxy.relay.record import ExchangeRecord
from ampproxy.server.site import GatewayRequest


class EarlySign:
    """Begins the answer to one request, where nobody else has begun it by then.

    Other accounts may still be asked after that, for nothing of an answer has been sent; but the status is
    200 for good, so that an error becomes the stream's.

    :param every: seconds between two signs; 0: there is but one.
    """

    def __init__(
        self,
        request: GatewayRequest,
        record: ExchangeRecord,
        dialect: Dialect,
        clock: IReactorTime,
        every: float,
    ) -> None:
        self._request = request
        self._record = record
        self._dialect = dialect
        self._clock = clock
        self._every = every
        self._call: IDelayedCall | None = None
        self._begun = False

    def begin_in(self, seconds: float) -> None:
        """Send the first sign then."""
        self._call = self._clock.callLater(seconds, self._send)

    def stop(self) -> None:
        """Send no more."""
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()

    def fail(self, error: ExchangeError) -> None:
        """Nobody answers: say so in the stream, if its beginning is ours and all that there is of it."""
        request = self._request
        if self._begun and self._record.first_byte is None and not request.gone:
            told = msgspec.structs.replace(error.error, request_id=request.request_id)
            request.write(self._dialect.error_event(told))

    def _send(self) -> None:
        self._call = None
        request, events = self._request, self._dialect.passthrough.events
        if request.gone or request.finished or events is None or self._record.first_byte is not None:
            return
        if not self._begun:
            if request.startedWriting:
                return
            self._begin()
        request.write(events.keepalive)
        if self._every:
            self._call = self._clock.callLater(self._every, self._send)

    def _begin(self) -> None:
        self._begun = True
        self._record.status = 200
        self._request.setResponseCode(200)
        headers = self._request.responseHeaders
        headers.setRawHeaders(b"Content-Type", [b"text/event-stream; charset=utf-8"])
        headers.setRawHeaders(b"Cache-Control", [b"no-cache"])
        headers.setRawHeaders(*UNBUFFERED)
