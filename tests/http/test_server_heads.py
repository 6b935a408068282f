"""Heads of requests: taken apart by llhttp, and stricter than it, however they are cut."""

from __future__ import annotations

from typing import Any

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ampproxy.http.server_heads import Head, HeadReader
from ampproxy.wire.framing import BadMessage
from tests.clocked import assert_grows
from tests.fuzz.examples import examples
from tests.resources.test_edges import FRAMINGS, LINES

HOST = b"Host: localhost\r\n"
BEHIND = b"GET /behind HTTP/1.1\r\n" + HOST + b"\r\n"


def read(said: bytes, cuts: Any = (), *, most: int = 65536, headers: int = 100) -> Any:
    """The first head and what is behind it, or the status and words of the refusal; ``None``: not whole."""
    reader, begin = HeadReader(most, headers), 0
    for end in (*sorted(cut for cut in cuts if 0 < cut < len(said)), len(said)):
        if begin == end:
            continue
        try:
            found = reader.feed(said[begin:end])
        except BadMessage as bad:
            return bad.status, bad.words
        if found is not None:
            return found[0], found[1] + said[end:]
        begin = end
    return None


def status(said: bytes, **bounds: int) -> Any:
    """200 where it is taken whole; the same for each cut."""
    results = []
    for cuts in ((), range(len(said)), range(1, len(said), 7)):
        found = read(said, cuts, **bounds)
        results.append(200 if found and isinstance(found[0], Head) else found and found[0])
    assert len(set(results)) == 1, results
    return results[0]


def test_parts() -> None:
    """Names in any case, values without the blanks around them, in the order in which they came."""
    said = (
        b"POST /a?b=c HTTP/1.1\r\n"
        + HOST
        + b"x-a: 1 \t \r\nX-A:2\r\nEmpty:\r\nB: \xe9 \r\nContent-Length: 3\r\n\r\n"
    )
    for cuts in ((), range(len(said)), (30,)):
        head, rest = read(said + b"abc", cuts)
        assert (head.method, head.target, head.version) == (b"POST", b"/a?b=c", b"HTTP/1.1")
        assert head.headers.getRawHeaders(b"X-a") == [b"1", b"2"]
        assert head.headers.getRawHeaders(b"empty") == [b""]
        assert head.headers.getRawHeaders(b"b") == [b"\xe9"]
        assert (head.length, head.keeps, rest) == (3, True, b"abc")


