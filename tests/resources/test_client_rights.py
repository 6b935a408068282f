"""What a client key with an entry of its own opens: routes, models, accounts, Amp; by a name, for a time."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace
from twisted.web.http_headers import Headers

from ampproxy.generation import Generation
from ampproxy.model.clients import hash_of
from ampproxy.resources.root import Root
from ampproxy.status import Status
from tests.resources.harness import AMP_KEY, CLIENT_KEY, World
from tests.resources.test_provider import AMP, ANSWER, DELTA, JSON, ROOT, SSE, START, STOP, body

KEY = "key-of-ci-0123456789"
ACCOUNTS = """
claude-api-key:
  - api-key: first-account-key
    base-url: http://one.test
    models: [{name: claude-real, alias: claude-local}, {name: claude-other}]
  - api-key: second-account-key
    base-url: http://two.test
    models: [{name: claude-real, alias: claude-local}]
ampcode:
  upstream-url: https://amp.test
  upstream-api-key: AMP_KEY
  restrict-management-to-localhost: false
  model-mappings:
    - {from: claude-wanted, to: claude-other}
""".replace("AMP_KEY", AMP_KEY)


def world(entry: str = "", **members: object) -> World:
    """A gateway with one entry, named ``ci``."""
    more = "".join(f", {name.replace('_', '-')}: {json.dumps(value)}" for name, value in members.items())
    entry = entry or f"{{name: ci, key-hash: 'sha256:{hash_of(KEY)}'{more}}}"
    return World(f"api-keys: [{CLIENT_KEY}, {entry}]\n{ACCOUNTS}")


def ask(world: World, model: str = "claude-local", path: str = ROOT, key: str = KEY, **members: object):
    return world.request("POST", path, body=body(model, **members), key=key)


def error_of(connection) -> dict:
    return json.loads(connection.body)["error"]


def test_a_hashed_key_lets_in_by_its_name() -> None:
    """The file holds no key; log and ledger name its client; the key goes nowhere."""
    here = world()
    connection = ask(here)
    here.client.sent[0].respond_whole(200, ANSWER, JSON)
    assert connection.status == 200
    (exchange,) = here.exchanges
    assert exchange["client"] == "ci"
    assert KEY not in str(here.events) + str(here.client.sent[0].headers)
    assert ask(here, key=KEY + "x").status == 401
    # A hash is no key.
    assert ask(here, key=hash_of(KEY)).status == 401


ROUTES = {
    "models": [("POST", ROOT), ("POST", AMP), ("GET", "/v1/models"), ("GET", "/v1beta/models")],
    "amp": [
        ("GET", "/api/user"),
        ("POST", "/api/internal?getUserInfo"),
        ("GET", "/news.rss"),
        ("GET", "/threads/T-1"),
    ],
    "admin": [("GET", "/ampproxy/accounts"), ("GET", "/ampproxy/neo"), ("POST", "/ampproxy/reload")],
}


@pytest.mark.parametrize("allowed", list(ROUTES))
def test_routes(allowed: str) -> None:
    """Each class of routes is opened by itself; with what is refused nothing is sent."""
    here = world(routes=[allowed])
    for name, asked in ROUTES.items():
        for method, path in asked:
            before = len(here.client.sent)
            content = body() if method == "POST" else None
            connection = here.request(method, path, body=content, key=KEY)
            refused = connection.answer[:12] == b"HTTP/1.1 403"
            assert refused == (name != allowed), path
            if refused:
                assert b"ci" in connection.body
                assert b"api-keys[].routes" in connection.body
                assert len(here.client.sent) == before


@pytest.mark.parametrize(("routes", "told"), [(["models"], False), (["models", "admin"], True)])
def test_details_of_the_service(routes: list[str], told: bool) -> None:
    """Where the service keeps what, and how its configuration was read, is for who manages it."""
    here = world(routes=routes)
    runtime = replace(here.generation.runtime, status=lambda: Status("ready", 1, 0.0, pid=4711))
    here.site.resource = Root(Generation(here.config, runtime))
    assert (b"4711" in here.request("GET", "/readyz", key=KEY).body) == told


def test_unknown_model_paths() -> None:
    """A path that nobody knows here could spend what the key must not."""
    for members in ({"amp": False}, {"models": ["claude-local"]}, {"limits": {"requests-per-day": 3}}):
        here = world(**members)
        refused = here.request("POST", "/api/provider/x/v9/odd", body=b"{}", key=KEY)
        assert refused.status == 403
        assert here.client.sent == []
    here = world(accounts=["*"])
    here.request("POST", "/api/provider/x/v9/odd", body=b"{}", key=KEY)
    assert len(here.client.sent) == 1


def test_models() -> None:
    """Only what may serve it does: by its own name, and as the target of a mapping."""
    here = world(models=["claude-local", "gpt-*"])
    ask(here)
    assert len(here.client.sent) == 1
    for model, path in (("claude-other", ROOT), ("claude-wanted", AMP), ("claude-unheard", AMP)):
        connection = ask(here, model, path)
        assert connection.status == 403
        assert error_of(connection)["type"] == "permission_error"
        assert "only claude-local, gpt-* (setting: api-keys[].models)" in error_of(connection)["message"]
    assert len(here.client.sent) == 1
    ask(here, "gpt-unheard", AMP)
    assert here.client.sent[1].url.startswith("https://amp.test/")


@pytest.mark.parametrize(("models", "named"), [("claude-other", "claude-other"), ("gpt-*", "")])
def test_unknown_model(models: str, named: str) -> None:
    """The refusal names no model that the client may not use."""
    connection = ask(world(models=[models]), "claude-locale")
    assert connection.status == 404
    message = error_of(connection)["message"]
    nearest = message.partition("Nearest of ")[2].partition("\n")[0]
    assert nearest.rpartition(": ")[2].rstrip(".") == named


def test_model_list() -> None:
    """Lists tell of what is for the client; a single model that is not is refused."""
    here = world(models=["claude-o*"])
    listed = json.loads(here.request("GET", "/v1/models", key=KEY).body)
    assert [model["id"] for model in listed["data"]] == ["claude-other"]
    assert here.request("GET", "/v1/models/claude-local", key=KEY).status == 403
    assert here.request("GET", "/v1/models/claude-other", key=KEY).status == 200
    everything = json.loads(here.request("GET", "/v1/models").body)
    assert len(everything["data"]) == 2


def test_accounts() -> None:
    """Only these accounts are asked; others take their turns among all, undisturbed."""
    here = world(accounts=["claude-api-key[1]"])
    hosts = []
    for _ in range(3):
        ask(here)
        ask(here, key=CLIENT_KEY)
        hosts += [sent.url.split("/")[2] for sent in here.client.sent[-2:]]
    assert hosts[::2] == ["two.test"] * 3
    assert set(hosts[1::2]) == {"one.test", "two.test"}
    refused = ask(here, "claude-other")
    assert refused.status == 403
    assert "api-keys[].accounts" in error_of(refused)["message"]
    listed = json.loads(here.request("GET", "/v1/models", key=KEY).body)
    assert [model["id"] for model in listed["data"]] == ["claude-local"]


def test_no_fallback_to_amp() -> None:
    """A client whose requests may not cost credits: nothing is sent, whatever ampcode.fallback allows."""
    here = world(amp=False)
    connection = ask(here, "claude-unheard", AMP)
    assert connection.status == 403
    assert "api-keys[].amp" in error_of(connection)["message"]
    assert here.client.sent == []
    ask(here, "claude-unheard", AMP, key=CLIENT_KEY)
    assert len(here.client.sent) == 1


def test_no_fallback_when_exhausted() -> None:
    """Where all accounts rest such a client hears of them, and Amp is not asked."""
    entry = f"{{name: ci, key: {KEY}, amp: false, accounts: ['*]']}}"
    here = World(
        f"api-keys: [{entry}]\n{ACCOUNTS}  fallback-when-exhausted: true\nmax-retry-credentials: 2\n"
    )
    connection = ask(here, path=AMP)
    for number in (0, 1):
        here.client.sent[number].respond_whole(
            429, b'{"type":"error","error":{"type":"rate_limit_error"}}', JSON
        )
    assert connection.status == 429
    assert len(here.client.sent) == 2


def test_an_amp_key_of_its_own() -> None:
    """What goes to Amp for a client goes there with its own key."""
    here = world(upstream_api_key="amp-key-of-ci")
    ask(here, "claude-unheard", AMP)
    here.request("GET", "/api/user", key=KEY)
    assert [sent.header("X-Api-Key") for sent in here.client.sent] == [["amp-key-of-ci"]] * 2


def test_expiry() -> None:
    """An expired key says so; before it lets in."""
    here = world(expires="2023-11-14T22:14Z")
    assert here.request("GET", "/v1/models", key=KEY).status == 200
    here.wall += 60
    connection = ask(here)
    assert connection.status == 401
    assert "expired (2023-11-14 22:14 UTC)" in error_of(connection)["message"]
    assert "api-keys[].expires" in error_of(connection)["message"]
    # It is still a key of ours, which goes to nobody.
    assert here.generation.guard.knows(KEY.encode())


def rotated(until: str = "2023-11-14T22:14Z") -> World:
    old = f"old-key-hash: 'sha256:{hash_of('old-key')}', old-until: {until}"
    return world(f"{{name: ci, key-hash: 'sha256:{hash_of(KEY)}', {old}}}")


def test_rotation() -> None:
    """Both keys are the same client's for a while, then the new one alone."""
    here = rotated()
    for key in (KEY, "old-key"):
        ask(here, key=key)
        here.client.sent[-1].respond_whole(200, ANSWER, JSON)
    assert [exchange["client"] for exchange in here.exchanges] == ["ci", "ci"]
    here.wall += 60
    assert ask(here, key="old-key").status == 401
    ask(here)
    assert len(here.client.sent) == 3


