"""What the gateway tells its owner of itself, below ``/ampproxy``."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from ampproxy.errors import ClientFault
from ampproxy.generation import Generation
from ampproxy.model.clients import ADMIN
from ampproxy.resources.base import GatewayResource
from ampproxy.server.site import GatewayRequest
from ampproxy.tenants.tenant import check_route


def authorize_owner(generation: Generation, request: GatewayRequest) -> None:
    """See that a key came along that opens what the gateway tells its owner.

    :raises ClientFault: status 401: none that counts did; 403: it does not open this.
    """
    client = generation.guard.authorize(request.requestHeaders, request.query)
    check_route(client.tenant, ADMIN)


class AdminResource(GatewayResource):
    """Something to be read, as JSON. From this machine only, and with a client key.

    :cvar what: how refusals name it.
    """

    what: ClassVar[str]
    route_class = ADMIN

    def authorize(self, request: GatewayRequest) -> None:
        """Only ``GET`` of this very path, from this machine, with a key."""
        super().authorize(request)
        if not request.is_local():
            raise ClientFault.of(
                "permission", f"The {self.what} are shown only on the gateway's own machine."
            )
        authorize_owner(self.generation, request)
        if request.postpath:
            raise ClientFault.of("not_found", f"There is nothing below the {self.what}.")
        if request.method not in (b"GET", b"HEAD"):
            request.responseHeaders.setRawHeaders(b"Allow", [b"GET, HEAD"])
            raise ClientFault.of("invalid_request", f"The {self.what} can only be read.", status=405)

    def content(self) -> Any:
        """What there is to be told: a value that is JSON."""
        raise NotImplementedError

    def render(self, request: GatewayRequest) -> Any:
        """Tell it."""
        request.answer(200, msgspec.json.encode(self.content()))


class UnknownRoutesResource(AdminResource):
    """Routes that Amp's clients asked for and that were not known when this was written."""

    what = "unknown routes"

    def content(self) -> Any:
        """All of them, those asked for last first."""
        return self.generation.runtime.unknown_routes.routes()


class CloudTrafficResource(AdminResource):
    """What was seen of requests of Amp's cloud."""

    what = "notes on Amp's cloud"

    def content(self) -> Any:
        """All of it."""
        return self.generation.runtime.cloud_notes.traffic()


class OrderResource(GatewayResource):
    """Something to be done. From this machine only, with a client key, and never from a web page, not even
    one of an allowed host.

    :cvar what: how refusals name it.
    """

    route_class = ADMIN
    what: ClassVar[str]

    def authorize(self, request: GatewayRequest) -> None:
        """Only ``POST`` of this very path, from this machine, with a key."""
        super().authorize(request)
        if not request.is_local():
            raise ClientFault.of(
                "permission", ("The service can be managed only from the gateway's own machine.")
            )
        if any(map(request.requestHeaders.hasHeader, (b"origin", b"sec-fetch-site"))):
            raise ClientFault.of("permission", "The service cannot be managed from web pages.")
        authorize_owner(self.generation, request)
        if request.postpath:
            raise ClientFault.of("not_found", "There is nothing below this path.")
        if request.method != b"POST":
            request.responseHeaders.setRawHeaders(b"Allow", [b"POST"])
            raise ClientFault.of("invalid_request", f"{self.what} needs POST.", status=405)


class ReloadResource(OrderResource):
    """``/ampproxy/reload``: reads the configuration anew and answers with how that went."""

    what = "A reload"

    def render(self, request: GatewayRequest) -> Any:
        """Do it, and tell: 200, or 409 if the file is wrong and the configuration the one before."""
        report = self.generation.runtime.reload()
        if report is None:
            raise ClientFault.of("not_found", "The configuration was not read from a file.")
        request.answer(200 if report.ok else 409, msgspec.json.encode(report))
