"""What the gateway tells its owner of itself, below ``/ampproxy``."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from twisted.internet.defer import Deferred

from ampproxy.errors import ClientFault
from ampproxy.model.clients import ADMIN
from ampproxy.resources.access import admit, shield, then
from ampproxy.resources.base import GatewayResource
from ampproxy.server.site import GatewayRequest


class AdminResource(GatewayResource):
    """Something to be read, as JSON, by whom :func:`~ampproxy.resources.access.admit` lets in.

    :cvar what: how refusals name it.
    """

    what: ClassVar[str]
    route_class = ADMIN

    def authorize(self, request: GatewayRequest) -> Deferred[None] | None:
        """Only ``GET`` of this very path, by the owner."""
        super().authorize(request)
        return then(admit(self.generation, request, self.what), lambda: self._check(request))

    def _check(self, request: GatewayRequest) -> None:
        if request.postpath:
            raise ClientFault.of("not_found", f"There is nothing below the {self.what}.")
        if request.method not in (b"GET", b"HEAD"):
            request.responseHeaders.setRawHeaders(b"Allow", [b"GET, HEAD"])
            raise ClientFault.of("invalid_request", f"The {self.what} can only be read.", status=405)

    def content(self) -> Any:
        """What there is to be told: a value that is JSON."""
        raise NotImplementedError

    def render(self, request: GatewayRequest) -> Any:
        shield(request)
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
        return self.generation.runtime.cloud_notes.traffic()


class OrderResource(GatewayResource):
    """Something to be done, by whom :func:`~ampproxy.resources.access.admit` lets in: never for a web page
    that is not the owner's own, not even for one of an allowed host.

    :cvar what: how refusals name it.
    """

    route_class = ADMIN
    what: ClassVar[str]

    def authorize(self, request: GatewayRequest) -> Deferred[None] | None:
        """Only ``POST`` of this very path, by the owner."""
        super().authorize(request)
        found = admit(self.generation, request, "management of the service", order=True)
        return then(found, lambda: self._check(request))

    def _check(self, request: GatewayRequest) -> None:
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
        shield(request)
        report = self.generation.runtime.reload()
        if report is None:
            raise ClientFault.of("not_found", "The configuration was not read from a file.")
        request.answer(200 if report.ok else 409, msgspec.json.encode(report))