def test_a_stream_ends_with_the_key_that_let_it_in() -> None:
    """Of two keys of one client one is taken out: its stream ends in its dialect, the other's goes on."""
    here = rotated()
    streams = []
    for key in ("old-key", KEY):
        connection = ask(here, key=key, stream=True)
        stream = here.client.sent[-1].respond(200, SSE)
        stream.data(START + DELTA)
        here.turn()
        streams.append((connection, stream))
    entry = f"{{name: ci, key-hash: 'sha256:{hash_of(KEY)}'}}"
    assert here.use(f"api-keys: [{CLIENT_KEY}, {entry}]\n{ACCOUNTS}") == 1
    (revoked, upstream), (kept, going) = streams
    assert b"event: error\ndata: " in revoked.answer
    assert b"authentication_error" in revoked.answer
    assert not revoked.ended_cleanly
    assert upstream.state == "stopped"
    going.data(STOP)
    going.done()
    here.turn()
    assert kept.ended_cleanly


def test_swapped_and_removed() -> None:
    """A client is the same wherever its entry stands, and whatever stands beside it."""
    entries = ["plain-key-of-anna", f"{{name: ci, key: {KEY}}}", "{name: ben, key: key-of-ben}"]
    names = []
    for chosen in (entries, entries[::-1], entries[:2], entries[1:]):
        here = World(f"api-keys: [{', '.join(chosen)}]\n{ACCOUNTS}")
        guard = here.generation.guard
        found = {}
        for key in ("plain-key-of-anna", KEY, "key-of-ben"):
            if key in str(chosen):
                client = guard.identify(Headers({b"X-Api-Key": [key.encode()]}), b"")
                assert client is not None
                found[key] = client.label
        names.append(found)
    for found in names[1:]:
        assert found.items() <= names[0].items()
