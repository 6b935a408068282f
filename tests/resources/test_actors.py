"""Amp's actors: their description, and the public token."""

from __future__ import annotations

import gzip
import json
import unittest
from typing import Any
from urllib.parse import quote

from tests.resources.harness import AMP_KEY, CLIENT_KEY, CONFIG, World
from tests.resources.test_tunnel import SWITCH, UPGRADE, Upstream

TOKEN = "pk public/token"
WITH_TOKEN = CONFIG.replace("ampcode:", f'ampcode:\n  actor-token: "{TOKEN}"')
METADATA = "/actors/metadata?namespace=default"
GATEWAY = "/actors/gateway/threadActor"
DESCRIPTION = (
    b'{"runtime":"rivetkit", "n":1.0E400, "clientEndpoint":"https://actors.test", "clientToken":"pk"}'
)
HERE = DESCRIPTION.replace(b"https://actors.test", b"http://127.0.0.1:8317/actors")
JSON = {"Content-Type": ["application/json"]}


class Description(unittest.TestCase):
    def ask(self, body: bytes, config: str = CONFIG, code: int = 200, **headers: list[str]) -> Any:
        self.world = World(config)
        connection = self.world.request("GET", METADATA, key=None)
        self.world.client.sent[0].respond_whole(code, body, {**JSON, **headers})
        self.world.turn()
        return connection

    def test_the_client_stays_here(self) -> None:
        """An endpoint that leads past the gateway is the client's own address; the rest keeps its text."""
        connection = self.ask(DESCRIPTION)
        self.assertEqual(connection.body, HERE)
        self.assertTrue(connection.ended_cleanly)

    def test_compressed(self) -> None:
        """Also where the description is gzip that does not say so."""
        self.assertEqual(self.ask(gzip.compress(DESCRIPTION)).body, HERE)

    def test_in_pieces(self) -> None:
        """Also where it comes byte by byte."""
        world = World()
        connection = world.request("GET", METADATA, key=None)
        body = world.client.sent[0].respond(headers=JSON)
        for at in range(len(DESCRIPTION)):
            body.data(DESCRIPTION[at : at + 1])
            world.turn()
        body.done()
        self.assertEqual(connection.body, HERE)

    def test_switched_off(self) -> None:
        """``rewrite-client-endpoint: false`` lets the client go."""
        config = CONFIG.replace("ampcode:", "ampcode:\n  rewrite-client-endpoint: false")
        self.assertEqual(self.ask(DESCRIPTION, config).body, DESCRIPTION)

    def test_not_a_description(self) -> None:
        """An error, another path, or what nobody can read, passes as it is."""
        self.assertEqual(self.ask(DESCRIPTION, code=503).body, DESCRIPTION)
        self.assertEqual(self.ask(b'{"runtime":"rivetkit" }').body, b'{"runtime":"rivetkit" }')
        self.assertEqual(self.ask(DESCRIPTION, **{"Content-Encoding": ["br"]}).body, DESCRIPTION)
        world = World()
        connection = world.request("GET", "/actors/metadata/x")
        world.client.sent[0].respond_whole(200, DESCRIPTION, JSON)
        world.turn()
        self.assertEqual(connection.body, DESCRIPTION)

    def test_too_large(self) -> None:
        """A large one is not held in memory: it passes, and the log says what that means."""
        large = DESCRIPTION[:-1] + b', "x":"' + b"x" * 100_000 + b'"}'
        self.assertEqual(self.ask(large).body, large)
        (warning,) = (event for event in self.world.events if "largest" in event)
        self.assertIn("ampcode.rewrite-client-endpoint", warning["log_format"])

    def test_broken_off(self) -> None:
        """Half a description is never passed off as a whole one."""
        world = World()
        connection = world.request("GET", METADATA, key=None)
        body = world.client.sent[0].respond(headers=JSON)
        body.data(DESCRIPTION[:-5])
        world.turn()
        body.lose()
        self.assertFalse(connection.ended_cleanly)
        self.assertTrue(connection.closed)


