"""The items of a vendor's answer as events, whether they come in deltas, whole, or both.

One object follows an item of ``output`` from ``output_item.added`` to ``output_item.done`` and knows
how much of it was reported already, so that what only the whole item has is reported in the end: servers
that send no deltas at all are valid.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from ampproxy.dialects.ends import CUT_CALL, NAMELESS, is_cut_off
from ampproxy.dialects.json import NULL, Decoder, is_object, raw_str, read_answer, text_of, to_raw
from ampproxy.dialects.openai_answers import TokenWire, read_logprobs
from ampproxy.dialects.openai_responses.items_in import reasoning_of
from ampproxy.model.base import RESPONSES, Json
from ampproxy.model.events import (
    AnswerPart,
    Delta,
    Event,
    Failed,
    PartClosed,
    PartExtras,
    PartSigned,
    PartStarted,
    SectionBreak,
    TokenLogprob,
)
from ampproxy.model.parts import Opaque, Reasoning, Refusal, Text, ToolCall

#: The place of an item whose event leaves it out.
NOWHERE = -1
_NOTHING = (b"null", b"[]", b"{}")


class DeltaEvent(msgspec.Struct):
    """More of a text."""

    delta: str = ""
    output_index: int = NOWHERE
    content_index: int = 0
    summary_index: int = 0
    logprobs: Json = msgspec.Raw(b"[]")


class ItemEvent(msgspec.Struct):
    """An item begins or ends."""

    item: Json
    output_index: int = NOWHERE


class PartEvent(msgspec.Struct):
    """A part of a message's content begins or ends."""

    part: Content
    output_index: int = NOWHERE
    content_index: int = 0


class WholeEvent(msgspec.Struct):
    """What grew by deltas, as a whole."""

    output_index: int = NOWHERE
    content_index: int = 0
    summary_index: int = 0
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    input: str | None = None


class AnnotationEvent(msgspec.Struct):
    """A note on a text."""

    annotation: Json
    output_index: int = NOWHERE
    content_index: int = 0


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class Beside(msgspec.Struct):
    """Reports beside the output."""

    access_programs: Json = NULL
    input_transformations: Json = NULL
    moderation: Json = NULL
    prompt_cache_diagnostics: Json = NULL
    tool_usage: Json = NULL


class ResponseWire(Beside):
    """A response, as far as it is read."""

    id: str | None = None
    model: str | None = None
    created_at: float | None = None
    status: str | None = None
    output: list[Json] | None = None
    usage: Any = None
    service_tier: Any = None
    incomplete_details: _Incomplete | None = None
    error: Any = None
    output_text: Any = None

    def beside(self) -> dict[str, Json]:
        """What it reports beside its output; the other members repeat the request."""
        found = {name: getattr(self, name) for name in Beside.__struct_fields__}
        return {name: raw for name, raw in found.items() if bytes(raw) not in _NOTHING}


class Lifecycle(msgspec.Struct):
    """An event that holds the response itself."""

    response: ResponseWire | None = None


class Named(msgspec.Struct):
    """What an event names its item by."""

    item_id: str | None = None


