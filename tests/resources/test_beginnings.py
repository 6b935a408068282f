"""The beginning of a block, an item or a part that holds nothing yet: it is shown at once."""

from __future__ import annotations

import json
from typing import Any

from tests.cases import each
from tests.resources.test_bent_answers import GEMINI, MESSAGES, RESPONSES, asked, event

MESSAGE: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "model": "vendor-model"}
RESPONSE: dict[str, Any] = {"id": "resp_1", "object": "response", "model": "vendor-model", "output": []}
BEGUN = event(
    "message_start",
    message={**MESSAGE, "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}},
)
CREATED = event("response.created", response={**RESPONSE, "status": "in_progress"})
ITEM: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
PART: dict[str, Any] = {"type": "output_text", "text": "", "annotations": []}
PLACE = {"item_id": "msg_1", "output_index": 0, "content_index": 0}


def piece(parts: list[dict[str, Any]]) -> bytes:
    """One of Gemini's."""
    candidate = {"content": {"parts": parts, "role": "model"}}
    return (
        b"data: " + json.dumps({"candidates": [candidate], "modelVersion": "vendor-model"}).encode() + b"\n\n"
    )


#: What tells that there will be words, of which a model may be silent for a minute.
BEGINNINGS = {
    "Messages, a text": (
        MESSAGES,
        BEGUN + event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    ),
    "Messages, thinking": (
        MESSAGES,
        BEGUN
        + event("ping")
        + event(
            "content_block_start",
            index=0,
            content_block={"type": "thinking", "thinking": "", "signature": ""},
        ),
    ),
    "Responses, thinking": (
        RESPONSES,
        CREATED
        + event(
            "response.output_item.added",
            output_index=0,
            item={"id": "rs_1", "type": "reasoning", "summary": []},
        )
        + event(
            "response.reasoning_summary_part.added",
            item_id="rs_1",
            output_index=0,
            summary_index=0,
            part={"type": "summary_text", "text": ""},
        ),
    ),
    "Responses, a message": (
        RESPONSES,
        CREATED
        + event("response.output_item.added", output_index=0, item={**ITEM, "status": "in_progress"})
        + event("response.content_part.added", **PLACE, part=PART),
    ),
    "Gemini, an empty text": (GEMINI, piece([{"text": ""}])),
    "Gemini, empty thinking": (GEMINI, piece([{"text": "", "thought": True}])),
}


@each("beginning", BEGINNINGS)
def test_shown_at_once(beginning: str) -> None:
    """A client shows by it that its model thinks; it waits for no first word, and for no sign of life."""
    section, pieces = BEGINNINGS[beginning]
    client = {MESSAGES: "anthropic", RESPONSES: "responses", GEMINI: "gemini"}[section]
    world, connection = asked(section, client, "streamed", count=2)
    world.client.sent[0].respond(200, {"Content-Type": ["text/event-stream"]}).data(pieces)
    world.turn()
    assert connection.body.count(b"data: ") == pieces.count(b"data: ")
