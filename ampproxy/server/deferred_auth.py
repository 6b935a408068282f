"""A request that waits until somebody elsewhere has said whether it is let in."""

from __future__ import annotations

from typing import Any, Protocol, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ampproxy.errors import ExchangeError
from ampproxy.wire.pieces import add


class AwaitingRequest(Protocol):
    """What is needed of the request that waits: :class:`~ampproxy.server.site.GatewayRequest`."""

    pending: AwaitingAuth | None
    received: bool
    length: int | None
    body: Any
    channel: Any

    @property
    def gone(self) -> bool:
        """Whether the client has left."""

    @property
    def outdated(self) -> bool:
        """Whether another configuration has come in force meanwhile."""

    def find(self) -> Deferred[None] | None:
        """Find the resource anew, and have it admit the request."""

    def accept(self) -> None:
        """Take the body, as the resource wants it."""

    def handleContentChunk(self, data: bytes) -> None:
        """More of the body."""

    def body_is_whole(self) -> None:
        """All of it has come."""

    def reject_early(self, refusal: ExchangeError) -> None:
        """Answer with an error though the body may not be in."""

    def processingFailed(self, reason: Failure) -> Failure:
        """Answer with an internal error."""


class AwaitingAuth:
    """Has the client wait with its body. What of it has come already, a piece that was read with the headers,
    is kept.

    :param waiting: fires when the request is let in; fails with an :class:`ExchangeError` when it is not.
    """

    def __init__(self, request: AwaitingRequest, waiting: Deferred[None]) -> None:
        self._request = request
        self._waiting = waiting
        self._early: list[bytes] = []

    def begin(self) -> None:
        """Stop the client, until it is known."""
        request = self._request
        request.pending = self
        if request.length != 0:
            request.channel.hold_body()
        self._waiting.addCallbacks(lambda _: self._accept(), self._reject)
        self._waiting.addErrback(request.processingFailed)

    def push(self, data: bytes) -> None:
        """More of the body."""
        add(self._early, data)

    def drop(self) -> None:
        """Nobody wants the body any more."""
        self._early.clear()

    def _accept(self) -> None:
        request = self._request
        request.pending = None
        if request.gone:
            return
        try:
            if request.outdated:
                waiting = request.find()
                if waiting is not None:
                    self._waiting = waiting
                    self.begin()
                    return
            request.accept()
        except ExchangeError as refusal:
            request.reject_early(refusal)
        for data in self._early:
            request.handleContentChunk(data)
        if request.received:
            request.body_is_whole()
        elif not request.gone and not getattr(request.body, "held", False):
            request.channel.go_on_with_body()

    def _reject(self, failure: Failure) -> None:
        request = self._request
        request.pending = None
        if request.gone:
            return
        if not request.received:
            request.channel.go_on_with_body()
        failure.trap(ExchangeError)
        request.reject_early(cast(ExchangeError, failure.value))
