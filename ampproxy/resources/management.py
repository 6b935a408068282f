"""Amp's own routes, handed on to the Amp upstream with the owner's key."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer
from twisted.web.proxy import ReverseProxyResource

from ampproxy.errors import ClientFault, GatewayFault
from ampproxy.relay.forward import Forward, Meter, forward, pairs
from ampproxy.relay.record import ExchangeRecord
from ampproxy.resources.base import ROUTE_HEADER, GatewayResource
from ampproxy.resources.gateway import Gateway
from ampproxy.resources.guard import Client, credentials
from ampproxy.resources.site import GatewayRequest
from ampproxy.routing.endpoints import disguises_models
from ampproxy.upstream.body import PipeProducer
from ampproxy.wire.headers import amp_request_headers, strip_query
from ampproxy.wire.redact import Secret


class ManagementResource(GatewayResource, ReverseProxyResource):
    """Everything at and below one path, proxied to the Amp upstream.

    Keeps the base class's rule that a child is the same proxy with a longer path; the request itself
    goes through treq with verified TLS, streaming both ways, where the base class speaks HTTP/1.0 over
    plain TCP and holds whole bodies.

    :param keyless: a browser page: it passes without a client key, but then without the owner's key
        too, or whoever reaches the port would read the owner's threads.
    """

    streams_body = True

    def __init__(self, gateway: Gateway, *, keyless: bool = False) -> None:
        ReverseProxyResource.__init__(self, gateway.amp_origin, 443, b"", gateway.clock)
        GatewayResource.__init__(self, gateway)
        self._keyless = keyless

    def getChild(self, path: bytes, request: Any) -> ManagementResource:
        """Itself: the whole path is forwarded as the client sent it."""
        return self

    def admit(self, request: GatewayRequest) -> None:
        """Only with an upstream, from this machine unless configured otherwise, and with a key."""
        super().admit(request)
        if disguises_models(request.path):
            # Another server may read it as a model route, where it would cost credits that nobody counts.
            raise ClientFault.of(
                "invalid_request",
                "This path can be read as one below /api/provider/: write it without percent-encodings, dots"
                " and doubled slashes.",
            )
        config = self.gateway.config.ampcode
        if not config.upstream_url:
            raise GatewayFault.of(
                "unavailable",
                "There is no Amp upstream to forward this to (setting: ampcode.upstream-url).",
                status=503,
            )
        if config.restrict_management_to_localhost and not request.is_local():
            raise ClientFault.of(
                "permission",
                "Access denied: management routes are restricted to localhost"
                " (setting: ampcode.restrict-management-to-localhost).",
            )
        request.client_key = self._identify(request)

    def _identify(self, request: GatewayRequest) -> Client | None:
        guard = self.gateway.guard
        if self._keyless and not guard.open:
            return guard.identify(request.requestHeaders, request.query)
        return guard.admit(request.requestHeaders, request.query)

    def render(self, request: GatewayRequest) -> Any:
        """Forward it."""
        client: Client | None = request.client_key
        record = self.record(request)
        record.kind = "management"
        return self.run(request, record, self._forward(request, client, record))

    async def _forward(self, request: GatewayRequest, client: Client | None, record: ExchangeRecord) -> None:
        body = request.body if request.channel.length != 0 else None
        assert body is None or isinstance(body, PipeProducer)
        await forward_to_amp(self.gateway, request, client, record, body)


async def forward_to_amp(
    gateway: Gateway,
    request: GatewayRequest,
    client: Client | None,
    record: ExchangeRecord,
    body: IBodyProducer | PipeProducer | None,
    keep: Collection[bytes] = (),
    meter: Meter | None = None,
) -> None:
    """Hand a request on to the Amp upstream, path and query as they came but for client keys.

    :param client: whose upstream key is to be used; ``None``: a path that needs no key, and gets none.
    :param keep: see :func:`amp_request`.
    :param meter: sees the answer go by.
    """
    url, headers = amp_request(gateway, request, client, keep)
    if isinstance(body, PipeProducer):
        pipe = body
        request.notifyFinish().addErrback(lambda _: pipe.abandon(Failure(ConnectionAbortedError())))
    await forward(
        Forward(
            method=request.method.decode("ascii"),
            url=url,
            headers=headers,
            body=body,
            origin=gateway.amp_origin,
            record=record,
            proxy=gateway.config.proxy_url,
            meter=meter,
        ),
        request,
        client=gateway.client,
        clock=gateway.clock,
        first_byte=gateway.config.timeouts.first_byte,
        idle=gateway.config.timeouts.idle,
        mark=lambda headers: headers.setRawHeaders(ROUTE_HEADER, [record.kind.encode()]),
    )


def amp_request(
    gateway: Gateway, request: GatewayRequest, client: Client | None, keep: Collection[bytes] = ()
) -> tuple[str, Headers]:
    """The URL and the headers of a request as it goes to the Amp upstream.

    :param client: whose upstream key is to be used; ``None``: none.
    :param keep: lower-case names of the client's headers that pass although such headers do not.
    """
    query = strip_query(request.query, client_keys_in(gateway, request)) if request.query else b""
    url = gateway.amp_url + request.path.decode("ascii", "backslashreplace")
    if query:
        url += "?" + query.decode("ascii", "backslashreplace")
    headers = Headers()
    for name, value in amp_request_headers(pairs(request.requestHeaders), keep=keep):
        headers.addRawHeader(name, value)
    if client is not None:
        _credential(headers, gateway.amp_keys.find(client.key, gateway.clock.seconds()), gateway)
    return url, headers


def client_keys_in(gateway: Gateway, request: GatewayRequest) -> list[bytes]:
    """The values in the query that are client keys: the ones that must not travel on."""
    guard = gateway.guard
    if guard.open:
        return []
    return [value for value in credentials(Headers(), request.query) if guard.knows(value)]


def _credential(headers: Headers, key: Secret | None, gateway: Gateway) -> None:
    if key is None:
        gateway.log.warn(
            "No Amp key is known: the request goes to the Amp upstream without one"
            " (setting: ampcode.upstream-api-key). {complaint}",
            complaint=gateway.amp_keys.complaint,
        )
        return
    value = key.reveal().encode()
    headers.setRawHeaders(b"Authorization", [b"Bearer " + value])
    headers.setRawHeaders(b"X-Api-Key", [value])
