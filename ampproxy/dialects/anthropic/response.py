"""A whole answer of Messages, both ways."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace

from ampproxy.adapt.freeform import wrap
from ampproxy.dialects.anthropic.blocks import parse_block
from ampproxy.dialects.anthropic.errors import read_error
from ampproxy.dialects.anthropic.usage import (
    NO_USAGE,
    ends,
    read_finish,
    read_usage,
    stop_members,
    usage_members,
)
from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.json import (
    ITEMS,
    MEMBERS,
    NULL,
    Members,
    bad_answer,
    encode,
    is_string,
    mended,
    object_or_empty,
    read_answer,
    read_or,
    text_of,
    without_nulls,
)
from ampproxy.dialects.places import Carrier
from ampproxy.dialects.proof import Place, wrap_signature
from ampproxy.errors import ClientFault, UpstreamFault
from ampproxy.model.base import ANTHROPIC, Json
from ampproxy.model.events import (
    AnswerPart,
    Candidate,
    ChatResponse,
    Delta,
    Event,
    PartClosed,
    PartSigned,
    PartStarted,
    SectionBreak,
    Started,
    Usage,
)
from ampproxy.model.parts import Audio, Opaque, Reasoning, Refusal, Signature, Text, ToolCall

#: Members of an answer that every answer has or that are read elsewhere.
_PLAIN: Final = ("id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage")


#: What an answer's ``type`` may be, or its ``role`` where it has none.
_KINDS: Final = frozenset(("message", "assistant"))
#: Why the last proof of an answer is left out.
LAST_PROOF: Final = "Nothing follows the text with this signature, and clients show an answer's last block."


def parse_response(body: bytes) -> ChatResponse:
    """Read a vendor's whole answer; see :class:`~ampproxy.dialects.base.Dialect`."""
    message = without_nulls(read_answer(MEMBERS, body))
    if "error" in message and (error := read_error(body)) is not None:
        raise UpstreamFault(error, retryable=True)
    # Servers leave out the type, of which there is but one, and the role.
    kind = text_of(message.get("type", NULL)) or text_of(message.get("role", NULL))
    kind = kind or ("message" if "stop_reason" in message else None)
    if kind not in _KINDS or "content" not in message:
        raise bad_answer("The vendor's answer is not a message: it has no 'type: message' with a 'content'.")
    words = text_of(message.get("content", NULL))
    content = bytes(message["content"])
    alone = content.startswith(b"{")
    blocks = read_answer(ITEMS, b"[%b]" % content if alone else content) if words is None else ()
    parts = (Text(words),) if words else tuple(_part(raw, n, body) for n, raw in enumerate(blocks))
    usage = read_or(MEMBERS, message["usage"], None) if "usage" in message else None
    reason, sequence = text_of(message.get("stop_reason", NULL)), text_of(message.get("stop_sequence", NULL))
    called = any(isinstance(part, ToolCall) for part in parts)
    finish = read_finish(reason or ("tool_use" if called else "end_turn"), sequence, ends(message))
    started = start_of(message)
    return ChatResponse(
        id=started.id,
        model=started.model,
        candidates=(Candidate(parts, finish),),
        usage=None if usage is None else read_usage(usage),
        dialect=ANTHROPIC,
        extras=started.extras,
    )


def start_of(message: Members) -> Started:
    """What an answer reports of itself, and the members that only this dialect knows."""
    extras = {name: raw for name, raw in message.items() if name not in _PLAIN}
    ends(extras)
    id_, model = text_of(message.get("id", NULL)), text_of(message.get("model", NULL))
    return Started(id_, model, None, ANTHROPIC, extras)


def _part(raw: Json, index: int, answer: bytes) -> AnswerPart:
    """A block of a whole answer, or a text in its place."""
    text = text_of(raw) if is_string(raw) else None
    return answer_part(raw, index, answer) if text is None else Text(text)


def answer_part(raw: Json, index: int, answer: bytes) -> AnswerPart:
    """One content block of an answer.

    :param index: its number there.
    :param answer: what identifies the answer: of that the id of a call is made that has none.
    :raises ampproxy.errors.UpstreamFault: it is not a valid block.
    """
    try:
        part = parse_block(raw, "content", answer=True)
    except ClientFault as fault:
        place, _, why = fault.error.message.partition(": ")
        if fixed := mended(bytes(raw), place.removeprefix("content."), why):
            return answer_part(Json(fixed), index, answer)
        raise bad_answer(f"The vendor's answer could not be read: {fault.error.message}") from None
    if isinstance(part, ToolCall) and not part.id:
        seed = hashlib.sha256(b"%d|%b" % (index, answer))
        return replace(part, id=f"toolu_{seed.hexdigest()[:24]}")
    if isinstance(part, Text | Reasoning | ToolCall | Opaque) and not isinstance(part, Carrier):
        return part
    return Opaque(ANTHROPIC, "unknown", raw)


def render_response(response: ChatResponse, context: AnswerContext) -> bytes:
    """Write a whole answer for a client: its first candidate, the only one that this dialect has."""
    candidate = response.candidates[0] if response.candidates else Candidate()
    own = response.dialect == ANTHROPIC
    parts = candidate.parts if own or not asks_for_none(context) else without(candidate.parts)
    blocks = [block for part in parts for block in part_blocks(part, own=own)]
    blocks = blocks if own else without_last_proofs(blocks)
    called = any(isinstance(part, ToolCall) for part in candidate.parts)
    ending = stop_members(candidate.finish, called=called, own=own)
    return encode(message_body(response, context, blocks, ending, response.usage, own=own))


