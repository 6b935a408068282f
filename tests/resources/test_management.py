"""Amp's own routes: what is forwarded, with which key, and what happens when one side stalls or dies."""

from __future__ import annotations

import gzip
import json
import unittest
from pathlib import Path

import pytest
from twisted.internet.error import ConnectionLost, ConnectionRefusedError, DNSLookupError
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed
from twisted.web.http import PotentialDataLoss

from tests.cases import each
from tests.resources.harness import AMP_KEY, CLIENT_KEY, CONFIG, World


class Forwarding(unittest.TestCase):
    """The request as the upstream gets it."""

    def setUp(self) -> None:
        self.world = World()

    def forwarded(self, *args: object, **kwargs: object) -> object:
        self.world.request(*args, **kwargs)  # type: ignore[arg-type]
        return self.world.client.sent[-1]

    def test_path_and_query_as_they_came(self) -> None:
        """Odd escapes and empty members survive; GitHub's names of branches keep their encoded slashes."""
        sent = self.forwarded("GET", "/api/threads/T-1%2Cx@y.md?a=%20&b&&c=d+e")
        self.assertEqual(sent.url, "https://amp.test/api/threads/T-1%2Cx@y.md?a=%20&b&&c=d+e")
        path = "/api/internal/github-proxy/repos/a/b/contents/c%20d?ref=e%2Ff"
        self.assertEqual(self.forwarded("GET", path).url, "https://amp.test" + path)
        path = "/api/internal/github-proxy/repos/a/b/git/ref/heads/e%2Ff/"
        self.assertEqual(self.forwarded("GET", path).url, "https://amp.test" + path)

    def test_how_to_sign_in(self) -> None:
        """A client asks how to sign in before it has a key: it is forwarded, and the owner's key is not."""
        for key in (None, CLIENT_KEY):
            self.world.request("GET", "/api/auth/oauth-config", key=key)
            sent = self.world.client.sent[-1]
            self.assertEqual(sent.url, "https://amp.test/api/auth/oauth-config")
            self.assertEqual(sent.header("authorization") + sent.header("x-api-key"), [])
        for method, path in (("POST", "/api/auth/oauth-config"), ("GET", "/api/auth/oauth-config/x")):
            self.assertEqual(self.world.request(method, path, key=None).status, 401)
        self.assertEqual(self.world.request("GET", "/api/auth/oauth-config", peer="10.0.0.7").status, 403)
        self.assertEqual(len(self.world.client.sent), 2)

    def test_settings_of_a_workspace(self) -> None:
        """The page to which the CLI links for the connections of a workspace."""
        self.world.request("GET", "/workspaces/acme/model-routing", key=None)
        sent = self.world.client.sent[-1]
        self.assertEqual(sent.url, "https://amp.test/workspaces/acme/model-routing")
        self.assertEqual(sent.header("x-api-key"), [])

    def test_every_method(self) -> None:
        """Any method goes through that a client may have."""
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            self.assertEqual(self.forwarded(method, "/api/x").method, method)

    def test_overriding_headers(self) -> None:
        """What has a server take the request for another one stays behind, however it is written."""
        names = [
            *(
                "X-Original-URL",
                "X-Rewrite-URL",
                "X-HTTP-Method-Override",
                "X-HTTP-Method",
                "X-Method-Override",
            ),
            *("X-Middleware-Subrequest", "x-middleware-rewrite", "X-Forwarded-Prefix", "X-Original-URI"),
            *(
                "X_Original_URL",
                "X-Http_Method-Override",
                "X_API_KEY",
                "X_Forwarded_For",
                "Proxy_Authorization",
            ),
        ]
        sent = self.forwarded("GET", "/api/user", {**dict.fromkeys(names, "/api/other"), "X_Amp_Y": "1"})
        there = {name.lower() for name, _ in sent.headers.getAllRawHeaders()}
        self.assertEqual(there, {b"authorization", b"x-api-key", b"x_amp_y"})

    def test_headers_of_the_connection(self) -> None:
        """What the client's Connection names is of that connection: on model routes as well."""
        named = {"Connection": "X-Hop, x-Amp-Thread-Id", "X-Hop": "1", "X-Amp-Thread-Id": "T-1"}
        for path in ("/api/user", "/api/provider/openai/v1/responses"):
            sent = self.forwarded("POST", path, named, b'{"model": "m", "input": "hi"}')
            self.assertEqual(sent.header("x-hop") + sent.header("x-amp-thread-id"), [])

    def test_the_key_is_swapped(self) -> None:
        """The client's credentials stay here; the owner's key goes, in both of its headers."""
        sent = self.forwarded(
            "GET", f"/api/user?key={CLIENT_KEY}&x=1&auth_token=other", {"X-Goog-Api-Key": "decoy"}
        )
        self.assertEqual(sent.header("authorization"), [f"Bearer {AMP_KEY}"])
        self.assertEqual(sent.header("x-api-key"), [AMP_KEY])
        self.assertEqual(sent.header("x-goog-api-key"), [])
        self.assertEqual(sent.url, "https://amp.test/api/user?x=1&auth_token=other")

    def test_a_client_may_have_its_own_upstream_key(self) -> None:
        """``upstream-api-keys`` gives each tenant its own."""
        sent = self.forwarded("GET", "/api/user", key="second-client-key")
        self.assertEqual(sent.header("x-api-key"), ["second-amp-key"])

    def test_headers(self) -> None:
        """What identifies the client or belongs to the connection stays; the rest goes, repeated and all."""
        sent = self.forwarded(
            "GET",
            "/api/user",
            {
                "Cookie": "a=b",
                "X-Amp-Thread-Id": "T-1",
                "X-Forwarded-For": "127.0.0.1",
                "Referer": "http://x",
                "X-Stainless-Lang": "js",
                "Connection": "keep-alive, X-Hop",
                "X-Hop": "1",
                "Te": "trailers",
                "User-Agent": "node",
            },
        )
        names = {name.lower() for name, _ in sent.headers.getAllRawHeaders()}
        self.assertEqual(
            names, {b"cookie", b"x-amp-thread-id", b"user-agent", b"authorization", b"x-api-key"}
        )

    def test_browser_pages_need_no_key_and_get_none(self) -> None:
        """Without a client key a page is forwarded without the owner's key: it would show his threads."""
        for path in ("/threads", "/auth/cli-login?x=1", "/docs/a", "/settings"):
            sent = self.forwarded("GET", path, key=None)
            self.assertEqual(sent.header("authorization") + sent.header("x-api-key"), [], path)

    def test_browser_pages_with_a_key_get_the_owners(self) -> None:
        """A valid key that came along makes the page the owner's."""
        self.assertEqual(self.forwarded("GET", "/threads/T-1").header("x-api-key"), [AMP_KEY])

    def test_feeds_need_a_key(self) -> None:
        """The two feeds are not exempt."""
        for path in ("/threads.rss", "/news.rss"):
            self.assertEqual(self.world.request("GET", path, key=None).status, 401)

    def test_unknown_provider_paths_are_amps(self) -> None:
        """What is below /api/provider and not ours goes to Amp."""
        sent = self.forwarded("GET", "/api/provider/cerebras/v1/tcp_warming")
        self.assertEqual(sent.url, "https://amp.test/api/provider/cerebras/v1/tcp_warming")


