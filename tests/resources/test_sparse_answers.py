"""Answers that leave out what their dialect has: small servers say less, or say it in others' words. Their
clients get them whole, where they pass and where they are translated, and as they come.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.dialects.openai_chat import repairs
from tests.cases import each
from tests.resources.test_bent_answers import (
    CHAT,
    DONE,
    GEMINI,
    MESSAGES,
    RESPONSES,
    answer,
    asked,
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

# ------------------------------------------------------------------------- Responses without their numbers

THOUGHT = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": ""}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant"}
CALL = {"type": "function_call", "call_id": "fc_1", "name": "read_file"}
OTHER = {**CALL, "call_id": "fc_2"}
ARGUMENTS = '{"path":"a"}'
OUTPUT = [
    {**THOUGHT, "content": [{"type": "reasoning_text", "text": "Hm."}]},
    {**MESSAGE, "status": "completed", "content": [{"type": "output_text", "text": "Hello"}]},
    {**CALL, "status": "completed", "arguments": ARGUMENTS},
    {**OTHER, "status": "completed", "arguments": ARGUMENTS},
]
USED = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1, "model": "vendor-model"}
DONE_RESPONSE = {**RESPONSE, "status": "completed", "output": OUTPUT, "usage": USED}


def of(kind: str, **members: Any) -> bytes:
    return event(f"response.{kind}", **members)


BEGIN = [of(kind, response={"id": "resp_1", "status": "in_progress"}) for kind in ("created", "in_progress")]
TEXT = [
    of("output_item.added", item={**MESSAGE, "status": "in_progress", "content": []}),
    of("content_part.added", item_id="msg_1", part={"type": "output_text", "text": ""}),
    of("output_text.delta", item_id="msg_1", delta="Hel"),
    of("output_text.delta", item_id="msg_1", delta="lo"),
]
BARE = [
    *BEGIN,
    of("output_item.added", item={**THOUGHT, "status": "in_progress", "content": []}),
    of("reasoning_text.delta", item_id="rs_1", delta="Hm."),
    *TEXT,
    of("output_item.added", item={**CALL, "status": "in_progress", "arguments": ""}),
    of("function_call_arguments.delta", item_id="fc_1", delta=ARGUMENTS[:5]),
    of("function_call_arguments.delta", item_id="fc_1", delta=ARGUMENTS[5:]),
    of("output_item.added", item={**OTHER, "status": "in_progress", "arguments": ""}),
    of("function_call_arguments.delta", item_id="fc_2", delta=ARGUMENTS),
    of("output_item.done", item=OUTPUT[0]),
    of("output_text.done", item_id="msg_1", text="Hello"),
    *(of("output_item.done", item=item) for item in OUTPUT[1:]),
    of("completed", response=DONE_RESPONSE),
]


def passed(*pieces: bytes) -> list[dict[str, Any]]:
    """The events that a client of Responses gets."""
    world, connection = served(RESPONSES, "responses", "streamed", *pieces)
    assert ended_well(world, connection, "streamed")
    return list(objects("streamed", connection.body))


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [found["type"].removeprefix("response.") for found in events]


@pytest.mark.parametrize("reads", ["one by one", "all at once"])
def test_responses_without_numbers(reads: str) -> None:
    """SDKs go by them: each event has its own, its item's and its part's."""
    events = passed(*(BARE if reads == "one by one" else [b"".join(BARE)]))
    assert [found["sequence_number"] for found in events] == list(range(len(BARE)))
    places = {"rs_1": 0, "msg_1": 1, "fc_1": 2, "fc_2": 3}
    for found in events:
        id = found.get("item_id") or found.get("item", {}).get("id")
        assert id is None or found["output_index"] == places[id]
        if ".output_text." in found["type"] or ".content_part." in found["type"]:
            assert found["content_index"] == 0
    (ended,) = events[-1:]
    assert [item["id"] for item in ended["response"]["output"]] == list(places)
    assert ended["response"]["usage"]["output_tokens_details"] == {"reasoning_tokens": 0}
    assert ended["response"]["output"][1]["content"][0]["annotations"] == []
    assert events[0]["response"]["output"] == []
    assert events[0]["response"]["model"] == "model"


def test_a_whole_response_of_such_a_server() -> None:
    """Likewise; one that has all of it keeps its bytes."""
    _, connection = served(RESPONSES, "responses", "whole", json.dumps(DONE_RESPONSE).encode(), mime=JSON)
    found = json.loads(connection.body)
    assert [item["id"] for item in found["output"]] == ["rs_1", "msg_1", "fc_1", "fc_2"]
    assert found["usage"]["input_tokens_details"] == {"cached_tokens": 0}
    whole = {**DONE_RESPONSE, "model": "model", "usage": {**USED, "output_tokens_details": {}}}
    _, connection = served(RESPONSES, "responses", "whole", json.dumps(whole).encode(), mime=JSON)
    assert connection.body == json.dumps(whole).encode()


@each("client", ["anthropic", "chat", "gemini"])
def test_words_of_such_a_server_are_translated_as_they_come(client: str) -> None:
    """Though they do not tell to which item they belong."""
    world, connection = asked(RESPONSES, client, "streamed")
    stream = world.client.sent[0].respond(200, {"Content-Type": ["text/event-stream"]})
    at = BARE.index(TEXT[2])
    for piece in BARE[: at + 1]:
        stream.data(piece)
        world.turn()
    assert b"Hm." in connection.body
    assert texts(client, "streamed", connection.body) == "Hel"
    for piece in BARE[at + 1 :]:
        stream.data(piece)
    stream.done()
    world.turn()
    assert ended_well(world, connection, "streamed")
    assert texts(client, "streamed", connection.body) == "Hello"
    assert connection.body.count(b'"read_file"') == 2


def test_words_of_an_item_that_was_not_announced() -> None:
    """Clients need its beginning and its end."""
    end = of("completed", response={**DONE_RESPONSE, "output": OUTPUT[1:2]})
    events = passed(*TEXT[2:], end)
    assert kinds(events) == [
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.delta"),
        *("output_item.done", "completed"),
    ]
    assert events[0]["item"]["id"] == events[2]["item_id"] == events[4]["item"]["id"] == "msg_1"
    assert {found["output_index"] for found in events[:-1]} == {0}
    thought = of("reasoning_text.delta", item_id="rs_1", delta="Hm.")
    events = passed(thought, *TEXT[2:], of("completed", response={**DONE_RESPONSE, "output": OUTPUT[:2]}))
    assert kinds(events)[:2] == ["output_item.added", "reasoning_text.delta"]


def test_the_end_of_items_that_only_the_answer_has() -> None:
    """Whatever came of them."""
    for pieces in ([], TEXT):
        events = passed(*BEGIN, *pieces, of("completed", response={**DONE_RESPONSE, "output": OUTPUT[1:]}))
        ends = [found for found in events if found["type"].endswith("item.done")]
        assert [found["item"]["id"] for found in ends] == ["msg_1", "fc_1", "fc_2"]
        assert [found["output_index"] for found in ends] == [0, 1, 2]
        assert kinds(events).count("output_item.added") == 3


@pytest.mark.parametrize("client", ["responses", "anthropic"])
def test_a_response_beside_its_events_type(client: str) -> None:
    """And not within it."""
    begin = of("created", id="resp_1", status="in_progress")
    world, connection = served(RESPONSES, client, "streamed", begin, *TEXT, of("completed", **DONE_RESPONSE))
    assert ended_well(world, connection, "streamed")
    assert texts(client, "streamed", connection.body) == "Hello"
    if client == "responses":
        events = list(objects("streamed", connection.body))
        assert events[0]["response"]["id"] == events[-1]["response"]["id"] == "resp_1"


@each("kind", [RESPONSES, MESSAGES])
def test_data_without_its_type(kind: str) -> None:
    """The event's line has it; agents go by the data."""
    client = "responses" if kind == RESPONSES else "anthropic"
    pieces = BARE if kind == RESPONSES else started(0, "text")

    def untyped(piece: bytes) -> bytes:
        line, _, data = piece.partition(b"\ndata: ")
        values = json.loads(data)
        del values["type"]
        return line + b"\ndata: " + json.dumps(values).encode() + b"\n\n"

    world, connection = served(kind, client, "streamed", *map(untyped, pieces))
    assert ended_well(world, connection, "streamed")
    found = [f"event: {value['type']}" for value in objects("streamed", connection.body)]
    assert found == [line for line in connection.body.decode().splitlines() if line.startswith("event: ")]
    assert texts(client, "streamed", connection.body) == "Hello"


