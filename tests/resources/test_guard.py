"""Who is let in."""

from __future__ import annotations

import json

import pytest
from twisted.web.http_headers import Headers

from ampproxy.server.guard import credentials, forwarded_from_elsewhere
from tests.cases import each
from tests.clocked import within
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


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "a:80"])
def test_foreign_hosts(host: str) -> None:
    """Another name that points at this machine is DNS rebinding; the refusal names the setting."""
    answer = World().request("GET", "/healthz", {"Host": host})
    assert answer.status == 403
    assert b"allowed-hosts" in answer.body


@pytest.mark.parametrize("config", [CONFIG, "port: 1\n"])
@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "0.0.0.0:8317", "[::]:8317", "[::1].x", "localhost:x", "localhost:99999", "me@localhost"],
)
def test_no_host(host: str, config: str) -> None:
    """What is not valid of one machine, or none at all, is 400, with client keys and without."""
    answer = World(config).request("GET", "/healthz", {"Host": host})
    assert answer.status == 400
    assert b"is not valid" in answer.body


@pytest.mark.parametrize(
    "host", ["LOCALHOST.:8317", "[0:0::1]:80", "proxy.home", "Proxy.Home.:1", "p.home:2"]
)
def test_hosts_are_compared_in_one_form(host: str) -> None:
    world = World(CONFIG + "allowed-hosts: [PROXY.home, 'P.home:8443']\n")
    assert world.request("GET", "/healthz", {"Host": host}).status == 200


LISTED = CONFIG + "allowed-hosts: [gw.example, other.example, page.example:8443]\n"


@pytest.mark.parametrize(
    ("origin", "headers", "status"),
    [
        ("http://gw.example:8317", {"Host": "gw.example:8317"}, 200),
        ("http://GW.example.", {"Host": "gw.example:80"}, 200),
        ("https://gw.example", {"Host": "gw.example", "X-Forwarded-Proto": "https"}, 200),
        ("https://gw.example:443", {"Host": "gw.example", "X-Forwarded-Proto": "https"}, 200),
        ("http://page.example:8443", {"Host": "127.0.0.1"}, 200),
        ("https://page.example:8443", {"Host": "gw.example"}, 200),
        ("http://gw.example:9999", {"Host": "gw.example:8317"}, 403),
        ("https://gw.example", {"Host": "gw.example:8317"}, 403),
        ("https://gw.example", {"Host": "gw.example"}, 403),
        ("http://gw.example", {"Host": "gw.example", "X-Forwarded-Proto": "https"}, 403),
        ("https://gw.example", {"Host": "gw.example", "X-Forwarded-Proto": "http, https"}, 403),
        ("http://other.example", {"Host": "gw.example"}, 403),
        ("http://gw.example", {"Host": "127.0.0.1"}, 403),
        ("https://page.example", {"Host": "127.0.0.1"}, 403),
        ("http://localhost:8317", {"Host": "127.0.0.1:8317"}, 403),
        ("http://me@gw.example", {"Host": "gw.example"}, 403),
        ("null", {"Host": "gw.example"}, 403),
        ("", {"Host": "gw.example", "origin": "null", "Origin": "http://gw.example"}, 403),
    ],
)
def test_origins(origin: str, headers: dict[str, str], status: int) -> None:
    """A page may make requests to the address that it came from, with scheme and port; a listed host only
    with the port that is listed.
    """
    answer = World(LISTED).request(
        "POST", "/v1/models", {**headers, **({"Origin": origin} if origin else {})}
    )
    assert answer.status == (405 if status == 200 else status)
    if status == 403:
        assert b"allowed-hosts" in answer.body


def test_the_refusal_says_which_address_is_ours() -> None:
    answer = World(LISTED).request("GET", "/healthz", {"Origin": "https://gw.example", "Host": "gw.example"})
    for words in (b"'https://gw.example'", b"http://gw.example to this client", b"X-Forwarded-Proto"):
        assert words in answer.body


FOLLOWED = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"}
UPSTREAM = "ampcode: {upstream-url: https://amp.test, upstream-api-key: the-owners-key}\n"


@each("config", [CONFIG, UPSTREAM])
@each("site", ["cross-site", "same-site", "Cross-Site", "new-word", ""])
@each(
    ("method", "path", "more"),
    [
        ("GET", "/api/internal?getUserInfo", {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}),
        ("GET", "/api/threads/T-1.md", FOLLOWED),
        ("GET", "/v1/models", FOLLOWED),
        ("GET", "/healthz", FOLLOWED),
        ("GET", "/ampproxy/accounts", FOLLOWED),
        ("GET", "/docs", {**FOLLOWED, "Sec-Fetch-Dest": "iframe"}),
        ("GET", "/docs", {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}),
        ("GET", "/docs", {}),
        ("POST", "/settings", FOLLOWED),
    ],
)
def test_what_foreign_pages_load(
    config: str, site: str, method: str, path: str, more: dict[str, str]
) -> None:
    """Without an Origin, too, as pictures, scripts and frames are loaded; with client keys and without."""
    world = World(config)
    # A header that is there and empty says nothing good.
    headers = {"Sec-Fetch-Site": site or " ", **more}
    answer = world.request(method, path, headers)
    assert answer.status == 403
    assert b"Sec-Fetch-Site" in answer.body
    assert world.client.sent == []


@pytest.mark.parametrize("config", [CONFIG, UPSTREAM])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/auth/cli-login", "/threads/T-1", "/docs"])
def test_links_lead_to_pages(config: str, method: str, path: str) -> None:
    """A link in a mail or a chat opens a page of Amp's; no key of the owner's goes along."""
    world = World(config)
    world.request(method, path, {"Sec-Fetch-Site": "cross-site", **FOLLOWED}, key=None)
    (sent,) = world.client.sent
    assert sent.header("authorization") == []


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_own_pages_load(site: str) -> None:
    assert World().request("GET", "/v1/models", {"Sec-Fetch-Site": site}).status == 200


def test_two_hosts() -> None:
    """A request with two Host headers is nobody's."""
    connection = (
        World().connect().send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
    )
    assert connection.status == 400


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


@pytest.mark.parametrize(
    ("name", "one"),
    [("X-Forwarded-For", "127.0.0.1,"), ("X-Real-IP", "::1,"), ("Forwarded", "for=127.0.0.1;")],
)
def test_long_chains_of_proxies(name: str, one: str) -> None:
    """Are not looked through, which a client could have us do for long: whoever sends one is elsewhere."""
    short, long = (Headers({name: [(one * count).rstrip(",;")]}) for count in (32, 33))
    assert not forwarded_from_elsewhere(short)
    assert forwarded_from_elsewhere(long)
    headers = Headers({name: [one * (60_000 // len(one))]})
    assert within(0.01, lambda: forwarded_from_elsewhere(headers))


def test_many_credentials() -> None:
    """Of a query only some are looked up."""
    query = b"&".join(b"key=%d" % number for number in range(100))
    assert credentials(Headers(), query) == [b"%d" % number for number in range(16)]
