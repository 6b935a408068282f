"""How a request is handed on to the Amp upstream: what of it, and with which key."""

from __future__ import annotations

from collections.abc import Collection

from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer

from ampproxy.generation import Generation
from ampproxy.http.headers import LowerHeaders
from ampproxy.relay.forward import Change, Forward, Meter, forward, pairs
from ampproxy.relay.record import ExchangeRecord
from ampproxy.resources.base import ROUTE_HEADER
from ampproxy.routing.paths import canonical_query
from ampproxy.server.guard import Client, credentials
from ampproxy.server.site import GatewayRequest
from ampproxy.upstream.pipe import PipeProducer
from ampproxy.wire.headers import amp_request_headers, strip_query
from ampproxy.wire.redact import Secret


async def forward_to_amp(
    generation: Generation,
    request: GatewayRequest,
    client: Client | None,
    record: ExchangeRecord,
    body: IBodyProducer | PipeProducer | None,
    meter: Meter | None = None,
) -> None:
    """Hand a request on to the Amp upstream, at the path that was decided on, without client keys.

    :param client: whose upstream key is to be used; ``None``: a path that needs no key, and gets none.
    :param meter: sees the answer go by.
    """
    url, headers = amp_request(generation, request, client)
    await hand_on(generation, request, record, url, headers, body, meter=meter)


async def hand_on(
    generation: Generation,
    request: GatewayRequest,
    record: ExchangeRecord,
    url: str,
    headers: Headers,
    body: IBodyProducer | PipeProducer | None,
    change: Change | None = None,
    meter: Meter | None = None,
) -> None:
    """Hand a request on with this URL and these headers.

    :param change: what is changed of the answer.
    :param meter: sees the answer go by.
    """
    if isinstance(body, PipeProducer):
        pipe = body
        request.notifyFinish().addErrback(lambda _: pipe.abandon(Failure(ConnectionAbortedError())))
    if generation.runtime.departing is not None:
        generation.runtime.departing(record)
    await forward(
        Forward(
            method=request.method.decode("ascii"),
            url=url,
            headers=headers,
            body=body,
            origin=generation.amp_origin,
            record=record,
            proxy=generation.config.proxy_url,
            change=change,
            meter=meter,
        ),
        request,
        client=generation.runtime.client,
        clock=generation.runtime.clock,
        deadlines=generation.runtime.deadlines,
        first_byte=generation.config.timeouts.first_byte,
        idle=generation.config.timeouts.idle,
        mark=lambda headers: headers.setRawHeaders(ROUTE_HEADER, [record.kind.encode()]),
    )


def amp_request(
    generation: Generation, request: GatewayRequest, client: Client | None, keep: Collection[bytes] = ()
) -> tuple[str, Headers]:
    """The URL and the headers of a request as it goes to the Amp upstream.

    :param client: whose upstream key is to be used; ``None``: none.
    :param keep: lower-case names of the client's headers that pass although such headers do not.
    """
    headers = LowerHeaders.of_pairs(amp_request_headers(pairs(request.requestHeaders), keep=keep))
    if client is not None:
        key = client.own or generation.amp_keys.find(client.key, generation.runtime.clock.seconds())
        _credential(headers, key, generation)
    return amp_url(generation, request), headers


def amp_url(generation: Generation, request: GatewayRequest) -> str:
    """Where a request goes at the Amp upstream: the path that was decided on, and the query without client
    keys.
    """
    query = strip_query(request.query, client_keys_in(generation, request)) if request.query else b""
    url = generation.amp_url + request.path.decode("ascii")
    if query:
        url += "?" + canonical_query(query).decode("ascii")
    return url


def client_keys_in(
    generation: Generation, request: GatewayRequest, query: bytes | None = None
) -> list[bytes]:
    """The values in a query that are client keys: the ones that must not travel on.

    :param query: the request's own where it is not given.
    """
    client: Client | None = request.client_key
    own = None if client is None else client.own
    if generation.guard.open and own is None:
        return []
    came = credentials(Headers(), request.query if query is None else query)
    return [one for one in came if generation.guard.knows(one) or (own is not None and own.matches(one))]


def _credential(headers: Headers, key: Secret | None, generation: Generation) -> None:
    if key is None:
        generation.runtime.log.warn(
            "No Amp key is known: requests are forwarded to the Amp upstream without one (setting: "
            "ampcode.upstream-api-key). {complaint}",
            complaint=generation.amp_keys.complaint,
        )
        return
    value = key.reveal().encode()
    headers.setRawHeaders(b"Authorization", [b"Bearer " + value])
    headers.setRawHeaders(b"X-Api-Key", [value])
