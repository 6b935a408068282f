"""Streams that break after their first events, which hold nothing of the answer: another account is asked."""

from __future__ import annotations

import json
from typing import Any

from tests.cases import each
from tests.resources.harness import Connection, World
from tests.resources.test_bent_answers import (
    CHAT,
    GEMINI,
    MESSAGES,
    RESPONSES,
    ROLE,
    answer,
    asked,
    chunk,
    event,
    every,
    texts,
)

DONE = b"data: [DONE]\n\n"
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


def piece(parts: list[dict[str, Any]], end: str | None = None) -> bytes:
    """One of Gemini's."""
    candidate = {"content": {"parts": parts, "role": "model"}, **({"finishReason": end} if end else {})}
    return (
        b"data: " + json.dumps({"candidates": [candidate], "modelVersion": "vendor-model"}).encode() + b"\n\n"
    )


#: What comes before anything of an answer.
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
    "Chat, a role": (CHAT, ROLE),
    "Gemini, an empty text": (GEMINI, piece([{"text": ""}])),
    "Gemini, empty thinking": (GEMINI, piece([{"text": "", "thought": True}])),
}
#: How it goes on.
BREAKS = {
    MESSAGES: event("error", error={"type": "overloaded_error", "message": "Overloaded"}),
    RESPONSES: event(
        "response.failed",
        response={
            **RESPONSE,
            "status": "failed",
            "error": {"code": "server_is_overloaded", "message": "Overloaded"},
        },
    ),
    GEMINI: b'data: {"error":{"code":503,"message":"Overloaded","status":"UNAVAILABLE"}}\n\n',
    CHAT: b'data: {"error":{"message":"Overloaded","type":"server_error","code":503}}\n\n',
}
TEXT = {**PART, "text": "Hello"}
MESSAGE_ITEM = {**ITEM, "status": "completed", "content": [TEXT]}
WHOLE = {
    MESSAGES: BEGINNINGS["Messages, a text"][1]
    + event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello"})
    + event("content_block_stop", index=0)
    + event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 1})
    + event("message_stop"),
    RESPONSES: BEGINNINGS["Responses, a message"][1]
    + event("response.output_text.delta", **PLACE, delta="Hello")
    + event("response.output_text.done", **PLACE, text="Hello")
    + event("response.content_part.done", **PLACE, part=TEXT)
    + event("response.output_item.done", output_index=0, item=MESSAGE_ITEM)
    + event("response.completed", response={**RESPONSE, "status": "completed", "output": [MESSAGE_ITEM]}),
    GEMINI: piece([{"text": "Hello"}], "STOP"),
    CHAT: ROLE + chunk({"content": "Hello"}) + chunk({}, "stop") + DONE,
}


def broken(beginning: str, client: str, end: str) -> tuple[World, Connection]:
    """Two accounts, of which the first has begun and failed."""
    section, pieces = BEGINNINGS[beginning]
    world, connection = asked(section, client, "streamed", count=2)
    answer(world, pieces, *([BREAKS[section]] if end == "an error" else []), number=0)
    return world, connection


@every
@each("beginning", BEGINNINGS)
@each("end", ["an error", "a cut"])
def test_the_next_account_answers(client: str, beginning: str, end: str) -> None:
    """And the client gets one answer, its own."""
    world, connection = broken(beginning, client, end)
    assert len(world.client.sent) == 2
    assert connection.answer == b""
    answer(world, WHOLE[BEGINNINGS[beginning][0]])
    assert connection.status == 200
    assert connection.ended_cleanly
    assert texts(client, "streamed", connection.body) == "Hello"


@each("beginning", BEGINNINGS)
def test_nothing_is_kept_from_a_client_that_waits(beginning: str) -> None:
    """With the sign of life it gets what has come; then no other account can be asked."""
    section, pieces = BEGINNINGS[beginning]
    client = {MESSAGES: "anthropic", RESPONSES: "responses", CHAT: "chat", GEMINI: "gemini"}[section]
    world, connection = asked(section, client, "streamed", count=2)
    stream = world.client.sent[0].respond(200, {"Content-Type": ["text/event-stream"]})
    stream.data(pieces)
    world.turn()
    assert connection.answer == b""
    world.clock.advance(16)
    assert connection.body.count(b"data: ") >= pieces.count(b"data: ")
    stream.data(BREAKS[section])
    stream.done()
    world.turn()
    assert len(world.client.sent) == 1
    assert b"Overloaded" in connection.body
