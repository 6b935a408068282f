"""Vendors' answers that bend their dialect, or break, as a client sees them: through the whole tree of
resources, plain and streamed, from each of the four dialects.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cases import each
from tests.resources.harness import CLIENT_KEY, Connection, World

CHAT, MESSAGES, RESPONSES, GEMINI = (
    "openai-compatibility",
    "claude-api-key",
    "codex-api-key",
    "gemini-api-key",
)
CLIENTS = ("anthropic", "chat", "responses", "gemini")
SHAPES = ("streamed", "whole")
every = pytest.mark.parametrize("client", CLIENTS)
both = pytest.mark.parametrize("shape", SHAPES)

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}


def config(kind: str, more: str = "", count: int = 1) -> str:
    """One section with ``count`` accounts that serve ``model``."""
    lines = [f'api-keys: ["{CLIENT_KEY}"]', f"{kind}:"]
    for number in range(count):
        lines.append(f"  - base-url: http://vendor{number}.test{'/v1' if kind in (CHAT, RESPONSES) else ''}")
        if kind == CHAT:
            lines.append(f"    name: server{number}")
            lines.append(f"    api-key-entries: [{{api-key: account-key-{number}-0123456789}}]")
        else:
            lines.append(f"    api-key: account-key-{number}-0123456789")
        lines.append("    models: [{name: vendor-model, alias: model}]")
        if more:
            lines.append(f"    {more}")
    return "\n".join(lines) + "\n"


def question(client: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
    """Path and body."""
    user = [{"role": "user", "content": "go"}]
    function = {"name": "read_file", "parameters": SCHEMA}
    if client == "anthropic":
        tool = {"name": "read_file", "input_schema": SCHEMA}
        return "/v1/messages", {
            "model": "model",
            "max_tokens": 400,
            "stream": stream,
            "messages": user,
            "tools": [tool],
            "thinking": {"type": "adaptive"},
        }
    if client == "chat":
        tools = [{"type": "function", "function": function}]
        return "/v1/chat/completions", {"model": "model", "stream": stream, "messages": user, "tools": tools}
    if client == "responses":
        tools = [{"type": "function", **function}]
        return "/v1/responses", {"model": "model", "stream": stream, "input": "go", "tools": tools}
    path = "/v1beta/models/model:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")
    return path, {"contents": [{"role": "user", "parts": [{"text": "go"}]}]}


def asked(kind: str, client: str, shape: str, more: str = "", count: int = 1) -> tuple[World, Connection]:
    world = World(config(kind, more, count))
    path, body = question(client, stream=shape == "streamed")
    connection = world.request("POST", path, {"Content-Type": "application/json"}, json.dumps(body).encode())
    world.turn()
    return world, connection


def answer(world: World, *pieces: bytes, kind: str = "text/event-stream", number: int = -1) -> None:
    """The vendor answers, each piece in a turn of its own."""
    stream = world.client.sent[number].respond(200, {"Content-Type": [kind]})
    for piece in pieces:
        stream.data(piece)
        world.turn()
    stream.done()
    world.turn()


def served(
    kind: str, client: str, shape: str, *pieces: bytes, more: str = "", mime: str = "text/event-stream"
) -> tuple[World, Connection]:
    world, connection = asked(kind, client, shape, more)
    answer(world, *pieces, kind=mime)
    return world, connection


# Chunks of Chat Completions.


def chunk(delta: dict[str, Any], end: str | None = None, index: int | None = 0, **more: Any) -> bytes:
    choice = {"delta": delta, "finish_reason": end, **({} if index is None else {"index": index})}
    body = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "vendor-model"}
    return b"data: " + json.dumps({**body, "choices": [choice], **more}).encode() + b"\n\n"


def call(name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]}


ROLE = chunk({"role": "assistant", "content": ""})
DONE = b"data: [DONE]\n\n"


def event(name: str, **members: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **members})}\n\n".encode()


def whole_chat(*choices: dict[str, Any], **more: Any) -> bytes:
    body = {"id": "c-1", "object": "chat.completion", "created": 1, "model": "vendor-model"}
    return json.dumps({**body, "choices": choices, **more}).encode()


# What a client sees.


def texts(client: str, shape: str, body: bytes) -> str:
    """All words of the answer."""
    found: list[str] = []
    for value in objects(shape, body):
        found += words(client, shape, value)
    return "".join(found)


def objects(shape: str, body: bytes) -> Iterator[dict[str, Any]]:
    if shape == "whole":
        yield json.loads(body)
        return
    for line in body.decode().splitlines():
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line[6:])


def words(client: str, shape: str, value: dict[str, Any]) -> Iterator[str]:
    whole = shape == "whole"
    if client == "anthropic":
        blocks = value.get("content", ()) if whole else [value.get("delta", {})]
        yield from (block["text"] for block in blocks if block.get("type") in ("text", "text_delta"))
    elif client == "chat":
        for choice in value.get("choices", ()):
            yield choice["message" if whole else "delta"].get("content") or ""
    elif client == "responses":
        if not whole:
            yield value["delta"] if value["type"] == "response.output_text.delta" else ""
            return
        for item in value["output"]:
            yield from (part["text"] for part in item.get("content") or () if part["type"] == "output_text")
    else:
        for candidate in value.get("candidates", ()):
            for part in candidate.get("content", {}).get("parts", ()):
                yield "" if part.get("thought") else part.get("text", "")


def thoughts(client: str, shape: str, body: bytes) -> str:
    """All words of the thinking."""
    found = []
    for value in objects(shape, body):
        if client == "anthropic":
            blocks = value.get("content", ()) if shape == "whole" else [value.get("delta", {})]
            found += [block.get("thinking", "") for block in blocks]
        elif client == "responses" and shape == "whole":
            found += [part["text"] for item in value["output"] for part in item.get("summary", ())]
        elif client == "responses":
            found.append(value["delta"] if value["type"] == "response.reasoning_summary_text.delta" else "")
        else:
            parts = value["candidates"][0]["content"]["parts"]
            found += [part["text"] for part in parts if part.get("thought")]
    return "".join(found)


def calls(body: bytes) -> bool:
    """Whether a call of the tool stands in the answer."""
    return b"read_file" in body


def ended_well(world: World, connection: Connection, shape: str) -> bool:
    """Whether the client was given a whole answer."""
    good = world.exchanges[-1]["outcome"] == "completed" and connection.status == 200
    return good and (shape == "whole" or connection.ended_cleanly)


def failed(world: World, connection: Connection, shape: str, message: str) -> None:
    """The client got an error of the vendor's, with these words, and no end of an answer."""
    assert not ended_well(world, connection, shape)
    assert message in connection.body.decode()
    assert b"error" in connection.body
    for good in (
        b'"end_turn"',
        b'"tool_use","stop',
        b"message_stop",
        b"response.completed",
        b"[DONE]",
        b'"STOP"',
    ):
        assert good not in connection.body


