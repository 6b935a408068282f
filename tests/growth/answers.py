"""Whole answers of any size in which one thing comes many times, in each dialect's own words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS, GEMINI, RESPONSES

Members = dict[str, Any]
Makers = dict[str, Callable[[int], Members]]
PIXEL = "iVBORw0KGgo="


def numbered(form: str, n: int) -> list[str]:
    return [f"{form}{number}" for number in range(n)]


# ------------------------------------------------------------------------------------------ anthropic


def message(*content: Members, **members: Any) -> Members:
    usage = {"input_tokens": 1, "output_tokens": 1}
    head = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": content}
    return {**head, "stop_reason": "end_turn", "usage": usage, **members}


def tool_use(id: str, name: str = "run") -> Members:
    return {"type": "tool_use", "id": id, "name": name, "input": {"path": "x"}}


CITED = {"type": "text", "text": "word", "citations": [{"type": "char_location", "cited_text": "word"}]}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "AAAA"}

MESSAGES: Makers = {
    "texts": lambda n: message(*[CITED] * n),
    "calls": lambda n: message(*map(tool_use, numbered("c", n))),
    "calls of one id": lambda n: message(*[tool_use("same")] * n),
    "thinking": lambda n: message(*[THOUGHT] * n),
    "redacted": lambda n: message(*[{"type": "redacted_thinking", "data": "AAAA"}] * n),
    "unknown blocks": lambda n: message(*({"type": kind, "x": 1} for kind in numbered("odd_", n))),
    "extras": lambda n: message(**dict.fromkeys(numbered("x", n), 1)),
    "one text": lambda n: message({"type": "text", "text": "word \u00e9\n" * 100 * n}),
    "usage members": lambda n: message(usage=dict.fromkeys(numbered("tokens", n), 1)),
}

# ----------------------------------------------------------------------------------------------- chat


def choice(number: int = 0, **members: Any) -> Members:
    said = {"role": "assistant", "content": "word", **members}
    return {"index": number, "message": said, "finish_reason": "stop"}


def completion(*choices: Members, **members: Any) -> Members:
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    return {
        "id": "c",
        "object": "chat.completion",
        "model": "m",
        "choices": choices,
        "usage": usage,
        **members,
    }


def function(id: str, name: str = "run") -> Members:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": '{"path":"x"}'}}


def _logprobs(n: int) -> Members:
    tokens = [{"token": "w", "logprob": -1.0, "top_logprobs": [{"token": "w", "logprob": -1.0}]}] * n
    return {**choice(), "logprobs": {"content": tokens}}


COMPLETED: Makers = {
    "calls": lambda n: completion(choice(tool_calls=[*map(function, numbered("c", n))])),
    "calls of one id": lambda n: completion(choice(tool_calls=[function("same")] * n)),
    "calls without ids": lambda n: completion(choice(tool_calls=[function("")] * n), id="i" * n),
    "choices": lambda n: completion(*(choice(number) for number in range(n))),
    "pieces": lambda n: completion(choice(content=[{"type": "text", "text": "word"}] * n)),
    "pieces of thinking": lambda n: completion(
        choice(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}] * n)
    ),
    "images": lambda n: completion(
        choice(images=[{"image_url": {"url": f"data:image/png;base64,{PIXEL}"}}] * n)
    ),
    "annotations": lambda n: completion(
        choice(annotations=[{"type": "url_citation", "url_citation": {"url": "https://e.example"}}] * n)
    ),
    "logprobs": lambda n: completion(_logprobs(n)),
    "extras": lambda n: completion(choice(), **dict.fromkeys(numbered("x", n), 1)),
    "usage members": lambda n: completion(choice(), usage=dict.fromkeys(numbered("tokens", n), 1)),
}

OLD: Makers = {
    "choices": lambda n: completion(
        *({"index": number, "text": "word", "finish_reason": "stop"} for number in range(n))
    ),
    "one text": lambda n: completion({"index": 0, "text": "word " * 100 * n, "finish_reason": "stop"}),
}

# ------------------------------------------------------------------------------------------ responses


def response(*output: Members, **members: Any) -> Members:
    return {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "model": "m",
        "output": output,
        **members,
    }


def item(*content: Members, id: str = "msg_1") -> Members:
    return {"type": "message", "id": id, "role": "assistant", "status": "completed", "content": content}


def output_text(words: str = "word", **members: Any) -> Members:
    return {"type": "output_text", "text": words, "annotations": [], **members}


def function_call(id: str, call: str) -> Members:
    return {"type": "function_call", "id": id, "call_id": call, "name": "run", "arguments": "{}"}


def reasoning(id: str, n: int = 1) -> Members:
    summary = [{"type": "summary_text", "text": "Hm."}] * n
    return {"type": "reasoning", "id": id, "summary": summary, "encrypted_content": "AAAA"}


RESPONDED: Makers = {
    "messages": lambda n: response(*(item(output_text(), id=id) for id in numbered("msg_", n))),
    "items without ids": lambda n: response(*[{"type": "message", "content": [output_text()]}] * n),
    "texts": lambda n: response(item(*[output_text()] * n)),
    "calls": lambda n: response(*(function_call(f"fc_{id}", id) for id in numbered("c", n))),
    "calls of one id": lambda n: response(*[function_call("fc_1", "same")] * n),
    "reasoning": lambda n: response(*map(reasoning, numbered("rs_", n))),
    "sections": lambda n: response(reasoning("rs_1", n), item(output_text())),
    "unknown items": lambda n: response(*({"type": "odd", "id": id} for id in numbered("x", n))),
    "annotations": lambda n: response(
        item(output_text(annotations=[{"type": "url_citation", "url": "https://e.example"}] * n))
    ),
}

# --------------------------------------------------------------------------------------------- gemini


def candidate(*parts: Members, index: int = 0, **members: Any) -> Members:
    return {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": index, **members}


def generated(*candidates: Members, **members: Any) -> Members:
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1}
    return {"candidates": candidates, "usageMetadata": usage, "modelVersion": "m", **members}


def gemini_call(name: str = "run") -> Members:
    return {"functionCall": {"name": name, "args": {"path": "x"}}}


GENERATED: Makers = {
    "texts": lambda n: generated(candidate(*[{"text": "word"}, {"text": "Hm.", "thought": True}] * n)),
    "signed texts": lambda n: generated(candidate(*[{"text": "word", "thoughtSignature": "AAAA"}] * n)),
    "calls": lambda n: generated(candidate(*[gemini_call()] * n)),
    "signed calls": lambda n: generated(candidate(*[{**gemini_call(), "thoughtSignature": "AAAA"}] * n)),
    "images": lambda n: generated(candidate(*[{"inlineData": {"mimeType": "image/png", "data": PIXEL}}] * n)),
    "other parts": lambda n: generated(candidate(*[{"executableCode": {"code": "x"}}] * n)),
    "candidates": lambda n: generated(*(candidate({"text": "w"}, index=number) for number in range(n))),
    "logprobs": lambda n: generated(
        candidate({"text": "w"}, logprobsResult={"chosenCandidates": [{"token": "w"}] * n})
    ),
    "usage members": lambda n: generated(
        candidate({"text": "w"}), usageMetadata=dict.fromkeys(numbered("tokens", n), 1)
    ),
}

ANSWERS: dict[str, Makers] = {
    ANTHROPIC: MESSAGES,
    CHAT: COMPLETED,
    COMPLETIONS: OLD,
    RESPONSES: RESPONDED,
    GEMINI: GENERATED,
}


def written(members: Members) -> bytes:
    """An answer's body."""
    return msgspec.json.encode(members)
