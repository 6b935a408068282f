"""What comes in many small pieces takes little more memory than its size, wherever it is kept."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from ampproxy.credentials.oauth import http
from ampproxy.dialects.registry import DIALECTS
from ampproxy.http.chunks import ChunkedBody
from ampproxy.model.base import ANTHROPIC
from ampproxy.relay.meter import AnswerMeter
from ampproxy.server.bodies import GatheredBody
from ampproxy.server.deferred_auth import AwaitingAuth
from ampproxy.upstream.body import _Collector
from ampproxy.upstream.held import Held, Share
from ampproxy.upstream.pipe import PipeProducer
from ampproxy.wire.pieces import SMALL, add
from ampproxy.wire.sse import EventCutter
from tests.clocked import assert_grows
from tests.resources.harness import CLIENT_KEY, World

#: Bytes, in pieces of two.
SIZE = 60_000


def _ignore(*_: Any) -> None:
    pass


def _gathered() -> Any:
    return GatheredBody(SIZE, Share(Held(), SIZE)).push


def _collected() -> Any:
    return _Collector(SIZE, "").received


def _piped() -> Any:
    return PipeProducer(None, pause=_ignore, resume=_ignore).push


def _pending() -> Any:
    return AwaitingAuth(SimpleNamespace(), Deferred()).push


def _event() -> Any:
    cutter = EventCutter()
    cutter.feed(b"data: ")
    return cutter.feed


def _metered() -> Any:
    return AnswerMeter(DIALECTS[ANTHROPIC], stream=False).feed


def _login() -> Any:
    return http._Collector(Deferred()).dataReceived


@pytest.mark.parametrize("keeps", [_gathered, _collected, _piped, _pending, _event, _metered, _login])
def test_kept(keeps: Callable[[], Callable[[bytes], Any]]) -> None:
    """Every place that keeps pieces."""
    take = keeps()
    source = b"xy" * (SIZE // 2)
    tracemalloc.start(1)
    try:
        for at in range(0, SIZE, 2):
            take(source[at : at + 2])
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert SIZE <= held < 1.3 * SIZE


def test_joined() -> None:
    """Nothing is lost, whatever the sizes; large pieces are kept as they are."""
    sizes = [1, 5, SMALL - 1, 1, SMALL, 0, 2, 3 * SMALL, 1, 1]
    sent = [bytes([number]) * size for number, size in enumerate(sizes)]
    pieces: list[bytes] = []
    for piece in sent:
        add(pieces, piece)
    assert b"".join(pieces) == b"".join(sent)
    assert any(piece is sent[7] for piece in pieces)
    assert len(pieces) < len(sent)


def test_uploaded() -> None:
    """A body that comes so takes its size, and the site's time is the same for chunks with extensions."""
    world = World()
    head = f"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {CLIENT_KEY}\r\n"
    connection = world.connect().send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
    chunk = b"2\r\nxy\r\n" * 9000
    tracemalloc.start(1)
    try:
        for _ in range(8):
            connection.send(chunk)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1.5 * 8 * 18000
    connection.send(b"0\r\n\r\n")
    assert connection.status == 400


@pytest.mark.parametrize("make", [ChunkedBody])
@pytest.mark.parametrize("chunks", [b"2;a\r\nxy\r\n", b"2\r\nxy\r\n2;a\r\nxy\r\n"])
def test_chunks_with_extensions(chunks: bytes, make: Any) -> None:
    """The time that a read takes grows with its size, not with its square."""

    def read(said: bytes) -> None:
        assert len(make().feed(said)) == 2 * said.count(b"xy")

    assert bytes(make().feed(chunks * 9)) == b"xy" * 9 * chunks.count(b"xy")
    assert_grows(read, lambda count: chunks * count, 4_000, 40_000, 25)
