"""Whatever bytes come, a parser gives a value or one clear kind of error, soon and in bounded memory.

The examples are few and always the same; AMPPROXY_FUZZ=100 searches for a hundred times as many others.
"""

# ruff: noqa: PT017 - an error is one of the two things that may come, not what must
from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import cycle
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.openai_chat.passthrough import without_reasoning
from ampproxy.dialects.openai_responses.passthrough import without_foreign_proofs
from ampproxy.dialects.registry import DIALECTS
from ampproxy.errors import ClientFault, TruncatedStream, UpstreamFault
from ampproxy.model.request import ChatRequest
from ampproxy.relay.passthrough import passing, rewrite_whole
from ampproxy.relay.rewrite import AnswerRewriter
from ampproxy.relay.translate import ToolNameRestorer, TranslatedStream, read_question, render_for
from ampproxy.wire.json import members, peek, remove_members, replace_members, replace_model
from ampproxy.wire.sse import BlockSplitter, EventReader, EventTooLargeError
from tests.fuzz import damage
from tests.fuzz.examples import FACTOR, examples

#: How many damaged copies of each vector's dialect are tried in each test.
EXAMPLES = examples(40)
few = settings(
    max_examples=EXAMPLES,
    # Far more than any example takes; a machine that is busy must not fail the test.
    deadline=timedelta(seconds=5),
    derandomize=FACTOR == 1,
    database=None,
    suppress_health_check=list(HealthCheck),
)
each_dialect = pytest.mark.parametrize("dialect", list(DIALECTS))
#: Damaged vectors, JSON of any shape at all, and noise.
seeds = st.integers(0, 10**9)
noise = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=10,
    ).map(lambda value: repr(value).replace("'", '"').encode("utf-8", "surrogatepass")),
)


def context() -> AnswerContext:
    return AnswerContext("model", 0, lambda prefix: prefix + "1")


def rewriter(dialect: str, request: bytes) -> AnswerRewriter:
    return AnswerRewriter(DIALECTS[dialect], "asked", request, drop_thinking=True, repairs=True)


# ---------------------------------------------------------------------------- what is tried on bytes


def read_request(dialect: str, body: bytes) -> None:
    """A request, and what is made of it for each account."""
    client = DIALECTS[dialect]
    for spoken in DIALECTS.values():
        try:
            asked = read_question(body, client, spoken, model="m", stream=True)
        except ClientFault as fault:
            assert fault.error.status == 400
            assert fault.error.message
            continue
        for model in ("claude-opus-4-6", "gpt-5.1", "gemini-2.5-pro", "m"):
            rendered = render_for(asked, spoken, model, None)
            spoken.parse_request(rendered.body, model="m", stream=True)
            spoken.count_request(rendered.body, "m")


def pass_request(dialect: str, body: bytes) -> None:
    """A request that is passed on without being understood."""
    try:
        peek(body)
    except ValueError as problem:
        assert str(problem)
    else:
        with suppress(ValueError):
            replace_model(body, "other")
    try:
        replace_members(body, {"a": b"1", "model": b"2"})
        remove_members(body, frozenset(("messages",)))
    except ValueError:
        assert members(body) is None
    assert isinstance(DIALECTS[dialect].passthrough.clean(body), bytes)
    DIALECTS[dialect].passthrough.declared(body)
    rewriter(dialect, body)
    for own in (lambda: without_reasoning(body, "gpt-5.1"), lambda: without_foreign_proofs(body)):
        try:
            own()
        except ClientFault as fault:
            assert fault.error.status == 400


def read_answer(dialect: str, body: bytes) -> None:
    """A whole answer: as any client gets it, passed on, as a count, as an error."""
    vendor = DIALECTS[dialect]
    try:
        response = vendor.parse_response(body)
    except UpstreamFault as fault:
        assert fault.error.message
    else:
        for client in DIALECTS.values():
            client.render_response(response, context())
    for amp in (None, rewriter(dialect, b"{}")):
        try:
            rewrite_whole(DIALECTS[dialect], body, amp)
        except UpstreamFault as fault:
            assert fault.error.message
    with suppress(UpstreamFault):
        vendor.parse_count(body)
    for status in (400, 429, 500):
        error = vendor.parse_error(status, {"retry-after": body[:9].decode("latin-1")}, body)
        assert error.message
        for client in DIALECTS.values():
            client.error_body(error)
            client.error_event(error)


def read_stream(dialect: str, data: bytes) -> None:
    """A stream, cut anywhere: translated to each client, and passed on."""
    for name in DIALECTS:
        nobody = ChatRequest(dialect=name, model="m", turns=())
        names = ToolNameRestorer({}, nobody, frozenset(("Bash",)))
        parser = DIALECTS[dialect].stream_parser()
        drain(TranslatedStream(parser, DIALECTS[name].stream_renderer(context()), names), data)
    for amp in (None, rewriter(dialect, b"{}")):
        drain(passing(DIALECTS[dialect], amp, limit=100_000), data)
    for reader in (EventReader(1000), BlockSplitter(1000)):
        try:
            for chunk in chunks(data):
                reader.feed(chunk)
        except EventTooLargeError:
            continue


