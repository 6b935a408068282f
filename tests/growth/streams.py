"""Streams of any size in which one thing comes many times, as events in each dialect's own words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import msgspec

from ampproxy.model.base import ANTHROPIC, CHAT, COMPLETIONS, GEMINI, RESPONSES

Members = dict[str, Any]
Events = Iterable[Members]
DONE = b"data: [DONE]\n\n"


def _each(n: int, *made: Callable[[int], Members]) -> Iterator[Members]:
    """One after the other, each with all its events."""
    return (make(number) for number in range(n) for make in made)


def _layers(n: int, *made: Callable[[int], Members]) -> Iterator[Members]:
    """All of the first kind, then all of the second."""
    return (make(number) for make in made for number in range(n))


# ------------------------------------------------------------------------------------------ anthropic

_START = {"type": "message_start", "message": {"id": "m", "model": "m", "usage": {"input_tokens": 1}}}
_CALL = {"type": "tool_use", "id": "t", "name": "run", "input": {}}
_TEXT = {"type": "text", "text": ""}


def _begin(block: Members) -> Callable[[int], Members]:
    return lambda number: {
        "type": "content_block_start",
        "index": number,
        "content_block": {**block, "id": f"t{number}"} if block is _CALL else block,
    }


def _grow(kind: str, member: str, words: str) -> Callable[[int], Members]:
    delta = {"type": kind, member: words}
    return lambda number: {"type": "content_block_delta", "index": number, "delta": delta}


def _stop(number: int) -> Members:
    return {"type": "content_block_stop", "index": number}


_WORDS = _grow("text_delta", "text", "word")
_INPUT = _grow("input_json_delta", "partial_json", "{}")
_SIGNED = _grow("signature_delta", "signature", "AAAA")
_THOUGHT = {"type": "thinking", "thinking": "", "signature": ""}
_ODD = {"type": "odd_block", "x": 1}


def _usage(number: int) -> Members:
    usage = {"output_tokens": number, f"tokens_{number}": {"of": "some kind"}}
    return {"type": "message_delta", "delta": {}, "usage": usage}


def _message(events: Events) -> bytes:
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}
    whole = chain((_START,), events, (end, {"type": "message_stop"}))
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), msgspec.json.encode(event)) for event in whole
    )


MESSAGES: dict[str, Callable[[int], Events]] = {
    "deltas": lambda n: chain((_begin(_TEXT)(0),), (_WORDS(0) for _ in range(n))),
    "texts": lambda n: _each(n, _begin(_TEXT), _WORDS, _stop),
    "calls": lambda n: _each(n, _begin(_CALL), _INPUT, _stop),
    "open texts": lambda n: _layers(n, _begin(_TEXT), _WORDS),
    "open calls": lambda n: _layers(n, _begin(_CALL), _INPUT),
    "open calls closed in their order": lambda n: _layers(n, _begin(_CALL), _INPUT, _stop),
    "open calls closed backwards": lambda n: chain(
        _layers(n, _begin(_CALL), _INPUT), (_stop(number) for number in reversed(range(n)))
    ),
    "thinking": lambda n: _each(n, _begin(_THOUGHT), _SIGNED, _stop),
    "late proofs": lambda n: _layers(n, _begin(_THOUGHT), _stop, _SIGNED),
    "unknown blocks": lambda n: _each(n, _begin(_ODD), _stop),
    "one index over and over": lambda n: (_begin(_CALL)(0) for _ in range(n)),
    "usage members": lambda n: _each(n, _usage),
    "pings": lambda n: ({"type": "ping"} for _ in range(n)),
}

# ----------------------------------------------------------------------------------------------- chat


def _chunk(*choices: Members, **members: Any) -> Members:
    return {"id": "c", "created": 1, "model": "m", "choices": choices, **members}


def _delta(index: int = 0, finish: str | None = None, **delta: Any) -> Members:
    return {"index": index, "delta": delta, "finish_reason": finish}


def _calling(number: int, arguments: str, **members: Any) -> Members:
    function = {**members.pop("function", {}), "arguments": arguments}
    return _chunk(_delta(tool_calls=[{"index": number, "function": function, **members}]))


def _called(number: int) -> Members:
    return _calling(number, "", id=f"c{number}", function={"name": "run"})


def _named_again(number: int) -> Members:
    """A server that repeats the name with each piece, and gives no id."""
    call = {"index": 0, "function": {"name": "run", "arguments": '{"a":"' if not number else "}"}}
    return _chunk(_delta(tool_calls=[call]))


_STOPPED = {"choices": [_delta(finish="stop")]}


def _completion(events: Events, end: Members = _STOPPED) -> bytes:
    return b"".join(b"data: %b\n\n" % msgspec.json.encode(event) for event in chain(events, (end,))) + DONE


COMPLETED: dict[str, Callable[[int], Events]] = {
    "deltas": lambda n: (_chunk(_delta(content="word")) for _ in range(n)),
    "calls": lambda n: _each(n, _called, lambda number: _calling(number, "{}")),
    "open calls": lambda n: _layers(n, _called, lambda number: _calling(number, "{}")),
    "calls that grow in turn": lambda n: _layers(
        n, _called, *[lambda number: _calling(number, " ")] * 3, lambda number: _calling(number, "{}")
    ),
    "calls by id": lambda n: _layers(
        n,
        *[lambda number: _chunk(_delta(tool_calls=[{"id": f"c{number}", "function": {"name": "run"}}]))] * 2,
    ),
    "a name over and over": lambda n: _each(n, _named_again),
    "calls, and an end with each": lambda n: _each(
        n, _called, lambda number: _chunk(_delta(finish="tool_calls"))
    ),
    "choices": lambda n: (_chunk(_delta(number, content="word", finish="stop")) for number in range(n)),
    "choices in one chunk": lambda n: (
        _chunk(*(_delta(number, "stop", content="word") for number in range(n))),
    ),
    "words and thoughts": lambda n: _each(
        n,
        lambda number: _chunk(_delta(content="word")),
        lambda number: _chunk(_delta(reasoning_content="Hm.")),
    ),
    "calls of choices": lambda n: (
        _chunk(_delta(number, tool_calls=[{"index": 0, "id": "c", "function": {"name": "run"}}]))
        for number in range(n)
    ),
    "annotations": lambda n: chain(
        (_chunk(_delta(content="word")),),
        (_chunk(_delta(annotations=[{"type": "odd", "n": number}])) for number in range(n)),
    ),
    "usage members": lambda n: (
        _chunk(usage={"prompt_tokens": 1, f"tokens_{number}": 1}) for number in range(n)
    ),
    "a long id": lambda n: (
        {**_chunk(_delta(content="word")), "id": "i" * 20 * n if not number else "c"} for number in range(n)
    ),
    "long extras": lambda n: (
        _chunk(_delta(content="word"), **({} if number else {"provider": "p" * 20 * n}))
        for number in range(n)
    ),
}

OLD: dict[str, Callable[[int], Events]] = {
    "deltas": lambda n: ({"choices": [{"index": 0, "text": "word"}]} for _ in range(n)),
    "choices": lambda n: ({"choices": [{"index": number, "text": "w"} for number in range(n)]},),
}
_OLD_END = {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}

# ------------------------------------------------------------------------------------------ responses


def _added(item: Members) -> Callable[[int], Members]:
    return lambda number: {
        "type": "response.output_item.added",
        "output_index": number,
        "item": {**item, "id": f"i{number}", "call_id": f"c{number}"},
    }


def _done(item: Members) -> Callable[[int], Members]:
    return lambda number: {**_added(item)(number), "type": "response.output_item.done"}


def _said(kind: str, words: str = "word", **members: Any) -> Callable[[int], Members]:
    return lambda number: {
        "type": f"response.{kind}.delta",
        "output_index": number,
        "content_index": 0,
        "delta": words,
        **members,
    }


_MESSAGE = {"type": "message", "content": []}
_FUNCTION = {"type": "function_call", "name": "run", "arguments": "{}"}
_REASONING = {"type": "reasoning", "summary": [], "encrypted_content": "AAAA"}


def _all(items: Events) -> Members:
    return {"id": "resp_1", "model": "m", "status": "completed", "output": list(items)}


def _response(events: Events) -> bytes:
    start = {"type": "response.created", "response": {"id": "resp_1", "model": "m"}}
    return _named(chain((start,), events, ({"type": "response.completed", "response": _all(())},)))


def _named(events: Events) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), msgspec.json.encode(event)) for event in events
    )


RESPONDED: dict[str, Callable[[int], Events]] = {
    "deltas": lambda n: (_said("output_text")(0) for _ in range(n)),
    "messages": lambda n: _each(n, _added(_MESSAGE), _said("output_text"), _done(_MESSAGE)),
    "open messages": lambda n: _layers(n, _added(_MESSAGE), _said("output_text")),
    "open calls": lambda n: _layers(n, _added(_FUNCTION), _said("function_call_arguments", "{}")),
    "calls": lambda n: _each(n, _added(_FUNCTION), _done(_FUNCTION)),
    "reasoning": lambda n: _each(n, _added(_REASONING), _done(_REASONING)),
    "open reasoning": lambda n: _layers(n, _added(_REASONING)),
    "sections": lambda n: (
        {**_said("reasoning_summary_text")(0), "summary_index": number} for number in range(n)
    ),
    "texts": lambda n: ({**_said("output_text")(0), "content_index": number} for number in range(n)),
    "items told at the end": lambda n: chain(
        _layers(n, _added(_FUNCTION)),
        (
            {
                "type": "response.completed",
                "response": _all(_added(_FUNCTION)(number)["item"] for number in reversed(range(n))),
            },
        ),
    ),
    "ends": lambda n: chain(
        _each(n, _added(_MESSAGE), _done(_MESSAGE)),
        ({"type": "response.completed", "response": _all(())} for _ in range(n)),
    ),
    "refusals": lambda n: _each(n, _said("refusal")),
}

# --------------------------------------------------------------------------------------------- gemini


def _generated(*parts: Members, index: int = 0, **members: Any) -> Members:
    return {"candidates": [{"content": {"parts": parts, "role": "model"}, "index": index}], **members}


_RUN = {"functionCall": {"name": "run", "args": {}}}
_END = {"candidates": [{"finishReason": "STOP", "index": 0}], "usageMetadata": {"promptTokenCount": 1}}


def _generation(events: Events) -> bytes:
    return b"".join(b"data: %b\n\n" % msgspec.json.encode(event) for event in chain(events, (_END,)))


def as_array(events: Events) -> bytes:
    """The same as a JSON list that grows."""
    return msgspec.json.encode([*events, _END])


GENERATED: dict[str, Callable[[int], Events]] = {
    "deltas": lambda n: (_generated({"text": "word"}) for _ in range(n)),
    "words and thoughts": lambda n: _each(
        n,
        lambda number: _generated({"text": "word"}),
        lambda number: _generated({"text": "Hm.", "thought": True}),
    ),
    "calls": lambda n: (_generated(_RUN) for _ in range(n)),
    "calls in one chunk": lambda n: (_generated(*[_RUN] * n),),
    "other parts in one chunk": lambda n: (_generated(*[{"executableCode": {"code": "x"}}] * n),),
    "candidates": lambda n: (_generated({"text": "w"}, index=number) for number in range(n)),
    "late candidates": lambda n: _layers(n, *[lambda number: _generated({"text": "w"}, index=number)] * 2),
    "long extras": lambda n: (
        _generated(
            _RUN, **({} if number else {"modelStatus": {"message": "m" * 20 * n}, "responseId": "i" * 20 * n})
        )
        for number in range(n)
    ),
}

STREAMS: dict[str, dict[str, Callable[[int], Events]]] = {
    ANTHROPIC: MESSAGES,
    CHAT: COMPLETED,
    COMPLETIONS: OLD,
    RESPONSES: RESPONDED,
    GEMINI: GENERATED,
}
_WRITERS: dict[str, Callable[[Events], bytes]] = {
    ANTHROPIC: _message,
    CHAT: _completion,
    COMPLETIONS: lambda events: _completion(events, _OLD_END),
    RESPONSES: _response,
    GEMINI: _generation,
}


def written(dialect: str, events: Events) -> bytes:
    """A stream's bytes."""
    return _WRITERS[dialect](events)