# --------------------------------------------------------------- Messages without beginnings and ends

BEGUN = {"id": "msg_1", "type": "message", "role": "assistant", "model": "vendor-model", "content": []}
ENDING = [
    event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2}),
    event("message_stop"),
]
START = event("message_start", message={**BEGUN, "usage": {"input_tokens": 1, "output_tokens": 1}})


def deltas(index: int, kind: str, *words: str) -> list[bytes]:
    name = "thinking" if kind == "thinking" else "text"
    return [
        event("content_block_delta", index=index, delta={"type": f"{name}_delta", name: word})
        for word in words
    ]


def started(index: int, kind: str) -> list[bytes]:
    """A whole answer, of one text."""
    block = {"type": kind, kind: ""}
    start = event("content_block_start", index=index, content_block=block)
    stop = event("content_block_stop", index=index)
    return [START, start, *deltas(index, kind, "Hel", "lo"), stop, *ENDING]


@every
@each("lacks", ["beginnings", "beginnings and ends", "all but words"])
@pytest.mark.parametrize("reads", ["one by one", "all at once"])
def test_messages_whose_blocks_do_not_begin(client: str, lacks: str, reads: str) -> None:
    """Or end, or the message neither: clients of Messages get both, each in its place."""
    stops = [event("content_block_stop", index=index) for index in (0, 1)]
    ends = stops if lacks == "beginnings" else [b"", b""]
    begin = b"" if lacks == "all but words" else START
    pieces = [begin, *deltas(0, "thinking", "H", "m."), ends[0], *deltas(1, "text", "Hel", "lo"), ends[1]]
    pieces = [piece for piece in (*pieces, *ENDING) if piece]
    world, connection = served(
        MESSAGES, client, "streamed", *(pieces if reads == "one by one" else [b"".join(pieces)])
    )
    assert ended_well(world, connection, "streamed")
    assert texts(client, "streamed", connection.body) == "Hello"
    if client != "chat":
        assert thoughts(client, "streamed", connection.body) == "Hm."
    if client != "anthropic":
        return
    events = list(objects("streamed", connection.body))
    assert events[0]["type"] == "message_start"
    assert events[0]["message"]["id"].startswith("msg_")
    assert events[0]["message"]["model"] == "model"
    for index, kind in enumerate(("thinking", "text")):
        own = [found for found in events if found.get("index") == index]
        names = [found["type"].removeprefix("content_block_") for found in own]
        assert names == ["start", "delta", "delta", "stop"]
        assert own[0]["content_block"]["type"] == kind
    assert kinds(events)[-2:] == ["message_delta", "message_stop"]