@pytest.mark.parametrize(
    "target", ["@api/user", ".api/user", "Xapi/user", ":1@auth/x", ".v1/messages", "\\api/x"]
)
@pytest.mark.parametrize("headers", [{}, {"Connection": "Upgrade", "Upgrade": "websocket"}])
def test_no_other_host(target: str, headers: dict[str, str]) -> None:
    """A path that would change the upstream's host is refused: the owner's key would go there."""
    world = World()
    answer = world.request("GET", target, headers)
    assert answer.status == 400
    assert world.client.sent == []


@pytest.mark.parametrize("peer", ["10.0.0.7", "192.168.1.2", "::ffff:10.0.0.7"])
def test_only_this_machine(peer: str) -> None:
    """The peer of the socket decides, whatever the headers say; the refusal names the setting."""
    world = World()
    answer = world.request("GET", "/api/user", {"X-Forwarded-For": "127.0.0.1"}, peer=peer)
    assert answer.status == 403
    assert b"ampcode.restrict-management-to-localhost" in answer.body
    assert world.client.sent == []


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_this_machine(peer: str) -> None:
    """All of loopback is this machine."""
    world = World()
    world.request("GET", "/api/user", peer=peer)
    assert len(world.client.sent) == 1


def test_others_when_allowed() -> None:
    """The restriction can be switched off."""
    world = World(CONFIG.replace("ampcode:", "ampcode:\n  restrict-management-to-localhost: false"))
    world.request("GET", "/api/user", peer="10.0.0.7")
    assert len(world.client.sent) == 1


