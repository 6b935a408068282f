"""A request to count tokens has an answer, by an estimate where no account's vendor gives a number."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import TimeoutError as TimedOut
from twisted.python.failure import Failure

from tests.resources.harness import CLIENT_KEY, Connection, World

ACCOUNTS = {
    "claude": 'claude-api-key: [{api-key: account-key-1, base-url: "http://a.test", models: [m]}]',
    "codex": 'codex-api-key: [{api-key: account-key-1, base-url: "http://a.test/v1", models: [m]}]',
    "gemini": 'gemini-api-key: [{api-key: account-key-1, base-url: "http://a.test", models: [m]}]',
}
#: Dialect -> path, body, and where the number is.
CLIENTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "anthropic": (
        "/v1/messages/count_tokens",
        {"model": "m", "messages": [{"role": "user", "content": "hello there"}]},
        "input_tokens",
    ),
    "responses": ("/v1/responses/input_tokens", {"model": "m", "input": "hello there"}, "input_tokens"),
    "gemini": (
        "/v1beta/models/m:countTokens",
        {"contents": [{"role": "user", "parts": [{"text": "hello there"}]}]},
        "totalTokens",
    ),
}


def counted(account: str, client: str, answer: Any) -> tuple[Connection, str]:
    """Ask for a number; the account answers with a status and a body, or fails."""
    world = World(f'api-keys: ["{CLIENT_KEY}"]\n{ACCOUNTS[account]}\n')
    path, body, name = CLIENTS[client]
    connection = world.request("POST", path, {"Content-Type": "application/json"}, json.dumps(body).encode())
    world.turn()
    (sent,) = world.client.sent
    if isinstance(answer, Exception):
        sent.answer.errback(Failure(answer))
    else:
        sent.respond_whole(*answer, {"Content-Type": ["application/json"]})
    world.turn()
    return connection, name


ERROR = b'{"error": {"message": "not today"}}'


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("account", ACCOUNTS)
@pytest.mark.parametrize(
    "answer",
    [(404, b""), (405, ERROR), (501, b""), (200, b"<html>"), Refused(), TimedOut()],
)
def test_estimated(account: str, client: str, answer: Any) -> None:
    """And marked as that."""
    connection, name = counted(account, client, answer)
    assert connection.status == 200
    assert b"X-Ampproxy-Estimate: tokens" in connection.answer
    assert json.loads(connection.body)[name] > 0


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("answer", "status"),
    [((400, ERROR), 400), ((429, ERROR), 429), ((401, ERROR), 502), ((500, ERROR), 500)],
)
def test_what_the_client_has_to_know(client: str, answer: Any, status: int) -> None:
    """A bad request, a limit, a key that is refused and a breakdown are no reason for a guess."""
    connection, _ = counted("claude", client, answer)
    assert connection.status == status
    assert b"X-Ampproxy-Estimate" not in connection.answer
