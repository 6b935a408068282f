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


def two_turns(world: World, client: str, deltas: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """Ask, and ask again with what came; give the path and the body of the second request."""
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
    return path, body


@each("client", ["anthropic", "responses", "gemini"])
@each("server", SERVERS)
def test_the_state_comes_back(client: str, server: str) -> None:
    """As it came, beside the call that it belongs to; to another kind of server it goes not."""
    url, deltas, expected = SERVERS[server]
    world = World(config(url, "https://api.groq.com/openai/v1"))
    path, body = two_turns(world, client, deltas)
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


BLOCK = {"type": "thinking", "thinking": "I think.", "signature": "c2ln"}
PROOF = {"provider_specific_fields": {"thought_signature": "cHJvb2Y="}}
OTHER = {"extra_content": {"vertex": {"thought_signature": "cHJvb2Y="}}}


def with_call(beside: dict[str, Any], within: dict[str, Any] | None = None) -> dict[str, Any]:
    """The call, with members beside it and in its function."""
    made = json.loads(json.dumps(CALL))
    made["tool_calls"][0].update(beside)
    made["tool_calls"][0]["function"].update(within or {})
    return made


#: The pieces of an answer -> the members of the message, and beside the call, that the server gets back.
LITELLM: dict[str, tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]] = {
    "blocks in pieces": (
        [
            {
                "reasoning_content": "I ",
                "thinking_blocks": [{"type": "thinking", "thinking": "I ", "signature": None}],
            },
            {
                "reasoning_content": "think.",
                "thinking_blocks": [{"type": "thinking", "thinking": "think.", "signature": ""}],
            },
            {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "c2ln"}]},
            CALL,
        ],
        {"thinking_blocks": [BLOCK]},
        {},
    ),
    "blocks without other words": (
        [{"thinking_blocks": [BLOCK]}, {"thinking_blocks": [{**BLOCK, "thinking": "More."}]}, CALL],
        {"thinking_blocks": [BLOCK, {**BLOCK, "thinking": "More."}]},
        {},
    ),
    "redacted": (
        [{"thinking_blocks": [{"type": "redacted_thinking", "data": "b3BhcXVl"}]}, CALL],
        {"thinking_blocks": [{"type": "redacted_thinking", "data": "b3BhcXVl"}]},
        {},
    ),
    "beside the call": ([with_call(PROOF)], {}, PROOF),
    "in the function": ([with_call({}, PROOF)], {}, PROOF),
    "another vendor's": ([with_call(OTHER)], {}, OTHER),
    "Google's": (
        [with_call({"extra_content": {"google": {"thought_signature": "cHJvb2Y="}}})],
        {},
        {"extra_content": {"google": {"thought_signature": "cHJvb2Y="}}},
    ),
}


@each("client", ["anthropic", "responses", "gemini"])
@each("case", LITELLM)
def test_what_litellm_keeps_comes_back(client: str, case: str) -> None:
    """Whatever the model is called there; to another kind of server it goes not."""
    deltas, expected, beside = LITELLM[case]
    urls = config("http://router.test/v1", "https://api.groq.com/openai/v1")
    world = World(urls.replace("gemini-3.1-pro-preview", "some-model"))
    path, body = two_turns(world, client, deltas)
    message = json.loads(world.client.sent[-1].body)["messages"][1]
    (made,) = message["tool_calls"]
    assert {name: value for name, value in message.items() if "thinking" in name} == expected
    assert {name: made[name] for name in made.keys() - {"id", "type", "function"}} == beside
    ask(world, path.replace("model:", "model1:"), {**body, "model": "model1"} if client != "gemini" else body)
    message = json.loads(world.client.sent[-1].body)["messages"][1]
    assert "thinking_blocks" not in message
    assert message["tool_calls"][0].keys() == {"id", "type", "function"}


@each("beside", [PROOF, OTHER, {"extra_content": {"google": {"thought_signature": "cHJvb2Y="}}}])
def test_proofs_in_a_history_of_chat(beside: dict[str, Any]) -> None:
    """What a client was given by others reaches the vendors that issued it."""
    accounts = """
gemini-api-key: [{api-key: key-0123456789, models: [{name: gemini-3-pro-preview, alias: g}]}]
claude-api-key: [{api-key: key-0123456789, models: [{name: claude-sonnet-4-6, alias: a}]}]
"""
    world = World(f'api-keys: ["{CLIENT_KEY}"]\n' + accounts)
    called = {"role": "assistant", "content": None, "thinking_blocks": [BLOCK], **with_call(beside)}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "text"}
    messages = [{"role": "user", "content": "go"}, called, result]
    tool = {"type": "function", "function": {"name": "read_file", "parameters": {"type": "object"}}}
    body = {"messages": messages, "tools": [tool], "reasoning_effort": "high"}
    ask(world, "/v1/chat/completions", {"model": "g", **body})
    (part,) = json.loads(world.client.sent[-1].body)["contents"][1]["parts"]
    assert part["thoughtSignature"] == "cHJvb2Y="
    ask(world, "/v1/chat/completions", {"model": "a", **body})
    blocks = json.loads(world.client.sent[-1].body)["messages"][1]["content"]
    assert blocks[0] == BLOCK
    assert blocks[1]["type"] == "tool_use"


@each("shape", ["streamed", "whole"])
def test_a_proof_of_gemini_comes_back_from_a_chat(shape: str) -> None:
    """Clients keep what stands beside a call: Vercel's AI SDK, for one, gives it back there."""
    config = {
        "api-key": "key",
        "base-url": "http://gemini.test",
        "models": [{"name": "gemini-3-pro-preview"}],
    }
    world = World(json.dumps({"api-keys": [CLIENT_KEY], "gemini-api-key": [config]}))
    body = {**question("chat", stream=shape == "streamed")[1], "model": "gemini-3-pro-preview"}
    connection = ask(world, "/v1/chat/completions", body)
    part = {"functionCall": {"name": "read_file", "args": {"path": "a"}}, "thoughtSignature": "cHJvb2Y="}
    content = {"role": "model", "parts": [part]}
    answer = json.dumps({"candidates": [{"content": content, "finishReason": "STOP"}]}).encode()
    kind = "text/event-stream" if shape == "streamed" else "application/json"
    response = world.client.sent[0].respond(200, {"Content-Type": [kind]})
    response.data(b"data: " + answer + b"\n\n" if shape == "streamed" else answer)
    response.done()
    world.turn()
    calls = [
        one
        for value in objects(shape, connection.body)
        for choice in value["choices"]
        for one in choice["delta" if shape == "streamed" else "message"].get("tool_calls") or ()
    ]
    assert calls[0]["extra_content"] == {"google": {"thought_signature": "cHJvb2Y="}}
    assert not world.exchanges[-1]["losses"]
    call = {**calls[0], "function": {"name": "read_file", "arguments": '{"path": "a"}'}}
    turns = [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "R"},
    ]
    ask(world, "/v1/chat/completions", {**body, "messages": [*body["messages"], *turns]})
    sent = json.loads(world.client.sent[-1].body)["contents"][1]["parts"]
    assert sent[0]["thoughtSignature"] == "cHJvb2Y="
