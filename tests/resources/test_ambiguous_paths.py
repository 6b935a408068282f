"""Paths that two servers could read as two: nobody is asked, and the client can read why."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings

from ampproxy.routing.endpoints import WrongMethod, parse_endpoint
from tests.cases import each
from tests.resources.harness import CONFIG, World
from tests.routing.test_paths import AMBIGUOUS, PATHS, normalised

FLASH_ONLY = CONFIG + '  fallback: [{model: "gemini-2.5-flash*", action: allow}]\n'
GEMINI = "/api/provider/google/v1beta/models/"
VERTEX = "/api/provider/google/v1beta1/publishers/google/models/"
BODY = b'{"contents": []}'


def test_the_rule_is_for_the_model_that_is_served() -> None:
    """The plain requests, so that the ones below are refused for their spelling alone."""
    world = World(FLASH_ONLY)
    assert world.request("POST", f"{GEMINI}gemini-3-pro:generateContent", body=BODY).status == 404
    world.request("POST", f"{GEMINI}gemini-2.5-flash:generateContent", body=BODY)
    assert [sent.url for sent in world.client.sent] == [
        f"https://amp.test{GEMINI}gemini-2.5-flash:generateContent"
    ]


@pytest.mark.parametrize("stem", [GEMINI, VERTEX])
@pytest.mark.parametrize(
    "way", ["/../", "/%2e%2e/", "%2f..%2f", "%2F%2e%2e%2F", "/..;/", "%5c..%5c", "\\..\\", "/%252e%252e/"]
)
def test_dot_segments_choose_no_model(stem: str, way: str) -> None:
    """Whatever reads the path by the URL standard would serve the second of the two."""
    world = World(FLASH_ONLY)
    answer = world.request("POST", f"{stem}gemini-2.5-flash{way}gemini-3-pro:generateContent", body=BODY)
    assert answer.status == 400
    assert json.loads(answer.body)["error"]["status"] == "INVALID_ARGUMENT"
    assert world.client.sent == []


def test_dot_segments_lead_to_no_other_route() -> None:
    """A client from elsewhere, which may not use Amp's own routes, does not reach them below models."""
    world = World()
    for path in (f"{GEMINI}x/../../../../../attachments/a:b", "/api/provider/x/../../internal"):
        answer = world.request("POST", path, body=BODY, peer="203.0.113.9")
        assert answer.status == 400
    assert world.client.sent == []


ROUTES = [
    ("/api/internal/github-proxy/", None),
    ("/docs/", None),
    ("/actors/gateway/", None),
    ("/api/provider/new/v1/", None),
    ("/ampproxy/", None),
    ("/_app/", None),
    (GEMINI, "Gemini"),
    ("/v1beta/models/", "Gemini"),
    ("/v1/models/", "OpenAI"),
]


@each(("stem", "dialect"), ROUTES)
@each("tail", [tail for tail in AMBIGUOUS if tail.isascii() and b"\x7f" not in tail])
@each("method", ["GET", "POST"])
def test_on_every_route(stem: str, dialect: str | None, tail: bytes, method: str) -> None:
    """400 with the reason, in the dialect of a model route, with and without a key; nothing is sent."""
    world = World()
    head = f"{method} {stem}".encode() + tail.replace(b" ", b"%20") + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = world.connect().send(head)
    assert answer.status == 400
    error = json.loads(answer.body)["error"]
    message = error if dialect is None else error["message"]
    assert "Write the path without it" in message
    assert world.client.sent == []


def test_bodies_name_no_other_path() -> None:
    """A model in a body that would be another path is sent neither to Amp nor to a vendor's URL."""
    config = CONFIG + "gemini-api-key:\n  - {api-key: gemini-key-0123456789}\n"
    for name in ("gemini-2.5-flash/../gemini-3-pro", "gemini-x%2f..%2fy", "gemini-x\\..\\y", "gemini-x;y"):
        for path in ("/v1/chat/completions", "/api/provider/openai/v1/chat/completions"):
            world = World(config)
            body = {"model": name, "messages": [{"role": "user", "content": "hi"}]}
            answer = world.request("POST", path, body=json.dumps(body).encode())
            assert answer.status == 400
            assert world.client.sent == []
        world = World(CONFIG)
        assert world.request("POST", path, body=json.dumps(body).encode()).status == 404
        assert world.client.sent == []


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(PATHS)
def test_what_was_decided_on_is_what_is_sent(path: bytes) -> None:
    """Of any path that reaches Amp: to the URL standard it is the one in the log, and the model that the
    standard's reader finds is the one that the rules saw.
    """
    if any(byte <= 0x20 for byte in path) or b"?" in path:
        return
    world = World(FLASH_ONLY)
    head = b"POST %b HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer client-key-0123456789\r\n" % path
    world.connect().send(head + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
    for sent in world.client.sent:
        there = urlsplit(sent.url).path.encode()
        assert normalised(there) == there
        assert "#" not in sent.url
        try:
            endpoint = parse_endpoint(b"POST", normalised(there))
        except WrongMethod:
            endpoint = None
        if endpoint is not None and endpoint.model is not None:
            assert endpoint.model.startswith("gemini-2.5-flash")
