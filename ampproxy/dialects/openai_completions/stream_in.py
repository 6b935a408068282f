"""A vendor's stream of the old completions: chunks of text to events."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ampproxy.dialects.json import NULL, Decoder, loads, no_answer, read_answer
from ampproxy.dialects.openai import chat_usage
from ampproxy.dialects.openai_answers import broken_end, fault_in
from ampproxy.dialects.openai_completions.wire import ChoiceWire, finished
from ampproxy.dialects.streams import EventParser
from ampproxy.errors import TruncatedStream, UpstreamFault
from ampproxy.model.base import COMPLETIONS, Json
from ampproxy.model.events import Completed, Delta, Event, PartClosed, PartStarted, Started, UsageReport
from ampproxy.model.parts import Text


class _Chunk(msgspec.Struct):
    choices: list[ChoiceWire] | None = None
    id: str | None = None
    model: str | None = None
    created: int | None = None
    usage: dict[str, Any] | None = None
    error: Json = NULL


_CHUNK: Final = Decoder(_Chunk)


class CompletionsStreamParser(EventParser):
    """See :class:`~ampproxy.dialects.base.StreamParser`."""

    def __init__(self) -> None:
        super().__init__()
        #: By choice: its part's number.
        self._open: dict[int, int] = {}
        self._words: dict[int, str] = {}
        self._parts = 0
        self._started = False

    def end(self) -> list[Event]:
        # An event that was cut off counts for nothing; one that only lacks its blank line does.
        last = self._reader.end()
        rest = [event for event in last if event[1] == b"[DONE]" or loads(event[1]) is not None]
        out = [] if self._over else self._read(rest)
        if not self._over:
            if self._reader.cut or len(rest) < len(last):
                raise TruncatedStream
            if not self._words or self._open.keys() - self._words.keys():
                raise TruncatedStream
            self._complete(out)
        return out

    def _read(self, pieces: list[tuple[bytes, bytes]]) -> list[Event]:
        out: list[Event] = []
        for _, data in pieces:
            if self._over:
                break
            if data.strip() == b"[DONE]":
                self._complete(out)
                continue
            try:
                chunk = read_answer(_CHUNK, data, "event")
            except UpstreamFault as fault:
                out += self._fail(fault.error)
                continue
            if error := fault_in(chunk, data):
                out += self._fail(error)
            else:
                self._chunk(chunk, out)
        return out

    def _chunk(self, chunk: _Chunk, out: list[Event]) -> None:
        if not self._started:
            self._started = True
            out.append(Started(chunk.id, chunk.model, chunk.created, COMPLETIONS))
        for wire in chunk.choices or ():
            number = wire.index or 0
            logprobs = wire.logprobs.logprobs() if wire.logprobs else ()
            self._open.setdefault(number, -1)
            if wire.text or logprobs:
                if self._open[number] < 0:
                    self._open[number], self._parts = self._parts, self._parts + 1
                    out.append(PartStarted(self._open[number], Text(""), number))
                out.append(Delta(self._open[number], wire.text or "", logprobs))
            if error := broken_end(wire.finish_reason):
                out += self._fail(error)
                return
            if wire.finish_reason:
                self._words.setdefault(number, wire.finish_reason)
        if chunk.usage is not None:
            out.append(UsageReport(chat_usage(chunk.usage)))

    def _complete(self, out: list[Event]) -> None:
        if not self._open:
            out += self._fail(no_answer().error)
            return
        self._over = True
        out += [PartClosed(index) for index in self._open.values() if index >= 0]
        out += [finished(self._words.get(number), number) for number in sorted(self._open)]
        out.append(Completed())
