"""Answers that pass within their dialect and are written otherwise than it has them: its clients get them as
they need them, and those of others understand them, too.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cases import each
from tests.resources.test_bent_answers import (
    CHAT,
    DONE,
    GEMINI,
    MESSAGES,
    RESPONSES,
    both,
    chunk,
    ended_well,
    event,
    every,
    failed,
    objects,
    served,
    texts,
    thoughts,
    whole_chat,
)

JSON = "application/json"

# ------------------------------------------------------------------------------ lists in Chat Completions

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
THOUGHTS: dict[str, Any] = {
    "Mistral's": {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
    "Anthropic's": {"type": "thinking", "thinking": "Hm."},
    "a plain one": {"type": "reasoning", "text": "Hm."},
}
WORDS = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]


def listed(shape: str, client: str, thought: dict[str, Any], *more: dict[str, Any]) -> Any:
    """An answer whose content is parts; its stream begins as most do."""
    if shape == "whole":
        message = {"role": "assistant", "content": [thought, *WORDS, *more]}
        body = whole_chat({"index": 0, "message": message, "finish_reason": "stop"})
        return served(CHAT, client, shape, body, mime=JSON)
    pieces = [chunk({"content": [part]}) for part in (thought, *WORDS, *more)]
    begin = chunk({"role": "assistant", "content": ""})
    # One by one, and all in one read.
    for reads in ([begin, *pieces], [begin + b"".join(pieces)]):
        found = served(CHAT, client, shape, *reads, chunk({}, "stop"), DONE)
    return found


@every
@both
@each("form", THOUGHTS)
def test_a_content_that_is_a_list(client: str, shape: str, form: str) -> None:
    """Clients read a text; thinking stands beside it."""
    world, connection = listed(shape, client, THOUGHTS[form])
    assert ended_well(world, connection, shape)
    assert texts(client, shape, connection.body) == "Hello"
    if client != "chat":
        assert thoughts(client, shape, connection.body) == "Hm."
        return
    for value in objects(shape, connection.body):
        message = value["choices"][0]["message" if shape == "whole" else "delta"]
        assert isinstance(message.get("content", ""), str)
    assert connection.body.count(b'"reasoning_content":"Hm."') == 1


@each("client", ["chat", "gemini"])
@both
def test_a_picture_in_the_content(client: str, shape: str) -> None:
    """Stands where routers have it."""
    world, connection = listed(shape, client, {}, PICTURE)
    assert ended_well(world, connection, shape)
    assert texts(client, shape, connection.body) == "Hello"
    assert connection.body.count(b"iVBORw0KGgo=") == 1
    assert (b'"images":[' in connection.body) == (client == "chat")


# --------------------------------------------------------------------------------- calls of Messages


def called(shape: str, client: str, *ids: Any) -> Any:
    """An answer of another server that speaks Messages, with two calls of the same tool."""
    blocks = [{"type": "tool_use", "name": "read_file", "input": {}, **id} for id in ids]
    message = {"id": "m-1", "type": "message", "role": "assistant", "model": "vendor-model", "content": []}
    usage = {"input_tokens": 1, "output_tokens": 2}
    if shape == "whole":
        body = {**message, "content": blocks, "stop_reason": "tool_use", "usage": usage}
        return served(MESSAGES, client, shape, json.dumps(body).encode(), mime=JSON)
    pieces = [event("message_start", message={**message, "usage": usage})]
    for number, block in enumerate(blocks):
        delta = {"type": "input_json_delta", "partial_json": '{"path":"a"}'}
        pieces += [
            event("content_block_start", index=number, content_block=block),
            event("content_block_delta", index=number, delta=delta),
            event("content_block_stop", index=number),
        ]
    end = event("message_delta", delta={"stop_reason": "tool_use"}, usage=usage)
    return served(MESSAGES, client, shape, *pieces, end, event("message_stop"))


@each("client", ["anthropic", "chat", "responses", "gemini"])
@both
@each("id", [{}, {"id": ""}, {"id": None}])
def test_calls_without_an_id(client: str, shape: str, id: dict[str, Any]) -> None:
    """Each has one for the client, or its result could not be given back."""
    world, connection = called(shape, client, id, {"id": "toolu_own"}, id)
    assert ended_well(world, connection, shape)
    text = connection.body.decode()
    assert text.count('"toolu_own"') >= 1
    if client == "anthropic":
        assert text.count('"toolu_test"') == 2
        return
    found = {piece.partition('"')[0] for piece in text.split('"toolu_')[1:]} - {"own"}
    assert len(found) == 2


def test_an_id_that_is_there_stays() -> None:
    """And the bytes around it."""
    _, connection = called("whole", "anthropic", {"id": "toolu_1"}, {"id": "toolu_2"})
    assert b'"id": "toolu_1"}, {' in connection.body


# ------------------------------------------------------------------------------------ names of Gemini's

CALL = {"name": "read_file", "args": {"finish_reason": "x", "some_path": {"function_call": 1}}}
BLOB = {"mime_type": "image/png", "data": "iVBORw0KGgo="}
USAGE = {"prompt_token_count": 3, "candidates_token_count": 2, "total_token_count": 5}


def part(**members: Any) -> dict[str, Any]:
    return {"index": 0, "content": {"role": "model", "parts": [members]}}


def line(**members: Any) -> bytes:
    return b"data: " + json.dumps(members).encode() + b"\n\n"


def dumped(shape: str, client: str, end: str = "STOP", *, named: bool = True) -> Any:
    """An answer by the names of the proto's fields.

    :param named: whether its first event shows that.
    """
    parts = [part(text="Hel"), part(text="lo"), part(function_call=CALL), part(inline_data=BLOB)]
    more = {"model_version": "vendor-model"} if named else {}
    if shape == "whole":
        content = {"role": "model", "parts": [one["content"]["parts"][0] for one in parts]}
        candidate = {"content": content, "finish_reason": end}
        body = {"candidates": [candidate], "usage_metadata": USAGE, **more}
        return served(GEMINI, client, shape, json.dumps(body).encode(), mime=JSON)
    last = line(candidates=[{"finish_reason": end}], usage_metadata=USAGE, **more)
    return served(GEMINI, client, shape, *(line(candidates=[one], **more) for one in parts), last)


@every
@both
@each("named", [True, False])
def test_names_with_underscores(client: str, shape: str, named: bool) -> None:
    """As SDKs for Python dump an answer; what a function takes keeps its names."""
    world, connection = dumped(shape, client, named=named)
    assert ended_well(world, connection, shape)
    assert texts(client, shape, connection.body) == "Hello"
    assert world.exchanges[-1]["input"] == 3
    body = connection.body.decode().replace("\\", "").replace(" ", "")
    assert '{"finish_reason":"x","some_path":{"function_call":1}}' in body
    if client == "gemini":
        values = list(objects(shape, connection.body))
        assert values[-1]["candidates"][0]["finishReason"] == "STOP"
        assert values[-1]["usageMetadata"]["promptTokenCount"] == 3
        found = json.dumps(values)
        assert '"functionCall"' in found
        assert '"inlineData": {"mimeType"' in found


@each("client", ["gemini", "chat"])
@both
@each("named", [True, False])
def test_a_break_by_its_other_name(client: str, shape: str, named: bool) -> None:
    """Is no good end."""
    world, connection = dumped(shape, client, "MALFORMED_FUNCTION_CALL", named=named)
    if client == "gemini":
        assert world.exchanges[-1]["outcome"] != "completed"
        assert b'"finishReason":"MALFORMED_FUNCTION_CALL"' in connection.body
    else:
        failed(world, connection, shape, "MALFORMED_FUNCTION_CALL")


@each("client", ["gemini", "anthropic"])
@both
def test_a_block_by_its_other_name(client: str, shape: str) -> None:
    """A prompt that was refused has no candidates."""
    body = {"prompt_feedback": {"block_reason": "SAFETY"}}
    if shape == "whole":
        world, connection = served(GEMINI, client, shape, json.dumps(body).encode(), mime=JSON)
    else:
        world, connection = served(GEMINI, client, shape, line(**body))
    assert ended_well(world, connection, shape)
    assert (b'"blockReason"' if client == "gemini" else b'"refusal"') in connection.body


# --------------------------------------------------------------------------- the last event of Responses

ITEM = {"type": "message", "id": "msg_1", "role": "assistant"}
TEXT = {**ITEM, "content": [{"type": "output_text", "text": "Hello", "annotations": []}]}


@each("output", [{"output": []}, {}, {"output": None}, {"output": [TEXT]}])
@each("end", ["response.completed", "response.incomplete", "response.done"])
@each("client", ["responses", "chat"])
def test_a_last_event_without_the_output(output: dict[str, Any], end: str, client: str) -> None:
    """Clients take the answer from it; all other events are as they came."""
    second = {**TEXT, "id": "msg_2"}
    before = [
        event("response.created", sequence_number=0, response={"id": "r", "output": []}),
        event("response.output_item.added", sequence_number=1, output_index=0, item={**ITEM, "content": []}),
        event(
            "response.output_text.delta", sequence_number=2, output_index=0, content_index=0, delta="Hello"
        ),
        event("response.output_item.done", sequence_number=3, output_index=0, item=TEXT),
        event("response.output_item.done", sequence_number=4, output_index=1, item=second),
    ]
    response = {"id": "r", "status": end.replace("done", "completed")[9:], **output}
    last_event = event(end, sequence_number=5, response=response)
    world, connection = served(RESPONSES, client, "streamed", *before, last_event)
    assert ended_well(world, connection, "streamed")
    if client == "chat":
        assert texts(client, "streamed", connection.body).startswith("Hello")
        return
    assert connection.body.startswith(b"".join(before))
    last = list(objects("streamed", connection.body))[-1]
    assert last["type"] == end.replace("done", "completed")
    assert last["response"] == {**response, "output": output.get("output") or [TEXT, second]}


# ------------------------------------------------------------------------------ calls of Chat Completions


def pieces_of(
    *calls: dict[str, Any], end: str = "tool_calls", shape: str = "streamed"
) -> tuple[list[bytes], str]:
    """An answer with calls: in a stream each is a chunk."""
    if shape == "whole":
        message = {"role": "assistant", "content": None, "tool_calls": calls}
        return [whole_chat({"index": 0, "message": message, "finish_reason": end})], JSON
    return [*(chunk({"tool_calls": [one]}) for one in calls), chunk({}, end), DONE], "text/event-stream"


def calls_in(shape: str, body: bytes) -> list[dict[str, Any]]:
    """The calls that a client of Chat Completions puts together: it goes by their numbers."""
    found: dict[int, dict[str, Any]] = {}
    for value in objects(shape, body):
        for choice in value["choices"]:
            pieces = choice["message" if shape == "whole" else "delta"].get("tool_calls") or ()
            for place, piece in enumerate(pieces):
                assert ("index" in piece) == (shape == "streamed")
                call = found.setdefault(piece.get("index", place), {"arguments": ""})
                call["arguments"] += piece["function"]["arguments"]
                call |= {name: piece[name] for name in ("id", "type") if piece.get(name)}
                call |= {"name": piece["function"]["name"]} if piece["function"].get("name") else {}
    return [call for _, call in sorted(found.items())]


NAMED = {"name": "read_file", "arguments": '{"path":"a"}'}
ODD_CALLS: dict[str, dict[str, Any]] = {
    "no number": {"id": "call_1", "type": "function", "function": NAMED},
    "no id": {"index": 0, "type": "function", "function": NAMED},
    "an id that is null": {"index": 0, "id": None, "type": "function", "function": NAMED},
    "no type": {"index": 0, "id": "call_1", "function": NAMED},
    "an object": {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {**NAMED, "arguments": {"path": "a"}},
    },
}


@each("case", ODD_CALLS)
@both
def test_calls_that_lack_something(case: str, shape: str) -> None:
    """Their numbers, ids and types are there, and their arguments are a text; others are told apart."""
    odd = {name: value for name, value in ODD_CALLS[case].items() if shape != "whole" or name != "index"}
    second = {"id": "call_2", "type": "function", "function": NAMED}
    if "index" in odd:
        second["index"] = 1
    pieces, mime = pieces_of(odd, second, shape=shape)
    world, connection = served(CHAT, "chat", shape, *pieces, mime=mime)
    assert ended_well(world, connection, shape)
    found = calls_in(shape, connection.body)
    assert [json.loads(call["arguments"]) for call in found] == [{"path": "a"}] * 2
    assert [call["type"] for call in found] == ["function"] * 2
    assert [call["name"] for call in found] == ["read_file"] * 2
    assert len({call["id"] for call in found}) == 2


@both
def test_a_call_without_arguments(shape: str) -> None:
    """A whole one has those of none; in a stream they may yet come."""
    first = {"id": "call_1", "type": "function", "function": {"name": "read_file", "arguments": None}}
    if shape == "streamed":
        pieces, mime = pieces_of({"index": 0, **first}, {"index": 0, "function": {"arguments": "{}"}})
    else:
        pieces, mime = pieces_of(first, shape=shape)
    _, connection = served(CHAT, "chat", shape, *pieces, mime=mime)
    assert calls_in(shape, connection.body)[0]["arguments"] == "{}"


@both
def test_calls_that_end_with_stop(shape: str) -> None:
    """Clients run them at ``tool_calls`` alone."""
    call = {"id": "call_1", "type": "function", "function": NAMED}
    pieces, mime = pieces_of(call if shape == "whole" else {"index": 0, **call}, end="stop", shape=shape)
    _, connection = served(CHAT, "chat", shape, *pieces, mime=mime)
    assert b'"finish_reason": "tool_calls"' in connection.body
    assert b'"stop"' not in connection.body


def test_chunks_that_lack_something() -> None:
    """A list of choices is there, if an empty one, and a reason is one or none."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    last = b'data: {"id":"c-1","object":"chat.completion.chunk","usage":%b}\n\n' % json.dumps(usage).encode()
    null = last.replace(b'"usage"', b'"choices":null,"usage"')
    for end in (last, null):
        pieces = [chunk({"content": "Hel"}, ""), chunk({"content": "lo"}, ""), chunk({}, "stop"), end, DONE]
        world, connection = served(CHAT, "chat", "streamed", *pieces)
        assert ended_well(world, connection, "streamed")
        values = list(objects("streamed", connection.body))
        reasons = [choice["finish_reason"] for value in values for choice in value["choices"]]
        assert reasons == [None, None, "stop"]
        assert values[-1]["choices"] == []


