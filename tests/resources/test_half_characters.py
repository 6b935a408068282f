"""Texts that were cut in the middle of a character of two UTF-16 units, as JavaScript cuts them: no request
and no answer fails for half an emoji.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cases import each
from tests.resources.harness import World
from tests.resources.test_bent_answers import (
    CHAT,
    CLIENTS,
    DONE,
    MESSAGES,
    RESPONSES,
    START,
    STOP,
    answer,
    asked,
    chunk,
    config,
    ended_well,
    event,
    question,
    texts,
    whole_chat,
)

GEMINI = "gemini-api-key"
HALF, REST = "\ud83d", "\ude00"
GENERATED = {"candidates": [{"content": {"parts": [{"text": f"a {HALF}"}]}, "finishReason": "STOP"}]}
MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": f"a {HALF}"}]}
WHOLE: dict[str, bytes] = {
    CHAT: whole_chat({"index": 0, "message": {"content": f"a {HALF}"}, "finish_reason": "stop"}),
    MESSAGES: json.dumps(
        {"type": "message", "content": [{"type": "text", "text": f"a {HALF}"}], "stop_reason": "end_turn"}
    ).encode(),
    RESPONSES: json.dumps({"id": "r", "status": "completed", "output": [MESSAGE]}).encode(),
    GEMINI: json.dumps(GENERATED).encode(),
}


def delta(text: str) -> bytes:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


STREAMED: dict[str, list[bytes]] = {
    CHAT: [chunk({"content": f"a {HALF}"}), chunk({"content": REST}), chunk({}, "stop"), DONE],
    MESSAGES: [
        START,
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        delta(f"a {HALF}"),
        delta(REST),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn"}),
        STOP,
    ],
    RESPONSES: [
        event("response.created", response={"id": "r", "status": "in_progress", "output": []}),
        event("response.output_text.delta", output_index=0, content_index=0, delta=f"a {HALF}"),
        event("response.output_text.delta", output_index=0, content_index=0, delta=REST),
        event("response.completed", response={"id": "r", "status": "completed", "output": []}),
    ],
    GEMINI: [b"data: " + json.dumps(GENERATED).encode() + b"\r\n\r\n"],
}


@pytest.mark.parametrize("client", CLIENTS)
@each("kind", WHOLE)
def test_a_request_and_its_answer(kind: str, client: str) -> None:
    """A vendor gets a replacement character for the half, and the client at least the words of the answer."""
    world = World(config(kind))
    path, body = question(client, stream=False)
    raw = json.dumps(body).replace('"go"', json.dumps(f"go {HALF}"))
    connection = world.request("POST", path, {"Content-Type": "application/json"}, raw.encode())
    world.turn()
    assert world.client.sent, connection.answer
    assert b"\\ud83d" not in world.client.sent[0].body
    json.loads(world.client.sent[0].body)
    answer(world, WHOLE[kind], kind="application/json")
    assert ended_well(world, connection, "whole")
    assert texts(client, "whole", connection.body).startswith("a ")


@pytest.mark.parametrize("client", CLIENTS)
@each("kind", STREAMED)
def test_a_stream(kind: str, client: str) -> None:
    """Half in one event, and half in the next."""
    world, connection = asked(kind, client, "streamed")
    answer(world, *STREAMED[kind])
    assert ended_well(world, connection, "streamed")
    assert texts(client, "streamed", connection.body).startswith("a ")


def test_what_else_is_not_valid() -> None:
    """It is refused as before, with its own reason."""
    world = World(config(CHAT))
    for raw in (b'{"model": "model", "messages": [{"content": "\\ud83d"}]', b'["\\ud83d"]'):
        connection: Any = world.request(
            "POST", "/v1/chat/completions", {"Content-Type": "application/json"}, raw
        )
        assert connection.status == 400
        assert b"JSON" in connection.body


def test_a_byte_order_mark() -> None:
    """Editors and shells put it before JSON; vendors do not take it."""
    world = World(config(MESSAGES))
    path, question_ = question("anthropic", stream=False)
    body = json.dumps(question_).encode()
    world.request("POST", path, body=b"\xef\xbb\xbf" + body)
    assert json.loads(world.client.sent[0].body)["messages"] == question_["messages"]
    connection = world.request("POST", path, body=b"\xef\xbb\xbf{")
    assert connection.status == 400
