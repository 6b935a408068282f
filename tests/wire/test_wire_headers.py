"""Headers and queries that pass, and those that stay behind."""

from __future__ import annotations

import pytest

from ampproxy.wire.headers import amp_request_headers, response_headers, strip_query


def names(headers: list[tuple[bytes, bytes]]) -> set[bytes]:
    return {name.lower() for name, _ in headers}


def test_nothing_identifying_reaches_amp() -> None:
    """The Amp upstream learns neither keys, nor addresses, nor which SDK runs."""
    gone = b"""
        Authorization X-Api-Key X-Goog-Api-Key X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto
        X-Forwarded-Port X-Real-IP Forwarded Via X-Title X-Stainless-Lang X-Stainless-Package-Version
        X-Stainless-Os X-Stainless-Arch X-Stainless-Runtime X-Stainless-Runtime-Version Http-Referer
        Referer Sec-Ch-Ua Sec-Ch-Ua-Mobile Sec-Ch-Ua-Platform Sec-Fetch-Mode Sec-Fetch-Site
        Sec-Fetch-Dest Priority Accept-Encoding Proxy-Connection Keep-Alive Proxy-Authenticate
        Proxy-Authorization Te Trailer Transfer-Encoding Upgrade Connection Proxy-X Host
    """
    kept = b"""
        Cookie User-Agent X-Amp-Thread-Id Anthropic-Beta X-Request-ID Content-Type Accept
        X-Stainless-Retry-Count
    """
    headers = [(name, b"v") for name in (gone + kept).split()]
    assert amp_request_headers(headers) == [(name, b"v") for name in kept.split()]


def test_what_connection_names_goes_too() -> None:
    """A header that ``Connection`` names belongs to that connection (RFC 9110, 7.6.1)."""
    headers = [
        (b"connection", b"close, X-Mine"),
        (b"Connection", b"x-other"),
        (b"x-mine", b"1"),
        (b"X-Other", b"2"),
        (b"A", b"3"),
    ]
    assert amp_request_headers(headers) == [(b"A", b"3")]
    assert response_headers(headers) == [(b"A", b"3")]


def test_repeated_headers_stay_repeated_in_order() -> None:
    """Two cookies set by the upstream are two cookies for the client."""
    headers = [(b"Set-Cookie", b"a"), (b"X", b"1"), (b"set-cookie", b"b")]
    assert response_headers(headers) == headers


def test_responses_lose_cors_and_framing() -> None:
    """No page may read the gateway's answers because the upstream allows pages to."""
    headers = [
        (b"Access-Control-Allow-Origin", b"*"),
        (b"Server", b"x"),
        (b"Date", b"x"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Content-Length", b"3"),
        (b"Content-Type", b"application/json"),
    ]
    assert names(response_headers(headers)) == {b"content-length", b"content-type"}
    assert names(response_headers(headers, body_changes=True)) == {b"content-type"}


def test_a_tunnel_keeps_its_upgrade() -> None:
    """A WebSocket handshake may pass when it is asked for."""
    headers = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), (b"Authorization", b"k")]
    assert names(amp_request_headers(headers, keep=frozenset((b"upgrade", b"connection")))) == {
        b"connection",
        b"upgrade",
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"a=%20+b&key=secret&z", b"a=%20+b&z"),
        (b"key=other&auth_token=s%65cret&key=secret", b"key=other"),
        (b"k%65y=secret&x=secret", b"x=secret"),
        (b"b=2&a=1&&c=", b"b=2&a=1&&c="),
        (b"", b""),
        (b"key=secret", b""),
        (b"monkey=secret", b"monkey=secret"),
        (b"key=se%26cret&alt=sse", b"alt=sse"),
    ],
)
def test_only_the_clients_keys_leave_the_query(query: bytes, expected: bytes) -> None:
    """The client's key is cut out of the query; every other byte stays."""
    assert strip_query(query, [b"secret", b"se&cret"]) == expected
