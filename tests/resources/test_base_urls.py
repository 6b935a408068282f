"""SDKs whose base URL lacks the version, or has one too many, are served all the same."""

from __future__ import annotations

import json

import pytest

from tests.resources.harness import World

#: Paths as they come of base URLs that show plainly what is meant.
PLAIN = (
    "/v1/messages/",
    "//v1/messages",
    "/v1//messages",
    "//v1//chat/completions",
    "/v1/chat/completions/",
    "/openai/v1/chat/completions",
    "/openai/chat/completions",
    "/v1/openai/responses",
    "/v1beta/openai/chat/completions",
    "/openai//v1/responses/",
    "/anthropic/v1/messages",
    "/anthropic/messages",
    "/v1/anthropic/v1/messages",
    "/v1/chat/completions/chat/completions",
    "/v1/messages/v1/messages",
    "/chat/completions/v1/chat/completions",
    "/v1/responses/responses",
)
MEMBERS = {
    "messages": [{"role": "user", "content": "hi"}],
    "input": "hi",
    "prompt": "hi",
    "max_tokens": 5,
}


def asked(path: str) -> bytes:
    """The smallest body of a path."""
    last = path.strip("/").rpartition("/")[2]
    kind = {"responses": ("input",), "completions": ("prompt",)}.get(last)
    names = kind if kind and "chat" not in path else ("messages", "max_tokens")
    return json.dumps({"model": "claude-real", **{name: MEMBERS[name] for name in names}}).encode()


ANSWER = b'{"id":"m","type":"message","model":"claude-real","content":[]}'
JSON = {"Content-Type": ["application/json"]}
LOCAL = """
api-keys: [client-key-1]
claude-api-key: [{api-key: canary-k, base-url: 'http://a.test', models: [claude-real]}]
"""


def ask(path: str, method: str = "POST", **more):
    world = World(LOCAL)
    connection = world.request(method, path, body=asked(path) if method == "POST" else None, **more)
    if world.client.sent:
        world.client.sent[0].respond_whole(200, ANSWER, JSON)
    return connection


@pytest.mark.parametrize(
    "path",
    [
        "/messages",
        "/v1/v1/messages",
        "/chat/completions",
        "/v1/v1/chat/completions",
        "/responses",
        "/completions",
    ],
)
def test_served(path: str) -> None:
    """As the path with one version is."""
    connection = ask(path, key="client-key-1")
    assert (connection.status, b"claude-real" in connection.body) == (200, True)


@pytest.mark.parametrize("path", PLAIN)
def test_plain_mistakes_are_served(path: str) -> None:
    """Slashes, prefixes of other gateways, and a base URL that is the whole path."""
    connection = ask(path, key="client-key-1")
    assert (connection.status, b"claude-real" in connection.body) == (200, True)
    assert ask(path, key="canary-wrong").status == 401


@pytest.mark.parametrize(
    "path",
    [
        "/projects/p/locations/global/publishers/google/models/claude-real:generateContent",
        "/publishers/google/models/claude-real:generateContent",
        "//v1beta/models/claude-real:generateContent",
        "/gemini/v1beta/models/claude-real:generateContent",
    ],
)
def test_googles_paths(path: str) -> None:
    """Likewise."""
    world = World(LOCAL)
    body = b'{"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}'
    connection = world.request("POST", path, body=body, key="client-key-1")
    world.client.sent[0].respond_whole(200, ANSWER, JSON)
    assert connection.status == 200


@pytest.mark.parametrize(
    "path",
    [
        "//api/threads",
        "/v1//../messages",
        "///v1/messages",
        "/v1/models//claude-real",
        "//evil.test/v1/messages",
    ],
)
def test_other_doubled_slashes_are_refused(path: str) -> None:
    """Only those between a base URL and a path are plain."""
    world = World(LOCAL)
    assert world.request("POST", path, body=b"{}", key="client-key-1").status == 400
    assert not world.client.sent


@pytest.mark.parametrize("path", ["/models", "/v1/v1/models", "/v1/v1beta/models", "/models/claude-real"])
def test_lists(path: str) -> None:
    """Lists of models, and a single one."""
    connection = ask(path, "GET", key="client-key-1")
    assert (connection.status, b"claude-real" in connection.body) == (200, True)


