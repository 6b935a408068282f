"""Answers as they come: every trap of a lenient parser, any split, and a second parser's opinion."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass
from typing import Any

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ampproxy.http.answers import AnswerReader
from ampproxy.http.chunks import BrokenChunks
from ampproxy.http.heads import MAX_HEAD, MAX_LINES, AnswerRefused
from tests.cases import each
from tests.fuzz.examples import examples
from tests.growth.law import MOST, growth

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Read:
    """What became of an answer.

    :param end: how many of the bytes it took, if it is whole.
    """

    code: int | None
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    end: int | None
    keep: bool
    fault: str


def read(data: bytes, cuts: list[int] | None = None, *, method: bytes = b"GET") -> Read:
    """Read an answer that comes in pieces; what is behind it comes in pieces of its own."""
    reader = AnswerReader(bodiless=method == b"HEAD")
    body, at = b"", 0
    for cut in [*sorted(cut for cut in cuts or () if cut < len(data)), len(data)]:
        if reader.ended or reader.fault is not None:
            break
        if cut > at:
            body += reader.feed(data[at:cut])
            at = cut
    head = reader.head
    return Read(
        head and head.code,
        tuple(head.headers.pairs()) if head else (),
        body,
        at if reader.ended else None,
        reader.keep and reader.ended,
        str(reader.fault or ""),
    )


def refused(data: bytes, words: str) -> None:
    for cuts in ([], [*range(len(data))], [len(data) // 2]):
        found = read(data, cuts)
        assert words in found.fault, found
        assert found.end is None


#: Rows of answers that a lenient parser takes, or takes for something else, and why they are none.
TRAPS = {
    "a huge value": (OK + b"A: " + b"a" * MAX_HEAD + b"\r\n\r\n", f"{MAX_HEAD} bytes"),
    "many headers": (OK + b"A: b\r\n" * MAX_LINES + b"\r\n", f"{MAX_LINES} lines"),
    "a huge reason": (b"HTTP/1.1 200 " + b"a" * MAX_HEAD + b"\r\n\r\n", f"{MAX_HEAD} bytes"),
    "endless interim answers": (b"HTTP/1.1 100 Continue\r\n\r\n" * 3000, f"{MAX_HEAD} bytes"),
    "a large extension": (CHUNKED + b"3;" + b"a" * 65536 + b"\r\nabc\r\n0\r\n\r\n", "chunk whose size"),
    "many extensions": (CHUNKED + b"1;%b\r\na\r\n" % (b"a" * 900) * 80 + b"0\r\n\r\n", "extensions"),
    "endless trailers": (CHUNKED + b"0\r\n" + b"A: b\r\n" * (MAX_LINES + 1) + b"\r\n", "trailers"),
    "a huge trailer": (CHUNKED + b"0\r\nA: " + b"a" * 70000 + b"\r\n\r\n", "trailers"),
    "a length in a trailer": (CHUNKED + b"0\r\nContent-Length: 3\r\n\r\n", "before the body"),
    "HTTP/0.9": (b"<html>hello</html>\r\n\r\n", "first line"),
    "HTTP/2.0": (b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "first line"),
    "HTTP/2": (b"HTTP/2 200\r\n\r\n", "first line"),
    "ICE/1.0": (b"ICE/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "first line"),
    "RTSP/1.0": (b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "first line"),
    "two spaces": (b"HTTP/1.1  200 OK\r\n\r\n", "first line"),
    "an empty line before": (b"\r\n" + OK + b"Content-Length: 0\r\n\r\n", "first line"),
    "gzip until the end": (OK + b"Transfer-Encoding: gzip\r\n\r\nabc", "chunked alone"),
    "gzip, chunked": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "chunked alone"),
    "identity": (OK + b"Transfer-Encoding: identity\r\n\r\nabc", "chunked alone"),
    "a coding twice": (
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "alone",
    ),
    "a coding in HTTP/1.0": (
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0",
    ),
    "both framings": (
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "both",
    ),
    "two lengths": (OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "several"),
    "a length beyond all": (OK + b"Content-Length: 18446744073709551616\r\n\r\n", "plain number"),
    "a signed length": (OK + b"Content-Length: +3\r\n\r\nabc", "plain number"),
    "a chunk beyond all": (CHUNKED + b"ffffffffffffffff\r\nabc", "chunk whose size"),
    "a chunk that wraps": (CHUNKED + b"10000000000000003\r\nabc", "chunk whose size"),
    "a chunk without an end": (CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n", "line end"),
    "a chunk that ends in LF": (CHUNKED + b"3\r\nabc\n0\r\n\r\n", "line end"),
    "a size that ends in LF": (CHUNKED + b"3\nabc\r\n0\r\n\r\n", "chunk whose size"),
    "LF in an extension": (CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n", "chunk whose size"),
    "another protocol": (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\nDATA", "another protocol"),
    "another protocol, bare": (b"HTTP/1.1 101 X\r\n\r\nDATA", "another protocol"),
    "a control character": (OK + b"A: a\x01b\r\n\r\n", "control character"),
    "DEL": (OK + b"A: a\x7fb\r\n\r\n", "control character"),
    "NUL": (OK + b"A: a\0b\r\n\r\n", "control character"),
    "a bare CR": (OK + b"A: a\rb\r\n\r\n", "control character"),
    "a bare LF": (OK + b"A: a\nB: b\r\n\r\n", "mixed line ends"),
    "a CR among bare LFs": (b"HTTP/1.1 200 OK\nA: b\r\n\n", "mixed line ends"),
    "a blank before the colon": (OK + b"A : a\r\n\r\n", "not a header"),
    "no name": (OK + b": a\r\n\r\n", "not a header"),
    "a header that continues before any": (OK + b" A: b\r\n\r\n", "not a header"),
    "a second answer": (
        (OK + b"Content-Length: 3\r\n\r\nabc") * 2,
        "more than its headers announce",
    ),
    "a second answer behind none": ((OK + b"Content-Length: 0\r\n\r\n") * 2, "announce"),
    "a second chunked answer": ((CHUNKED + b"1\r\na\r\n0\r\n\r\n") * 2, "announce"),
    "a line end behind chunks": (CHUNKED + b"1\r\na\r\n0\r\n\r\n\r\n", "announce"),
    "surplus behind a last answer": (OK + b"Connection: close\r\nContent-Length: 1\r\n\r\nab", "announce"),
}
#: Where the surplus comes in a read of its own, the answer before it was whole: the connection drops it then.
SURPLUS = [name for name, (_, words) in TRAPS.items() if "announce" in words]


@pytest.mark.parametrize("name", sorted(set(TRAPS) - set(SURPLUS)))
def test_traps(name: str) -> None:
    """However it is cut, such an answer is refused, and never whole."""
    data, words = TRAPS[name]
    refused(data, words)


@pytest.mark.parametrize("name", SURPLUS)
def test_surplus(name: str) -> None:
    """What comes behind an answer in the same read makes it none."""
    found = read(TRAPS[name][0])
    assert TRAPS[name][1] in found.fault
    assert found.end is None
    assert not found.keep


@each("size", range(1, 12))
@each(
    ("data", "method", "code", "headers", "body"),
    [
        (b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na", b"GET", 200, (), b"a"),
        (b"HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\na", b"GET", 200, (), b"a"),
        (OK + b"Content-Length: 3  \r\nA:\t b \t\r\n\r\nabc", b"GET", 200, ((b"a", b"b"),), b"abc"),
        (CHUNKED + b"3\r\nabc\r\n0\r\nX: 1\r\n\r\n", b"GET", 200, (), b"abc"),
        (OK + b"Content-Length: 3\r\n\r\n", b"HEAD", 200, ((b"content-length", b"3"),), b""),
        (CHUNKED, b"HEAD", 200, (), b""),
        (b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"GET", 204, (), b""),
        (b"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", b"GET", 304, (), b""),
        (
            b"HTTP/1.1 103 Hints\r\nLink: x\r\nContent-Length: 9\r\n\r\n"
            + OK
            + b"Content-Length: 1\r\n\r\na",
            b"GET",
            200,
            (),
            b"a",
        ),
        (
            OK + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
            b"GET",
            200,
            (),
            b"abc",
        ),
        (b"HTTP/1.1 200 OK\nContent-Length: 9\n\na\r\n\r\nb\n\nc", b"GET", 200, (), b"a\r\n\r\nb\n\nc"),
    ],
)
def test_read_as_meant(
    data: bytes, method: bytes, code: int, headers: tuple[tuple[bytes, bytes], ...], body: bytes, size: int
) -> None:
    """What is odd and clear all the same."""
    found = read(data, [*range(0, len(data), size)], method=method)
    assert found == Read(code, headers, body, len(data), True, "")


def test_until_the_connection_ends() -> None:
    """An answer with neither length nor chunks is whole only when its connection ends, which is not kept."""
    for data in (OK + b"\r\nabc", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nabc"):
        reader = AnswerReader()
        assert reader.feed(data) == b"abc"
        assert reader.until_closed
        assert not reader.ended


NAMES = st.sampled_from([b"A", b"Set-Cookie", b"X-Long-Name", b"content-type", b"Connection", b"Link"])
VALUES = st.sampled_from([b"", b"b", b"close", b"keep-alive", b"a, b", b"x" * 300, b"\xe9", b"b\r\n c", b"A"])
FRAMINGS = st.sampled_from(
    [
        *[
            b"Content-Length: %b" % value
            for value in (b"0", b"5", b"005", b"5, 5", b"5,6", b"-1", b"5 ", b"9")
        ],
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: Chunked",
        b"Transfer-Encoding: gzip",
        b"Content-Length: 5\r\nContent-Length: 5",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"A: none",
    ]
)
FIRST = st.sampled_from(
    [
        *[b"HTTP/1.1 %d Words" % code for code in (200, 201, 204, 304, 404, 500)],
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 200",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK",
        b"HTTP/1.1 103 H\r\nA: b\r\n\r\nHTTP/1.1 200 OK",
    ]
)
PIECES = st.lists(st.binary(max_size=40) | st.sampled_from([b"a" * 300, b"\r\n", b"0\r\n\r\n"]), max_size=25)
BODIES = st.sampled_from([b"", b"hello", b"hello\r\n", b"5\r\nhello\r\n0\r\n\r\n"]) | st.binary(max_size=12)


@st.composite
def bodies(draw: Any) -> bytes:
    """A body: any bytes, or chunks, most of them plain."""
    if draw(st.booleans()):
        return draw(BODIES)
    lines = st.sampled_from([b"%x", b"%x", b"%x", b"%x", b"%X", b"0%x", b"%x;a=b", b"%x ", b"00000000%x"])
    chunks = b"".join(draw(lines) % len(piece) + b"\r\n" + piece + b"\r\n" for piece in draw(PIECES) if piece)
    return chunks + draw(
        st.sampled_from([b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"0\r\n\r\nmore", b"", b"5\r\nhe"])
    )


@st.composite
def answers(draw: Any) -> bytes:
    """An answer: mostly right, sometimes with one byte more, less or changed."""
    headers = draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))
    lines = [draw(FIRST), *(b"%b: %b" % header for header in headers), draw(FRAMINGS), b"", b""]
    data: bytes = b"\r\n".join(lines) + draw(bodies())
    if draw(st.booleans()) and draw(st.booleans()):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        new = draw(st.sampled_from([b"", b"\r", b"\n", b" ", b"\0", b"0", b"5", b":", b"\r\n", b"x"]))
        data = data[:at] + new + data[at + draw(st.integers(0, 1)) :]
    return data


METHODS = st.sampled_from([b"GET", b"GET", b"GET", b"HEAD"])


@settings(max_examples=examples(75), deadline=None)
@example(b"\rHTTP/1.1 200 Words\r\nContent-Length: 0\r\n\r\n", b"GET", [])
@given(answers(), METHODS, st.lists(st.integers(0, 800), max_size=12))
@example(CHUNKED + b"1\r\na\r\n" * 600 + b"0\r\n\r\n", b"GET", [700])
@example(CHUNKED + b"1\r\na\r\n" * 300 + b"01\r\na\r\n" + b"1\r\na\r\n" * 300 + b"0\r\n\r\n", b"GET", [])
def test_any_split(data: bytes, method: bytes, cuts: list[int]) -> None:
    """Any split of an answer gives the same: head, body, end, and the fault if it has one."""
    alone = read(data, [*range(len(data))], method=method)
    if alone.end is not None:
        # What is behind it is another read's.
        data = data[: alone.end]
    assert read(data, method=method) == alone
    assert read(data, cuts, method=method) == alone


def judged(data: bytes, method: bytes) -> tuple[bytes, int | None, bool] | None:
    """An answer's body, its end and whether the connection may be used again, as h11 sees it; ``None``: it is
    none.
    """
    judge = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    judge.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    judge.send(h11.EndOfMessage())
    body = b""
    try:
        judge.receive_data(data)
        while True:
            event = judge.next_event()
            if isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                rest = judge.trailing_data[0]
                return body, len(data) - len(rest), judge.their_state is h11.DONE
            elif event is h11.NEED_DATA or event is h11.PAUSED:
                return body, None, False
    except h11.RemoteProtocolError:
        return None


@settings(max_examples=examples(100), deadline=None)
@given(answers(), METHODS)
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", b"GET")
@example(b"HTTP/1.1 204 OK\r\nContent-Length: 5\r\n\r\nhello", b"GET")
def test_a_second_parser(data: bytes, method: bytes) -> None:
    """Where h11 takes an answer that is whole here, it has the same body and the same end; and no connection
    is kept that h11 would close.
    """
    found = read(data, [*range(len(data))], method=method)
    judgement = judged(data, method)
    if found.end is None or judgement is None:
        return
    body, end, keep = judgement
    assert (found.body, found.end) == (body, end)
    # h11 keeps no connection of HTTP/1.0, whatever it declares.
    assert keep or not found.keep or data.startswith(b"HTTP/1.0")


def test_time_is_linear() -> None:
    """Twice as many bytes take twice the time, in heads, chunks, extensions and trailers, byte by byte."""

    def feed(prefix: bytes, piece: bytes, count: int) -> None:
        reader = AnswerReader()
        reader.feed(prefix)
        for _ in range(count):
            reader.feed(piece)
        assert reader.fault is None

    for prefix, piece, few in (
        (OK + b"A: ", b"a", 20_000),
        (CHUNKED + b"0\r\nA: ", b"a", 20_000),
        (CHUNKED, b"1\r\na\r\n", 10_000),
        (CHUNKED + b"fffffff\r\n", b"a", 20_000),
    ):
        assert growth(lambda count: feed(prefix, piece, count), few, 2 * few) <= MOST  # noqa: B023


def test_kinds_of_faults() -> None:
    """A broken body is another fault than a head that is none: of the one there was an answer."""
    for data, kind in ((OK + b"A\r\n\r\n", AnswerRefused), (CHUNKED + b"x\r\n", BrokenChunks)):
        reader = AnswerReader()
        reader.feed(data)
        assert type(reader.fault) is kind
        assert (reader.head is None) is (kind is AnswerRefused)


@pytest.mark.parametrize(
    "said",
    [
        b"x" * 100,
        b"HTTP/1.1 200 OK\r\n" + b"X-Pad: y\r\n" * 10_000,
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_no_circles(said: bytes) -> None:
    """What is no answer is gone with whoever read it, without the garbage collector: it may be a megabyte."""
    gc.collect()
    gc.disable()
    try:
        reader = AnswerReader()
        reader.feed(said)
        assert reader.fault is not None
        gone = weakref.ref(reader.fault)
        del reader
        assert gone() is None
    finally:
        gc.enable()
