"""Hosts and origins in one form."""

from __future__ import annotations

import pytest

from ampproxy.wire.authority import (
    Authority,
    listed_authority,
    parse_authority,
    parse_origin,
    shown_authority,
    with_port,
)
from tests.cases import each


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (b"localhost", "localhost", None),
        (b"LocalHost.:80", "localhost", 80),
        (b"localhost:", "localhost", None),
        (b"a_b.example:65535", "a_b.example", 65535),
        (b"127.0.0.1:08317", "127.0.0.1", 8317),
        (b"[::1]:1", "::1", 1),
        (b"[0:0:0:0:0:0:0:1]", "::1", None),
        (b"[fe80::1%eth0]", "fe80::1%eth0", None),
    ],
)
def test_authorities(text: bytes, host: str, port: int | None) -> None:
    assert parse_authority(text) == Authority(host, port)


NO_HOSTS = [
    *(
        b"",
        b":80",
        b".",
        b"a..b",
        b".a",
        b"a b",
        b"a/b",
        b"a,b",
        b"a\\b",
        b"*",
        b"a%2eb",
        b"\xff",
        b"a" * 300,
    ),
    *(b"user@localhost", b"localhost:x", b"localhost:0", b"localhost:65536", b"localhost:999999", b"a:1:2"),
    *(b"0.0.0.0", b"0.0.0.0:8317", b"0.1.2.3", b"255.255.255.255", b"224.0.0.1", b"1.2.3", b"127.1", b"1"),
    *(b"127.0.0.256", b"[::]", b"[::]:80", b"[ff02::1]", b"[::ffff:0.0.0.0]", b"[::1].x", b"[::1]x", b"[::1"),
    *(b"::1", b"[127.0.0.1]", b"[]", b"localhost\n", b"[::1%]"),
]


@each("text", NO_HOSTS)
def test_what_is_no_host(text: bytes) -> None:
    """Not a host, or not one of a single machine."""
    assert parse_authority(text) is None


@pytest.mark.parametrize(
    ("text", "scheme", "shown"),
    [
        (b"http://localhost", "http", "localhost:80"),
        (b"HTTPS://[::1]", "https", "[::1]:443"),
        (b"http://a.b:8080", "http", "a.b:8080"),
    ],
)
def test_origins(text: bytes, scheme: str, shown: str) -> None:
    found = parse_origin(text)
    assert found is not None
    assert (found[0], shown_authority(found[1])) == (scheme, shown)


@pytest.mark.parametrize(
    "text",
    [
        b"null",
        b"",
        b"localhost",
        b"ftp://localhost",
        b"http://",
        b"http://a/",
        b"http://a@b",
        b"http://0.0.0.0",
    ],
)
def test_no_origins(text: bytes) -> None:
    assert parse_origin(text) is None


def test_lists() -> None:
    """IPv6 addresses stand in lists without brackets, but for those with a port."""
    assert parse_authority(b"[::FFFF:127.0.0.1]") == parse_authority(b"[0::ffff:7f00:1]")
    assert listed_authority("::1") == Authority("::1")
    assert listed_authority("[::1]:80") == Authority("::1", 80)
    assert listed_authority("a.b:80") == Authority("a.b", 80)
    assert with_port(Authority("a"), "https") == Authority("a", 443)
    assert with_port(Authority("a", 1), "https") == Authority("a", 1)
    assert Authority("::1").is_address
    assert not Authority("a.b").is_address
