"""Calls that servers of Chat Completions write in odd pieces, as a client sees them."""

from __future__ import annotations

import json
from typing import Any

from tests.cases import each
from tests.resources.harness import World
from tests.resources.test_bent_answers import (
    CHAT,
    DONE,
    ROLE,
    answer,
    chunk,
    config,
    objects,
    question,
    served,
    whole_chat,
)
from tests.resources.test_odd_answers import TRANSLATED, message


def piece(index: Any = None, name: str | None = None, arguments: Any = None, **more: Any) -> bytes:
    """A chunk with a piece of a call; what is ``None`` is left out."""
    members = {"name": name, "arguments": arguments}
    function = {key: value for key, value in members.items() if value is not None}
    call = {"function": function, **({} if index is None else {"index": index}), **more}
    return chunk({"tool_calls": [call]})


ONE = [("read_file", {"path": "a"})]
TWO = [*ONE, ("grep", {"path": "b"})]
FULL = '{"path":"a"}'
OTHER = '{"path":"b"}'
READ = piece(0, "read_file", FULL, id="a")
EMPTY, NAME = piece(0, "read_file", "", id="a"), piece(0, "read_file", id="a")
GREP = piece(0, "grep", '{"pa', id="b")
FLAT = {"index": 0, "id": "a", "name": "read_file", "arguments": FULL}
#: How servers write the pieces of calls -> the calls that are meant.
PIECES: dict[str, tuple[list[bytes], list[Any]]] = {
    "a name in pieces": ([piece(0, "read_", "", id="a"), piece(0, "file", ""), piece(0, None, FULL)], ONE),
    "a name in pieces, no arguments": ([piece(0, "read_", id="a"), piece(0, "file")], [("read_file", {})]),
    "the end under the next number": (
        [
            READ,
            piece(0, "grep", '{"pa', id="b"),
            piece(1, None, 'th":"b"}', id="b"),
        ],
        TWO,
    ),
    "the end under the next number, without its id": (
        [READ, GREP, piece(1, None, 'th":"b"}')],
        TWO,
    ),
    "begun once more under another number": (
        [piece(0, "read_file", "", id="a"), piece(1, "read_file", FULL, id="a")],
        ONE,
    ),
    "repeated under another number": (
        [READ, piece(1, "read_file", FULL, id="a")],
        ONE,
    ),
    "one id for two": (
        [READ, piece(1, "grep", OTHER, id="a")],
        TWO,
    ),
    "numbers as texts, ids as numbers": (
        [
            piece("0", "read_file", '{"pa', id=7),
            piece("0", None, 'th":"a"}'),
            piece(1.0, "grep", '{"path":"b"}', id=8),
        ],
        TWO,
    ),
    "no function around it": (
        [chunk({"tool_calls": [{"index": 0, "id": "a", "name": "read_file", "arguments": FULL}]})],
        ONE,
    ),
    "JSON within JSON": ([piece(0, "read_file", '"{\\"path', id="a"), piece(0, None, '\\":\\"a\\"}"')], ONE),
    "names only": (
        [piece(0, "read_file", id="a"), piece(1, "grep", id="b")],
        [("read_file", {}), ("grep", {})],
    ),
    "names, then words": ([piece(0, "read_file", id="a"), chunk({"content": "Well."})], [("read_file", {})]),
}


@each("case", PIECES)
@each("together", [False, True])
def test_calls_in_odd_pieces(case: str, together: bool) -> None:
    """They are those that are meant, none of them twice."""
    pieces, expected = PIECES[case]
    pieces = [ROLE, *pieces, chunk({}, "tool_calls"), DONE]
    body: Any = question("anthropic", stream=True)[1]
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in ("read_file", "grep")]
    world = World(config(CHAT))
    headers = {"Content-Type": "application/json"}
    connection = world.request("POST", "/v1/messages", headers, json.dumps({**body, "tools": tools}).encode())
    world.turn()
    answer(world, *([b"".join(pieces)] if together else pieces))
    found: dict[int, list[str]] = {}
    for one in objects("streamed", connection.body):
        if one.get("content_block", {}).get("type") == "tool_use":
            found[one["index"]] = [one["content_block"]["name"], ""]
        elif one.get("delta", {}).get("type") == "input_json_delta":
            found[one["index"]][1] += one["delta"]["partial_json"]
    assert [(name, json.loads(arguments)) for name, arguments in found.values()] == expected


@each("client", TRANSLATED)
@each("end", ["tool_calls", "stop"])
def test_a_call_that_the_limit_cut(client: str, end: str) -> None:
    """Servers report it as a call that is whole: it is sent as what was cut off. One whose arguments are
    closed, and no JSON, is the model's own fault.
    """
    words = {"anthropic": b'"max_tokens"', "responses": b'"incomplete"', "gemini": b'"MAX_TOKENS"'}
    for arguments, cut in (('{"path": "a', True), ("{'path': 'a'}", False), (FULL, False)):
        pieces = [ROLE, piece(0, "read_file", arguments, id="a"), chunk({}, end), DONE]
        _, connection = served(CHAT, client, "streamed", *pieces)
        assert (words[client] in connection.body) is cut
        calls = [{"id": "a", "type": "function", "function": {"name": "read_file", "arguments": arguments}}]
        body = whole_chat({**message(None, tool_calls=calls), "finish_reason": end})
        _, connection = served(CHAT, client, "whole", body, mime="application/json")
        assert (words[client] in connection.body) is cut
