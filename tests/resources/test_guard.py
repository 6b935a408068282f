"""Who is let in."""

from __future__ import annotations

import json

import pytest
from twisted.web.http_headers import Headers

from ampproxy.resources.guard import credentials
from tests.resources.harness import CLIENT_KEY, CONFIG, World


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"Authorization": f"Bearer {CLIENT_KEY}"}, ""),
        ({"Authorization": f"bearer   {CLIENT_KEY}"}, ""),
        ({"Authorization": CLIENT_KEY}, ""),
        ({"X-Api-Key": CLIENT_KEY}, ""),
        ({"X-Goog-Api-Key": CLIENT_KEY}, ""),
        ({"Authorization": f"Bearer {CLIENT_KEY}", "X-Goog-Api-Key": "placeholder"}, ""),
        ({}, f"?key={CLIENT_KEY}"),
        ({}, f"?a=b&auth_token={CLIENT_KEY}"),
        ({}, "?key=client%2Dkey-0123456789"),
    ],
)
def test_a_good_key_anywhere_lets_in(headers: dict[str, str], query: str) -> None:
    """A key passes in each place where a client may carry it, whatever decoys come with it."""
    world = World()
    assert world.request("GET", f"/v1/models{query}", headers, key=None).status == 200


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "Missing API key"),
        ({"Authorization": "Bearer wrong"}, "Invalid API key"),
        ({"Authorization": "Basic " + CLIENT_KEY}, "Invalid API key"),
        ({"X-Api-Key": CLIENT_KEY.upper()}, "Invalid API key"),
        ({"X-Api-Key": CLIENT_KEY[:-1]}, "Invalid API key"),
    ],
)
@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/v1/messages", ("error", "message")),
        ("/v1/chat/completions", ("error", "message")),
        ("/v1/responses", ("error", "message")),
        ("/v1beta/models/m:generateContent", ("error", "message")),
        ("/api/user", ("error",)),
    ],
)
def test_anything_else_is_401_in_the_dialect(
    headers: dict[str, str], words: str, path: str, where: tuple[str, ...]
) -> None:
    """The refusal is what the route's own clients can read, and shows no key."""
    answer = World().request("POST", path, headers, b"{}", key=None)
    assert answer.status == 401
    told = json.loads(answer.body)
    for member in where:
        told = told[member]
    assert words in told
    assert CLIENT_KEY.encode() not in answer.answer


def test_gemini_401_has_a_number_for_a_code() -> None:
    """google-genai dies of a code that is no number."""
    answer = World().request("POST", "/v1beta/models/m:generateContent", body=b"{}", key=None)
    assert json.loads(answer.body)["error"]["code"] == 401


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:8317", "[::1]:8317", "192.168.1.7", "app.localhost:1"]
)
def test_own_hosts(host: str) -> None:
    """Addresses and localhost are names that no page of a stranger can have."""
    assert World().request("GET", "/healthz", {"Host": host}).status == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", ""])
def test_foreign_hosts(host: str) -> None:
    """Another name that points at this machine is DNS rebinding; the refusal names the setting."""
    answer = World().request("GET", "/healthz", {"Host": host})
    assert answer.status == 403
    assert b"allowed-hosts" in answer.body


def test_listed_host() -> None:
    """A listed name is served, and its pages are."""
    world = World(CONFIG + 'allowed-hosts: ["proxy.home"]\n')
    assert world.request("GET", "/healthz", {"Host": "proxy.home:8317"}).status == 200
    assert world.request("GET", "/healthz", {"Origin": "https://proxy.home"}).status == 200


def test_two_hosts() -> None:
    """A request with two Host headers is nobody's."""
    connection = (
        World().connect().send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
    )
    assert connection.status == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9999"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_foreign_origin(origin: str, method: str) -> None:
    """A page of another site is refused, preflight included, and gets no CORS header."""
    answer = World().request(method, "/v1/models", {"Origin": origin})
    assert answer.status == 403
    assert b"access-control" not in answer.answer.lower()


def test_own_origin() -> None:
    """A page that the gateway itself served may call it."""
    answer = World().request("GET", "/healthz", {"Origin": "http://127.0.0.1:8317"})
    assert answer.status == 200


def test_without_keys_everybody_is_let_in() -> None:
    """No api-keys: no key is asked for, whatever is sent."""
    world = World("port: 1\n")
    assert world.request("GET", "/v1/models", key=None).status == 200
    assert world.request("GET", "/v1/models", key="anything").status == 200


@pytest.mark.parametrize("path", ["/v1/models", "/healthz", "/api/user", "/ampproxy/accounts"])
def test_without_keys_nobody_from_elsewhere(path: str) -> None:
    """Such a service listens on loopback only; behind a proxy, or after a reload, it is safe as well."""
    world = World("port: 1\n")
    for answer in (
        world.request("GET", path, {"X-Forwarded-For": "203.0.113.9"}, key=None),
        world.request("GET", path, key=None, peer="203.0.113.9"),
    ):
        assert answer.status == 403
        assert b"api-keys" in answer.body


@pytest.mark.parametrize(
    ("headers", "local"),
    [
        ({}, True),
        ({"X-Forwarded-For": "127.0.0.1"}, True),
        ({"X-Forwarded-For": "::1, 127.0.0.1", "X-Forwarded-Proto": "https"}, True),
        ({"X-Forwarded-For": "[::1]:5000"}, True),
        ({"X-Forwarded-For": "127.0.0.1:5000"}, True),
        ({"X-Forwarded-For": "::ffff:127.0.0.1"}, True),
        ({"X-Real-Ip": "unix:"}, True),
        ({"Forwarded": 'for=127.0.0.1;proto=https, For="[::1]:80"'}, True),
        ({"X-Forwarded-For": "203.0.113.9"}, False),
        # A client's own header, and behind it what the proxy saw.
        ({"X-Forwarded-For": "127.0.0.1, 203.0.113.9"}, False),
        ({"X-Forwarded-For": "203.0.113.9, 127.0.0.1"}, False),
        ({"X-Forwarded-For": "127.0.0.1", "X-Real-Ip": "203.0.113.9"}, False),
        ({"X-Forwarded-For": "localhost"}, False),
        ({"X-Forwarded-For": ","}, False),
        ({"X-Forwarded-For": "::ffff:203.0.113.9"}, False),
        ({"X-Real-Ip": "2001:db8::1"}, False),
        ({"Forwarded": "for=203.0.113.9"}, False),
        ({"Forwarded": 'for=127.0.0.1, for="[2001:db8::1]:4711"'}, False),
        ({"Forwarded": "for=_hidden"}, False),
        ({"Forwarded": "proto=https"}, False),
        ({"Via": "1.1 somewhere"}, False),
        ({"X-Forwarded-Host": "amp.example.com"}, False),
    ],
)
def test_local_behind_a_proxy(headers: dict[str, str], local: bool) -> None:
    """A proxy on this machine makes nobody local: what it says of its client can only take that away."""
    world = World()
    assert world.request("GET", "/ampproxy/accounts", headers).status == (200 if local else 403)
    remote = world.request("GET", "/ampproxy/accounts", headers, peer="203.0.113.9")
    assert remote.status == 403


def test_credentials_are_found_in_order() -> None:
    """Blank values are no credentials."""
    headers = Headers({b"Authorization": [b"Bearer a", b""], b"X-Api-Key": [b"b", b"c"]})
    assert credentials(headers, b"key=&auth_token=d%20e&key=f+g") == [b"a", b"b", b"c", b"d e", b"f g"]
