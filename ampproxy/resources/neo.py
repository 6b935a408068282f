"""What Amp's cloud may ask for: a few paths, with a key of its own, and nothing else at all.

A request is of Amp's cloud if it came by that listener, if it carries that key, or if it asks for the public
host without any key that is known here. Which of these it is decides before the tree is looked at, so that
no resource of the others ever sees it: no header, no address and no setting of theirs can let it in.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from ampproxy.amp.keys import find_key
from ampproxy.amp.shapes import headers_shape, shape_of
from ampproxy.amp.threads import thread_of
from ampproxy.config.fields import is_loopback
from ampproxy.credentials.affinity import thread_key
from ampproxy.dialects.base import ModelInfo
from ampproxy.dialects.facts import BodyFacts
from ampproxy.dialects.registry import DIALECTS
from ampproxy.errors import ClientFault, ExchangeError
from ampproxy.generation import Generation
from ampproxy.model.base import ANTHROPIC
from ampproxy.model.clients import NEO_ROUTE
from ampproxy.model.events import WireError
from ampproxy.model.neo import Slowing
from ampproxy.relay.forward import pairs
from ampproxy.relay.record import ExchangeRecord
from ampproxy.resources.base import GatewayResource, answer_error, printable_path
from ampproxy.resources.early import EarlySign
from ampproxy.resources.provider import GenerateResource, ModelListResource
from ampproxy.routing.endpoints import Operation
from ampproxy.routing.neo import neo_endpoint
from ampproxy.routing.route import Route, RouteKind
from ampproxy.routing.suffix import split_suffix
from ampproxy.server.authentication import peer_of
from ampproxy.server.guard import Client, credentials
from ampproxy.server.site import GENERATION_HEADER, REQUEST_ID_HEADER, GatewayRequest
from ampproxy.wire.authority import parse_authority

#: So many paths are remembered with their resources, each up to so many bytes.
_REMEMBERED = 128
_MAX_PATH_BYTES = 256
#: What a refusal without a key has: the least that a client of either vendor can read.
_UNAUTHORIZED = b'{"type":"error","error":{"type":"authentication_error","message":"Unauthorized"}}'


class NeoGate:
    """Finds what serves a request of Amp's cloud; of all others it says that they are none.

    :param generation: has the section ``neo``, or no request is of Amp's cloud but what came by its
        listener while there was one.
    """

    def __init__(self, generation: Generation) -> None:
        self._generation = generation
        self._guard = generation.guard
        neo = generation.config.neo
        authority = None if neo is None else parse_authority(neo.public_host.encode())
        self._host = "" if authority is None or is_loopback(authority.host) else authority.host
        self._keyless = KeylessResource(generation)
        self._other = OtherPathResource(generation)
        self._found: dict[tuple[bytes, bytes, bool], GatewayResource] = {}

    def find(self, request: GatewayRequest) -> GatewayResource | None:
        """What serves a request; ``None``: it is not of Amp's cloud."""
        client = self._guard.cloud(request.requestHeaders, request.query)
        if client is None:
            return self._keyless if self._is_strange(request) else None
        request.client_key = client
        if not request.by_cloud and request.is_local():
            self._generation.runtime.cloud_notes.unmarked()
        asked = request.method, request.path, request.requestHeaders.hasHeader(b"anthropic-version")
        return self._found.get(asked) or self._find(*asked)

    def _is_strange(self, request: GatewayRequest) -> bool:
        """Whether it came by the listener, or asks for the public host, with no key that could be one."""
        if not (request.by_cloud or self._names_host(request)):
            return False
        client = self._guard.identify(request.requestHeaders, request.query)
        if client is not None:
            self._generation.runtime.cloud_notes.wide_key(client.label)
        if request.by_cloud:
            return True
        came = credentials(request.requestHeaders, request.query)
        if any(map(self._guard.knows, came)):
            return False
        return self._generation.amp_users is None or find_key(came) is None

    def _names_host(self, request: GatewayRequest) -> bool:
        """Whether it asks for the public host, where that is no name of this machine alone."""
        if not self._host:
            return False
        hosts = request.requestHeaders.getRawHeaders(b"host") or ()
        return any(one is not None and one.host == self._host for one in map(parse_authority, hosts))

    def _find(self, method: bytes, path: bytes, anthropic: bool) -> GatewayResource:
        endpoint = neo_endpoint(method, path, anthropic=anthropic)
        if endpoint is None:
            return self._other
        resource: GatewayResource
        if endpoint.operation in (Operation.LIST_MODELS, Operation.GET_MODEL):
            resource = NeoListResource(self._generation, endpoint)
        else:
            resource = NeoGenerateResource(self._generation, endpoint)
        if len(path) <= _MAX_PATH_BYTES:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[method, path, anthropic] = resource
        return resource


