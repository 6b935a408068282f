"""Upgrades on Amp's own routes: who may, with which key, and what becomes of the connection."""

from __future__ import annotations

import gc
import unittest
import weakref
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from ampproxy.errors import ClientFault
from tests.resources.harness import AMP_KEY, CLIENT_KEY, CONFIG, Connection, World

UPGRADE = {
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "rivet, rivet_conn_params.%7B%22a%22%3A1%7D",
    "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
}
SOCKET = "/actors/gateway/threadActor/websocket/?rvt-key=T-1&rvt-token=pub"
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade, x-hop\r\nUpgrade: websocket\r\nX-Hop: 1\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: rivet\r\n"
    b"Server: x\r\n\r\n"
)


class Upstream:
    """In place of the endpoint of an origin: connects at once, or when the test says so."""

    def __init__(self, world: World) -> None:
        self.urls: list[str] = []
        self.wires: list[StringTransport] = []
        self.protocols: list[Any] = []
        self.waiting: list[Any] = []
        self.cancelled = 0
        self.error: Exception | None = None
        self.later = False
        world.client.endpoint = self.endpoint  # type: ignore[attr-defined]

    def endpoint(self, url: str, proxy: str | None = None) -> Upstream:
        self.urls.append(url)
        return self

    def connect(self, factory: Any) -> Deferred[Any]:
        connected: Deferred[Any] = Deferred(self._cancel)
        if self.error is not None:
            connected.errback(self.error)
        elif self.later:
            self.waiting.append((factory, connected))
        else:
            self._connect(factory, connected)
        return connected

    def _cancel(self, _: Any) -> None:
        self.cancelled += 1

    def _connect(self, factory: Any, connected: Deferred[Any]) -> None:
        wire = StringTransport()
        wire.abortConnection = wire.loseConnection  # type: ignore[method-assign]
        self.wires.append(wire)
        protocol = factory.buildProtocol(None)
        self.protocols.append(protocol)
        protocol.makeConnection(wire)
        connected.callback(protocol)

    @property
    def asked(self) -> dict[str, str]:
        """The last handshake's headers, names in lower case."""
        head = self.wires[-1].value().partition(b"\r\n\r\n")[0].decode()
        self.line, *lines = head.split("\r\n")
        return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}

    def say(self, data: bytes) -> None:
        self.protocols[-1].dataReceived(data)

    def leave(self) -> None:
        self.protocols[-1].connectionLost(Failure(ConnectionDone()))


