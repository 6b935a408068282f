"""A conversation that is replaced by a summary, which the model writes: what Codex asks for by a
``compaction_trigger``, and older clients by ``POST /responses/compact``.

OpenAI's own summary is encrypted. This one is wrapped in the gateway's mark: the client gives it back as it
is, and it is text again for whoever answers next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.json import NULL, bad_answer, encode, first, items, loads, to_raw
from ampproxy.dialects.json import members as required_members
from ampproxy.dialects.openai import responses_usage_body
from ampproxy.dialects.openai_responses.stream_out import ResponsesStreamRenderer
from ampproxy.dialects.proof import wrap_summary
from ampproxy.model.base import RESPONSES, Json
from ampproxy.model.events import (
    ChatResponse,
    Completed,
    Delta,
    Event,
    Finished,
    PartClosed,
    PartExtras,
    PartSigned,
    PartStarted,
    SectionBreak,
    Usage,
)
from ampproxy.model.parts import Opaque, Text
from ampproxy.wire.json import members

#: Events of parts, none of which the client is given.
_OF_PARTS: Final = (PartClosed, PartExtras, PartSigned, SectionBreak)
_TRIGGER: Final = {"type": "compaction_trigger"}


def as_question(body: bytes) -> bytes:
    """See :class:`~ampproxy.dialects.base.Compacting`."""
    found = required_members(body)
    text = found.get("input", NULL)
    if first(text) == b'"':
        found["input"] = to_raw([{"type": "message", "role": "user", "content": text}, _TRIGGER])
    else:
        found["input"] = to_raw([*(items(text, "input") if text != NULL else ()), _TRIGGER])
    return encode({**found, "stream": False})


class SummaryRenderer(ResponsesStreamRenderer):
    """Renders an answer as the one item that stands for the conversation; its text is the summary."""

    def __init__(self, context: AnswerContext) -> None:
        super().__init__(context)
        self._texts: set[int] = set()
        self._pieces: list[str] = []

    def feed(self, events: Sequence[Event]) -> bytes:
        """See :class:`~ampproxy.dialects.base.StreamRenderer`.

        :raises ampproxy.errors.UpstreamFault: the answer has no summary.
        """
        kept: list[Event] = []
        for event in events:
            self._take(event, kept)
        return super().feed(kept)

    def _take(self, event: Event, kept: list[Event]) -> None:
        if isinstance(event, PartStarted):
            if isinstance(event.part, Text) and not event.choice:
                self._texts.add(event.index)
                self._pieces.append(event.part.text)
        elif isinstance(event, Delta):
            if event.index in self._texts:
                self._pieces.append(event.text)
        elif isinstance(event, Completed):
            item = compaction_item("".join(self._pieces), self._context)
            kept += [PartStarted(0, Opaque(RESPONSES, "compaction", item)), PartClosed(0), event]
        elif isinstance(event, Finished):
            # A client takes an incomplete answer for none, and a summary that was cut off is one still.
            kept.append(Finished("stop"))
        elif not isinstance(event, _OF_PARTS):
            kept.append(event)


def compaction_item(summary: str, context: AnswerContext) -> Json:
    """The item that stands for a conversation.

    :raises ampproxy.errors.UpstreamFault: there is no summary.
    """
    if not summary.strip():
        raise bad_answer("The model wrote no summary of the conversation.")
    head = {"id": context.new_id("cmp_"), "type": "compaction"}
    return to_raw({**head, "encrypted_content": wrap_summary(summary)})


def compacted(response: ChatResponse, context: AnswerContext, asked: bytes) -> bytes:
    """The answer of ``POST /responses/compact``: the user's messages as they were, then the summary.

    Source: ``openai.types.responses.CompactedResponse``.

    :param asked: the client's request.
    :raises ampproxy.errors.UpstreamFault: there is no summary.
    """
    parts = response.candidates[0].parts if response.candidates else ()
    item = compaction_item("".join(part.text for part in parts if isinstance(part, Text)), context)
    return encode(
        {
            "id": context.new_id("resp_"),
            "object": "response.compaction",
            "created_at": context.created,
            "output": [*_messages(asked, context), item],
            "usage": responses_usage_body(response.usage or Usage()),
        }
    )


def _messages(asked: bytes, context: AnswerContext) -> list[dict[str, Any]]:
    """The user's messages of a request, complete as items of an answer."""
    text = (members(asked) or {}).get("input")
    if text is None:
        return []
    if first(text) == b'"':
        return [_message(loads(text), context, None)]
    found = [item for item in loads(text, []) if isinstance(item, dict) and item.get("role") == "user"]
    messages = [item for item in found if item.get("type", "message") == "message"]
    return [_message(item.get("content"), context, item.get("id")) for item in messages]


def _message(content: Any, context: AnswerContext, id: str | None) -> dict[str, Any]:
    if isinstance(content, str):
        content = [{"type": "input_text", "text": content}]
    head = {"id": id or context.new_id("msg_"), "type": "message", "status": "completed", "role": "user"}
    return {**head, "content": content or []}


def stream_renderer(context: AnswerContext) -> ResponsesStreamRenderer:
    """The renderer of one stream: its summary alone, where it compacts a conversation."""
    return SummaryRenderer(context) if context.asked.compacts else ResponsesStreamRenderer(context)
