"""What the gateway notices of Amp's clients: who they are, and what is new of theirs."""

from __future__ import annotations

import json
import stat
import unittest
from pathlib import Path
from unittest import mock

from twisted.internet.task import Clock
from twisted.logger import Logger

from ampproxy.credentials.names import client_name
from ampproxy.relay.unknown import MAX_ROUTES, NAME, PAUSE, RouteMemory, UnknownRoute, read
from ampproxy.wire.redact import Secret
from tests.resources.harness import CLIENT_KEY, World
from tests.resources.test_tunnel import UPGRADE, Upstream

FIRST, SECOND = client_name(Secret(CLIENT_KEY), b""), client_name(Secret("second-client-key"), b"")

MAY, SEP = "0.0.1777897475-g2324e1", "0.0.1790142911-g7618fb"
CLASSIC = {"X-Amp-Client-Application": "CLI", "X-Amp-Client-Version": MAY}
NEO = {"User-Agent": "Bun/1.3.2"}
MODEL = "/api/provider/anthropic/v1/messages"
SOCKET = "/actors/gateway/threadActor/websocket/"
PARAMETERS = {
    **UPGRADE,
    "Sec-WebSocket-Protocol": f"rivet, rivet_conn_params.%7B%22clientVersion%22%3A%22{SEP}%22%7D",
}


def told(world: World, kind: str) -> list[str]:
    return [event["log_format"].format(**event) for event in world.events if event.get("log_kind") == kind]


class Clients(unittest.TestCase):
    def setUp(self) -> None:
        self.world = World()
        Upstream(self.world)

    @property
    def named(self) -> list[str]:
        return told(self.world, "client")

    def test_classic(self) -> None:
        """A classic client is named at its first request that shows it, once, with what that means."""
        self.world.request("POST", "/api/internal?getUserInfo", {"User-Agent": "node"}, b"{}")
        self.assertEqual(self.named, [])
        for path in ("/api/internal?getUserInfo", MODEL, MODEL):
            self.world.request("POST", path, CLASSIC, b"{}")
        self.assertEqual(
            self.named,
            [
                f"{FIRST} uses Amp's CLI {MAY} (classic):"
                " its model calls come through here and use your accounts"
            ],
        )

    def test_neo(self) -> None:
        """What a Neo client asks for is one client's: its version comes with a socket that brings no key."""
        self.world.request("POST", "/api/internal?getUserInfo", NEO, b"{}")
        self.world.request("POST", "/api/thread-actors", NEO, b"{}")
        self.world.request("GET", "/actors/metadata", key=None)
        for _ in range(2):
            self.world.request("GET", SOCKET, PARAMETERS, key=None)
        self.world.request("POST", "/api/internal?archiveThread", NEO, b"{}")
        (line,) = self.named
        self.assertTrue(
            line.startswith(f"{FIRST} uses Amp's client (Neo): its model calls run in Amp's cloud")
        )
        self.assertIn("billed by Amp", line)
        self.assertEqual(told(self.world, "client-version"), [f"{FIRST} uses version {SEP} of it"])

    def test_a_socket_alone(self) -> None:
        """A client that was not seen before is named even without a key."""
        self.world.request("GET", SOCKET, PARAMETERS, key=None)
        (line,) = self.named
        self.assertTrue(line.startswith(f"A client without a key uses Amp's client {SEP} (Neo)"))

    def test_several(self) -> None:
        """Another key, another application and another version are other clients."""
        other = {**CLASSIC, "X-Amp-Client-Version": "0.0.1767830505-ga62310"}
        self.world.request("POST", MODEL, CLASSIC, b"{}")
        self.world.request("POST", MODEL, CLASSIC, b"{}", key="second-client-key")
        self.world.request("POST", MODEL, other, b"{}")
        self.world.request("POST", MODEL, {**CLASSIC, "X-Amp-Client-Application": "VS Code"}, b"{}")
        self.assertEqual(len(self.named), 4)
        self.assertTrue(self.named[1].startswith(f"{SECOND} uses"))

    def test_who_is_not_let_in_is_not_named(self) -> None:
        """Nor anybody who is no client of Amp's."""
        self.world.request("POST", MODEL, CLASSIC, b"{}", key="wrong")
        self.world.request("POST", "/v1/messages", CLASSIC, b"{}")
        self.world.request("POST", MODEL, {"User-Agent": "Anthropic/Python"}, b"{}")
        self.assertEqual(self.named, [])

    def test_bounded(self) -> None:
        """Somebody who makes versions up fills no memory."""
        for number in range(1000):
            self.world.request("GET", "/api/user", {"X-Amp-Client-Version": f"0.0.{1_767_000_000 + number}"})
        seen = self.world.generation.runtime.seen_clients
        self.assertLess(len(seen._seen) + len(seen._whole), 600)


