"""Pages of Amp's that a browser opens through the gateway: whose they are, and how they stay here."""

from __future__ import annotations

from twisted.web.http_headers import Headers

from ampproxy.amp import cookies
from ampproxy.amp.site import Site, is_text
from ampproxy.generation import Generation
from ampproxy.relay.filters import Filter, SiteFilter
from ampproxy.resources.management import client_keys_in
from ampproxy.server.site import GatewayRequest
from ampproxy.wire.headers import CREDENTIALS, Header, strip_query

#: Answers whose body is none, or a part of one.
_NO_WHOLE_BODY = frozenset((204, 205, 206, 304))


def site_for(generation: Generation, request: GatewayRequest) -> Site | None:
    """Amp's site as it looks from the address that the client used.

    A proxy on this machine that speaks HTTPS in our place says so in ``X-Forwarded-Proto``.
    """
    host = request.requestHeaders.getRawHeaders(b"host") or [b""]
    scheme = "https" if request.speaks_tls else "http"
    return generation.site(f"{scheme}://{host[0].decode('ascii', 'replace')}")


def has_credentials(request: GatewayRequest) -> bool:
    """Whether a header carries a key, as programs send it and a browser that opens a page does not."""
    return any(request.requestHeaders.hasHeader(name) for name in CREDENTIALS)


def fetch_site(request: GatewayRequest) -> bytes:
    """Who asked a browser for this, as the browser says (Fetch Metadata): ``same-origin``, ``none`` for its
    user, ``cross-site``; empty for anything but a browser. No page can make this up.
    """
    values = request.requestHeaders.getRawHeaders(b"sec-fetch-site")
    return values[0] if values else b""


#: What a page is made of, as a browser names it; all else it asks for is a page, or data.
_PARTS = frozenset(
    (b"script", b"style", b"image", b"font", b"audio", b"video", b"track", b"manifest", b"worker")
)


def is_part(request: GatewayRequest) -> bool:
    """Whether a browser asks for a part of a page, which has to stay as it is: a page may say its digest."""
    return request.requestHeaders.getRawHeaders(b"sec-fetch-dest", [b""])[0] in _PARTS


def as_from_the_site(
    generation: Generation, request: GatewayRequest, headers: Headers, site: Site, *, page: bool
) -> None:
    """Have a request look to the upstream as if its own pages had sent it: that is what it checks.

    Cookies get the names that the upstream gave them. The guard has made sure that ``Origin`` is one of the
    gateway's names.

    :param headers: those that go to the upstream.
    :param page: whether a browser asks for a page: then ``Referer`` goes along, too, if it is of the site.
    """
    sent = headers.getRawHeaders(b"cookie")
    if sent:
        headers.setRawHeaders(b"Cookie", [cookies.to_upstream(value) for value in sent])
    if headers.hasHeader(b"origin"):
        headers.setRawHeaders(b"Origin", [site.origin])
    for referer in request.requestHeaders.getRawHeaders(b"referer") or () if page else ():
        upstream_url = site.upstream_url(referer)
        if upstream_url is not None:
            path, mark, query = upstream_url.partition(b"?")
            query = strip_query(query, client_keys_in(generation, request, query))
            headers.setRawHeaders(b"Referer", [path + (mark + query if query else b"")])


class SiteChange:
    """What becomes of an answer of Amp's site on its way to the client.

    :param page: whether the body may be a page.
    """

    def __init__(self, site: Site, *, page: bool) -> None:
        self._site = site
        self._page = page

    def headers(self, headers: list[Header]) -> list[Header]:
        """Redirects, cookies and policies are the client's address's."""
        return self._site.answer_headers(headers)

    def body(self, status: int, headers: Headers) -> Filter | None:
        """Pages, and the data that they ask for, name the client's address."""
        types = headers.getRawHeaders(b"content-type") or [b""]
        if not self._page or status in _NO_WHOLE_BODY or not is_text(types[0]):
            return None
        return SiteFilter(self._site)
