"""Bodies in chunks: what two readers could cut in two ways is refused, and what is beside them is limited."""

from __future__ import annotations

import tracemalloc
from typing import Any

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ampproxy.http.chunks import ChunkedBody
from tests.cases import each
from tests.clocked import assert_grows
from tests.fuzz.examples import examples
from tests.resources.test_edges import CHUNKS, MANY

BEHIND = b"GET /behind HTTP/1.1\r\nHost: localhost\r\n\r\n"


def read(said: bytes, cuts: Any = ()) -> Any:
    """The body and what is behind it; the words of the refusal; ``None``: it has not come whole."""
    reader, body, begin = ChunkedBody(65536, 100), b"", 0
    for end in (*sorted(cut for cut in cuts if 0 < cut < len(said)), len(said)):
        if begin == end:
            continue
        body += reader.feed(said[begin:end])
        if reader.fault is not None:
            return reader.fault.words
        if reader.ended:
            return body, reader.rest + said[end:]
        begin = end
    return None


@each("said", CHUNKS + [said for said, _ in MANY])
def test_broken(said: bytes) -> None:
    """Refused, in one read and byte by byte."""
    said += BEHIND
    cuts = range(len(said)) if len(said) < 5000 else range(0, len(said), 1000)
    assert isinstance(read(said), str)
    assert isinstance(read(said, cuts), str)


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"05\r\nhello\r\n1\r\n!\r\n00\r\n\r\n", b"hello!"),
        (b"a;x=y\r\n0123456789\r\nA\r\n0123456789\r\n0;z\r\n\r\n", b"0123456789" * 2),
        (b"5\r\nhello\r\n0\r\nDigest: a\r\nExpires: b\r\n\r\n", b"hello"),
        (b"3\r\n\r\n\r\r\n0\r\n\r\n", b"\r\n\r"),
    ],
)
def test_good(said: bytes, body: bytes) -> None:
    """Trailers and extensions are dropped; what is behind the body is left."""
    for cut in range(len(said) + len(BEHIND)):
        assert read(said + BEHIND, [cut]) == (body, BEHIND)
    assert read(said + BEHIND, range(len(said))) == (body, BEHIND)
    for end in range(len(said)):
        assert read(said[:end]) is None


def test_a_trailer_that_does_not_end() -> None:
    """It is not kept beyond the limit, in one read or in several."""
    for step in (70_000, 1000):
        reader = ChunkedBody(65536, 100)
        reader.feed(b"0\r\nA: ")
        for _ in range(65_000 // step):
            reader.feed(b"b" * step)
        reader.feed(b"b" * step)
        assert reader.fault is not None
        assert "too large" in reader.fault.words


PIECES = st.sampled_from(
    [
        *(chunks for chunks in CHUNKS if len(chunks) < 60),
        b"5\r\nhello\r\n",
        b"5;a\r\nhello\r\n",
        b"0\r\n\r\n",
        b"0\r\nA: b\r\n\r\n",
        b"\r\n",
        b"\n",
        b"0",
    ]
)


@settings(max_examples=examples(125), deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=6).map(b"".join), st.lists(st.integers(1, 80), max_size=8))
@example(b"0\r\nA: \r\r\n\r\n", [8, 9])
def test_any_split(said: bytes, cuts: list[int]) -> None:
    """The same body, rest or refusal."""
    assert read(said, cuts) == read(said)


@settings(max_examples=examples(125), deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=6).map(b"".join))
def test_second_opinion(said: bytes) -> None:
    """What is taken whole, h11 takes, too, and sees it end in the same place."""
    found = read(said)
    if found is None or isinstance(found, str):
        return
    judge = h11.Connection(h11.SERVER)
    judge.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + said)
    event: Any = judge.next_event()
    body = b""
    while not isinstance(event, h11.EndOfMessage):
        event = judge.next_event()
        if isinstance(event, h11.Data):
            body += bytes(event.data)
    assert found == (body, judge.trailing_data[0])


@pytest.mark.parametrize(
    "chunks",
    [
        *(b"2\r\nxy\r\n", b"2;a\r\nxy\r\n", b"2\r\nxy\r\n2;a\r\nxy\r\n"),
        *(b"2\r\nxy\r\n" * count + b"2;a\r\nxy\r\n" for count in (3, 5, 20, 100)),
    ],
)
def test_time_grows_with_the_size(chunks: bytes) -> None:
    """And not with its square."""

    each = chunks.count(b"xy")

    def read(said: bytes) -> None:
        assert len(ChunkedBody(65536, 100).feed(said)) == 2 * said.count(b"xy")

    # By how many chunks there are in all, however many are repeated together.
    assert_grows(read, lambda count: chunks * (count // each), 4_000, 40_000, 25)


def test_a_trailer_byte_by_byte() -> None:
    """Nor does one that comes slowly cost more than it is large."""

    def read(size: int) -> None:
        reader = ChunkedBody(65536, 100)
        reader.feed(b"0\r\nA: ")
        for _ in range(size):
            reader.feed(b"b")

    assert_grows(read, int, 4_000, 40_000, 25)


def test_nothing_is_kept() -> None:
    """Half a chunk is passed on as it comes."""
    reader = ChunkedBody(65536, 100)
    reader.feed(b"1000000\r\n")
    piece = bytes(10_000)
    tracemalloc.start(1)
    try:
        for _ in range(1000):
            assert reader.feed(piece) is piece
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 10_000
