"""The items of a streamed answer while they grow: one class a kind of part.

Each gives the data of its events without ``sequence_number``, which the renderer adds; what is kept of
an item is its pieces while it is open and its JSON text afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ampproxy.dialects.json import encode
from ampproxy.dialects.openai_answers import logprob_objects
from ampproxy.dialects.openai_responses.client_tools import call_members
from ampproxy.model.base import Json
from ampproxy.model.events import TokenLogprob
from ampproxy.model.request import Known

#: An event's name and data: a JSON object without its closing brace.
ItemEvent = tuple[str, bytes]


def item_event(name: str, /, **members: Any) -> ItemEvent:
    """An event. ``Raw`` members are written as they are."""
    return name, encode({"type": f"response.{name}", **members})[:-1]


class Item:
    """An item of ``output``.

    :ivar head: what a delta's data begins with, up to the text; ``None`` while deltas need more sent
        before them. With ``tail`` it is what the renderer needs for the common delta.
    """

    kind: str = ""
    tail = b',"sequence_number":'

    def __init__(self, id: str, output_index: int) -> None:
        self.id = id
        self.output_index = output_index
        self.head: bytes | None = None
        self.pieces: list[str] = []
        self.where: dict[str, Any] = {"item_id": id, "output_index": output_index}

    def open(self) -> list[ItemEvent]:
        """``output_item.added`` and what else comes before the first delta."""
        item = Json(self.item(b"", "in_progress"))
        return [item_event("output_item.added", output_index=self.output_index, item=item)]

    def before_delta(self) -> list[ItemEvent]:
        """What must be sent before the next delta, where ``head`` is ``None``."""
        return []

    def close(self) -> list[ItemEvent]:
        """What comes between the last delta and ``output_item.done``."""
        return []

    def item(self, content: bytes, status: str) -> bytes:
        """The item's JSON text."""
        raise NotImplementedError

    def content(self) -> bytes:
        """What :meth:`item` takes, of the whole item."""
        return b""

    def done(self, status: str) -> tuple[list[ItemEvent], bytes]:
        """The last events, and the item's JSON text."""
        events = self.close()
        text = self.item(self.content(), status)
        events.append(item_event("output_item.done", output_index=self.output_index, item=Json(text)))
        return events, text

    def _delta_head(self, name: str, /, **members: Any) -> bytes:
        data = encode({"type": f"response.{name}", **self.where, **members})[:-1]
        return b"event: response." + name.encode() + b"\ndata: " + data + b',"delta":'


class Message(Item):
    """Text, with its annotations and log probabilities."""

    tail = b',"logprobs":[],"sequence_number":'

    def __init__(self, id: str, output_index: int, phase: Json | None = None) -> None:
        super().__init__(id, output_index)
        self.annotations: list[Json] = []
        self.logprobs: list[dict[str, Any]] = []
        self._phase = b',"phase":' + bytes(phase) if phase is not None else b""

    def open(self) -> list[ItemEvent]:
        self.head = self._delta_head("output_text.delta", content_index=0)
        part = Json(self._part(b'""'))
        return [*super().open(), item_event("content_part.added", **self.where, content_index=0, part=part)]

    def with_logprobs(self, text: str, logprobs: Sequence[TokenLogprob]) -> ItemEvent:
        """A delta with log probabilities."""
        objects = logprob_objects(logprobs)
        self.logprobs += objects
        self.pieces.append(text)
        return item_event("output_text.delta", **self.where, content_index=0, delta=text, logprobs=objects)

    def annotate(self, annotations: Sequence[Json]) -> list[ItemEvent]:
        """Add annotations."""
        first = len(self.annotations)
        self.annotations += annotations
        return [
            item_event(
                "output_text.annotation.added",
                **self.where,
                content_index=0,
                annotation_index=number,
                annotation=annotation,
            )
            for number, annotation in enumerate(annotations, first)
        ]

    def close(self) -> list[ItemEvent]:
        text = encode("".join(self.pieces))
        where = {**self.where, "content_index": 0}
        part = Json(self._part(text))
        return [self._text_done(Json(text), where), item_event("content_part.done", **where, part=part)]

    def content(self) -> bytes:
        return self._part(encode("".join(self.pieces)))

    def _text_done(self, text: Json, where: dict[str, Any]) -> ItemEvent:
        return item_event("output_text.done", **where, text=text, logprobs=self.logprobs)

    def _part(self, text: bytes) -> bytes:
        notes = encode(self.annotations), encode(self.logprobs)
        return b'{"type":"output_text","text":%b,"annotations":%b,"logprobs":%b}' % (text, *notes)

    def item(self, content: bytes, status: str) -> bytes:
        head = encode({"id": self.id, "type": "message", "status": status, "role": "assistant"})
        return b"".join((head[:-1], self._phase, b',"content":[', content, b"]}"))


