"""Liveness, readiness, and the order to read the configuration anew."""

from __future__ import annotations

import json
import unittest
from typing import Any

from msgspec.structs import replace

from ampproxy.generation import Generation
from ampproxy.resources.root import Root
from ampproxy.status import ReloadReport, Status
from tests.resources.harness import CONFIG, Connection, World

REFUSED = ReloadReport(False, 1.0, 7, ("config.yaml:3: port: expected a port",))
READY = Status("ready", 7, 1_700_000_000.0, pid=12, listening=("127.0.0.1:8317",), reload=REFUSED)


class Told(unittest.TestCase):
    def setUp(self) -> None:
        self.status = READY
        self.report: ReloadReport | None = REFUSED
        self.reloads = 0

    def world(self, config: str = CONFIG) -> World:
        world = World(config)
        runtime = replace(world.generation.runtime, status=lambda: self.status, reload=self.reload)
        world.generation = Generation(world.config, runtime)
        world.site.resource = Root(world.generation)
        return world

    def reload(self) -> ReloadReport | None:
        self.reloads += 1
        return self.report

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **kwargs: Any) -> Connection:
        return self.world().request(method, path, headers, **kwargs)

    def test_liveness(self) -> None:
        """Always 200, for everybody, whatever the state."""
        self.status = Status("draining", 7, 1.0)
        answer = self.ask("GET", "/healthz", key=None, peer="192.0.2.1")
        self.assertEqual((answer.status, answer.body), (200, b'{"status":"ok"}'))

    def test_details_for_the_owner(self) -> None:
        """From this machine, with a key: what is wrong, with its line. It is ready all the same."""
        answer = self.ask("GET", "/readyz")
        self.assertEqual(answer.status, 200)
        told = json.loads(answer.body)
        self.assertEqual(told["status"], "ready")
        self.assertEqual(told["generation"], 7)
        self.assertEqual(told["reload"]["complaints"], ["config.yaml:3: port: expected a port"])

    def test_no_details_for_others(self) -> None:
        """From elsewhere, or without a key: nothing of the configuration."""
        for key, peer in (
            (None, "127.0.0.1"),
            ("wrong", "127.0.0.1"),
            ("client-key-0123456789", "192.0.2.1"),
        ):
            answer = self.ask("GET", "/readyz", key=key, peer=peer)
            self.assertEqual(answer.status, 200)
            told = json.loads(answer.body)
            self.assertEqual(told, {"status": "ready", "generation": 7, "since": 1_700_000_000.0})

    def test_not_ready(self) -> None:
        """A service that ends, or that could serve nothing, should be sent nothing."""
        for state in ("draining", "idle", "starting"):
            self.status = replace_status(state)
            answer = self.ask("GET", "/readyz")
            self.assertEqual((answer.status, json.loads(answer.body)["status"]), (503, state))

    def test_only_read(self) -> None:
        """It takes no orders."""
        self.assertEqual(self.ask("POST", "/readyz", body=b"").status, 405)

    def test_reload(self) -> None:
        """Its result is the answer: 200, or 409 if the file is wrong."""
        answer = self.ask("POST", "/ampproxy/reload")
        self.assertEqual((answer.status, json.loads(answer.body)["ok"]), (409, False))
        self.report = ReloadReport(True, 1.0, 8, changes=("port: 1 -> 2",))
        answer = self.ask("POST", "/ampproxy/reload")
        self.assertEqual((answer.status, json.loads(answer.body)["changes"]), (200, ["port: 1 -> 2"]))

    def test_no_file(self) -> None:
        """A service without a file cannot read one."""
        self.report = None
        self.assertEqual(self.ask("POST", "/ampproxy/reload").status, 404)

    def test_who_may_reload(self) -> None:
        """Nobody from elsewhere, nobody without a key, no web page, not even one of an allowed host."""
        page = {"Host": "amp.example", "Origin": "https://amp.example"}
        cases: tuple[tuple[dict[str, Any], int], ...] = (
            ({"peer": "192.0.2.1"}, 403),
            ({"key": None}, 401),
            ({"key": "wrong"}, 401),
            ({"headers": page}, 403),
            ({"headers": {"Origin": "http://127.0.0.1:8317"}}, 403),
            ({"headers": {"Sec-Fetch-Site": "none"}}, 403),
        )
        for kwargs, status in cases:
            world = self.world(f"allowed-hosts: [amp.example]\n{CONFIG}")
            self.assertEqual(world.request("POST", "/ampproxy/reload", **kwargs).status, status, kwargs)
        self.assertEqual(self.ask("GET", "/ampproxy/reload").status, 405)
        self.assertEqual(self.ask("POST", "/ampproxy/reload/x").status, 404)
        self.assertEqual(self.reloads, 0)


def replace_status(state: Any) -> Status:
    return Status(state, 7, 1.0)


class GenerationNumber(unittest.TestCase):
    """Each answer says under which configuration it was made."""

    def test_every_answer(self) -> None:
        """Served, refused, not found, malformed, forwarded."""
        world = World()
        world.site.generation = 42
        head = b"\r\nX-Ampproxy-Generation: 42\r\n"
        for connection in (
            world.request("GET", "/healthz"),
            world.request("GET", "/v1/models"),
            world.request("GET", "/v1/models", key="wrong"),
            world.request("GET", "/nowhere"),
            world.connect().send(b"nonsense\r\n\r\n"),
        ):
            self.assertIn(head, connection.answer)
        connection = world.request("GET", "/api/threads")
        world.client.sent[0].respond_whole(200, b"{}", {"X-Ampproxy-Generation": ["7"]})
        world.turn()
        self.assertEqual(connection.answer.count(b"X-Ampproxy-Generation"), 1)
        self.assertIn(head, connection.answer)
