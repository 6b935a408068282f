"""A request whose model was mapped to another of the same dialect: what that one refuses is adapted, and the
rest stays as it came, byte for byte.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.testing.anthropic_rules import MESSAGES, RULES
from tests.resources.harness import ACCOUNT_KEY, CLIENT_KEY, World

CONFIG = f"""
api-keys: ["{CLIENT_KEY}"]
claude-api-key: [{{api-key: {ACCOUNT_KEY}, base-url: "http://claude.test"}}]
codex-api-key: [{{api-key: {ACCOUNT_KEY}, base-url: "http://codex.test"}}]
ampcode:
  upstream-url: https://amp.test
  upstream-api-key: amp-key
  force-model-mappings: true
  model-mappings:
    - {{from: claude-opus-4-7, to: claude-opus-5-5}}
    - {{from: claude-haiku-4-5, to: claude-haiku-5-5}}
    - {{from: claude-opus-4-5, to: claude-opus-4-1}}
    - {{from: gpt-5.1, to: gpt-6.2-sol}}
    - {{from: big, to: claude-opus-5-5}}
"""
MESSAGE = {"role": "user", "content": "hi"}
BEGUN = [MESSAGE, {"role": "assistant", "content": "{"}]
TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "number", "x": 1.50}}}}


class Trusting:
    """Takes every proof for one of its own."""

    def knows(self, value: object, about: str) -> bool:
        return True


def sent(
    body: dict[str, Any], path: str = "/api/provider/anthropic/v1/messages", config: str = CONFIG
) -> bytes:
    """What the vendor is sent."""
    world = World(config)
    connection = world.request("POST", path, body=json.dumps(body).encode())
    assert world.client.sent, connection.answer
    return bytes(world.client.sent[0].body)


def check(body: bytes) -> dict[str, Any]:
    """What Anthropic is sent, once the stand-in took it."""
    said: dict[str, Any] = json.loads(body)
    MESSAGES(said, ())
    for rule in RULES:
        rule(said, Trusting())  # type: ignore[arg-type]
    return said


def test_what_the_other_model_refuses_is_adapted():
    """A budget, a begun answer, a forced call and a temperature, of which Opus 5.5 takes none."""
    budget = {"type": "enabled", "budget_tokens": 4000}
    body = {"model": "claude-opus-4-7", "max_tokens": 9000, "thinking": budget, "messages": BEGUN}
    found = check(sent(body))
    assert found["thinking"]["type"] == "adaptive"
    assert found["messages"][-1]["role"] == "user"
    body = {
        "model": "claude-haiku-4-5",
        "max_tokens": 900,
        "temperature": 0.7,
        "messages": [MESSAGE],
        "tools": [TOOL],
        "tool_choice": {"type": "any"},
    }
    found = check(sent(body))
    assert (found["model"], found["thinking"]) == ("claude-haiku-5-5", {"type": "disabled"})
    assert "temperature" not in found
    assert found["tool_choice"] == {"type": "any"}


def test_the_effort_of_another_generation():
    """GPT-6.2 refuses ``none``, which GPT-5.1 takes."""
    body = {"model": "gpt-5.1", "input": "hi", "reasoning": {"effort": "none"}, "store": False}
    found = json.loads(sent(body, "/api/provider/openai/v1/responses"))
    assert (found["model"], found["reasoning"]["effort"]) == ("gpt-6.2-sol", "low")


@pytest.mark.parametrize(
    "body",
    [
        {"model": "claude-opus-4-7", "max_tokens": 9, "messages": [MESSAGE], "tools": [TOOL], "new": [1.50]},
        {"model": "claude-opus-4-5", "max_tokens": 9, "messages": BEGUN, "temperature": 0.5},
        {"model": "big", "max_tokens": 9, "messages": BEGUN, "temperature": 0.5},
    ],
)
def test_what_it_takes_stays_as_it_came(body):
    """Where nothing is refused, where the other model takes all the same, and where nobody knows what the
    client asked for, only the name changes.
    """
    plain = json.dumps(body).encode()
    name = json.loads(sent(body))["model"]
    assert name != body["model"]
    assert sent(body) == plain.replace(json.dumps(body["model"]).encode(), json.dumps(name).encode(), 1)


def test_counting_is_adapted_alike():
    """A counting request of a begun answer is one that the other model takes."""
    body = {"model": "claude-opus-4-7", "messages": BEGUN}
    found = json.loads(sent(body, "/api/provider/anthropic/v1/messages/count_tokens"))
    assert found["messages"][-1]["role"] == "user"
    assert "max_tokens" not in found


def test_strict_translation_refuses():
    """What could only be sent with a loss is refused where the owner wants that, before a vendor is asked."""
    world = World(CONFIG + "translation: strict\n")
    body = {"model": "claude-opus-4-7", "max_tokens": 9, "messages": BEGUN}
    connection = world.request("POST", "/api/provider/anthropic/v1/messages", body=json.dumps(body).encode())
    assert (connection.status, world.client.sent) == (400, [])
    assert b"prefill" in connection.answer


def test_the_configuration_says_what_is_refused():
    """An owner who knows better has the last word."""
    own = CONFIG + "catalog: [{names: [claude-opus-5-5], prefill: true}]\n"
    body = {"model": "claude-opus-4-7", "max_tokens": 9, "messages": BEGUN}
    assert json.loads(sent(body, config=own))["messages"] == BEGUN
    asked = {"model": "claude-opus-5-5", "messages": BEGUN}
    answer = json.loads(sent(asked, "/api/provider/openai/v1/chat/completions", own))
    assert answer["messages"][-1]["role"] == "assistant"