BROKEN = {
    "nameless call": (
        (ROLE, chunk(call("", "")), chunk(call("", '{"path":"a"}')), chunk({}, "tool_calls"), DONE),
        "names no tool",
    ),
    "cut call": ((ROLE, chunk(call("read_file", '{"path":"a')), DONE), "in the middle of a tool call"),
    "cut text": ((chunk({"content": "The first half of a sen"}), DONE), "answers-without-end: true"),
    "end of a filter": (
        (ROLE, chunk({}, "function_call_filter: MALFORMED_FUNCTION_CALL"), DONE),
        "MALFORMED_FUNCTION_CALL",
    ),
    "aborted": ((chunk({"content": "Half"}), chunk({}, "abort"), DONE), "abort"),
    "call that is not there": ((ROLE, chunk({}, "tool_calls"), DONE), "has none"),
    "nothing, for an unknown reason": ((ROLE, chunk({}, "whatever"), DONE), "whatever"),
    "bare error": (
        (
            chunk({"content": "The first"}),
            b'data: {"object":"error","message":"CUDA out of memory.","code":500}\n\n',
            DONE,
        ),
        "CUDA out of memory.",
    ),
    "bare error with an id": (
        (chunk({"content": "x"}), b'data: {"id":"c-1","message":"It broke.","code":500}\n\n', DONE),
        "It broke.",
    ),
    "error in a choice": (
        (
            chunk({"content": "x"}),
            chunk({}, "error").replace(b'"index": 0', b'"index": 0, "error": {"message": "Gone."}'),
        ),
        "Gone.",
    ),
    "base_resp": (
        (b'data: {"choices":null,"base_resp":{"status_code":1008,"status_msg":"no balance"}}\n\n', DONE),
        "no balance",
    ),
}


@each("name", BROKEN)
@each("client", ["anthropic", "responses", "gemini"])
@both
def test_an_answer_that_broke_is_an_error(name: str, client: str, shape: str) -> None:
    """However a chat server breaks off, no client takes the answer for a whole one."""
    pieces, message = BROKEN[name]
    world, connection = served(CHAT, client, shape, *pieces)
    failed(world, connection, shape, message)


@pytest.mark.parametrize("name", BROKEN)
@both
def test_nor_within_the_dialect(name: str, shape: str) -> None:
    """A Chat client gets the error, too, where its own reader would see a good end."""
    pieces, message = BROKEN[name]
    world, connection = served(CHAT, "chat", shape, *pieces)
    failed(world, connection, shape, message)


