"""Writes Gemini's streams: server-sent events, or one JSON array for a client without ``alt=sse``."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec
from msgspec.structs import replace

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.ends import BENT
from ampproxy.dialects.gemini.errors import error_body
from ampproxy.dialects.gemini.response import (
    Wire,
    answer_part,
    blocked_members,
    call_part,
    end_members,
    logprobs_members,
    proof_member,
    tail_members,
)
from ampproxy.dialects.json import encode
from ampproxy.dialects.proof import reasoning_place
from ampproxy.dialects.streams import LONGEST_ID, Renderer, repeated
from ampproxy.model.base import GEMINI, Json
from ampproxy.model.events import (
    Completed,
    Delta,
    Event,
    Finished,
    PartClosed,
    PartExtras,
    PartSigned,
    PartStarted,
    SectionBreak,
    Started,
    WireError,
)
from ampproxy.model.fold import SECTION_GAP
from ampproxy.model.parts import Audio, Image, Opaque, Reasoning, Refusal, Signature, Text, ToolCall
from ampproxy.model.sequence import Sequencer
from ampproxy.wire.sse import escape_separators

_CRLF = b"\r\n\r\n"


class _Open(msgspec.Struct):
    """A part that is being written.

    :ivar head: what stands before its words in an event, ``tail`` what stands after them.
    """

    part: Text | Reasoning | Refusal | ToolCall
    choice: int
    signature: Signature | None
    arguments: list[str] = []
    head: bytes = b""
    tail: bytes = b""


class GeminiStreamRenderer(Renderer):
    """Events in, Gemini's stream out; see :class:`ampproxy.dialects.base.StreamRenderer`.

    Words are sent as they come. Calls are sent when they are whole, because Gemini has no fragments
    of arguments. The ends and the usage stand in one last event, which is also the terminal one.
    """

    # A comment line breaks Google's SDK.
    KEEPALIVE = b""

    def __init__(self, context: AnswerContext) -> None:
        super().__init__(context)
        self._array = context.framing == "array"
        self._before, self._after = (b"", b"") if self._array else (b"data: ", _CRLF)
        self._wrote = False
        self._id = ""
        self._extras: dict[str, Json] = {}
        self._repeated: dict[str, Json] = {}
        #: Each candidate's parts are written one after the other.
        self._sequencer = Sequencer(attrgetter("choice"))
        self._open: dict[int, _Open] = {}
        self._finished: dict[int, Finished] = {}
        self._with_content: set[int] = set()

    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if type(event) is Delta and not event.logprobs:
                part = self._open.get(event.index)
                if part is not None and part.head:
                    out += (part.head, encode(event.text), part.tail)
                    if self._array:
                        self._separate(out)
                    continue
            for ordered in self._sequencer.feed((event,)):
                if not self._over and (step := self._steps.get(type(ordered))) is not None:
                    step(self, ordered, out)
        return escape_separators(b"".join(out))

    def error(self, error: WireError) -> bytes:
        if self._over:
            return b""
        out: list[bytes] = []
        self._emit(error_body(error), out)
        return escape_separators(b"".join(self._end_all(out)))

    # -- events

    def _on_start(self, event: Started, out: list[bytes]) -> None:
        self._own = event.dialect == GEMINI
        self._id = event.id if event.id and len(event.id) <= LONGEST_ID else ""
        self._extras = event.extras if self._own else {}
        of_chunks = {name: raw for name, raw in self._extras.items() if name != "promptFeedback"}
        self._repeated = repeated(of_chunks)

    def _on_part(self, event: PartStarted, out: list[bytes]) -> None:
        part = event.part
        self._with_content.add(event.choice)
        if isinstance(part, (Image, Audio, Opaque)):
            for wire in answer_part(part, self.losses):
                self._chunk(event.choice, wire, out)
            return
        signature = None if isinstance(part, Refusal) else part.signature
        grown = self._open[event.index] = _Open(part, event.choice, signature)
        if isinstance(part, ToolCall):
            grown.arguments.append(part.arguments)
            return
        thought = b',"thought":true' if isinstance(part, Reasoning) else b""
        grown.head = self._before + b'{"candidates":[{"content":{"parts":[{"text":'
        grown.tail = thought + b'}],"role":"model"},"index":%d}],' % event.choice + self._identity()
        grown.tail += b"}" + self._after
        if isinstance(part, Refusal):
            self.losses("refusal", "", "A refusal becomes text.")
        if part.text:
            self._on_delta(Delta(event.index, part.text), out)

    def _on_delta(self, event: Delta, out: list[bytes]) -> None:
        part = self._open.get(event.index)
        if part is None:
            return
        if isinstance(part.part, ToolCall):
            part.arguments.append(event.text)
            return
        wire: Wire = {"text": event.text}
        if isinstance(part.part, Reasoning):
            wire["thought"] = True
        more = {"logprobsResult": logprobs_members(event.logprobs)} if event.logprobs else {}
        self._chunk(part.choice, wire, out, more)

    def _on_section(self, event: SectionBreak, out: list[bytes]) -> None:
        self._on_delta(Delta(event.index, SECTION_GAP), out)

    def _on_proof(self, event: PartSigned, out: list[bytes]) -> None:
        if (part := self._open.get(event.index)) is None:
            self.losses("foreign_proof", "", "A signature came after its part and was dropped.")
        else:
            part.signature = event.signature

    def _on_extras(self, event: PartExtras, out: list[bytes]) -> None:
        self.losses("extras", "", "Citations and annotations of a text were dropped.")

    def _on_close(self, event: PartClosed, out: list[bytes]) -> None:
        part = self._open.pop(event.index, None)
        if part is None:
            return
        whole = part.part
        if isinstance(whole, ToolCall):
            call = replace(whole, arguments="".join(part.arguments), signature=part.signature)
            self._chunk(part.choice, call_part(call, self.losses), out)
        elif part.signature is not None:
            thought = isinstance(whole, Reasoning)
            place = reasoning_place(whole) if isinstance(whole, Reasoning) else "text"
            wire: Wire = {"text": "", "thought": True} if thought else {"text": ""}
            self._chunk(part.choice, {**wire, **proof_member(part.signature, place)}, out)

    def _on_finish(self, event: Finished, out: list[bytes]) -> None:
        if event.reason in BENT and not self._own:
            self.losses(event.reason, "finish", f"Gemini cannot express {BENT[event.reason]}.")
        self._finished[event.choice] = event

    def _on_complete(self, event: Completed, out: list[bytes]) -> None:
        first = next(iter(self._finished.values()), None)
        if first is not None and first.reason == "blocked" and not self._with_content:
            found: Wire = blocked_members(first, self._extras)
        else:
            ends = self._finished or {0: Finished("stop")}
            candidates = [self._end(number, ends[number]) for number in sorted(ends)]
            found = {"candidates": candidates, **self._extras}
        tail = tail_members(self._usage, self._context.model, self._answer_id(), own=self._own)
        self._emit(encode({**found, **tail}), out)
        self._end_all(out)

    def _end(self, number: int, finish: Finished) -> Wire:
        # A content without parts makes Google's SDK leave the whole turn out of its chat's history.
        content = {"parts": [{"text": ""}], "role": "model"}
        return {"content": content, **end_members(finish, own=self._own), "index": number}

    # -- writing

    def _identity(self) -> bytes:
        names = {"modelVersion": self._context.model, "responseId": self._answer_id()}
        return encode({**self._repeated, **names})[1:-1]

    def _answer_id(self) -> str:
        if not self._id:
            self._id = self._context.new_id("resp_")
        return self._id

    def _chunk(self, choice: int, part: Any, out: list[bytes], more: Wire | None = None) -> None:
        content = {"parts": [part], "role": "model"}
        head = encode({"candidates": [{"content": content, "index": choice, **(more or {})}]})
        self._emit(head[:-1] + b"," + self._identity() + b"}", out)

    def _emit(self, payload: bytes, out: list[bytes]) -> None:
        if b"\n" in payload or b"\r" in payload:
            # Blanks between the tokens of JSON that others wrote; inside texts they are escaped.
            payload = payload.replace(b"\n", b" ").replace(b"\r", b" ")
        out += (self._before, payload, self._after)
        if self._array:
            self._separate(out)

    def _separate(self, out: list[bytes]) -> None:
        """Before the three pieces of an event."""
        out.insert(len(out) - 3, b",\r\n" if self._wrote else b"[")
        self._wrote = True

    def _end_all(self, out: list[bytes]) -> list[bytes]:
        self._over = True
        self._open.clear()
        if self._array:
            out.append(b"]" if self._wrote else b"[]")
        return out