class KeylessResource(GatewayResource):
    """The refusal of what has not the key: it names nothing, waits, and is logged once."""

    def authorize(self, request: GatewayRequest) -> Deferred[None]:
        """Refuse, after a while."""
        runtime, neo = self.generation.runtime, self.generation.config.neo
        failures, peer = runtime.failures, peer_of(request)
        wait, named = failures.add(peer, neo or Slowing(failure_delay=0.0))
        if named:
            runtime.log.warn(
                "Requests from {peer} to the paths for Amp's cloud are refused: they lack the key of the"
                " section neo. Further ones are not logged",
                peer=peer,
            )
        if not wait:
            request.channel.persistent = False
            raise _unauthorized()
        failures.waiting += 1
        waiting: Deferred[None] = deferLater(runtime.clock, wait)
        return waiting.addBoth(self._refuse)

    def _refuse(self, _: object) -> None:
        self.generation.runtime.failures.waiting -= 1
        raise _unauthorized()

    def reject_unserved(self, request: GatewayRequest, refusal: ExchangeError) -> None:
        """Answer, and log nothing: whoever scans an address would fill the log."""
        headers = request.responseHeaders
        for name in (GENERATION_HEADER, REQUEST_ID_HEADER):
            headers.removeHeader(name)
        headers.setRawHeaders(b"WWW-Authenticate", [b"Bearer"])
        request.answer(401, _UNAUTHORIZED)

    def render(self, request: GatewayRequest) -> Any:
        """Never reached: :meth:`authorize` refuses."""
        raise AssertionError


def _unauthorized() -> ExchangeError:
    return ClientFault.of("authentication", "Unauthorized")


class OtherPathResource(GatewayResource):
    """The refusal of everything else to the key of Amp's cloud."""

    def authorize(self, request: GatewayRequest) -> None:
        _check_key(self.generation, request)
        raise ClientFault.of(
            "permission",
            f"The key of Amp's cloud (setting: neo) does not open {_method(request)} "
            f"{printable_path(request)}. It opens POST /v1/messages, /v1/messages/count_tokens,"
            " /v1/chat/completions and /v1/responses, and GET /v1/models. The base URL of a"
            " connection is the gateway's origin.",
            code="route_not_allowed",
        )

    def send_error(self, request: GatewayRequest, refusal: ExchangeError) -> None:
        """Answer in the form that clients of either vendor can read."""
        error = msgspec.structs.replace(refusal.error, request_id=request.request_id)
        answer_error(request, error, DIALECTS[ANTHROPIC].error_body(error))

    def render(self, request: GatewayRequest) -> Any:
        """Never reached: :meth:`authorize` refuses."""
        raise AssertionError


def _method(request: GatewayRequest) -> str:
    return ascii(request.method[:20].decode("latin-1"))[1:-1]


def _check_key(generation: Generation, request: GatewayRequest) -> None:
    """See that the key, which is the one of Amp's cloud, counts.

    :raises ClientFault: it has expired, or what it came with is no path.
    """
    client: Client = request.client_key
    generation.guard.check_current(client)
    failures = generation.runtime.failures
    if failures.any:
        failures.succeeded(peer_of(request))
    if request.path_refusal is not None:
        raise request.path_refusal


