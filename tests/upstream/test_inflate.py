"""Bodies that come as gzip, whole and broken, in memory."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from ampproxy.errors import UnreadableAnswer, UpstreamFault
from ampproxy.upstream.body import collect
from ampproxy.upstream.inflate import INFLATED_AT_ONCE, Inflate, Sniff, inflated
from tests.resources.harness import FakeResponse

TEXT = b"what the vendor said " * 50
GZIP = gzip.compress(TEXT, mtime=0)

DAMAGED = {
    "the last byte": GZIP[:-1],
    "the end": GZIP[:20],
    "all but the head": GZIP[:10],
    "another checksum": GZIP[:-6] + bytes([GZIP[-6] ^ 1]) + GZIP[-5:],
    "a page behind it": GZIP + b"<html>",
    "the magic alone": b"\x1f\x8bxxxxxxxxxx",
}


def read(decoder: Any, data: bytes, size: int) -> bytes:
    out = b"".join([decoder.feed(data[at : at + size]) for at in range(0, len(data), size)])
    return out + bytes(decoder.end())


@pytest.mark.parametrize("size", [1, 2, 3, 17, 10_000])
def test_whole(size: int) -> None:
    """However it is cut: one member, several, zeros behind them, nothing at all."""
    for data in (GZIP, GZIP + b"\0\0\0"):
        assert read(Inflate(), data, size) == TEXT
        assert read(Sniff(), data, size) == TEXT
    assert read(Inflate(), GZIP + gzip.compress(b"more"), size) == TEXT + b"more"
    assert read(Inflate(), b"", size) == b""


@pytest.mark.parametrize("size", [1, 2, 3, 10_000])
@pytest.mark.parametrize(
    "data",
    [b"", b"\x1f", b"x", b"\x1fx", TEXT, b"data: {}\n\n"],
    ids=["empty", "half", "x", "almost", "text", "event"],
)
def test_what_is_no_gzip_passes(data: bytes, size: int) -> None:
    """Byte for byte, at once."""
    assert read(Sniff(), data, size) == data
    assert Sniff().feed(b"d") == b"d"


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("kind", DAMAGED)
def test_broken(kind: str, size: int) -> None:
    """What is cut, has another checksum, or goes on with something else is no body."""
    for decoder in (Inflate(), Sniff()):
        with pytest.raises(UnreadableAnswer, match="gzip"):
            read(decoder, DAMAGED[kind], size)


def test_a_bomb() -> None:
    """What grows without measure is refused before it fills the memory."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    bomb = b"".join([packer.compress(bytes(1024 * 1024)) for _ in range(64)]) + packer.flush()
    assert len(bomb) < INFLATED_AT_ONCE / 100
    with pytest.raises(UnreadableAnswer, match="decompression limit"):
        Inflate().feed(bomb)


def gathered(response: Any, **more: Any) -> list[Any]:
    results: list[Any] = []
    collect(response, clock=Clock(), idle=60, **{"limit": 10_000, **more}).addBoth(results.append)  # type: ignore[arg-type]
    return results


def asked(coding: list[str]) -> tuple[Any, Any]:
    """A response with this Content-Encoding, as it came and as whoever asked gets it."""
    original: Any = FakeResponse(200, {"Content-Encoding": coding} if coding else {}, 99)
    return original, inflated(original)


@pytest.mark.parametrize("coding", [["gzip"], ["x-gzip"], ["GZip"], ["identity, gzip"], ["identity", "gzip"]])
def test_declared(coding: list[str]) -> None:
    """A body that says so is inflated, and says so no more; its length is that of the coding."""
    original, response = asked(coding)
    results = gathered(response)
    original.body.data(GZIP[:30])
    original.body.data(GZIP[30:])
    original.body.done()
    assert results == [TEXT]
    assert response.headers.getRawHeaders("content-encoding") is None
    assert response.length != 99


@pytest.mark.parametrize("coding", [[], ["br"], ["gzip, gzip"], ["deflate"]])
def test_not_ours(coding: list[str]) -> None:
    """What says nothing, or has another coding, is left as it is."""
    original, response = asked(coding)
    assert response is original
    assert (response.headers.getRawHeaders("content-encoding") or []) == coding


@pytest.mark.parametrize(
    "data", [b"<html>", GZIP[:30] + b"\xff\xff\xff\xff\xff\xff" + GZIP[36:]], ids=["page", "broken"]
)
def test_declared_but_broken(data: bytes) -> None:
    """It is an error at once, and the connection is not kept."""
    original, response = asked(["gzip"])
    results = gathered(response)
    original.body.data(data)
    if not results:
        original.body.done()
    (failure,) = results
    assert isinstance(failure.value, UnreadableAnswer)
    assert original.body.state == "stopped"
    original.body.protocol.connectionLost(Failure(ResponseDone()))
    assert len(results) == 1


def test_declared_but_cut() -> None:
    """A body that HTTP takes for whole is not, if its gzip is not."""
    original, response = asked(["gzip"])
    results = gathered(response)
    original.body.data(GZIP[:-9])
    original.body.done()
    assert isinstance(results[0].value, UnreadableAnswer)


@pytest.mark.parametrize("cut", [0, 9])
def test_undeclared(cut: int) -> None:
    """Where it is asked for, gzip is known by its first bytes; the limit is that of what comes out."""
    for more in ({"inflate": True}, {"inflate": True, "limit": 500}, {}):
        response = FakeResponse(200, {}, 99)
        results = gathered(response, **more)
        response.body.data(GZIP[:1])
        response.body.data(GZIP[1 : len(GZIP) - cut])
        if not results:
            response.body.done()
        if not more:
            assert results == [GZIP[: len(GZIP) - cut]]
        elif "limit" in more:
            assert isinstance(results[0].value, UpstreamFault)
        elif cut:
            assert isinstance(results[0].value, UnreadableAnswer)
        else:
            assert results == [TEXT]
