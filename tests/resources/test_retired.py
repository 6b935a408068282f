"""A model that its vendor has taken away: the client is given a clear answer, no account a cooldown."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from tests.resources.harness import CLIENT_KEY, Connection, World

CONFIG = f"""
api-keys: ["{CLIENT_KEY}"]
claude-api-key:
  - {{api-key: one, base-url: "http://claude.test"}}
  - {{api-key: two, base-url: "http://claude.test"}}
codex-api-key: [{{api-key: k, base-url: "http://openai.test/v1"}}]
gemini-api-key: [{{api-key: k, base-url: "http://gemini.test"}}]
openai-compatibility:
  - name: other
    base-url: "http://other.test/v1"
    api-key-entries: [{{api-key: k}}]
    models: [{{name: own-model}}]
ampcode:
  model-mappings: [{{from: big-old, to: claude-sonnet-4-5}}]
"""
#: 2026-12-20 and 2026-11-20, in seconds since the epoch.
AFTER, BEFORE = 1_797_724_800.0, 1_795_132_800.0
JSON = {"Content-Type": ["application/json"]}
NOT_FOUND = {
    "claude": {"type": "error", "error": {"type": "not_found_error", "message": "model: claude-sonnet-4-5"}},
    "openai": {"error": {"message": "The model does not exist or you do not have access to it.",
                         "type": "invalid_request_error", "param": None, "code": "model_not_found"}},
    "gemini": {"error": {"code": 404, "status": "NOT_FOUND",
                         "message": "models/gemini-2.5-pro is not found for API version v1beta, or is not"
                         " supported for generateContent."}},
    "other": {"error": {"message": "The model `own-model` has been decommissioned.",
                        "type": "invalid_request_error", "code": "model_decommissioned"}},
}  # fmt: skip
PATHS = {
    "anthropic": "/v1/messages",
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "gemini": "/v1beta/models/{model}:generateContent",
}


def world(wall: float = AFTER, config: str = CONFIG) -> World:
    found = World(config)
    found.generation.runtime = replace(found.generation.runtime, wall=lambda: wall)
    found.use(config)
    return found


def ask(found: World, dialect: str, model: str, prefix: str = "") -> Connection:
    """Ask, and have every account that is asked answer that there is no such model."""
    if dialect == "gemini":
        body: dict[str, object] = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    elif dialect == "responses":
        body = {"model": model, "input": "hi"}
    else:
        body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    before = len(found.client.sent)
    path = prefix + PATHS[dialect].format(model=model)
    connection = found.request("POST", path, body=json.dumps(body).encode())
    answered = before
    while answered < len(found.client.sent) and not connection.answer:
        sent = found.client.sent[answered]
        vendor = sent.url.partition("//")[2].partition(".")[0]
        status = 400 if vendor == "other" else 404
        sent.respond_whole(status, json.dumps(NOT_FOUND[vendor]).encode(), JSON)
        answered += 1
    return connection


def message(dialect: str, connection: Connection) -> str:
    """The words of an error in the client's own dialect."""
    error = json.loads(connection.body)["error"]
    kinds = {"anthropic": ("type", "not_found_error"), "gemini": ("status", "NOT_FOUND")}
    member, value = kinds.get(dialect, ("type", error.get("type")))
    assert error[member] == value
    return str(error["message"])


def cooldowns(found: World) -> int:
    """How many accounts have one."""
    return sum(found.generation.runtime.pool_state.begun.values())


ENDS = {
    "claude-sonnet-4-5-20250929": ("2026-11-30", "claude-sonnet-5-5"),
    "gpt-5": ("2026-12-11", "gpt-6.2-sol"),
    "gemini-2.5-pro": ("2026-12-01", "gemini-3.8-flash"),
}


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("model", ENDS)
def test_the_client_is_told(dialect, model):
    """In its own dialect, whichever vendor it was: when the model went, and what to ask for."""
    found = world()
    connection = ask(found, dialect, model)
    day, successor = ENDS[model]
    told = message(dialect, connection)
    assert connection.status == 404
    assert told.startswith(f"{model} was retired by its vendor on {day}. Use its successor, {successor}.")
    assert "Its vendor answered: " in told
    assert cooldowns(found) == 0


@pytest.mark.parametrize("asked", ["claude-sonnet-4-5", "big-old"])
def test_amp_is_told_the_mapping(asked):
    """Where mappings count the answer is the line that mends it, for the name that was asked for."""
    found = world()
    told = message("anthropic", ask(found, "anthropic", asked, "/api/provider/anthropic"))
    line = f"- {{from: {asked}, to: claude-sonnet-5-5}}"
    assert f"under ampcode.model-mappings: {line}." in told
    assert len(found.client.sent) == 2
    again = ask(found, "anthropic", asked, "/api/provider/anthropic")
    assert (again.status, len(found.client.sent)) == (404, 4)


def test_a_vendor_that_says_it_is_believed():
    """Also of a model that nobody described, with a status of its own."""
    found = world()
    connection = ask(found, "chat", "own-model")
    assert connection.status == 404
    told = message("chat", connection)
    assert told.startswith("own-model is retired by its vendor. Use another model: ampproxy models")
    assert "has been decommissioned" in told
    assert cooldowns(found) == 0


@pytest.mark.parametrize(("wall", "model"), [(BEFORE, "claude-sonnet-4-5"), (AFTER, "claude-sonnet-4-6")])
def test_a_model_that_is_there_is_not_said_to_be_gone(wall, model):
    """Its end is to come, or it has none: the account is at fault as before."""
    found = world(wall)
    connection = ask(found, "anthropic", model)
    assert "retired" not in connection.answer.decode()
    assert cooldowns(found) == 2


def test_another_account_may_still_have_it():
    """The next account is asked, and what it answers counts."""
    found = world()
    connection = found.request(
        "POST", "/v1/messages", body=b'{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[]}'
    )
    found.client.sent[0].respond_whole(404, json.dumps(NOT_FOUND["claude"]).encode(), JSON)
    answer = b'{"id":"m","type":"message","model":"claude-sonnet-4-5","content":[]}'
    found.client.sent[1].respond_whole(200, answer, JSON)
    assert (connection.status, connection.body) == (200, answer)


def test_the_owners_word_counts():
    """An owner who knows that it is still there has the last word."""
    own = CONFIG + "catalog: [{names: [claude-sonnet-4-5], retires: 2030-01-01}]\n"
    found = world(config=own)
    ask(found, "anthropic", "claude-sonnet-4-5")
    assert cooldowns(found) == 2
