"""What the owner asks of the running service: ``ampproxy reload``."""

from __future__ import annotations

from typing import Any

import msgspec

from ampproxy.errors import ClientFault
from ampproxy.resources.base import GatewayResource
from ampproxy.server.site import GatewayRequest


class ReloadResource(GatewayResource):
    """``/ampproxy/reload``: reads the configuration anew and answers with how that went. From this machine
    only, with a client key, and never from a web page, not even one of an allowed host.
    """

    def admit(self, request: GatewayRequest) -> None:
        """Only ``POST`` of this very path, from this machine, with a key."""
        super().admit(request)
        if not request.is_local():
            raise ClientFault.of("permission", "The service is managed from the gateway's own machine only.")
        if any(map(request.requestHeaders.hasHeader, (b"origin", b"sec-fetch-site"))):
            raise ClientFault.of("permission", "The service is not managed from web pages.")
        self.generation.guard.admit(request.requestHeaders, request.query)
        if request.postpath:
            raise ClientFault.of("not_found", "There is nothing below it.")
        if request.method != b"POST":
            request.responseHeaders.setRawHeaders(b"Allow", [b"POST"])
            raise ClientFault.of("invalid_request", "A reload is asked for by POST.", status=405)

    def render(self, request: GatewayRequest) -> Any:
        """Do it, and tell: 200, or 409 if the file is wrong and the configuration the one before."""
        report = self.generation.runtime.reload()
        if report is None:
            raise ClientFault.of("not_found", "The configuration came from no file.")
        request.answer(200 if report.ok else 409, msgspec.json.encode(report))
