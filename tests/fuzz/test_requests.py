"""Where a request ends: the same however its bytes are cut, and never elsewhere than a stricter parser says.

h11 (python-hyper) is the second opinion. It may take what is refused here, but never the other way round.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fuzz.examples import examples
from tests.resources.harness import CLIENT_KEY, World
from tests.resources.test_edges import CHUNKS, FRAMINGS, LINES, answers

BEHIND = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
KEY = b"X-Api-Key: %b\r\n" % CLIENT_KEY.encode()
#: What belongs to a request, what nearly does, and what has misled parsers.
FIRST = st.sampled_from(
    (b"POST /api/threads HTTP/1.1\r\n",) * 6
    + (
        b"GET /api/threads HTTP/1.1\r\n",
        b"POST /api/threads HTTP/1.0\r\n",
        b"POST /api/threads HTTP/1.2\r\n",
        b"POST /api/threads HTTP/1.1\n",
        b"POST  /api/threads HTTP/1.1\r\n",
    )
)
FIELDS = st.lists(
    st.sampled_from(
        (
            b"A: b\r\n",
            b"A:\r\n",
            b"A: \tb \r\n",
            b"Content-Length: 5\r\n",
            b"Content-Length: 5\r\n",
            b"content-length:05\r\n",
            b"Content-Length: 0\r\n",
            b"Content-Length: 5, 5\r\n",
            b"Content-Length: +5\r\n",
            b"Content-Length: 000000000000000000005\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"transfer-encoding:Chunked\r\n",
            b"Transfer-Encoding: identity\r\n",
            b"Transfer-Encoding: gzip, chunked\r\n",
            b"Transfer-Encoding : chunked\r\n",
            b"Transfer_Encoding: chunked\r\n",
            b"X: a\r\n Content-Length: 7\r\n",
            b"X: a\nContent-Length: 7\r\n",
            b"X: a\rContent-Length: 7\r\n",
            b"Connection: close\r\n",
            b"nothing\r\n",
        )
    ),
    max_size=3,
)
BODY = st.lists(
    st.sampled_from(
        (
            b"hello",
            b"5\r\nhello\r\n",
            b"5\r\nhello\r\n",
            b"05\r\nhello\r\n",
            b"5;a=b\r\nhello\r\n",
            b"5 \r\nhello\r\n",
            b"0x5\r\nhello\r\n",
            b"A\r\n5\r\nhello\r\n\r\n",
            b"5\nhello\r\n",
            b"5\r\nhelloX",
            b"0\r\n\r\n",
            b"0\r\n\r\n",
            b"0;a\r\nA: b\r\n\r\n",
            b"0\r\nA: b\r\n\r\n",
            b"0\r\nA : b\r\n\r\n",
            b"00\r\n\r\n",
            b"\r\n",
        )
    ),
    max_size=3,
)
SPOIL = st.none() | st.tuples(
    st.floats(0, 1),
    st.integers(0, 2),
    st.sampled_from([b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b";", b"0", b":"]),
)


@st.composite
def requests(draw: Any) -> bytes:
    """A request, or nearly one, with another behind it."""
    said = (
        draw(FIRST) + b"Host: localhost\r\n" + KEY + b"".join(draw(FIELDS)) + b"\r\n" + b"".join(draw(BODY))
    )
    spoil = draw(SPOIL)
    if spoil is not None:
        at = int(spoil[0] * len(said))
        said = said[:at] + spoil[2] + said[at + spoil[1] :]
    return said + draw(st.sampled_from([BEHIND, b"", b"G"]))


class Outcome(NamedTuple):
    """What became of the first request of a connection.

    :ivar body: ``None``: it was refused, or has not come whole.
    :ivar rest: what is kept of the bytes behind it.
    """

    statuses: list[int]
    body: bytes | None
    rest: bytes


def outcome(said: bytes, cuts: list[int]) -> Outcome:
    """What the gateway makes of it. The Amp upstream does not answer meanwhile."""
    world = World()
    connection = world.connect()
    ends = [*sorted(cut for cut in cuts if 0 < cut < len(said)), len(said)]
    begin = 0
    for end in ends:
        if begin < end:
            connection.send(said[begin:end])
        begin = end
    channel = connection.channel
    assert len(world.client.sent) <= 1
    if answers(connection) or not world.client.sent:
        return Outcome(answers(connection), None, b"")
    (sent,) = world.client.sent
    if sent.producer is not None and not sent.body_done:
        return Outcome([], None, b"")
    return Outcome([], sent.body, b"".join(channel._behind))


class Refused(Exception):
    """h11 takes it for no request."""


def judged(said: bytes) -> tuple[bytes, bytes] | None:
    """The first request's body and what is behind it, as h11 sees it; ``None``: it has not come whole.

    :raises Refused: it is none.
    """
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(said)
    body = b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            raise Refused(str(error)) from error
        if isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return body, bytes(connection.trailing_data[0])
        elif event is h11.NEED_DATA:
            return None


@settings(max_examples=examples(100), deadline=None)
@given(requests(), st.lists(st.integers(1, 400), max_size=6))
def test_any_split(said: bytes, cuts: list[int]) -> None:
    """The same answer, body and rest."""
    assert outcome(said, cuts) == outcome(said, [])


def compare(said: bytes) -> None:
    ours = outcome(said, [])
    try:
        # One empty line before a request is to be ignored (RFC 9112, section 2.2), which h11 does not.
        theirs = judged(said.removeprefix(b"\r\n"))
    except Refused as refused:
        assert ours.body is None
        # Another refusal may have come before: of the key, or the path.
        assert ours.statuses[0] >= 400
        # Without a host, too, it is clear where a request ends.
        if "Host" not in refused.args[0]:
            assert len(ours.statuses) == 1
        return
    if ours.body is not None:
        assert (ours.body, ours.rest) == theirs


@settings(max_examples=examples(75), deadline=None)
@given(requests())
@example(
    b"POST /api/threads HTTP/1.1\r\nHost: localhost\r\n" + KEY + b"Content-Length: 5\r\n\r\nhello" + BEHIND
)
@example(
    b"POST /api/threads HTTP/1.1\r\nHost: localhost\r\n" + KEY + b"Transfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n0\r\nA: b\r\n\r\n" + BEHIND
)
def test_second_opinion(said: bytes) -> None:
    """What h11 refuses is refused; what is taken ends where it ends for h11, with the same body."""
    compare(said)


@pytest.mark.parametrize("kind", ["framings", "lines", "chunks"])
def test_second_opinion_of_what_is_known(kind: str) -> None:
    """Likewise for all that has misled parsers."""
    head = b"POST /api/threads HTTP/1.1\r\nHost: localhost\r\n" + KEY
    known = {
        "framings": [head + framing for framing in FRAMINGS],
        "lines": LINES,
        "chunks": [head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks for chunks in CHUNKS],
    }
    for said in known[kind]:
        compare(said + BEHIND)


@settings(max_examples=examples(100), deadline=None)
@given(st.binary(max_size=3000), st.lists(st.integers(1, 300), max_size=8), st.integers(0, 2))
def test_good_bodies(body: bytes, sizes: list[int], framing: int) -> None:
    """Every body arrives as it is, in either framing, and the next request is found behind it."""
    head = b"POST /api/threads HTTP/1.1\r\nHost: localhost\r\n" + KEY
    if framing == 0:
        said = head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    else:
        extension = b";a=b" if framing == 2 else b""
        pieces, at = [], 0
        for size in [*sizes, len(body)]:
            if body[at : at + size]:
                pieces.append(body[at : at + size])
            at += size
        chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
        said = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    expected = Outcome([], body, BEHIND)
    assert outcome(said + BEHIND, []) == expected
    assert outcome(said + BEHIND, [sum(sizes[:count]) for count in range(len(sizes))]) == expected
    assert judged(said + BEHIND) == (body, BEHIND)
