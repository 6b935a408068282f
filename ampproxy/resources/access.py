"""Who is let in to what the gateway reports of itself: by a key, by a browser's session, or on this machine.

Three rights open it:

1. A client key whose entry opens the route class ``admin``, in a header, as programs send it.
2. A session: a browser that presented such a key once, and has a cookie for it.
3. Being the user that the service runs as: a browser on this machine, connected without any proxy, under a
   name of this machine's, whose connection the system shows to be that user's (or root's). Where no key is
   asked for at all, every user of this machine is that user.

From elsewhere only the keys of entries with a name count, and only over TLS.

The last two come with a browser's every request, also with one that another page makes; and pages of Amp's
are of the same origin. So such a request must bring the token along that only the page itself was given. What
is only read may also fill a whole window, which no other page can look into (``Cross-Origin-Opener-Policy``).
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from ampproxy.errors import ClientFault, ExchangeError
from ampproxy.generation import Generation
from ampproxy.model.clients import ADMIN
from ampproxy.server.guard import ANONYMOUS, Client, credentials
from ampproxy.server.owners import Visitor
from ampproxy.server.site import GatewayRequest
from ampproxy.tenants.tenant import check_route
from ampproxy.wire.authority import parse_authority

#: What a page's own calls have: the token of its visitor.
TOKEN_HEADER = b"X-Ampproxy-Page"
#: The cookie of a session. It is for the paths of the page alone, so that none of Amp's ever gets it.
COOKIE = b"ampproxy-session"
COOKIE_PATH = b"/ampproxy"


def admit(
    generation: Generation, request: GatewayRequest, what: str, *, order: bool = False
) -> Deferred[None] | None:
    """Let a request in, or refuse it; ``request.visitor`` and ``request.client_key`` say by what right.

    :param what: what is asked for, as refusals name it.
    :param order: whether something is done by it, and not only read.
    :return: ``None``: it is let in. Else it is when this fires, and refused when it fails.
    :raises ClientFault: status 401: no key that counts; 403: it does not open this, or not from there.
    """
    page = generation.config.page.enable
    if not request.is_local() and not (page and request.speaks_tls):
        raise _elsewhere(what)
    if credentials(request.requestHeaders, request.query):
        if order and is_of_page(request):
            raise _not_by_pages()
        _by_key(generation, request, what)
        return None
    visitor = _session(generation, request) if page else None
    if visitor is not None:
        request.client_key, request.visitor = visitor.client, visitor
        _check_token(request, visitor, order=order)
        return None
    if generation.guard.open:
        _as_local(generation, request, order=order, page=page)
        return None
    if not (page and _may_be_owner(generation, request)):
        # Says which key is missing.
        generation.guard.authorize(request.requestHeaders, request.query)
    return Deferred.fromCoroutine(_as_owner(generation, request, order=order))


def then(waiting: Deferred[None] | None, check: Callable[[], None]) -> Deferred[None] | None:
    """Look at the rest of a request once it is let in.

    :raises ExchangeError: ``check`` does, and it is let in already.
    """
    if waiting is None:
        check()
        return None
    return waiting.addCallback(lambda _: check())


def shield(request: GatewayRequest) -> None:
    """Have the answer kept nowhere, and be of no use to any page but the owner's own."""
    headers = request.responseHeaders
    for name, value in _SHIELD:
        headers.setRawHeaders(name, [value])