def test_without_an_upstream() -> None:
    """503, naming the setting."""
    answer = World("api-keys: [k]\n").request("GET", "/api/user", key="k")
    assert answer.status == 503
    assert b"ampcode.upstream-url" in answer.body


def test_key_of_amps_own_login(tmp_path: Path) -> None:
    """Without a configured key, the one that Amp's login left in its secrets file is used."""
    secrets = tmp_path / ".local/share/amp/secrets.json"
    secrets.parent.mkdir(parents=True)
    secrets.write_text(json.dumps({"apiKey@https://ampcode.com/": " from-file "}))
    world = World("ampcode: {upstream-url: https://amp.test}\n", home=tmp_path)
    world.request("GET", "/api/user")
    assert world.client.sent[0].header("x-api-key") == ["from-file"]


def test_broken_secrets_file(tmp_path: Path) -> None:
    """It is said in the log, and the request goes without a key."""
    secrets = tmp_path / ".local/share/amp/secrets.json"
    secrets.parent.mkdir(parents=True)
    secrets.write_text("{")
    world = World("ampcode: {upstream-url: https://amp.test}\n", home=tmp_path)
    world.request("GET", "/api/user")
    assert world.client.sent[0].header("x-api-key") == []
    assert any("secrets.json cannot be read" in str(event.get("complaint")) for event in world.events)


