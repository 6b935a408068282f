"""Amp's own routes with what goes beyond requests and answers: sockets, and the actors behind them.

Amp's newer clients talk to their threads over WebSockets below ``/actors``. Whatever a client and the
Amp upstream agree to speak goes through as it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from ampproxy.errors import ClientGone, ExchangeError
from ampproxy.relay.forward import Departure, Forward, forward
from ampproxy.relay.record import ExchangeRecord, Outcome
from ampproxy.relay.tunnel import Ending, Tunnel
from ampproxy.resources.base import ROUTE_HEADER
from ampproxy.resources.guard import Client, credentials
from ampproxy.resources.management import ManagementResource, amp_request, forward_to_amp
from ampproxy.resources.site import GatewayRequest
from ampproxy.upstream.body import PipeProducer
from ampproxy.upstream.failures import explain
from ampproxy.upstream.upgrade import AnswerHead, UpgradeConnection, ask_for_upgrade
from ampproxy.wire.headers import response_headers

#: Upgrades that only change how HTTP is spoken. They are the gateway's to make, and it makes none: such a
#: request is served as if it had not asked (RFC 9110, section 7.8).
_OF_HTTP = (b"h2c", b"http/", b"tls/")

#: Where the CLI sends no key to: the actors' description, and their sockets.
_KEYLESS = re.compile(rb"/actors/metadata\Z")
_KEYLESS_SOCKET = re.compile(rb"/actors/gateway/[^/]+/websocket(?:/|\Z)")


def wants_upgrade(request: GatewayRequest) -> bool:
    """Whether a request asks for another protocol than HTTP on its connection."""
    get = request.requestHeaders.getRawHeaders
    offers = get(b"upgrade")
    if not offers or request.clientproto != b"HTTP/1.1" or request.channel.length != 0:
        return False
    options = [option.strip().lower() for value in get(b"connection") or () for option in value.split(b",")]
    protocols = [name.strip().lower() for value in offers for name in value.split(b",")]
    return b"upgrade" in options and not any(name.startswith(_OF_HTTP) for name in protocols)


class AmpResource(ManagementResource):
    """Everything at and below one path of Amp's, upgrades included."""

    def _identify(self, request: GatewayRequest) -> Client | None:
        if self._needs_no_key(request):
            return None
        guard = self.gateway.guard
        if wants_upgrade(request):
            # A browser page may be open to everybody; what talks on behind it is not.
            return guard.admit(request.requestHeaders, request.query)
        return super()._identify(request)

    @staticmethod
    def _needs_no_key(request: GatewayRequest) -> bool:
        path = request.path
        if not path.startswith(b"/actors/"):
            return False
        if _KEYLESS.match(path):
            return True
        return _KEYLESS_SOCKET.match(path) is not None and wants_upgrade(request)

    def _kept(self, request: GatewayRequest) -> Collection[bytes]:
        """The client's own headers that pass although they are credentials: the public token that the CLI
        has for the actors goes in ``Authorization``. A key of the gateway's does not pass.
        """
        if not self._needs_no_key(request):
            return ()
        knows = self.gateway.guard.knows
        if any(knows(credential) for credential in credentials(request.requestHeaders, b"")):
            return ()
        return (b"authorization",)

    def render(self, request: GatewayRequest) -> Any:
        """Forward it, or open a tunnel."""
        if not wants_upgrade(request):
            return super().render(request)
        record = self.record(request)
        record.kind = "tunnel"
        return self.run(request, record, self._tunnel(request, request.client_key, record))

    async def _forward(self, request: GatewayRequest, client: Client | None, record: ExchangeRecord) -> None:
        body = request.body if request.channel.length != 0 else None
        assert body is None or isinstance(body, PipeProducer)
        await forward_to_amp(self.gateway, request, client, record, body, self._kept(request))

    async def _tunnel(self, request: GatewayRequest, client: Client | None, record: ExchangeRecord) -> None:
        gateway = self.gateway
        idle = gateway.config.timeouts.tunnel_idle
        answer = await self._ask(request, client)
        if not isinstance(answer, UpgradeConnection):
            await self._hand_back(request, answer, record)
            return
        record.status = answer.head.status
        record.first_byte = gateway.clock.seconds()
        tunnel = Tunnel(gateway.clock, idle)
        early = request.switch_protocols(_switching(answer.head), tunnel.client)
        ending = await tunnel.start(early, answer.hand_over(tunnel.upstream))
        record.bytes_in, record.bytes_out = tunnel.client.received, tunnel.upstream.received
        outcome, why = _told(ending, idle)
        gateway.end(record, outcome, why)

    async def _ask(self, request: GatewayRequest, client: Client | None) -> UpgradeConnection | IResponse:
        gateway = self.gateway
        config = gateway.config
        url, headers = amp_request(gateway, request, client, (b"upgrade", *self._kept(request)))
        gone = Departure(request)
        try:
            way = gateway.client.endpoint(url, config.proxy_url)
            asking = ask_for_upgrade(way, request.method, url, headers)
            answer: UpgradeConnection | IResponse = await gone.guard(
                asking.addTimeout(config.timeouts.first_byte, gateway.clock)
            )
        except (ClientGone, ExchangeError):
            raise
        except Exception as error:
            raise explain(error, gateway.amp_origin) from None
        return answer

    async def _hand_back(self, request: GatewayRequest, answer: IResponse, record: ExchangeRecord) -> None:
        """The upstream changed no protocol: its answer is one like any other."""
        gateway = self.gateway
        await forward(
            Forward(
                request.method.decode("ascii"), gateway.amp_url, Headers(), None, gateway.amp_origin, record
            ),
            request,
            client=_Answered(answer),
            clock=gateway.clock,
            first_byte=gateway.config.timeouts.first_byte,
            idle=gateway.config.timeouts.idle,
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


def _switching(head: AnswerHead) -> Headers:
    """The headers of our status 101: the upstream's, but for what belongs to its connection."""
    headers = Headers()
    for name, value in response_headers(head.headers):
        if name.lower() != b"content-length":
            headers.addRawHeader(name, value)
    headers.setRawHeaders(b"Connection", [b"Upgrade"])
    chosen = [value for name, value in head.headers if name.lower() == b"upgrade"]
    headers.setRawHeaders(b"Upgrade", chosen)
    headers.setRawHeaders(ROUTE_HEADER, [b"tunnel"])
    return headers


def _told(ending: Ending, idle: float) -> tuple[Outcome, str]:
    if not ending.side:
        return Outcome.BROKEN_OFF, f"silent for too long (setting: timeouts.tunnel-idle, {idle:g} s)"
    if ending.orderly:
        return Outcome.COMPLETED, f"closed by the {ending.side}"
    if ending.side == "client":
        return Outcome.CLIENT_LEFT, ""
    return Outcome.BROKEN_OFF, "the upstream's connection broke"
