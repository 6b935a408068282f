"""``POST /v1/responses/compact``, on accounts whose vendor has the call and on others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.dialects.proof import unwrap_summary, wrap_summary
from tests.resources.harness import World

KEY = "client-key-1"
JSON = {"Content-Type": ["application/json"]}
ACCOUNTS = """
api-keys: [client-key-1]
claude-api-key: [{api-key: canary-k, base-url: 'http://a.test', models: [claude-real]}]
codex-api-key: [{api-key: canary-o, base-url: 'http://o.test/v1', models: [gpt-5.5]}]
"""
ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-real",
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "text", "text": "Sum."},
    ],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 9, "output_tokens": 2},
}
ITEMS: list[dict[str, Any]] = [
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "build"}]},
    {"type": "function_call", "call_id": "c1", "name": "run", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "ok"},
]


def ask(world: World, path: str, **members: Any) -> Any:
    return world.request("POST", path, key=KEY, body=json.dumps({"input": ITEMS, **members}).encode())


@pytest.mark.parametrize(
    "path",
    [
        "/v1/responses/compact",
        "/backend-api/codex/responses/compact",
        "/api/provider/openai/responses/compact",
    ],
)
@pytest.mark.parametrize("asked", [{}, {"stream": True}])
def test_another_vendor(path: str, asked: dict[str, Any]) -> None:
    """The model writes the summary; the client gets its messages and one item, never a stream."""
    world = World(ACCOUNTS)
    connection = ask(world, path, model="claude-real", instructions="You compact.", **asked)
    (sent,) = world.client.sent
    assert sent.url == "http://a.test/v1/messages"
    body = json.loads(sent.body)
    assert "stream" not in body or body["stream"] is False
    assert body["messages"][1]["content"][0]["name"] == "run"
    assert "summary" in body["messages"][-1]["content"][-1]["text"]
    sent.respond_whole(200, json.dumps(ANSWER).encode(), JSON)
    assert connection.status == 200
    told = json.loads(connection.body)
    assert told["object"] == "response.compaction"
    message, item = told["output"]
    assert message["content"] == ITEMS[0]["content"]
    assert (item["type"], unwrap_summary(item["encrypted_content"])) == ("compaction", "Sum.")
    assert told["usage"]["total_tokens"] == 11


def test_no_summary() -> None:
    """An answer without words is an error, and not taken for a summary."""
    world = World(ACCOUNTS)
    connection = ask(world, "/v1/responses/compact", model="claude-real")
    world.client.sent[0].respond_whole(200, json.dumps({**ANSWER, "content": []}).encode(), JSON)
    assert connection.status == 502
    assert "no summary" in json.loads(connection.body)["error"]["message"]


def test_openai_itself() -> None:
    """Its own call is asked, the body passes as it is, and so does the answer."""
    world = World(ACCOUNTS)
    connection = ask(world, "/v1/responses/compact", model="gpt-5.5")
    (sent,) = world.client.sent
    assert sent.url == "http://o.test/v1/responses/compact"
    assert json.loads(sent.body) == {"model": "gpt-5.5", "input": ITEMS}
    answer = b'{"id":"resp_1","object":"response.compaction","output":[],"usage":{"input_tokens":3}}'
    sent.respond_whole(200, answer, JSON)
    assert (connection.status, connection.body) == (200, answer)


@pytest.mark.parametrize("path", ["/v1/responses/compact", "/v1/responses"])
def test_summaries_for_openai(path: str) -> None:
    """A summary of ours is text for OpenAI, which could not read it."""
    world = World(ACCOUNTS)
    ours = {"type": "compaction", "id": "cmp_1", "encrypted_content": wrap_summary("Ünïque.")}
    ask(world, path, model="gpt-5.5", input=[ours, *ITEMS])
    first = json.loads(world.client.sent[0].body)["input"][0]
    assert first["role"] == "user"
    assert "Ünïque." in json.dumps(first["content"], ensure_ascii=False)


def test_wrong_bodies() -> None:
    """What is no request is refused in words."""
    world = World(ACCOUNTS)
    connection = ask(world, "/v1/responses/compact", model="claude-real", input=7)
    assert connection.status == 400
    assert json.loads(connection.body)["error"]["param"] == "input"