def plain(delta: dict[str, Any]) -> bytes:
    """A chunk as OpenAI writes it: such ones pass without a look once one of their kind was seen."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    body = {"id": "c-1", "created": 1, "model": "vendor-model", "choices": [choice]}
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


def piece(arguments: str) -> bytes:
    return plain({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]})


SLOWLY = [
    plain({"content": "Let me look. "}),
    plain({"content": "I think "}),
    plain({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "read_file", "arguments": ""}}]}),
    *map(piece, ('{"pa', 'th":', '"a')),
]


@pytest.mark.parametrize("together", [False, True])
def test_a_call_in_many_pieces_is_judged_as_one(together: bool) -> None:
    """Its pieces pass without a look, and yet its end is known: cut, or whole without a reason."""
    for pieces, well in ((SLOWLY, False), ([*SLOWLY, piece('"}')], True)):
        world, connection = asked(CHAT, "chat", "streamed")
        answer(world, *([b"".join((*pieces, DONE))] if together else (*pieces, DONE)))
        assert ended_well(world, connection, "streamed") is well
        assert (b"middle of a tool call" in connection.body) is not well


def test_a_second_call_without_a_name() -> None:
    """The first was named, and pieces of it pass without a look; the second is seen all the same."""
    second = plain({"tool_calls": [{"index": 1, "id": "d", "function": {"arguments": '{"path":"b"}'}}]})
    world, connection = served(CHAT, "chat", "streamed", *SLOWLY, second, chunk({}, "tool_calls"), DONE)
    failed(world, connection, "streamed", "names no tool")


@every
@both
def test_a_server_that_never_gives_a_reason(client: str, shape: str) -> None:
    """Its owner can say so; whole calls need no reason anyhow."""
    pieces = (chunk({"content": "All of it."}), DONE)
    world, connection = served(CHAT, client, shape, *pieces, more="answers-without-end: true")
    assert ended_well(world, connection, shape)
    assert texts(client, shape, connection.body) == "All of it."
    pieces = (ROLE, chunk(call("read_file", '{"path":"a"}')), DONE)
    world, connection = served(CHAT, client, shape, *pieces)
    assert ended_well(world, connection, shape)
    assert calls(connection.body)


@pytest.mark.parametrize("client", ["anthropic", "responses", "gemini"])
@both
def test_an_unknown_reason_is_no_good_end(client: str, shape: str) -> None:
    """What was said reaches the client, which sees that it may not be all; the log has the loss."""
    world, connection = served(CHAT, client, shape, chunk({"content": "Some."}), chunk({}, "whatever"), DONE)
    assert texts(client, shape, connection.body) == "Some."
    for good in (b'"end_turn"', b"response.completed", b'"STOP"'):
        assert good not in connection.body
    assert world.exchanges[-1]["losses"]["finish"] == 1


@pytest.mark.parametrize(("reason", "good"), [("eos_token", True), ("STOP", True), ("max_length", False)])
def test_words_of_local_servers(reason: str, good: bool) -> None:
    """Words that tell what they mean are understood."""
    _, connection = served(CHAT, "anthropic", "whole", chunk({"content": "x"}), chunk({}, reason), DONE)
    assert json.loads(connection.body)["stop_reason"] == ("end_turn" if good else "max_tokens")


LOOK = {"role": "assistant", "content": "I will look."}
READ = {"role": "assistant", **call("read_file", '{"path":"a"}')}


@pytest.mark.parametrize("client", ["anthropic", "responses", "gemini"])
@both
@pytest.mark.parametrize("numbers", [(None, None), (0, 0), (0, 1)])
def test_one_answer_in_two_choices(client: str, shape: str, numbers: tuple[int | None, int | None]) -> None:
    """Copilot's: the text in one choice, the call in another."""
    if shape == "whole":
        choices = []
        for number, message in zip(numbers, (LOOK, READ), strict=True):
            given = {} if number is None else {"index": number}
            choices.append({"finish_reason": "tool_calls", "message": message, **given})
        pieces = (whole_chat(*choices),)
    else:
        ends = [chunk({}, "tool_calls", number) for number in dict.fromkeys(numbers)]
        pieces = (chunk(LOOK, None, numbers[0]), chunk(READ, None, numbers[1]), *ends, DONE)
    mime = "application/json" if shape == "whole" else "text/event-stream"
    world, connection = served(CHAT, client, shape, *pieces, mime=mime)
    assert ended_well(world, connection, shape)
    assert texts(client, shape, connection.body) == "I will look."
    assert calls(connection.body)


@every
@both
@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_events_parted_by_one_line_end(client: str, shape: str, end: bytes) -> None:
    """Each is read, and goes on when it has come."""
    wire = b"".join((chunk({"content": "Hel"}), chunk({"content": "lo"}), chunk({}, "stop"), DONE))
    wire = wire.replace(b"\n\n", b"\n").replace(b"\n", end)
    cut = wire.index(b"lo")
    world, connection = asked(CHAT, client, shape)
    stream = world.client.sent[0].respond(200, {"Content-Type": ["text/event-stream"]})
    stream.data(wire[:cut])
    world.turn()
    if shape == "streamed":
        assert b"Hel" in connection.body
    stream.data(wire[cut:])
    stream.done()
    assert ended_well(world, connection, shape)
    assert texts(client, shape, connection.body) == "Hello"


THOUGHT = "<think>\nA greeting.\n</think>\n\nHello there."


#: Of other models' templates.
TAGS = (("<think>", "</think>"), ("[THINK]", "[/THINK]"), ("◁think▷", "◁/think▷"))


@pytest.mark.parametrize("client", ["anthropic", "responses", "gemini"])
@pytest.mark.parametrize("tags", TAGS)
@both
def test_thinking_between_tags(client: str, tags: tuple[str, str], shape: str) -> None:
    """Leading tags are thinking, however they are cut; text that mentions them stays."""
    thought = THOUGHT.replace(TAGS[0][0], tags[0]).replace(TAGS[0][1], tags[1])
    pieces = [chunk({"content": thought[at : at + 3]}) for at in range(0, len(thought), 3)]
    _, connection = served(CHAT, client, shape, ROLE, *pieces, chunk({}, "stop"), DONE)
    assert texts(client, shape, connection.body) == "Hello there."
    assert "think" not in texts(client, shape, connection.body).lower()
    assert thoughts(client, shape, connection.body) == "A greeting."
    for text in ("Use <think>x</think>.", "<think> is a tag.", '["THINK"]', "[THINK] is a tag."):
        _, connection = served(CHAT, client, shape, chunk({"content": text}), chunk({}, "stop"), DONE)
        assert texts(client, shape, connection.body) == text


UNMARKED = "A greeting.\nI answer it.\n</think>\n\nHello there."


def in_pieces(text: str, size: int = 3) -> list[bytes]:
    return [chunk({"content": text[at : at + size]}) for at in range(0, len(text), size)]


