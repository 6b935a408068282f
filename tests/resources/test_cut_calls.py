"""A call whose arguments were cut off, in an answer that its vendor calls whole: no client is to run it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.dialects.ends import is_cut_off, may_be_cut
from tests.cases import each
from tests.resources.test_bent_answers import (
    CHAT,
    CLIENTS,
    DONE,
    MESSAGES,
    RESPONSES,
    ROLE,
    SHAPES,
    call,
    chunk,
    ended_well,
    event,
    failed,
    served,
    whole_chat,
)

WHOLE = '{"path":"a {\\"b\\": [1}"}'
CUT = ('{"path":"a', '{"path":', '{"path":"a","lines":[1,', '{"a":{"b":1}', '{"path":"a\\')


def of_chat(*arguments: str, end: str = "tool_calls", shape: str = "streamed") -> list[bytes]:
    made = [
        {"index": n, "id": f"call_{n}", "type": "function", "function": {"name": "read_file", "arguments": a}}
        for n, a in enumerate(arguments)
    ]
    if shape == "whole":
        message = {"role": "assistant", "content": None, "tool_calls": made}
        return [whole_chat({"index": 0, "message": message, "finish_reason": end})]
    pieces = [ROLE]
    for one in made:
        text = one["function"]["arguments"]
        pieces.append(chunk({"tool_calls": [{**one, "function": {"name": "read_file", "arguments": ""}}]}))
        for at in range(0, len(text), 3):
            rest = {"index": one["index"], "function": {"arguments": text[at : at + 3]}}
            pieces.append(chunk({"tool_calls": [rest]}))
    return [*pieces, chunk({}, end), DONE]


def of_responses(arguments: str, *, shape: str = "streamed", output: bool = True) -> list[bytes]:
    item: dict[str, Any] = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "read_file"}
    done = {**item, "arguments": arguments, "status": "completed"}
    answer = {"id": "resp_1", "object": "response", "created_at": 1, "model": "vendor-model"}
    whole = {**answer, "status": "completed", "output": [done] if output else []}
    if shape == "whole":
        return [json.dumps(whole).encode()]
    return [
        event("response.created", response={**answer, "status": "in_progress", "output": []}),
        event("response.output_item.added", output_index=0, item={**item, "arguments": ""}),
        event("response.function_call_arguments.delta", output_index=0, item_id="fc_1", delta=arguments[:4]),
        event("response.function_call_arguments.delta", output_index=0, item_id="fc_1", delta=arguments[4:]),
        event("response.output_item.done", output_index=0, item=done),
        event("response.completed", response=whole),
    ]


def of_anthropic(arguments: str) -> list[bytes]:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "vendor-model", "content": []}
    block = {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {}}
    return [
        event("message_start", message={**message, "stop_reason": None, "usage": {"input_tokens": 1}}),
        event("content_block_start", index=0, content_block=block),
        event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": arguments}),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 4}),
        event("message_stop"),
    ]


@pytest.mark.parametrize("shape", SHAPES)
@each("arguments", CUT)
@each("end", ["tool_calls", "stop"])
def test_a_cut_call_that_passes(shape: str, arguments: str, end: str) -> None:
    """Where bytes pass, the client gets an error in place of the end; other calls may have come before."""
    mime = "application/json" if shape == "whole" else "text/event-stream"
    for made in ([arguments], [WHOLE, arguments]):
        pieces = of_chat(*made, end=end, shape=shape)
        world, connection = served(CHAT, "chat", shape, *pieces, mime=mime)
        failed(world, connection, shape, "broke off in the middle of a tool call")


@pytest.mark.parametrize("shape", SHAPES)
@each("arguments", CUT)
def test_a_cut_call_of_responses_that_passes(shape: str, arguments: str) -> None:
    """Likewise in Responses, whether or not its last event repeats the calls."""
    mime = "application/json" if shape == "whole" else "text/event-stream"
    for output in (True, False)[: 1 if shape == "whole" else 2]:
        pieces = of_responses(arguments, shape=shape, output=output)
        world, connection = served(RESPONSES, "responses", shape, *pieces, mime=mime)
        failed(world, connection, shape, "broke off in the middle of a tool call")


@each("arguments", CUT)
@each("several", [False, True])
def test_a_cut_call_of_messages_that_passes(arguments: str, several: bool) -> None:
    """Likewise in Messages, however its input comes, and behind a call that is whole."""
    pieces = of_anthropic(WHOLE if several else arguments)
    if several:
        pieces[-2:-2] = [
            piece.replace(b'"index": 0', b'"index": 1') for piece in of_anthropic(arguments)[1:4]
        ]
    for parts in (pieces, [b"".join(pieces)]):
        world, connection = served(MESSAGES, "anthropic", "streamed", *parts)
        failed(world, connection, "streamed", "broke off in the middle of a tool call")


def test_a_long_call_of_messages() -> None:
    """Many pieces that go by together, of which the last is missing or there."""
    for whole in (True, False):
        pieces = of_anthropic("")
        text = json.dumps({"path": "a" * 3000}) if whole else '{"path": "' + "a" * 3000
        cuts = [text[at : at + 7] for at in range(0, len(text), 7)]
        deltas = [{"type": "input_json_delta", "partial_json": cut} for cut in cuts]
        pieces[2:3] = [event("content_block_delta", index=0, delta=delta) for delta in deltas]
        half = len(pieces) // 2
        parts = [*pieces[:6], b"".join(pieces[6:half]), b"".join(pieces[half:])]
        world, connection = served(MESSAGES, "anthropic", "streamed", *parts)
        assert ended_well(world, connection, "streamed") == whole
        if not whole:
            failed(world, connection, "streamed", "broke off in the middle of a tool call")


@each("kind, pieces", [(CHAT, of_chat), (RESPONSES, of_responses), (MESSAGES, of_anthropic)])
@each("arguments", CUT[:2])
def test_a_cut_call_that_is_translated(kind: str, pieces: Any, arguments: str) -> None:
    """In another dialect the answer ends as one that a limit cut off."""
    words = {"anthropic": "max_tokens", "chat": "length", "responses": "incomplete", "gemini": "MAX_TOKENS"}
    own = {CHAT: "chat", RESPONSES: "responses", MESSAGES: "anthropic"}[kind]
    for client in CLIENTS:
        if client != own:
            _, connection = served(kind, client, "streamed", *pieces(arguments))
            assert f'"{words[client]}"' in connection.body.decode()
            assert b'"tool_use","stop_sequence"' not in connection.body


@each("kind, pieces", [(CHAT, of_chat), (RESPONSES, of_responses), (MESSAGES, of_anthropic)])
@each("arguments", [WHOLE, "{}", "", "not JSON", "[1", '{"a": "b\\\\"}'])
def test_what_is_no_cut_call(kind: str, pieces: Any, arguments: str) -> None:
    """Whole calls, and what is no beginning of an object, pass as they come."""
    for client in CLIENTS:
        world, connection = served(kind, client, "streamed", *pieces(arguments))
        assert ended_well(world, connection, "streamed")
        for word in ("max_tokens", '"length"', '"incomplete"', "MAX_TOKENS"):
            assert word not in connection.body.decode().replace("max_output_tokens", "")


def test_a_limit_may_cut_a_call() -> None:
    """An honest end passes."""
    world, connection = served(CHAT, "chat", "streamed", *of_chat(CUT[0], end="length"))
    assert ended_well(world, connection, "streamed")


def test_what_is_cut_off() -> None:
    """Told from whole objects, and from what is none."""
    assert all(map(is_cut_off, CUT))
    assert not any(map(is_cut_off, [WHOLE, "", "{}", "[", '"', "x{", "{'a': 1}"]))
    assert may_be_cut(b'{"arguments":"{\\"a"}', b'{"arguments": "\\":"}')
    assert not may_be_cut(b'{"arguments":"{\\"a"}', b'{"arguments": "\\": 1}"}')
    deep = '{"a":"' + '\\"' * 200_000
    assert is_cut_off(deep)


def test_a_name_that_is_missing_is_told_first() -> None:
    """A call that has neither a name nor an end is one without a name."""
    pieces = [ROLE, chunk(call("", '{"a')), chunk({}, "tool_calls"), DONE]
    world, connection = served(CHAT, "chat", "streamed", *pieces)
    failed(world, connection, "streamed", "names no tool")
