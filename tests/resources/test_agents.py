"""What coding agents and SDKs ask beside questions to models, and how a wrong path is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ampproxy.model.clients import KeyLimit, Standing
from ampproxy.resources.agents import usage_body
from tests.resources.harness import World

KEY = "client-key-1"
LOCAL = """
api-keys: [client-key-1]
claude-api-key: [{api-key: canary-k, base-url: 'http://a.test', models: [claude-real]}]
"""
UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}


def ask(path: str, method: str = "GET", headers: dict[str, str] | None = None, key: str | None = KEY) -> Any:
    return World(LOCAL).request(method, path, headers, key=key, body=b"{}" if method == "POST" else None)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/responses",
        "/backend-api/codex/responses",
        "/api/provider/openai/v1/responses",
        "/responses",
        "/v1/responses/",
        "/openai/v1/responses",
        "//v1/responses",
    ],
)
def test_sockets(path: str) -> None:
    """Codex asks for a WebSocket first: only 426 turns it to plain requests at once."""
    connection = ask(path, headers=UPGRADE)
    assert connection.status == 426
    assert b"\r\nUpgrade: " in connection.answer
    told = json.loads(connection.body)["error"]
    assert "POST" in told["message"]
    assert ask(path).status == 405
    assert ask(path, headers=UPGRADE, key="canary-wrong").status == 401


def test_sockets_of_others() -> None:
    """Elsewhere a WebSocket is the wrong method, as it was."""
    assert ask("/v1/messages", headers=UPGRADE).status == 405


@pytest.mark.parametrize("path", ["/", "/api/hello"])
def test_hello(path: str) -> None:
    """Claude Code's first request, without a key, is answered; nothing is asked of Amp."""
    world = World(LOCAL + "ampcode: {upstream-url: 'https://amp.test', upstream-api-key: amp-key-1}\n")
    connection = world.request("HEAD", path, key=None)
    assert (connection.status, connection.body) == (200, b"")
    assert world.client.sent == []


def test_hello_is_for_head_alone() -> None:
    """Anything else at that path is Amp's; at the root the page's, where there is one."""
    world = World(LOCAL + "ampcode: {upstream-url: 'https://amp.test', upstream-api-key: amp-key-1}\n")
    world.request("GET", "/api/hello", key=KEY)
    assert [sent.url for sent in world.client.sent] == ["https://amp.test/api/hello"]
    assert World(LOCAL).request("GET", "/", key=None).status == 302
    assert World(LOCAL + "page: false\n").request("GET", "/", key=None).status == 404


@pytest.mark.parametrize("path", ["/api/codex/usage", "/backend-api/wham/usage"])
def test_codex_usage(path: str) -> None:
    """Codex's question for its quota is answered here, in a form that it can read, and only with a key."""
    world = World(LOCAL + "ampcode: {upstream-url: 'https://amp.test', upstream-api-key: amp-key-1}\n")
    connection = world.request("GET", path, key=KEY)
    assert connection.status == 200
    assert json.loads(connection.body) == {"plan_type": "business", "rate_limit": None, "credits": None}
    assert world.request("GET", path, key="canary-wrong").status == 401
    assert world.request("POST", path, key=KEY, body=b"{}").status == 405
    assert world.client.sent == []


def test_codex_usage_of_limits() -> None:
    """The two limits that are used up most are its windows; one that has renewed itself does not count."""
    standings = [
        Standing(KeyLimit("requests", "week", 100), 30, 9_000),
        Standing(KeyLimit("tokens", "minute", 10), 10, 1_030),
        Standing(KeyLimit("usd", "day", 2_000_000), 500_000, 5_000),
        Standing(KeyLimit("requests", "minute", 1), 0, 999),
    ]
    told = usage_body(standings, 1_000)["rate_limit"]
    assert (told["allowed"], told["limit_reached"]) == (True, False)
    assert told["primary_window"] == {
        "used_percent": 75,
        "limit_window_seconds": 86_400,
        "reset_after_seconds": 4_000,
        "reset_at": 5_000,
    }
    assert told["secondary_window"]["used_percent"] == 70
    reached = usage_body([Standing(KeyLimit("requests", "day", 5), -1, 5_000)], 1_000)["rate_limit"]
    assert (reached["limit_reached"], reached["primary_window"]["used_percent"]) == (True, 100)
    assert reached["secondary_window"] is None


OPENAI = {"Authorization": f"Bearer {KEY}"}
ANTHROPIC = {"anthropic-version": "2023-06-01", "x-api-key": KEY}
GOOGLE = {"x-goog-api-key": KEY}


@pytest.mark.parametrize(
    ("path", "headers", "error"),
    [
        ("/v1/fine_tuning/jobs", OPENAI, {"type": "invalid_request_error", "code": "not_found"}),
        ("/v1/images/frames", OPENAI, {"type": "invalid_request_error", "param": None}),
        ("/v1/threads/t/messages", OPENAI, {"code": "not_found"}),
        ("/v1/organizations/api_keys", ANTHROPIC, {"type": "not_found_error"}),
        ("/v1/tunedModels", GOOGLE, {"code": 404, "status": "NOT_FOUND"}),
        ("/v1beta/fileSearchStores", {}, {"code": 404, "status": "NOT_FOUND"}),
    ],
)
def test_what_is_not_served(path: str, headers: dict[str, str], error: dict[str, Any]) -> None:
    """An SDK can read why, in its own dialect: what is only the vendor's, and what the gateway serves."""
    for method in ("GET", "POST"):
        connection = ask(path, method, headers, key=None)
        assert connection.status == 404
        told = json.loads(connection.body)["error"]
        assert {name: told[name] for name in error} == error
        assert "only the vendor itself" in told["message"]
        assert path in told["message"]


@pytest.mark.parametrize(
    ("path", "served"),
    [
        ("/v1beta/azure/chat/completions", "/v1/chat/completions"),
        ("/llm/v1/responses", "/v1/responses"),
        ("/v1/proxy/v1/messages", "/v1/messages"),
        ("/llm/models/m:generateContent", "/v1beta/models/m:generateContent"),
        ("/v1/v1/v1/embeddings", "/v1/embeddings"),
    ],
)
def test_misplaced(path: str, served: str) -> None:
    """A wrong base URL is the commonest mistake: the refusal has the path to use, and what a base URL is."""
    connection = ask(path, "POST")
    assert connection.status == 404
    told = json.loads(connection.body)["error"]["message"]
    assert f"Use {served}. " in told
    assert "/v1 for OpenAI's" in told


def test_pages_stay_pages() -> None:
    """What a browser's page asks at the root is refused as before, in the plain form."""
    headers = {"Sec-Fetch-Site": "same-origin"}
    connection = ask("/models", "POST", headers, key=None)
    assert connection.status == 404
    assert isinstance(json.loads(connection.body)["error"], str)