class Routes(unittest.TestCase):
    def setUp(self) -> None:
        self.world = World()

    def known(self, world: World | None = None) -> dict[tuple[str, str], UnknownRoute]:
        routes = (world or self.world).generation.runtime.unknown_routes.routes().routes
        return {(one.method, one.path): one for one in routes}

    def test_forwarded_and_remembered(self) -> None:
        """A new route works at once; the log tells of it once, the memory how often and by whom."""
        for number in range(3):
            self.world.request("PUT", f"/api/new-things/{number}000?token=secret", CLASSIC)
        self.assertEqual(self.world.client.sent[0].url, "https://amp.test/api/new-things/0000?token=secret")
        self.assertEqual(
            told(self.world, "unknown-route"),
            [
                f"PUT /api/new-things/{{id}} (of CLI {MAY}) is a route of Amp's that this version does not"
                " know: it is forwarded"
            ],
        )
        route = self.known()["PUT", "/api/new-things/{id}"]
        self.assertEqual((route.count, route.clients), (3, (f"CLI {MAY}",)))
        self.assertEqual(route.last_seen, 1_700_000_000.0)

    def test_what_is_known_is_not(self) -> None:
        """Nor what was not let in, nor what a page of the site loads."""
        Upstream(self.world)
        for method, path, key in (
            ("POST", "/api/internal?getUserInfo", CLIENT_KEY),
            ("GET", "/auth/anything/at/all", None),
            ("GET", "/api/other", None),
            ("GET", "/api/provider/cerebras/v1/tcp_warming", CLIENT_KEY),
            ("POST", MODEL, CLIENT_KEY),
        ):
            self.world.request(method, path, body=b"{}" if method == "POST" else None, key=key)
        self.world.request("GET", SOCKET, UPGRADE, key=None)
        self.world.request("GET", "/_app/x", {"Sec-Fetch-Site": "same-origin"}, key=None)
        self.assertEqual(self.known(), {})

    def test_models_and_sockets(self) -> None:
        """What is new below the model routes, and sockets at a new place, count as well."""
        Upstream(self.world)
        self.world.request("POST", "/api/provider/new/v1/thing", body=b"{}")
        self.world.request("GET", "/api/socket", UPGRADE)
        self.assertEqual(
            set(self.known()), {("POST", "/api/provider/new/v1/thing"), ("UPGRADE", "/api/socket")}
        )

    def test_what_the_firewall_stops_is_not_called_forwarded(self) -> None:
        """A new route below the model routes goes only where ``ampcode.fallback`` lets it."""
        world = World(
            f'api-keys: ["{CLIENT_KEY}"]\n'
            "ampcode: {upstream-url: 'https://amp.test', upstream-api-key: k-0123456789, fallback: never}\n"
        )
        world.request("POST", "/api/provider/new/v1/thing", body=b"{}")
        world.request("GET", "/api/new-things")
        self.assertEqual([sent.url for sent in world.client.sent], ["https://amp.test/api/new-things"])
        self.assertEqual(
            [line.partition("know: ")[2] for line in told(world, "unknown-route")],
            ["ampcode.fallback decides whether it is forwarded", "it is forwarded"],
        )

    def test_shown(self) -> None:
        """``GET /ampproxy/unknown`` tells the owner, on this machine, with a key."""
        self.world.request("GET", "/api/one")
        answer = json.loads(self.world.request("GET", "/ampproxy/unknown").body)
        self.assertEqual(
            answer,
            {
                "routes": [
                    {
                        "method": "GET",
                        "path": "/api/one",
                        "count": 1,
                        "first_seen": 1.7e9,
                        "last_seen": 1.7e9,
                        "clients": [],
                    }
                ]
            },
        )
        self.assertEqual(self.world.request("GET", "/ampproxy/unknown", key=None).status, 401)
        self.assertEqual(self.world.request("GET", "/ampproxy/unknown", peer="10.0.0.7").status, 403)
        self.assertEqual(self.world.request("POST", "/ampproxy/unknown", body=b"").status, 405)
        self.assertEqual(self.world.request("GET", "/ampproxy/unknown/x").status, 404)

    def test_bounded(self) -> None:
        """A client that makes paths up fills neither memory nor log."""
        for number in range(MAX_ROUTES + 50):
            letters = "".join(chr(97 + int(digit)) for digit in str(number))
            self.world.request("GET", f"/api/x{letters}")
        self.assertEqual(len(self.known()), MAX_ROUTES)
        self.assertEqual(len(told(self.world, "unknown-route")), MAX_ROUTES)
        self.assertEqual(
            sum("further ones are not recorded" in event["log_format"] for event in self.world.events), 1
        )


