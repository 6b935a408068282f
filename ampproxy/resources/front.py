"""``/``, as a browser asks for it: it leads to the owner's page."""

from __future__ import annotations

from typing import Any

from ampproxy.model.clients import ADMIN
from ampproxy.resources.base import GatewayResource
from ampproxy.resources.browser import fetch_site, has_credentials
from ampproxy.server.site import GatewayRequest

#: Where the page is. It has a path of its own, so that its cookie is sent to none of Amp's.
PAGE = b"/ampproxy/page/"


class FrontResource(GatewayResource):
    """Sends a browser on to the page. Whether its user may see it is decided there."""

    opened_by_links = True
    route_class = ADMIN

    def is_for(self, request: GatewayRequest) -> bool:
        """Whether the page is meant, and not Amp's site, whose own pages lead to its home, too."""
        config = self.generation.config
        if not config.page.enable or request.method != b"GET" or has_credentials(request):
            return False
        by_amp = bool(config.ampcode.upstream_url) and config.ampcode.browser_pages == "proxy"
        return not (by_amp and fetch_site(request) == b"same-origin")

    def render(self, request: GatewayRequest) -> Any:
        headers = request.responseHeaders
        headers.setRawHeaders(b"Location", [PAGE])
        headers.setRawHeaders(b"Cache-Control", [b"no-store"])
        request.answer(302, b"The page is at /ampproxy/page/.\n", b"text/plain")
