"""A dialect that nobody has heard of takes one class and one registration."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from ampproxy.config.schema import Account, Secret
from ampproxy.dialects.base import AnswerContext, Rendered, Target
from ampproxy.dialects.registry import DIALECTS, Registry
from ampproxy.errors import TruncatedStream
from ampproxy.model.events import (
    ChatResponse,
    Completed,
    Delta,
    Event,
    Finished,
    PartClosed,
    PartOpened,
    Started,
    Usage,
    UsageReport,
    WireError,
)
from ampproxy.model.fold import fold
from ampproxy.model.loss import Loss
from ampproxy.model.parts import Text
from ampproxy.model.request import ChatRequest, Turn
from ampproxy.relay import bridges
from ampproxy.relay.bridge import Bridge, Question
from ampproxy.relay.bridges import BridgeMaker
from ampproxy.relay.shapes import Origin
from ampproxy.routing.endpoints import Endpoint, Operation
from ampproxy.routing.route import Offer, Route, RouteKind


class Telegram:
    """Words and STOP. A request: ``{"model", "lines": [[role, words]]}``; an answer: lines of words,
    then ``STOP <input> <output>``.
    """

    name = "telegram"

    def parse_request(
        self, body: bytes, *, model: str | None = None, stream: bool | None = None
    ) -> ChatRequest:
        found = json.loads(body)
        turns = tuple(Turn(role, (Text(words),)) for role, words in found["lines"])
        return ChatRequest(dialect=self.name, model=found["model"], turns=turns, stream=bool(stream))

    def render_request(self, request: ChatRequest, target: Target) -> Rendered:
        losses = []
        lines = [["system", text.text] for text in request.system]
        for number, turn in enumerate(request.turns):
            for part in turn.parts:
                if isinstance(part, Text):
                    lines.append([turn.role, part.text])
                else:
                    losses.append(Loss("part", f"turns[{number}]", "Telegrams are words."))
        return Rendered(json.dumps({"model": request.model, "lines": lines}).encode(), tuple(losses))

    def parse_response(self, body: bytes) -> ChatResponse:
        parser = self.stream_parser()
        return fold(parser.feed(body) + parser.end())

    def render_response(self, response: ChatResponse, context: AnswerContext) -> bytes:
        words = [part.text for one in response.candidates for part in one.parts if isinstance(part, Text)]
        usage = response.usage or Usage()
        return f"{' '.join(words).upper()}\nSTOP {usage.input} {usage.output}\n".encode()

    def stream_parser(self) -> TelegramParser:
        return TelegramParser()

    def stream_renderer(self, context: AnswerContext) -> TelegramRenderer:
        return TelegramRenderer()

    def error_body(self, error: WireError) -> bytes:
        return f"ERROR {error.message}\n".encode()

    error_event = error_body

    def parse_error(self, status: int, headers: Any, body: bytes) -> WireError:
        return WireError("unavailable", body.decode().removeprefix("ERROR "), status)


class TelegramParser:
    def __init__(self) -> None:
        self._buffer = b""
        self._open = self._over = False

    def feed(self, data: bytes) -> list[Event]:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        events: list[Event] = []
        for line in lines:
            if not self._open:
                self._open = True
                events += [Started(dialect="telegram"), PartOpened(0, Text(""))]
            if line.startswith(b"STOP "):
                _, sent, given = line.split()
                usage = UsageReport(Usage(input=int(sent), output=int(given)))
                events += [PartClosed(0), usage, Finished("stop"), Completed()]
                self._over = True
            else:
                events.append(Delta(0, line.decode()))
        return events

    def end(self) -> list[Event]:
        if not self._over:
            raise TruncatedStream()
        return []


class TelegramRenderer:
    def __init__(self) -> None:
        self.losses: list[Loss] = []
        self._usage = Usage()

    def feed(self, events: Sequence[Event]) -> bytes:
        out = []
        for event in events:
            if isinstance(event, Delta):
                out.append(event.text.upper())
            elif isinstance(event, UsageReport):
                self._usage = event.usage
            elif isinstance(event, Completed):
                out.append(f"STOP {self._usage.input} {self._usage.output}")
        return "".join(line + "\n" for line in out).encode()

    def error(self, error: WireError) -> bytes:
        return f"ERROR {error.message}\n".encode()

    def keepalive(self) -> bytes:
        return b"\n"


class Speaks:
    """A provider whose accounts speak one dialect."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect

    def speaks(self, endpoint: Endpoint) -> str:
        return self._dialect

    def packed(self, *_: object, **__: object) -> None:
        """This vendor puts nothing around its dialect."""