# ----------------------------------------------------------------------------------- events of Messages

USED = {"input_tokens": 1, "output_tokens": 2}
BEGUN = {"id": "m-1", "type": "message", "role": "assistant", "model": "vendor-model", "content": []}
BLOCK = {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {}}


def test_events_without_their_names() -> None:
    """The SDK goes by those."""
    named = [
        event("message_start", message={**BEGUN, "usage": USED}),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"}),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2}),
        event("message_stop"),
    ]
    bare = [one[one.index(b"data: ") :] for one in named]
    world, connection = served(MESSAGES, "anthropic", "streamed", *bare)
    assert ended_well(world, connection, "streamed")
    assert connection.body == b"".join(named).replace(b"vendor-model", b"model")


def test_what_messages_lack() -> None:
    """Content and usage of a beginning, the end of a block, and the usage of the answer's end."""
    begun = {name: value for name, value in BEGUN.items() if name != "content"}
    delta = event("message_delta", delta={"stop_reason": "end_turn"})
    block = event("content_block_start", index=0, content_block={"type": "text", "text": "Hi"})
    pieces = [event("message_start", message=begun), block, delta, event("message_stop")]
    world, connection = served(MESSAGES, "anthropic", "streamed", *pieces)
    assert ended_well(world, connection, "streamed")
    values = list(objects("streamed", connection.body))
    assert values[0]["message"]["content"] == []
    assert values[0]["message"]["usage"] == {"input_tokens": 0, "output_tokens": 0}
    assert values[2]["type"] == "content_block_stop"
    assert values[3]["usage"] == {"output_tokens": 0}


