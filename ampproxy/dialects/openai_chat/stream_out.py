"""A stream for a client: from events to Chat Completions' chunks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.ends import BENT
from ampproxy.dialects.json import encode, loads
from ampproxy.dialects.openai_answers import ChunkRenderer
from ampproxy.dialects.openai_chat.wire import (
    FORM,
    annotations_body,
    audio_body,
    finish_word,
    image_body,
    legacy_functions,
    logprobs_body,
)
from ampproxy.model.events import (
    Delta,
    Event,
    Finished,
    PartClosed,
    PartExtras,
    PartSigned,
    PartStarted,
    SectionBreak,
    Started,
    in_runs,
)
from ampproxy.model.fold import SECTION_GAP
from ampproxy.model.parts import Audio, Image, Reasoning, Refusal, Text, ToolCall
from ampproxy.model.sequence import Sequencer

#: The member of a delta that words of each kind go into, up to the words.
_MEMBERS: dict[type, bytes] = {
    Text: b'{"content":',
    Reasoning: b'{"reasoning_content":',
    Refusal: b'{"refusal":',
}


def _lane(event: PartStarted) -> object:
    """Parts that share a member of the message, which has one after the other."""
    kind = type(event.part)
    return (event.choice, kind) if kind in _MEMBERS else event.index


class _Words(msgspec.Struct):
    """A part whose deltas are sent: the bytes before and after each piece."""

    before: bytes
    after: bytes
    choice: int
    refusal: bool = False
    #: Whether words were sent, and whether a paragraph ended: its gap comes before the next words.
    has_words: bool = False
    gap: bool = False
    #: What stands there if no words come.
    empty: bytes = b""


class _Choice(msgspec.Struct):
    """What was sent of a choice."""

    calls: int = 0
    refused: bool = False
    finished: bool = False


class ChatStreamRenderer(ChunkRenderer):
    """See :class:`~ampproxy.dialects.base.StreamRenderer`."""

    FORM = FORM

    def __init__(self, context: AnswerContext) -> None:
        super().__init__(context)
        self._legacy = legacy_functions(context)
        self._tail = b',"logprobs":null,"finish_reason":null}]' + (
            b',"usage":null}\n\n' if self._wants_usage else b"}\n\n"
        )
        self._sequencer = Sequencer(_lane)
        self._words: dict[int, _Words] = {}
        #: The frames of parts in which the next words need nothing but a frame.
        self._frames: dict[int, tuple[bytes, bytes]] = {}
        self._choices: dict[int, _Choice] = {}

    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        if len(events) == 1:
            # Of a stream that is read as it comes, a read brings one.
            self._one(events[0], out)
            return b"".join(out)
        in_runs(events, self._deltas, self._one, out)
        return b"".join(out)

    def _deltas(self, events: Sequence[Any], out: list[bytes]) -> None:
        """Deltas in a row: mostly all are words of one part, which need nothing but a frame."""
        if (part := events[0].index) not in self._frames:
            # With these the part may begin.
            self._one(events[0], out)
            events = events[1:]
        if frame := self._frames.get(part):
            words = [encode(e.text) for e in events if e.index == part and e.text and not e.logprobs]
            if len(words) == len(events):
                if words:
                    before, after = frame
                    out += (before, (after + before).join(words), after)
                return
        for event in events:
            self._one(event, out)

    def _one(self, event: Event, out: list[bytes]) -> None:
        if type(event) is Delta and event.text and not event.logprobs and (
            frame := self._frames.get(event.index)
        ):  # fmt: skip
            out += (frame[0], encode(event.text), frame[1])
            return
        for ordered in self._sequencer.feed((event,)):
            if not self._over and (step := self._steps.get(type(ordered))):
                step(self, ordered, out)

    def _end(self) -> None:
        super()._end()
        self._frames.clear()

    def _on_start(self, event: Started, out: list[bytes]) -> None:
        if not self._head:
            super()._on_start(event, out)
            self._choice(0, out)

    def _choice(self, number: int, out: list[bytes]) -> _Choice:
        """A choice, whose first chunk has the role."""
        if not self._head:
            self._on_start(Started(), out)
        choice = self._choices.get(number)
        if choice is None:
            choice = self._choices[number] = _Choice()
            out.append(self._chunk(number, b'{"role":"assistant","content":""}'))
        return choice

    def _before(self, choice: int) -> bytes:
        return self._head + b'{"index":%d,"delta":' % choice

    def _chunk(self, choice: int, delta: bytes) -> bytes:
        return self._before(choice) + delta + self._tail

    def _on_part(self, event: PartStarted, out: list[bytes]) -> None:
        part = event.part
        choice = self._choice(event.choice, out)
        if isinstance(part, ToolCall):
            self._call(event.index, part, event.choice, choice, out)
        elif isinstance(part, Text | Reasoning | Refusal):
            refusal = isinstance(part, Refusal)
            choice.refused = choice.refused or refusal
            before = self._before(event.choice) + _MEMBERS[type(part)]
            words = _Words(before, b"}" + self._tail, event.choice, refusal)
            self._open_words(event.index, words, part.text, out)
            if isinstance(part, Text | Reasoning) and part.signature is not None:
                self._lose_proof(event.index)
        elif isinstance(part, Image) and (image := image_body(part)):
            out.append(self._chunk(event.choice, encode({"images": [image]})))
        elif isinstance(part, Audio):
            out.append(self._chunk(event.choice, encode({"audio": audio_body(part, self._context)})))
        else:
            self._lose("opaque", event.index, "Chat Completions has no such part in an answer.")

    def _open_words(self, index: int, words: _Words, text: str, out: list[bytes]) -> None:
        self._words[index] = words
        if text:
            self._on_delta(Delta(index, text), out)

    def _call(self, index: int, part: ToolCall, number: int, choice: _Choice, out: list[bytes]) -> None:
        """The id, type and name of a call, sent once; its arguments follow in pieces."""
        at, choice.calls = choice.calls, choice.calls + 1
        if self._legacy and at:
            self._lose("parallel_call", index, "A client of 'functions' accepts only one call.")
            return
        if part.signature is not None:
            self._lose_proof(index)
        before = self._before(number)
        if self._legacy:
            first: dict[str, Any] = {"function_call": {"name": part.name, "arguments": ""}}
            before, after = before + b'{"function_call":{"arguments":', b"}}"
        else:
            kind, member = ("custom", "input") if part.freeform else ("function", "arguments")
            call = {"index": at, "id": part.id, "type": kind, kind: {"name": part.name, member: ""}}
            first = {"tool_calls": [call]}
            before += b'{"tool_calls":[{"index":%d,"%b":{"%b":' % (at, kind.encode(), member.encode())
            after = b"}}]}"
        out.append(self._chunk(number, encode(first)))
        words = _Words(before, after + self._tail, number, empty=b"" if part.freeform else b'"{}"')
        self._open_words(index, words, part.arguments, out)

    def _on_delta(self, event: Delta, out: list[bytes]) -> None:
        """Words that need more than a frame: after a gap, or with log probabilities."""
        words = self._words.get(event.index)
        if words is None:
            return
        text = event.text
        if text:
            # From here on a frame is enough.
            self._frames[event.index] = (words.before, words.after)
            text = SECTION_GAP + text if words.gap else text
            words.gap, words.has_words = False, True
        if event.logprobs:
            logprobs = encode(logprobs_body(event.logprobs, "refusal" if words.refusal else "content"))
            after = words.after.replace(b'"logprobs":null', b'"logprobs":' + logprobs, 1)
            out += (words.before, encode(text), after)
        elif text:
            out += (words.before, encode(text), words.after)

    def _on_close(self, event: PartClosed, out: list[bytes]) -> None:
        self._frames.pop(event.index, None)
        words = self._words.get(event.index)
        if words is not None and words.empty and not words.has_words:
            out += (words.before, words.empty, words.after)

    def _on_section(self, event: SectionBreak, out: list[bytes]) -> None:
        words = self._words.get(event.index)
        if words is not None and words.has_words:
            words.gap = True
            self._frames.pop(event.index, None)

    def _on_proof(self, event: PartSigned, out: list[bytes]) -> None:
        self._lose_proof(event.index)

    def _on_extras(self, event: PartExtras, out: list[bytes]) -> None:
        words = self._words.get(event.index)
        notes = annotations_body(event.extras)
        if words is not None and notes:
            out.append(self._chunk(words.choice, encode({"annotations": notes})))
            if len(notes) < len(loads(event.extras["annotations"], [])):
                self._lose("extras", event.index, "Chat Completions has annotations only for pages.")
        else:
            why = f"Members of another dialect: {', '.join(sorted(event.extras))}."
            self._lose("extras", event.index, why)

    def _on_finish(self, event: Finished, out: list[bytes]) -> None:
        if event.reason in BENT:
            self.losses(event.reason, "finish", f"Chat Completions cannot express {BENT[event.reason]}.")
        super()._on_finish(event, out)

    def _finish(self, number: int, end: Finished | None, out: list[bytes]) -> None:
        choice = self._choice(number, out)
        if choice.finished:
            return
        choice.finished = True
        word = finish_word(end, called=choice.calls > 0, refused=choice.refused, legacy=self._legacy)
        tail = self._tail.replace(b'"finish_reason":null', b'"finish_reason":' + encode(word))
        out.append(self._before(number) + b"{}" + tail)

    def _begun(self) -> Iterable[int]:
        return self._choices

    def _lose_proof(self, index: int) -> None:
        self._lose("foreign_proof", index, "Chat Completions has no field for a signature of reasoning.")

    def _lose(self, kind: str, index: int, why: str) -> None:
        self.losses(kind, f"parts[{index}]", why)