class Tunnelling(unittest.TestCase):
    def setUp(self) -> None:
        self.world = World()
        self.upstream = Upstream(self.world)

    def open(self, path: str = SOCKET, more: dict[str, str] | None = None, **kwargs: Any) -> Connection:
        return self.world.request("GET", path, {**UPGRADE, **(more or {})}, **kwargs)

    def test_handshake(self) -> None:
        """The handshake goes on as it came; what belongs to the connection or tells of the client stays."""
        self.open(more={"X-Forwarded-For": "127.0.0.1", "User-Agent": "amp", "Cookie": "a=b"}, key=None)
        self.assertEqual(
            self.upstream.asked,
            {
                "host": "amp.test",
                "connection": "Upgrade",
                "user-agent": "amp",
                "cookie": "a=b",
                **{name.lower(): value for name, value in UPGRADE.items() if name != "Connection"},
            },
        )
        self.assertEqual(self.upstream.line, f"GET {SOCKET} HTTP/1.1")

    def test_switch(self) -> None:
        """The upstream's 101 comes back without what was its connection's; then bytes pass both ways."""
        connection = self.open(key=None)
        self.upstream.wires[0].clear()
        self.upstream.say(SWITCH + b"down")
        connection.send(b"GET / HTTP/1.1\r\n\r\n")
        self.upstream.say(b" and down")
        head, _, rest = connection.answer.partition(b"\r\n\r\n")
        self.assertEqual(
            sorted(head.split(b"\r\n")),
            sorted(
                [
                    b"HTTP/1.1 101 Switching Protocols",
                    b"Connection: Upgrade",
                    b"Upgrade: websocket",
                    b"Sec-Websocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
                    b"Sec-Websocket-Protocol: rivet",
                    b"X-Ampproxy-Request-Id: test",
                    b"X-Ampproxy-Generation: 1",
                    b"X-Ampproxy-Route: tunnel",
                ]
            ),
        )
        self.assertEqual(rest, b"down and down")
        self.assertEqual(self.upstream.wires[0].value(), b"GET / HTTP/1.1\r\n\r\n")

    def test_early_client(self) -> None:
        """What a client says before the answer is there is not lost, and never read as HTTP."""
        connection = self.open(key=None).send(b"early" * 10_000)
        self.upstream.wires[0].clear()
        self.upstream.say(SWITCH)
        self.assertEqual(self.upstream.wires[0].value(), b"early" * 10_000)
        self.assertEqual(connection.transport.producerState, "producing")

    def test_back_pressure(self) -> None:
        """A side that stalls stops the other."""
        connection = self.open(key=None)
        self.upstream.say(SWITCH)
        connection.transport.producer.pauseProducing()
        self.assertEqual(self.upstream.wires[0].producerState, "paused")
        self.upstream.wires[0].producer.pauseProducing()
        self.assertEqual(connection.transport.producerState, "paused")

    def test_no_time_limit_of_http(self) -> None:
        """The limits of idle connections do not count; only ``timeouts.tunnel-idle`` does."""
        connection = self.open(key=None)
        self.upstream.say(SWITCH)
        for _ in range(4):
            self.world.clock.pump([60.0] * 59)
            self.upstream.say(b"ping")
        self.assertFalse(connection.closed)
        self.world.clock.pump([60.0] * 60)
        self.assertTrue(connection.closed)
        self.assertTrue(self.upstream.wires[0].disconnecting)
        connection.leave()
        self.upstream.leave()
        self.assertIn("timeouts.tunnel-idle", self.world.exchanges[0]["why"])

    def test_told_once(self) -> None:
        """One line at the end, with both counts; until then it counts as running."""
        connection = self.open(key=None)
        self.upstream.say(SWITCH + b"1234567")
        connection.send(b"123")
        self.world.clock.advance(5)
        running = self.world.generation.runtime.running
        self.assertEqual((running.count, self.world.exchanges), (1, []))
        connection.leave()
        self.assertTrue(self.upstream.wires[0].disconnecting)
        self.upstream.leave()
        (event,) = self.world.exchanges
        self.assertEqual((event["kind"], event["status"], event["outcome"]), ("tunnel", 101, "completed"))
        self.assertEqual((event["bytes_in"], event["bytes"], event["total_ms"]), (3, 7, 5000))
        self.assertIn("by the client", event["why"])
        self.assertEqual(running.count, 0)
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_little_is_kept(self) -> None:
        """While the two talk, which may be for days, the request with all its headers is forgotten."""
        connection = self.open(key=None)
        request = weakref.ref(connection.channel.requests[0])
        self.upstream.say(SWITCH)
        gc.collect()
        self.assertIsNone(request())
        self.assertEqual(self.world.site.channels, set())
        self.assertEqual(self.world.generation.runtime.running.count, 1)
        connection.leave()
        self.upstream.leave()
        self.assertEqual(self.world.generation.runtime.running.count, 0)

    def test_aborted(self) -> None:
        """A tunnel whose key was revoked, or that outlives the service, is closed on both sides."""
        connection = self.open("/api/socket")
        self.upstream.say(SWITCH)
        running = self.world.generation.runtime.running
        error = ClientFault.of("authentication", "revoked")
        self.assertFalse(connection.closed)
        (one,) = running.all()
        self.assertTrue(one.client_key is not None and one.is_local())
        running.abort(error)
        self.assertTrue(connection.closed)
        self.assertTrue(self.upstream.wires[0].disconnecting)
        connection.leave()
        self.upstream.leave()
        (event,) = self.world.exchanges
        self.assertIn("revoked", event["why"])
        self.assertEqual(running.count, 0)

    def test_upstream_ends(self) -> None:
        """Its end is the client's."""
        connection = self.open(key=None)
        self.upstream.say(SWITCH + b"bye")
        self.upstream.leave()
        self.assertTrue(connection.closed)
        self.assertTrue(connection.answer.endswith(b"bye"))

    def test_client_leaves_before_the_answer(self) -> None:
        """The upstream is closed, or not even connected to."""
        connection = self.open(key=None)
        connection.leave()
        self.assertTrue(self.upstream.wires[0].disconnecting)
        self.upstream.leave()
        self.upstream.later = True
        self.open(key=None).leave()
        self.assertEqual(self.upstream.cancelled, 1)
        self.assertEqual([event["outcome"] for event in self.world.exchanges], ["client-left"] * 2)

    def test_ordinary_answer(self) -> None:
        """An upstream that does not switch has its answer passed on, and the connection stays HTTP."""
        connection = self.open(key=None)
        self.upstream.say(b"HTTP/1.1 402 Nope\r\nContent-Length: 5\r\nX-A: 1\r\n\r\nhel")
        self.upstream.say(b"lo")
        self.world.turn()
        self.assertEqual((connection.status, connection.body), (402, b"hello"))
        self.assertIn(b"X-A: 1\r\n", connection.answer)
        self.assertFalse(connection.closed)
        (event,) = self.world.exchanges
        self.assertEqual((event["kind"], event["status"]), ("tunnel", 402))
        connection.transport.clear()
        connection.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertEqual(connection.status, 200)

    def test_unreachable(self) -> None:
        """No upstream: 502, with the reason; silence: 504."""
        self.upstream.error = ConnectionRefusedError()
        self.assertEqual(self.open(key=None).status, 502)
        self.upstream.error = None
        connection = self.open(key=None)
        self.world.clock.pump([30.0] * 20)
        self.assertEqual(connection.status, 504)
        connection = self.open(key=None)
        self.upstream.say(b"SSH-2.0-OpenSSH\r\n")
        self.assertEqual(connection.status, 502)
        self.assertIn(b"what is not HTTP", connection.body)

    def test_keyless_paths_never_get_the_owners_key(self) -> None:
        """The actors' sockets and description pass without a key; a client's key makes no difference."""
        for key in (None, CLIENT_KEY):
            self.open(key=key)
            self.assertEqual({"authorization", "x-api-key"} & set(self.upstream.asked), set())
            self.world.request("GET", "/actors/metadata?namespace=default", key=key)
            sent = self.world.client.sent[-1]
            self.assertEqual(sent.header("authorization") + sent.header("x-api-key"), [])

    def test_a_public_token_passes_there(self) -> None:
        """The CLI's token for the actors is none of the gateway's keys: it goes on as it is."""
        self.world.request("GET", "/actors/metadata", key="pk_public")
        self.assertEqual(self.world.client.sent[-1].header("authorization"), ["Bearer pk_public"])

    def test_other_paths_swap_the_key(self) -> None:
        """Sockets elsewhere and the actors' HTTP need the client's key and go with the owner's."""
        self.open(f"/api/socket?key={CLIENT_KEY}&a=%20")
        self.assertEqual(self.upstream.asked["authorization"], f"Bearer {AMP_KEY}")
        self.assertEqual(self.upstream.line, "GET /api/socket?a=%20 HTTP/1.1")
        self.world.request("POST", "/actors/gateway/threadActor/request/rpc?rvt-key=1", body=b"{}")
        sent = self.world.client.sent[-1]
        self.assertEqual(sent.header("authorization"), [f"Bearer {AMP_KEY}"])
        self.assertEqual(sent.url, "https://amp.test/actors/gateway/threadActor/request/rpc?rvt-key=1")

    def test_upgrades_of_http_are_not_made(self) -> None:
        """``h2c`` is served as if it had not been asked for: behind it, no rule of ours would hold."""
        self.world.request("GET", "/api/x", {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c"})
        self.assertEqual(self.upstream.urls, [])
        self.assertEqual(self.world.client.sent[-1].header("upgrade"), [])

    def test_any_protocol(self) -> None:
        """It need not be WebSocket."""
        self.open("/api/x", {"Upgrade": "Spdy/3.1"})
        self.assertEqual(self.upstream.asked["upgrade"], "Spdy/3.1")


@pytest.mark.parametrize(
    "path",
    [
        "/api/socket",
        "/threads/T-1",
        "/actors",
        "/actors/other",
        "/actors/metadata/x",
        "/actors/gateway/threadActor/request/rpc",
        "/actors/gateway/a/b/websocket/",
        "/actors/gateway/websocket",
        "/actors/gateway/a/websocketx",
    ],
)
def test_key_needed(path: str) -> None:
    """Without a client key nothing else is opened: 401."""
    world = World()
    upstream = Upstream(world)
    assert world.request("GET", path, UPGRADE, key=None).status == 401
    assert upstream.urls == []


def test_no_key_only_for_sockets() -> None:
    """The sockets' paths without an upgrade need a key like everything else."""
    assert World().request("GET", SOCKET, key=None).status == 401


@pytest.mark.parametrize(
    ("headers", "peer"),
    [
        ({"Host": "evil.test"}, "127.0.0.1"),
        ({"Origin": "https://evil.test"}, "127.0.0.1"),
        ({}, "10.0.0.7"),
    ],
)
def test_the_usual_rules(headers: dict[str, str], peer: str) -> None:
    """Host, Origin and localhost hold for sockets that need no key, too: 403."""
    world = World()
    upstream = Upstream(world)
    assert world.request("GET", SOCKET, {**UPGRADE, **headers}, key=None, peer=peer).status == 403
    assert upstream.urls == []


def test_no_upstream() -> None:
    """Without an Amp upstream there is nothing to talk to: 503."""
    world = World(CONFIG.replace("upstream-url: https://amp.test", 'upstream-url: ""'))
    assert world.request("GET", SOCKET, UPGRADE, key=None).status == 503
