"""The laws that hold for every dialect, as a battery.

Subclass :class:`DialectLaws` together with ``unittest.TestCase``, name the dialect and its vectors::

    class ChatLaws(DialectLaws, unittest.TestCase):
        dialect = DIALECT
        vectors = VECTORS / "openai_chat"
        terminal = re.compile(rb"data: \\[DONE\\]")

Vectors: ``*.sse`` a whole stream, ``*.json`` of the same stem the non-streamed answer that says the
same, ``requests/*.json`` requests. A stream named ``error*.sse`` ends in the vendor's error.
"""

from __future__ import annotations

import gc
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import HealthCheck, given, settings

from ampproxy.dialects.base import AnswerContext, Dialect, Target
from ampproxy.errors import ClientFault, TruncatedStream, UpstreamFault
from ampproxy.model.events import ChatResponse, Completed, Event, Failed
from ampproxy.model.fold import fold, unfold
from ampproxy.model.parts import ToolCall
from ampproxy.model.request import ChatRequest
from tests import strategies

if TYPE_CHECKING:
    from unittest import TestCase as _Case
else:
    _Case = object

VECTORS = Path(__file__).parent.parent / "vectors"

#: Few and without a deadline: the machine is shared and the laws are many. Each dialect runs them in a
#: class of its own, which is what "differing executors" warns of.
quick = settings(
    max_examples=60, suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow]
)


def _left_by(work: Callable[[], object]) -> list[str]:
    """The objects of ours that only a garbage collection frees after some work."""
    gc.disable()
    # What was there before is not looked at, now or later, which would take longer than the work.
    gc.freeze()
    flags = gc.get_debug()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        work()
        gc.collect()
        return sorted(
            {type(one).__name__ for one in gc.garbage if type(one).__module__.startswith("ampproxy")}
        )
    finally:
        gc.set_debug(flags)
        gc.garbage.clear()
        gc.enable()


def plain(value: Any) -> Any:
    """A value of the vocabulary as data to compare: JSON by what it means, not by its blanks."""
    if isinstance(value, ToolCall):
        fields = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        if value.arguments and not value.freeform:
            fields["arguments"] = json.loads(value.arguments)
        return {"": "ToolCall", **fields}
    if isinstance(value, msgspec.Struct):
        told = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        return {"": type(value).__name__, **told}
    if isinstance(value, msgspec.Raw):
        return json.loads(bytes(value))
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def context_for(model: str = "model-1", request: ChatRequest | None = None) -> AnswerContext:
    """A context whose ids are countable and whose time stands still."""
    numbers = iter(range(10**6))
    return AnswerContext(model, 1_700_000_000, lambda prefix: f"{prefix}{next(numbers):024d}", request)


