"""What all our resources share."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from ampproxy.errors import ClientFault, ClientGone, ExchangeError, bare
from ampproxy.generation import Generation
from ampproxy.http.server_request import NOT_DONE_YET
from ampproxy.model.events import WireError
from ampproxy.relay.record import SERVING, ExchangeRecord, Outcome
from ampproxy.server.coroutines import begin
from ampproxy.server.guard import ANONYMOUS
from ampproxy.server.running import DetachedExchange
from ampproxy.server.site import GatewayRequest
from ampproxy.tenants.tenant import Tenant, check_route
from ampproxy.wire.redact import LOOKED_AT, printable

#: Tells the client where its request went: ``local``, ``mapped``, ``amp``, ``none`` or ``management``.
ROUTE_HEADER = b"X-Ampproxy-Route"


#: The methods that are served, or handed on; no client of Amp's has any other.
METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")
_THREAD = b"x-amp-thread-id"
_SHOWN = {method: method.decode() for method in METHODS}


class GatewayResource(Resource):
    """A leaf that admits a request by its headers and answers it in its own time.

    :cvar streams_body: render as soon as the headers are there; ``request.body`` is then a pipe.
    :ivar opened_by_links: a page to which pages of other sites may lead their users.
    :cvar route_class: what a client's key must open (:func:`ampproxy.tenants.tenant.check_route`); empty: it
        is for everybody.
    """

    isLeaf = True
    streams_body = False
    opened_by_links = False
    route_class: ClassVar[str] = ""

    def __init__(self, generation: Generation) -> None:
        Resource.__init__(self)  # not super(): a proxy resource has arguments of its own
        self.generation = generation

    def authorize(self, request: GatewayRequest) -> Deferred[None] | None:
        """Let the request in, by its headers alone.

        :return: ``None``: it is let in. Else it is when this fires, and refused when it fails.
        :raises ExchangeError: it is refused.
        """
        if not request.path.startswith(b"/"):
            # Put behind an upstream's origin, anything else would change whose origin that is.
            raise ClientFault.of("invalid_request", "The path does not begin with a slash.")
        if request.method not in METHODS:
            # TRACE would show the owner's key to the client; what the others do, nobody here knows.
            request.responseHeaders.setRawHeaders(b"Allow", [b", ".join(METHODS)])
            raise ClientFault.of(
                "invalid_request",
                f"The method {printable(request.method[:40].decode('latin-1'))} is not allowed here.",
                status=405,
                code="method_not_allowed",
            )
        if request.path_refusal is not None:
            raise request.path_refusal
        guard = self.generation.guard
        page = self.opened_by_links and request.method in (b"GET", b"HEAD")
        guard.check_browser(request.requestHeaders, secure=request.isSecure(), page=page)
        if guard.open and not request.is_local():
            # The service does not listen like that; a proxy on this machine or a reload can bring it about.
            raise ClientFault.of(
                "permission",
                "No api-keys are configured, so only requests from this machine are accepted"
                " (setting: api-keys).",
            )
        return None

    def check_again(self, tenant: Tenant) -> None:
        """See that a client whose rights are others now may still have what is under way here.

        :raises ClientFault: it may not.
        """
        if self.route_class:
            check_route(tenant, self.route_class)

    def render(self, request: GatewayRequest) -> Any:
        """Answer it."""
        raise NotImplementedError

    def record(self, request: GatewayRequest) -> ExchangeRecord:
        """What will be told of this request."""
        headers = request.requestHeaders.by_name
        return ExchangeRecord(
            started=self.generation.runtime.clock.seconds(),
            method=_SHOWN.get(request.method) or printable(request.method[:LOOKED_AT].decode("latin-1")),
            path=printable_path(request),
            request=request.request_id,
            client=(request.client_key or ANONYMOUS).label,
            thread=_thread(headers[_THREAD]) if _THREAD in headers else "",
        )

    def reject_unserved(self, request: GatewayRequest, refusal: ExchangeError) -> None:
        """Refuse a request before it was served, and say so in the log."""
        record = self.record(request)
        record.status, record.code = refusal.error.status, refusal.error.code or refusal.error.kind
        self.send_error(request, refusal)
        record.bytes_out = request.sentLength
        self.generation.end(record, Outcome.REFUSED, refusal.error.message)

    def send_error(self, request: GatewayRequest, refusal: ExchangeError) -> None:
        """Answer with an error, in the plain form that Amp's control plane reads."""
        answer_error(request, refusal.error, error_body(refusal.error, request.request_id))

    def run(
        self, request: GatewayRequest, record: ExchangeRecord, work: Awaitable[DetachedExchange | None]
    ) -> object:
        """Serve a request by a coroutine: whatever it raises becomes an answer, and one log line.

        :param work: may return what goes on when the request has been answered, and will end the record
            itself.
        """
        # The coroutine keeps the context in which it begins, through all that it waits for.
        outside = SERVING.set(record.request)
        try:
            begin(self._run(request, record, work))
        finally:
            SERVING.reset(outside)
        return NOT_DONE_YET

    async def _run(
        self, request: GatewayRequest, record: ExchangeRecord, work: Awaitable[DetachedExchange | None]
    ) -> None:
        runtime = self.generation.runtime
        runtime.running.begin(request)
        runtime.live[id(record)] = record
        try:
            try:
                detached = await work
            except GeneratorExit:
                raise
            except BaseException as error:
                try:
                    self._failed(request, record, error)
                finally:
                    # It has come through everything that holds the request and its body.
                    bare(error)
            else:
                if detached is not None:
                    runtime.running.go_on(detached)
                elif record.stream_error is not None:
                    record.code = record.stream_error.code or record.stream_error.kind
                    self.generation.end(record, Outcome.BROKEN_OFF, record.stream_error.message)
                else:
                    self.generation.end(record, Outcome.COMPLETED)
        except Exception:
            runtime.log.failure("Unhandled error while ending an exchange", request=record.request)
        finally:
            # They lead back to the request.
            request.on_leave = request.on_abort = request.recheck = None
            request.release()
            runtime.running.end(request)
            runtime.live.pop(id(record), None)

    def _failed(self, request: GatewayRequest, record: ExchangeRecord, error: BaseException) -> None:
        """Say so to the client, as far as that can still be said, and end the record."""
        if isinstance(error, ClientGone):
            self.generation.end(record, Outcome.CLIENT_LEFT)
            return
        if not isinstance(error, ExchangeError):
            failure = Failure(error)
            request.processingFailed(failure)
            failure.cleanFailure()
            record.status, record.code = 500, "internal"
            self.generation.end(record, Outcome.FAILED, type(error).__name__)
            return
        record.code = error.error.code or error.error.kind
        if request.startedWriting:
            outcome = Outcome.BROKEN_OFF
            request.break_off()
        else:
            outcome = Outcome.UPSTREAM_ERROR if error.fault == "upstream" else Outcome.REFUSED
            record.status = error.error.status
            self.send_error(request, error)
            record.status = request.code
            record.bytes_out = request.sentLength
        self.generation.end(record, outcome, error.error.message)