def thinker(client: str, shape: str, *answers: list[bytes], name: str = "glm-5") -> list[Connection]:
    """The answers of a server, one after another, whose model thinks."""
    world = World(config(CHAT).replace("name: vendor-model", f"name: {name}"))
    found = []
    for pieces in answers:
        path, body = question(client, stream=shape == "streamed")
        raw = json.dumps(body).encode()
        found.append(world.request("POST", path, {"Content-Type": "application/json"}, raw))
        world.turn()
        answer(world, ROLE, *pieces, DONE)
    return found


@pytest.mark.parametrize("client", ["anthropic", "responses", "gemini"])
@both
def test_thinking_that_no_tag_begins(client: str, shape: str) -> None:
    """Where the prompt opened it. A stream holds nothing back for it: in the first one it is text, and the
    next ones are thinking from the first word.
    """
    end = chunk({}, "stop")
    first, *others = thinker(client, shape, *[[*in_pieces(UNMARKED), end]] * 3)
    if shape == "streamed":
        assert texts(client, shape, first.body) == UNMARKED
    else:
        others.append(first)
    for connection in others:
        assert texts(client, shape, connection.body) == "Hello there."
        assert thoughts(client, shape, connection.body) == "A greeting.\nI answer it."


@pytest.mark.parametrize("client", ["anthropic", "responses", "gemini"])
def test_a_first_answer_is_sent_at_once(client: str) -> None:
    """Whatever may come of it."""
    world = World(config(CHAT).replace("name: vendor-model", "name: glm-5"))
    path, body = question(client, stream=True)
    connection = world.request("POST", path, {"Content-Type": "application/json"}, json.dumps(body).encode())
    world.turn()
    stream = world.client.sent[-1].respond(200, {"Content-Type": ["text/event-stream"]})
    for piece in (ROLE, chunk({"content": "A greeting."})):
        stream.data(piece)
        world.turn()
    assert b"A greeting." in connection.body


@pytest.mark.parametrize("client", ["anthropic", "responses", "gemini"])
@both
def test_no_answer_is_lost_to_its_thinking(client: str, shape: str) -> None:
    """An answer of such a model without the tag is text, which may only come twice; so is one that never had
    it, and one that mentions it.
    """
    end = chunk({}, "stop")
    plain = [*in_pieces("Hello there."), end]
    _, second, third = thinker(client, shape, [*in_pieces(UNMARKED), end], plain, plain)
    assert texts(client, shape, second.body) == "Hello there."
    assert (texts(client, shape, third.body), thoughts(client, shape, third.body)) == ("Hello there.", "")
    for text in (
        "End it with `</think>`.",
        "Write </think> behind it.",
        "```\n<a>\n</think>\n```\n",
        "a " * 9000,
    ):
        (connection,) = thinker(client, shape, [*in_pieces(text, 5), end])
        assert (texts(client, shape, connection.body), thoughts(client, shape, connection.body)) == (text, "")


@pytest.mark.parametrize("client", ["anthropic", "responses", "gemini"])
def test_what_shows_that_a_thought_is_marked(client: str) -> None:
    """A member of its own, or both tags. Cut thinking is no text."""
    end = chunk({}, "stop")
    apart = [chunk({"reasoning_content": "Hm."}), *in_pieces(UNMARKED), end]
    _, second = thinker(client, "streamed", [*in_pieces(THOUGHT), end], [*in_pieces("Hello", 1), end])
    assert texts(client, "streamed", second.body) == "Hello"
    (connection,) = thinker(client, "streamed", apart)
    assert texts(client, "streamed", connection.body) == UNMARKED
    cut = [*in_pieces("A greeting."), chunk({}, "length")]
    _, second = thinker(client, "streamed", [*in_pieces(UNMARKED), end], cut)
    assert thoughts(client, "streamed", second.body) == "A greeting."
    assert texts(client, "streamed", second.body) == ""
    call_only = [
        *in_pieces(UNMARKED.replace("\n\nHello there.", "")),
        chunk(call("read_file", "{}")),
        chunk({}, "tool_calls"),
    ]
    _, connection = thinker(client, "streamed", call_only, call_only, name="Qwen3-4B-Thinking-2507")
    assert thoughts(client, "streamed", connection.body) == "A greeting.\nI answer it."
    assert calls(connection.body)


@pytest.mark.parametrize("client", ["anthropic", "responses", "gemini"])
@both
def test_an_empty_thought_that_no_tag_begins(client: str, shape: str) -> None:
    """The tag is no text, whatever the model."""
    for text in ("</think>\n\nHello there.", "\n\n</think>\n\nHello there."):
        _, connection = served(CHAT, client, shape, ROLE, *in_pieces(text), chunk({}, "stop"), DONE)
        assert texts(client, shape, connection.body) == "Hello there."


@every
@both
def test_the_other_shape(client: str, shape: str) -> None:
    """JSON where a stream was asked for, and the other way round."""
    if shape == "streamed":
        message = {"role": "assistant", "content": "whole answer"}
        piece = whole_chat({"index": 0, "message": message, "finish_reason": "stop"})
        world, connection = served(CHAT, client, shape, piece, mime="application/json")
    else:
        pieces = (chunk({"content": "whole "}), chunk({"content": "answer"}), chunk({}, "stop"), DONE)
        world, connection = served(CHAT, client, shape, *pieces)
    assert ended_well(world, connection, shape)
    assert texts(client, shape, connection.body) == "whole answer"


START = event(
    "message_start",
    message={
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "vendor-model",
        "content": [],
        "usage": {"input_tokens": 9, "output_tokens": 1},
    },
)
STOP = event("message_stop")


