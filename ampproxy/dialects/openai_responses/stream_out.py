"""Events out as the stream that a client of Responses reads.

The order is what the SDK's accumulator (``openai.lib.streaming.responses``) insists on: ``created``
first, an item before its deltas, each item done before the end, ids that never change, and the whole
``output`` once more in the terminal event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ampproxy.dialects import proof
from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.ends import BENT as _BENT
from ampproxy.dialects.json import encode, loads, to_raw
from ampproxy.dialects.openai import error_object
from ampproxy.dialects.openai_responses.answer_frame import INCOMPLETE, Frame, code_of
from ampproxy.dialects.openai_responses.client_tools import KINDS, PLAIN
from ampproxy.dialects.openai_responses.stream_items import (
    Call,
    ClientCall,
    CustomCall,
    Item,
    ItemEvent,
    Message,
    RefusalMessage,
    Thought,
    Whole,
    item_event,
)
from ampproxy.dialects.streams import LONGEST_ID, Renderer
from ampproxy.model.base import GEMINI, RESPONSES, Json
from ampproxy.model.events import (
    Completed,
    Delta,
    Event,
    Failed,
    Finished,
    PartClosed,
    PartExtras,
    PartSigned,
    PartStarted,
    SectionBreak,
    Started,
    WireError,
)
from ampproxy.model.loss import part_kind
from ampproxy.model.parts import Audio, Image, Inline, Opaque, Reasoning, Refusal, Signature, Text, ToolCall

_FORMATS = {"image/png": "png", "image/jpeg": "jpeg", "image/webp": "webp", "image/gif": "gif"}


class _Open(msgspec.Struct):
    """A part that is open: its item, once something of it was sent.

    ``signature`` is the proof that is known; on a call it is sent in a reasoning item before the call,
    so the call waits for its first delta.
    """

    part: Any
    signature: Signature | None
    item: Item | None = None


class ResponsesStreamRenderer(Renderer):
    """A :class:`~ampproxy.dialects.base.StreamRenderer`.

    Kept in memory: the pieces of open items and the JSON text of those that are done.

    :ivar final: the response object of the terminal event, once that was written.
    """

    def __init__(self, context: AnswerContext) -> None:
        super().__init__(context)
        self.final: bytes | None = None
        self._dialect: str | None = None
        self._frame: Frame | None = None
        self._sequence = 0
        self._open: dict[int, _Open] = {}
        self._items: dict[int, Item] = {}
        self._pending: int | None = None
        self._output: dict[int, bytes] = {}
        self._count = 0
        self._finished: Finished | None = None
        self._refused = False
        #: Ids of reasoning items, which no two items may share.
        self._proven: set[str] = set()
        self._proofs = context.asked.include_signatures
        #: Name of a function -> what the client calls it.
        self._known = {tool.name: tool.known for tool in context.asked.tools if tool.known is not None}

    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        items = self._items
        for event in events:
            if type(event) is Delta and (item := items.get(event.index)) is not None:
                head = item.head
                if head is not None and not event.logprobs:
                    text = event.text
                    item.pieces.append(text)
                    out.append(b"%b%b%b%d}\n\n" % (head, encode(text), item.tail, self._sequence))
                    self._sequence += 1
                    continue
            if not self._over and (step := self._steps.get(type(event))) is not None:
                step(self, event, out)
        return b"".join(out)

    def error(self, error: WireError) -> bytes:
        """See :class:`~ampproxy.dialects.base.StreamRenderer`: ``error``, then ``response.failed``."""
        out: list[bytes] = []
        if not self._over:
            self._on_failure(Failed(error), out)
        return b"".join(out)

    def _write(self, out: list[bytes], events: Iterable[ItemEvent]) -> None:
        for name, data in events:
            head = b"event: response." + name.encode() + b"\ndata: "
            out.append(b'%b%b,"sequence_number":%d}\n\n' % (head, data, self._sequence))
            self._sequence += 1

    def _on_start(self, event: Started, out: list[bytes]) -> Frame:
        if self._frame is not None:
            return self._frame
        new_id, created = self._context.new_id, event.created
        id = event.id if event.id and event.id.startswith("resp_") else new_id("resp_")
        self._dialect = event.dialect
        self._frame = Frame(self._context, id, self._context.created if created is None else created)
        snapshot = Json(self._frame.write("in_progress"))
        self._write(out, [item_event(name, response=snapshot) for name in ("created", "in_progress")])
        return self._frame

    def _on_finish(self, event: Finished, out: list[bytes]) -> None:
        if event.choice:
            self._other(event.choice)
            return
        if event.reason in _BENT:
            self.losses(event.reason, "finish", f"Responses cannot express {_BENT[event.reason]}.")
        self._finished = event

    def _on_complete(self, event: Completed, out: list[bytes]) -> None:
        frame = self._on_start(Started(), out)
        reason = self._finished.reason if self._finished else "stop"
        incomplete = None if reason == "refusal" and self._refused else INCOMPLETE.get(reason)
        status = "incomplete" if incomplete else "completed"
        for index in tuple(self._open):
            self._close_part(index, status, out)
        output = [self._output[index] for index in sorted(self._output)]
        beside = self._finished.extras if self._finished and self._dialect == RESPONSES else None
        self.final = frame.write(status, output, usage=self._usage, incomplete=incomplete, beside=beside)
        self._write(out, (item_event(status, response=Json(self.final)),))
        self._over = True

    def _on_failure(self, event: Failed, out: list[bytes]) -> None:
        frame = self._on_start(Started(), out)
        out.append(error_event(event.error, self._sequence))
        self._sequence += 1
        output = [self._output[index] for index in sorted(self._output)]
        failed = frame.write("failed", output, usage=self._usage, error=event.error)
        self._write(out, (item_event("failed", response=Json(failed)),))
        self._over = True
        self._items.clear()

    def _on_part(self, event: PartStarted, out: list[bytes]) -> None:
        self._on_start(Started(), out)
        self._settle(out)
        if event.choice:
            self._other(event.choice)
            return
        part = event.part
        self._open[event.index] = opened = _Open(part, getattr(part, "signature", None))
        if isinstance(part, ToolCall | Reasoning):
            self._pending = event.index
        elif isinstance(part, Text | Refusal):
            self._render_item(event.index, self._message(part), out)
            if isinstance(part, Text):
                self._on_extras(PartExtras(event.index, part.extras), out)
            if part.text:
                self._on_delta(Delta(event.index, part.text), out)
        elif (whole := self._whole(part)) is not None:
            opened.item = Whole(whole, self._next_index())
            self._write(out, opened.item.open())
        else:
            del self._open[event.index]

    def _other(self, choice: int) -> None:
        self.losses("candidates", f"candidates[{choice}]", "Responses returns one answer.")

    def _message(self, part: Text | Refusal) -> Item:
        id = self._context.new_id("msg_")
        if isinstance(part, Refusal):
            self._refused = True
            return RefusalMessage(id, self._next_index())
        phase = part.extras.get("phase") if self._dialect == RESPONSES else None
        return Message(id, self._next_index(), phase)

    def _whole(self, part: Image | Audio | Opaque) -> bytes | None:
        """The item of a part without deltas."""
        if isinstance(part, Opaque) and part.dialect == RESPONSES:
            return bytes(part.raw)
        if isinstance(part, Image) and isinstance(part.source, Inline):
            made = {"id": self._context.new_id("ig_"), "type": "image_generation_call"}
            made |= {"status": "completed", "result": part.source.data}
            form = _FORMATS.get(part.source.media_type)
            return encode({**made, "output_format": form} if form else made)
        if isinstance(part, Audio) and part.transcript:
            item = Message(self._context.new_id("msg_"), 0)
            item.pieces.append(part.transcript)
            self.losses("audio", "answer", "Responses answers in text: the audio's transcript is sent.")
            return item.item(item.content(), "completed")
        kind = part_kind(part)
        self.losses(kind, "answer", f"Responses has no item for this part: {kind}.")
        return None

    def _next_index(self) -> int:
        self._count += 1
        return self._count - 1

    def _render_item(self, index: int, item: Item, out: list[bytes]) -> None:
        self._open[index].item = self._items[index] = item
        self._write(out, item.open())

    def _settle(self, out: list[bytes]) -> None:
        """Send the item that waited for its proof, and what it had from its beginning."""
        if self._pending is None:
            return
        index, self._pending = self._pending, None
        opened = self._open[index]
        part, signature = opened.part, opened.signature
        if isinstance(part, Reasoning):
            own = (signature.item if signature and signature.vendor == RESPONSES else None) or ""
            taken = len(own) > LONGEST_ID or own in self._proven
            id = own if own and not taken else self._context.new_id("rs_")
            self._proven.add(id)
            self._render_item(index, Thought(id, self._next_index()), out)
        else:
            if signature is not None:
                self._render_proof(signature, "call", out)
            self._render_item(index, self._call(part), out)
        texts = (part.arguments,) if isinstance(part, ToolCall) else part.sections or (part.text,)
        for number, text in enumerate(texts):
            if number:
                self._on_section(SectionBreak(index), out)
            self._on_delta(Delta(index, text), out)

    def _call(self, part: ToolCall) -> Item:
        """The item of a call, as the client knows its tool."""
        own = part.item if len(part.item or "") <= LONGEST_ID else None
        known = self._known.get(part.name)
        if known is not None and known.kind not in PLAIN:
            id = own or self._context.new_id(KINDS[known.name].prefix)
            return ClientCall(id, self._next_index(), part.id, known)
        id = own or self._context.new_id("ctc_" if part.freeform else "fc_")
        kind = CustomCall if part.freeform else Call
        more = part.extras if self._dialect == RESPONSES else {}
        name = part.name
        if known is not None:
            name, more = known.name, {**more, "namespace": to_raw(known.namespace)}
        return kind(id, self._next_index(), part.id, name, more)

    def _render_proof(self, signature: Signature, place: proof.Place, out: list[bytes]) -> None:
        """A reasoning item that has nothing but the proof of another part."""
        if not self._proofs:
            return
        thought = Thought(self._context.new_id("rs_"), self._next_index())
        thought.proof = proof.wrap_signature("", signature, place)
        self._write(out, thought.open())
        self._done(thought, "completed", out)

    def _on_delta(self, event: Delta, out: list[bytes]) -> None:
        opened = self._open.get(event.index)
        if opened is None or not event.text:
            return
        if event.index == self._pending:
            self._settle(out)
        item = opened.item
        if item is None:
            return
        if item.head is None:
            self._write(out, item.before_delta())
        if event.logprobs and isinstance(item, Message):
            self._write(out, (item.with_logprobs(event.text, event.logprobs),))
        elif item.head is not None:
            item.pieces.append(event.text)
            out.append(b"%b%b%b%d}\n\n" % (item.head, encode(event.text), item.tail, self._sequence))
            self._sequence += 1
        else:
            item.pieces.append(event.text)

    def _on_section(self, event: SectionBreak, out: list[bytes]) -> None:
        opened = self._open.get(event.index)
        if opened is not None and isinstance(opened.item, Thought):
            self._write(out, opened.item.end_section())

    def _on_proof(self, event: PartSigned, out: list[bytes]) -> None:
        opened = self._open.get(event.index)
        if opened is None:
            if event.signature.vendor != RESPONSES:
                self._render_proof(event.signature, "reasoning", out)
            return
        opened.signature = event.signature
        if isinstance(opened.part, ToolCall) and opened.item is not None:
            self._render_proof(event.signature, "call", out)

    def _on_extras(self, event: PartExtras, out: list[bytes]) -> None:
        opened = self._open.get(event.index)
        notes = annotations_of(event.extras, self._dialect)
        if opened is not None and isinstance(opened.item, Message) and notes:
            self._write(out, opened.item.annotate(notes))
        elif set(event.extras) - {"phase"}:
            why = f"Responses cannot express {', '.join(sorted(event.extras))[:80]}."
            self.losses("extras", "answer", why)

    def _on_close(self, event: PartClosed, out: list[bytes]) -> None:
        self._close_part(event.index, "completed", out)

    def _close_part(self, index: int, status: str, out: list[bytes]) -> None:
        opened = self._open.get(index)
        if opened is None:
            return
        part, signature = opened.part, opened.signature
        if index == self._pending:
            keeps = signature is not None and self._proofs
            if isinstance(part, Reasoning) and not keeps and not part.text:
                self._pending = None  # thinking with nothing to show and nothing to keep
            else:
                self._settle(out)
        item = opened.item
        if isinstance(item, Call) and not any(item.pieces) and not part.freeform:
            self._on_delta(Delta(index, "{}"), out)
        if isinstance(item, Thought) and signature is not None and self._proofs:
            own = signature.vendor == RESPONSES and signature.item == item.id
            place = proof.reasoning_place(part) if isinstance(part, Reasoning) else "reasoning"
            item.proof = signature.value if own else proof.wrap_signature("", signature, place)
        if item is not None:
            self._done(item, status, out)
        del self._open[index]
        self._items.pop(index, None)
        if signature is not None and isinstance(part, Text | Image):
            self._render_proof(signature, "text" if isinstance(part, Text) else "image", out)

    def _done(self, item: Item, status: str, out: list[bytes]) -> None:
        events, text = item.done(status)
        self._output[item.output_index] = text
        self._write(out, events)


def annotations_of(extras: dict[str, Json], dialect: str | None) -> list[Json]:
    """The annotations among a text's extras, in this dialect's form: chat's have one level more."""
    found = extras.get("annotations")
    entries = loads(found) if found is not None and dialect != GEMINI else None
    notes: list[Json] = []
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            inner = entry.get(str(entry.get("type")))
            notes.append(to_raw({"type": entry["type"], **inner} if isinstance(inner, dict) else entry))
    return notes


def error_event(error: WireError, sequence: int = 0) -> bytes:
    """``event: error`` (``ResponseErrorEvent``: its members stand beside ``type``, not under ``error``)."""
    words = error_object(error)
    data = {
        "type": "error",
        "code": code_of(error) or words["type"],
        "message": words["message"],
        "param": words["param"],
        "sequence_number": sequence,
    }
    return b"event: error\ndata: " + encode(data) + b"\n\n"
