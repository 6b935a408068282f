"""A bridge to an account whose vendor puts something around its dialect."""

from __future__ import annotations

from collections.abc import Mapping

from ampproxy.errors import ClientFault
from ampproxy.interfaces import StreamFilter
from ampproxy.model.events import Usage, WireError
from ampproxy.model.loss import Loss
from ampproxy.providers import Provider
from ampproxy.providers.base import Envelope
from ampproxy.relay.bridge import Bridge, ModelRequest
from ampproxy.relay.kept import Kept
from ampproxy.routing.route import RouteTarget
from ampproxy.wire.sse import EventCutter


def enveloped(
    bridge: Bridge,
    provider: Provider,
    question: ModelRequest,
    offer: RouteTarget,
    *,
    strict: bool = False,
    kept: Kept | None = None,
) -> Bridge:
    """The same bridge, or where the vendor wants it one within the vendor's wrapping.

    :param strict: refuse what the wrapping cannot say.
    :param kept: keeps the answer, for the vendor does not; ``None``: it is not kept, or by the bridge.
    :raises ampproxy.errors.ExchangeError: the account cannot be asked this.
    """
    packed = provider.packed(
        question.endpoint, offer.upstream_model, bridge.body, stream=question.stream, query=question.query
    )
    if packed is None:
        return bridge
    if strict and packed.losses:
        loss = packed.losses[0]
        raise ClientFault.of("invalid_request", f"{loss.why} (translation: strict)", param=loss.path)
    return EnvelopedBridge(bridge, packed, kept)


class EnvelopedBridge:
    """A bridge whose body is wrapped on the way out, and whose answers are unwrapped first."""

    def __init__(self, bridge: Bridge, packed: Envelope, kept: Kept | None = None) -> None:
        self._bridge = bridge
        self._kept = kept
        self._packed = packed
        self.body, bridge.body = packed.body, b""
        self.headers: Mapping[str, str] = bridge.headers
        self.losses: tuple[Loss, ...] = (*bridge.losses, *packed.losses)
        self.content_type = bridge.content_type or packed.content_type
        self.listed = bridge.listed
        self.spoken = bridge.spoken

    def filter(self) -> StreamFilter:
        """See :meth:`ampproxy.relay.bridge.Bridge.filter`."""
        chain = _Chain(self._packed, self._bridge.filter())
        return chain if self._kept is None else _Keeping(chain, self._kept)

    def whole(self, body: bytes) -> bytes:
        """See :meth:`ampproxy.relay.bridge.Bridge.whole`."""
        # What the wrapping said of a streamed list does not hold for a whole answer.
        self.content_type = self._bridge.content_type or b"application/json"
        answer = self._bridge.whole(self._packed.whole(body))
        if self._kept is not None:
            self._kept.answer(answer)
        return answer

    def error_event(self, error: WireError) -> bytes:
        """See :meth:`ampproxy.relay.bridge.Bridge.error_event`."""
        return self._bridge.error_event(error)

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> WireError:
        """See :meth:`ampproxy.relay.bridge.Bridge.parse_error`."""
        return self._bridge.parse_error(status, headers, body)

    def error_body(self, error: WireError, original: bytes) -> bytes:
        """See :meth:`ampproxy.relay.bridge.Bridge.error_body`."""
        return self._bridge.error_body(error, original)

    @property
    def usage(self) -> Usage | None:
        """See :meth:`ampproxy.relay.bridge.Bridge.usage`."""
        return self._bridge.usage

    @property
    def failed(self) -> WireError | None:
        """See :attr:`ampproxy.relay.bridge.Bridge.failed`."""
        return self._bridge.failed

    @property
    def answer_losses(self) -> tuple[Loss, ...]:
        """See :attr:`ampproxy.relay.bridge.Bridge.answer_losses`."""
        return self._bridge.answer_losses


class _Chain:
    """The vendor's wrapping off, then what the bridge does."""

    def __init__(self, packed: Envelope, inner: StreamFilter) -> None:
        self._packed = packed
        self._inner = inner

    def feed(self, data: bytes) -> bytes:
        unwrapped = self._packed.feed(data)
        return self._inner.feed(unwrapped) if unwrapped else b""

    def end(self) -> bytes:
        rest = self._packed.end()
        return (self._inner.feed(rest) if rest else b"") + self._inner.end()

    @property
    def complete(self) -> bool:
        return self._inner.complete

    def keepalive(self) -> bytes:
        return self._inner.keepalive()


class _Keeping:
    """A stream whose events are kept as its client gets them."""

    def __init__(self, inner: StreamFilter, kept: Kept) -> None:
        self._inner = inner
        self._kept = kept
        self._cutter = EventCutter()

    def feed(self, data: bytes) -> bytes:
        return self._seen(self._inner.feed(data))

    def end(self) -> bytes:
        return self._seen(self._inner.end())

    @property
    def complete(self) -> bool:
        return self._inner.complete

    def keepalive(self) -> bytes:
        return self._inner.keepalive()

    def _seen(self, out: bytes) -> bytes:
        whole = self._cutter.feed(out) if out else b""
        if whole:
            self._kept.events(whole)
        return out
