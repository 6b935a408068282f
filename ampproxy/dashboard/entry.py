"""Where a browser logs in by a client key, and out again."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from twisted.internet.defer import Deferred
from twisted.web.http_headers import Headers

from ampproxy.dashboard.desk import Desk
from ampproxy.errors import ClientFault
from ampproxy.generation import Generation
from ampproxy.model.clients import ADMIN
from ampproxy.resources.access import COOKIE, COOKIE_PATH, check_place, cookie_of, is_of_page, shield
from ampproxy.resources.base import GatewayResource
from ampproxy.resources.front import PAGE
from ampproxy.server.bodies import GatheredBody
from ampproxy.server.site import GatewayRequest
from ampproxy.tenants.tenant import check_route

#: Bytes of a form: a key is some fifty.
_MAX_FORM_BYTES = 8192


class _Form(GatewayResource):
    """A form of the page, posted by the page itself: the guard refuses those of other origins."""

    route_class = ADMIN

    def __init__(self, generation: Generation, desk: Desk) -> None:
        super().__init__(generation)
        self.desk = desk

    def authorize(self, request: GatewayRequest) -> Deferred[None] | None:
        """A small form, and where the page may be."""
        super().authorize(request)
        if request.method != b"POST":
            request.responseHeaders.setRawHeaders(b"Allow", [b"POST"])
            raise ClientFault.of("invalid_request", "Method not allowed; use POST.", status=405)
        if request.length is None or request.length > _MAX_FORM_BYTES:
            raise ClientFault.of(
                "invalid_request", f"The form is larger than {_MAX_FORM_BYTES} bytes.", status=413
            )
        if not request.is_local() and not request.speaks_tls:
            raise ClientFault.of("permission", "From elsewhere a key is taken over TLS alone (setting: tls).")
        if is_of_page(request) and request.requestHeaders.getRawHeaders(b"sec-fetch-site") not in (
            None,
            [b"same-origin"],
        ):
            raise ClientFault.of("permission", "Only the page itself may send this.")
        return None

    def fields(self, request: GatewayRequest) -> dict[str, str]:
        """What the form holds."""
        body = request.body
        assert isinstance(body, GatheredBody)
        found = parse_qs(body.take().decode("utf-8", "replace"), max_num_fields=10)
        return {name: values[-1] for name, values in found.items()}

    def lead(self, request: GatewayRequest, cookie: str, age: int, where: bytes = PAGE) -> None:
        """Give the browser a cookie and lead it on."""
        shield(request)
        secure = b"; Secure" if request.speaks_tls else b""
        value = b"%b=%b; Path=%b; Max-Age=%d; HttpOnly; SameSite=Strict%b" % (
            COOKIE,
            cookie.encode(),
            COOKIE_PATH,
            age,
            secure,
        )
        request.responseHeaders.setRawHeaders(b"Set-Cookie", [value])
        request.responseHeaders.setRawHeaders(b"Location", [where])
        request.answer(303, b"", b"text/plain")


class LoginResource(_Form):
    """``POST /ampproxy/page/login``: trades a client key for a session."""

    def render(self, request: GatewayRequest) -> Any:
        """Take the key, or show the form again."""
        from ampproxy.dashboard.pages import answer_login

        generation, runtime = self.generation, self.generation.runtime
        key = self.fields(request).get("key", "").strip()
        given = Headers()
        given.setRawHeaders(b"X-Api-Key", [key.encode("utf-8", "replace")])
        try:
            client = generation.guard.authorize(given, b"")
            check_route(client.tenant, ADMIN)
            check_place(request, client, "page")
        except ClientFault as refusal:
            answer_login(request, refusal.error)
            return
        cookie = runtime.owners.sessions.begin(client, generation.config.page, runtime.wall())
        self.lead(request, cookie, int(generation.config.page.session))


class LogoutResource(_Form):
    """``POST /ampproxy/page/logout``: ends a session. Without its token it would be any page's to send."""

    def render(self, request: GatewayRequest) -> Any:
        sessions, wall = self.generation.runtime.owners.sessions, self.generation.runtime.wall()
        visitor = sessions.find(cookie_of(request), wall)
        if visitor is not None:
            if self.fields(request).get("token") != visitor.token:
                raise ClientFault.of("permission", "The form is not of this session: reload the page.")
            sessions.end(cookie_of(request))
        self.lead(request, "", 0)