class DialectLaws(_Case):
    """See the module."""

    dialect: Dialect
    vectors: Path
    #: Found in a stream from its terminal event on.
    terminal: re.Pattern[bytes]
    target = Target("model-1")
    #: Losses that a request of the dialect's own vectors may have.
    own_losses: frozenset[str] = frozenset()

    # ------------------------------------------------------------------- what a dialect may adapt

    def normal_request(self, body: Any) -> Any:
        """A request as data, so that two spellings of one meaning compare equal."""
        return body

    def normal_response(self, body: Any) -> Any:
        """An answer as data, likewise."""
        return body

    def normal_fold(self, response: ChatResponse) -> Any:
        """A whole answer as data, likewise; for what a stream and a whole answer never share."""
        return plain(response)

    # -------------------------------------------------------------------------------------- tools

    def streams(self, *, errors: bool = False) -> Iterator[tuple[str, bytes]]:
        """The stream vectors."""
        found = sorted(self.vectors.glob("*.sse"))
        self.assertTrue(found, f"no stream vectors in {self.vectors}")
        for path in found:
            if errors or not path.name.startswith("error"):
                yield path.stem, path.read_bytes()

    def answers(self) -> Iterator[tuple[str, bytes]]:
        """The whole answers."""
        found = sorted(self.vectors.glob("*.json"))
        self.assertTrue(found, f"no answer vectors in {self.vectors}")
        for path in found:
            yield path.stem, path.read_bytes()

    def requests(self) -> Iterator[tuple[str, bytes]]:
        """The requests."""
        found = sorted((self.vectors / "requests").glob("*.json"))
        self.assertTrue(found, f"no request vectors in {self.vectors}")
        for path in found:
            yield path.stem, path.read_bytes()

    def events_of(self, *chunks: bytes) -> list[Event]:
        """All events of a stream that comes in these chunks."""
        parser = self.dialect.stream_parser()
        events = [event for chunk in chunks for event in parser.feed(chunk)]
        return events + parser.end()

    def rendered(self, events: list[Event], *, model: str = "model-1") -> bytes:
        """A stream that says these events."""
        return self.dialect.stream_renderer(context_for(model)).feed(events)

    # --------------------------------------------------------------------------------- 1: splits

    def test_nothing_holds_itself(self) -> None:
        """What a stream gathered is free once nobody uses it, without any garbage collection."""
        for name, stream in self.streams(errors=True):
            with self.subTest(name):
                self._read_and_render(stream)
                self.assertEqual(_left_by(lambda stream=stream: self._read_and_render(stream)), [])

    def _read_and_render(self, stream: bytes) -> None:
        parser = self.dialect.stream_parser()
        renderer = self.dialect.stream_renderer(context_for())
        for half in (stream[: len(stream) // 2], stream[len(stream) // 2 :]):
            renderer.feed(parser.feed(half))

    def test_any_split_gives_the_same_events(self) -> None:
        """However the network cuts a stream, down to single bytes, the same answer is read."""
        dice = random.Random(7)
        for name, data in self.streams(errors=True):
            whole = plain(self.events_of(data))
            cuts = [[data[at : at + 1] for at in range(len(data))]]
            for _ in range(10):
                at = sorted(dice.choices(range(len(data) + 1), k=5))
                cuts.append(
                    [data[start:stop] for start, stop in zip([0, *at], [*at, len(data)], strict=True)]
                )
            for chunks in cuts:
                with self.subTest(name=name, chunks=len(chunks)):
                    self.assertEqual(plain(self.events_of(*chunks)), whole)

    # --------------------------------------------------------------------- 2: streamed or whole

    def test_stream_says_what_the_whole_answer_says(self) -> None:
        """A client gets the same answer whether the vendor streamed it or not."""
        seen = 0
        for name, data in self.streams():
            path = self.vectors / f"{name}.json"
            if path.exists():
                seen += 1
                with self.subTest(name=name):
                    whole = self.dialect.parse_response(path.read_bytes())
                    self.assertEqual(self.normal_fold(fold(self.events_of(data))), self.normal_fold(whole))
        self.assertTrue(seen, "no stream has its whole answer beside it")

    @quick
    @given(strategies.responses())
    def test_rendered_stream_says_what_the_rendered_answer_says(self, response: ChatResponse) -> None:
        """A client reads the same from a stream as from a whole answer, whoever gave it."""
        streamed = fold(self.events_of(self.rendered(unfold(response))))
        whole = self.dialect.parse_response(self.dialect.render_response(response, context_for()))
        self.assertEqual(self.normal_fold(streamed), self.normal_fold(whole))

    @quick
    @given(strategies.interleaved_streams())
    def test_overlapping_parts_are_said_soundly(self, events: list[Event]) -> None:
        """Parallel tool calls whose fragments come interleaved reach the client whole."""
        again = fold(self.events_of(self.rendered(events)))
        plainly = fold(self.events_of(self.rendered(unfold(fold(events)))))
        self.assertEqual(self.normal_fold(again), self.normal_fold(plainly))

    # ---------------------------------------------------------------------------- 3: truncation

    def test_stream_without_its_end_is_truncated(self) -> None:
        """A stream that breaks off, however tidily, is never taken for a whole answer."""
        for name, data in self.streams():
            ends = [found.end() for found in re.finditer(rb"\r?\n\r?\n", data)]
            self.assertTrue(self.terminal.search(data), f"{name} has no terminal event")
            for end in [0, *ends]:
                with self.subTest(name=name, end=end):
                    self.check_cut(data[:end])

    def check_cut(self, data: bytes) -> None:
        """A stream up to here is whole exactly if its terminal event is in it."""
        parser = self.dialect.stream_parser()
        events = parser.feed(data)
        if self.terminal.search(data):
            self.assertIsInstance([*events, *parser.end()][-1], Completed)
            return
        self.assertNotIn(Completed(), events)
        with self.assertRaises(TruncatedStream):
            parser.end()

    # --------------------------------------------------------------------------- 4: round trips

    def test_request_comes_through_its_own_dialect(self) -> None:
        """Nothing of a request is lost on the way to a vendor of the same dialect."""
        for name, body in self.requests():
            with self.subTest(name=name):
                request = self.dialect.parse_request(body, **self.path_of(body))
                target = msgspec.structs.replace(self.target, model=request.model)
                rendered = self.dialect.render_request(request, target)
                kinds = {loss.kind for loss in rendered.losses} - self.own_losses
                self.assertEqual(kinds, set())
                self.assertEqual(
                    self.normal_request(json.loads(rendered.body)), self.normal_request(json.loads(body))
                )

    def path_of(self, body: bytes) -> dict[str, Any]:
        """What a dialect has in its path: ``model`` and ``stream``."""
        return {}

    def test_answer_comes_through_its_own_dialect(self) -> None:
        """Nothing of a whole answer is lost on the way to a client of the same dialect."""
        for name, body in self.answers():
            with self.subTest(name=name):
                response = self.dialect.parse_response(body)
                again = self.dialect.render_response(response, context_for(response.model or ""))
                self.assertEqual(
                    self.normal_response(json.loads(again)), self.normal_response(json.loads(body))
                )

    def test_stream_comes_through_its_own_dialect(self) -> None:
        """Nothing of a stream is lost on the way to a client of the same dialect."""
        for name, data in self.streams():
            with self.subTest(name=name):
                first = fold(self.events_of(data))
                again = fold(self.events_of(self.rendered(self.events_of(data), model=first.model or "")))
                self.assertEqual(self.normal_fold(again), self.normal_fold(first))

    @quick
    @given(strategies.requests())
    def test_any_request_can_be_said(self, request: ChatRequest) -> None:
        """A request of any other dialect becomes one that this dialect reads, and stays as it is then."""
        once = self.dialect.render_request(request, self.target)
        read = self.dialect.parse_request(once.body, model=self.target.model, stream=request.stream)
        twice = self.dialect.render_request(read, self.target)
        self.assertEqual(
            self.normal_request(json.loads(twice.body)), self.normal_request(json.loads(once.body))
        )

    # ---------------------------------------------------------------------------------- 5: fuzz

    def mutants(self, bodies: Iterator[tuple[str, bytes]], count: int = 60) -> Iterator[bytes]:
        """Bodies with a few bytes changed, cut, doubled; and plain noise."""
        dice = random.Random(11)
        originals = [body for _, body in bodies]
        yield from (b"", b"{}", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 50_000, b'{"a":' * 5_000)
        for _ in range(count):
            body = bytearray(dice.choice(originals))
            for _ in range(dice.randint(1, 4)):
                at = dice.randrange(len(body) or 1)
                dice.choice(_MUTATIONS)(body, at, dice)
            yield bytes(body)

    def test_broken_requests_are_the_clients_fault(self) -> None:
        """Whatever bytes a client sends, it is told what is wrong with them."""
        for body in self.mutants(self.requests(), 200):
            try:
                request = self.dialect.parse_request(body, model="m", stream=False)
            except ClientFault as fault:
                self.assertTrue(fault.error.message)
            else:
                self.dialect.render_request(request, self.target)

    def test_broken_answers_are_the_vendors_fault(self) -> None:
        """Whatever bytes a vendor sends, the client gets an honest error."""
        for body in self.mutants(self.answers(), 200):
            try:
                response = self.dialect.parse_response(body)
            except UpstreamFault:
                continue
            self.dialect.render_response(response, context_for())

    def test_broken_streams_end_in_failure(self) -> None:
        """Whatever bytes a vendor streams, nothing but a failure or an answer comes of them."""
        for data in self.mutants(self.streams(errors=True), 200):
            parser = self.dialect.stream_parser()
            renderer = self.dialect.stream_renderer(context_for())
            events = parser.feed(data)
            renderer.feed(events)
            failed = any(isinstance(event, Failed) for event in events)
            try:
                parser.end()
            except TruncatedStream:
                self.assertFalse(failed, "a failure was told twice")

    def test_errors_of_any_shape_are_read(self) -> None:
        """An error body that nobody foresaw still gives the client a sentence and the status."""
        for body in [b"", b"<html><title>Bad gateway</title>", b"{}", b'{"error": 1}', b"\xff", b"[" * 9000]:
            error = self.dialect.parse_error(502, {}, body)
            self.assertTrue(error.message)
            self.assertEqual(error.status, 502)
            self.dialect.parse_error(429, {}, self.dialect.error_body(error))


def _flip(body: bytearray, at: int, dice: random.Random) -> None:
    if body:
        body[at] = dice.randrange(256)


def _cut(body: bytearray, at: int, dice: random.Random) -> None:
    del body[at : at + dice.randint(1, 30)]


def _swap(body: bytearray, at: int, dice: random.Random) -> None:
    body[at:at] = dice.choice([b"null", b"{}", b"[]", b"1e400", b'"', b"-1", b"\\ud800", b"\n\n", b"true"])


def _retype(body: bytearray, at: int, dice: random.Random) -> None:
    """Give one member a value of another type."""
    found = list(re.finditer(rb'":\s*("[^"]*"|\d+|true|false|null)', bytes(body)))
    if found:
        one = dice.choice(found)
        body[one.start(1) : one.end(1)] = dice.choice([b"null", b"{}", b"[]", b"7", b'"x"', b"true", b"-1.5"])


_MUTATIONS: tuple[Callable[[bytearray, int, random.Random], None], ...] = (
    _flip,
    _cut,
    _swap,
    _retype,
    _retype,
)
