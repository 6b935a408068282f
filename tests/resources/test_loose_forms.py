"""What is written a little otherwise than its dialect has it, and is plain all the same."""

from __future__ import annotations

import json
from typing import Any

from tests.cases import each
from tests.resources.harness import CLIENT_KEY, World
from tests.resources.test_bent_answers import (
    CHAT,
    CLIENTS,
    DONE,
    GEMINI,
    SHAPES,
    asked,
    chunk,
    ended_well,
    served,
    texts,
    thoughts,
    whole_chat,
)
from tests.resources.test_line_streams import candidate
from tests.resources.test_mixed_shapes import HELLO, ask

TRANSLATED = ("anthropic", "responses", "gemini")
PNG, JPEG = "iVBORw0KGgoAAAANSUhEUg==", "/9j/4AAQSkZJRg=="


@each("client", TRANSLATED)
@each("shape", SHAPES)
def test_numbers_that_are_written_as_texts(client: str, shape: str) -> None:
    """In an answer: numbers, times and counts; and an id that is a number."""
    usage = {"prompt_tokens": "5", "completion_tokens": "6"}
    head = {"id": 7, "created": "17", "model": "vendor-model"}
    choice = {"index": "0", "finish_reason": "stop"}
    if shape == "whole":
        body = {**head, "choices": [{**choice, "message": {"content": "Hello"}}], "usage": usage}
        pieces, mime = [json.dumps(body).encode()], "application/json"
    else:
        first = {**head, "choices": [{"index": "0", "delta": {"content": "Hello"}}]}
        last = {**head, "choices": [{**choice, "delta": {}}], "usage": usage}
        pieces, mime = [b"data: " + json.dumps(one).encode() + b"\n\n" for one in (first, last)], "text/plain"
    world, connection = served(CHAT, client, shape, *pieces, mime=mime)
    assert ended_well(world, connection, shape)
    assert texts(client, shape, connection.body) == "Hello"
    assert (world.exchanges[-1]["input"], world.exchanges[-1]["output"]) == (5, 6)


def test_numbers_of_a_request() -> None:
    """Likewise what a client writes; words stay words."""
    _, sent = ask("claude-real", messages=[HELLO], max_tokens="3000", stream="false")
    assert sent["max_tokens"] == 3000
    assert "stream" not in sent
    _, sent = ask(
        "qwen3-coder", "/v1/responses", input="go", max_output_tokens="3000", temperature="0.5", user="5"
    )
    assert (sent["max_tokens"], sent["temperature"], sent["user"]) == (3000, 0.5, "5")
    world = World(f'api-keys: ["{CLIENT_KEY}"]\ngemini-api-key: [{{api-key: key-0123456789, models: [g]}}]\n')
    body = json.dumps({"model": "g", "messages": [HELLO], "max_tokens": "many"}).encode()
    connection = world.request("POST", "/v1/chat/completions", body=body)
    assert connection.status == 400
    assert "max_tokens" in json.loads(connection.body)["error"]["message"]


def test_a_format_without_its_kind() -> None:
    """An empty one is none; one with a schema is that."""
    _, sent = ask("gpt-5.5", messages=[HELLO], response_format={})
    assert "text" not in sent
    schema = {"type": "object", "properties": {}, "additionalProperties": False, "required": []}
    _, sent = ask("gpt-5.5", messages=[HELLO], response_format={"json_schema": {"schema": schema}})
    assert sent["text"]["format"]["schema"] == schema