@both
def test_calls_of_messages_that_end_as_turns_do(shape: str) -> None:
    """Clients run them at ``tool_use`` alone."""
    if shape == "whole":
        body = {**BEGUN, "content": [BLOCK], "stop_reason": "end_turn", "usage": USED}
        _, connection = served(MESSAGES, "anthropic", shape, json.dumps(body).encode(), mime=JSON)
        assert json.loads(connection.body)["stop_reason"] == "tool_use"
        return
    pieces = [
        event("message_start", message={**BEGUN, "usage": USED}),
        event("content_block_start", index=0, content_block=BLOCK),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn"}, usage=USED),
        event("message_stop"),
    ]
    _, connection = served(MESSAGES, "anthropic", shape, *pieces)
    assert list(objects(shape, connection.body))[3]["delta"]["stop_reason"] == "tool_use"


@each("usage", [{}, {"usage": None}])
def test_a_whole_message_without_usage(usage: dict[str, Any]) -> None:
    """Agents add it up unasked."""
    body = {**BEGUN, "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", **usage}
    world, connection = served(MESSAGES, "anthropic", "whole", json.dumps(body).encode(), mime=JSON)
    assert ended_well(world, connection, "whole")
    found = json.loads(connection.body)
    assert found["usage"] == {"input_tokens": 0, "output_tokens": 0}
    assert texts("anthropic", "whole", connection.body) == "Hi"


