"""What clients ask and vendors answer: requests, whole answers and streams in four dialects."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

#: Stands in each piece of streamed text, so that a client can count what arrived.
MARK = "lorem"

#: Of a stream: the events at its beginning, one text delta, the events at its end.
Parts = tuple[list[bytes], bytes, list[bytes]]

#: The vendor's name of the model, in its answers.
VENDOR_MODEL = "vendor-model-2026-01-01"

_LINE = 'def area(w, h):\n    return w * h  # "area" of a field, in m2\n\n'


def request_body(dialect: str, model: str, *, stream: bool, size: int) -> bytes:
    """A conversation of about ``size`` bytes, its ``model`` first and ``stream`` last."""
    make = _chat_request if dialect == "openai-chat" else _anthropic_request
    bare = len(_encode(make(model, stream, "")))
    # In JSON every line holds five escapes.
    text = _LINE * (max(size - bare, 0) // (len(_LINE) + 5))
    return _encode(make(model, stream, text))


def whole_answer(dialect: str, size: int = 1024) -> bytes:
    """A vendor's whole answer of ``size`` bytes."""
    make = _chat_answer if dialect == "openai-chat" else _anthropic_answer
    bare = len(_encode(make("")))
    return _encode(make("x" * max(size - bare, 0)))


def stream_events(dialect: str, count: int, text: str) -> list[bytes]:
    """A vendor's whole stream of exactly ``count`` server-sent events.

    :param text: what each text delta says.
    """
    before, delta, after = stream_parts(dialect, text)
    return [*before, *[delta] * text_deltas(dialect, count), *after]


def text_deltas(dialect: str, count: int) -> int:
    """How many of a stream's ``count`` events are pieces of text."""
    before, _, after = stream_parts(dialect, "")
    return count - len(before) - len(after)


def stream_parts(dialect: str, text: str) -> Parts:
    """How a stream begins, the event that says ``text``, and how the stream ends."""
    return _STREAMS[dialect](text)


def chunk(data: bytes) -> bytes:
    """Data as an HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _anthropic_request(model: str, stream: bool, text: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    return {
        "model": model,
        "max_tokens": 4096,
        "system": [
            {"type": "text", "text": "You are a coding agent.", "cache_control": {"type": "ephemeral"}}
        ],
        "tools": [{"name": "Read", "description": "Reads a file.", "input_schema": schema}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "What does this do?\n" + text}]},
            {"role": "assistant", "content": [{"type": "text", "text": "It multiplies."}]},
            {"role": "user", "content": [{"type": "text", "text": "Then test it."}]},
        ],
        "stream": stream,
    }


def _chat_request(model: str, stream: bool, text: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    return {
        "model": model,
        "max_tokens": 4096,
        "tools": [
            {
                "type": "function",
                "function": {"name": "Read", "description": "Reads a file.", "parameters": schema},
            }
        ],
        "messages": [
            {"role": "system", "content": "You are a coding agent."},
            {"role": "user", "content": "What does this do?\n" + text},
            {"role": "assistant", "content": "It multiplies."},
            {"role": "user", "content": "Then test it."},
        ],
        "stream_options": {"include_usage": True},
        "stream": stream,
    }


def _anthropic_answer(text: str) -> dict[str, Any]:
    return {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": VENDOR_MODEL,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 500,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 200,
        },
    }


def _chat_answer(text: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion",
        "created": 1741569952,
        "model": VENDOR_MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 500, "completion_tokens": 200, "total_tokens": 700},
    }


def _named(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), _encode(event))


def _anthropic_stream(text: str) -> Parts:
    message = {**_anthropic_answer(""), "content": [], "stop_reason": None}
    block: dict[str, Any] = {"type": "text", "text": ""}
    delta = {"type": "text_delta", "text": text}
    return (
        [
            _named({"type": "message_start", "message": message}),
            _named({"type": "content_block_start", "index": 0, "content_block": block}),
            _named({"type": "ping"}),
        ],
        _named({"type": "content_block_delta", "index": 0, "delta": delta}),
        [
            _named({"type": "content_block_stop", "index": 0}),
            _named(
                {
                    "type": "message_delta",
                    "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                    "usage": {"output_tokens": 200},
                }
            ),
            _named({"type": "message_stop"}),
        ],
    )


def _chat_stream(text: str) -> Parts:
    def event(choices: list[Any], usage: Any = None) -> bytes:
        value = {
            "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
            "object": "chat.completion.chunk",
            "created": 1741569952,
            "model": VENDOR_MODEL,
            "system_fingerprint": "fp_44709d6fcb",
            "choices": choices,
            "usage": usage,
        }
        return b"data: %b\n\n" % _encode(value)

    def choice(delta: dict[str, Any], finish: str | None = None) -> list[Any]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]

    return (
        [event(choice({"role": "assistant", "content": ""}))],
        event(choice({"content": text})),
        [
            event(choice({}, "stop")),
            event([], {"prompt_tokens": 500, "completion_tokens": 200, "total_tokens": 700}),
            b"data: [DONE]\n\n",
        ],
    )


def _responses_stream(text: str) -> Parts:
    item = "msg_67ccd3acc8d48190a77525dc6de64b41"
    place = {"item_id": item, "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "text": "", "annotations": []}
    number = iter(range(1000))

    def event(type_: str, **members: Any) -> bytes:
        return _named({"type": type_, "sequence_number": next(number), **members})

    def message(status: str, content: list[Any]) -> dict[str, Any]:
        return {"id": item, "type": "message", "status": status, "role": "assistant", "content": content}

    def response(status: str, output: list[Any], usage: Any) -> dict[str, Any]:
        return {
            "id": "resp_67ccd3a9da748190baa7f1570fe91ac6",
            "object": "response",
            "created_at": 1741569952,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": VENDOR_MODEL,
            "output": output,
            "parallel_tool_calls": True,
            "tools": [],
            "usage": usage,
        }

    done = message("completed", [part])
    usage = {
        "input_tokens": 500,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 200,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 700,
    }
    before = [
        event("response.created", response=response("in_progress", [], None)),
        event("response.in_progress", response=response("in_progress", [], None)),
        event("response.output_item.added", output_index=0, item=message("in_progress", [])),
        event("response.content_part.added", **place, part=part),
    ]
    delta = event("response.output_text.delta", **place, delta=text, logprobs=[])
    after = [
        event("response.output_text.done", **place, text="", logprobs=[]),
        event("response.content_part.done", **place, part=part),
        event("response.output_item.done", output_index=0, item=done),
        event("response.completed", response=response("completed", [done], usage)),
    ]
    return before, delta, after


def _gemini_stream(text: str) -> Parts:
    def event(text: str, finish: str | None) -> bytes:
        candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        value = {
            "candidates": [candidate],
            "usageMetadata": {"promptTokenCount": 500, "candidatesTokenCount": 20, "totalTokenCount": 520},
            "modelVersion": VENDOR_MODEL,
            "responseId": "kOnGaJXAD8Sn7dcP0Y-h4Qg",
        }
        return b"data: %b\r\n\r\n" % _encode(value)

    return [], event(text, None), [event("", "STOP")]


_STREAMS: dict[str, Callable[[str], Parts]] = {
    "anthropic": _anthropic_stream,
    "openai-chat": _chat_stream,
    "openai-responses": _responses_stream,
    "gemini": _gemini_stream,
}
