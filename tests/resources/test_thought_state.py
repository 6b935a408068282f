"""What servers of Chat Completions keep of their thinking in the hands of the client comes back to them,
through the whole tree of resources, whatever the client speaks.
"""

from __future__ import annotations

import json
from typing import Any

from ampproxy.dialects.openai_chat.thought_state import ThoughtState
from ampproxy.model.base import CHAT, Json
from ampproxy.model.parts import Signature
from tests.cases import each
from tests.resources.harness import CLIENT_KEY, World
from tests.resources.test_bent_answers import DONE, call, chunk, objects, question

ENCRYPTED = {
    "type": "reasoning.encrypted",
    "data": "b3BhcXVl",
    "id": "call_1",
    "format": "google-gemini-v1",
    "index": 0,
}
SIGNED = {
    "type": "reasoning.text",
    "text": "I think.",
    "signature": "c2ln",
    "format": "anthropic-claude-v1",
    "index": 0,
}
CALL = call("read_file", '{"path": "a"}')
#: The server's address, the pieces of its answer, and what it has to get back beside the call.
SERVERS = {
    "beside the call": (
        "https://openrouter.ai/api/v1",
        [{"reasoning": "I think."}, {"reasoning_details": [ENCRYPTED], **CALL}],
        {"reasoning": "I think.", "reasoning_details": [ENCRYPTED]},
    ),
    "without words": (
        "https://openrouter.ai/api/v1",
        [{"reasoning_details": [ENCRYPTED], **CALL}],
        {"reasoning_details": [ENCRYPTED]},
    ),
    "in pieces": (
        "http://router.test/v1",
        [
            {"reasoning_details": [{**SIGNED, "text": "I ", "signature": None}]},
            {"reasoning_details": [{**SIGNED, "text": "think.", "signature": None}]},
            {"reasoning_details": [{"type": "reasoning.text", "index": 0, "signature": "c2ln"}]},
            CALL,
        ],
        {"reasoning_details": [SIGNED]},
    ),
    "behind the call": (
        "https://openrouter.ai/api/v1",
        [{"reasoning": "I think."}, CALL, {"reasoning_details": [ENCRYPTED]}],
        {"reasoning": "I think.", "reasoning_details": [ENCRYPTED]},
    ),
    "its proof behind the call": (
        "http://router.test/v1",
        [
            {"reasoning_details": [{**SIGNED, "signature": None}]},
            CALL,
            {"reasoning_details": [{"type": "reasoning.text", "index": 0, "signature": "c2ln"}]},
        ],
        {"reasoning_details": [SIGNED]},
    ),
    "opaque behind the call": (
        "https://api.githubcopilot.com",
        [{"reasoning_text": "I think."}, CALL, {"reasoning_opaque": "b3BhcXVl"}],
        # The words are thinking that proves nothing, which this server does not take.
        {"reasoning_opaque": "b3BhcXVl"},
    ),
    "opaque": (
        "https://api.githubcopilot.com",
        [{"reasoning_text": "I think."}, {"reasoning_opaque": "b3BhcXVl"}, CALL],
        {"reasoning_text": "I think.", "reasoning_opaque": "b3BhcXVl"},
    ),
}


def config(*urls: str) -> str:
    lines = [f'api-keys: ["{CLIENT_KEY}"]', "openai-compatibility:"]
    for number, url in enumerate(urls):
        lines.append(
            f"  - {{name: s{number}, base-url: '{url}', api-key-entries: [{{api-key: key-0123456789}}],"
        )
        lines.append(f"     models: [{{name: gemini-3.1-pro-preview, alias: model{number or ''}}}]}}")
    return "\n".join(lines) + "\n"


def ask(world: World, path: str, body: dict[str, Any]) -> Any:
    raw = json.dumps(body).encode()
    connection = world.request("POST", path, {"Content-Type": "application/json"}, raw)
    world.turn()
    return connection


def answered(world: World, deltas: list[dict[str, Any]]) -> None:
    stream = world.client.sent[-1].respond(200, {"Content-Type": ["text/event-stream"]})
    for piece in (*map(chunk, deltas), chunk({}, "tool_calls"), DONE):
        stream.data(piece)
        world.turn()
    stream.done()
    world.turn()


def history(client: str, body: bytes) -> list[dict[str, Any]]:
    """What a client keeps of a stream, and the result of its call."""
    events = list(objects("streamed", body))
    if client == "responses":
        result = {"type": "function_call_output", "call_id": "call_1", "output": "text"}
        return [*events[-1]["response"]["output"], result]
    if client == "gemini":
        parts = [
            part for event in events for part in event["candidates"][0].get("content", {}).get("parts", ())
        ]
        response = {"functionResponse": {"id": "call_1", "name": "read_file", "response": {"result": "text"}}}
        return [{"role": "model", "parts": parts}, {"role": "user", "parts": [response]}]
    blocks = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    for event in events:
        delta = event.get("delta", {})
        for name in ("thinking", "signature"):
            if name in delta:
                blocks[event["index"]][name] += delta[name]
    result = {"type": "tool_result", "tool_use_id": "call_1", "content": "text"}
    return [{"role": "assistant", "content": blocks}, {"role": "user", "content": [result]}]


@each("client", ["anthropic", "responses", "gemini"])
@each("server", SERVERS)
def test_the_state_comes_back(client: str, server: str) -> None:
    """As it came, beside the call that it belongs to; to another kind of server it goes not."""
    url, deltas, expected = SERVERS[server]
    world = World(config(url, "https://api.groq.com/openai/v1"))
    path, body = question(client, stream=True)
    if client == "responses":
        body.update(
            input=[{"role": "user", "content": "go"}], store=False, include=["reasoning.encrypted_content"]
        )
    connection = ask(world, path, body)
    answered(world, deltas)
    member = {"anthropic": "messages", "responses": "input", "gemini": "contents"}[client]
    body[member] = body[member] + history(client, connection.body)
    ask(world, path, body)
    message = json.loads(world.client.sent[-1].body)["messages"][1]
    assert {name: value for name, value in message.items() if "reasoning" in name} == expected
    assert message["tool_calls"][0]["id"] == "call_1"
    ask(world, path.replace("model:", "model1:"), {**body, "model": "model1"} if client != "gemini" else body)
    message = json.loads(world.client.sent[-1].body)["messages"][1]
    assert "reasoning_details" not in message
    assert "reasoning_opaque" not in message


def test_what_proves_nothing_is_no_state() -> None:
    """Words alone are thinking as any other; two details of one number and two ids are two."""
    state = ThoughtState()
    state.add([Json(b'{"type":"reasoning.text","text":"hm","index":0}'), Json(b"null")], None)
    assert state.take() is None
    one, two = ({**ENCRYPTED, "id": id} for id in ("call_1", "call_2"))
    for detail in (one, two):
        state.add([Json(json.dumps(detail).encode())], None)
    taken = state.take()
    assert taken == Signature(CHAT, taken.value if taken else "")
    found = json.loads(taken.value)["reasoning_details"]
    assert [detail.get("id") for detail in found] == [None, "call_1", "call_2"]
    assert state.take() is None
