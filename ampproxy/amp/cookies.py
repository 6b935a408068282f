"""Cookies of Amp's site, for a browser that reaches the site under the gateway's address.

A browser keeps a cookie by the rules of the address that it sees (RFC 6265bis, section 5.7): ``Domain`` must
be that address's, ``Secure`` and the name prefixes ``__Host-`` and ``__Secure-`` want HTTPS, and
``SameSite=None`` wants ``Secure``. What the upstream says holds for its own address only.
"""

from __future__ import annotations

#: Put before a name whose prefix wants HTTPS. What remains says which name it was.
MARK = b"amp"

_PREFIXES = (b"__host-", b"__secure-")
#: Attributes that a browser takes over HTTPS only.
_OVER_TLS = frozenset((b"secure", b"partitioned"))


def to_client(cookie: bytes, *, host: bytes, tls: bool, prefix: bytes = b"") -> bytes:
    """The value of a ``Set-Cookie`` as the client's browser will keep it.

    :param host: the upstream's, lower case. A ``Domain`` that this host belongs to goes: the cookie is then
        the client's address's alone. Any other stays, and the browser refuses it as it should.
    :param tls: whether the client speaks HTTPS.
    :param prefix: what paths of the upstream's begin with and the client's do not.
    """
    pair, *attributes = cookie.split(b";")
    kept = [pair if tls or not pair.lstrip().lower().startswith(_PREFIXES) else MARK + pair.lstrip()]
    for attribute in attributes:
        name, _, value = attribute.partition(b"=")
        name, value = name.strip().lower(), value.strip()
        if name == b"domain" and _belongs(host, value.lower().removeprefix(b".")):
            continue
        if name == b"path" and prefix and (value == prefix or value.startswith(prefix + b"/")):
            attribute = b" Path=" + (value[len(prefix) :] or b"/")
        if not tls:
            if name in _OVER_TLS:
                continue
            if name == b"samesite" and value.lower() == b"none":
                attribute = b" SameSite=Lax"
        kept.append(attribute)
    return b";".join(kept)


def to_upstream(cookies: bytes) -> bytes:
    """The value of a ``Cookie`` with the names that the upstream gave."""
    if MARK + b"__" not in cookies:
        return cookies
    return b";".join(map(_renamed, cookies.split(b";")))


def _renamed(pair: bytes) -> bytes:
    text = pair.lstrip()
    name = text.removeprefix(MARK)
    if name == text or not name.lower().startswith(_PREFIXES):
        return pair
    return pair[: len(pair) - len(text)] + name


def _belongs(host: bytes, domain: bytes) -> bool:
    return host == domain or (bool(domain) and host.endswith(b"." + domain))