class _FromCloud(GatewayResource):
    """What is different for Amp's cloud. No rule of browsers holds: none has this key of itself."""

    route_class = NEO_ROUTE

    def authorize(self, request: GatewayRequest) -> None:
        """Only with the key of Amp's cloud, which has been found."""
        _check_key(self.generation, request)
        # Amp shows ids of this name; a vendor's own takes its place.
        request.responseHeaders.setRawHeaders(b"X-Request-Id", [request.request_id.encode("ascii")])

    def _refused(self, route: Route) -> ExchangeError:
        return cloud_refusal(route)


class NeoListResource(_FromCloud, ModelListResource):
    """The models that Amp's cloud may use, with their limits and what they take."""

    def _decided(self, asked: str) -> Route:
        return self.generation.router.route(asked, amp=False, neo=True)

    def _info(self, wanted: str, route: Route) -> ModelInfo:
        served = split_suffix(route.resolved_model)[0]
        listed = (info for info in self._models(None) if info.id == served)
        info = next(listed, None) or self.generation.info(served, "ampproxy")
        return msgspec.structs.replace(info, id=wanted)


class NeoGenerateResource(_FromCloud, GenerateResource):
    """A question of Amp's cloud to a model: answered by a local account or by a mapping's."""

    def _decided(self, asked: str | None, role: str, exhausted: frozenset[str] = frozenset()) -> Route:
        return self.generation.router.route(asked, amp=False, neo=True)

    async def _note(self, request: GatewayRequest, record: ExchangeRecord, body: bytes) -> None:
        neo = self.generation.config.neo
        shapes = neo is not None and neo.record_shapes
        look = partial(_looked_at, body, shapes=shapes)
        thread, shape = await self._done(request, look, body)
        record.thread = thread or record.thread
        if shapes:
            self.generation.runtime.log.info(
                "Shape of {method} {path}: headers {headers}; body {body}",
                request=record.request,
                method=record.method,
                path=record.path,
                headers=headers_shape(pairs(request.requestHeaders)),
                body=shape,
            )

    def _session(
        self, request: GatewayRequest, record: ExchangeRecord, body: bytes
    ) -> Callable[[], str | None]:
        if record.thread:
            return partial(thread_key, record.thread)
        return super()._session(request, record, body)

    def _query(self, request: GatewayRequest) -> bytes:
        # What the connection adds is for this gateway; the SDK's own mark is for the vendor.
        return b"beta=true" if b"beta=true" in request.query.split(b"&") else b""

    async def _answer(
        self,
        request: GatewayRequest,
        record: ExchangeRecord,
        route: Route,
        body: bytes,
        stream: bool,
        facts: BodyFacts,
    ) -> None:
        config, clock = self.generation.config, self.generation.runtime.clock
        first = 0.0 if config.neo is None else config.neo.first_sign
        if not stream or not first:
            await super()._answer(request, record, route, body, stream, facts)
            return
        sign = EarlySign(request, record, self._dialect, clock, config.streaming.keepalive_seconds)
        sign.begin_in(first)
        try:
            await super()._answer(request, record, route, body, stream, facts)
        except ExchangeError as error:
            sign.fail(error)
            raise
        finally:
            sign.stop()


def _looked_at(body: bytes, *, shapes: bool) -> tuple[str, str]:
    """The thread of a request, and its shape."""
    return thread_of(body), shape_of(body) if shapes else ""


def cloud_refusal(route: Route) -> ExchangeError:
    """The refusal of a model that is not served here, in the words by which Amp knows it."""
    if not route.requested_model:
        return ClientFault.of("invalid_request", " ".join(route.reasons), param="model")
    assert route.kind is RouteKind.NONE
    name = route.requested_model
    message = (
        f"model: {name} is not served by this gateway. Exclude it in the connection's model mapping at"
        f" Amp (a line -{name}), so that Amp serves it, or map it here (ampcode.model-mappings)."
        f" {' '.join(route.reasons)}"
    )
    error = WireError("not_found", message, 404, "model_not_found", param="model")
    return ClientFault(error)
