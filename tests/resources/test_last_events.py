"""The end of a Gemini vendor's answer where bytes pass: what the chats of Google's SDKs keep a turn by."""

from __future__ import annotations

import json
from typing import Any

from tests.cases import each
from tests.resources.test_bent_answers import GEMINI, answer, asked, ended_well, served
from tests.resources.test_line_streams import candidate

EMPTY = {"parts": [{"text": ""}], "role": "model"}
USAGE = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
VERSION = {"modelVersion": "vendor-model"}


def events(*values: Any) -> list[bytes]:
    return [b"data: " + json.dumps(value).encode() + b"\r\n\r\n" for value in values]


def told(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: ")]


@each("content", [{}, {"content": {}}, {"content": {"role": "model"}}, {"content": {"parts": []}}])
@each("word", ["STOP", "MAX_TOKENS"])
def test_an_end_without_content(content: dict[str, Any], word: str) -> None:
    """It gets an empty text, and keeps all else."""
    end = {"candidates": [{"finishReason": word, "index": 0, **content}], "usageMetadata": USAGE, **VERSION}
    world, connection = served(GEMINI, "gemini", "streamed", *events({**candidate("Blue"), **VERSION}, end))
    assert ended_well(world, connection, "streamed")
    first, last = told(connection.body)
    assert first["candidates"] == candidate("Blue")["candidates"]
    assert last["candidates"] == [{"finishReason": word, "index": 0, "content": EMPTY}]
    assert (last["usageMetadata"], last["modelVersion"]) == (USAGE, "model")


def test_what_follows_the_end() -> None:
    """A report of the usage alone is a piece of the answer, too."""
    end = candidate("Blue", finishReason="STOP")
    _, connection = served(GEMINI, "gemini", "streamed", *events(end, {"usageMetadata": USAGE}))
    first, last = told(connection.body)
    assert first == end
    assert last == {"candidates": [{"content": EMPTY, "index": 0}], "usageMetadata": USAGE}


@each("alone", [True, False])
def test_what_is_not_changed(alone: bool) -> None:
    """An answer of which nothing came, one that broke, and an end with content: clients know them."""
    broken = {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "index": 0}]}
    nothing = {"candidates": [{"finishReason": "STOP", "index": 0}]}
    whole = candidate("!", finishReason="STOP")
    for last in [broken, nothing] if alone else [broken, whole]:
        _, connection = served(
            GEMINI, "gemini", "streamed", *events(*([] if alone else [candidate("Blue")]), last)
        )
        assert told(connection.body)[-1] == last


def test_a_list() -> None:
    """Likewise in a stream that is a JSON list."""
    world, connection = asked(GEMINI, "gemini", "whole")
    path = "/v1beta/models/model:streamGenerateContent"
    body = json.dumps({"contents": [{"role": "user", "parts": [{"text": "go"}]}]}).encode()
    connection = world.request("POST", path, {"Content-Type": "application/json"}, body)
    world.turn()
    end = {"candidates": [{"finishReason": "STOP", "index": 0}]}
    answer(world, json.dumps([candidate("Blue"), end]).encode(), kind="application/json")
    assert json.loads(connection.body)[-1]["candidates"] == [{**end["candidates"][0], "content": EMPTY}]
