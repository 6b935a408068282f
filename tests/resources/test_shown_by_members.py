"""Answers whose form their members alone show, since a vendor leaves out what names it; and answers that end
in other words than their dialect has.
"""

from __future__ import annotations

import json
from typing import Any

from tests.cases import each
from tests.resources.test_bent_answers import (
    CHAT,
    CLIENTS,
    DONE,
    GEMINI,
    MESSAGES,
    RESPONSES,
    ROLE,
    START,
    STOP,
    call,
    calls,
    chunk,
    ended_well,
    event,
    failed,
    objects,
    response,
    served,
    texts,
    whole_chat,
)
from tests.resources.test_line_streams import candidate
from tests.resources.test_odd_answers import message

JSON = "application/json"
EVENTS = "text/event-stream"
WORDS = {"text": "Hello"}
CALL = {"id": "a", "name": "read_file", "input": {"path": "a"}}
ARGUMENTS = '{"path":"a"}'


def data(*values: Any) -> list[bytes]:
    """Events without a name."""
    return [b"data: " + json.dumps(value).encode() + b"\n\n" for value in values]


def block(number: int, start: Any, *deltas: Any) -> list[bytes]:
    """The events of a block of Messages."""
    return [
        event("content_block_start", index=number, content_block=start),
        *(event("content_block_delta", index=number, delta=delta) for delta in deltas),
        event("content_block_stop", index=number),
    ]


