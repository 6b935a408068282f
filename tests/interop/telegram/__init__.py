"""A dialect that nobody has heard of, as a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ampproxy.dialects.base import AnswerContext, Dialect, Rendered, Target
from ampproxy.errors import TruncatedStream
from ampproxy.model.events import (
    ChatResponse,
    Completed,
    Delta,
    Event,
    Failed,
    Finished,
    PartClosed,
    PartStarted,
    Started,
    Usage,
    UsageReport,
    WireError,
)
from ampproxy.model.fold import fold
from ampproxy.model.loss import Loss
from ampproxy.model.parts import Text
from ampproxy.model.request import ChatRequest, Turn
from tests.interop.telegram.passthrough import PASSTHROUGH

# Words and STOP. A request: ``{"model", "lines": [[role, words]]}``; an answer: lines of words, then
# ``STOP <input> <output>``.


def parse_request(body: bytes, *, model: str | None = None, stream: bool | None = None) -> ChatRequest:
    found = json.loads(body)
    turns = tuple(Turn(role, (Text(words),)) for role, words in found["lines"])
    return ChatRequest(dialect="telegram", model=found["model"], turns=turns, stream=bool(stream))


def render_request(request: ChatRequest, target: Target) -> Rendered:
    losses = []
    lines = [["system", text.text] for text in request.system]
    for number, turn in enumerate(request.turns):
        for part in turn.parts:
            if isinstance(part, Text):
                lines.append([turn.role, part.text])
            else:
                losses.append(Loss("part", f"turns[{number}]", "Telegrams are words."))
    return Rendered(json.dumps({"model": request.model, "lines": lines}).encode(), tuple(losses))


def parse_response(body: bytes) -> ChatResponse:
    parser = TelegramParser()
    return fold(parser.feed(body) + parser.end())


def render_response(response: ChatResponse, context: AnswerContext) -> bytes:
    words = [part.text for one in response.candidates for part in one.parts if isinstance(part, Text)]
    usage = response.usage or Usage()
    return f"{' '.join(words).upper()}\nSTOP {usage.input} {usage.output}\n".encode()


def error_body(error: WireError) -> bytes:
    return f"ERROR {error.message}\n".encode()


def parse_error(status: int, headers: Any, body: bytes) -> WireError:
    return WireError("unavailable", body.decode().removeprefix("ERROR "), status)


class TelegramParser:
    def __init__(self) -> None:
        self._buffer = b""
        self._open = self._over = False

    def feed(self, data: bytes) -> list[Event]:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        events: list[Event] = []
        for line in lines:
            if line.startswith(b"ERROR "):
                self._over = True
                return [*events, Failed(WireError("unavailable", line.decode().removeprefix("ERROR "), 502))]
            if not self._open:
                self._open = True
                events += [Started(dialect="telegram"), PartStarted(0, Text(""))]
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
    def __init__(self, context: AnswerContext) -> None:
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


DIALECT = Dialect(
    name="telegram",
    passthrough=PASSTHROUGH,
    parse_request=parse_request,
    render_request=render_request,
    parse_response=parse_response,
    render_response=render_response,
    stream_parser=TelegramParser,
    stream_renderer=TelegramRenderer,
    error_body=error_body,
    error_event=error_body,
    parse_error=parse_error,
    models_body=lambda models: b"",
    model_body=lambda model: b"",
    count_request=lambda body, model: body,
    parse_count=int,
    count_body=lambda tokens: b"%d" % tokens,
)