class Token(unittest.TestCase):
    def setUp(self) -> None:
        self.world = World(WITH_TOKEN)
        self.upstream = Upstream(self.world)

    def sent(self, *args: Any, **kwargs: Any) -> Any:
        self.world.request(*args, **kwargs)
        return self.world.client.sent[-1]

    def test_description(self) -> None:
        """The description is asked for with the public token, unless the client brings its own."""
        for key in (None, CLIENT_KEY):
            sent = self.sent("GET", METADATA, key=key)
            self.assertEqual(sent.header("authorization"), [f"Bearer {TOKEN}"])
            self.assertEqual(sent.header("x-api-key"), [])
        self.assertEqual(self.sent("GET", METADATA, key="pk_own").header("authorization"), ["Bearer pk_own"])

    def test_sockets(self) -> None:
        """A socket that brings none has it in its query; the owner's key goes nowhere."""
        for query, expected in (
            ("", "?rvt-token=pk%20public%2Ftoken"),
            ("?rvt-key=T-1&a=%20", "?rvt-key=T-1&a=%20&rvt-token=pk%20public%2Ftoken"),
            ("?rvt-token=", "?rvt-token=&rvt-token=pk%20public%2Ftoken"),
            ("?rvt-token=own", "?rvt-token=own"),
        ):
            self.world.request("GET", f"{GATEWAY}/websocket/{query}", UPGRADE, key=None)
            asked = self.upstream.asked
            self.assertEqual(self.upstream.line, f"GET {GATEWAY}/websocket/{expected} HTTP/1.1")
            self.assertEqual({"authorization", "x-api-key"} & set(asked), set())

    def test_requests(self) -> None:
        """A request to an actor goes with the owner's key, and has the token where clients put it."""
        sent = self.sent("POST", f"{GATEWAY}/request/rpc?rvt-key=1", body=b"{}")
        self.assertEqual(sent.header("authorization"), [f"Bearer {AMP_KEY}"])
        self.assertEqual(sent.header("x-rivet-token"), [TOKEN])
        sent = self.sent("POST", f"{GATEWAY}/request/rpc", {"X-Rivet-Token": "own"}, body=b"{}")
        self.assertEqual(sent.header("x-rivet-token"), ["own"])
        sent = self.sent("POST", f"{GATEWAY}/request/rpc?rvt-token=own", body=b"{}")
        self.assertEqual(sent.header("x-rivet-token"), [])

    def test_elsewhere(self) -> None:
        """No other path gets it."""
        for path in ("/api/user", "/actors/other", "/threads"):
            sent = self.sent("GET", path)
            self.assertNotIn(TOKEN, str(list(sent.headers.getAllRawHeaders())) + sent.url)

    def test_it_is_told_to_nobody(self) -> None:
        """Neither the log nor the answer has it."""
        connection = self.world.request("GET", f"{GATEWAY}/websocket/", UPGRADE, key=None)
        self.upstream.say(SWITCH)
        connection.leave()
        self.upstream.leave()
        self.assertNotIn("public", json.dumps(self.world.exchanges, default=str) + str(connection.answer))

    def test_a_clients_key_stays_here(self) -> None:
        """Some of Amp's clients put theirs among the parameters of a connection, which pass untouched."""
        inside = quote(json.dumps({"n": [1, {"apiKey": CLIENT_KEY}]}))
        offer = {"Sec-WebSocket-Protocol": f"rivet, rivet_conn_params.{inside}"}
        for path, headers in (
            (f"{GATEWAY}/websocket/", {**UPGRADE, **offer}),
            (f"{GATEWAY}/websocket/?rvt-token={quote(CLIENT_KEY)}", UPGRADE),
            (f"{GATEWAY}/request/rpc", {"X-Rivet-Conn-Params": inside}),
            (f"{GATEWAY}/request/rpc", {"X-Rivet-Token": CLIENT_KEY}),
            (METADATA, {"X-Rivet-Token": CLIENT_KEY}),
        ):
            world = World()
            connection = world.request("GET", path, headers)
            self.assertEqual((connection.status, world.client.sent), (403, []), (path, headers))
            self.assertNotIn(CLIENT_KEY.encode(), connection.body)
        world = World()
        world.request("GET", f"{GATEWAY}/request/rpc", {"X-Rivet-Conn-Params": "%7B[no JSON"})
        self.assertEqual(len(world.client.sent), 1)

    def test_cookies_of_a_socket(self) -> None:
        """Cookies that come with the switch are the client's address's, too."""
        connection = self.world.request("GET", f"{GATEWAY}/websocket/", UPGRADE, key=None)
        self.upstream.say(SWITCH.replace(b"Server: x", b"Set-Cookie: a=b; Domain=amp.test; Secure"))
        self.assertIn(b"Set-Cookie: a=b\r\n", connection.answer)
