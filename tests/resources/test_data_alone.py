"""A new kind of server is data alone: a gateway whose table has it asks it as that says, whatever a client
speaks. (The same of a new family of models: tests/relay/test_knowledge.py.)
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from ampproxy.adapt import target as targets
from ampproxy.catalog.compile_hosts import read_hosts
from ampproxy.catalog.hosts import Hosts
from tests.adapt.test_hosts import TEXT
from tests.resources.harness import CLIENT_KEY, World
from tests.resources.test_bent_answers import CLIENTS, question

HOSTS = """
  - name: acme
    addresses: [acme.test]
    output-limit: max_tokens
    developer: false
    efforts: [low]
    refuses: [temperature, metadata, parallel_tool_calls]
"""


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The table of servers with one more."""
    table = Hosts(read_hosts(TEXT + HOSTS))
    monkeypatch.setattr(targets, "shipped_hosts", lambda: table)
    targets.target_at.cache_clear()
    yield
    targets.target_at.cache_clear()


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize("client", CLIENTS)
def test_a_server(client: str) -> None:
    """Its address is all that the configuration has of it."""
    world = World(
        f"""
api-keys: ["{CLIENT_KEY}"]
openai-compatibility:
  - {{name: acme, base-url: "https://acme.test/v1", models: [{{name: glm-5.2, alias: model}}]}}
"""
    )
    path, body = question(client, stream=False)
    more = {
        "anthropic": {
            "temperature": 0.5,
            "thinking": {"type": "adaptive"},
            "output_config": {"effort": "max"},
        },
        "chat": {"temperature": 0.5, "max_completion_tokens": 400, "reasoning_effort": "high"},
        "responses": {"temperature": 0.5, "max_output_tokens": 400, "reasoning": {"effort": "high"}},
        "gemini": {"generationConfig": {"temperature": 0.5, "maxOutputTokens": 400}},
    }
    asked = json.dumps({**body, **more[client]}).encode()
    connection = world.request("POST", path, {"Content-Type": "application/json"}, asked)
    world.turn()
    assert world.client.sent, connection.answer
    sent = json.loads(world.client.sent[-1].body)
    assert "temperature" not in sent
    assert sent["max_tokens"] == 400
    assert sent.get("reasoning_effort", "low") == "low"
    assert client == "gemini" or "reasoning_effort" in sent