def test_kept(tmp_path: Path) -> None:
    """The file is written some time after, for its owner alone; the next process goes on from it."""
    folder = tmp_path / "state"
    world = World(state=folder)
    world.request("GET", "/api/one")
    assert not folder.exists()
    world.clock.advance(PAUSE)
    file = folder / NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.path for one in read(folder).routes] == ["/api/one"]
    again = World(state=folder)
    again.request("GET", "/api/one", CLASSIC)
    assert told(again, "unknown-route") == []
    again.generation.runtime.unknown_routes.close()
    (route,) = read(folder).routes
    assert (route.count, route.clients) == (2, (f"CLI {MAY}",))
    assert [path.name for path in folder.iterdir()] == [NAME]


def test_two_processes(tmp_path: Path) -> None:
    """What another process has written meanwhile stays."""
    worlds = [World(state=tmp_path), World(state=tmp_path)]
    for number, world in enumerate(worlds):
        world.request("GET", "/api/both")
        world.request("GET", f"/api/only-{'ab'[number]}")
    for world in worlds:
        world.generation.runtime.unknown_routes.close()
    assert {one.path: one.count for one in read(tmp_path).routes} == {
        "/api/both": 2,
        "/api/only-a": 1,
        "/api/only-b": 1,
    }


def test_when_it_is_written(tmp_path: Path) -> None:
    """Once for many requests, and not after the end; without a folder nothing waits to be written."""
    clock = Clock()
    memory = RouteMemory(tmp_path, clock, lambda: 1.7e9, Logger())
    for number in range(100):
        memory.see("GET", f"/api/{number}", "")
    assert len(clock.getDelayedCalls()) == 1
    memory.close()
    assert len(read(tmp_path).routes) == 100
    assert clock.getDelayedCalls() == []
    memory = RouteMemory(None, clock, lambda: 1.7e9, Logger())
    memory.see("GET", "/api/x", "")
    assert clock.getDelayedCalls() == []
    memory.close()


def test_old_and_broken_files(tmp_path: Path) -> None:
    """A file that nobody can read counts as none; what was not asked for in half a year is forgotten."""
    for content in (b"", b"{", b"[1]", b'{"routes":[{"method":5}]}'):
        (tmp_path / NAME).write_bytes(content)
        assert read(tmp_path).routes == ()
    old = {"method": "GET", "path": "/api/old", "count": 1, "first_seen": 1.0, "last_seen": 2.0}
    new = {**old, "path": "/api/new", "last_seen": 1_699_999_999.0}
    (tmp_path / NAME).write_text(json.dumps({"routes": [new, old]}))
    world = World(state=tmp_path)
    assert [one.path for one in world.generation.runtime.unknown_routes.routes().routes] == ["/api/new"]


def test_a_full_disk(tmp_path: Path) -> None:
    """A file that cannot be written is one warning; serving goes on, and nothing that was seen is lost."""
    world = World(state=tmp_path)
    with mock.patch("os.open", side_effect=OSError(28, "No space left on device")):
        for path in ("/api/one", "/api/two", "/api/three"):
            world.request("GET", path)
            world.clock.advance(PAUSE)
    (event,) = [event for event in world.events if "cannot be written to" in event["log_format"]]
    assert event["why"] == "No space left on device"
    assert len(world.generation.runtime.unknown_routes.routes().routes) == 3
    world.request("GET", "/api/four")
    world.clock.advance(PAUSE)
    assert len(read(tmp_path).routes) == 4
