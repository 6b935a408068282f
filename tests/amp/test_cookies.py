"""Cookies of Amp's site under the client's address."""

from __future__ import annotations

import pytest

from ampproxy.amp.cookies import to_client, to_upstream

COOKIES = [
    # as the upstream says it; over HTTP; over HTTPS
    (b"a=b", b"a=b", b"a=b"),
    (b"a=b; Path=/auth; HttpOnly; SameSite=Lax", None, None),
    (b"a=b; Domain=amp.test; HttpOnly", b"a=b; HttpOnly", b"a=b; HttpOnly"),
    (b"a=b;domain=.TEST", b"a=b", b"a=b"),
    (b"a=b; Domain=other.test", None, None),
    (b"a=b; Domain=p.test", None, None),
    (b"a=b; Secure; SameSite=None; Partitioned", b"a=b; SameSite=Lax", None),
    (
        b"a=b; SECURE; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
        b"a=b; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
        None,
    ),
    (b"__Host-s=1; Path=/; Secure", b"amp__Host-s=1; Path=/", None),
    (b"__secure-s=1; Secure; Domain=amp.test", b"amp__secure-s=1", b"__secure-s=1; Secure"),
    (b"x__Host-s=1; Secure", b"x__Host-s=1", None),
    (b"a=Secure; Secure", b"a=Secure", None),
]


@pytest.mark.parametrize(("said", "plain", "tls"), COOKIES)
def test_to_client(said: bytes, plain: bytes | None, tls: bytes | None) -> None:
    """A browser at the client's address keeps it, with every attribute that this address can have."""
    assert to_client(said, host=b"amp.test", tls=False) == (said if plain is None else plain)
    assert to_client(said, host=b"amp.test", tls=True) == (said if tls is None else tls)


@pytest.mark.parametrize("name", [b"a", b"__Host-a", b"__Secure-a", b"__secure-A", b"amp", b"amp__"])
def test_back(name: bytes) -> None:
    """The upstream gets each cookie under the name that it gave it."""
    kept = to_client(name + b"=1; Secure", host=b"amp.test", tls=False)
    assert to_upstream(b"x=y; " + kept + b"; z=amp__Host-z=1") == b"x=y; " + name + b"=1; z=amp__Host-z=1"
