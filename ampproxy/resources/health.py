"""Whether the service is up, and whether it serves: for init systems, load balancers and the owner."""

from __future__ import annotations

from typing import Any

import msgspec

from ampproxy.errors import ClientFault
from ampproxy.model.clients import ADMIN
from ampproxy.resources.base import GatewayResource
from ampproxy.server.site import GatewayRequest
from ampproxy.status import Status
from ampproxy.tenants.tenant import opens

OK = b'{"status":"ok"}'


class HealthResource(GatewayResource):
    """``/healthz``: 200 as long as the process lives; the accounts are loaded before it listens at all."""

    def render(self, request: GatewayRequest) -> Any:
        request.answer(200, OK)


class ReadyResource(GatewayResource):
    """``/readyz``: 200 if requests should come here, else 503: also if the state must be shared and is not.

    A wrong configuration file is no reason to send them elsewhere, for the one before serves; it is told, to
    the owner: from this machine, with a client key.
    """

    def authorize(self, request: GatewayRequest) -> None:
        """Only to be read."""
        super().authorize(request)
        if request.method not in (b"GET", b"HEAD"):
            request.responseHeaders.setRawHeaders(b"Allow", [b"GET, HEAD"])
            raise ClientFault.of("invalid_request", "The state can only be read.", status=405)

    def render(self, request: GatewayRequest) -> Any:
        """Say how the service is."""
        generation = self.generation
        status = generation.runtime.status()
        guard = generation.guard
        client = guard.identify(request.requestHeaders, request.query)
        known = guard.open or (client is not None and opens(client.tenant, ADMIN))
        if not (request.is_local() and known):
            status = Status(status.status, status.generation, status.since)
        serves = status.status == "ready" and not generation.runtime.shared.refusal
        request.answer(200 if serves else 503, msgspec.json.encode(status))
