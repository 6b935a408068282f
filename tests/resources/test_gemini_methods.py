"""Gemini's and Vertex's paths with methods that are none of ours."""

from __future__ import annotations

import json

import pytest

from tests.resources.harness import CONFIG, World

GEMINI = (
    CONFIG + "gemini-api-key: [{api-key: gk, base-url: 'http://gemini.test', models: [gemini-2.5-pro]}]\n"
)
BODY = b'{"contents": []}'
VERTEX = "/api/provider/google/v1beta1/publishers"


def answer(world: World, method: str, path: str) -> tuple[int, bytes]:
    """Status and body of what the gateway itself answers."""
    connection = world.request(method, path, body=BODY if method == "POST" else b"")
    head, _, body = connection.answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@pytest.mark.parametrize("prefix", ["/v1beta", "/api/provider/google/v1beta", f"{VERTEX}/google"])
def test_a_method_that_no_account_has(prefix: str) -> None:
    """A method that the model's account cannot have is not found, in Gemini's form."""
    world = World(GEMINI)
    status, body = answer(world, "POST", f"{prefix}/models/claude-local:translateText")
    assert status == 404
    error = json.loads(body)["error"]
    assert (error["code"], error["status"]) == (404, "NOT_FOUND")
    assert "translateText" in error["message"]
    assert world.client.sent == []


def test_a_method_that_a_vendor_may_have() -> None:
    """An account of Google's is asked for it as it is: the vendor knows its own methods."""
    world = World(GEMINI)
    connection = world.request("POST", "/v1beta/models/gemini-2.5-pro:newMethod", body=BODY)
    (sent,) = world.client.sent
    assert sent.url == "http://gemini.test/v1beta/models/gemini-2.5-pro:newMethod"
    sent.respond_whole(404, b'{"error": {"code": 404, "message": "m", "status": "NOT_FOUND"}}', {})
    assert connection.answer.startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize("end", ["", ":"])
def test_no_method_at_all(end: str) -> None:
    """A question without a method is refused: it is not taken for generateContent."""
    world = World(GEMINI)
    assert answer(world, "POST", f"/v1beta/models/gemini-2.5-pro{end}")[0] == 405
    assert world.client.sent == []


@pytest.mark.parametrize("tail", ["", "/anthropic/models", "/google/operations/1"])
def test_what_else_is_below_vertexs_publishers(tail: str) -> None:
    """What is read below Vertex's publishers and is no model of Google's is Amp's."""
    world = World(GEMINI)
    world.request("GET", VERTEX + tail)
    assert [sent.url for sent in world.client.sent] == [f"https://amp.test{VERTEX}{tail}"]