def messages(
    block: dict[str, Any], delta: dict[str, Any] | None, reason: str | None = "end_turn"
) -> list[bytes]:
    events = [START, event("content_block_start", index=1, content_block=block)]
    if delta is not None:
        events.append(event("content_block_delta", index=1, delta=delta))
    events.append(event("content_block_stop", index=1))
    if reason is not None:
        events.append(event("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 4}))
    return [*events, STOP]


@every
@both
def test_a_block_that_starts_without_text(client: str, shape: str) -> None:
    """MiniMax leaves the empty text out, and counts from one."""
    pieces = messages({"type": "text"}, {"type": "text_delta", "text": "fine"})
    world, connection = served(MESSAGES, client, shape, *pieces)
    assert ended_well(world, connection, shape)
    assert texts(client, shape, connection.body) == "fine"


@pytest.mark.parametrize("client", ["chat", "responses", "gemini"])
@both
def test_messages_that_broke(client: str, shape: str) -> None:
    """Without a reason for its end, or with one that tells of a break."""
    words = {"type": "text", "text": ""}, {"type": "text_delta", "text": "half"}
    world, connection = served(MESSAGES, client, shape, *messages(*words, reason=None))
    failed(world, connection, shape, "answers-without-end: true")
    world, connection = served(MESSAGES, client, shape, *messages(*words, reason="malformed_output"))
    failed(world, connection, shape, "malformed_output")
    tool = {"type": "tool_use", "id": "t", "name": "read_file", "input": {}}
    cut = {"type": "input_json_delta", "partial_json": '{"path":"a'}
    world, connection = served(MESSAGES, client, shape, *messages(tool, cut, reason=None))
    failed(world, connection, shape, "in the middle of a tool call")


def response(status: str, output: list[Any], **more: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "model": "vendor-model",
        "output": output,
        **more,
    }


CREATED = event("response.created", response=response("in_progress", []))
PROGRESS = event("response.in_progress", response=response("in_progress", []))
PART = {"type": "output_text", "text": "hi there", "annotations": []}
MESSAGE = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [PART]}


@pytest.mark.parametrize("client", ["anthropic", "chat", "gemini"])
@both
@pytest.mark.parametrize(("item", "part"), [(1, 1), (1, 0), (0, 2)])
def test_numbers_that_begin_at_one(client: str, shape: str, item: int, part: int) -> None:
    """The words are given once, whatever number their item and part have."""
    where = {"item_id": "msg_1", "output_index": item, "content_index": part}
    pieces = (
        CREATED,
        event("response.output_item.added", output_index=item, item={**MESSAGE, "content": []}),
        event("response.content_part.added", **where, part={**PART, "text": ""}),
        event("response.output_text.delta", **where, delta="hi "),
        event("response.output_text.delta", **where, delta="there"),
        event("response.output_item.done", output_index=item, item=MESSAGE),
        event("response.completed", response=response("completed", [MESSAGE])),
    )
    world, connection = served(RESPONSES, client, shape, *pieces)
    assert ended_well(world, connection, shape)
    assert texts(client, shape, connection.body) == "hi there"


@pytest.mark.parametrize("client", ["anthropic", "chat", "gemini"])
@both
def test_a_nameless_call_of_responses(client: str, shape: str) -> None:
    """It is an error, not a call of nothing."""
    nameless = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "", "arguments": "{}"}
    pieces = (
        CREATED,
        event("response.output_item.added", output_index=0, item=nameless),
        event("response.output_item.done", output_index=0, item=nameless),
        event("response.completed", response=response("completed", [nameless])),
    )
    world, connection = served(RESPONSES, client, shape, *pieces)
    failed(world, connection, shape, "names no tool")


WORDS = {"type": "text", "text": "words"}
NAMELESS = {"type": "tool_use", "id": "t", "name": "", "input": {}}
NO_NAME = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "", "arguments": "{}"}
OF_KIND = {CHAT: "chat", MESSAGES: "anthropic", RESPONSES: "responses", GEMINI: "gemini"}


def message(content: list[Any], reason: str) -> dict[str, Any]:
    head = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "vendor-model",
        "content": content,
    }
    return {**head, "stop_reason": reason, "usage": {"input_tokens": 9, "output_tokens": 1}}


def calling(*calls: dict[str, Any]) -> dict[str, Any]:
    """An answer of Gemini's that calls functions."""
    parts = [{"functionCall": call} for call in calls]
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
    return {"candidates": [candidate], "modelVersion": "vendor-model"}


WHOLE_BREAKS = {
    CHAT: [
        (
            whole_chat({"message": {"content": None}, "finish_reason": "function_call_filter: X"}),
            "call_filter",
        ),
        (whole_chat({"message": {"content": "x"}, "finish_reason": "abort"}), "abort"),
        (whole_chat({"message": call("", "{}"), "finish_reason": "tool_calls"}), "names no tool"),
        (whole_chat({"message": {"content": ""}, "finish_reason": "tool_calls"}), "has none"),
    ],
    MESSAGES: [
        (json.dumps(message([WORDS], "malformed_output")).encode(), "malformed_output"),
        (json.dumps(message([NAMELESS], "tool_use")).encode(), "names no tool"),
    ],
    RESPONSES: [(json.dumps(response("completed", [NO_NAME])).encode(), "names no tool")],
    GEMINI: [
        (json.dumps(calling(call)).encode(), "names no tool") for call in ({}, {"name": ""}, {"args": {}})
    ],
}


