"""Models of OpenAI's that take over Responses what they refuse over Chat Completions, at an account of Chat
Completions at OpenAI's own address: from each client's dialect, plain and streamed.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dialects.test_newest_models import check_responses
from tests.resources.harness import CLIENT_KEY, Connection, Sent, World
from tests.resources.test_bent_answers import (
    CLIENTS,
    CREATED,
    SHAPES,
    calls,
    ended_well,
    event,
    question,
    response,
)

CALL = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "read_file", "arguments": "{}"}
ANSWER = response(
    "completed", [{**CALL, "status": "completed"}], usage={"input_tokens": 1, "output_tokens": 2}
)
OPENAI = "https://api.openai.com/v1"


def world_of(model: str, base_url: str = OPENAI) -> World:
    return World(
        f"""
api-keys: ["{CLIENT_KEY}"]
openai-compatibility:
  - name: openai
    base-url: {base_url}
    api-key-entries: [{{api-key: account-key-0123456789}}]
    models: [{{name: {model}, alias: model}}]
"""
    )


def ask(world: World, path: str, body: dict[str, Any]) -> tuple[Connection, Sent]:
    connection = world.request("POST", path, {"Content-Type": "application/json"}, json.dumps(body).encode())
    world.turn()
    return connection, world.client.sent[-1]


def with_tools(client: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
    """The clients' question; Gemini's has its tool, too."""
    path, body = question(client, stream=stream)
    if client == "gemini":
        body["tools"] = [{"functionDeclarations": [{"name": "read_file", "description": "Reads."}]}]
    return path, body


@pytest.mark.parametrize("client", [*CLIENTS, "amp"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("model", ["gpt-6.2-astra", "gpt-6.1-sol", "gpt-9"])
def test_functions_go_over_responses(model: str, shape: str, client: str) -> None:
    """These refuse functions over Chat Completions whatever is said beside them."""
    stream = shape == "streamed"
    path, body = with_tools("chat" if client == "amp" else client, stream=stream)
    path = f"/api/provider/openai{path}" if client == "amp" else path
    world = world_of(model)
    connection, sent = ask(world, path, body)
    asked = json.loads(sent.body)
    assert sent.url == f"{OPENAI}/responses"
    assert asked["tools"][0]["name"] == "read_file"
    check_responses(asked, model)
    if stream:
        out = sent.respond(200, {"Content-Type": ["text/event-stream"]})
        for piece in (
            CREATED,
            event("response.output_item.added", output_index=0, item={**CALL, "arguments": ""}),
            event("response.output_item.done", output_index=0, item=CALL),
            event("response.completed", response=ANSWER),
        ):
            out.data(piece)
            world.turn()
        out.done()
    else:
        sent.respond_whole(200, json.dumps(ANSWER).encode(), {"Content-Type": ["application/json"]})
    world.turn()
    assert ended_well(world, connection, shape)
    assert calls(connection.body)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("model", ["gpt-5-codex", "gpt-5.2-pro"])
def test_models_that_only_responses_has(model: str, client: str) -> None:
    """With tools or without."""
    path, body = question(client, stream=False)
    body.pop("tools", None)
    assert ask(world_of(model), path, body)[1].url == f"{OPENAI}/responses"


def test_thinking_beside_functions_goes_over_responses() -> None:
    """Where Chat Completions takes functions only without thinking, a client that thinks keeps it."""
    path, body = question("anthropic", stream=False)
    body["output_config"] = {"effort": "high"}
    sent = ask(world_of("gpt-5.6-terra"), path, body)[1]
    assert sent.url == f"{OPENAI}/responses"
    assert json.loads(sent.body)["reasoning"]["effort"] == "high"


def test_without_thinking_chat_completions_stay() -> None:
    """What needs no other call gets none."""
    path, body = question("anthropic", stream=False)
    body["thinking"] = {"type": "disabled"}
    sent = ask(world_of("gpt-5.6-terra"), path, body)[1]
    assert sent.url == f"{OPENAI}/chat/completions"
    assert json.loads(sent.body)["reasoning_effort"] == "none"


@pytest.mark.parametrize("base_url", ["https://openrouter.ai/api/v1", "http://10.0.0.1:8000/v1"])
def test_other_servers_have_rules_of_their_own(base_url: str) -> None:
    """OpenAI's models elsewhere take functions over Chat Completions."""
    path, body = question("anthropic", stream=False)
    sent = ask(world_of("openai/gpt-6.2-astra", base_url), path, body)[1]
    assert sent.url == f"{base_url}/chat/completions"


def test_no_tools_no_change() -> None:
    """A chat passes byte for byte but for the model's name."""
    body = {"model": "model", "messages": [{"role": "user", "content": "go"}]}
    sent = ask(world_of("gpt-6.2-astra"), "/v1/chat/completions", body)[1]
    assert sent.url == f"{OPENAI}/chat/completions"
    assert sent.body == json.dumps(body).replace('"model": "model"', '"model": "gpt-6.2-astra"').encode()