def message_body(
    of: ChatResponse | Started,
    context: AnswerContext,
    blocks: list[dict[str, Any] | Json],
    ending: dict[str, Any],
    usage: Usage | None,
    *,
    own: bool,
) -> dict[str, Any]:
    """An answer, whole or as it begins. Its id is the vendor's own, else a new one."""
    return {
        "id": of.id if own and of.id else context.new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": context.model,
        "content": blocks,
        **ending,
        "usage": usage_members(usage or NO_USAGE, own=own),
        **(of.extras if own else {}),
    }


def without_last_proofs(blocks: list[dict[str, Any] | Json]) -> list[dict[str, Any] | Json]:
    """The blocks without those behind the last text or call that have nothing to show."""
    last = len(blocks)
    while last and isinstance(block := blocks[last - 1], dict) and block["type"] == "redacted_thinking":
        last -= 1
    return blocks[:last] if last else blocks


def part_blocks(part: AnswerPart, *, own: bool) -> list[dict[str, Any] | Json]:
    """The blocks of a part; none for what this dialect cannot express."""
    if isinstance(part, Reasoning):
        return [reasoning_block(part)]
    if isinstance(part, ToolCall):
        return [*carrier(part.signature, "call"), call_block(part, own=own)]
    if isinstance(part, Text):
        extras = part.extras if own else {}
        blocks = [{"type": "text", "text": part.text, **extras}] if part.text or extras else []
        return [*blocks, *carrier(part.signature, "text")]
    if isinstance(part, Refusal):
        return [{"type": "text", "text": part.text}] if part.text else []
    if isinstance(part, Opaque):
        return [part.raw] if part.dialect == ANTHROPIC else []
    if isinstance(part, Audio):
        return [{"type": "text", "text": part.transcript}] if part.transcript else []
    return []


def reasoning_block(part: Reasoning) -> dict[str, Any]:
    """Thinking; without a text to show it is redacted, unless this vendor itself left the text out.

    ``signature`` is always there: clients fail without it.
    """
    signature = part.signature
    if signature and not part.text and (part.redacted or signature.vendor != ANTHROPIC):
        return {"type": "redacted_thinking", "data": wrap_signature(ANTHROPIC, signature)}
    text = wrap_signature(ANTHROPIC, signature) if signature else ""
    return {"type": "thinking", "thinking": part.text, "signature": text}


def carrier(signature: Signature | None, place: Place) -> list[dict[str, Any] | Json]:
    """A block for a proof that sits on a call or a text: right before the call, right after the text.

    The client gives it back and :func:`~ampproxy.dialects.places.settle` puts it in its place.
    """
    if signature is None:
        return []
    return [{"type": "redacted_thinking", "data": wrap_signature(ANTHROPIC, signature, place)}]


def call_block(part: ToolCall, *, own: bool) -> dict[str, Any]:
    """A tool call, whole."""
    arguments = wrap(part.arguments) if part.freeform else part.arguments
    return {
        "type": "tool_use",
        "id": part.id,
        "name": part.name,
        "input": object_or_empty(arguments),
        **(part.extras if own else {}),
    }


# Some clients want no thinking, or would stumble over it. Anthropic's own models begin the answer to a
# demanded call with that call, and clients take the first block for it. Other vendors' models think as they
# please: there, and where a client turned thinking off, what they thought and the proofs of it are left
# out. Elsewhere they stay, because the vendor wants its proofs back.

_AnyPart = TypeVar("_AnyPart")

#: Why thinking, and proofs of it, are left out.
LOST: Final = "The client did not ask for thinking, so neither it nor its signature was sent."


def asks_for_none(context: AnswerContext) -> bool:
    """Whether the answer is to have no thinking."""
    request = context.asked
    if request.thinking is None:
        return request.choice is not None and request.choice.mode in ("required", "named")
    return request.thinking.mode == "off"


def without(parts: Iterable[_AnyPart]) -> list[_AnyPart]:
    """The parts of an answer but for thinking, and without proofs."""
    return [bare(part) for part in parts if not isinstance(part, Reasoning)]


def bare(part: _AnyPart) -> _AnyPart:
    """The part without a proof."""
    if isinstance(part, Audio | Opaque) or getattr(part, "signature", None) is None:
        return part
    stripped: _AnyPart = replace(part, signature=None)  # type: ignore[type-var]
    return stripped


class Unasked(msgspec.Struct):
    """Takes thinking and proofs out of the events of one answer; ``dropped``: there was some."""

    dropped: bool = False
    _thoughts: set[int] = set()

    def feed(self, events: Sequence[Event]) -> list[Event]:
        """The events that are left."""
        kept: list[Event] = []
        for event in events:
            if type(event) is Delta and not self._thoughts:
                kept.append(event)
            elif (left := self._left(event)) is not None:
                kept.append(left)
        return kept

    def _left(self, event: Event) -> Event | None:
        if isinstance(event, PartStarted):
            if isinstance(event.part, Reasoning):
                self._thoughts.add(event.index)
                self.dropped = True
                return None
            part = bare(event.part)
            self.dropped = self.dropped or part is not event.part
            return event if part is event.part else replace(event, part=part)
        if isinstance(event, PartSigned):
            self.dropped = True
            return None
        if isinstance(event, Delta | SectionBreak | PartClosed) and event.index in self._thoughts:
            return None
        return event
