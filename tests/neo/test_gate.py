"""Who may do what with the key of Amp's cloud, and what strangers are told: nothing."""

from __future__ import annotations

import json

import pytest
from twisted.web.http_headers import Headers

from ampproxy.status import CloudTraffic
from tests.resources.harness import ACCOUNT_KEY, AMP_KEY, CLIENT_KEY, Connection, World

NEO_KEY = "neo-key-0123456789-canary"
PUBLIC = "gw.example.org"

SECTION = f"""
neo:
  public-url: https://{PUBLIC}
  listen: 127.0.0.1:8319
  key: {NEO_KEY}
  failure-delay: 0
"""
ACCOUNTS = f"""
claude-api-key:
  - api-key: {ACCOUNT_KEY}
    base-url: http://claude.test
    models: [{{name: claude-real, alias: claude-local}}, {{name: vendor/with/slashes}}]
ampcode:
  upstream-url: https://amp.test
  upstream-api-key: {AMP_KEY}
  restrict-management-to-localhost: false
  model-mappings:
    - {{from: claude-wanted, to: claude-local}}
"""
KEYED = f'api-keys: ["{CLIENT_KEY}"]\n{ACCOUNTS}{SECTION}'
OPEN = f"{ACCOUNTS}{SECTION}"
BODY = json.dumps({"model": "claude-local", "max_tokens": 5, "messages": []}).encode()
HEADERS = [
    {},
    {"Host": PUBLIC},
    {"X-Forwarded-For": "127.0.0.1"},
    {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https", "Host": PUBLIC},
    {"CF-Connecting-IP": "127.0.0.1", "Via": "1.1 edge"},
]

OTHERS = [
    ("GET", "/"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/ampproxy/accounts"),
    ("POST", "/ampproxy/reload"),
    ("GET", "/ampproxy/unknown"),
    ("GET", "/ampproxy/neo"),
    ("POST", "/api/internal?getUserInfo"),
    ("GET", "/api/user"),
    ("POST", "/api/telemetry"),
    ("GET", "/actors/metadata"),
    ("GET", "/auth/cli-login"),
    ("GET", "/threads/T-1"),
    ("GET", "/settings"),
    ("GET", "/news.rss"),
    ("POST", "/api/provider/anthropic/v1/messages"),
    ("POST", "/api/provider/openai/v1/responses"),
    ("GET", "/api/provider/openai/v1/models"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/responses/input_tokens"),
    ("POST", "/v1/images/generations"),
    ("GET", "/v1/responses/resp_1"),
    ("GET", "/v1/messages"),
    ("DELETE", "/v1/models/x"),
    ("POST", "/v1/models/claude-local"),
    ("POST", "/v1beta/models/claude-local:generateContent"),
    ("POST", "/v1/models/claude-local:generateContent"),
    ("POST", "/backend-api/codex/responses"),
    ("POST", "/v1/v1/v1/messages"),
    ("POST", "/v1/messages/"),
    ("POST", "/v1/messages/batches"),
    ("POST", "/v1/../api/internal"),
    ("POST", "/v1/%2e%2e/api/internal"),
    ("TRACE", "/v1/messages"),
    ("OPTIONS", "/v1/messages"),
]
PLACES = [
    {"Authorization": f"Bearer {NEO_KEY}"},
    {"Authorization": NEO_KEY},
    {"x-api-key": NEO_KEY},
    {"x-goog-api-key": NEO_KEY},
    # An ordinary key beside it opens nothing more.
    {"Authorization": f"Bearer {NEO_KEY}", "x-api-key": CLIENT_KEY},
    {"Authorization": f"Bearer {CLIENT_KEY}", "x-api-key": NEO_KEY},
]


def nothing_leaked(connection: Connection) -> None:
    for secret in (NEO_KEY, AMP_KEY, ACCOUNT_KEY, CLIENT_KEY):
        assert secret.encode() not in connection.answer


@pytest.mark.parametrize("config", [KEYED, OPEN], ids=["keyed", "open"])
@pytest.mark.parametrize("cloud", [False, True], ids=["main", "own"])
@pytest.mark.parametrize("peer", ["127.0.0.1", "198.51.100.9"])
def test_every_other_path(config, cloud, peer):
    """The key opens nothing but its paths, wherever it stands, whoever asks, and with any headers of proxies:
    nothing is sent to anybody, least of all with Amp's key.
    """
    world = World(config)
    for method, path in OTHERS:
        for place in PLACES:
            for headers in HEADERS:
                body = BODY if method == "POST" else None
                got = world.request(
                    method, path, {**headers, **place}, body, key=None, peer=peer, cloud=cloud
                )
                assert got.status in (400, 403), (method, path, place, headers)
                nothing_leaked(got)
    assert world.client.sent == []


def test_key_in_query():
    """As Google's clients have it: likewise."""
    world = World(KEYED)
    for name in ("key", "auth_token"):
        got = world.request("GET", f"/api/user?{name}={NEO_KEY}", key=None)
        assert got.status == 403
    assert world.client.sent == []


def test_upgrade():
    """No socket is opened for it."""
    world = World(KEYED)
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "x",
        "x-api-key": NEO_KEY,
    }
    for cloud in (False, True):
        assert world.request("GET", "/actors/gateway", headers, key=None, cloud=cloud).status == 403
    assert world.client.sent == []


ALLOWED = ["/v1/messages", "/v1/v1/messages", "/messages", "//v1/messages", "/v1//messages"]


@pytest.mark.parametrize("path", ALLOWED)
@pytest.mark.parametrize("cloud", [False, True], ids=["main", "own"])
@pytest.mark.parametrize("config", [KEYED, OPEN], ids=["keyed", "open"])
def test_its_paths(path, cloud, config):
    """With ``/v1`` in the connection's base URL, without and with both, from anywhere: it is served, and the
    vendor gets the account's key alone.
    """
    for headers in HEADERS:
        world = World(config)
        both = {"Authorization": f"Bearer {NEO_KEY}", "x-api-key": NEO_KEY, **headers}
        got = world.request("POST", path, both, BODY, key=None, peer="198.51.100.9", cloud=cloud)
        (sent,) = world.client.sent
        assert sent.url == "http://claude.test/v1/messages"
        assert sent.header("x-api-key") == [ACCOUNT_KEY]
        assert NEO_KEY not in str(list(sent.headers.getAllRawHeaders()))
        sent.respond_whole(200, MESSAGE)
        assert got.status == 200
        assert b"x-request-id" in got.answer.lower()
        assert world.exchanges[0]["client"] == "amp-cloud"
        assert world.exchanges[0]["exchange"].kind == "local"


MESSAGE = json.dumps(
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-real",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
).encode()


def test_key_in_query_is_not_forwarded():
    """What a connection adds to the query stays here; what an SDK adds for the vendor does not."""
    world = World(OPEN)
    world.request("POST", f"/v1/messages?key={NEO_KEY}&beta=true&a=b", {}, BODY, key=None)
    assert world.client.sent[0].url == "http://claude.test/v1/messages?beta=true"


STRANGERS = [
    ("none", None, {}),
    ("wrong", "wrong-key", {}),
    ("ordinary", CLIENT_KEY, {}),
    ("Amp's", AMP_KEY, {}),
]


@pytest.mark.parametrize(("name", "key", "headers"), STRANGERS, ids=[row[0] for row in STRANGERS])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/models", "/", "/healthz", "/api/user", "/nothing"])
def test_strangers_at_its_listener(name, key, headers, path):
    """Whoever lacks the key is told nothing, not even whose listener it is."""
    world = World(OPEN if key != CLIENT_KEY else KEYED)
    got = world.request("GET", path, headers, key=key, cloud=True)
    assert got.status == 401
    assert b"ampproxy" not in got.answer.lower()
    assert b"gateway" not in got.answer.lower()
    assert b"Unauthorized" in got.body
    assert world.client.sent == []


def test_strangers_without_http():
    """Nor does what is no request learn it."""
    got = World(OPEN).connect(cloud=True).send(b"GARBAGE\r\n\r\n")
    assert got.status == 400
    assert b"ampproxy" not in got.answer.lower()


@pytest.mark.parametrize("config", [KEYED, OPEN], ids=["keyed", "open"])
def test_strangers_at_the_public_host(config):
    """On the common listener those are strangers who ask for the public host: a tunnel on this machine that
    adds no headers makes nobody a user of this machine.
    """
    world = World(config)
    for path in ("/v1/messages", "/ampproxy/accounts", "/api/user", "/healthz"):
        got = world.request("GET", path, {"Host": PUBLIC}, key=None)
        assert got.status == 401
        assert b"ampproxy" not in got.answer.lower()
    assert world.client.sent == []


def test_ordinary_keys_at_the_public_host():
    """They open what they ever did there."""
    world = World(KEYED)
    assert world.request("GET", "/v1/models", {"Host": PUBLIC}).status == 200
    assert world.request("GET", "/v1/models", {"Host": "other.example.org"}).status == 403


def test_without_the_section():
    """Its key is an unknown one then, and its listener, which is about to close, lets nobody in."""
    world = World(f'api-keys: ["{CLIENT_KEY}"]\n{ACCOUNTS}')
    assert world.request("GET", "/v1/models", key=NEO_KEY).status == 401
    assert world.request("GET", "/v1/models", key=NEO_KEY, cloud=True).status == 401
    assert world.request("GET", "/v1/models", cloud=True).status == 401


def test_slowed_and_logged_once():
    """Refusals wait, longer with each of a peer, and the log names it once. The key itself never waits."""
    world = World(OPEN.replace("failure-delay: 0", "failure-delay: 1s"))
    waits = []
    for _ in range(8):
        got = world.request("GET", "/v1/models", key="wrong", peer="198.51.100.9", cloud=True)
        waited = 0
        while not got.answer:
            world.clock.advance(1)
            waited += 1
        waits.append(waited)
        assert got.status == 401
    assert waits == [1, 2, 4, 8, 8, 8, 8, 8]
    assert world.request("GET", "/v1/models", key=NEO_KEY, peer="198.51.100.9", cloud=True).status == 200
    named = [event for event in world.events if "Requests from" in event.get("log_format", "")]
    assert [event["peer"] for event in named] == ["198.51.100.9"]
    assert len(world.exchanges) == 1
    # Whoever has shown the key begins anew.
    got = world.request("GET", "/v1/models", key="wrong", peer="198.51.100.9", cloud=True)
    world.clock.advance(1)
    assert got.status == 401


def test_failures_are_bounded():
    """However many wait: what comes beyond that is refused at once."""
    world = World(OPEN.replace("failure-delay: 0", "failure-delay: 1s"))
    waiting = [
        world.request("GET", "/", key=None, peer=f"198.51.{n // 200}.{n % 200}", cloud=True)
        for n in range(70)
    ]
    assert sum(bool(one.answer) for one in waiting) == 6
    waiting[0].leave()
    world.clock.advance(1)
    assert all(one.answer for one in waiting[1:])
    assert world.generation.runtime.failures.waiting == 0
    named = [event for event in world.events if "Requests from" in event.get("log_format", "")]
    assert len(named) == 20


def test_limits_of_slowing():
    """The longest wait, what waits at a time, what is remembered and named: each as its setting says."""
    limits = "failure-delay: 1s\n  failure-delay-max: 2s\n  failure-waiting: 2\n  failure-log: 1"
    world = World(OPEN.replace("failure-delay: 0", f"{limits}\n  failure-peers: 2\n  failure-reset: 100s"))

    def wait(peer: str) -> int:
        got = world.request("GET", "/v1/models", key="wrong", peer=peer, cloud=True)
        for waited in range(10):
            if got.answer:
                return waited
            world.clock.advance(1)
        raise AssertionError

    assert [wait("198.51.100.1") for _ in range(3)] == [1, 2, 2]
    # Two others take its place; it begins anew.
    assert [wait(f"198.51.100.{n}") for n in (2, 3, 1)] == [1, 1, 1]
    assert wait("198.51.100.1") == 2
    world.clock.advance(100)
    assert wait("198.51.100.1") == 1
    waiting = [world.request("GET", "/", key=None, peer=f"198.51.100.{n}", cloud=True) for n in range(10, 15)]
    assert [bool(one.answer) for one in waiting] == [False, False, True, True, True]
    named = [event for event in world.events if "Requests from" in event.get("log_format", "")]
    assert [event["peer"] for event in named] == ["198.51.100.1", "198.51.100.1"]


def test_notes():
    """What the doctor is told: whose client key came by the public address or by the listener; and that a
    request of Amp's cloud looked like one of this machine, where all of the gateway is.
    """
    world = World(OPEN)
    notes = world.generation.runtime.cloud_notes
    forwarded = {"Host": PUBLIC, "X-Forwarded-For": "198.51.100.7"}
    world.request("GET", "/v1/models", forwarded, key=NEO_KEY)
    world.request("GET", "/v1/models", key=NEO_KEY, cloud=True)
    world.request("GET", "/v1/models", key=NEO_KEY, peer="198.51.100.7")
    assert notes.traffic() == CloudTraffic()
    world.request("GET", "/v1/models", {"Host": PUBLIC}, key=NEO_KEY)
    assert notes.traffic().unmarked_at > 0
    world = World(KEYED)
    notes = world.generation.runtime.cloud_notes
    world.request("GET", "/v1/models")
    assert notes.traffic() == CloudTraffic()
    label = world.generation.guard.identify(Headers({b"X-Api-Key": [CLIENT_KEY.encode()]}), b"").label
    for more in ({"headers": {"Host": PUBLIC}}, {"cloud": True}):
        world = World(KEYED)
        world.request("GET", "/v1/models", **more)
        told = json.loads(world.request("GET", "/ampproxy/neo").body)
        assert told["wide_client"] == label
        assert told["wide_at"] > 0


def test_body_of_a_stranger():
    """Is not taken."""
    world = World(OPEN.replace("failure-delay: 0", "failure-delay: 1s"))
    got = world.request("POST", "/v1/messages", {}, BODY, key="wrong", cloud=True)
    world.clock.advance(1)
    assert got.status == 401
    assert world.client.sent == []


def test_expired():
    """After its end the key opens nothing; one before a rotation opens its paths until its own."""
    from ampproxy.model.clients import hash_of

    old = f"old-key-hash: sha256:{hash_of('old-neo-key')}\n  old-until: 2023-11-20"
    world = World(OPEN.replace(f"key: {NEO_KEY}", f"key: {NEO_KEY}\n  expires: 2023-11-30\n  {old}"))
    assert world.request("GET", "/v1/models", key=NEO_KEY).status == 200
    assert world.request("GET", "/v1/models", key="old-neo-key").status == 200
    assert world.request("GET", "/api/user", key="old-neo-key").status == 403
    world.wall += 7 * 86400
    assert world.request("GET", "/v1/models", key=NEO_KEY).status == 200
    assert world.request("GET", "/v1/models", key="old-neo-key").status == 401
    world.wall += 30 * 86400
    assert world.request("GET", "/v1/models", key=NEO_KEY).status == 401
    assert world.request("GET", "/api/user", key=NEO_KEY).status == 401


def test_revoked():
    """Another key in the file ends what is under way with the old one, also where no key is asked for."""
    world = World(OPEN)
    body = json.dumps({"model": "claude-local", "stream": True, "max_tokens": 5, "messages": []}).encode()
    world.request("POST", "/v1/messages", {}, body, key=NEO_KEY)
    assert world.use(OPEN) == 0
    assert world.use(OPEN.replace(NEO_KEY, "another-key")) == 1
    assert world.client.sent[0].cancelled


def test_limits():
    """As those of any client, in the client's dialect."""
    world = World(OPEN + "  limits: {requests-per-day: 1}\n")
    first = world.request("POST", "/v1/messages", {}, BODY, key=NEO_KEY)
    world.client.sent[0].respond_whole(200, MESSAGE)
    assert first.status == 200
    second = world.request("POST", "/v1/messages", {}, BODY, key=NEO_KEY)
    assert second.status == 429
    assert b"retry-after" in second.answer.lower()
    assert json.loads(second.body)["error"]["type"] == "rate_limit_error"
    assert b"neo.limits.requests-per-day" in second.body


def test_errors_name_its_section():
    """What keeps it from a model, or has ended it, stands in ``neo``, and not in ``api-keys``."""
    world = World(OPEN + "  models: [other-*]\n  expires: 2023-11-30\n")
    refused = world.request("POST", "/v1/messages", {}, BODY, key=NEO_KEY)
    assert refused.status == 403
    assert b"neo.models" in refused.body
    world.wall += 30 * 86400
    ended = world.request("POST", "/v1/messages", {}, BODY, key=NEO_KEY)
    assert ended.status == 401
    assert b"neo.expires" in ended.body
    assert world.client.sent == []