@each("content", ["Hi", ""])
def test_a_content_that_is_a_text(content: str) -> None:
    """Blocks, for the clients of Messages."""
    body = {**BEGUN, "content": content, "stop_reason": "end_turn", "usage": USED}
    _, connection = served(MESSAGES, "anthropic", "whole", json.dumps(body).encode(), mime=JSON)
    assert json.loads(connection.body)["content"] == ([{"type": "text", "text": "Hi"}] if content else [])


@each("input", [{"input": '{"path":"a"}'}, {"input": {"path": "a"}}, {}])
def test_an_input_in_another_form(input: dict[str, Any]) -> None:
    """An object, for the clients of Messages."""
    block = {name: value for name, value in BLOCK.items() if name != "input"}
    body = {**BEGUN, "content": [{**block, **input}], "stop_reason": "tool_use", "usage": USED}
    _, connection = served(MESSAGES, "anthropic", "whole", json.dumps(body).encode(), mime=JSON)
    assert json.loads(connection.body)["content"][0]["input"] == ({"path": "a"} if input else {})


# -------------------------------------------------------------------------------- JSON that is not quite


@every
@both
@each("odd", ["a control character", "NaN", "infinity"])
def test_json_that_no_decoder_takes(client: str, shape: str, odd: str) -> None:
    """Servers that write it by hand, or in Python, are understood, and clients get what they can read."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    text, number = ("He\nllo", "1") if odd == "a control character" else ("Hello", "NaN")
    number = "-Infinity" if odd == "infinity" else number

    def written(body: bytes) -> bytes:
        return body.replace(b"\\n", b"\n").replace(
            b'"prompt_tokens": 1', b'"prompt_tokens": ' + number.encode()
        )

    if shape == "whole":
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        world, connection = served(CHAT, client, shape, written(whole_chat(choice, usage=usage)), mime=JSON)
    else:
        # In an event a line end would end the line.
        text = text.replace("\n", "\t")
        pieces = [chunk({"content": text}).replace(rb"\t", b"\t"), chunk({}, "stop", usage=usage), DONE]
        world, connection = served(CHAT, client, shape, *map(written, pieces))
    assert ended_well(world, connection, shape)
    assert texts(client, shape, connection.body) == text


@every
@each("sign", ["null", "ping", '"keepalive"', "[HEARTBEAT]"])
def test_events_that_say_nothing(client: str, sign: str) -> None:
    """They show that the server lives, to the client as well."""
    alive = f"data: {sign}\n\n".encode()
    pieces = [
        alive,
        chunk({"content": "Hel"}),
        alive,
        chunk({"content": "lo"}),
        chunk({}, "stop"),
        alive,
        DONE,
    ]
    world, connection = served(CHAT, client, "streamed", *pieces)
    assert ended_well(world, connection, "streamed")
    assert texts(client, "streamed", connection.body) == "Hello"


@pytest.mark.parametrize("client", ["chat", "anthropic"])
def test_other_events_that_are_none(client: str) -> None:
    """What may be an error is one."""
    for data in (b'data: "out of memory"\n\n', b"data: out of memory\n\n", b"data: 7\n\n"):
        world, connection = served(CHAT, client, "streamed", data, DONE)
        failed(world, connection, "streamed", "")