class Answers(unittest.TestCase):
    """The answer as the client gets it."""

    def setUp(self) -> None:
        self.world = World()

    def test_passed_back(self) -> None:
        """Status, repeated headers and body; the connection's own headers and CORS stay behind."""
        connection = self.world.request("GET", "/api/user")
        self.world.client.sent[0].respond_whole(
            418,
            b"short and stout",
            {
                "Set-Cookie": ["a=1", "b=2"],
                "Location": ["/elsewhere"],
                "Access-Control-Allow-Origin": ["*"],
                "Keep-Alive": ["timeout=5"],
                "Content-Type": ["text/plain"],
            },
        )
        self.world.turn()
        head = connection.answer.partition(b"\r\n\r\n")[0]
        self.assertEqual((connection.status, connection.body), (418, b"short and stout"))
        self.assertEqual(head.count(b"Set-Cookie"), 2)
        self.assertIn(b"Location: /elsewhere", head)
        self.assertIn(b"Content-Length: 15", head)
        self.assertIn(b"X-Ampproxy-Route: management", head)
        self.assertNotIn(b"Access-Control", head)
        self.assertNotIn(b"Keep-Alive", head)
        self.assertEqual(self.world.exchanges[0]["outcome"], "completed")

    def test_events_at_once(self) -> None:
        """Each piece of a stream leaves in the turn in which it came."""
        connection = self.world.request("GET", "/api/user")
        body = self.world.client.sent[0].respond(headers={"Content-Type": ["text/event-stream"]})
        body.data(b"data: 1\n\n")
        self.world.turn()
        self.assertEqual(connection.body, b"data: 1\n\n")

    def test_undeclared_gzip(self) -> None:
        """A gzip body that does not say so is inflated."""
        connection = self.world.request("GET", "/api/user")
        zipped = gzip.compress(b'{"ok":true}' * 100)
        body = self.world.client.sent[0].respond(length=len(zipped))
        for index in range(len(zipped)):
            body.data(zipped[index : index + 1])
            self.world.turn()
        body.done()
        self.assertEqual(connection.body, b'{"ok":true}' * 100)
        self.assertTrue(connection.ended_cleanly)
        self.assertNotIn(b"Content-Length", connection.answer)

    def test_declared_encodings_pass(self) -> None:
        """What says how it is encoded is the client's to decode."""
        connection = self.world.request("GET", "/api/user")
        self.world.client.sent[0].respond_whole(200, b"\x1f\x8bxyz", {"Content-Encoding": ["br"]})
        self.world.turn()
        self.assertEqual(connection.body, b"\x1f\x8bxyz")

    def test_gzip_bomb(self) -> None:
        """A body that inflates beyond the decompression limit is not held in memory: refused."""
        connection = self.world.request("GET", "/api/user")
        bomb = gzip.compress(b"\0" * 64 * 1024 * 1024)
        self.world.client.sent[0].respond_whole(200, bomb)
        self.world.turn()
        self.assertEqual(connection.status, 502)

    def test_broken_off(self) -> None:
        """An answer that breaks off is never ended as if it were whole."""
        for length in (100, None):
            connection = self.world.request("GET", "/api/user")
            kwargs = {} if length is None else {"length": length}
            body = self.world.client.sent[-1].respond(**kwargs)  # type: ignore[arg-type]
            body.data(b"half")
            self.world.turn()
            body.lose(ResponseFailed([Failure(ConnectionLost())]))
            self.assertTrue(connection.closed)
            self.assertFalse(connection.ended_cleanly)
            self.assertEqual(self.world.exchanges[-1]["outcome"], "broken-off")

    def test_end_by_close(self) -> None:
        """An answer whose end is the connection's end, as HTTP/1.0 has it, is whole."""
        connection = self.world.request("GET", "/api/user")
        body = self.world.client.sent[0].respond()
        body.data(b"all")
        body.lose(PotentialDataLoss())
        self.assertTrue(connection.ended_cleanly)

    def test_no_body(self) -> None:
        """204 and empty answers end at once."""
        for code in (200, 204):
            connection = self.world.request("GET", "/api/user")
            self.world.client.sent[-1].respond_whole(code, b"")
            self.world.turn()
            self.assertEqual(connection.status, code)
            self.assertEqual(self.world.exchanges[-1]["outcome"], "completed")


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (DNSLookupError(), 502, "Cannot resolve"),
        (ConnectionRefusedError(), 502, "refused"),
        (ResponseFailed([Failure(ConnectionLost())]), 502, "closed"),
    ],
)
def test_unreachable(error: Exception, status: int, words: str) -> None:
    """The client learns in a sentence why the upstream could not be reached."""
    world = World()
    connection = world.request("GET", "/api/user")
    world.client.sent[0].answer.errback(error)
    assert connection.status == status
    assert words in json.loads(connection.body)["error"]
    assert world.exchanges[0]["outcome"] == "upstream-error"


def test_silent_upstream() -> None:
    """An upstream that never answers is given up: 504."""
    world = World(CONFIG + "timeouts: {first-byte: 20}\n")
    connection = world.request("GET", "/api/user")
    world.clock.advance(21)
    assert connection.status == 504
    assert world.client.sent[0].cancelled


