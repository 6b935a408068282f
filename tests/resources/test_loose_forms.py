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
    MESSAGES,
    RESPONSES,
    SHAPES,
    asked,
    chunk,
    ended_well,
    event,
    objects,
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


@each("client", CLIENTS)
@each("shape", SHAPES)
def test_a_content_that_is_a_number(client: str, shape: str) -> None:
    """A text of digits, from servers that write each value as what it looks like; and an end that is true."""
    if shape == "whole":
        pieces = [whole_chat({"index": 0, "message": {"content": 42}, "finish_reason": True})]
    else:
        pieces = [chunk({"content": 4}, False), chunk({"content": 2}), chunk({}, True), DONE]
    mime = "application/json" if shape == "whole" else "text/event-stream"
    world, connection = served(CHAT, client, shape, *pieces, mime=mime)
    assert ended_well(world, connection, shape)
    assert texts(client, shape, connection.body) == "42"


NOTHING = (None, "", [], {}, False)


def empty(kind: str, nothing: Any) -> dict[str, Any]:
    """A vendor's whole answer, of which many members are empty values of another kind."""
    usage = {"chat": "usage", "gemini": "usageMetadata"}.get(kind, "usage")
    if kind == CHAT:
        message = {"content": "Hello", "refusal": nothing, "annotations": nothing, "audio": nothing}
        choice = {"index": nothing, "message": message, "logprobs": nothing, "finish_reason": "stop"}
        return {"id": nothing, "created": nothing, "model": nothing, "choices": [choice], usage: nothing}
    if kind == MESSAGES:
        content = [{"type": "text", "text": "Hello", "citations": nothing}]
        head = {"id": nothing, "type": "message", "role": "assistant", "model": nothing}
        return {
            **head,
            "content": content,
            "stop_reason": "end_turn",
            "stop_sequence": nothing,
            usage: nothing,
        }
    if kind == GEMINI:
        parts = [{"text": "Hello", "thought": nothing, "thoughtSignature": nothing}]
        one = {"content": {"parts": parts}, "finishReason": "STOP", "index": nothing}
        return {"candidates": [one], usage: nothing, "modelVersion": nothing, "responseId": nothing}
    content = [{"type": "output_text", "text": "Hello", "annotations": nothing, "logprobs": nothing}]
    items = [
        {"type": "reasoning", "id": nothing, "summary": nothing, "encrypted_content": nothing},
        {"type": "message", "id": nothing, "role": "assistant", "content": content},
    ]
    head = {"id": nothing, "created_at": nothing, "model": nothing, "status": "completed", "error": None}
    return {**head, "incomplete_details": nothing, "output": items, usage: nothing}


@each(
    "vendor, client",
    [(vendor, client) for vendor in (CHAT, MESSAGES, RESPONSES, GEMINI) for client in CLIENTS],
)
def test_empty_values_of_another_kind(vendor: str, client: str) -> None:
    """An empty list, text or object, or false, where there is nothing: PHP and templates write such."""
    for nothing in NOTHING:
        body = json.dumps(empty(vendor, nothing)).encode()
        world, connection = served(vendor, client, "whole", body, mime="application/json")
        assert ended_well(world, connection, "whole"), nothing
        assert texts(client, "whole", connection.body) == "Hello", nothing


def test_words_of_another_kind_are_not_dropped() -> None:
    """What may be part of the answer is no reason to serve the rest of it."""
    body = whole_chat({"index": 0, "message": {"content": {"words": "Hello"}}, "finish_reason": "stop"})
    _, connection = served(CHAT, "anthropic", "whole", body, mime="application/json")
    assert connection.status == 502


@each("client", CLIENTS)
@each("arguments", ["", None, {}])
def test_a_call_of_responses_without_arguments(client: str, arguments: Any) -> None:
    """An empty text stands for none."""
    call = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": arguments}
    body = {"id": "resp_1", "status": "completed", "model": "m", "output": [call]}
    world, connection = served(RESPONSES, client, "whole", json.dumps(body).encode(), mime="application/json")
    assert ended_well(world, connection, "whole")
    assert b"_raw" not in connection.body
    if client == "chat":
        (choice,) = json.loads(connection.body)["choices"]
        assert choice["message"]["tool_calls"][0]["function"]["arguments"] == "{}"


@each("client", CLIENTS)
def test_an_empty_function_call(client: str) -> None:
    """Servers have an empty one in each answer."""
    message = {"content": "Hello", "function_call": {"name": "", "arguments": ""}}
    body = whole_chat({"index": 0, "message": message, "finish_reason": "stop"})
    world, connection = served(CHAT, client, "whole", body, mime="application/json")
    assert ended_well(world, connection, "whole")
    assert texts(client, "whole", connection.body) == "Hello"
    message["function_call"]["arguments"] = "{}"
    body = whole_chat({"index": 0, "message": message, "finish_reason": "stop"})
    _, connection = served(CHAT, client, "whole", body, mime="application/json")
    assert connection.status == 502


def test_calls_are_numbered_from_zero() -> None:
    """Servers count blocks of text, too; Vercel's AI SDK fails where a call has no predecessor."""

    def piece(number: int, **call: Any) -> bytes:
        return chunk({"tool_calls": [{"index": number, **call}]})

    pieces = [chunk({"content": "Hello"})]
    for number in (1, 4):
        begun = {"name": "read_file", "arguments": ""}
        pieces += [
            piece(number, id=f"call_{number}", type="function", function=begun),
            piece(number, function={"arguments": '{"a":'}),
            piece(number, function={"arguments": f"{number}}}"}),
        ]
    _, connection = served(CHAT, "chat", "streamed", *pieces, chunk({}, "tool_calls"), DONE)
    calls: dict[int, str] = {}
    for found in objects("streamed", connection.body):
        for choice in found["choices"]:
            for call in choice["delta"].get("tool_calls", ()):
                calls[call["index"]] = calls.get(call["index"], "") + call["function"]["arguments"]
    assert calls == {0: '{"a":1}', 1: '{"a":4}'}


def test_a_later_block_of_messages_without_its_start() -> None:
    """Though the first one has it, and the second one's words look like the first one's."""

    def delta(index: int, text: str) -> bytes:
        return event("content_block_delta", index=index, delta={"type": "text_delta", "text": text})

    usage = {"input_tokens": 1, "output_tokens": 1}
    begun = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": usage}
    pieces = [
        event("message_start", message=begun),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(delta(0, word) for word in ("a", "b", "c")),
        event("content_block_stop", index=0),
        *(delta(1, word) for word in ("d", "e")),
        event("content_block_stop", index=1),
        event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 1}),
        event("message_stop"),
    ]
    world, connection = served(MESSAGES, "anthropic", "streamed", *pieces)
    assert ended_well(world, connection, "streamed")
    kinds = [(found["type"], found.get("index")) for found in objects("streamed", connection.body)]
    assert kinds.index(("content_block_start", 1)) < kinds.index(("content_block_delta", 1))
    assert texts("anthropic", "streamed", connection.body) == "abcde"


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
