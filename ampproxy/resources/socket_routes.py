"""The paths of Responses asked with a method that they do not take: a WebSocket may be opened there."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from ampproxy.generation import Generation
from ampproxy.relay.record import ExchangeRecord, Outcome
from ampproxy.resources.provider import ModelResource
from ampproxy.resources.upgrades import wants_upgrade
from ampproxy.routing.endpoints import WrongMethod
from ampproxy.routing.route import RouteKind
from ampproxy.server.guard import Client
from ampproxy.server.running import DetachedExchange
from ampproxy.server.site import REQUEST_ID_HEADER, GatewayRequest
from ampproxy.tenants.tenant import check_route


class SocketResource(ModelResource):
    """Opens a WebSocket where the configuration has them; else any such request is refused."""

    def _authorized(self, request: GatewayRequest, client: Client) -> None:
        if not self._opens(request):
            super()._authorized(request, client)
            return
        request.client_key = client
        check_route(client.tenant, self.route_class)

    def _opens(self, request: GatewayRequest) -> bool:
        if self._dialect.passthrough.messages is None or not self.generation.config.streaming.websockets:
            return False
        # Below it there are calls of other kinds.
        path = request.path.rstrip(b"/").endswith(b"/responses")
        return path and wants_upgrade(request) and _has_frames(self.generation)

    def render(self, request: GatewayRequest) -> Any:
        record = self.record(request)
        record.kind = RouteKind.LOCAL.value
        return self.run(request, record, self._open(request, record))

    async def _open(self, request: GatewayRequest, record: ExchangeRecord) -> DetachedExchange:
        # Not at the top: most configurations have no sockets.
        from ampproxy.resources.sockets import ResponsesSocket, accepting

        generation, messages = self.generation, self._dialect.passthrough.messages
        assert messages is not None
        headers = accepting(request)
        headers.setRawHeaders(REQUEST_ID_HEADER, [request.request_id.encode("ascii")])
        socket = ResponsesSocket(generation, request, self._dialect, messages)
        record.status, record.first_byte = 101, generation.runtime.clock.seconds()
        client, is_local, check = request.client_key, request.is_local(), self.check_again

        def ended(why: str) -> None:
            record.bytes_in, record.bytes_out = socket.received, socket.sent
            generation.end(record, Outcome.BROKEN_OFF if why else Outcome.COMPLETED, why)

        early = request.switch_protocols(headers, socket)
        if early:
            socket.dataReceived(early)
        return DetachedExchange(client, is_local, check, socket.abort, socket.ended.addCallback(ended))


def refusal_for(generation: Generation, wrong: WrongMethod) -> ModelResource:
    """The resource of a path that is asked with the wrong method."""
    return SocketResource(generation, wrong)


def _has_frames(generation: Generation) -> bool:
    if find_spec("wsproto") is not None:
        return True
    generation.runtime.log.warn(
        "streaming.websockets is on, but wsproto is not installed (pip install 'ampproxy[websocket]'):"
        " WebSockets are answered with 426"
    )
    return False
