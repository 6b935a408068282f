"""Requests that can be read in two ways, or are not HTTP: refused at once, and nothing behind them served."""

from __future__ import annotations

import json
import re

import pytest
from twisted.web.iweb import UNKNOWN_LENGTH

from tests.cases import each
from tests.resources.harness import CLIENT_KEY, CONFIG, Connection, World

KEY = b"X-Api-Key: %b\r\n" % CLIENT_KEY.encode()
MODEL = b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n" + KEY
AMP = b"POST /api/threads HTTP/1.1\r\nHost: localhost\r\n" + KEY
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
#: A request hidden behind another. Whoever serves it answers 200.
BEHIND = HEALTH + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
LARGE = b"a" * 70_000


def answers(connection: Connection) -> list[int]:
    """The status of each answer, interim ones included."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d\d\d) ", connection.answer)]


def refused(said: bytes, status: int = 400) -> Connection:
    """Say it all at once, then byte by byte: there is one answer, and it is the refusal."""
    world = World()
    connection = world.connect().send(said + BEHIND)
    slow = world.connect()
    for at in range(len(said) if len(said) < 2000 else 0):
        slow.send(said[at : at + 1])
    for one in (connection, slow) if len(said) < 2000 else (connection,):
        one.send(BEHIND).send(BEHIND)
        assert answers(one) == [status], one.answer
        assert b"Connection: close\r\n" in one.answer
        assert one.closed
        assert json.loads(one.body)["error"]["message"]
    assert not [sent for sent in world.client.sent if sent.body_done]
    return connection


FRAMINGS = [
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Content-Length: 5\r\nTransfer-Encoding: identity\r\n\r\nhello",
    b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello",
    b"Transfer-Encoding: identity\r\n\r\n",
    b"Transfer-Encoding: gzip\r\n\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding:\r\n\r\n",
    b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    b"Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello",
    b"Content-Length: 5, 5\r\n\r\nhello",
    b"Content-Length: 5,6\r\n\r\nhello",
    b"Content-Length: +5\r\n\r\nhello",
    b"Content-Length: -5\r\n\r\nhello",
    b"Content-Length: 0x5\r\n\r\nhello",
    b"Content-Length: 5_0\r\n\r\nhello",
    b"Content-Length: 5 0\r\n\r\nhello",
    b"Content-Length: 5.0\r\n\r\nhello",
    b"Content-Length: \xb2\r\n\r\nhello",
    b"Content-Length:\r\n\r\nhello",
    b"Content-Length : 5\r\n\r\nhello",
    b"Content-Length: 5\r\n 0\r\n\r\nhello",
]


@each("framing", FRAMINGS)
@each("head", [MODEL, AMP])
def test_framing(head: bytes, framing: bytes) -> None:
    """No request whose end two servers could see in two places."""
    refused(head + framing)


def test_framing_of_http_1_0() -> None:
    """HTTP/1.0 has no codings: who sends one means something else."""
    refused(AMP.replace(b"HTTP/1.1", b"HTTP/1.0") + CHUNKED + b"0\r\n\r\n")


@pytest.mark.parametrize("head", [MODEL, AMP])
@pytest.mark.parametrize("digits", [21, 70, 5000])
def test_length_beyond_all_bounds(head: bytes, digits: int) -> None:
    """413 at once, whatever the route does with bodies."""
    refused(head + b"Content-Length: " + b"9" * digits + b"\r\n\r\n", 413)


@pytest.mark.parametrize("head", [MODEL, AMP])
def test_huge_length(head: bytes) -> None:
    """413 at once where a number can be read, in the dialect of the route; a possible one is not refused."""
    connection = World().connect().send(head + b"Content-Length: %d\r\n\r\n" % (2**53 + 1))
    assert connection.status == 413
    assert b"Connection: close\r\n" in connection.answer
    world = World()
    connection = world.connect().send(AMP + b"Content-Length: %d\r\n\r\n" % 2**53)
    assert connection.answer == b""
    assert len(world.client.sent) == 1


LINES = [
    b"GET /healthz HTTP/1.1\nHost: localhost\n\n",
    b"GET /healthz HTTP/1.1\nHost: localhost\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA: b\nContent-Length: 5\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA: b\rContent-Length: 5\r\n\r\n",
    b"GET /healthz HTTP/1.1\rHost: localhost\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA: b\r\n c\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA: b\r\n\tc\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\n Host: localhost\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n \r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost : localhost\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA\t: b\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n: b\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nnothing\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA(b): c\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA\xe9: c\r\n\r\n",
    *(
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA%b: b\r\n\r\n" % byte
        for byte in (b"\0", b"\1", b"\x0b", b"\x1f", b"\x7f")
    ),
    *(
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA: b%bc\r\n\r\n" % byte
        for byte in (b"\0", b"\1", b"\b", b"\x0b", b"\x0c", b"\x1b", b"\x7f")
    ),
    *(
        b"GET /health%bz HTTP/1.1\r\nHost: localhost\r\n\r\n" % byte
        for byte in (b"\0", b"\1", b"\t", b"\x0b", b"\x1f", b"\x7f", b"\x80", b"\xff")
    ),
    b"GET\0 /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET\t/healthz\tHTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET  /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /healthz  HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /healthz HTTP/1.1 \r\nHost: localhost\r\n\r\n",
    b" GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /health z HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /healthz\r\n\r\n",
    b"GET /healthz HTTP/0.9x\r\nHost: localhost\r\n\r\n",
    b"GET /healthz HTTP/1.10\r\nHost: localhost\r\n\r\n",
    b"GET /healthz HTTP/01.1\r\nHost: localhost\r\n\r\n",
    b"GET /healthz HTTP/1.\r\nHost: localhost\r\n\r\n",
    b"GET /healthz HTTP/1,1\r\nHost: localhost\r\n\r\n",
    b"GET /healthz http/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /healthz HTTP 1.1\r\nHost: localhost\r\n\r\n",
    b"GET /healthz XHTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"G\xe9T /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"G(T /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]


@each("said", LINES)
def test_lines(said: bytes) -> None:
    """Nothing but CR LF ends a line, a header is one line, and no line holds control characters."""
    refused(said)


@pytest.mark.parametrize("version", [b"0.9", b"1.2", b"1.9", b"2.0", b"3.0"])
def test_versions(version: bytes) -> None:
    """505 for what is HTTP, but not ours."""
    connection = refused(b"GET /healthz HTTP/%b\r\nHost: localhost\r\n\r\n" % version, 505)
    assert b"HTTP/1.1 505 HTTP Version Not Supported\r\n" in connection.answer
    refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)


#: Where a line begins that will never end as it should.
BEGUN = [
    b"GET /healthz HTTP/1.1\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\n",
    b"GET /healthz HTTP/1.1\rH",
    b"GET /healthz HTTP/1.1\r\nA: \0",
    b"GET /healthz HTTP/1.1\r\nHost : localhost\r\n",
    b"GET /healthz HTTP/1.1\r\nA: b\r\n c\r\n",
    b"GET /healthz HTTP/1.1\r\nnothing\r\n",
    AMP + b"Content-Length: +5\r\n",
]


@pytest.mark.parametrize("said", BEGUN)
def test_not_awaited(said: bytes) -> None:
    """A request that cannot become one is refused before its head has come, however it is cut."""
    for cut in range(len(said)):
        connection = World().connect().send(said[:cut])
        assert connection.answer == b"", cut
        assert connection.send(said[cut:]).status == 400
        assert connection.closed


def test_good_requests() -> None:
    """Tabs and bytes above ASCII in values, an empty line before a request, and empty values, are HTTP."""
    said = HEALTH + b"A: \t b\xe9\tc \r\nB:\r\nC:d\r\n\r\n\r\n" + BEHIND
    for cut in range(len(said)):
        connection = World().connect().send(said[:cut]).send(said[cut:])
        assert answers(connection) == [200, 200]
        assert not connection.closed


def test_missing_host() -> None:
    """HTTP/1.1 demands it, once."""
    for head in (b"\r\n", b"Host: localhost\r\nHost: localhost\r\n\r\n"):
        connection = World().connect().send(b"GET /healthz HTTP/1.1\r\n" + head)
        assert connection.status == 400


@pytest.mark.parametrize(
    ("values", "closes"),
    [
        (b"Connection: close\r\n", True),
        (b"Connection: TE,Close\r\n", True),
        (b"Connection: close, TE\r\n", True),
        (b"Connection: TE\r\nConnection: close\r\n", True),
        (b"Connection: keep-alive, x-close\r\n", False),
        (b"", False),
    ],
)
def test_close(values: bytes, closes: bool) -> None:
    """A client says in a list, or in several, that it asks nothing more."""
    connection = World().connect().send(HEALTH + values + b"\r\n" + BEHIND)
    assert answers(connection) == [200] * (1 if closes else 2)
    assert connection.closed is closes


CHUNKS = [
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"+5\r\nhello\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b" 5\r\nhello\r\n0\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n",
    b"5 ;a\r\nhello\r\n0\r\n\r\n",
    b"5_0\r\nhello\r\n0\r\n\r\n",
    b"g\r\nhello\r\n0\r\n\r\n",
    b"\r\nhello\r\n0\r\n\r\n",
    b";a\r\nhello\r\n0\r\n\r\n",
    b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    b"10000000000000005\r\nhello",
    b"ffffffffffffffff\r\nhello",
    b"20000000000001\r\nhello",
    b"5\nhello\r\n0\r\n\r\n",
    b"5\rhello\r\n0\r\n\r\n",
    b"5\r\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhelloX\r\n0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"5\r\nhello\rX0\r\n\r\n",
    b"5;\n\r\nhello\r\n0\r\n\r\n",
    b"5;a=\0\r\nhello\r\n0\r\n\r\n",
    b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    b"5;" + b"a" * 1100 + b"\r\nhello\r\n0\r\n\r\n",
    b"5;" + b"a" * 1100,
    b"0\r\nnothing\r\n\r\n",
    b"0\r\nA : b\r\n\r\n",
    b"0\r\nA: b\r\n c\r\n\r\n",
    b"0\r\n: b\r\n\r\n",
    b"0\r\nA: b\n\r\n",
    b"0\r\nA: \0\r\n\r\n",
    b"0\r\nA: b\rc\r\n\r\n",
    b"0\r\n\n\r\n",
    *(
        b"0\r\n%b: 1\r\n\r\n" % name
        for name in (
            b"Content-Length",
            b"transfer-encoding",
            b"Host",
            b"Connection",
            b"X-Api-Key",
            b"Trailer",
        )
    ),
]


@each("chunks", CHUNKS)
@each("head", [MODEL, AMP])
def test_chunks(head: bytes, chunks: bytes) -> None:
    """No chunk that two decoders could cut in two ways; the upload that had begun is ended."""
    refused(head + CHUNKED + chunks)


MANY = [
    (b"0\r\nA: " + LARGE + b"\r\n\r\n", "max-header-bytes"),
    (b"0\r\nA: " + LARGE, ""),
    (b"0\r\n" + b"A: b\r\n" * 101 + b"\r\n", "max-headers"),
    (b"1;%b\r\nx\r\n" % (b"a" * 1000) * 70 + b"0\r\n\r\n", "max-header-bytes"),
]


@pytest.mark.parametrize(("chunks", "setting"), MANY)
def test_bounds_of_chunks(chunks: bytes, setting: str) -> None:
    """Trailers, and extensions that are out of all proportion, have the limits of headers."""
    connection = refused(AMP + CHUNKED + chunks)
    assert setting.encode() in connection.body


def test_good_chunks() -> None:
    """Extensions in keeping with their chunks, however many, and trailers, are HTTP; they go no further."""
    world = World()
    signed = b"400;chunk-signature=%b\r\n%b\r\n" % (b"f" * 64, b"x" * 1024)
    said = AMP + CHUNKED + signed * 2000 + b"0;last\r\nDigest: a=b\r\nExpires: 0\r\n\r\n"
    connection = world.connect().send(said)
    (sent,) = world.client.sent
    assert sent.body_done
    assert sent.body == b"x" * 1024 * 2000
    assert not sent.header("Digest")
    sent.respond_whole(200, b"ok")
    world.turn()
    assert connection.send(BEHIND).answer.count(b"HTTP/1.1 200") == 2


def test_broken_upload_ends_its_exchange() -> None:
    """What serves the request hears that it is over, and says nothing behind the refusal."""
    world = World()
    connection = world.connect().send(AMP + CHUNKED + b"5\r\nhello\r\n")
    (sent,) = world.client.sent
    assert not sent.cancelled
    connection.send(b"x\r\n")
    assert connection.status == 400
    assert sent.cancelled
    connection.leave()
    assert [event["outcome"] for event in world.exchanges] == ["client-left"]


def test_broken_upload_under_an_answer() -> None:
    """No second answer is put into one that has begun: the connection is cut."""
    world = World()
    connection = world.connect().send(AMP + CHUNKED + b"5\r\nhello\r\n")
    stream = world.client.sent[0].respond(200, {"Content-Type": ["text/plain"]})
    stream.data(b"begun")
    world.turn()
    assert b"begun" in connection.answer
    connection.send(b"x\r\n")
    assert connection.aborted
    assert connection.answer.count(b"HTTP/1.1") == 1
    assert not connection.ended_cleanly


def test_broken_upload_after_an_answer() -> None:
    """An upload that was refused early, and breaks while the rest of it is dropped, spoils nothing."""
    world = World(CONFIG + "limits: {max-body: 10}\n")
    connection = world.connect().send(MODEL + CHUNKED + b"b\r\nhello world\r\n")
    assert connection.status == 413
    connection.send(b"x\r\n" + BEHIND).send(BEHIND)
    assert connection.answer.count(b"HTTP/1.1") == 1
    assert connection.closed
    assert not connection.aborted


@pytest.mark.parametrize("expect", [b"100-continue", b"100-Continue"])
def test_expect(expect: bytes) -> None:
    """The client hears that its upload is awaited, then its answer; behind it the next request."""
    world = World()
    connection = world.connect().send(AMP + b"Expect: %b\r\nContent-Length: 5\r\n\r\n" % expect)
    assert connection.answer == b"HTTP/1.1 100 Continue\r\n\r\n"
    (sent,) = world.client.sent
    assert not sent.header("Expect")
    connection.send(b"hello")
    sent.respond_whole(200, b"ok")
    world.turn()
    connection.send(BEHIND)
    assert connection.answer.count(b"HTTP/1.1 200") == 2


def test_expect_of_nothing() -> None:
    """Where there is no body, or the client is of HTTP/1.0, there is nothing to go on with."""
    connection = World().connect().send(HEALTH + b"Expect: 100-continue\r\n\r\n")
    assert connection.answer.startswith(b"HTTP/1.1 200 OK\r\n")
    old = AMP.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    assert World().connect().send(old).answer == b""


@pytest.mark.parametrize(
    ("version", "headers", "aborted"),
    [("1.0", {}, True), ("1.0", {"content-length": ["9"]}, False), ("1.1", {}, False)],
)
def test_broken_off(version: str, headers: dict[str, list[str]], aborted: bool) -> None:
    """An answer of an upstream that breaks is whole for no client: where nothing but the connection's end
    ends it, that is no orderly one.
    """
    world = World()
    connection = world.connect().send(AMP.replace(b"/1.1", f"/{version}".encode()) + b"\r\n")
    body = world.client.sent[0].respond(200, headers, 9 if headers else UNKNOWN_LENGTH)
    body.data(b"half")
    world.turn()
    body.lose()
    world.turn()
    assert b"half" in connection.answer
    assert not connection.answer.endswith(b"0\r\n\r\n")
    assert (connection.closed, connection.aborted) == (True, aborted)


def test_expect_after_a_final_answer() -> None:
    """A page that is redirected before its body has come is not followed by a "100 Continue", nor by another
    request: some clients send the body then, and some do not.
    """
    world = World(CONFIG.replace("ampcode:", "ampcode:\n  browser-pages: redirect"))
    head = b"GET /docs HTTP/1.1\r\nHost: localhost\r\n"
    connection = world.connect().send(head + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert answers(connection) == [302]
    assert b"\r\nConnection: close\r\n" in connection.answer
    connection.send(b"hello" + BEHIND)
    assert answers(connection) == [302]
    assert connection.closed


@pytest.mark.parametrize(
    ("method", "status", "length"),
    [("HEAD", 200, "1234"), ("HEAD", 404, "9"), ("GET", 304, "1234"), ("GET", 304, None), ("GET", 204, None)],
)
def test_answers_without_body(method: str, status: int, length: str | None) -> None:
    """The length of an answer that has no body is that of the one it stands for, or is not given at all."""
    world = World()
    connection = world.request(method, "/api/threads")
    headers = {} if length is None else {"Content-Length": [length]}
    stream = world.client.sent[0].respond(status, headers, 0)
    if stream.protocol is not None:
        stream.done()
    world.turn()
    head = connection.answer.partition(b"\r\n\r\n")[0]
    lengths = [line.split()[1].decode() for line in head.split(b"\r\n") if line.startswith(b"Content-Length")]
    assert lengths == ([] if length is None else [length])
    assert b"Transfer-Encoding" not in head
    assert connection.body == b""
    assert connection.send(BEHIND).answer.count(b"HTTP/1.1 ") == 2