class Content(msgspec.Struct):
    """A part of a message or a paragraph of reasoning."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    annotations: list[Json] | None = None
    logprobs: list[TokenWire] | None = None


class Head(msgspec.Struct):
    """What identifies an item."""

    type: str = ""
    id: str | None = None
    call_id: str | None = None


class _Message(msgspec.Struct):
    content: list[Content] | str | None = None
    phase: Json = NULL


class _Call(msgspec.Struct):
    name: str = ""
    id: str | None = None
    call_id: str | None = None
    arguments: Json = NULL
    input: str | None = None
    namespace: Json = NULL
    caller: Json = NULL

    def extras(self) -> dict[str, Json]:
        """The members that only this dialect has."""
        named = (("namespace", self.namespace), ("caller", self.caller))
        return {name: Json(bytes(raw)) for name, raw in named if raw != NULL}


class _Reasoning(msgspec.Struct):
    id: str | None = None
    summary: list[Content] | None = None
    content: list[Content] | None = None
    encrypted_content: str | None = None


_message = Decoder(_Message)
_call = Decoder(_Call)
_reasoning = Decoder(_Reasoning)

#: Gives the number of the next part of the answer.
Numbers = Callable[[], int]


class Part:
    """A part that grows: its number, and how many characters of it were reported.

    :ivar pieces: what came in deltas, where it must be looked at as a whole.
    """

    __slots__ = ("annotations", "closed", "index", "pieces", "sent_length")

    def __init__(self, index: int, pieces: list[str] | None = None) -> None:
        self.index = index
        self.pieces = pieces
        self.sent_length = 0
        self.closed = False
        self.annotations: list[Json] = []

    def rest(self, text: str | None, logprobs: tuple[TokenLogprob, ...] = ()) -> list[Event]:
        """What of the whole text was not reported."""
        if text is None or len(text) <= self.sent_length:
            return []
        event = Delta(self.index, text[self.sent_length :], logprobs if self.sent_length == 0 else ())
        self.sent_length = len(text)
        return [event]


class AnswerItem(msgspec.Struct):
    """An item that this dialect alone knows: reported when it is whole."""

    kind: ClassVar[str] = ""
    head: Head
    _numbers: Numbers
    done: bool = False

    def add(self, item: Json) -> list[Event]:
        """``output_item.added``."""
        return []

    def overtaken(self) -> list[Event]:
        """Another item was announced while this one is open: its place is before that."""
        return []

    def whole(self, source: str, number: int, text: str) -> list[Event]:
        """All of what grew by deltas, or would have: what of it was not reported.

        :param source: what of the item it is.
        :param number: of the part or paragraph.
        """
        return []

    def finish(self, item: Json) -> list[Event]:
        """``output_item.done``, or the item in the terminal event."""
        self.done = True
        index = self._numbers()
        return [PartStarted(index, Opaque(RESPONSES, self.head.type, item)), PartClosed(index)]

    def abandon(self) -> list[Event]:
        """The answer ended without the whole item."""
        self.done = True
        return []

    def left_out(self) -> list[Event]:
        """The answer ended well, and does not have the item, which was announced and never ended."""
        return self.abandon()


class MessageItem(AnswerItem):
    """Texts and refusals."""

    kind: ClassVar[str] = "message"
    refused: bool = False
    _parts: dict[int, Part] = {}
    _phase: dict[str, Json] = {}

    def add(self, item: Json) -> list[Event]:
        self._read_phase(read_answer(_message, item))
        return []

    def _read_phase(self, message: _Message) -> None:
        if message.phase != NULL:
            self._phase = {"phase": message.phase}

    def part(self, number: int, kind: str, events: list[Event]) -> Part:
        """The content part of that number, opened if need be."""
        part = self._parts.get(number)
        if part is None:
            part = self._parts[number] = Part(self._numbers())
            self.refused = self.refused or kind == "refusal"
            empty: AnswerPart = Refusal("") if kind == "refusal" else Text("", extras=self._phase)
            events.append(PartStarted(part.index, empty))
        return part

    def whole(self, source: str, number: int, text: str) -> list[Event]:
        events: list[Event] = []
        part = self.part(number, source, events)
        return events if part.closed else [*events, *part.rest(text)]

    def finish_part(self, number: int, content: Content) -> list[Event]:
        """``content_part.done``, or the part in the whole item."""
        kind = "refusal" if content.type == "refusal" else "text"
        events: list[Event] = []
        part = self.part(number, kind, events)
        if part.closed:
            return events
        words = content.refusal if kind == "refusal" else content.text
        events += part.rest(words, read_logprobs(content.logprobs))
        if notes := content.annotations or part.annotations:
            events.append(PartExtras(part.index, {"annotations": to_raw(notes)}))
        events.append(PartClosed(part.index))
        part.closed = True
        return events

    def finish(self, item: Json) -> list[Event]:
        message = read_answer(_message, item)
        self._read_phase(message)
        events: list[Event] = []
        contents = message.content or []
        if isinstance(contents, str):
            contents = [Content("output_text", contents)]
        numbers = sorted(self._parts)
        # Servers begin at one, or count on from the item before (vLLM): then the order gives the places.
        apart = bool(numbers) and numbers[-1] >= len(contents)
        for place, content in enumerate(contents):
            number = (numbers[place] if place < len(numbers) else place + numbers[-1] + 1) if apart else place
            events += self.finish_part(number, content)
        return [*events, *self.abandon()]

    def abandon(self) -> list[Event]:
        self.done = True
        events: list[Event] = []
        for part in self._parts.values():
            if not part.closed:
                part.closed = True
                if part.annotations:
                    events.append(PartExtras(part.index, {"annotations": to_raw(part.annotations)}))
                events.append(PartClosed(part.index))
        return events


class CallItem(AnswerItem):
    """A call of a function or a custom tool."""

    kind: ClassVar[str] = "function_call"
    freeform: ClassVar[bool] = False
    part: Part | None = None
    #: Whether its arguments are the beginning of an object.
    cut: bool = False

    def add(self, item: Json) -> list[Event]:
        call = read_answer(_call, item)
        return self._open(call) if call.name else []

    def _open(self, call: _Call) -> list[Event]:
        self.part = Part(self._numbers(), [])
        id = call.call_id or call.id or f"call_{self.part.index}"
        opened = ToolCall(id, call.name, "", freeform=self.freeform, item=call.id, extras=call.extras())
        return [PartStarted(self.part.index, opened)]

    def finish(self, item: Json) -> list[Event]:
        call = read_answer(_call, item)
        if self.part is None and not call.name:
            return [Failed(NAMELESS)]
        events = self._open(call) if self.part is None else []
        assert self.part is not None
        text = call.input if self.freeform else text_of(call.arguments)
        if text is None and not self.freeform and call.arguments != NULL:
            # Some servers write the object itself.
            text = raw_str(call.arguments)
        events += self.part.rest(text)
        self.cut = not self.freeform and is_cut_off(text or "".join(self.part.pieces or ()))
        return [*events, *self.abandon()]

    def whole(self, source: str, number: int, text: str) -> list[Event]:
        return [] if self.part is None else self.part.rest(text)

    def left_out(self) -> list[Event]:
        if self.part is None:
            return [Failed(NAMELESS)]
        text = "".join(self.part.pieces or ())
        cut = not self.freeform and text.strip() and not is_object(text)
        return [Failed(CUT_CALL)] if cut else self.abandon()

    def abandon(self) -> list[Event]:
        self.done = True
        if self.part is None:
            return []
        self.part.closed = True
        return [PartClosed(self.part.index)]


class _CustomCallItem(CallItem):
    kind: ClassVar[str] = "custom_tool_call"
    freeform: ClassVar[bool] = True


class ReasoningItem(AnswerItem):
    """Thinking: a summary of it, or its text, and its proof, which comes with the whole item."""

    kind: ClassVar[str] = "reasoning"
    _part: Part | None = None
    _sections: dict[int, Part] = {}
    _source: str | None = None

    def section(self, number: int) -> Part | None:
        """The paragraph of that number, once it began."""
        return self._sections.get(number)

    def delta(self, source: str, number: int, text: str) -> list[Event]:
        """More of a paragraph. Of a server that sends both the text and a summary, one is read.

        :param source: ``content`` or ``summary``.
        """
        if self._source is None:
            self._source = source
        if source != self._source or not text:
            return []
        events: list[Event] = []
        if self._part is None:
            self._part = Part(self._numbers())
            events.append(PartStarted(self._part.index, Reasoning("")))
        elif self._sections and number not in self._sections:
            events.append(SectionBreak(self._part.index))
        self._sections.setdefault(number, Part(self._part.index)).sent_length += len(text)
        events.append(Delta(self._part.index, text))
        return events

    def whole(self, source: str, number: int, text: str) -> list[Event]:
        section = self._sections.get(number)
        return self.delta(source, number, text[section.sent_length if section else 0 :])

    def overtaken(self) -> list[Event]:
        if self.done:
            return []
        if self._source == "content":
            # Of a server that ends all items last (llama.cpp), which issues no proofs.
            return self.abandon()
        if self._part is not None:
            return []
        self._part = Part(self._numbers())
        return [PartStarted(self._part.index, Reasoning(""))]

    def finish(self, item: Json) -> list[Event]:
        whole = read_answer(_reasoning, item)
        source = self._source or ("content" if whole.content else "summary")
        events: list[Event] = []
        last = max(self._sections, default=-1)
        for number, section in enumerate((whole.content if source == "content" else whole.summary) or ()):
            if number >= last and section.text:
                sent_length = self._sections[number].sent_length if number in self._sections else 0
                events += self.delta(source, number, section.text[sent_length:])
        proof = whole.encrypted_content
        signature = reasoning_of([], proof, whole.id).signature if proof else None
        if self._part is None and signature is not None:
            self._part = Part(self._numbers())
            events.append(PartStarted(self._part.index, Reasoning("", signature, redacted=True)))
        elif self._part is not None and signature is not None:
            events.append(PartSigned(self._part.index, signature))
        return [*events, *self.abandon()]

    def abandon(self) -> list[Event]:
        self.done = True
        for section in self._sections.values():
            section.closed = True
        return [PartClosed(self._part.index)] if self._part is not None else []


ITEMS: dict[str, type[AnswerItem]] = {
    item.kind: item for item in (MessageItem, CallItem, _CustomCallItem, ReasoningItem)
}
