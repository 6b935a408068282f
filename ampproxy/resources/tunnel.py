"""Upgrades on Amp's own paths: asked of the upstream, and given to a tunnel once it agrees.

Amp's newer clients talk to their threads over WebSockets below ``/actors``. Whatever a client and the
Amp upstream agree to speak goes through as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from ampproxy.errors import ClientGone, ExchangeError
from ampproxy.generation import Generation
from ampproxy.relay.forward import Change, ClientWatch, Forward, forward
from ampproxy.relay.record import ExchangeRecord, Outcome
from ampproxy.relay.tunnel import Ending, Tunnel
from ampproxy.resources.base import ROUTE_HEADER
from ampproxy.server.running import DetachedExchange
from ampproxy.server.site import REQUEST_ID_HEADER, GatewayRequest
from ampproxy.tenants.tenant import Tenant
from ampproxy.upstream.failures import explain
from ampproxy.upstream.upgrade import AnswerHead, UpgradeConnection, ask_for_upgrade
from ampproxy.wire.headers import response_headers


async def tunnel(
    generation: Generation,
    request: GatewayRequest,
    record: ExchangeRecord,
    url: str,
    headers: Headers,
    change: Change | None,
    check_again: Callable[[Tenant], None],
) -> DetachedExchange | None:
    """Ask the upstream for the upgrade; then join the two connections.

    :param change: what is changed of the answer's headers.
    :param check_again: raises if a client with these rights may not have the tunnel.
    :return: what goes on until the last of the two connections has ended. It may take days, and keeps nothing
        of the request until then. ``None``: there was no upgrade, and the exchange is over.
    """
    idle = generation.config.timeouts.tunnel_idle
    answer = await _ask(generation, request, record, url, headers)
    if not isinstance(answer, UpgradeConnection):
        await _hand_back(generation, request, answer, record, change)
        return None
    record.status = answer.head.status
    record.first_byte = generation.runtime.clock.seconds()
    joined = Tunnel(generation.runtime.clock, idle)
    early = request.switch_protocols(_switching(answer.head, change, request.request_id), joined.client)

    def ended(ending: Ending) -> None:
        record.bytes_in, record.bytes_out = joined.client.received, joined.upstream.received
        generation.end(record, *_outcome(ending, idle))

    return DetachedExchange(
        request.client_key,
        request.is_local(),
        check_again,
        lambda error: joined.abort(error.error.message),
        joined.start(early, answer.hand_over(joined.upstream)).addCallback(ended),
    )


async def _ask(
    generation: Generation, request: GatewayRequest, record: ExchangeRecord, url: str, headers: Headers
) -> UpgradeConnection | IResponse:
    config = generation.config
    gone = ClientWatch(request)
    try:
        way = generation.runtime.client.endpoint(url, config.proxy_url)
        asking = ask_for_upgrade(way, request.method, url, headers)
        record.sent = generation.runtime.clock.seconds()
        if generation.runtime.departing is not None:
            generation.runtime.departing(record)
        answer: UpgradeConnection | IResponse = await gone.wait_for(
            asking, generation.runtime.deadlines, config.timeouts.first_byte
        )
    except (ClientGone, ExchangeError):
        raise
    except Exception as error:
        raise explain(error, generation.amp_origin, serving=True) from None
    return answer


async def _hand_back(
    generation: Generation,
    request: GatewayRequest,
    answer: IResponse,
    record: ExchangeRecord,
    change: Change | None,
) -> None:
    """The upstream changed no protocol: its answer is one like any other."""
    what = Forward(
        method=request.method.decode("ascii"),
        url=generation.amp_url,
        headers=Headers(),
        body=None,
        origin=generation.amp_origin,
        record=record,
        change=change,
    )
    await forward(
        what,
        request,
        client=_Answered(answer),
        clock=generation.runtime.clock,
        deadlines=generation.runtime.deadlines,
        first_byte=generation.config.timeouts.first_byte,
        idle=generation.config.timeouts.idle,
        mark=lambda headers: headers.setRawHeaders(ROUTE_HEADER, [record.kind.encode()]),
    )


class _Answered:
    """Stands for the client of a request that has been answered already."""

    def __init__(self, answer: IResponse) -> None:
        self._answer = answer

    def send(
        self, method: str, url: str, headers: Headers, body: Any = None, proxy: Any = None
    ) -> Deferred[Any]:
        """The answer."""
        return succeed(self._answer)


def _switching(head: AnswerHead, change: Change | None, request_id: str) -> Headers:
    """The headers of our status 101: the upstream's, but for what belongs to its connection."""
    headers = Headers()
    passing = response_headers(head.headers)
    for name, value in passing if change is None else change.headers(passing):
        if name.lower() != b"content-length":
            headers.addRawHeader(name, value)
    headers.setRawHeaders(b"Connection", [b"Upgrade"])
    chosen = [value for name, value in head.headers if name.lower() == b"upgrade"]
    headers.setRawHeaders(b"Upgrade", chosen)
    headers.setRawHeaders(ROUTE_HEADER, [b"tunnel"])
    headers.setRawHeaders(REQUEST_ID_HEADER, [request_id.encode("ascii")])
    return headers


def _outcome(ending: Ending, idle: float) -> tuple[Outcome, str]:
    if ending.why:
        return Outcome.BROKEN_OFF, ending.why
    if not ending.side:
        return Outcome.BROKEN_OFF, f"silent for too long (setting: timeouts.tunnel-idle, {idle:g} s)"
    if ending.orderly:
        return Outcome.COMPLETED, f"closed by the {ending.side}"
    if ending.side == "client":
        return Outcome.CLIENT_LEFT, ""
    return Outcome.BROKEN_OFF, "the upstream's connection broke"