def ending(reason: str) -> list[bytes]:
    return [event("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 2}), STOP]


def a_message(*content: Any, **members: Any) -> bytes:
    """A whole answer of Messages."""
    usage = {"input_tokens": 1, "output_tokens": 2}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "usage": usage}
    return json.dumps({**head, "content": content, "stop_reason": "end_turn", **members}).encode()


def a_choice(**members: Any) -> dict[str, Any]:
    """A chunk of Chat Completions with this in its one choice."""
    return {"id": "c-1", "object": "chat.completion.chunk", "choices": {"index": 0, **members}}


def of_items(*items: Any, **members: Any) -> bytes:
    """A whole answer of Responses."""
    return json.dumps(response("completed", list(items), **members)).encode()


BARE = {"id": "msg_1", "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn"}
LATE = {"index": 0, "delta": {}, "finish_reason": "tool_calls", "message": call("read_file", ARGUMENTS)}
ITEM = {"role": "assistant", "content": [{"text": "Hello"}]}
FUNCTION = {"call_id": "a", "name": "read_file", "arguments": {"path": "a"}}

#: The vendor, whether it streams, and what it sends; all of it says "Hello".
FORMS: dict[str, tuple[str, str, list[bytes]]] = {
    "blocks without a type": (MESSAGES, "whole", [a_message(WORDS)]),
    "a streamed block without a type": (
        MESSAGES,
        "streamed",
        [START, *block(0, {"text": ""}, {"text": "Hel"}, {"text": "lo"}), *ending("end_turn")],
    ),
    "texts in the place of blocks": (MESSAGES, "whole", [a_message("Hel", "lo")]),
    "a message without type and role": (MESSAGES, "whole", [json.dumps(BARE).encode()]),
    "a message that names no end": (MESSAGES, "whole", [a_message(WORDS, stop_reason=None)]),
    "one choice alone": (
        CHAT,
        "streamed",
        [*data(a_choice(delta={"content": "Hello"}), a_choice(delta={}, finish_reason="stop")), DONE],
    ),
    "one choice alone, whole": (
        CHAT,
        "whole",
        [json.dumps({"id": "c-1", "choices": message("Hello")}).encode()],
    ),
    "deltas in lists": (CHAT, "streamed", [chunk([{"content": "Hello"}]), chunk([], "stop"), DONE]),  # type: ignore[arg-type]
    "a text in the place of a delta": (
        CHAT,
        "streamed",
        [*data({"id": "c-1", "choices": [{"text": "Hello"}]}), chunk({}, "stop"), DONE],
    ),
    "a text in the place of a message": (
        CHAT,
        "whole",
        [whole_chat({"index": 0, "text": "Hello", "finish_reason": "stop"})],
    ),
    "an empty object to show life": (
        CHAT,
        "streamed",
        [*data({}), chunk({"content": "Hel"}), *data({}), chunk({"content": "lo"}, "stop"), DONE],
    ),
    "items without a type": (RESPONSES, "whole", [of_items(ITEM)]),
    "the text of all items alone": (RESPONSES, "whole", [of_items(output_text="Hello")]),
    "a whole message in one event": (MESSAGES, "streamed", [b"data: " + a_message(WORDS) + b"\n\n"]),
    "a whole response in one event": (
        RESPONSES,
        "streamed",
        [b"event: message\ndata: " + of_items(ITEM) + b"\n\n", DONE],
    ),
    "a whole message in an event for a whole one": (
        MESSAGES,
        "whole",
        [b"data: " + a_message(WORDS) + b"\n\n"],
    ),
    "a list in the place of events": (
        GEMINI,
        "streamed",
        [json.dumps([candidate("Hel"), candidate("lo", finishReason="STOP")], indent=1).encode()],
    ),
    "a text in the place of a content": (
        GEMINI,
        "whole",
        [json.dumps({"candidates": {"content": "Hello", "finishReason": "FINISH_REASON_STOP"}}).encode()],
    ),
    "a field that is written twice": (
        CHAT,
        "streamed",
        [b"data: " + one for one in (chunk({"content": "Hello"}), chunk({}, "stop"), DONE)],
    ),
    "blocks in the beginning alone": (
        MESSAGES,
        "streamed",
        [
            START.replace(b'"content": []', b'"content": [{"type": "text", "text": "Hello"}]'),
            *ending("end_turn"),
        ],
    ),
}


@each("form", FORMS)
@each("client", CLIENTS)
def test_an_answer_that_its_members_show(form: str, client: str) -> None:
    """Each client gets it as its own dialect has it."""
    vendor, shape, pieces = FORMS[form]
    if client == "anthropic" and form == "blocks in the beginning alone":
        # Its SDKs begin with what the first event has.
        return
    mime = JSON if shape == "whole" or form.startswith("a list") else EVENTS
    world, connection = served(vendor, client, shape, *pieces, mime=mime)
    assert ended_well(world, connection, shape)
    assert texts(client, shape, connection.body) == "Hello"
    assert b"text/event-stream" in connection.answer or shape == "whole"


#: The same of a call of the tool.
CALLS: dict[str, tuple[str, str, list[bytes]]] = {
    "a block without a type": (MESSAGES, "whole", [a_message(CALL)]),
    "a streamed block without a type": (MESSAGES, "streamed", [START, *block(0, CALL), *ending("tool_use")]),
    "an input that is an object": (
        MESSAGES,
        "streamed",
        [
            START,
            *block(
                0,
                {"type": "tool_use", "id": "a", "name": "read_file", "input": {}},
                {"type": "input_json_delta", "partial_json": {"path": "a"}},
            ),
            *ending("tool_calls"),
        ],
    ),
    "calls in a late message alone": (
        CHAT,
        "streamed",
        [ROLE, *data({"id": "c-1", "choices": [LATE]}), DONE],
    ),
    "an item without a type": (RESPONSES, "whole", [of_items(FUNCTION)]),
    "no function around it": (
        CHAT,
        "streamed",
        [
            ROLE,
            chunk({"tool_calls": [{"index": 0, "id": "a", "name": "read_file", "arguments": ARGUMENTS}]}),
            chunk({}, "tool_calls"),
            DONE,
        ],
    ),
}
#: By these words clients know that they have to run a tool.
RUNS = {"anthropic": "tool_use", "chat": "tool_calls", "responses": "function_call", "gemini": "functionCall"}


@each("form", CALLS)
@each("client", CLIENTS)
def test_a_call_that_its_members_show(form: str, client: str) -> None:
    """Likewise; and the answer ends as one with a call does."""
    vendor, shape, pieces = CALLS[form]
    world, connection = served(vendor, client, shape, *pieces, mime=JSON if shape == "whole" else EVENTS)
    assert ended_well(world, connection, shape)
    assert calls(connection.body)
    assert f'"{RUNS[client]}"' in connection.body.decode()
    if client == "chat" and shape == "streamed":
        functions = [
            piece["function"]
            for one in objects(shape, connection.body)
            for choice in one["choices"]
            for piece in choice["delta"].get("tool_calls") or ()
        ]
        assert (
            "".join(function.get("arguments") or "" for function in functions).replace(" ", "") == ARGUMENTS
        )
    if client == "anthropic":
        held = connection.body.decode()
        assert '"stop_reason": "tool_use"' in held or '"stop_reason":"tool_use"' in held


def test_two_tools_under_one_number() -> None:
    """And even under one id: two calls, each with an id of its own, and whole in what follows."""
    first = {"id": "a", "index": 0, "type": "function", "function": {"name": "list_all", "arguments": "{}"}}
    second = {**first, "function": {"name": "read_file", "arguments": '{"path":'}}
    rest = {"index": 0, "function": {"arguments": '"a"}'}}
    pieces = [chunk({"tool_calls": [one]}) for one in (first, second, rest)]
    for client in CLIENTS:
        world, connection = served(CHAT, client, "streamed", ROLE, *pieces, chunk({}, "tool_calls"), DONE)
        assert ended_well(world, connection, "streamed")
        assert connection.body.count(b'"list_all"') >= 1
        assert connection.body.count(b"list_allread_file") == 0
        if client != "chat":
            continue
        found: dict[int, list[str]] = {}
        for one in objects("streamed", connection.body):
            for piece in one["choices"][0]["delta"].get("tool_calls") or ():
                name, id, arguments = found.setdefault(piece["index"], ["", "", ""])
                function = piece["function"]
                found[piece["index"]] = [
                    name + (function.get("name") or ""),
                    id + (piece.get("id") or ""),
                    arguments + function["arguments"],
                ]
        assert [(name, arguments) for name, _, arguments in found.values()] == [
            ("list_all", "{}"),
            ("read_file", ARGUMENTS),
        ]
        assert len({id for _, id, _ in found.values()}) == 2


UNCALLED = {
    "chat": (CHAT, [chunk({"content": "Hello"}), chunk({}, "tool_calls"), DONE], b'"stop"'),
    "anthropic": (
        MESSAGES,
        [
            START,
            *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Hello"}),
            *ending("tool_use"),
        ],
        b'"end_turn"',
    ),
}


@each("client", UNCALLED)
def test_an_end_with_a_call_that_is_not_there(client: str) -> None:
    """Agents ask again for as long as an answer ends so. Words alone end well; nothing at all does not."""
    vendor, pieces, end = UNCALLED[client]
    world, connection = served(vendor, client, "streamed", *pieces)
    assert ended_well(world, connection, "streamed")
    assert texts(client, "streamed", connection.body) == "Hello"
    assert end in connection.body
    assert f'"{RUNS[client]}"'.encode() not in connection.body
    bare = [ROLE, *pieces[-2:]] if client == "chat" else [START, *pieces[-2:]]
    world, connection = served(vendor, client, "streamed", *bare)
    failed(world, connection, "streamed", "tool call")


@each("client", ["anthropic", "chat"])
def test_an_end_with_a_call_that_is_not_there_in_a_whole_answer(client: str) -> None:
    chat = whole_chat({**message("Hello"), "finish_reason": "tool_calls"})
    vendor, body = (CHAT, chat) if client == "chat" else (MESSAGES, a_message(WORDS, stop_reason="tool_use"))
    world, connection = served(vendor, client, "whole", body, mime=JSON)
    assert ended_well(world, connection, "whole")
    assert f'"{RUNS[client]}"'.encode() not in connection.body


@each("word, own", {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}.items())
def test_words_of_other_dialects_for_an_end(word: str, own: str) -> None:
    """Clients of Messages know their own."""
    text = block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Hello"})
    world, connection = served(MESSAGES, "anthropic", "streamed", START, *text, *ending(word))
    assert ended_well(world, connection, "streamed")
    assert json.dumps(own).encode() in connection.body
    world, connection = served(MESSAGES, "anthropic", "whole", a_message(WORDS, stop_reason=word), mime=JSON)
    assert json.loads(connection.body)["stop_reason"] == own


TEXT = block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Hello"})
CREATED = event("response.created", response=response("in_progress", []))
#: How vendors report that an answer broke; each says "died".
FAILURES = {
    "a sentence": (MESSAGES, [START, *TEXT, b"event: error\ndata: died\n\n"]),
    "an error of another dialect": (MESSAGES, [START, *TEXT, *data({"error": {"message": "died"}})]),
    "a sentence for Responses": (RESPONSES, [CREATED, b"event: error\ndata: died\n\n"]),
    "an error without a type": (RESPONSES, [CREATED, *data({"error": {"message": "died"}})]),
    "another name": (RESPONSES, [CREATED, event("response.error", error={"message": "died"})]),
    "an error in a good end": (
        RESPONSES,
        [
            CREATED,
            event("response.completed", response=response("completed", [ITEM], error={"message": "died"})),
        ],
    ),
}


@each("form", FAILURES)
def test_the_words_of_an_error(form: str) -> None:
    """A client of another dialect is given them."""
    vendor, pieces = FAILURES[form]
    world, connection = served(vendor, "chat", "streamed", *pieces)
    failed(world, connection, "streamed", "died")


@each("client", CLIENTS)
def test_an_answer_of_no_dialect_is_no_error_of_the_server(client: str) -> None:
    """A model's message where no choices are: what is wrong is the form."""
    body = {"model": "m", "message": {"role": "assistant", "content": "Hello"}, "done": True}
    _, connection = served(CHAT, client, "whole", json.dumps(body).encode(), mime=JSON)
    assert connection.status == 502
    assert b"has no 'choices'" in connection.body