class RefusalMessage(Message):
    """Words of refusal."""

    tail = Item.tail

    def open(self) -> list[ItemEvent]:
        opened = super().open()
        self.head = self._delta_head("refusal.delta", content_index=0)
        return opened

    def _text_done(self, text: Json, where: dict[str, Any]) -> ItemEvent:
        return item_event("refusal.done", **where, refusal=text)

    def _part(self, text: bytes) -> bytes:
        return b'{"type":"refusal","refusal":' + text + b"}"


class Call(Item):
    """A call of a function."""

    kind = "function_call"
    member = "arguments"
    event = "function_call_arguments"

    def __init__(
        self, id: str, output_index: int, call_id: str, name: str, more: Mapping[str, Json] | None = None
    ) -> None:
        super().__init__(id, output_index)
        self._members: dict[str, Any] = {"call_id": call_id, "name": name, **(more or {})}

    def open(self) -> list[ItemEvent]:
        self.head = self._delta_head(f"{self.event}.delta")
        return super().open()

    def close(self) -> list[ItemEvent]:
        whole = {self.member: Json(self.content())}
        if self.kind == "function_call":
            whole["name"] = Json(encode(self._members["name"]))
        return [item_event(f"{self.event}.done", **self.where, **whole)]

    def content(self) -> bytes:
        return encode("".join(self.pieces))

    def item(self, content: bytes, status: str) -> bytes:
        head = encode({"id": self.id, "type": self.kind, "status": status, **self._members})
        return b"".join((head[:-1], b',"', self.member.encode(), b'":', content or b'""', b"}"))


class CustomCall(Call):
    """A call of a custom tool: its input is text."""

    kind = "custom_tool_call"
    member = "input"
    event = "custom_tool_call_input"


class ClientCall(Item):
    """A call of a tool that is known by its type: sent when it is whole, as only then its members are."""

    def __init__(self, id: str, output_index: int, call_id: str, known: Known) -> None:
        super().__init__(id, output_index)
        self.kind = known.kind
        self._known = known
        self._call_id = call_id

    def open(self) -> list[ItemEvent]:
        """Nothing yet."""
        return []

    def close(self) -> list[ItemEvent]:
        """See :meth:`Item.close`: what others send at their beginning."""
        item = Json(self.item(self.content(), "in_progress"))
        return [item_event("output_item.added", output_index=self.output_index, item=item)]

    def content(self) -> bytes:
        return encode(call_members(self._known, "".join(self.pieces)))[1:]

    def item(self, content: bytes, status: str) -> bytes:
        head = encode({"id": self.id, "type": self.kind, "status": status, "call_id": self._call_id})
        return head[:-1] + b"," + content


class Thought(Item):
    """Reasoning: the paragraphs of its summary, and its proof (``encrypted_content``)."""

    def __init__(self, id: str, output_index: int) -> None:
        super().__init__(id, output_index)
        self.proof: str | None = None
        self._sections: list[bytes] = []

    def before_delta(self) -> list[ItemEvent]:
        """A paragraph begins."""
        number = len(self._sections)
        self.head = self._delta_head("reasoning_summary_text.delta", summary_index=number)
        part = {"type": "summary_text", "text": ""}
        return [item_event("reasoning_summary_part.added", **self.where, summary_index=number, part=part)]

    def end_section(self) -> list[ItemEvent]:
        """The paragraph that is open is whole; nothing if none is."""
        if self.head is None:
            return []
        text = Json(encode("".join(self.pieces)))
        part = b'{"type":"summary_text","text":' + bytes(text) + b"}"
        where = {**self.where, "summary_index": len(self._sections)}
        self._sections.append(part)
        self.head, self.pieces = None, []
        return [
            item_event("reasoning_summary_text.done", **where, text=text),
            item_event("reasoning_summary_part.done", **where, part=Json(part)),
        ]

    def close(self) -> list[ItemEvent]:
        return self.end_section()

    def content(self) -> bytes:
        return b",".join(self._sections)

    def item(self, content: bytes, status: str) -> bytes:
        head = encode({"id": self.id, "type": "reasoning", "status": status})
        proof = b',"encrypted_content":' + encode(self.proof) if self.proof is not None else b""
        return b"".join((head[:-1], b',"summary":[', content, b"]", proof, b"}"))


class Whole(Item):
    """An item that has no deltas: a picture, or one that this dialect alone knows."""

    def __init__(self, text: bytes, output_index: int) -> None:
        super().__init__("", output_index)
        self._text = text

    def item(self, content: bytes, status: str) -> bytes:
        return self._text
