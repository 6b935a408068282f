"""Metrics, shown on a port of their own: whoever may read them need not have a client key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ampproxy.errors import ClientFault
from ampproxy.generation import Generation
from ampproxy.model.clients import ADMIN
from ampproxy.resources.base import GatewayResource
from ampproxy.server.site import GatewayRequest
from ampproxy.tenants.tenant import opens


class MetricsResource(GatewayResource):
    """``/metrics``, to be read.

    :param shown: gives all metrics as text and the kind of text, for the kinds that the asker takes; by its
        second argument with the names of logins, or without.
    """

    def __init__(self, generation: Generation, shown: Callable[[str, bool], tuple[bytes, str]]) -> None:
        super().__init__(generation)
        self._shown = shown

    def authorize(self, request: GatewayRequest) -> None:
        """Only reading, of this path; never for a foreign web page."""
        # Without keys, too: nothing is spent here, and who listens elsewhere has been warned.
        self.generation.guard.check_browser(request.requestHeaders, secure=request.isSecure())
        if request.path != b"/metrics":
            raise ClientFault.of("not_found", "Only /metrics exists here.")
        if request.method not in (b"GET", b"HEAD"):
            request.responseHeaders.setRawHeaders(b"Allow", [b"GET, HEAD"])
            raise ClientFault.of("invalid_request", "Metrics can only be read.", status=405)

    def render(self, request: GatewayRequest) -> Any:
        accept = b",".join(request.requestHeaders.getRawHeaders(b"accept") or ())
        client = self.generation.guard.identify(request.requestHeaders, request.query)
        owner = client is not None and opens(client.tenant, ADMIN)
        body, kind = self._shown(accept.decode("latin-1"), owner)
        request.answer(200, body, kind.encode("ascii"))
