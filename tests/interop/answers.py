"""Answers of every dialect as a vendor gives them, what is none of them, and how each client reads them."""

# ruff: noqa: E501 - wire text stays in one piece
from __future__ import annotations

import gzip
import json
from typing import Any

from ampproxy.wire.sse import EventReader

ANTHROPIC, CHAT, COMPLETIONS = "anthropic", "openai-chat", "openai-completions"
GEMINI, RESPONSES = "gemini", "openai-responses"
CLIENTS = (ANTHROPIC, CHAT, COMPLETIONS, GEMINI, RESPONSES)
#: Which dialects a client's account may speak: there is no account of the old completions alone, but a
#: compatible server answers a client of theirs in them.
VENDORS = (ANTHROPIC, CHAT, GEMINI, RESPONSES)

MODEL = "m"
KEYS = ("first-account-key-0001", "second-account-key-0002")
CLIENT_KEY = "client-key-0123456789"

_SECTIONS = {
    ANTHROPIC: "claude-api-key:\n  - {{api-key: {0}, base-url: 'http://one.test', models: [{{name: real, alias: m}}]}}\n  - {{api-key: {1}, base-url: 'http://two.test', models: [{{name: real, alias: m}}]}}\n",
    CHAT: "openai-compatibility:\n  - {{name: one, base-url: 'http://one.test/v1', api-key-entries: [{{api-key: {0}}}], models: [{{name: real, alias: m}}]}}\n  - {{name: two, base-url: 'http://two.test/v1', api-key-entries: [{{api-key: {1}}}], models: [{{name: real, alias: m}}]}}\n",
    GEMINI: "gemini-api-key:\n  - {{api-key: {0}, base-url: 'http://one.test', models: [{{name: real, alias: m}}]}}\n  - {{api-key: {1}, base-url: 'http://two.test', models: [{{name: real, alias: m}}]}}\n",
    RESPONSES: "codex-api-key:\n  - {{api-key: {0}, base-url: 'http://one.test/v1', models: [{{name: real, alias: m}}]}}\n  - {{api-key: {1}, base-url: 'http://two.test/v1', models: [{{name: real, alias: m}}]}}\n",
}


def config(vendor: str, accounts: int = 2) -> str:
    """A gateway with accounts of one dialect, which are asked in their order."""
    text = _SECTIONS[vendor].format(*KEYS)
    if accounts == 1:
        lines = text.splitlines(keepends=True)
        text = "".join(lines[:2])
    return f'api-keys: ["{CLIENT_KEY}"]\nrequest-retry: 0\nrouting: {{strategy: fill-first}}\n{text}'


def question(client: str, *, stream: bool) -> tuple[str, bytes]:
    """A client's path and body."""
    said = [{"role": "user", "content": "hi"}]
    more: dict[str, Any] = {"stream": True} if stream else {}
    match client:
        case "anthropic":
            return "/v1/messages", _dump(model=MODEL, max_tokens=9, messages=said, **more)
        case "openai-chat":
            return "/v1/chat/completions", _dump(model=MODEL, messages=said, **more)
        case "openai-completions":
            return "/v1/completions", _dump(model=MODEL, prompt="hi", **more)
        case "openai-responses":
            return "/v1/responses", _dump(model=MODEL, input="hi", **more)
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/{MODEL}:{method}", _dump(contents=[{"role": "user", "parts": [{"text": "hi"}]}])


def _dump(**members: Any) -> bytes:
    return json.dumps(members).encode()


def named(*events: dict[str, Any]) -> list[bytes]:
    return [b"event: " + event["type"].encode() + b"\ndata: " + _dump(**event) + b"\n\n" for event in events]


def bare(*events: dict[str, Any]) -> list[bytes]:
    return [b"data: " + _dump(**event) + b"\n\n" for event in events]


def _chat(**choice: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "real",
        "choices": [{"index": 0, "finish_reason": None, **choice}],
    }


def _text(text: str, finish: str | None = None) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": "text_completion",
        "created": 1,
        "model": "real",
        "choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": finish}],
    }


def _gemini(text: str, **more: Any) -> dict[str, Any]:
    return {
        "candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0, **more}],
        "modelVersion": "real",
        "responseId": "r",
    }


_MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "real",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 1},
}
_ITEM = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "hello there", "annotations": []}],
}
_RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "real",
    "error": None,
    "output": [_ITEM],
    "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
}

#: A whole answer that says "hello there".
WHOLE: dict[str, bytes] = {
    ANTHROPIC: _dump(
        **{**_MESSAGE, "content": [{"type": "text", "text": "hello there"}], "stop_reason": "end_turn"}
    ),
    CHAT: _dump(
        id="c1",
        object="chat.completion",
        created=1,
        model="real",
        choices=[
            {"index": 0, "message": {"role": "assistant", "content": "hello there"}, "finish_reason": "stop"}
        ],
        usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    ),
    COMPLETIONS: _dump(**_text("hello there", "stop")),
    GEMINI: _dump(**_gemini("hello there", finishReason="STOP")),
    RESPONSES: _dump(**_RESPONSE),
}