@pytest.mark.parametrize("client", ["anthropic", "chat"])
def test_a_call_of_messages_that_does_not_begin(client: str) -> None:
    """What it calls is not known."""
    delta = {"type": "input_json_delta", "partial_json": ARGUMENTS}
    piece = event("content_block_delta", index=0, delta=delta)
    world, connection = served(MESSAGES, client, "streamed", START, piece, *ENDING)
    failed(world, connection, "streamed", "names no tool")


def test_messages_that_lack_nothing() -> None:
    """Keep their bytes."""
    pieces = started(0, "text")
    _, connection = served(MESSAGES, "anthropic", "streamed", *pieces)
    assert connection.body == b"".join(pieces).replace(b"vendor-model", b"model")


@every
@each("end", [b"", DONE, b'data: "[DONE]"\n\n'])
def test_messages_without_their_last_event(client: str, end: bytes) -> None:
    """The reason why the answer ends was there; OpenAI's mark in its place is none of this dialect."""
    pieces = started(0, "text")[:-1]
    world, connection = served(MESSAGES, client, "streamed", *pieces, *([end] if end else []))
    assert ended_well(world, connection, "streamed")
    assert texts(client, "streamed", connection.body) == "Hello"
    if client == "anthropic":
        assert connection.body.count(b"event: message_stop") == 1
        assert b"[DONE]" not in connection.body


