"""The lists of models, in each dialect's form, and what a new list of a vendor changes."""

from __future__ import annotations

import json

from msgspec.structs import replace

from tests.resources.harness import CLIENT_KEY, World

CONFIG = f"""
api-keys: ["{CLIENT_KEY}"]
claude-api-key: [{{api-key: k, base-url: "http://claude.test"}}]
openai-compatibility: [{{name: local, base-url: "http://local.test/v1", api-key-entries: [{{api-key: l}}]}}]
"""
LOCAL = "openai-compatibility/local[0]"
ANSWER = b'{"id":"m","type":"message","model":"claude-x","content":[]}'
JSON = {"Content-Type": ["application/json"]}


def told(world: World, **lists: tuple[str, ...]) -> None:
    """The vendors' lists are known now."""
    known = {account.label: lists.get(account.kind[:6], ()) for account in world.config.accounts}
    world.generation.runtime = replace(world.generation.runtime, known_models=lambda accounts: known)
    world.generation.find_models()


def listed(world: World, path: str, **headers: str) -> list[str]:
    answer = json.loads(world.request("GET", path, headers).body)
    models = answer["data"] if "data" in answer else answer["models"]
    return [model["id"] if "id" in model else model["name"] for model in models]


def ask(world: World, model: str):
    body = {"model": model, "max_tokens": 5, "messages": []}
    return world.request("POST", "/v1/messages", body=json.dumps(body).encode())


def test_lists() -> None:
    """All dialects show what the vendors listed, as soon as that is known."""
    world = World(CONFIG)
    assert listed(world, "/v1/models") == []
    told(world, claude=("claude-x",), openai=("qwen3",))
    assert listed(world, "/v1/models") == ["claude-x", "qwen3"]
    assert listed(world, "/v1/models", **{"anthropic-version": "2023-06-01"}) == ["claude-x", "qwen3"]
    assert listed(world, "/v1beta/models") == ["models/claude-x", "models/qwen3"]
    assert listed(world, "/api/provider/openai/v1/models") == ["claude-x", "qwen3"]
    told(world, openai=("llama",))
    assert listed(world, "/v1/models") == ["llama"]


def test_codex_keeps_its_own_models() -> None:
    """It reads a list of its own records: without one it logs an error and asks again at each turn; an entry
    would take the place of the model's own system prompt. An empty list says that all is well.
    """
    world = World(CONFIG)
    told(world, claude=("claude-x",))
    for path in ("/v1/models", "/models", "/openai/v1/models", "/backend-api/codex/models"):
        body = json.loads(world.request("GET", path + "?client_version=0.171.0").body)
        assert body["models"] == []
        assert [model["id"] for model in body["data"]] == ["claude-x"]
    assert "models" not in json.loads(world.request("GET", "/v1/models").body)
    assert "models" not in json.loads(world.request("GET", "/v1/models?limit=10").body)


def test_next_request_is_served() -> None:
    """A model is served from the moment its vendor listed it."""
    world = World(CONFIG)
    assert ask(world, "qwen3").status == 404
    told(world, openai=("qwen3",))
    ask(world, "qwen3")
    assert [sent.url for sent in world.client.sent] == ["http://local.test/v1/chat/completions"]


def test_what_is_under_way_goes_on() -> None:
    """An exchange that began before a new list came ends as if none had come."""
    world = World(CONFIG)
    connection = ask(world, "claude-x")
    told(world, claude=("claude-y",))
    (sent,) = world.client.sent
    sent.respond_whole(200, ANSWER, JSON)
    world.turn()
    assert connection.status == 200
    assert connection.body == ANSWER