#: The same as a stream: its beginning, which has said "hello ", and its end.
BEGINNING: dict[str, list[bytes]] = {
    ANTHROPIC: named(
        {"type": "message_start", "message": _MESSAGE},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hel"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo "}},
    ),
    CHAT: bare(
        _chat(delta={"role": "assistant", "content": ""}),
        _chat(delta={"content": "hel"}),
        _chat(delta={"content": "lo "}),
    ),
    COMPLETIONS: bare(_text("hel"), _text("lo ")),
    GEMINI: bare(_gemini("hel"), _gemini("lo ")),
    RESPONSES: named(
        {"type": "response.created", "response": {**_RESPONSE, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**_ITEM, "content": []}},
        {
            "type": "response.content_part.added",
            "output_index": 0,
            "content_index": 0,
            "part": {"type": "output_text", "text": ""},
        },
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "hel"},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "lo "},
    ),
}
END: dict[str, list[bytes]] = {
    ANTHROPIC: named(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "there"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 2},
        },
        {"type": "message_stop"},
    ),
    CHAT: [
        *bare(_chat(delta={"content": "there"}), _chat(delta={}, finish_reason="stop")),
        b"data: [DONE]\n\n",
    ],
    COMPLETIONS: [*bare(_text("there"), _text("", "stop")), b"data: [DONE]\n\n"],
    GEMINI: bare(_gemini("there", finishReason="STOP")),
    RESPONSES: named(
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "there"},
        {"type": "response.output_item.done", "output_index": 0, "item": _ITEM},
        {"type": "response.completed", "response": _RESPONSE},
    ),
}

#: What a proxy that has lost its server answers, with what must not be shown.
PAGE = b"<!DOCTYPE html>\n<html><head><title>Bad gateway of Example</title></head>\n\n<body>api_key=sk-secret-0123456789 \x1b[31m</body></html>\n"
ERROR = {
    ANTHROPIC: b'{"type":"error","error":{"type":"overloaded_error","message":"we are full today"}}',
    CHAT: b'{"error":{"message":"we are full today","type":"server_error","code":"server_is_overloaded"}}',
    COMPLETIONS: b'{"error":{"message":"we are full today","type":"server_error","code":"server_is_overloaded"}}',
    GEMINI: b'{"error":{"code":503,"message":"we are full today","status":"UNAVAILABLE"}}',
    RESPONSES: b'{"error":{"message":"we are full today","type":"server_error","code":"server_is_overloaded"}}',
}


def nonsense(spoken: str) -> dict[str, bytes]:
    """What is no answer of a dialect, by a name for it."""
    whole = WHOLE[spoken]
    return {
        "empty": b"",
        "blank": b" \r\n\r\n",
        "html": PAGE,
        "text": b"upstream connect error or disconnect/reset before headers",
        "half": whole[: len(whole) * 2 // 3],
        "array": b'[1,2,"three"]',
        "number": b"42",
        "string": b'"hello there"',
        "null": b"null",
        "strange": b'{"status":"ok","hello":{"there":[1]}}',
        "nothing": b"{}",
        "tail": whole + b"\n<!-- served by example -->",
        "twice": whole + whole,
        "gzip-nonsense": gzip.compress(PAGE),
        "gzip-cut": gzip.compress(whole)[:-12],
    }


def text_of(client: str, body: bytes) -> str:
    """What a whole answer says to a client; fails if it is none."""
    found = json.loads(body)
    match client:
        case "anthropic":
            assert found["type"] == "message"
            return "".join(block["text"] for block in found["content"])
        case "openai-chat":
            return str(found["choices"][0]["message"]["content"])
        case "openai-completions":
            return str(found["choices"][0]["text"])
        case "openai-responses":
            assert found["status"] == "completed"
            return "".join(part["text"] for item in found["output"] for part in item["content"])
    return "".join(part["text"] for part in found["candidates"][0]["content"]["parts"])


def error_of(client: str, body: bytes) -> str:
    """The message of an error; fails if it is none of the client's dialect."""
    found = json.loads(body)
    if client == ANTHROPIC:
        assert found["type"] == "error"
    if client == RESPONSES and "error" not in found:
        assert found["type"] == "error"
        return str(found["message"])
    return str(found["error"]["message"])


def read_stream(client: str, body: bytes) -> tuple[str, bool, str]:
    """What a stream said, whether it came to its end, and the error that it told of."""
    said, ended, error = "", False, ""
    for name, data in EventReader().feed(body):
        if data == b"[DONE]":
            ended = True
            continue
        event = json.loads(data)
        if event.get("type") == "error" or "error" in event or name == b"error":
            error = error_of(client, data) or "?"
        match client:
            case "anthropic":
                said += event.get("delta", {}).get("text", "")
                ended = ended or event["type"] == "message_stop"
            case "openai-chat":
                said += "".join(choice["delta"].get("content") or "" for choice in event.get("choices", ()))
            case "openai-completions":
                said += "".join(choice["text"] for choice in event.get("choices", ()))
            case "openai-responses":
                kind = event["type"]
                said += event["delta"] if kind == "response.output_text.delta" else ""
                ended = ended or kind in ("response.completed", "response.incomplete")
                if kind == "response.failed":
                    error = event["response"]["error"]["message"]
            case "gemini":
                for candidate in event.get("candidates", ()):
                    said += "".join(p.get("text", "") for p in candidate.get("content", {}).get("parts", ()))
                    ended = ended or "finishReason" in candidate
    return said, ended, error
