"""Server-sent events as bytes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ampproxy.wire.sse import (
    BlockSplitter,
    EventCutter,
    EventReader,
    EventTooLargeError,
    parse_block,
    parse_events,
)

STREAM = (
    b": welcome\n\n"
    b'event: message_start\ndata: {"a":1}\n\n'
    b'event:tight\ndata:{"b":2}\n\n'
    b"data: one\ndata: two\n\n"
    b"event: bare\n\n"
    b"id: 7\nevent: x\nretry: 3\ndata:  spaced\n\n"
    b"data: line\xe2\x80\xa8sep\xc2\x85\n\n"
    b"data: \n\n\n"
    b"data: [DONE]\n\n"
)
EVENTS = [
    (b"message_start", b'{"a":1}'),
    (b"tight", b'{"b":2}'),
    (b"", b"one\ntwo"),
    (b"x", b" spaced"),
    (b"", "line\u2028sep\u0085".encode()),
    (b"", b"[DONE]"),
]


def read(chunks: list[bytes]) -> list[tuple[bytes, bytes]]:
    reader = EventReader()
    events = [event for chunk in chunks for event in reader.feed(chunk)]
    return events + reader.end()


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_any_line_end_and_every_byte_alone(line_end: bytes, mark: bytes) -> None:
    """A stream means the same with LF, CRLF and CR, with a byte order mark, whole and byte by byte."""
    stream = mark + STREAM.replace(b"\n", line_end)
    assert read([stream]) == EVENTS
    assert read([stream[i : i + 1] for i in range(len(stream))]) == EVENTS


@given(st.lists(st.integers(0, len(STREAM) * 2), max_size=8), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_any_split(cuts: list[int], line_end: bytes) -> None:
    """Where the network cuts a stream does not change its events."""
    stream = STREAM.replace(b"\n", line_end)
    places = [0, *sorted(cut % len(stream) for cut in cuts), len(stream)]
    assert read([stream[a:b] for a, b in itertools.pairwise(places)]) == EVENTS


def test_cr_ends_an_event_at_once() -> None:
    """An event whose line ends are CR is not held back for an LF that may not come."""
    cutter = EventCutter()
    assert cutter.feed(b"data: x\r\r") == b"data: x\n\n"
    assert cutter.feed(b"\ndata: y\r\n\r") == b"data: y\n\n"
    assert cutter.feed(b"\n") == b""
    assert cutter.rest == b""


@pytest.mark.parametrize(
    "whole",
    [
        b"event: a\ndata: 1\n\nevent: b\ndata: 2\n\n",
        b"data: 1\n\ndata: 2\n\n",
        b"event: a\ndata: 1\n\ndata: 2\n\n",
        b"event: a\nid: 4\ndata: 1\n\nevent: b\ndata: 2\n\n",
        b"data: 1\nevent: a\ndata: 2\n\n",
        b"data: 0\ndata: 1\n\nevent: e\n\n",
        b"event: a\ndata:  \n\n",
        b"data:  x\n\n",
        b"\ndata: 1\n\n\n\n",
        b": c\ndata: 1\n\n",
    ],
)
def test_fast_reading_reads_the_same(whole: bytes) -> None:
    """Events of the usual form are read all at once, with the result of reading each alone."""
    blocks = [block.strip(b"\n") for block in whole.split(b"\n\n")]
    assert parse_events(whole) == [event for event in map(parse_block, blocks) if event[1]]


#: Usual and odd ones, which end as whole events do.
KINDS = [
    b"data: 1\n\n",
    b'data: {"a": 2}\n\n',
    b"data:3\n\n",
    b"data:  4\n\n",
    b"data: \n\n",
    b"data:\n\n",
    b"data\n\n",
    b"event: a\ndata: 5\n\n",
    b"event: b\ndata:6\n\n",
    b"data: 7\ndata: 8\n\n",
    b": comment\n\n",
    b": comment\ndata: 9\n\n",
    b"id: 1\n\n",
    b"\n",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("neighbour", KINDS)
def test_all_at_once_or_each_alone(kind: bytes, neighbour: bytes) -> None:
    """Whatever stands beside an event, it is read as if it stood alone."""
    events = [kind, neighbour, kind]
    alone = [event for one in events for event in EventReader().feed(one)]
    whole = b"".join(events)
    assert EventReader().feed(whole) == alone
    assert EventReader().payloads(whole) == [data for _, data in alone]
    blocks = [block for one in events for block in BlockSplitter().feed(one)]
    assert BlockSplitter().feed(whole) == blocks
    assert EventReader().feed(whole.replace(b"\n", b"\r\n")) == alone


def test_an_event_without_end_is_refused_and_joined_once() -> None:
    """A stream without blank lines cannot fill the memory."""
    reader = EventReader(limit=100)
    assert reader.feed(b"data: " + b"x" * 80) == []
    with pytest.raises(EventTooLargeError, match="100 bytes"):
        reader.feed(b"x" * 40)


def test_blocks_and_rest() -> None:
    """Blocks come without their blank lines; what is incomplete is kept."""
    splitter = BlockSplitter()
    assert splitter.feed(b"data: a\n\n\ndata: b\n") == [b"data: a"]
    assert splitter.rest.lstrip(b"\n") == b"data: b\n"
    assert splitter.feed(b"\ndata: c\n\n") == [b"data: b", b"data: c"]
    assert splitter.rest == b""


def test_last_event_without_blank_line() -> None:
    """A last event that lacks its blank line is given at the end."""
    assert read([b"data: a\n\ndata: b"]) == [(b"", b"a"), (b"", b"b")]