@pytest.mark.parametrize(
    ("kind", "body", "why"), [(kind, *one) for kind, found in WHOLE_BREAKS.items() for one in found]
)
def test_whole_answers_that_broke_within_their_dialect(kind: str, body: bytes, why: str) -> None:
    """They are errors, not answers of status 200."""
    world, connection = served(kind, OF_KIND[kind], "whole", body, mime="application/json")
    failed(world, connection, "whole", why)


@every
@pytest.mark.parametrize("kind", [MESSAGES, RESPONSES, GEMINI])
def test_streams_that_broke_within_their_dialect(kind: str, client: str) -> None:
    """A nameless call is an error of the vendor's for every client, those of its own dialect included."""
    if kind == GEMINI:
        words = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Well."}]}, "index": 0}]}
        pieces = [
            b"data: " + json.dumps(one).encode() + b"\n\n" for one in (words, words, calling({"args": {}}))
        ]
    elif kind == MESSAGES:
        pieces = messages(NAMELESS, {"type": "input_json_delta", "partial_json": "{}"}, "tool_use")
    else:
        done = event("response.output_item.done", output_index=0, item=NO_NAME)
        pieces = [CREATED, done, event("response.completed", response=response("completed", [NO_NAME]))]
    world, connection = served(kind, client, "streamed", *pieces)
    failed(world, connection, "streamed", "names no tool")


@both
def test_calls_of_gemini_that_come_in_pieces_pass(shape: str) -> None:
    """Only the first piece has the name."""
    begun = {"name": "read_file", "willContinue": True}
    body = calling(
        begun, {"partialArgs": [{"jsonPath": "$.path", "stringValue": "a"}], "willContinue": True}, {}
    )
    pieces = [json.dumps(body).encode()]
    if shape == "streamed":
        parts = body["candidates"][0]["content"]["parts"]
        bodies = [calling(part["functionCall"]) for part in parts]
        for one in bodies[:-1]:
            del one["candidates"][0]["finishReason"]
        pieces = [b"data: " + json.dumps(one).encode() + b"\n\n" for one in bodies]
    mime = "application/json" if shape == "whole" else "text/event-stream"
    world, connection = served(GEMINI, "gemini", shape, *pieces, mime=mime)
    assert ended_well(world, connection, shape)
    assert b"partialArgs" in connection.body


def test_messages_that_broke_within_their_dialect() -> None:
    """As for clients of other dialects."""
    words = {"type": "text", "text": ""}, {"type": "text_delta", "text": "half"}
    world, connection = served(MESSAGES, "anthropic", "streamed", *messages(*words, reason="errored_out"))
    failed(world, connection, "streamed", "errored_out")


@both
def test_a_break_that_the_vendors_own_clients_know(shape: str) -> None:
    """Gemini's word passes to Gemini's clients, who try again by themselves; the log has it as broken off."""
    body = {
        "candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "index": 0}],
        "modelVersion": "vendor-model",
    }
    data = json.dumps(body).encode()
    pieces = [data] if shape == "whole" else [b"data: " + data + b"\r\n\r\n"]
    mime = "application/json" if shape == "whole" else "text/event-stream"
    world, connection = served(GEMINI, "gemini", shape, *pieces, mime=mime)
    assert b"MALFORMED_FUNCTION_CALL" in connection.body
    assert connection.status == 200
    assert world.exchanges[-1]["outcome"] == "broken-off"


@both
def test_an_unknown_reason_passes_with_a_note(shape: str) -> None:
    """Within a dialect its client reads the vendor's word itself; the log has the loss."""
    pieces = (chunk({"content": "Some."}), chunk({}, "whatever"), DONE)
    whole = whole_chat({"message": {"content": "Some."}, "finish_reason": "whatever"})
    world, connection = (
        served(CHAT, "chat", shape, *pieces)
        if shape == "streamed"
        else served(CHAT, "chat", shape, whole, mime="application/json")
    )
    assert b'"whatever"' in connection.body
    assert ended_well(world, connection, shape)
    assert world.exchanges[-1]["losses"]["finish"] == 1


# Overloads that an answer of status 200 tells.

OVERLOADED = {"code": "server_is_overloaded", "message": "Overloaded, try again later."}
GOOGLES = {"code": 503, "message": "Overloaded, try again later.", "status": "UNAVAILABLE"}
OVERLOADS = {
    RESPONSES: (
        CREATED,
        PROGRESS,
        event("response.failed", response=response("failed", [], error=OVERLOADED)),
    ),
    MESSAGES: (
        START,
        event("ping"),
        event("error", error={"type": "overloaded_error", "message": OVERLOADED["message"]}),
    ),
    CHAT: (
        ROLE,
        b"data: " + json.dumps({"error": {**OVERLOADED, "type": "server_error"}}).encode() + b"\n\n",
    ),
    GEMINI: (
        b'data: {"responseId":"r","modelVersion":"vendor-model"}\r\n\r\n',
        b"data: " + json.dumps({"error": GOOGLES}).encode() + b"\r\n\r\n",
    ),
}
GOOD = {
    RESPONSES: (
        CREATED,
        event("response.output_item.done", output_index=0, item=MESSAGE),
        event("response.completed", response=response("completed", [MESSAGE])),
    ),
    MESSAGES: tuple(messages({"type": "text", "text": ""}, {"type": "text_delta", "text": "hi there"})),
    CHAT: (ROLE, chunk({"content": "hi there"}), chunk({}, "stop"), DONE),
    GEMINI: (
        b'data: {"candidates":[{"content":{"role":"model","parts":[{"text":"hi there"}]},'
        b'"finishReason":"STOP","index":0}],"modelVersion":"vendor-model"}\r\n\r\n',
    ),
}


