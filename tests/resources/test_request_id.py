"""Which request it was: the id that the client gave or was given, in its answer and in every log line."""

from __future__ import annotations

import json
import unittest
from typing import Any

import pytest
from twisted.internet.error import ConnectionRefusedError

from ampproxy.relay.record import SERVING
from tests.resources.harness import CONFIG, Connection, World

AMP = "/api/provider/anthropic/v1/messages"
JSON = {"Content-Type": ["application/json"]}
TWO = CONFIG.replace(
    "claude-api-key:",
    "claude-api-key:\n  - {api-key: first-account-key, base-url: http://first.test,"
    " models: [{name: claude-first, alias: claude-local}]}",
)


def body(model: str = "claude-local") -> bytes:
    return json.dumps({"model": model, "max_tokens": 5, "messages": []}).encode()


def header(connection: Connection, name: bytes = b"x-ampproxy-request-id") -> list[str]:
    head = connection.answer.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    pairs = [line.partition(b": ") for line in head]
    return [value.decode() for key, _, value in pairs if key.lower() == name]


class Ids(unittest.TestCase):
    """The id in headers and error bodies."""

    def setUp(self) -> None:
        self.world = World()

    def test_given(self) -> None:
        """A request without an id gets one, which its answer and its line in the log tell."""
        connection = self.world.request("GET", "/v1/models", {"anthropic-version": "2023-06-01"})
        self.assertEqual(header(connection), ["test"])
        self.assertEqual(self.world.exchanges[0]["request"], "test")

    def test_taken(self) -> None:
        """The client's own id is kept."""
        connection = self.world.request("GET", "/v1/models", {"X-Request-Id": "deploy-7.a:b/c=="})
        self.assertEqual(header(connection), ["deploy-7.a:b/c=="])
        self.assertEqual(self.world.exchanges[0]["request"], "deploy-7.a:b/c==")

    def test_the_vendors_is_passed_on(self) -> None:
        """The vendor's ids, which its support asks for, come through beside ours."""
        connection = self.world.request("POST", AMP, {"X-Request-Id": "mine"}, body())
        (sent,) = self.world.client.sent
        sent.respond_whole(200, b'{"model":"claude-real","content":[]}', {**JSON, "request-id": ["req_1"]})
        self.assertEqual((header(connection), header(connection, b"request-id")), (["mine"], ["req_1"]))

    def test_another_gateway_behind(self) -> None:
        """If Amp's upstream is a gateway like this one, the answer still has one id only: ours."""
        connection = self.world.request("GET", "/api/user", {"X-Request-Id": "mine"})
        theirs = {"X-Ampproxy-Request-Id": ["theirs"], "X-Ampproxy-Route": ["local"], "X-Request-Id": ["up"]}
        self.world.client.sent[0].respond_whole(200, b"{}", {**JSON, **theirs})
        self.assertEqual((header(connection), header(connection, b"x-request-id")), (["mine"], ["up"]))
        self.assertEqual(header(connection, b"x-ampproxy-route"), ["management"])

    def test_error_bodies(self) -> None:
        """An error names its request where its format has a place for it."""
        plain = self.world.request("GET", "/nowhere", {"X-Request-Id": "one"})
        self.assertEqual(json.loads(plain.body)["request_id"], "one")
        anthropic = self.world.request("POST", "/v1/messages", {"X-Request-Id": "two"}, body("unheard"))
        self.assertEqual(json.loads(anthropic.body)["request_id"], "two")
        self.assertEqual([header(plain), header(anthropic)], [["one"], ["two"]])

    def test_defects(self) -> None:
        """So does the answer to a defect of ours, and the log's traceback."""
        self.world.site.resource = None  # type: ignore[assignment]
        connection = self.world.request("GET", "/v1/models", {"X-Request-Id": "mine"})
        self.assertEqual(json.loads(connection.body)["error"]["request_id"], "mine")
        (event,) = [event for event in self.world.events if "log_failure" in event]
        self.assertEqual(event["request"], "mine")


@pytest.mark.parametrize(
    "value",
    ["", " ", "a b", "-a", "caf\u00e9", "<script>", "a,b", '"a"', "x" * 129, "a\tb", "a;b", "{a}"],
)
def test_unfit_ids(value: str) -> None:
    """What would need quoting in a log line or a header, or is too long, is replaced."""
    world = World()
    connection = world.request("GET", "/v1/models", {"X-Request-Id": value})
    assert header(connection) == ["test"]


def test_several_ids() -> None:
    """Of two ids neither is better."""
    world = World()
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: a\r\nX-Request-Id: b\r\n\r\n"
    assert header(world.connect().send(head)) == ["test"]


def test_every_line_of_an_exchange() -> None:
    """Whoever writes to the log while a request is served, the line can be told to be that request's: here
    the exchange, the pool of accounts and the end; and two requests under way do not mix.
    """
    world = World(TWO)
    met: list[tuple[str, str]] = []

    def observe(event: Any) -> None:
        met.append((event.get("request") or SERVING.get(), event["log_format"]))

    world.generation.runtime.log.observer = observe
    world.request("POST", AMP, {"X-Request-Id": "one"}, body())
    world.request("POST", AMP, {"X-Request-Id": "two"}, body())
    world.client.sent[1].answer.errback(ConnectionRefusedError())
    world.client.sent[0].answer.errback(ConnectionRefusedError())
    world.turn()
    for sent in world.client.sent[2:]:
        sent.respond_whole(200, b'{"model":"claude-real"}', JSON)
    world.turn()
    for name in ("one", "two"):
        lines = [line for request, line in met if request == name]
        assert any("{reason} for {model}" in line or "failed for" in line for line in lines), met
        assert lines[-1] == "{exchange}", met
    assert any("cooling down until" in line for request, line in met if request), met
    assert all(request for request, _ in met), met
    assert SERVING.get() == ""
