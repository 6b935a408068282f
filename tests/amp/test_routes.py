"""Routes that are known, and how one is named that is not."""

from __future__ import annotations

import pytest

from ampproxy.amp.routes import is_known, shape

KNOWN = [
    "POST /api/internal?getUserInfo",
    "POST /api/internal?uploadThread&x=1",
    "GET /api/threads/T-1234.md?truncate_tool_results=1",
    "GET /api/threads?createdByUserID=x",
    "HEAD /api/threads/T-1",
    "POST /api/threads/sync",
    "POST /api/telemetry",
    "GET /api/internal/github-proxy/repos/a/b",
    "POST /api/thread-actors",
    "POST /api/thread-actors/T-5928a90d-d53b-488f-a829-4e36442142ee",
    "GET /actors/metadata",
    "UPGRADE /actors/gateway/threadActor/websocket/",
    "UPGRADE /actors/gateway/userActor/websocket",
    "GET /actors/gateway/threadActor/request/raw-thread",
    "GET /auth/cli-login",
    "POST /auth",
    "GET /threads/T-1",
    "GET /news.rss",
    "GET /api/provider/cerebras/v1/tcp_warming",
    "POST /api/internal?listModelProviderKeys",
    "POST /api/internal?testModelProviderInference",
    "POST /api/internal?recordCLISignIn",
    "POST /api/internal?listAgentModes",
    "GET /api/auth/oauth-config",
    "POST /api/auth/oauth-logout",
    "POST /api/thread-imports",
    "GET /api/threads/T-1/diff-captures/2/x",
    "POST /api/orb-spawner/spawn",
    "POST /api/upload",
    "GET /api/search",
    "GET /actors?name=threadActor",
    "GET /workspaces/acme/model-routing",
    "GET /git/acme/repo.git/info/refs?service=git-upload-pack",
    "POST /git/acme/repo.git/git-upload-pack",
    "GET /portals/p-1/view",
]
UNKNOWN = [
    ("POST /api/internal?newMethod=1&x=2", "/api/internal?newMethod"),
    ("POST /api/internal?c2VjcmV0IHRva2Vu", "/api/internal?{id}"),
    ("POST /api/internal", "/api/internal"),
    ("GET /api/internal?getUserInfo", "/api/internal?getUserInfo"),
    ("POST /api/thread-actors/T-1/fork", "/api/thread-actors/{id}/fork"),
    ("DELETE /api/thread-actors", "/api/thread-actors"),
    ("UPGRADE /api/threads/T-5928a90d-d53b-488f-a829-4e36442142ee", "/api/threads/{id}"),
    ("GET /actors/gateway/threadActor/request/newThing", "/actors/gateway/threadActor/request/newThing"),
    ("PUT /api/v1beta1/things/12345/v2", "/api/v1beta1/things/{id}/v2"),
    ("GET /api/users/anna@example.org", "/api/users/{id}"),
    ("GET /api/x/5928a90dd53b488fa8294e36442142ee", "/api/x/{id}"),
    ("GET /api/x/sgamp_user_01ABC_8a7b6c5d4e", "/api/x/{id}"),
    ("GET /api/x/M-abcdefghijklmnopqrstuv", "/api/x/{id}"),
    ("GET /api/x/%2e%2e", "/api/x/{id}"),
    ("GET /api//x/", "/api//x/"),
    ("GET /api/" + "a/" * 50, "/api" + "/a" * 11),
    ("GET /api/" + "a" * 400, "/api/{id}"),
]


def taken_apart(asked: str) -> tuple[str, str, str]:
    method, _, target = asked.partition(" ")
    path, _, query = target.partition("?")
    return method, path, query


@pytest.mark.parametrize("asked", KNOWN)
def test_known(asked: str) -> None:
    """What a client up to September 2026 asks for is known."""
    assert is_known(*taken_apart(asked))


@pytest.mark.parametrize(("asked", "named"), UNKNOWN)
def test_unknown(asked: str, named: str) -> None:
    """Anything else is not, and is named without what could be an id, a person or a secret."""
    method, path, query = taken_apart(asked)
    assert not is_known(method, path, query)
    assert shape(path, query) == named