#: What llhttp lets through, or takes otherwise than it is taken here.
TRAPS = {
    "a value of 1 MB": (b"GET / HTTP/1.1\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n", 431),
    "a target of 1 MB": (b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431),
    "10,000 headers": (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 10_000 + b"\r\n", 431),
    "101 headers": (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 101 + b"\r\n", 431),
    "100 headers": (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 100 + b"\r\n", 200),
    "no version": (b"GET /\r\n\r\n", 400),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "HTTP/0.9": (b"GET / HTTP/0.9\r\n" + HOST + b"\r\n", 505),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 505),
    "ICE": (b"SOURCE / ICE/1.0\r\n" + HOST + b"\r\n", 400),
    "RTSP": (b"DESCRIBE rtsp://x/ RTSP/1.0\r\n" + HOST + b"\r\n", 400),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "two spaces": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "three spaces": (b"GET /   HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a tab": (b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "one empty line": (b"\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    "two empty lines": (b"\r\n\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "an empty line of LF": (b"\nGET / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "empty lines alone": (b"\r\n\r\n", 400),
    "a CR alone": (b"\rGET / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a coding before chunked": (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400),
    "chunked in HTTP/1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "a length and chunked": (
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "chunked twice": (
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "two equal lengths": (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", 400),
    "a length of 2^64": (b"POST / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n", 413),
    "a length of 2^64 - 1": (b"POST / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n", 200),
    "a length of 21 digits": (b"POST / HTTP/1.1\r\nContent-Length: 000000000000000000005\r\n\r\n", 413),
    "a method that llhttp does not know": (b"WISH / HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    "a method of another protocol": (b"DESCRIBE / HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    "a method in lower case": (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    "a method that is no token": (b"G(T / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "an upgrade": (b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 200),
    "a tunnel": (b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    "a header that continues": (b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400),
    "a control character": (b"GET / HTTP/1.1\r\nA: b\x01\r\n\r\n", 400),
    "DEL": (b"GET / HTTP/1.1\r\nA: b\x7f\r\n\r\n", 400),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_traps(trap: str) -> None:
    """Each has one answer, however it comes."""
    said, expected = TRAPS[trap]
    if len(said) < 10_000:
        assert status(said) == expected
    for cuts in ((), (1,), (len(said) // 2,), range(0, len(said), 65536)):
        found = read(said, cuts)
        assert (200 if isinstance(found[0], Head) else found[0]) == expected


def test_what_llhttp_does_not_know_is_not_lost() -> None:
    """A method that it does not know comes as it is, with all else of its head."""
    head, rest = read(b"WISH /a HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\nab")
    assert (head.method, head.target, head.length, rest) == (b"WISH", b"/a", 2, b"ab")


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket"])
def test_an_upgrade_with_a_body(upgrade: bytes) -> None:
    """Its body is counted, and is no request: llhttp stops at the head, and would take it for one."""
    said = b"POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: %b\r\nContent-Length: 3\r\n\r\nabc" % upgrade
    head, rest = read(said + BEHIND)
    assert (head.length, rest) == (3, b"abc" + BEHIND)


@pytest.mark.parametrize(
    ("lines", "keeps"),
    [
        (b"", True),
        (b"Connection: close\r\n", False),
        (b"Connection: TE, Close\r\n", False),
        (b"Connection: keep-alive, x-close\r\n", True),
    ],
)
def test_keeps(lines: bytes, keeps: bool) -> None:
    """Another request may follow, unless the client says that none does, or is of HTTP/1.0."""
    assert read(b"GET / HTTP/1.1\r\n" + HOST + lines + b"\r\n")[0].keeps is keeps
    assert read(b"GET / HTTP/1.0\r\n" + lines + b"\r\n")[0].keeps is False


@pytest.mark.parametrize("size", [60, 100, 101, 102, 150])
def test_bytes_are_counted(size: int) -> None:
    """Also in a head that comes whole, and the limit is the same byte."""
    said = b"GET / HTTP/1.1\r\nA: " + b"b" * (size - 21) + b"\r\n\r\n"
    assert len(said) - 2 == size
    assert status(said, most=100) == (200 if size <= 100 else 431)


def test_not_awaited() -> None:
    """More than the limit without an end is not kept; nor is a line that has ended wrong awaited."""
    reader = HeadReader(1000, 100)
    assert reader.feed(b"GET / HTTP/1.1\r\nA: " + b"b" * 981) is None
    with pytest.raises(BadMessage) as refused:
        reader.feed(b"b")
    assert refused.value.status == 431


def test_an_empty_line_begins_nothing() -> None:
    """An idle client that sent the line end that it owed is idle still."""
    reader = HeadReader(1000, 100)
    assert reader.feed(b"\r\n") is None
    assert not reader.begun
    assert reader.feed(b"G") is None
    assert reader.begun


def test_time_grows_with_the_size() -> None:
    """Whoever sends a head byte by byte does not make its reading dear."""

    def read(said: bytes) -> None:
        reader = HeadReader(1 << 20, 100)
        for at in range(len(said)):
            reader.feed(said[at : at + 1])

    assert_grows(read, lambda size: b"GET / HTTP/1.1\r\nA: " + b"b" * size, 2_000, 20_000, 30)


PIECES = st.sampled_from(
    [
        *[line for line in LINES if len(line) < 200],
        *FRAMINGS,
        b"GET / HTTP/1.1\r\n",
        b"POST /a HTTP/1.0\r\n",
        HOST,
        b"A: b\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 18446744073709551616\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Upgrade: websocket\r\nConnection: upgrade\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"A:",
        b" ",
        b"\0",
        b"b" * 60,
    ]
)


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(PIECES, min_size=1, max_size=8).map(b"".join),
    st.lists(st.integers(1, 300), max_size=8),
    st.booleans(),
)
@example(b"GET / HTTP/1.1\r\nA: b\r\r\n\r\n", [22], False)
@example(b"GET / HTTP/1.1\r\nA: " + b"b" * 81 + b"\x01\r\n\r\n", [80, 95, 96], True)
@example(b"GET / HTTP/1.1\r\nA: " + b"b" * 79 + b"\r\r\n\r\n", [100], True)
def test_any_split(said: bytes, cuts: list[int], small: bool) -> None:
    """The same head, rest and refusal."""
    bounds = {"most": 100, "headers": 3} if small else {}
    whole, cut = read(said, **bounds), read(said, cuts, **bounds)
    if whole is None or not isinstance(whole[0], Head):
        assert cut == whole
        return
    head, other = whole[0], cut[0]
    assert list(other.headers.getAllRawHeaders()) == list(head.headers.getAllRawHeaders())
    assert (*other[:3], *other[4:], cut[1]) == (*head[:3], *head[4:], whole[1])


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=8).map(b"".join))
def test_second_opinion(said: bytes) -> None:
    """What is taken here, h11 takes, too, and sees it end in the same place."""
    found = read(said)
    if found is None or not isinstance(found[0], Head):
        return
    head, rest = found
    judge = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 22)
    judge.receive_data(said.removeprefix(b"\r\n"))
    # Where a request ends is clear without a host, too, which h11 demands.
    if head.version == b"HTTP/1.1" and len(head.headers.getRawHeaders(b"host", ())) != 1:
        return
    event: Any = judge.next_event()
    assert (event.method, event.target) == (head.method, head.target)
    pairs = [(name.lower(), value) for name, values in head.headers.getAllRawHeaders() for value in values]
    assert sorted(pairs) == sorted(event.headers)
    assert judge.trailing_data[0] == rest