@every
@pytest.mark.parametrize("kind", OVERLOADS)
@pytest.mark.parametrize("breaks", ["overload", "cut"])
def test_the_next_account_is_asked(client: str, kind: str, breaks: str) -> None:
    """As long as nothing of the answer came, an overload within a stream is one before it; so is a break."""
    world, connection = asked(kind, client, "streamed", count=2)
    pieces = OVERLOADS[kind] if breaks == "overload" else OVERLOADS[kind][:-1]
    answer(world, *pieces, number=0)
    assert len(world.client.sent) == 2
    answer(world, *GOOD[kind], number=1)
    assert ended_well(world, connection, "streamed")
    assert b"Overloaded" not in connection.body
    assert connection.body.count(b"hi there") >= 1
    assert len(world.exchanges[-1]["exchange"].attempts) == 1


@every
@pytest.mark.parametrize("kind", OVERLOADS)
def test_or_the_client_gets_a_status(client: str, kind: str) -> None:
    """Of the only account: one that its SDK tries again for, and 529 for Anthropic's clients alone, whose SDK
    has a class of its own for that.
    """
    world, connection = asked(kind, client, "streamed")
    answer(world, *OVERLOADS[kind])
    assert connection.status == (529 if client == "anthropic" else 503)
    assert world.exchanges[-1]["status"] == connection.status
    assert world.exchanges[-1]["outcome"] == "upstream-error"
    if client == "gemini":
        assert json.loads(connection.body)["error"]["code"] == 503


@pytest.mark.parametrize("kind", OVERLOADS)
@pytest.mark.parametrize("breaks", ["overload", "cut"])
@pytest.mark.parametrize("retries", [0, 1, 2])
def test_a_stream_that_breaks_before_its_first_event_is_asked_again(
    retries: int, breaks: str, kind: str
) -> None:
    """Of the only account as often as ``bootstrap-retries`` says; what was sent then is the answer's own."""
    world = World(f"streaming: {{bootstrap-retries: {retries}}}\n" + config(kind))
    path, body = question("anthropic", stream=True)
    connection = world.request("POST", path, {"Content-Type": "application/json"}, json.dumps(body).encode())
    world.turn()
    pieces = OVERLOADS[kind] if breaks == "overload" else OVERLOADS[kind][:-1]
    for number in range(retries + 1):
        assert len(world.client.sent) == number + 1
        if number < 2:
            answer(world, *pieces)
        else:
            answer(world, *GOOD[kind])
    assert len(world.client.sent) == retries + 1
    assert ended_well(world, connection, "streamed") is (retries == 2)
    assert len(world.exchanges[-1]["exchange"].attempts) == min(retries + 1, 2)


def test_others_are_asked_first_and_what_was_sent_is_not_asked_again() -> None:
    """A second account serves before the first is asked once more; a stream that began is not repeated."""
    world = World("streaming: {bootstrap-retries: 3}\n" + config(MESSAGES, count=2))
    path, body = question("anthropic", stream=True)
    connection = world.request("POST", path, {"Content-Type": "application/json"}, json.dumps(body).encode())
    world.turn()
    answer(world, *OVERLOADS[MESSAGES], number=0)
    assert world.client.sent[1].url.startswith("http://vendor1.test")
    answer(world, *GOOD[MESSAGES][:-2], number=1)
    assert len(world.client.sent) == 2
    assert not ended_well(world, connection, "streamed")


@pytest.mark.parametrize("kind", [RESPONSES, MESSAGES])
def test_a_slow_answer_is_not_held_back(kind: str) -> None:
    """When a sign of life is due, the client gets what was held back."""
    client = "responses" if kind == RESPONSES else "anthropic"
    world, connection = asked(kind, client, "streamed")
    stream = world.client.sent[0].respond(200, {"Content-Type": ["text/event-stream"]})
    stream.data(OVERLOADS[kind][0])
    world.turn()
    assert connection.body == b""
    world.clock.pump([1.0] * 20)
    assert connection.body.startswith(b"event: ")
    for piece in GOOD[kind][1:]:
        stream.data(piece)
    stream.done()
    assert ended_well(world, connection, "streamed")


def test_a_later_failure_is_in_the_log() -> None:
    """Within one dialect it passes, but is not logged as a good end."""
    delta = event("response.output_text.delta", output_index=0, content_index=0, delta="half")
    world, connection = served(RESPONSES, "responses", "streamed", CREATED, delta, OVERLOADS[RESPONSES][-1])
    last = list(objects("streamed", connection.body))[-1]
    assert (last["type"], last["response"]["error"]) == ("response.failed", OVERLOADED)
    assert world.exchanges[-1]["outcome"] == "broken-off"


def test_codex_gets_over_an_overload() -> None:
    """Within a stream an overload has a code at which Codex asks again, not one at which it ends its turn."""
    pieces = messages({"type": "text", "text": ""}, {"type": "text_delta", "text": "half"})[:3]
    _, connection = served(MESSAGES, "responses", "streamed", *pieces, OVERLOADS[MESSAGES][-1])
    failure = [value for value in objects("streamed", connection.body) if value["type"] == "response.failed"]
    assert failure[0]["response"]["error"]["code"] == "server_error"
    assert b"server_is_overloaded" not in connection.body


