"""Which headers and query members may pass a gateway, and which stay behind.

Headers are ``(name, value)`` pairs of bytes, in order; a name that comes several times stays several
times. Names are compared without regard to case (RFC 9110, 5.1).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from email.utils import parsedate_to_datetime
from urllib.parse import unquote_to_bytes

Header = tuple[bytes, bytes]

#: What belongs to one connection (RFC 9110, 7.6.1).
CONNECTION = frozenset((b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"))
#: The same with what is for the next proxy. ``Proxy-*`` goes as a whole, see :func:`_dropped`.
HOP_BY_HOP = CONNECTION | {b"proxy-authenticate", b"proxy-authorization", b"proxy-connection"}

#: Where a client may carry its key. All go, whichever of them was the good one.
CREDENTIALS = frozenset((b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key"))

#: What tells the Amp upstream who the client is, where it sits and which program it runs.
IDENTIFYING = frozenset(
    (
        b"forwarded",
        b"http-referer",
        b"priority",
        b"referer",
        b"sec-ch-ua",
        b"sec-ch-ua-mobile",
        b"sec-ch-ua-platform",
        b"sec-fetch-dest",
        b"sec-fetch-mode",
        b"sec-fetch-site",
        b"cf-connecting-ip",
        b"true-client-ip",
        b"via",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-forwarded-scheme",
        b"x-forwarded-server",
        b"x-forwarded-ssl",
        b"x-original-host",
        b"x-real-ip",
        b"x-stainless-arch",
        b"x-stainless-lang",
        b"x-stainless-os",
        b"x-stainless-package-version",
        b"x-stainless-runtime",
        b"x-stainless-runtime-version",
        b"x-title",
    )
)

#: By which some servers take a request for one with another path, method or stage, after all was
#: decided.
OVERRIDING = frozenset(
    (
        b"x-envoy-original-path",
        b"x-forwarded-path",
        b"x-forwarded-prefix",
        b"x-forwarded-uri",
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-method",
        b"x-original-uri",
        b"x-original-url",
        b"x-rewrite-url",
    )
)
#: Likewise all of Next.js' own: ``x-middleware-subrequest`` has it leave its checks out.
_OVERRIDING_PREFIXES = (b"x-middleware-", b"x-invoke-", b"x-matched-")

#: What the gateway sets anew on a request: the target's name, the body's length, the codings that
#: the gateway itself can undo.
REFRAMED = frozenset((b"host", b"content-length", b"accept-encoding", b"expect"))

#: What never goes to the Amp upstream.
AMP_REQUEST = HOP_BY_HOP | CREDENTIALS | IDENTIFYING | OVERRIDING | REFRAMED

#: What never comes back to a client: ``Server`` and ``Date`` are the gateway's own.
RESPONSE = HOP_BY_HOP | {b"server", b"date"}

_BODY = frozenset((b"content-length", b"content-encoding", b"content-md5", b"digest", b"etag"))
_RESPONSE_NEW_BODY = RESPONSE | _BODY

_PREFIXES = (b"proxy-", b"access-control-")
_REQUEST_PREFIXES = (b"proxy-", *_OVERRIDING_PREFIXES)

#: What a vendor says to browsers of its own site, to caches of it, or to the proxies before it: wrong from
#: here, where it would hold for the gateway.
_OF_A_SITE = frozenset(
    (
        b"alt-svc",
        b"cache-control",
        b"clear-site-data",
        b"content-type",
        b"expires",
        b"last-modified",
        b"link",
        b"location",
        b"nel",
        b"refresh",
        b"report-to",
        b"set-cookie",
        b"set-cookie2",
        b"sourcemap",
        b"strict-transport-security",
        b"vary",
        b"www-authenticate",
    )
)
_SITE_PREFIXES = (*_PREFIXES, b"x-accel-", b"x-ampproxy-", b"content-security-policy", b"cross-origin-")


def amp_request_headers(headers: Iterable[Header], *, keep: Collection[bytes] = ()) -> list[Header]:
    """A client's headers as they may go to the Amp upstream.

    :param keep: lower-case names that pass although they are on the list (``upgrade`` in a tunnel).
    """
    banned = AMP_REQUEST.difference(keep) if keep else AMP_REQUEST
    # To servers that make variables of headers an underscore is a hyphen.
    kept = [header for header in headers if b"_" not in header[0] or not _is_banned(header[0], banned)]
    return _without(kept, banned, _REQUEST_PREFIXES, keep)


def _is_banned(name: bytes, banned: frozenset[bytes]) -> bool:
    name = name.lower().replace(b"_", b"-")
    return name in banned or name.startswith(_REQUEST_PREFIXES)


def response_headers(headers: Iterable[Header], *, body_changes: bool = False) -> list[Header]:
    """An upstream's headers as they may go to the client: no hop-by-hop, no CORS, no ``Server``, ``Date``.

    :param body_changes: the body will not be the upstream's bytes: what describes those goes too.
    """
    return _without(headers, _RESPONSE_NEW_BODY if body_changes else RESPONSE, _PREFIXES)


def vendor_headers(headers: Iterable[Header]) -> list[Header]:
    """A vendor's headers as far as they tell of the answer: none of its connection, its body or its site."""
    return _without(headers, _RESPONSE_NEW_BODY | _OF_A_SITE, _SITE_PREFIXES)


def _without(
    headers: Iterable[Header],
    banned: frozenset[bytes],
    prefixes: tuple[bytes, ...],
    keep: Collection[bytes] = (),
) -> list[Header]:
    lowered = [(header[0].lower(), header) for header in headers]
    named = [header[1] for name, header in lowered if name == b"connection"]
    if named:
        # Whatever ``Connection`` names belongs to that connection too.
        options = (option.strip().lower() for value in named for option in value.split(b","))
        banned = banned.union(option for option in options if option and option not in keep)
    return [
        header
        for name, header in lowered
        if name not in banned and (not name.startswith(prefixes) or name in keep)
    ]


#: Query members that may carry a client's key.
_KEY_MEMBERS = frozenset((b"key", b"auth_token"))


def strip_query(query: bytes, secrets: Iterable[bytes]) -> bytes:
    """A raw query string without the ``key`` and ``auth_token`` members that hold one of ``secrets``.

    Every other byte stays as it is: order, encoding, empty members.
    """
    if b"key" not in query and b"auth_token" not in query and b"%" not in query:
        return query
    known = frozenset(secrets)
    return b"&".join(pair for pair in query.split(b"&") if not _holds(pair, known))


def _holds(pair: bytes, known: frozenset[bytes]) -> bool:
    name, _, value = pair.partition(b"=")
    return _decoded(name) in _KEY_MEMBERS and (value in known or _decoded(value) in known)


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def http_date(text: str | None) -> float | None:
    """An HTTP date (RFC 9110, 5.6.7) as seconds since the epoch; ``None`` if it is none."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
