"""What servers of Chat Completions are sent, whoever asks, and that what they gave comes back to them:
through the whole tree of resources.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.resources.harness import CLIENT_KEY, World
from tests.resources.test_bent_answers import (
    CLIENTS,
    DONE,
    ROLE,
    SCHEMA,
    answer,
    chunk,
    every,
    objects,
    whole_chat,
)

PATHS = {"anthropic": "/v1/messages", "chat": "/v1/chat/completions", "responses": "/v1/responses"}


def serving(base_url: str, model: str) -> World:
    """A gateway whose ``model`` is ``model`` of the server at ``base_url``."""
    return World(
        f'api-keys: ["{CLIENT_KEY}"]\n'
        "openai-compatibility:\n"
        f"  - name: server\n    base-url: {base_url}\n"
        "    api-key-entries: [{api-key: account-key-0123456789}]\n"
        f'    models: [{{name: "{model}", alias: model}}]\n'
    )


def sent(world: World, client: str, body: dict[str, Any], *, stream: bool = False) -> tuple[Any, Any]:
    """The client's connection, and what its server was sent."""
    if client == "gemini":
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        path = f"/v1beta/models/model:{method}"
    else:
        path, body = PATHS[client], {"model": "model", "stream": stream, **body}
    connection = world.request("POST", path, {"X-Ampproxy-Losses": "1"}, json.dumps(body).encode())
    world.turn()
    return connection, json.loads(world.client.sent[-1].body)


SOME, OPENAI = "http://server.test/v1", "https://api.openai.com/v1"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("base_url", "model", "new"),
    [
        # Names that the table of hosts describes, at servers that it does not.
        (SOME, "mistral-large-latest", False),
        (SOME, "deepseek-v4", False),
        (SOME, "qwen3", False),
        (SOME, "gemini-3-pro", False),
        (SOME, "nobodys-model", False),
        ("https://api.mistral.ai/v1", "mistral-large-latest", False),
        (SOME, "openai.gpt-5.6-sol", True),
        (OPENAI, "gpt-6-sol", True),
        (OPENAI, "a-name-that-is-new", True),
    ],
)
def test_new_names_are_for_openais_models(base_url: str, model: str, new: bool, stream: bool) -> None:
    """SDKs send ``max_completion_tokens`` and the role ``developer``; other servers know the old names."""
    turns = [{"role": "developer", "content": "be brief"}, {"role": "user", "content": "hi"}]
    asked = {"messages": turns, "max_completion_tokens": 100}
    _, got = sent(serving(base_url, model), "chat", asked, stream=stream)
    assert got["messages"][0]["role"] == ("developer" if new else "system")
    assert got.get("max_completion_tokens") == (100 if new else None)
    assert got.get("max_tokens") == (None if new else 100)


GOOGLE = "https://generativelanguage.googleapis.com/v1beta/openai"
PROOF = {"google": {"thought_signature": "c2lnbmF0dXJlLTE="}}
TOOL = {"name": "read_file", "parameters": SCHEMA}
FIRST: dict[str, dict[str, Any]] = {
    "anthropic": {
        "max_tokens": 400,
        "thinking": {"type": "adaptive"},
        "messages": [{"role": "user", "content": "go"}],
        "tools": [{"name": "read_file", "input_schema": SCHEMA}],
    },
    "chat": {
        "messages": [{"role": "user", "content": "go"}],
        "tools": [{"type": "function", "function": TOOL}],
    },
    "responses": {
        "input": [{"role": "user", "content": "go"}],
        "tools": [{"type": "function", **TOOL}],
        "include": ["reasoning.encrypted_content"],
    },
    "gemini": {
        "contents": [{"role": "user", "parts": [{"text": "go"}]}],
        "tools": [{"functionDeclarations": [{"name": "read_file", "parametersJsonSchema": SCHEMA}]}],
    },
}


def calling(id: str, proof: dict[str, Any] | None) -> dict[str, Any]:
    function = {"name": "read_file", "arguments": '{"path":"a"}'}
    made = {"index": 0, "id": id, "type": "function", "function": function}
    return {**made, "extra_content": proof} if proof else made


