"""The call with which Amp's CLI names a thread, at an account of another vendor: the CLI takes the first
block of the answer, and it has to be the call.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.resources.harness import World

KEY = "client-key-1"
CONFIG = """
api-keys: [client-key-1]
gemini-api-key:
  - api-key: canary-k
    base-url: 'http://g.test'
    models: [{name: gemini-3.1-pro-preview, alias: claude-haiku-4-5}]
"""
SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
ASKED = {
    "model": "claude-haiku-4-5",
    "max_tokens": 60,
    "temperature": 0.7,
    "system": "Name the thread.",
    "messages": [{"role": "user", "content": "<message>hi</message>"}],
    "tools": [{"name": "set_title", "description": "d", "input_schema": SCHEMA}],
    "tool_choice": {"type": "tool", "name": "set_title", "disable_parallel_tool_use": True},
}
CALL = {"functionCall": {"name": "set_title", "args": {"title": "Greeting"}}, "thoughtSignature": "YWJj"}
#: What Gemini answers: a thought that was not asked for, an empty text, the call with its proof, an end.
PARTS: tuple[dict[str, Any], ...] = ({"text": "Hm.", "thought": True}, {"text": ""}, CALL, {"text": ""})
USAGE = {"promptTokenCount": 5, "candidatesTokenCount": 7, "totalTokenCount": 12}


def chunk(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "candidates": [{"content": {"role": "model", "parts": list(parts)}, **more}],
        "usageMetadata": USAGE,
    }


@pytest.mark.parametrize("stream", [False, True])
def test_the_call_is_first(stream: bool) -> None:
    """Neither thoughts nor proofs stand before it, and the small limit leaves room for them."""
    world = World(CONFIG)
    path = "/api/provider/anthropic/v1/messages"
    headers = {"Content-Type": "application/json", "anthropic-version": "2023-06-01"}
    body = json.dumps({**ASKED, "stream": stream}).encode()
    connection = world.request("POST", path, headers, body, key=KEY)
    world.turn()
    sent = world.client.sent[-1]
    asked = json.loads(sent.body)
    assert asked["toolConfig"]["functionCallingConfig"] == {
        "mode": "ANY",
        "allowedFunctionNames": ["set_title"],
    }
    assert asked["generationConfig"]["maxOutputTokens"] > 60
    if stream:
        out = sent.respond(200, {"Content-Type": ["text/event-stream"]})
        for part in PARTS[:-1]:
            out.data(f"data: {json.dumps(chunk(part))}\n\n".encode())
        out.data(f"data: {json.dumps(chunk(PARTS[-1], finishReason='STOP'))}\n\n".encode())
        out.done()
    else:
        whole = json.dumps(chunk(*PARTS, finishReason="STOP")).encode()
        sent.respond_whole(200, whole, {"Content-Type": ["application/json"]})
    world.turn()
    assert blocks(connection.body, stream) == [("tool_use", {"title": "Greeting"})]


def blocks(body: bytes, stream: bool) -> list[tuple[str, Any]]:
    """The kinds of the answer's blocks, and what they hold."""
    if not stream:
        answer = json.loads(body)
        assert answer["stop_reason"] == "tool_use"
        return [(block["type"], block["input"]) for block in answer["content"]]
    events = [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: ")]
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    kinds = [event["content_block"]["type"] for event in events if event["type"] == "content_block_start"]
    pieces = [event["delta"]["partial_json"] for event in events if event["type"] == "content_block_delta"]
    return [(kind, json.loads("".join(pieces))) for kind in kinds]
