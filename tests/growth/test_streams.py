"""Translating a stream takes a time that grows as the stream does, however it is cut into pieces."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from itertools import count

import pytest

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.registry import DIALECTS
from ampproxy.errors import TruncatedStream, UpstreamFault
from ampproxy.interfaces import StreamFilter
from ampproxy.model.base import CHAT, COMPLETIONS, GEMINI
from ampproxy.model.request import ChatRequest
from ampproxy.relay.passthrough import passing
from ampproxy.relay.rewrite import AnswerRewriter
from ampproxy.relay.translate import ToolNameRestorer, TranslatedStream
from tests.growth.law import assert_linear
from tests.growth.streams import GENERATED, STREAMS, as_array, written

CASES = [(dialect, name) for dialect, made in STREAMS.items() for name in made]
REQUEST = ChatRequest(dialect=CHAT, model="m", turns=())
#: What one read of a socket brings.
READ = 65536


def context(framing: str = "sse") -> AnswerContext:
    """Of a client that asked for everything."""
    numbers = count()
    return AnswerContext("asked", 0, lambda prefix: f"{prefix}{next(numbers)}", REQUEST, framing)  # type: ignore[arg-type]


def translated(dialect: str, client: str, framing: str = "sse") -> TranslatedStream:
    names = ToolNameRestorer({}, REQUEST, frozenset())
    renderer = DIALECTS[client].stream_renderer(context(framing))
    return TranslatedStream(DIALECTS[dialect].stream_parser(), renderer, names)


def run(made: StreamFilter, data: bytes, piece: int = READ) -> int:
    """Feed the stream in pieces; gives the size of what came out."""
    size = 0
    with suppress(TruncatedStream, UpstreamFault):
        for at in range(0, len(data), piece):
            size += len(made.feed(data[at : at + piece]))
        size += len(made.end())
    return size


@pytest.mark.parametrize(("dialect", "name"), CASES)
def test_a_stream(dialect: str, name: str) -> None:
    """A stream is read, and said to the clients of each dialect, in linear time."""
    body = lru_cache(lambda n: written(dialect, STREAMS[dialect][name](n)))
    for client in DIALECTS:
        assert_linear(lambda given, client=client: run(translated(dialect, client), given), body, 0.003)  # type: ignore[misc]


@pytest.mark.parametrize(("dialect", "name"), CASES)
def test_a_stream_that_passes_through(dialect: str, name: str) -> None:
    """What Amp's clients need changed of a stream is changed in linear time."""

    def rewritten(body: bytes) -> None:
        run(passing(DIALECTS[dialect], AnswerRewriter(DIALECTS[dialect], "asked")), body)

    assert_linear(rewritten, lambda n: written(dialect, STREAMS[dialect][name](n)), 0.003)


@pytest.mark.parametrize("dialect", STREAMS)
@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r", b"mixed"])
def test_tiny_pieces(dialect: str, ends: bytes) -> None:
    """So is one that comes byte by byte, whatever its lines end in."""

    def made(n: int) -> bytes:
        body = written(dialect, STREAMS[dialect]["deltas"](n // 20))
        return body.replace(b"\n\n", b"\r\n\n") if ends == b"mixed" else body.replace(b"\n", ends)

    client = CHAT if dialect == COMPLETIONS else COMPLETIONS
    assert_linear(lambda given: run(translated(dialect, client), given, 1), made, 0.003)
    assert_linear(lambda given: run(passing(DIALECTS[dialect]), given, 1), made, 0.003)


@pytest.mark.parametrize("dialect", STREAMS)
@pytest.mark.parametrize(
    "made", [lambda dialect: passing(DIALECTS[dialect]), lambda dialect: translated(dialect, CHAT)]
)
def test_one_huge_line(dialect: str, made: Callable[[str], StreamFilter]) -> None:
    """So is one event that does not end, and one that ends in the last piece of very many."""

    def endless(n: int) -> bytes:
        return b'data: {"x":"' + b"word " * 20 * n

    assert_linear(lambda given: run(made(dialect), given, 64), endless, 0.003)
    assert_linear(lambda given: run(made(dialect), given + b'"}\n\n', 64), endless, 0.003)


@pytest.mark.parametrize("name", GENERATED)
def test_lists_that_grow(name: str) -> None:
    """So is Gemini's other framing, a JSON list."""
    body = lru_cache(lambda n: as_array(GENERATED[name](n)))
    for client in (CHAT, GEMINI):
        assert_linear(
            lambda given, client=client: run(translated(GEMINI, client, "array"), given), body, 0.003
        )  # type: ignore[misc]
    assert_linear(
        lambda given: run(passing(DIALECTS[GEMINI], AnswerRewriter(DIALECTS[GEMINI], "a")), given),
        body,
        0.003,
    )


@pytest.mark.parametrize(("dialect", "name"), CASES)
def test_what_is_told_to_a_client(dialect: str, name: str) -> None:
    """What goes to a client grows as the stream does, too: nothing that came once is told over and over."""
    bodies = [written(dialect, STREAMS[dialect][name](n)) for n in (75, 150)]
    for client in DIALECTS:
        told = [run(translated(dialect, client), body) for body in bodies]
        assert told[1] <= MAX_LISTED * told[0] * len(bodies[1]) / len(bodies[0]), client


#: What goes out may grow by so much more than what comes in.
MAX_LISTED = 1.3