def printable_path(request: GatewayRequest) -> str:
    """The path of a request as a log may tell it: in one line, and cut where nothing of it would be shown."""
    path = request.path[:LOOKED_AT].decode("latin-1")
    return path if path.isprintable() else printable(path)


def _thread(values: list[bytes]) -> str:
    """The Amp thread that a request says it is of; Amp's own ids are some 40 characters long."""
    return printable(values[0][:100].decode("latin-1"))


#: Whether the SDKs of Anthropic and OpenAI are to ask again by themselves.
SHOULD_RETRY = b"x-should-retry"


def error_body(error: WireError, request_id: str) -> bytes:
    """An error for a client that speaks none of the dialects: ``error`` is a sentence, as Amp's
    clients show it; ``code`` the kind; ``request_id`` what the log's lines about it have.
    """
    members = {"error": error.message, "code": error.code or error.kind, "request_id": request_id}
    return json.dumps(members).encode()


def answer_error(
    request: GatewayRequest, error: WireError, body: bytes, longest_sleep: float | None = None
) -> None:
    """Answer with an error's status, its ``Retry-After`` and a body.

    :param longest_sleep: see :class:`~ampproxy.dialects.base.Passthrough`.
    """
    headers = request.responseHeaders
    if error.retry_after is not None:
        headers.setRawHeaders(b"Retry-After", [b"%d" % max(1, round(error.retry_after))])
        if (
            longest_sleep is not None
            and error.retry_after > longest_sleep
            and not headers.hasHeader(SHOULD_RETRY)
        ):
            headers.setRawHeaders(SHOULD_RETRY, [b"false"])
    if error.status == 401:
        request.responseHeaders.setRawHeaders(b"WWW-Authenticate", [b"Bearer"])
    request.answer(error.status, body)


class NotFoundResource(GatewayResource):
    """A path that nobody serves."""

    def authorize(self, request: GatewayRequest) -> None:
        super().authorize(request)
        raise ClientFault.of(
            "not_found", f"The gateway has no path {request.path.decode('ascii', 'replace')}."
        )

    def render(self, request: GatewayRequest) -> Any:
        """Never reached: :meth:`authorize` refuses."""
        raise AssertionError


class Branch(Resource):
    """A path that leads to others.

    :ivar itself: what answers for the path alone, without anything behind it.
    """

    isLeaf = False

    def __init__(self, itself: GatewayResource) -> None:
        super().__init__()
        self.itself = itself

    def getChild(self, path: bytes, request: Any) -> GatewayResource:
        """What has no child of its own is served as the path itself."""
        return self.itself