Making = Callable[..., Bridge]


@pytest.fixture
def bridge(monkeypatch: pytest.MonkeyPatch) -> Making:
    """Makes a bridge between two dialects, of which one may be the new one."""
    dialects = Registry({name: partial(DIALECTS.__getitem__, name) for name in DIALECTS})
    dialects.register(Telegram.name, Telegram)  # type: ignore[arg-type]
    monkeypatch.setattr(bridges, "DIALECTS", dialects)

    def make(client: str, backend: str, body: bytes, *, stream: bool = False) -> Bridge:
        origin = Origin(lambda: 0.0, lambda prefix: prefix + "1")
        account = Account(
            label="vendor[0]",
            kind="claude-api-key",
            dialect=backend,
            base_url="http://127.0.0.1",
            api_key=Secret("k"),
        )
        maker = BridgeMaker({"vendor[0]": Speaks(backend)}, origin, strict=False)  # type: ignore[dict-item]
        question = Question(
            endpoint=Endpoint(client, Operation.GENERATE),
            body=body,
            asked="asked",
            stream=stream,
            headers=(),
            query=b"",
            route=Route(kind=RouteKind.LOCAL, asked="asked", served="asked"),
        )
        return maker(question, Offer(account, "claude-sonnet-4-5"))

    return make


#: A question of each existing dialect.
ASKED = {
    "anthropic": {"max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]},
    "openai-chat": {"messages": [{"role": "user", "content": "hello"}]},
    "openai-responses": {"input": "hello"},
    "gemini": {"model": "asked", "contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
}


@pytest.mark.parametrize("client", list(ASKED))
def test_to_the_new_one(bridge: Making, client: str) -> None:
    """Every client is served by a vendor that speaks the new dialect, whole and streamed."""
    body = json.dumps({"model": "asked", **ASKED[client]}).encode()
    whole = bridge(client, "telegram", body)
    assert json.loads(whole.body) == {"model": "claude-sonnet-4-5", "lines": [["user", "hello"]]}
    answer = DIALECTS[client].parse_response(whole.whole(b"good day\nSTOP 3 2\n"))
    assert answer.candidates[0].parts == (Text("good day"),)
    stream = bridge(client, "telegram", body, stream=True).filter()
    out = stream.feed(b"good ") + stream.feed(b"day\nSTOP 3") + stream.feed(b" 2\n") + stream.end()
    parser = DIALECTS[client].stream_parser()
    told = fold(parser.feed(out) + parser.end())
    assert told.candidates[0].parts == (Text("good day"),)
    assert stream.complete


@pytest.mark.parametrize("backend", list(ASKED))
def test_from_the_new_one(bridge: Making, backend: str) -> None:
    """A client of the new dialect is served by every vendor."""
    body = json.dumps({"model": "asked", "lines": [["user", "hello"]]}).encode()
    sent = bridge("telegram", backend, body, stream=True).body
    asked = DIALECTS[backend].parse_request(sent, model="m", stream=True)
    assert [(turn.role, turn.parts) for turn in asked.turns] == [("user", (Text("hello"),))]
    events: list[Event] = [Started(id="x1", model="m"), PartOpened(0, Text("")), Delta(0, "good day")]
    events += [PartClosed(0), UsageReport(Usage(input=3, output=2)), Finished("stop"), Completed()]
    context = AnswerContext("m", 0, lambda prefix: prefix + "1", asked)
    said = DIALECTS[backend].render_response(fold(events), context)
    assert bridge("telegram", backend, body).whole(said) == b"GOOD DAY\nSTOP 3 2\n"
    stream = bridge("telegram", backend, body, stream=True).filter()
    renderer = DIALECTS[backend].stream_renderer(context)
    assert stream.feed(renderer.feed(events)) + stream.end() == b"GOOD DAY\nSTOP 3 2\n"


def test_a_broken_telegram_is_an_error(bridge: Making) -> None:
    """What ends without STOP did not end."""
    body = json.dumps({"model": "asked", **ASKED["anthropic"]}).encode()
    stream = bridge("anthropic", "telegram", body, stream=True).filter()
    stream.feed(b"good day\n")
    with pytest.raises(TruncatedStream):
        stream.end()
