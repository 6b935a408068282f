"""Many small HTTP chunks at once, and every odd one as strictly as before."""

from __future__ import annotations

import pytest
from twisted.web.http import _ChunkedTransferDecoder, _MalformedChunkedDataError

from ampproxy.upstream.chunks import ChunkDecoder


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def run(make: type, stream: bytes, size: int) -> tuple[bytes, bytes | None, int]:
    """What a decoder made of a stream fed in pieces of ``size``: data, rest, and how many calls."""
    got: list[bytes] = []
    rest: list[bytes] = []
    decoder = make(got.append, rest.append)
    for at in range(0, len(stream), size):
        if rest:
            rest.append(stream[at : at + size])
        else:
            decoder.dataReceived(stream[at : at + size])
    if not rest:
        with pytest.raises(Exception, match="Chunked decoder"):
            decoder.noMoreData()
    return b"".join(got), b"".join(rest) if rest else None, len(got)


STREAMS = [
    chunked(b"one", b"two", b"three" * 100) + b"0\r\n\r\n",
    chunked(b"a\r\nb", b"5\r\n", b"\r\n") + b"0\r\n\r\nHTTP/1.1 next",
    b"3;name=value\r\nabc\r\n" + chunked(b"x") + b"0\r\nExpires: 1\r\n\r\n",
    b"0003\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
    chunked(b"whole") + b"5\r\nhal",
    b"0\r\n\r\n",
]


@pytest.mark.parametrize("stream", STREAMS)
def test_every_split(stream: bytes) -> None:
    """The same bytes come out as from Twisted's own decoder, however the stream is cut."""
    expected = run(_ChunkedTransferDecoder, stream, len(stream))[:2]
    for size in range(1, len(stream) + 1):
        assert run(ChunkDecoder, stream, size)[:2] == expected


def test_one_call_a_read() -> None:
    """A hundred chunks of one read are handed over together."""
    assert run(ChunkDecoder, chunked(*[b"event"] * 100) + b"0\r\n\r\n", 1 << 20)[2] == 1


@pytest.mark.parametrize(
    "stream",
    [
        b"3\r\nabcd\r\n",
        b"-3\r\nabc\r\n",
        b"+3\r\nabc\r\n",
        b"x\r\n",
        b"3 \r\nabc\r\n",
        b"f" * 2000,
    ],
)
def test_malformed(stream: bytes) -> None:
    """What Twisted refuses is refused."""
    for make in (ChunkDecoder, _ChunkedTransferDecoder):
        with pytest.raises(_MalformedChunkedDataError):
            make(lambda _: None, lambda _: None).dataReceived(chunked(b"fine") + stream)
