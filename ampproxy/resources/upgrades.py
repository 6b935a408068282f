"""Requests for another protocol than HTTP."""

from __future__ import annotations

from ampproxy.server.site import GatewayRequest

#: Upgrades that only change how HTTP is spoken. They are the gateway's to make, and it makes none: such a
#: request is served as if it had not asked (RFC 9110, section 7.8).
_OF_HTTP = (b"h2c", b"http/", b"tls/")


def wants_upgrade(request: GatewayRequest) -> bool:
    """Whether a request asks for another protocol than HTTP on its connection."""
    get = request.requestHeaders.getRawHeaders
    offers = get(b"upgrade")
    if not offers or request.clientproto != b"HTTP/1.1" or request.length != 0:
        return False
    options = [option.strip().lower() for value in get(b"connection") or () for option in value.split(b",")]
    protocols = [name.strip().lower() for value in offers for name in value.split(b",")]
    return b"upgrade" in options and not any(name.startswith(_OF_HTTP) for name in protocols)
