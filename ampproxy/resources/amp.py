"""Amp's own routes: forwarded, tunnelled, or, where a browser opens a page, perhaps sent to the real site."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers
from twisted.web.proxy import ReverseProxyResource

from ampproxy.amp.keys import find_key
from ampproxy.errors import ClientFault, GatewayFault
from ampproxy.generation import Generation
from ampproxy.model.clients import AMP
from ampproxy.relay.forward import Change
from ampproxy.relay.record import ExchangeRecord
from ampproxy.resources.actors import MetadataChange, bears_key, is_metadata, needs_no_key, with_token
from ampproxy.resources.base import ROUTE_HEADER, GatewayResource
from ampproxy.resources.browser import (
    SiteChange,
    as_from_the_site,
    fetch_site,
    has_credentials,
    is_part,
    site_for,
)
from ampproxy.resources.management import amp_request, amp_url, hand_on
from ampproxy.resources.traffic_notes import notice_route
from ampproxy.resources.upgrades import wants_upgrade
from ampproxy.routing.endpoints import AMP_PREFIX, disguises_models
from ampproxy.server.authentication import authenticate_client, client_of_page
from ampproxy.server.guard import Client, credentials
from ampproxy.server.running import DetachedExchange
from ampproxy.server.site import GatewayRequest
from ampproxy.tenants.tenant import check_route
from ampproxy.upstream.pipe import PipeProducer

#: Where a client learns how to sign in with OAuth.
SIGN_IN = b"/api/auth/oauth-config"


class AmpResource(GatewayResource, ReverseProxyResource):
    """Everything at and below one path, proxied to the Amp upstream, upgrades included.

    Keeps the base class's rule that a child is the same proxy with a longer path; the request itself
    goes through treq with verified TLS, streaming both ways, where the base class speaks HTTP/1.0 over
    plain TCP and holds whole bodies.

    :param keyless: a page that browsers open: it passes without a client key.
    """

    streams_body = True
    route_class = AMP

    def __init__(self, generation: Generation, *, keyless: bool = False) -> None:
        ReverseProxyResource.__init__(self, generation.amp_origin, 443, b"", generation.runtime.clock)
        GatewayResource.__init__(self, generation)
        self._keyless = self.opened_by_links = keyless

    def getChild(self, path: bytes, request: Any) -> AmpResource:
        """Itself: the whole path is forwarded as the client sent it."""
        return self

    def authorize(self, request: GatewayRequest) -> Deferred[None] | None:
        """Only with an upstream, from this machine unless configured otherwise, and with a key."""
        super().authorize(request)
        if disguises_models(request.path):
            # Another server may read it as a model route, where it would cost credits that nobody counts.
            raise ClientFault.of(
                "invalid_request",
                "This path could be interpreted as one below /api/provider/: write it in lower case, "
                "with nothing encoded twice.",
            )
        config = self.generation.config.ampcode
        if not config.upstream_url:
            raise GatewayFault.of(
                "unavailable",
                "There is no Amp upstream to forward this to (setting: ampcode.upstream-url).",
                status=503,
            )
        if config.restrict_management_to_localhost and not request.is_local():
            raise ClientFault.of(
                "permission",
                "Access denied: management routes are restricted to localhost"
                " (setting: ampcode.restrict-management-to-localhost).",
            )
        if request.path.startswith(b"/actors/") and bears_key(request, self.generation.guard.knows):
            raise ClientFault.of(
                "permission",
                "A client key of this gateway is in the token or the parameters of a connection to an "
                "actor, which are forwarded to Amp unchanged. Amp does not know that key, and must not "
                "see it.",
            )
        found = self._identify(request)
        if isinstance(found, Deferred):
            return found.addCallback(lambda client: self._authorized(request, client))
        self._authorized(request, found)
        return None

    def _authorized(self, request: GatewayRequest, client: Client | None) -> None:
        request.client_key = client
        if client is not None:
            check_route(client.tenant, self.route_class)
        self._notice(request)

    def _notice(self, request: GatewayRequest) -> None:
        upgrade = wants_upgrade(request)
        if upgrade or not self._is_page(request):
            notice_route(self.generation, request, upgrade=upgrade)

    def _identify(self, request: GatewayRequest) -> Client | Deferred[Any] | None:
        upgrade = wants_upgrade(request)
        if needs_no_key(request, upgrade=upgrade) or _begins_sign_in(request):
            return None
        if self._is_page(request) and not upgrade:
            # Open to everybody who reaches the port, and therefore without the owner's key, or whoever does
            # would read the owner's threads. What talks on behind an upgrade is not a page.
            return client_of_page(self.generation, request)
        return authenticate_client(self.generation, request)

    def _is_page(self, request: GatewayRequest) -> bool:
        """Whether a browser asks: for a page, or for what a page of the site needs to be one."""
        if self._keyless:
            return True
        path = request.path + b"/"
        if not path.startswith(b"/api/") or path.startswith(AMP_PREFIX):
            return False
        return fetch_site(request) == b"same-origin" and not has_credentials(request)

    def render(self, request: GatewayRequest) -> Any:
        """Forward it, open a tunnel, or send the browser to the real site."""
        upgrade = wants_upgrade(request)
        record = self.record(request)
        record.kind = "tunnel" if upgrade else "management"
        if (
            self._keyless
            and not upgrade
            and self.generation.config.ampcode.browser_pages == "redirect"
            and request.method in (b"GET", b"HEAD")
            and not has_credentials(request)
        ):
            return self.run(request, record, self._redirect(request, record))
        return self.run(request, record, self._hand_on(request, record, upgrade))

    async def _redirect(self, request: GatewayRequest, record: ExchangeRecord) -> None:
        headers = request.responseHeaders
        headers.setRawHeaders(b"Location", [amp_url(self.generation, request).encode("ascii")])
        headers.setRawHeaders(b"Cache-Control", [b"no-store"])
        headers.setRawHeaders(ROUTE_HEADER, [record.kind.encode()])
        record.status = 302
        request.answer(302, b"This page is at Amp's own site.\n", b"text/plain")

    async def _hand_on(
        self, request: GatewayRequest, record: ExchangeRecord, upgrade: bool
    ) -> DetachedExchange | None:
        generation = self.generation
        url, headers = self._outgoing(request, upgrade)
        change = self._change(request)
        if upgrade:
            # Not at the top: few clients open one.
            from ampproxy.resources.tunnel import tunnel

            return await tunnel(generation, request, record, url, headers, change, self.check_again)
        body = request.body if request.length != 0 else None
        assert body is None or isinstance(body, PipeProducer)
        await hand_on(generation, request, record, url, headers, body, change)
        return None

    def _outgoing(self, request: GatewayRequest, upgrade: bool) -> tuple[str, Headers]:
        generation = self.generation
        keep = (*self._kept(request, upgrade), *((b"upgrade",) if upgrade else ()))
        url, headers = amp_request(generation, request, request.client_key, keep)
        token = generation.config.ampcode.actor_token
        if token is not None and request.path.startswith(b"/actors/"):
            url = with_token(request, url, headers, token, upgrade=upgrade)
        site = site_for(generation, request)
        if site is not None:
            as_from_the_site(generation, request, headers, site, page=self._is_page(request))
        return url, headers

    def _kept(self, request: GatewayRequest, upgrade: bool) -> Collection[bytes]:
        """The client's own headers that pass although they are credentials: the public token that the CLI
        has for the actors goes in ``Authorization``. A key of the gateway's or of Amp's does not pass.
        """
        if not needs_no_key(request, upgrade=upgrade):
            return ()
        came = credentials(request.requestHeaders, b"")
        if find_key(came) is not None or any(map(self.generation.guard.knows, came)):
            return ()
        return (b"authorization",)

    def _change(self, request: GatewayRequest) -> Change | None:
        site = site_for(self.generation, request)
        if site is None:
            return None
        if is_metadata(request) and self.generation.config.ampcode.rewrite_client_endpoint:
            return MetadataChange(self.generation, site)
        return SiteChange(site, page=self._keyless and not is_part(request))


def _begins_sign_in(request: GatewayRequest) -> bool:
    """Whether a client asks how to sign in, for which it has no key yet."""
    return request.path == SIGN_IN and request.method in (b"GET", b"HEAD")


class BrowserFallbackResource(AmpResource):
    """What is nobody's else at the root. A browser that came here by a page of Amp's may ask for it: scripts,
    pictures, the next page of a sign-in. For everybody else it is not there.
    """

    def __init__(self, generation: Generation) -> None:
        super().__init__(generation, keyless=True)

    def authorize(self, request: GatewayRequest) -> Deferred[None] | None:
        """Only a browser that shows Amp's pages, or whose user opens one."""
        config = self.generation.config.ampcode
        shown = config.upstream_url and config.browser_pages == "proxy"
        by = fetch_site(request)
        opened = by == b"none" and request.requestHeaders.hasHeader(b"cookie")
        if shown and (by == b"same-origin" or opened) and not has_credentials(request):
            return super().authorize(request)
        GatewayResource.authorize(self, request)
        raise ClientFault.of(
            "not_found", f"The gateway has no path {request.path.decode('ascii', 'replace')}."
        )