def drain(stream: Any, data: bytes) -> None:
    """All of a stream through a filter: bytes, or an upstream's fault."""
    try:
        for chunk in chunks(data):
            assert isinstance(stream.feed(chunk), bytes)
            stream.keepalive()
        stream.end()
    except UpstreamFault as fault:
        assert fault.error.message


def chunks(data: bytes) -> Iterator[bytes]:
    size = 1 + len(data) % 700
    return (data[at : at + size] for at in range(0, len(data), size))


Try = Callable[[str, bytes], None]
CASES: dict[str, tuple[Try, Callable[[str], list[bytes]]]] = {
    "request": (read_request, damage.requests),
    "passed request": (pass_request, damage.requests),
    "answer": (read_answer, damage.answers),
    "stream": (read_stream, damage.streams),
}
each_case = pytest.mark.parametrize("case", list(CASES))


@each_dialect
@each_case
def test_damaged_vectors(dialect: str, case: str) -> None:
    """A client's or a vendor's mistake is told as its mistake; nothing else is ever raised."""
    attempt, vectors = CASES[case]
    found = vectors(dialect)

    @few
    @given(seeds)
    def each(seed: int) -> None:
        attempt(dialect, damage.damaged(found[seed % len(found)], seed))

    each()


@each_dialect
@each_case
def test_noise(dialect: str, case: str) -> None:
    """Nor for bytes that were never an attempt at the dialect."""
    attempt, _ = CASES[case]

    @few
    @given(noise)
    def each(data: bytes) -> None:
        attempt(dialect, data)
        attempt(dialect, b"data: " + data + b"\n\n")

    each()


def pathological(size: int) -> dict[str, bytes]:
    """Bodies of about that many bytes that are all depth, all members, all one string, or all lines."""
    return {
        "lists": b"[" * size,
        "objects": b'{"a":' * (size // 5),
        "closed lists": b'{"a":' + b"[" * (size // 2) + b"]" * (size // 2) + b"}",
        "deep messages": b'{"model":"m","messages":' + b"[" * size,
        "deep content": b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"text":'
        + b"[" * size,
        "deep contents": b'{"contents":[{"parts":[{"functionCall":{"name":"f","args":'
        + b'{"a":' * (size // 5),
        "deep input": b'{"model":"m","input":[{"type":"message","content":' + b"[" * size,
        "deep choices": b'{"choices":[{"delta":{"content":' + b"[" * size,
        "one string": b'{"model":"' + b"x" * size,
        "escapes": b'{"model":"' + b"\\" * size,
        "half characters": b'{"model":"' + b"\\ud83d" * (size // 6) + b'"}',
        "quotes": b'"' * size,
        "names": b"{" + b",".join(b'"model":%d' % number for number in range(size // 12)) + b"}",
        "many messages": b'{"model":"m","max_tokens":1,"messages":['
        + b",".join([b'{"role":"user","content":"a"}'] * (size // 30))
        + b"]}",
        "zeros": b"\x00" * size,
        "digits": b'{"model":"m","max_tokens":' + b"9" * size + b"}",
        "blanks": b" " * size,
        "lines": b"\n" * size,
        "returns": b"\r" * size,
        "empty data": b"data\n" * (size // 5),
        "comments": b":\n\n" * (size // 3),
        "empty events": b"data: {}\n\n" * (size // 10),
        "one line": b"data: " + b"x" * size,
    }


#: Ten times as deep as what reads JSON goes. Time by size is measured elsewhere.
PATHOLOGICAL = pathological(10_000)


@each_dialect
@pytest.mark.parametrize("name", list(PATHOLOGICAL))
def test_pathological(dialect: str, name: str) -> None:
    """Nesting without end, one endless string, thousands of nothings: a clear error or a value, at once."""
    data = PATHOLOGICAL[name]
    for attempt, _ in CASES.values():
        attempt(dialect, data)
        attempt(dialect, b"data: " + data + b"\n\n")


def _read(dialect: str, data: bytes) -> None:
    with suppress(ClientFault):
        DIALECTS[dialect].parse_request(data, model="m", stream=True)


def _pass(dialect: str, data: bytes) -> None:
    DIALECTS[dialect].passthrough.clean(data)
    with suppress(ValueError):
        peek(data)
        replace_model(data, "other")


def _answer(dialect: str, data: bytes) -> None:
    rewrite_whole(DIALECTS[dialect], data, rewriter(dialect, data))
    with suppress(UpstreamFault):
        DIALECTS[dialect].parse_response(data)


def _stream(dialect: str, data: bytes) -> None:
    parser = DIALECTS[dialect].stream_parser()
    with suppress(TruncatedStream):
        for chunk in chunks(data):
            parser.feed(chunk)
        parser.end()
    drain(passing(DIALECTS[dialect], rewriter(dialect, b"{}")), data)


@pytest.mark.parametrize("attempt", [_read, _pass, _answer, _stream])
def test_memory(attempt: Try) -> None:
    """What is held while bytes are read is bounded by the bytes."""
    tracemalloc.start()
    try:
        # Tracing is slow: each body is read in one of the dialects.
        for (name, data), dialect in zip(pathological(30_000).items(), cycle(DIALECTS), strict=False):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            attempt(dialect, data)
            held = tracemalloc.get_traced_memory()[1] - before
            assert held < 50 * len(data) + 2**20, f"{dialect}, {name}: {held / len(data):.0f} for each"
    finally:
        tracemalloc.stop()