#: What every answer has. The policy is that of JSON; a page has its own.
_SHIELD = (
    (b"Cache-Control", b"no-store"),
    (b"Content-Security-Policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    # Not no-referrer: then the Origin of a form is null, and the guard refuses it.
    (b"Referrer-Policy", b"same-origin"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"X-Frame-Options", b"DENY"),
)


def is_of_page(request: GatewayRequest) -> bool:
    """Whether a web page makes the request, or a browser for its user."""
    return any(map(request.requestHeaders.hasHeader, (b"origin", b"sec-fetch-site")))


def cookie_of(request: GatewayRequest) -> bytes:
    """The session's cookie; empty if there is none."""
    return request.received_cookies.get(COOKIE, b"")


def check_place(request: GatewayRequest, client: Client | None, what: str) -> None:
    """See that a client may ask from where it is.

    :raises ClientFault: status 403: it may not.
    """
    if not request.is_local() and not (client is not None and client.named and request.speaks_tls):
        raise _elsewhere(what)


def _by_key(generation: Generation, request: GatewayRequest, what: str) -> None:
    client = generation.guard.authorize(request.requestHeaders, request.query)
    check_route(client.tenant, ADMIN)
    check_place(request, client, what)
    request.client_key = client


def _session(generation: Generation, request: GatewayRequest) -> Visitor | None:
    """The session of a browser whose key still counts, and counts from where it is."""
    cookie = cookie_of(request)
    if not cookie:
        return None
    runtime = generation.runtime
    visitor = runtime.owners.sessions.find(cookie, runtime.wall())
    if visitor is None or visitor.client is None:
        return None
    # Its rights may be others by now.
    client = generation.guard.current(visitor.client)
    if client is None:
        return None
    try:
        check_route(client.tenant, ADMIN)
        check_place(request, client, "page")
    except ExchangeError:
        return None
    return visitor


def _as_local(generation: Generation, request: GatewayRequest, *, order: bool, page: bool) -> None:
    """Where no key is asked for: every program of this machine, and of web pages the owner's."""
    request.client_key = ANONYMOUS
    if not is_of_page(request):
        return
    if page:
        request.visitor = generation.runtime.owners.local
        _check_token(request, request.visitor, order=order)
    elif order:
        raise _not_by_pages()


def _may_be_owner(generation: Generation, request: GatewayRequest) -> bool:
    """Whether it is worth a look whose connection this is."""
    return not generation.config.page.ask_key and request.is_direct() and _is_of_this_machine(request)


def _is_of_this_machine(request: GatewayRequest) -> bool:
    """Whether the address that a browser used is one that leads to its own machine wherever it is: whoever
    comes by a tunnel or a forwarded port mostly used another.
    """
    hosts = request.requestHeaders.getRawHeaders(b"host") or [b""]
    authority = parse_authority(hosts[0])
    if authority is None:
        return False
    name = authority.host
    return name in ("localhost", "::1") or name.endswith(".localhost") or name.startswith("127.")


async def _as_owner(generation: Generation, request: GatewayRequest, *, order: bool) -> None:
    owners = generation.runtime.owners
    if not await owners.is_own(request.channel):
        generation.guard.authorize(request.requestHeaders, request.query)
    request.visitor = owners.local
    _check_token(request, owners.local, order=order)


def _check_token(request: GatewayRequest, visitor: Visitor, *, order: bool) -> None:
    """See that the page itself asks, or that a browser opens it.

    :raises ClientFault: status 403: neither.
    """
    if not order and _opens_window(request):
        return
    tokens = request.requestHeaders.getRawHeaders(TOKEN_HEADER) or ()
    if len(tokens) != 1 or tokens[0] != visitor.token.encode():
        raise ClientFault.of(
            "permission",
            "Only the page itself may ask this without a client key, with the token that it was given when"
            " it was opened: reload it. A program sends a client key, such as 'Authorization: Bearer KEY'.",
            code="page_token",
        )


def _opens_window(request: GatewayRequest) -> bool:
    """Whether a browser asks for what its whole window will show; programs and old browsers do not say."""
    headers = request.requestHeaders
    if not headers.hasHeader(b"sec-fetch-site"):
        return True
    wanted = ((b"sec-fetch-mode", b"navigate"), (b"sec-fetch-dest", b"document"))
    return all(headers.getRawHeaders(name) == [value] for name, value in wanted)


def _not_by_pages() -> ExchangeError:
    return ClientFault.of("permission", "The service is not managed from web pages.")


def _elsewhere(what: str) -> ExchangeError:
    return ClientFault.of(
        "permission",
        f"The {what} can be had on the gateway's own machine; from elsewhere with the client key of an entry"
        " that has a name and opens the route class admin, and over TLS (settings: page, tls,"
        " api-keys[].name, api-keys[].routes).",
    )
