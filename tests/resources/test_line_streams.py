"""Streams of servers that write one object of JSON a line, where server-sent events were asked for."""

from __future__ import annotations

import json
from typing import Any

from tests.cases import each
from tests.resources.test_bent_answers import (
    CHAT,
    CLIENTS,
    GEMINI,
    MESSAGES,
    RESPONSES,
    answer,
    asked,
    chunk,
    ended_well,
    failed,
    served,
    texts,
    whole_chat,
)
from tests.resources.test_cut_calls import WHOLE, of_anthropic, of_responses

HEAD = {"id": "msg_1", "type": "message", "role": "assistant", "model": "vendor-model", "content": []}


def lines(*events: Any, end: bytes = b"\n") -> list[bytes]:
    return [json.dumps(event).encode() + end for event in events]


def of_events(*events: bytes) -> list[bytes]:
    """The data of events, each in a line."""
    return [event[event.find(b"data: ") + 6 :].strip() + b"\n" for event in events]


def candidate(text: str, **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0, **more}]}


STREAMS = {
    CHAT: of_events(chunk({"content": "Hel"}), chunk({"content": "lo"}), chunk({}, "stop")),
    MESSAGES: lines(
        {"type": "message_start", "message": {**HEAD, "usage": {"input_tokens": 1, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ),
    GEMINI: lines(candidate("Hel"), candidate("lo", finishReason="STOP")),
}


@each("kind", STREAMS)
@each("client", CLIENTS)
def test_a_line_an_event(kind: str, client: str) -> None:
    """Whatever the dialects, and however the bytes are cut."""
    pieces = STREAMS[kind]
    whole = b"".join(pieces)
    windows = whole.replace(b"\n", b"\r\n\r\n")
    for parts in (pieces, [whole], [whole[:9], whole[9:-7], whole[-7:]], [whole[:-1]], [windows]):
        for mime in ("text/event-stream", "application/x-ndjson"):
            world, connection = served(kind, client, "streamed", *parts, mime=mime)
            assert ended_well(world, connection, "streamed"), connection.body
            assert texts(client, "streamed", connection.body) == "Hello"


@each("client", CLIENTS)
def test_calls(client: str) -> None:
    """Calls of the other dialects."""
    for kind, pieces in ((RESPONSES, of_responses(WHOLE)), (MESSAGES, of_anthropic(WHOLE))):
        world, connection = served(kind, client, "streamed", *of_events(*pieces))
        assert ended_well(world, connection, "streamed"), connection.body
        assert b"read_file" in connection.body


@each("client", CLIENTS)
def test_it_is_forwarded_at_once(client: str) -> None:
    """Nothing waits for the end."""
    world, connection = asked(CHAT, client, "streamed")
    stream = world.client.sent[-1].respond(200, {"Content-Type": ["application/x-ndjson"]})
    for piece in STREAMS[CHAT][:2]:
        stream.data(piece)
        world.turn()
    assert texts(client, "streamed", connection.body) == "Hello"
    for piece in (STREAMS[CHAT][2], b"[DONE]\n"):
        stream.data(piece)
    stream.done()
    world.turn()
    assert ended_well(world, connection, "streamed")


@each("client", CLIENTS)
def test_a_stream_of_lines_that_breaks(client: str) -> None:
    """An error in a line, and half a line."""
    first = STREAMS[CHAT][0]
    for last, words in ((lines({"error": {"message": "Gone."}})[0], "Gone."), (b'{"choices": [', "")):
        world, connection = served(CHAT, client, "streamed", first, last)
        failed(world, connection, "streamed", words)


@each("client", CLIENTS)
def test_a_whole_answer_in_a_line(client: str) -> None:
    """That is no stream, and an error alone is none."""
    body = whole_chat(
        {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    )
    world, connection = served(CHAT, client, "streamed", body + b"\n", mime="application/json")
    assert ended_well(world, connection, "streamed")
    assert texts(client, "streamed", connection.body) == "Hello"
    world, connection = asked(CHAT, client, "streamed")
    answer(world, b'{"error": {"message": "Not today."}}\n', kind="application/json")
    assert connection.status >= 400
    assert b"Not today." in connection.body
