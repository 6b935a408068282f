"""What coding agents ask beside their questions to models: whether anybody is there, and what is left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from ampproxy.errors import ClientFault
from ampproxy.model.clients import MODELS, Standing
from ampproxy.resources.base import GatewayResource
from ampproxy.resources.upgrades import wants_upgrade
from ampproxy.server.authentication import authenticate_client
from ampproxy.server.guard import Client
from ampproxy.server.site import GatewayRequest
from ampproxy.tenants.tenant import check_route

#: Where Codex asks for what is left, by the address that it has for ChatGPT's backend.
CODEX_USAGE = frozenset((b"/api/codex/usage", b"/backend-api/wham/usage", b"/backend-api/codex/usage"))
#: The lengths of the periods of limits, in seconds.
_PERIODS = {"minute": 60, "day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400}


#: Why a WebSocket is refused.
_NO_SOCKET = (
    "There is no WebSocket here: send the request by POST, with `stream: true` for a stream of events."
)


def check_socket(request: GatewayRequest) -> None:
    """Refuse a WebSocket at a path of Responses.

    :raises ClientFault: the request asks for one: status 426, for which alone Codex turns to plain requests
        at once. For any other it tries the socket anew, for six seconds.
    """
    if wants_upgrade(request):
        request.responseHeaders.setRawHeaders(b"Upgrade", [b"HTTP/1.1"])
        raise ClientFault.of("invalid_request", _NO_SOCKET, status=426, code="upgrade_required")


class AgentHelloResource(GatewayResource):
    """``HEAD /`` and ``HEAD /api/hello``: Claude Code opens its connection by them, without a key."""

    def render(self, request: GatewayRequest) -> Any:
        request.answer(200, b"")


class CodexUsageResource(GatewayResource):
    """What is left of a client key's limits, in the form in which Codex shows the plan of a ChatGPT login.

    Source: ``RateLimitStatusPayload`` in openai/codex (codex-rs/codex-backend-openapi-models).
    """

    route_class = MODELS

    def authorize(self, request: GatewayRequest) -> Deferred[None] | None:
        """Only with a client key, and only to be read."""
        super().authorize(request)
        if request.method not in (b"GET", b"HEAD"):
            request.responseHeaders.setRawHeaders(b"Allow", [b"GET, HEAD"])
            raise ClientFault.of("invalid_request", "This path can only be read.", status=405)
        found = authenticate_client(self.generation, request)
        if isinstance(found, Deferred):
            return found.addCallback(lambda client: self._authorized(request, client))
        self._authorized(request, found)
        return None

    def _authorized(self, request: GatewayRequest, client: Client) -> None:
        request.client_key = client
        check_route(client.tenant, self.route_class)

    def render(self, request: GatewayRequest) -> Any:
        """Tell how the client stood at its last request."""
        runtime, tenant = self.generation.runtime, request.client_key.tenant
        standings = runtime.limiter.last.get(tenant.label, ()) if tenant is not None else ()
        request.answer(200, msgspec.json.encode(usage_body(standings, runtime.wall())))


def usage_body(standings: Sequence[Standing], wall: float) -> dict[str, Any]:
    """The answer: the two limits of which most is used up, the shorter one first.

    :param wall: seconds since the epoch.
    """
    current = [standing for standing in standings if standing.renews > wall]
    most = sorted(current, key=_used, reverse=True)[:2]
    windows = [_window(one, wall) for one in sorted(most, key=lambda one: _PERIODS[one.limit.period])]
    first, second = (*windows, None, None)[:2]
    reached = any(standing.left <= 0 for standing in current)
    limit = {"allowed": not reached, "limit_reached": reached}
    return {
        "plan_type": "business",
        "rate_limit": {**limit, "primary_window": first, "secondary_window": second} if first else None,
        "credits": None,
    }


def _used(standing: Standing) -> float:
    return 1 - max(0, standing.left) / max(1, standing.limit.most)


def _window(standing: Standing, wall: float) -> dict[str, int]:
    return {
        "used_percent": min(100, round(100 * _used(standing))),
        "limit_window_seconds": _PERIODS[standing.limit.period],
        "reset_after_seconds": max(0, round(standing.renews - wall)),
        "reset_at": round(standing.renews),
    }