@every
def test_messages_that_break_off_before_that(client: str) -> None:
    """Are no whole answer."""
    world, connection = served(MESSAGES, client, "streamed", *started(0, "text")[:-2])
    assert world.exchanges[-1]["outcome"] == "broken-off"
    assert b"message_stop" not in connection.body


USE = {"type": "tool_use", "id": "toolu_1", "name": "read_file"}


@every
@each("pieces", [[], ['{"path":', '"a"}']])
def test_an_input_that_a_call_begins_with(client: str, pieces: list[str]) -> None:
    """Agents take it from its pieces: they get it as one, if none come."""
    block = {**USE, "input": {"path": "a"}}
    found = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    stream = [
        START,
        event("content_block_start", index=0, content_block=block),
        *(event("content_block_delta", index=0, delta=delta) for delta in found),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 2}),
        ENDING[-1],
    ]
    world, connection = served(MESSAGES, client, "streamed", *stream)
    assert ended_well(world, connection, "streamed")
    if client == "anthropic":
        events = list(objects("streamed", connection.body))
        deltas = [
            value["delta"]["partial_json"] for value in events if "partial_json" in value.get("delta", {})
        ]
        assert json.loads("".join(deltas)) == {"path": "a"}
        assert [value["type"] for value in events].count("content_block_stop") == 1


@both
@each("kind", [MESSAGES, GEMINI])
def test_a_call_without_arguments(kind: str, shape: str) -> None:
    """Clients of Chat Completions read them as JSON: an empty object, and no empty text."""
    mime = JSON
    if kind == GEMINI:
        parts = [{"functionCall": {"name": "read_file"}}]
        body = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}
    else:
        body = {**BEGUN, "content": [{**USE, "input": {}}], "stop_reason": "tool_use", "usage": USED}
    pieces = [json.dumps(body).encode()]
    if shape == "streamed":
        mime = "text/event-stream"
        pieces = [b"data: " + pieces[0] + b"\n\n"]
        if kind == MESSAGES:
            begin = event("content_block_start", index=0, content_block={**USE, "input": {}})
            end = event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 2})
            pieces = [START, begin, event("content_block_stop", index=0), end, ENDING[-1]]
    world, connection = served(kind, "chat", shape, *pieces, mime=mime)
    assert ended_well(world, connection, shape)
    found = ""
    for value in objects(shape, connection.body):
        message = value["choices"][0]["message" if shape == "whole" else "delta"]
        for one in message.get("tool_calls") or []:
            found += one["function"].get("arguments", "")
    assert found == "{}"


