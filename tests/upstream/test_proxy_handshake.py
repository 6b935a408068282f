"""The conversations with a proxy, in memory: whole, byte by byte, cut, refused."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable

import pytest

from ampproxy.upstream.handshake import (
    MAX_HEAD,
    ConnectHandshake,
    Handshake,
    HandshakeRefused,
)
from ampproxy.upstream.socks import SocksHandshake

GRANTED = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n"
#: What a SOCKS5 server says when it takes no credentials, and when it takes them.
OPEN = (b"\x05\x00", b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50")
WITH_PASSWORD = (b"\x05\x02", b"\x01\x00", OPEN[1])
TUNNEL = b"\x16\x03\x01 bytes of the tunnel \r\n\r\n"


def converse(handshake: Handshake, pieces: Iterable[bytes]) -> list[bytes]:
    """All that the handshake says."""
    said = [handshake.start()]
    said += [handshake.feed(piece) for piece in pieces]
    return [piece for piece in said if piece]


def refusal(handshake: Handshake, *pieces: bytes) -> str:
    with pytest.raises(HandshakeRefused) as caught:
        converse(handshake, pieces)
    return str(caught.value)


def test_connect_says() -> None:
    """A proxy reads one request in the form that RFC 9110 demands, with credentials only if there are."""
    assert ConnectHandshake("api.test", 443).start() == (
        b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n"
    )
    said = ConnectHandshake("2001:db8::1", 8443, ("amy", "gr\u00fcn:2")).start().decode()
    assert said.startswith("CONNECT [2001:db8::1]:8443 HTTP/1.1\r\nHost: [2001:db8::1]:8443\r\n")
    basic = said.rsplit("Proxy-Authorization: Basic ", 1)[1].removesuffix("\r\n\r\n")
    assert base64.b64decode(basic).decode() == "amy:gr\u00fcn:2"


@pytest.mark.parametrize(
    "answer",
    [
        GRANTED,
        b"HTTP/1.0 200\r\n\r\n",
        b"HTTP/1.1 200 OK\n\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + GRANTED,
    ],
)
def test_connect_granted_at_every_split(answer: bytes) -> None:
    """However the answer is cut into packets, the tunnel begins behind it, and no byte of it is lost."""
    whole = answer + TUNNEL
    for at in range(1, len(whole) + 1):
        handshake = ConnectHandshake("api.test", 443)
        handshake.start()
        handshake.feed(whole[:at])
        if at < len(answer):
            assert handshake.rest is None
            handshake.feed(whole[at:])
            assert handshake.rest == TUNNEL
        else:
            assert handshake.rest == TUNNEL[: at - len(answer)]


def test_connect_long_tunnel_in_the_same_packet() -> None:
    """The limit is for the headers: what comes through the tunnel in the same packet may be long."""
    handshake = ConnectHandshake("api.test", 443)
    handshake.feed(GRANTED + bytes(10 * MAX_HEAD))
    assert handshake.rest == bytes(10 * MAX_HEAD)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("400 Bad Request", "did not understand CONNECT (status 400)"),
        ("403 Forbidden", "forbids tunnels to api.test:443 (status 403)"),
        ("405 Method Not Allowed", "is an HTTP server that does not allow CONNECT (status 405)"),
        ("502 Bad Gateway", "could not reach api.test:443 (status 502)"),
        ("504 Gateway Timeout", "could not reach api.test:443 in time (status 504)"),
        ("302 Found", "did not open a tunnel to api.test:443 (status 302)"),
        ("599", "did not open a tunnel to api.test:443 (status 599)"),
    ],
)
def test_connect_refused(status: str, words: str) -> None:
    """Each refusal is told in words, with the status."""
    answer = f"HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nno!".encode()
    assert refusal(ConnectHandshake("api.test", 443), answer) == words


@pytest.mark.parametrize(
    ("credentials", "offers", "words"),
    [
        (None, ["Basic realm=x"], "requires a user name and a password: write them into its URL"),
        (("amy", "secret"), ["basic"], "did not accept the user name and the password of its URL"),
        (("amy", "secret"), [], "did not accept the user name and the password of its URL"),
        (("amy", "secret"), ["NTLM", "Basic realm=x"], "did not accept the user name and"),
        (("amy", "secret"), ["Negotiate", "NTLM"], "requires an authentication other than Basic"),
    ],
)
def test_connect_407(credentials: tuple[str, str] | None, offers: list[str], words: str) -> None:
    """The words say which of the three is wrong: no credentials, bad ones, or a scheme we do not know."""
    fields = "".join(f"Proxy-Authenticate: {offer}\r\n" for offer in offers)
    answer = f"HTTP/1.1 407 Proxy Authentication Required\r\n{fields}\r\n".encode()
    told = refusal(ConnectHandshake("api.test", 443, credentials), answer)
    assert told.startswith(words)
    assert told.endswith("(status 407)")
    assert "secret" not in told


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-x\r\n", b"\x15\x03\x01", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\r\n\r\n"]
)
def test_connect_not_http(answer: bytes) -> None:
    """A server that speaks something else is found out by its first bytes, not by the timeout."""
    assert refusal(ConnectHandshake("api.test", 443), answer) == "answered CONNECT with what is not HTTP"


def test_connect_endless_headers() -> None:
    """Headers without an end are given up."""
    pieces = [b"HTTP/1.1 200 OK\r\n"] + [b"X: " + b"y" * 1000 + b"\r\n"] * 70
    assert f"more than {MAX_HEAD} bytes" in refusal(ConnectHandshake("api.test", 443), *pieces)
    assert f"more than {MAX_HEAD} bytes" in refusal(
        ConnectHandshake("api.test", 443), b"".join(pieces) + b"\r\n"
    )


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("10.1.2.3", b"\x01\x0a\x01\x02\x03"),
        ("2001:db8::1", b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01"),
        ("api.test", b"\x03\x08api.test"),
    ],
)
def test_socks_says(host: str, address: bytes) -> None:
    """A SOCKS5 server reads the messages of RFC 1928 and 1929, for each kind of address."""
    ask = b"\x05\x01\x00" + address + b"\x01\xbb"
    assert converse(SocksHandshake(host, 443), OPEN) == [b"\x05\x01\x00", ask]
    credentials = ("amy", "gr\u00fcn")
    password = b"\x01\x03amy\x05gr\xc3\xbcn"
    offer = b"\x05\x02\x00\x02"
    assert converse(SocksHandshake(host, 443, credentials), WITH_PASSWORD) == [offer, password, ask]
    assert converse(SocksHandshake(host, 443, credentials), OPEN) == [offer, ask]


_BOUND = {
    "ipv4": b"\x01\x7f\x00\x00\x01",
    "ipv6": b"\x04" + bytes(16),
    "name": b"\x03\x05proxy",
    "long name": b"\x03\xc8" + b"\xff" * 200,
    "no name": b"\x03\x00",
}


@pytest.mark.parametrize("bound", _BOUND.values(), ids=_BOUND)
@pytest.mark.parametrize("before", [OPEN[:1], WITH_PASSWORD[:2], (b"\x05\x02", b"\x05\x00")])
def test_socks_granted_at_every_split(before: tuple[bytes, ...], bound: bytes) -> None:
    """However the replies are cut, and whatever address the proxy uses itself, no byte of the tunnel is
    lost, and none is taken too early.
    """
    replies = b"".join(before) + b"\x05\x00\x00" + bound + b"\x00\x50"
    whole = replies + TUNNEL
    for at in range(1, len(whole) + 1):
        handshake = SocksHandshake("api.test", 443, ("amy", "secret"))
        said = converse(handshake, [whole[:at]])
        if at < len(replies):
            assert handshake.rest is None
            said.append(handshake.feed(whole[at:]))
            assert handshake.rest == TUNNEL
        else:
            assert handshake.rest == TUNNEL[: at - len(replies)]
        assert b"".join(said).endswith(b"\x05\x01\x00\x03\x08api.test\x01\xbb")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "reported a general failure for api.test:443"),
        (2, "forbids connections to api.test:443"),
        (3, "could not reach the network of api.test:443"),
        (4, "could not reach api.test:443"),
        (5, "was refused the connection by api.test:443"),
        (6, "could not reach api.test:443: a time to live expired"),
        (7, "does not support connections"),
        (8, "does not support the type of address of api.test:443"),
        (9, "answered with a reply code that SOCKS5 does not know"),
        (255, "answered with a reply code that SOCKS5 does not know"),
    ],
)
def test_socks_replies(code: int, words: str) -> None:
    """Each reply code is told in words, also of a server that closes without the rest of its reply."""
    told = f"{words} (SOCKS5 reply {code})"
    assert refusal(SocksHandshake("api.test", 443), OPEN[0], bytes([5, code])) == told
    assert refusal(SocksHandshake("api.test", 443), OPEN[0] + bytes([5, code]) + bytes(8)) == told


@pytest.mark.parametrize(
    ("make", "pieces", "words"),
    [
        (lambda: SocksHandshake("a", 1), [b"\x05\xff"], "requires a user name and a password"),
        (lambda: SocksHandshake("a", 1), [b"\x05\x02"], "requires a user name and a password"),
        (lambda: SocksHandshake("a", 1, ("u", "secret")), [b"\x05\xff"], "accepts no authentication by"),
        (lambda: SocksHandshake("a", 1, ("u", "secret")), [b"\x05\x01"], "accepts no authentication by"),
        (lambda: SocksHandshake("a", 1, ("u", "secret")), [b"\x05\x07"], "sent a SOCKS5 reply that cannot"),
        (lambda: SocksHandshake("a", 1, ("u", "secret")), [b"\x05\x02", b"\x01\x01"], "did not accept the"),
        (lambda: SocksHandshake("a", 1), [b"HTTP/1.1 400"], "does not speak SOCKS5 but something else, perh"),
        (lambda: SocksHandshake("a", 1), [b"\x04"], "does not speak SOCKS5 but something else"),
        (lambda: SocksHandshake("a", 1), [OPEN[0], b"\x04\x00\x00\x01" + bytes(6)], "sent a SOCKS5 reply"),
        (lambda: SocksHandshake("a", 1), [OPEN[0], b"\x05\x00\x00\x02" + bytes(6)], "sent a SOCKS5 reply"),
    ],
)
def test_socks_refused(make: Callable[[], Handshake], pieces: list[bytes], words: str) -> None:
    """What goes wrong before the request is told in words too, without the credentials."""
    told = refusal(make(), *pieces)
    assert told.startswith(words)
    assert "secret" not in told
