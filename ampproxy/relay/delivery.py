"""The answer of one account on its way to the client: streamed, or gathered and sent whole."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from ampproxy.dialects.registry import DIALECTS
from ampproxy.errors import UNREADABLE, ClientGone, ExchangeError, TruncatedStream
from ampproxy.model.loss import Loss
from ampproxy.relay.answer_headers import (
    UNBUFFERED,
    other_headers,
    type_of_stream,
    type_of_whole,
    useful_headers,
)
from ampproxy.relay.bridge import Bridge, ModelRequest, error_event_for, reads_errors
from ampproxy.relay.downstream import Downstream, SlicedBody
from ampproxy.relay.forward import ClientWatch
from ampproxy.relay.quotes import quoted
from ampproxy.relay.record import ExchangeRecord
from ampproxy.relay.settings import ExchangeSettings
from ampproxy.relay.stream import StreamRelay
from ampproxy.relay.workers import ANSWER_OBJECTS, SMALL, takes_long
from ampproxy.routing.route import RouteTarget
from ampproxy.upstream.body import IDLE_HINT, SLICE, collect, whole_body
from ampproxy.upstream.failures import explain
from ampproxy.upstream.held import Share


class Delivery:
    """Brings answers to one client."""

    def __init__(
        self,
        question: ModelRequest,
        downstream: Downstream,
        record: ExchangeRecord,
        settings: ExchangeSettings,
        client_watch: ClientWatch,
    ) -> None:
        self._question = question
        self._downstream = downstream
        self._record = record
        self._settings = settings
        self._config, self._runtime = settings.config, settings.runtime
        self._client_watch = client_watch

    async def serve(
        self,
        response: Any,
        bridge: Bridge,
        origin: str,
        succeeded: Callable[[bytes], None],
        offer: RouteTarget,
    ) -> None:
        """Send the answer of an account to the client, as it comes or whole.

        :param origin: the account and its address, for errors.
        :param succeeded: is called once with the answer's beginning, before any of it is sent.
        :raises ExchangeError: the answer cannot be read, or broke off.
        :raises ClientGone: the client left; the upstream was closed.
        """
        if self._question.stream:
            await self._stream(response, bridge, origin, succeeded, offer)
            return
        share = self._settings.share()
        try:
            await self._whole(response, bridge, origin, succeeded, share)
        finally:
            share.give_back()

    async def _stream(
        self,
        response: Any,
        bridge: Bridge,
        origin: str,
        succeeded: Callable[[bytes], None],
        offer: RouteTarget,
    ) -> None:
        config, runtime, record = self._config, self._runtime, self._record
        client = DIALECTS[self._question.endpoint.dialect]
        stream_filter = bridge.filter()
        if self._settings.pinning is not None:
            stream_filter = self._settings.pinning.watched(stream_filter, self._question, offer)

        def on_first() -> None:
            record.first_byte = runtime.clock.seconds()
            succeeded(relay.beginning)
            # No other account is asked any more, and the stream may take long.
            bridge.body = b""

        relay = StreamRelay(
            self._downstream,
            stream_filter,
            runtime.clock,
            error_event=error_event_for(self._question, client, bridge.error_event),
            keepalive=config.streaming.keepalive_seconds,
            on_first=on_first,
            reads_errors=partial(reads_errors, self._question, client),
            workers=runtime.workers,
        )
        self._begin(response, bridge.content_type or type_of_stream(response.headers, listed=bridge.listed))
        headers = self._downstream.responseHeaders
        headers.by_name[b"cache-control"] = [b"no-cache"]
        headers.setRawHeaders(*UNBUFFERED)
        self._client_watch.on_end(relay.client_left, relay.fail)
        try:
            await relay.start(response, config.timeouts.idle, inflate=True)
        except ExchangeError as fault:
            raise self._placed(fault, origin, relay.beginning) from None
        finally:
            record.bytes_out, record.busy, record.gaps = relay.bytes_out, relay.busy, relay.gaps
            record.usage = bridge.usage
            record.losses = (*bridge.losses, *bridge.answer_losses)
        self._note(bridge)

    def _note(self, bridge: Bridge) -> None:
        """Keep the error that an answer told of, which the client has got."""
        record = self._record
        if (error := bridge.failed) is not None:
            record.stream_error = error
            record.attempts.append(f"{record.account}: {error.status} {error.message}")

    async def _whole(
        self, response: Any, bridge: Bridge, origin: str, succeeded: Callable[[bytes], None], share: Share
    ) -> None:
        config, runtime, record = self._config, self._runtime, self._record
        body_in = b""
        try:
            body_in = await self.collect(
                response, config.limits.max_answer, " (setting: limits.max-answer)", share
            )
            came = runtime.clock.seconds()
            render = partial(_rendered, bridge, body_in)
            if len(body_in) > SMALL and takes_long(body_in, ANSWER_OBJECTS):
                body, lost = await self._client_watch.wait_for(runtime.workers.run(render, len(body_in)))
            else:
                body, lost = render()
        except ExchangeError as fault:
            raise self._placed(fault, origin, body_in) from None
        record.first_byte = runtime.clock.seconds()
        record.busy = record.first_byte - came
        succeeded(body_in)
        record.usage = bridge.usage
        record.losses = (*bridge.losses, *lost)
        record.bytes_out = len(body)
        self._begin(response, bridge.content_type or type_of_whole(response.headers))
        self._downstream.responseHeaders.by_name[b"content-length"] = [b"%d" % len(body)]
        if len(body) <= SLICE:
            self._downstream.write(body)
        else:
            sliced = SlicedBody(self._downstream, body)
            # The client's leaving it hears of itself, as a producer.
            self._client_watch.on_end(lambda: None, lambda _: sliced.stopProducing())
            await sliced.start()
            self._client_watch.check()
        self._downstream.finish()
        self._note(bridge)

    def _placed(self, fault: ExchangeError, origin: str, beginning: bytes) -> ExchangeError:
        """The fault of an answer that cannot be read, with whose it was and how it begins."""
        if fault.error.code == UNREADABLE or isinstance(fault, TruncatedStream):
            words = quoted(beginning, self._settings.redactor)
            begins = f" and begins with: {words}" if words else ""
            message = f"{fault.error.message} It came from {origin}{begins}"
            fault.error = msgspec.structs.replace(fault.error, message=message)
        return fault

    def _begin(self, response: Any, content_type: bytes) -> None:
        self._record.status = response.code
        self._downstream.setResponseCode(response.code)
        headers = self._downstream.responseHeaders.by_name
        for name, value in self.headers_of(response):
            headers[name] = [value]
        headers[b"content-type"] = [content_type]

    def headers_of(self, response: Any) -> list[tuple[bytes, bytes]]:
        """The headers of a vendor's answer that the client gets."""
        settings, headers = self._settings, response.headers
        found = other_headers(headers, settings.redactor) if self._config.passthrough_headers else []
        # A client with limits of its own hears of those, not of the account's.
        ours = self._downstream.responseHeaders
        found = [pair for pair in found if not ours.hasHeader(pair[0])]
        return found + useful_headers(headers, longest_wait=settings.longest_wait, wall=self._runtime.wall())

    async def collect(self, response: Any, limit: int, hint: str = "", share: Share | None = None) -> bytes:
        """Gather the body of an answer.

        :param limit: bytes.
        :raises ExchangeError: it is larger, breaks off, or takes too long.
        :raises ClientGone: the client left; the upstream was closed.
        """
        whole = whole_body(response, limit, inflate=True)
        if whole is not None:
            if share is not None:
                share.grow(len(whole))
            return whole
        gathering = collect(
            response,
            limit=limit,
            clock=self._runtime.clock,
            idle=self._config.timeouts.idle,
            limit_hint=hint,
            idle_hint=IDLE_HINT,
            share=share,
            inflate=True,
        )
        try:
            body: bytes = await self._client_watch.wait_for(gathering)
        except (ClientGone, ExchangeError):
            raise
        except Exception as error:
            raise explain(error, self._record.account) from None
        return body


def _rendered(bridge: Bridge, body: bytes) -> tuple[bytes, tuple[Loss, ...]]:
    """A whole answer as the client gets it, and what it lost."""
    return bridge.whole(body), bridge.answer_losses