@both
@each("kind", [CHAT, RESPONSES])
@each("client", ["anthropic", "chat", "responses"])
def test_counts_by_the_other_dialects_names(kind: str, client: str, shape: str) -> None:
    """Of OpenAI's two: they are counted, and billed."""
    mime = JSON if shape == "whole" else "text/event-stream"
    if kind == CHAT:
        usage = {"input_tokens": 5, "output_tokens": 6}
        choice = {"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}
        pieces = [whole_chat(choice, usage=usage)]
        if shape == "streamed":
            pieces = [chunk({"content": "Hello"}), chunk({}, "stop", usage=usage), DONE]
    else:
        response = {
            **DONE_RESPONSE,
            "output": OUTPUT[1:2],
            "usage": {"prompt_tokens": 5, "completion_tokens": 6},
        }
        pieces = [json.dumps(response).encode()]
        if shape == "streamed":
            pieces = [*BEGIN, *TEXT, of("completed", response=response)]
    world, connection = served(kind, client, shape, *pieces, mime=mime)
    assert ended_well(world, connection, shape)
    assert (world.exchanges[-1]["input"], world.exchanges[-1]["output"]) == (5, 6)


# ------------------------------------------------------------------- several calls under one number


def numbered(id: str | None, name: str | None, arguments: str) -> bytes:
    function = {"arguments": arguments, **({"name": name} if name else {})}
    call = {"index": 0, "type": "function", "function": function, **({"id": id} if id else {})}
    return chunk({"tool_calls": [call]})


@every
@pytest.mark.parametrize("reads", ["one by one", "all at once"])
@each("split", [False, True])
def test_calls_under_one_number(client: str, reads: str, split: bool) -> None:
    """Each has its own for the client, which would add one's arguments to the other's."""
    pieces: list[bytes] = []
    for id in ("call_1", "call_2", "call_3"):
        begin = [numbered(id, "read_file", "")] if split else [numbered(id, "read_file", ARGUMENTS)]
        rest = [numbered(None, None, ARGUMENTS[:4]), numbered(id, None, ARGUMENTS[4:])] if split else []
        pieces += [*begin, *rest]
    pieces += [chunk({}, "tool_calls"), DONE]
    world, connection = served(
        CHAT, client, "streamed", *(pieces if reads == "one by one" else [b"".join(pieces)])
    )
    assert ended_well(world, connection, "streamed")
    assert connection.body.count(b'"read_file"') >= 3
    if client == "chat":
        calls: dict[int, list[str]] = {}
        for value in objects("streamed", connection.body):
            for one in value["choices"][0]["delta"].get("tool_calls") or []:
                known = calls.setdefault(one["index"], ["", ""])
                known[0] = known[0] or one.get("id", "")
                known[1] += one["function"]["arguments"]
        assert calls == {number: [f"call_{number + 1}", ARGUMENTS] for number in range(3)}


def calls_of(body: bytes) -> list[tuple[str, str]]:
    """The calls that a client of Chat Completions puts together: names and arguments."""
    calls: dict[int, list[str]] = {}
    for value in objects("streamed", body):
        for one in value["choices"][0]["delta"].get("tool_calls") or []:
            known = calls.setdefault(one["index"], ["", ""])
            known[0] = known[0] or one["function"].get("name", "")
            known[1] += one["function"].get("arguments", "")
    return [(name, arguments) for name, arguments in calls.values()]


OTHERS = '{"path":"b"}'
TWO = [("read_file", ARGUMENTS), ("read_file", OTHERS)]


@each("client", ["chat", "anthropic", "responses"])
@each("form", ["ids", "pieces in turn", "names", "no number", "one chunk"])
def test_other_ways_to_send_two_calls(client: str, form: str) -> None:
    """Under one number or none: by their ids, or by the name of another behind one that is whole."""
    bare = {"function": {"name": "read_file", "arguments": ARGUMENTS}}
    other = {"function": {"name": "read_file", "arguments": OTHERS}}
    pieces = {
        "ids": [numbered("call_1", "read_file", ARGUMENTS), numbered("call_2", "read_file", OTHERS)],
        "pieces in turn": [
            *(numbered(id, "read_file", "") for id in ("call_1", "call_2")),
            *(numbered("call_1", None, ARGUMENTS), numbered("call_2", None, OTHERS)),
        ],
        "names": [numbered(None, "read_file", ARGUMENTS), numbered(None, "read_file", OTHERS)],
        "no number": [chunk({"tool_calls": [bare]}), chunk({"tool_calls": [other]})],
        "one chunk": [chunk({"tool_calls": [bare, other]})],
    }[form]
    world, connection = served(CHAT, client, "streamed", *pieces, chunk({}, "tool_calls"), DONE)
    assert ended_well(world, connection, "streamed")
    if client == "chat":
        assert calls_of(connection.body) == TWO
    else:
        assert connection.body.count(b'"read_file"') == (2 if client == "anthropic" else 8)


@each("client", ["anthropic", "responses"])
def test_an_object_behind_an_object(client: str) -> None:
    """Where the second call is not even named: nothing else could come of both."""
    pieces = [
        numbered("call_1", "read_file", ""),
        numbered(None, None, ARGUMENTS),
        numbered(None, None, OTHERS),
    ]
    world, connection = served(CHAT, client, "streamed", *pieces, chunk({}, "tool_calls"), DONE)
    assert ended_well(world, connection, "streamed")
    assert connection.body.count(b'"read_file"') == (2 if client == "anthropic" else 8)


def test_one_call_in_odd_pieces() -> None:
    """Stays one."""
    for pieces in (
        [numbered("call_1", None, ARGUMENTS), numbered(None, "read_file", "")],
        [numbered("call_1", "read_file", ARGUMENTS[:5]), numbered("call_1", "read_file", ARGUMENTS[5:])],
    ):
        _, connection = served(CHAT, "chat", "streamed", *pieces, chunk({}, "tool_calls"), DONE)
        assert calls_of(connection.body) == TWO[:1]


@pytest.mark.parametrize("reads", ["one by one", "all at once"])
@each(
    "begin",
    [
        [numbered("call_1", None, ARGUMENTS[:5]), numbered(None, "read_file", ARGUMENTS[5:])],
        [numbered("call_1", None, ""), numbered("call_1", "read_file", ""), numbered(None, None, ARGUMENTS)],
        [
            *(numbered("call_1", None, piece) for piece in (ARGUMENTS[:3], ARGUMENTS[3:5], ARGUMENTS[5:])),
            numbered(None, "read_file", ""),
        ],
    ],
)
def test_a_call_whose_name_comes_later(begin: list[bytes], reads: str) -> None:
    """Clients break off at a call that does not begin with its name; the other words go on at once."""
    world, connection = asked(CHAT, "chat", "streamed")
    stream = world.client.sent[0].respond(200, {"Content-Type": ["text/event-stream"]})
    stream.data(chunk({"content": "Hel"}))
    stream.data(begin[0])
    stream.data(chunk({"content": "lo"}))
    world.turn()
    assert texts("chat", "streamed", connection.body) == "Hello"
    assert b"call_1" not in connection.body
    rest = [*begin[1:], chunk({}, "tool_calls"), DONE]
    for piece in rest if reads == "one by one" else [b"".join(rest)]:
        stream.data(piece)
    stream.done()
    world.turn()
    assert ended_well(world, connection, "streamed")
    assert calls_of(connection.body) == TWO[:1]
    found = [value["choices"][0]["delta"] for value in objects("streamed", connection.body)]
    (first,) = next(delta["tool_calls"] for delta in found if delta.get("tool_calls"))
    assert (first["id"], first["function"]["name"]) == ("call_1", "read_file")


def test_a_call_that_never_gets_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more of it is kept than is reasonable; then the client gets what there is, and nothing is lost."""
    monkeypatch.setattr(repairs, "MAX_EARLY", 100)
    world, connection = asked(CHAT, "chat", "streamed")
    stream = world.client.sent[0].respond(200, {"Content-Type": ["text/event-stream"]})
    for number in range(30):
        stream.data(numbered("call_1" if not number else None, None, f"{number:010}"))
    world.turn()
    found = [value["choices"][0]["delta"] for value in objects("streamed", connection.body)]
    pieces = [call["function"]["arguments"] for delta in found for call in delta.get("tool_calls", ())]
    assert pieces[0] == "".join(f"{number:010}" for number in range(11))
    assert "".join(pieces) == "".join(f"{number:010}" for number in range(30))


# -------------------------------------------------------------------------------- numbers without an end

HUGE = b"9" * 5000
NUMBERED_BEYOND = {
    "a call": (
        CHAT,
        "chat",
        numbered("call_1", "read_file", "{}").replace(b'[{"index": 0', b'[{"index": %b' % HUGE),
    ),
    "an item": (
        RESPONSES,
        "responses",
        b'event: response.output_item.added\ndata: {"type":"response.output_item.added","sequence_number":1,'
        b'"output_index":%b,"item":{"type":"message","id":"m"}}\n\n' % HUGE,
    ),
    "an event": (
        RESPONSES,
        "responses",
        b'event: response.created\ndata: {"type":"response.created","sequence_number":%b,'
        b'"response":{"id":"r","output":[]}}\n\n'
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":1,'
        b'"output_index":0,"content_index":0,"item_id":"m","delta":"a"}\n\n' % HUGE,
    ),
    "a block": (
        MESSAGES,
        "anthropic",
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%b,'
        b'"delta":{"type":"text_delta","text":"a"}}\n\n' % HUGE,
    ),
}


@each("case", list(NUMBERED_BEYOND))
def test_a_number_beyond_all_numbers(case: str) -> None:
    """What has it counts as unnumbered: no defect of ours ends the answer."""
    vendor, client, data = NUMBERED_BEYOND[case]
    assert HUGE in data
    world, connection = asked(vendor, client, "streamed")
    stream = world.client.sent[0].respond(200, {"Content-Type": ["text/event-stream"]})
    stream.data(data)
    world.turn()
    assert connection.body
    assert b"error" not in connection.body
    assert not [event for event in world.events if "log_failure" in event]


# -------------------------------------------------------------------- others' words for the end of Chat's

CHAT_WORDS = {
    **dict.fromkeys(("eos", "end_turn", "STOP", "normal"), "stop"),
    **dict.fromkeys(("max_tokens", "model_length"), "length"),
    "safety": "content_filter",
}


@both
@each("word", list(CHAT_WORDS))
def test_other_words_for_an_end_of_chat(shape: str, word: str) -> None:
    """Agents know OpenAI's alone."""
    message = {"role": "assistant", "content": "Hello"}
    pieces = [whole_chat({"index": 0, "message": message, "finish_reason": word})]
    if shape == "streamed":
        pieces = [chunk({"content": "Hello"}), chunk({}, word), DONE]
    mime = JSON if shape == "whole" else "text/event-stream"
    world, connection = served(CHAT, "chat", shape, *pieces, mime=mime)
    assert ended_well(world, connection, shape)
    (last,) = list(objects(shape, connection.body))[-1:]
    assert last["choices"][0]["finish_reason"] == CHAT_WORDS[word]


@every
def test_an_end_that_is_none_yet(client: str) -> None:
    """Servers write null as a word."""
    pieces = [chunk({"content": "Hel"}, "null"), chunk({"content": "lo"}, "null"), chunk({}, "stop"), DONE]
    world, connection = served(CHAT, client, "streamed", *pieces)
    assert ended_well(world, connection, "streamed")
    assert texts(client, "streamed", connection.body) == "Hello"
    assert b'"null"' not in connection.body
    assert "finish" not in (world.exchanges[-1].get("losses") or {})


# ------------------------------------------------------------ contents that become lists in the midst


@every
@each("spelling", [(", ", ": "), (",", ":")])
@each("parts", [[{"type": "text", "text": "lo"}], [{"text": "l"}, {"text": "o"}], ["l", "o"]])
def test_a_content_that_becomes_a_list(client: str, spelling: tuple[str, str], parts: list[Any]) -> None:
    """Though the chunks before it were plain."""
    pieces = [chunk({"role": "assistant", "content": ""}), chunk({"content": "H"}), chunk({"content": "e"})]
    pieces += [chunk({"content": "l"}), chunk({"content": parts}), chunk({"content": "!"}), chunk({}, "stop")]
    spelled = [json.dumps(json.loads(piece[6:]), separators=spelling).encode() for piece in pieces]
    lines = [b"data: " + piece + b"\n\n" for piece in spelled]
    for reads in (lines, [b"".join(lines[:2]), b"".join(lines[2:])]):
        world, connection = served(CHAT, client, "streamed", *reads, DONE)
        assert ended_well(world, connection, "streamed")
        assert texts(client, "streamed", connection.body) == "Hello!"
        if client == "chat":
            found = [value["choices"][0]["delta"] for value in objects("streamed", connection.body)]
            assert all(isinstance(delta.get("content", ""), str) for delta in found)


@every
def test_a_whole_content_of_plain_texts(client: str) -> None:
    """In a list."""
    choice = {"message": {"role": "assistant", "content": ["Hel", "lo"]}, "finish_reason": "stop"}
    world, connection = served(CHAT, client, "whole", whole_chat({"index": 0, **choice}), mime=JSON)
    assert ended_well(world, connection, "whole")
    assert texts(client, "whole", connection.body) == "Hello"


# ------------------------------------------------------------------------- others' words for Gemini's end

WORDS = {
    **dict.fromkeys(("stop", "Stop", "end_turn", "FinishReason.STOP", 1), "STOP"),
    **dict.fromkeys(("length", "max_tokens", "Max_Tokens", 2), "MAX_TOKENS"),
    **dict.fromkeys(("content_filter", "safety", 3), "SAFETY"),
}
MEANT = {"STOP": "end_turn", "MAX_TOKENS": "max_tokens", "SAFETY": "refusal"}


@both
@each("client", ["gemini", "anthropic"])
@each("word", list(WORDS))
def test_other_words_for_geminis_end(client: str, shape: str, word: Any) -> None:
    """Clients get the one that they know."""
    candidate = {"index": 0, "content": {"role": "model", "parts": [{"text": "Hello"}]}}
    body = {"candidates": [{**candidate, "finishReason": word}], "modelVersion": "vendor-model"}
    pieces, mime = [json.dumps(body).encode()], JSON
    if shape == "streamed":
        first = b"data: " + json.dumps({**body, "candidates": [candidate]}).encode() + b"\n\n"
        pieces, mime = [first, b"data: " + pieces[0] + b"\n\n"], "text/event-stream"
    world, connection = served(GEMINI, client, shape, *pieces, mime=mime)
    assert ended_well(world, connection, shape)
    assert world.exchanges[-1].get("losses", {}).get("finish") is None
    (last,) = list(objects(shape, connection.body))[-1:]
    if client == "gemini":
        assert last["candidates"][0]["finishReason"] == WORDS[word]
    else:
        assert f'"stop_reason":"{MEANT[WORDS[word]]}"' in connection.body.decode()


@both
def test_a_call_that_ends_in_openais_word(shape: str) -> None:
    """It is run."""
    call = {"functionCall": {"name": "read_file", "args": {"path": "a"}}}
    candidate = {"content": {"role": "model", "parts": [call]}, "finishReason": "tool_calls"}
    body = json.dumps({"candidates": [candidate]}).encode()
    pieces, mime = ([b"data: " + body + b"\n\n"], "") if shape == "streamed" else ([body], JSON)
    world, connection = served(GEMINI, "anthropic", shape, *pieces, mime=mime or "text/event-stream")
    assert ended_well(world, connection, shape)
    assert b'"stop_reason":"tool_use"' in connection.body


@each("word", ["error", "malformed_function_call", 10])
def test_a_bad_end_in_other_words(word: Any) -> None:
    """Is none that is good."""
    candidate = {"content": {"role": "model", "parts": [{"text": "Hel"}]}, "finishReason": word}
    world, connection = asked(GEMINI, "anthropic", "whole")
    answer(world, json.dumps({"candidates": [candidate]}).encode(), kind=JSON)
    failed(world, connection, "whole", "")