def second(client: str, first: dict[str, Any], body: bytes, *, stream: bool) -> dict[str, Any]:
    """The next turn: all that the client was given, and the result of each call."""
    shape = "streamed" if stream else "whole"
    got = list(objects(shape, body))
    if client == "anthropic":
        blocks = _blocks(got) if stream else got[0]["content"]
        results = [
            {"type": "tool_result", "tool_use_id": block["id"], "content": "text"}
            for block in blocks
            if block["type"] == "tool_use"
        ]
        more = [{"role": "assistant", "content": blocks}, {"role": "user", "content": results}]
        return {**first, "messages": [*first["messages"], *more]}
    if client == "chat":
        message = _message(got) if stream else got[0]["choices"][0]["message"]
        results = [
            {"role": "tool", "tool_call_id": made["id"], "content": "text"} for made in message["tool_calls"]
        ]
        return {**first, "messages": [*first["messages"], message, *results]}
    if client == "responses":
        items = got[-1]["response"]["output"] if stream else got[0]["output"]
        results = [
            {"type": "function_call_output", "call_id": item["call_id"], "output": "text"}
            for item in items
            if item["type"] == "function_call"
        ]
        return {**first, "input": [*first["input"], *items, *results]}
    parts = [part for value in got for part in value["candidates"][0]["content"]["parts"]]
    answers = [
        {
            "functionResponse": {
                "id": part["functionCall"]["id"],
                "name": "read_file",
                "response": {"r": "text"},
            }
        }
        for part in parts
        if "functionCall" in part
    ]
    more = [{"role": "model", "parts": parts}, {"role": "user", "parts": answers}]
    return {**first, "contents": [*first["contents"], *more]}


def _blocks(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks of a stream of Messages."""
    blocks: list[dict[str, Any]] = []
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            if delta["type"] == "input_json_delta":
                blocks[-1]["json"] = blocks[-1].get("json", "") + delta["partial_json"]
            elif delta["type"] == "signature_delta":
                blocks[-1]["signature"] = delta["signature"]
            else:
                name = delta["type"].removesuffix("_delta")
                blocks[-1][name] += delta[name]
    for block in blocks:
        if "json" in block:
            block["input"] = json.loads(block.pop("json"))
    return blocks


def _message(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """The message of a stream of Chat Completions."""
    message: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": []}
    for value in chunks:
        for made in value["choices"][0]["delta"].get("tool_calls") or () if value["choices"] else ():
            if "id" in made:
                message["tool_calls"].append(json.loads(json.dumps(made)))
            else:
                message["tool_calls"][made["index"]]["function"]["arguments"] += made["function"]["arguments"]
                if "extra_content" in made:
                    message["tool_calls"][made["index"]]["extra_content"] = made["extra_content"]
    return message


@every
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("base_url", [GOOGLE, SOME])
def test_googles_proofs_on_calls_come_back(client: str, stream: bool, base_url: str) -> None:
    """Gemini refuses the next turn without the signature of its first call; any client brings it back."""
    world = serving(base_url, "gemini-3.1-pro-preview")
    connection, _ = sent(world, client, FIRST[client], stream=stream)
    made = [calling("call_1", PROOF), {**calling("call_2", None), "index": 1}]
    if stream:
        answer(world, ROLE, chunk({"tool_calls": made}), chunk({}, "tool_calls"), DONE)
    else:
        message = {"role": "assistant", "content": None, "tool_calls": made}
        whole = whole_chat({"index": 0, "message": message, "finish_reason": "tool_calls"})
        answer(world, whole, kind="application/json")
    assert connection.status == 200
    _, got = sent(world, client, second(client, FIRST[client], connection.body, stream=stream))
    found = [made for turn in got["messages"] for made in turn.get("tool_calls") or ()]
    assert [made.get("extra_content") for made in found] == [PROOF, None]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_call_that_gemini_never_made_skips_its_check(client: str) -> None:
    """A history of another model's has no proof of Gemini's: its placeholder goes in that place."""
    world = serving(GOOGLE, "gemini-3.1-pro-preview")
    connection, _ = sent(world, client, FIRST[client])
    message = {"role": "assistant", "content": None, "tool_calls": [calling("call_1", None)]}
    answer(
        world,
        whole_chat({"index": 0, "message": message, "finish_reason": "tool_calls"}),
        kind="application/json",
    )
    _, got = sent(world, client, second(client, FIRST[client], connection.body, stream=False))
    [made] = got["messages"][1]["tool_calls"]
    assert made["extra_content"] == {"google": {"thought_signature": "skip_thought_signature_validator"}}