class Pressure(unittest.TestCase):
    """The slower side sets the pace; who leaves is not waited for."""

    def setUp(self) -> None:
        self.world = World()

    def upload(self, length: int = 1_000_000) -> object:
        head = f"POST /api/threads HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {CLIENT_KEY}\r\n"
        return self.world.connect().send(f"{head}Content-Length: {length}\r\n\r\n".encode())

    def test_upload_streams(self) -> None:
        """The upstream has the first bytes before the client has sent the last."""
        connection = self.upload(10)
        sent = self.world.client.sent[0]
        connection.send(b"12345")
        self.assertEqual(sent.body, b"12345")
        self.assertFalse(sent.body_done)
        connection.send(b"67890")
        self.assertEqual(sent.body, b"1234567890")
        self.assertTrue(sent.body_done)

    def test_slow_upstream_stops_the_client(self) -> None:
        """An upstream that does not take the upload stops the reading of it; and its slowness is not
        taken for the client's.
        """
        connection = self.upload()
        producer = self.world.client.sent[0].producer
        producer.pauseProducing()
        self.assertEqual(connection.transport.producerState, "paused")
        self.world.clock.advance(200)
        self.assertEqual(connection.answer, b"")
        producer.resumeProducing()
        self.assertEqual(connection.transport.producerState, "producing")

    def test_client_leaves_in_mid_upload(self) -> None:
        """The upstream's request is given up."""
        connection = self.upload()
        connection.send(b"123")
        connection.leave()
        self.assertTrue(self.world.client.sent[0].cancelled)
        self.assertEqual(self.world.exchanges[0]["outcome"], "client-left")

    def test_answer_before_the_upload_is_whole(self) -> None:
        """An upstream that has answered needs no more of the upload; the client may finish sending."""
        connection = self.upload(10)
        sent = self.world.client.sent[0]
        connection.send(b"12345")
        sent.respond_whole(413, b"too much")
        self.world.turn()
        self.assertEqual(connection.status, 413)
        connection.send(b"67890")
        connection.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertIn(b'{"status":"ok"}', connection.answer)

    def test_slow_client_stops_the_upstream(self) -> None:
        """A client that does not read stops the reading of the upstream, and starts it again."""
        connection = self.world.request("GET", "/api/user")
        body = self.world.client.sent[0].respond()
        connection.channel.pauseProducing()
        self.assertEqual(body.state, "paused")
        self.world.clock.advance(1000)
        connection.channel.resumeProducing()
        self.assertEqual(body.state, "producing")

    def test_silence_in_mid_answer(self) -> None:
        """An upstream that falls silent while the client waits is given up, and not cleanly."""
        connection = self.world.request("GET", "/api/user")
        body = self.world.client.sent[0].respond()
        body.data(b"half")
        self.world.clock.advance(301)
        self.assertEqual(body.state, "stopped")
        self.assertTrue(connection.closed)
        self.assertFalse(connection.ended_cleanly)

    def test_client_leaves(self) -> None:
        """At any moment the upstream is closed at once."""
        connection = self.world.request("GET", "/api/user")
        connection.leave()
        self.assertTrue(self.world.client.sent[0].cancelled)
        connection = self.world.request("GET", "/api/user")
        body = self.world.client.sent[1].respond()
        body.data(b"half")
        connection.leave()
        self.assertEqual(body.state, "stopped")
        self.assertEqual([event["outcome"] for event in self.world.exchanges], ["client-left"] * 2)


def test_proxies() -> None:
    """The Amp upstream is reached through the global proxy, an account through its own where it has one."""
    world = World(CONFIG + "proxy-url: http://user:word@proxy.test:3128\n")
    world.request("GET", "/api/user")
    world.request("POST", "/v1/messages", body=b'{"model":"claude-local"}')
    assert [sent.proxy for sent in world.client.sent] == ["http://user:word@proxy.test:3128"] * 2
    account = "base-url: http://claude.test"
    own = CONFIG.replace(account, f"{account}\n    proxy-url: direct")
    world = World(own + "proxy-url: http://user:word@proxy.test:3128\n")
    world.request("POST", "/v1/messages", body=b'{"model":"claude-local"}')
    assert world.client.sent[0].proxy == "direct"


def test_upload_that_the_upstream_paused_at_its_end() -> None:
    """The client's connection is read again, or its leaving would go unnoticed."""
    world = World()
    head = f"POST /api/threads HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {CLIENT_KEY}\r\n"
    connection = world.connect().send(f"{head}Content-Length: 4\r\n\r\n".encode())
    producer = world.client.sent[0].producer
    producer.pauseProducing()
    connection.channel.dataReceived(b"1234")
    producer.resumeProducing()
    assert connection.transport.producerState == "producing"
    assert world.client.sent[0].body_done


@each("method", ["TRACE", "CONNECT", "TRACK", "DEBUG", "PROPFIND", "get", "X" * 5000])
@each(
    "path",
    ["/api/user", "/docs", "/api/provider/x/y", "/v1/messages", "/healthz", "/ampproxy/accounts", "/nobody"],
)
def test_other_methods(method: str, path: str) -> None:
    """405 with those that there are: TRACE would show the owner's key to whoever asks."""
    world = World()
    answer = world.request(method, path)
    assert answer.status == 405
    assert b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n" in answer.answer
    assert world.client.sent == []


def test_connect() -> None:
    """An authority is no path."""
    assert World().request("CONNECT", "example.org:443").status == 400