@every
@pytest.mark.parametrize("kind", OVERLOADS)
def test_streams_are_not_to_be_buffered(client: str, kind: str) -> None:
    """nginx before the gateway passes each event on."""
    _, connection = served(kind, client, "streamed", *GOOD[kind])
    assert b"x-accel-buffering: no\r\n" in connection.answer.lower()
    _, connection = served(kind, client, "whole", *GOOD[kind])
    assert b"x-accel-buffering" not in connection.answer.lower()


PROVEN = (
    {"text": "A thought.", "thought": True},
    {"text": "The answer is 42."},
    {"text": "", "thoughtSignature": "QUJDRA=="},
)


@both
def test_an_answer_ends_with_its_text(shape: str) -> None:
    """Claude Code prints the last block: no proof stands behind the text."""
    pieces = []
    for number, part in enumerate(PROVEN):
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [part]}, "index": 0}
        if number == len(PROVEN) - 1:
            candidate["finishReason"] = "STOP"
        value = {"candidates": [candidate], "modelVersion": "vendor-model", "responseId": "r"}
        pieces.append(b"data: " + json.dumps(value).encode() + b"\r\n\r\n")
    world, connection = served(GEMINI, "anthropic", shape, *pieces)
    assert ended_well(world, connection, shape)
    assert b"redacted_thinking" not in connection.body
    assert texts("anthropic", shape, connection.body) == "The answer is 42."
    assert "foreign_proof" in str(world.exchanges[-1]["losses"])


HALF = {
    CHAT: (ROLE, chunk({"content": "half"})),
    MESSAGES: tuple(messages({"type": "text", "text": ""}, {"type": "text_delta", "text": "half"})[:3]),
    GEMINI: (
        b'data: {"candidates":[{"content":{"role":"model","parts":[{"text":"half"}]},"index":0}],'
        b'"modelVersion":"vendor-model"}\r\n\r\n',
    ),
}
GOOGLES_SDK = {"x-goog-api-client": "google-genai-sdk/3.3.0 gl-python/3.12.1"}
GOOGLES_SDK_OF_NODE = {"x-goog-api-client": "google-genai-sdk/1.30.0 gl-node/v22.1.0"}


@pytest.mark.parametrize("kind", HALF)
@pytest.mark.parametrize("breaks", ["overload", "cut"])
@pytest.mark.parametrize(("headers", "tidy"), [(GOOGLES_SDK, True), ({}, False)])
def test_the_end_behind_an_error(kind: str, breaks: str, headers: dict[str, str], tidy: bool) -> None:
    """Google's SDK raises at the error and asks again; undici would drop the error with the connection. Who
    may overlook an error sees a connection that breaks.
    """
    world = World(config(kind))
    path, body = question("gemini", stream=True)
    connection = world.request("POST", path, headers, json.dumps(body).encode())
    world.turn()
    if breaks == "overload" and kind == GEMINI:
        return  # within one dialect it passes as it came
    answer(world, *HALF[kind], *(OVERLOADS[kind][-1:] if breaks == "overload" else ()))
    assert b"half" in connection.body
    assert json.loads(connection.body.split(b"data: ")[-1])["error"]["code"] in (502, 503)
    assert connection.ended_cleanly is tidy
    assert connection.closed is not tidy
    assert world.exchanges[-1]["outcome"] == "broken-off"


@pytest.mark.parametrize("kind", HALF)
def test_an_error_for_googles_sdk_of_node(kind: str) -> None:
    """It takes an error for one only where a piece of the stream is that JSON and nothing else; Gemini CLI,
    which is built on it, would take half an answer for a whole one.
    """
    world = World(config(kind))
    path, body = question("gemini", stream=True)
    connection = world.request("POST", path, GOOGLES_SDK_OF_NODE, json.dumps(body).encode())
    world.turn()
    answer(world, *HALF[kind])
    assert b"half" in connection.body
    size, last = connection.answer.removesuffix(b"\r\n0\r\n\r\n").split(b"\r\n")[-2:]
    assert int(size, 16) == len(last)
    assert json.loads(last)["error"]["code"] in (502, 503)
    assert connection.ended_cleanly


@pytest.mark.parametrize("client", ["anthropic", "chat", "responses"])
@pytest.mark.parametrize(
    ("agent", "tidy"), [("ai/6.0.3 ai-sdk/provider-utils/4.0.6", True), ("other/1", False)]
)
def test_an_error_for_vercels_sdk(client: str, agent: str, tidy: bool) -> None:
    """It reports the error, and the end; where the connection breaks, what reads the words throws, too."""
    world = World(config(CHAT))
    path, body = question(client, stream=True)
    connection = world.request("POST", path, {"user-agent": agent}, json.dumps(body).encode())
    world.turn()
    answer(world, *HALF[CHAT])
    assert b"half" in connection.body
    assert b"broke off" in connection.body or b"without a finish reason" in connection.body
    assert connection.ended_cleanly is tidy


@pytest.mark.parametrize(("agent", "told"), [("QwenCode/0.24.4 (linux; x64)", False), ("other/1.0", True)])
def test_an_error_for_qwen_code(agent: str, told: bool) -> None:
    """Its turn ends at an error within a stream; it asks again where the connection breaks without one."""
    world = World(config(MESSAGES))
    path, body = question("chat", stream=True)
    connection = world.request("POST", path, {"user-agent": agent}, json.dumps(body).encode())
    world.turn()
    answer(world, *HALF[MESSAGES])
    assert b"half" in connection.body
    assert (b'"error"' in connection.body) is told
    assert connection.closed
    assert not connection.ended_cleanly
