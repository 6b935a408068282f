"""Events, written as a stream of Messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ampproxy.dialects.anthropic.errors import error_event
from ampproxy.dialects.anthropic.response import (
    LAST_PROOF,
    LOST,
    Unasked,
    asks_for_none,
    call_block,
    carrier,
    message_body,
    part_blocks,
    reasoning_block,
)
from ampproxy.dialects.anthropic.usage import NO_USAGE, stop_members, usage_members
from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.json import encode, loads
from ampproxy.dialects.proof import Place
from ampproxy.dialects.streams import Renderer
from ampproxy.model.base import ANTHROPIC
from ampproxy.model.events import (
    AnswerPart,
    Completed,
    Delta,
    Event,
    Failed,
    Finished,
    PartClosed,
    PartExtras,
    PartSigned,
    PartStarted,
    Ping,
    SectionBreak,
    Started,
    WireError,
    in_runs,
)
from ampproxy.model.fold import SECTION_GAP
from ampproxy.model.loss import part_kind
from ampproxy.model.parts import Audio, Reasoning, Refusal, Signature, Text, ToolCall
from ampproxy.model.sequence import Sequencer

_STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_BLOCK_STOP: Final = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
#: A delta up to its text, by the type of the delta and the member that has the text.
_DELTA: Final = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%s","%s":'
)
_DELTA_END: Final = b"}}\n\n"
_FIELDS: Final[dict[type, tuple[bytes, bytes]]] = {
    Text: (b"text_delta", b"text"),
    Refusal: (b"text_delta", b"text"),
    Reasoning: (b"thinking_delta", b"thinking"),
    ToolCall: (b"input_json_delta", b"partial_json"),
}
_PLACES: Final[dict[type, Place]] = {ToolCall: "call", Text: "text"}


class AnthropicStreamRenderer(Renderer):
    """Events in, bytes of a Messages stream out (:class:`~ampproxy.dialects.base.StreamRenderer`).

    Blocks never overlap and are numbered 0, 1, 2, ...: a block more than there are parts where a
    proof needs a carrier, so the numbers are counted here.
    """

    KEEPALIVE = b'event: ping\ndata: {"type":"ping"}\n\n'

    def __init__(self, context: AnswerContext) -> None:
        super().__init__(context)
        self._sequencer = Sequencer()
        self._unasked = Unasked() if asks_for_none(context) else None
        self._start: Started | None = Started()
        self._finish: Finished | None = None
        self._called = False
        #: The open block: its part's number, the part, the beginning of its deltas.
        self._part = -1
        self._kind: AnswerPart | None = None
        self._prefix = b""
        self._slow_prefix = b""
        self._block = 0
        self._signature: Signature | None = None
        #: Part number -> what it was, for proofs that come after it was closed.
        self._closed: dict[int, type] = {}
        self._waiting: list[Any] = []
        #: The start of a text block that has no text yet: clients send an empty one back, and the
        #: vendor refuses it then, so it is sent with its first text.
        self._held: bytes = b""

    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        if self._unasked is not None:
            events = self._asked_for(self._unasked, events)
        if len(events) == 1 and self._goes_on(events[0]):
            # Of a stream that is read as it comes, a read brings one.
            return self._prefix + encode(events[0].text) + _DELTA_END  # type: ignore[union-attr]
        in_runs(events, self._deltas, self._one, out)
        if self._start is not None and events and not self._over:
            self._begin(out)
        return b"".join(out)

    def _goes_on(self, event: Event) -> bool:
        """Whether it only adds to the open block."""
        return (
            type(event) is Delta
            and bool(self._prefix)
            and event.index == self._part
            and self._part in self._sequencer.plain
        )

    def _deltas(self, events: Sequence[Event], out: list[bytes]) -> None:
        """Deltas in a row: mostly all are of the open block, which goes on."""
        if events and not self._prefix:
            # It may be a block's first, with which it begins.
            self._one(events[0], out)
            events = events[1:]
        prefix, part = self._prefix, self._part
        if prefix and part in self._sequencer.plain:
            words = [encode(event.text) for event in events if event.index == part]  # type: ignore[union-attr]
            if len(words) == len(events):
                if words:
                    out += (prefix, (_DELTA_END + prefix).join(words), _DELTA_END)
                return
        for event in events:
            self._one(event, out)

    def _one(self, event: Event, out: list[bytes]) -> None:
        for ordered in self._sequencer.feed((event,)):
            if not self._over and (step := self._steps.get(type(ordered))):
                step(self, ordered, out)

    def _asked_for(self, unasked: Unasked, events: Sequence[Event]) -> Sequence[Event]:
        """The events without thinking, but for those of its own vendor, which knows what was asked."""
        if any(type(event) is Started and event.dialect == ANTHROPIC for event in events):
            self._unasked = None
            return events
        before = unasked.dropped
        events = unasked.feed(events)
        if unasked.dropped and not before:
            self.losses("unasked", "answer", LOST)
        return events

    def error(self, error: WireError) -> bytes:
        """The ``error`` event; nothing is sent after it."""
        self._over = True
        return error_event(error)

    def _on_start(self, event: Started, out: list[bytes]) -> None:
        if self._start is not None:
            self._start = event
            self._own = event.dialect == ANTHROPIC

    def _begin(self, out: list[bytes]) -> None:
        """``message_start``: after the first usage, if that came at once, since it shows input tokens."""
        if self._start is None:
            return
        start, self._start = self._start, None
        ending = {"stop_reason": None, "stop_sequence": None}
        message = message_body(start, self._context, [], ending, self._usage, own=self._own)
        out.insert(0, _event("message_start", message=message))

    def _on_finish(self, event: Finished, out: list[bytes]) -> None:
        self._finish = event

    def _on_complete(self, event: Completed, out: list[bytes]) -> None:
        self._begin(out)
        self._drop_waiting(out)
        for choice in sorted(self._sequencer.ignored):
            why = "Messages has one candidate; the others were dropped."
            self.losses("candidates", f"candidates[{choice}]", why)
        delta = stop_members(self._finish, called=self._called, own=self._own)
        usage = usage_members(self._usage or NO_USAGE, own=self._own)
        out += (_event("message_delta", delta=delta, usage=usage), _STOP)
        self._over = True

    def _on_failure(self, event: Failed, out: list[bytes]) -> None:
        self._begin(out)
        self._part, self._prefix = -1, b""
        super()._on_failure(event, out)

    def _on_ping(self, event: Ping, out: list[bytes]) -> None:
        self._begin(out)
        super()._on_ping(event, out)

    def _on_part(self, event: PartStarted, out: list[bytes]) -> None:
        self._begin(out)
        self._carry(out)
        part = event.part
        self._part, self._kind, self._signature = event.index, part, getattr(part, "signature", None)
        self._prefix = b""
        if isinstance(part, ToolCall):
            self._open_call(part, out)
        elif isinstance(part, Text):
            extras = part.extras if self._own else {}
            self._open(part, {"type": "text", "text": "", **extras}, part.text, out)
        elif isinstance(part, Refusal):
            self._open(part, {"type": "text", "text": ""}, part.text, out)
        elif isinstance(part, Reasoning) and not (part.redacted and part.signature and not part.text):
            self._open(part, {"type": "thinking", "thinking": "", "signature": ""}, part.text, out)
        else:
            self._whole(event, out)

    def _open_call(self, part: ToolCall, out: list[bytes]) -> None:
        self._called = True
        for block in carrier(part.signature, "call"):
            self._render_whole(block, out)
        self._signature = None
        self._open(part, {**call_block(part, own=self._own), "input": {}}, "", out)
        if part.freeform:
            out.append(self._text('{"input":"'))
        if part.arguments:
            self._on_delta(Delta(self._part, part.arguments), out)

    def _open(self, part: AnswerPart, block: Any, text: str, out: list[bytes]) -> None:
        start = _event("content_block_start", index=self._block, content_block=block)
        self._slow_prefix = _DELTA % (self._block, *_FIELDS[type(part)])
        if isinstance(part, Text | Refusal) and not self._own:
            self._held = start
        else:
            out.append(start)
            # A freeform call's text goes into a JSON string: not the fast way.
            self._prefix = b"" if isinstance(part, ToolCall) and part.freeform else self._slow_prefix
        if text:
            self._on_delta(Delta(self._part, text), out)

    def _text(self, text: str) -> bytes:
        return self._slow_prefix + encode(text) + _DELTA_END

    def _whole(self, event: PartStarted, out: list[bytes]) -> None:
        """A part without deltas: redacted thinking, or a block that only this dialect knows."""
        part = event.part
        blocks = [reasoning_block(part)] if isinstance(part, Reasoning) else part_blocks(part, own=self._own)
        if isinstance(part, Reasoning) and not self._own:
            self._waiting += blocks
        else:
            for block in blocks:
                self._render_whole(block, out)
        if not blocks or isinstance(part, Audio):
            why = "Messages has no content block for this part of an answer."
            self.losses(part_kind(part), f"parts[{event.index}]", why)
        self._signature = None
        self._kind = None

    def _render_whole(self, block: Any, out: list[bytes]) -> None:
        out.append(_event("content_block_start", index=self._block, content_block=block))
        out.append(_BLOCK_STOP % self._block)
        self._block += 1

    def _on_delta(self, event: Delta, out: list[bytes]) -> None:
        """A delta that did not go the fast way: a freeform call's, a block's first, or one of no part."""
        if isinstance(self._kind, ToolCall) and self._kind.freeform:
            out.append(self._text(encode(event.text)[1:-1].decode()))
            return
        if self._held and event.text:
            out.append(self._held)
            self._held, self._prefix = b"", self._slow_prefix
        if self._prefix:
            out.append(self._text(event.text))

    def _on_section(self, event: SectionBreak, out: list[bytes]) -> None:
        if self._prefix:
            out.append(self._text(SECTION_GAP))

    def _on_proof(self, event: PartSigned, out: list[bytes]) -> None:
        if event.index == self._part and self._kind is not None:
            self._signature = event.signature
        else:
            self._wait(event.signature, self._closed.get(event.index, Reasoning))

    def _wait(self, signature: Signature, kind: type) -> None:
        """A proof whose block cannot take it (any more): carried in one of its own, when none is open."""
        self._waiting += carrier(signature, _PLACES.get(kind, "reasoning"))

    def _drop_waiting(self, out: list[bytes]) -> None:
        """Nothing follows: clients show the last block of an answer, which has to be its text. Behind calls
        nothing is shown, and what proves their thinking is wanted in the next turn.
        """
        if self._called or not self._block:
            self._carry(out)
        if self._waiting:
            self.losses("foreign_proof", "answer", LAST_PROOF)
        self._waiting = []

    def _carry(self, out: list[bytes]) -> None:
        waiting, self._waiting = self._waiting, []
        for block in waiting:
            self._render_whole(block, out)

    def _on_extras(self, event: PartExtras, out: list[bytes]) -> None:
        citations = loads(event.extras.get("citations", b"null"))
        if self._own and event.index == self._part and isinstance(self._kind, Text):
            for citation in citations if isinstance(citations, list) else ():
                delta = {"type": "citations_delta", "citation": citation}
                out.append(_event("content_block_delta", index=self._block, delta=delta))
            return
        why = "Annotations of another dialect, or annotations that came after their text had ended."
        self.losses("extras", f"parts[{event.index}].extras", why)

    def _on_close(self, event: PartClosed, out: list[bytes]) -> None:
        part, signature = self._kind, self._signature
        self._part, self._kind, self._prefix, self._signature = -1, None, b"", None
        if part is None:
            return
        self._closed[event.index] = type(part)
        if self._held:
            self._held = b""
            self._waiting += carrier(signature, "text")
            return
        if isinstance(part, ToolCall) and part.freeform:
            out.append(self._text('"}'))
        if signature is not None and isinstance(part, Reasoning):
            signature = reasoning_block(Reasoning("-", signature))["signature"]
            delta = {"type": "signature_delta", "signature": signature}
            out.append(_event("content_block_delta", index=self._block, delta=delta))
        elif signature is not None:
            self._wait(signature, type(part))
        out.append(_BLOCK_STOP % self._block)
        self._block += 1


def _event(name: str, **members: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), encode({"type": name, **members}))