@each(
    "called, data, kind",
    [
        ("image/jpg", JPEG, "image/jpeg"),
        ("IMAGE/JPG", "aGk=", "image/jpeg"),
        ("image/jpeg", PNG, "image/png"),
        ("application/octet-stream", JPEG, "image/jpeg"),
        ("image/png", "aGk=", "image/png"),
    ],
)
def test_a_picture_is_what_its_bytes_are(called: str, data: str, kind: str) -> None:
    """Vendors look at the bytes, and refuse another name for them."""
    url = f"data:{called};base64,{data}"
    part = {"type": "image_url", "image_url": {"url": url}}
    _, sent = ask("claude-real", messages=[{"role": "user", "content": [part]}])
    (image,) = sent["messages"][0]["content"]
    assert image["source"] == {"type": "base64", "media_type": kind, "data": data}
    world = World(f'api-keys: ["{CLIENT_KEY}"]\ngemini-api-key: [{{api-key: key-0123456789, models: [g]}}]\n')
    source = {"type": "base64", "media_type": called, "data": data}
    content = [{"type": "image", "source": source}]
    body = {"model": "g", "max_tokens": 9, "messages": [{"role": "user", "content": content}]}
    world.request("POST", "/v1/messages", body=json.dumps(body).encode())
    (found,) = json.loads(world.client.sent[0].body)["contents"][0]["parts"]
    assert found["inlineData"] == {"mimeType": kind, "data": data}


MARK = {"extra_content": {"google": {"thought": True}}}


@each("client", TRANSLATED)
@each("tagged", [True, False])
def test_thinking_that_google_marks(client: str, tagged: bool) -> None:
    """Beside the content, with and without the tag that stands in it."""
    first, behind = ("<thought>", "</thought>") if tagged else ("", "")
    pieces = [
        chunk({"content": first + "I ", **MARK}),
        chunk({"content": "think.", **MARK}),
        chunk({"content": behind + "Hel"}),
        chunk({"content": "lo"}),
        chunk({}, "stop"),
        DONE,
    ]
    world, connection = served(CHAT, client, "streamed", *pieces)
    assert ended_well(world, connection, "streamed")
    assert texts(client, "streamed", connection.body) == "Hello"
    if client != "gemini":
        assert thoughts(client, "streamed", connection.body) == "I think."
    if tagged:
        message = {"role": "assistant", "content": "<thought>I think.</thought>Hello"}
        whole = whole_chat({"index": 0, "message": message, "finish_reason": "stop"})
        _, connection = served(CHAT, client, "whole", whole, mime="application/json")
        assert texts(client, "whole", connection.body) == "Hello"
        assert thoughts(client, "whole", connection.body) == "I think."


@each("client", CLIENTS)
def test_another_dialects_mark_behind_geminis_end(client: str) -> None:
    """Google's SDKs break off at what is no JSON."""
    events = [candidate("Hel"), candidate("lo", finishReason="STOP")]
    pieces = [b"data: " + json.dumps(event).encode() + b"\r\n\r\n" for event in events]
    world, connection = served(GEMINI, client, "streamed", *pieces, b"data: [DONE]\n\n")
    assert ended_well(world, connection, "streamed")
    assert texts(client, "streamed", connection.body) == "Hello"
    if client == "gemini":
        assert b"[DONE]" not in connection.body
        _, connection = served(GEMINI, client, "streamed", pieces[0], b"data: [DONE]\n\n")
        assert b"error" in connection.body


REASONING = {"type": "reasoning", "id": "rs_1", "encrypted_content": "b3BhcXVl", "summary": []}
CALL = {"type": "function_call", "id": "fc_9", "call_id": "c1", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "x"}


@each(
    "status, message",
    [
        (404, "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false."),
        (400, "Invalid 'input[1].id': 'item_7'. Expected an ID that begins with 'rs'."),
        (400, "Item 'rs_1' of type 'reasoning' was provided without its required following item."),
    ],
)
def test_thinking_that_a_server_does_not_find(status: int, message: str) -> None:
    """The request goes once more without it, to the same account."""
    world, _ = asked("codex-api-key", "responses", "whole")
    items = [{"role": "user", "content": "go"}, REASONING, CALL, RESULT]
    body: dict[str, Any] = {"model": "model", "store": False, "input": items}
    connection = world.request("POST", "/v1/responses", body=json.dumps(body).encode())
    world.turn()
    error = {"error": {"message": message, "type": "invalid_request_error", "param": "input", "code": None}}
    before = len(world.client.sent)
    kind = {"Content-Type": ["application/json"]}
    world.client.sent[-1].respond_whole(status, json.dumps(error).encode(), kind)
    world.turn()
    assert len(world.client.sent) == before + 1, connection.answer
    again = json.loads(world.client.sent[-1].body)["input"]
    assert [item.get("type") for item in again] == [None, "function_call", "function_call_output"]