@pytest.mark.parametrize("path", ["/messages", "/v1/v1/messages", "/models", "/chat/completions"])
def test_keys_count(path: str) -> None:
    """They are no way around the clients' keys."""
    assert ask(path, key="canary-wrong").status == 401
    for method in ("GET", "POST"):
        assert ask(path, method, key=None).status in (401, 404, 405)


AZURE = """
api-keys: [client-key-1]
openai-compatibility:
  - {name: s, base-url: 'http://s.test/v1', api-key-entries: [{api-key: k-01234567}], models: [real:8b]}
codex-api-key: [{api-key: k-01234567, base-url: 'http://o.test/v1', models: [{name: gpt-5.5, alias: gpt}]}]
"""


@pytest.mark.parametrize("model", ["{}", '{"model": "other"}', '{"model": null}', '{"model": "real:8b"}'])
@pytest.mark.parametrize("path", ["chat/completions", "completions", "embeddings", "responses"])
def test_deployments_of_azure(path: str, model: str) -> None:
    """The path names the model, and a header of Azure's has the key."""
    world = World(AZURE)
    body = json.dumps({**json.loads(asked("/v1/" + path)), **json.loads(model)}).encode()
    if model == "{}":
        body = body.replace(b'"model": "claude-real", ', b"")
    url = f"/openai/deployments/real%3A8b/{path}?api-version=2024-10-21"
    world.request("POST", url, {"Api-Key": "client-key-1"}, body, key=None)
    (sent,) = world.client.sent
    assert sent.url.startswith("http://s.test/v1/")
    assert "api-version" not in sent.url
    assert json.loads(sent.body)["model"] == "real:8b"
    assert not sent.header("api-key")
    assert sent.header("authorization") == ["Bearer k-01234567"]


def test_a_broken_body_at_a_deployment() -> None:
    """Is told as what it is."""
    world = World(AZURE)
    url = "/openai/deployments/real:8b/chat/completions"
    for body in (b"[1]", b"{"):
        assert world.request("POST", url, {"Api-Key": "client-key-1"}, body, key=None).status == 400


@pytest.mark.parametrize(
    "path", ["/openai/v1/chat/completions", "/openai/v1/responses?api-version=preview", "/openai/v1/models"]
)
def test_the_newer_paths_of_azure(path: str) -> None:
    """They name no model."""
    world = World(AZURE)
    body = None if path.endswith("models") else b'{"model": "gpt", "messages": [], "input": "hi"}'
    headers = {"Api-Key": "client-key-1"}
    connection = world.request("POST" if body else "GET", path, headers, body, key=None)
    if body is None:
        assert b"real:8b" in connection.body
    else:
        assert json.loads(world.client.sent[0].body)["model"] == "gpt-5.5"
    assert world.request("POST", path, {"Api-Key": "canary-wrong"}, b"{}", key=None).status == 401


def test_what_else_azure_has_below_a_deployment() -> None:
    """As it is without."""
    world = World(AZURE)
    body = b'{"model": "gpt", "prompt": "a cat"}'
    url = "/openai/deployments/gpt/images/generations?api-version=2024-10-21&a=b"
    world.request(
        "POST", url, {"Api-Key": "client-key-1", "Content-Type": "application/json"}, body, key=None
    )
    (sent,) = world.client.sent
    assert sent.url == "http://o.test/v1/images/generations?a=b"
    assert json.loads(sent.body)["model"] == "gpt-5.5"


def test_each_key_of_a_connection_is_looked_at() -> None:
    """Also where Azure has it."""
    world = World(AZURE)
    head = "POST /v1/messages/count_tokens HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nApi-Key: "
    connection = world.connect()
    for key in ("client-key-1", "canary-wrong"):
        connection.send(f"{head}{key}\r\n\r\n{{}}".encode())
    assert connection.answer.count(b"HTTP/1.1 ") == 2
    assert connection.answer.rindex(b"HTTP/1.1 401") > connection.answer.index(b"HTTP/1.1 4")


def test_what_is_no_endpoint() -> None:
    """Three versions are none, and a browser finds no page of ours there."""
    assert ask("/v1/v1/v1/messages", key="client-key-1").status == 404
    assert ask("/models", "GET", key=None).status == 404
    assert ask("/chat", "GET", key="client-key-1").status == 404
