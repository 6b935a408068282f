"""Gateways that share their state, as their clients see them, also when what they share it by is away."""

from __future__ import annotations

import json

import pytest

from tests.resources.harness import CLIENT_KEY
from tests.resources.test_accounts import AMP, LIMITED, Several, body
from tests.state.bus import TRAVEL, Bus


class Gateway(Several):
    """One of several gateways with the same accounts."""

    def __init__(self, bus, *, open=True, closes=False):
        view = bus.view(open=False, closes=closes)
        super().__init__(clock=bus.clock, shared=view)
        self.bus, self.view = bus, view
        if open:
            view.wire.open()

    def ask(self, thread=None, **kwargs):
        connection = super().ask(thread, **kwargs)
        self.bus.settle()
        self.play()
        self.bus.settle()
        return connection


def gateways(count=2):
    bus = Bus()
    return [Gateway(bus) for _ in range(count)]


def test_a_thread_keeps_its_account():
    """Wherever the balancer sends its requests."""
    one, two = gateways()
    two.ask()
    for number in range(4):
        assert one.ask(f"T-{number}").status == 200
        assert two.ask(f"T-{number}").status == 200
        assert two.asked[-1] == one.asked[-1]


def test_requests_of_a_new_thread_at_the_same_time():
    """Both wait for the gateways to agree, no longer, and are served by one account."""
    one, two = gateways()
    two.ask()
    two.asked.clear()
    connections = [world.request("POST", AMP, {"X-Amp-Thread-Id": "T-1"}, body()) for world in (one, two)]
    assert one.client.sent == two.client.sent == []
    one.bus.clock.pump([TRAVEL] * 3)
    for world in (one, two):
        world.play()
    assert [connection.status for connection in connections] == [200, 200]
    assert one.asked == two.asked


def test_a_client_that_leaves_while_they_agree():
    """Its request is not sent to anyone."""
    one, two = gateways()
    connection = one.request("POST", AMP, {"X-Amp-Thread-Id": "T-1"}, body())
    connection.leave()
    one.bus.settle()
    assert one.client.sent == []
    assert one.exchanges[-1]["outcome"] == "client-left"
    assert two.ask("T-1").status == 200


def test_no_answer_while_they_agree():
    """The request is served after a moment, by the gateway's own choice."""
    (one,) = gateways(1)
    one.view.wire.silent = True
    connection = one.request("POST", AMP, {"X-Amp-Thread-Id": "T-1"}, body())
    one.clock.advance(1.9)
    assert one.client.sent == []
    one.clock.advance(0.2)
    one.play()
    assert connection.status == 200


def test_a_cooldown_of_one_is_honoured_by_all():
    """At once: none asks an account that another was refused by."""
    one, two = gateways()
    one.behaviour["a"] = LIMITED
    assert one.ask().status == 200
    assert one.asked == ["a", "b"]
    for _ in range(4):
        two.ask()
    assert set(two.asked) == {"b", "c"}


ROUTES = [
    ("/v1/messages", lambda found: found["error"]["message"]),
    ("/v1/chat/completions", lambda found: found["error"]["message"]),
    ("/v1/responses", lambda found: found["error"]["message"]),
    ("/v1beta/models/m:generateContent", lambda found: found["error"]["message"]),
]


@pytest.mark.parametrize(("path", "message"), ROUTES, ids=[path for path, _ in ROUTES])
def test_fail_closed(path, message):
    """Such a gateway refuses in the client's dialect and names the setting; a balancer sends requests on;
    as soon as it is back both are as before.
    """
    bus = Bus()
    world = Gateway(bus, closes=True)
    world.view.wire.cut("connection refused")
    refused = world.request("POST", path, {}, body())
    assert refused.status == 503
    assert "state.when-away" in message(json.loads(refused.body))
    assert b"connection refused" not in refused.answer
    assert b"Retry-After: 2" in refused.answer
    assert world.request("GET", "/readyz").status == 503
    assert world.request("GET", "/healthz").status == 200
    assert world.client.sent == []
    world.view.wire.open()
    assert world.request("GET", "/readyz").status == 200
    world.request("POST", AMP, {}, body())
    assert len(world.client.sent) == 1


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/messages/batches"), ("POST", "/v1/files")])
def test_fail_closed_beside_the_models(method, path):
    """What vendors have beside their models uses the same accounts."""
    world = Gateway(Bus(), closes=True)
    world.view.wire.cut("connection refused")
    refused = world.request(method, path, {"anthropic-version": "2023-06-01"}, b"")
    assert refused.status == 503
    assert "state.when-away" in json.loads(refused.body)["error"]["message"]
    assert world.client.sent == []
    world.view.wire.open()
    world.request(method, path, {"anthropic-version": "2023-06-01"}, b"")
    assert len(world.client.sent) == 1


def test_fail_open():
    """By default it serves by what it knows."""
    bus = Bus()
    one, two = Gateway(bus), Gateway(bus)
    one.behaviour["a"] = LIMITED
    one.ask()
    two.view.wire.cut()
    assert {two.ask().status for _ in range(3)} == {200}
    assert "a" not in two.asked
    assert two.request("GET", "/readyz").status == 200


def test_a_key_is_needed_first():
    """Who has none learns nothing of what is away."""
    world = Gateway(Bus(), open=False, closes=True)
    assert world.request("POST", "/v1/messages", {}, body(), key="wrong").status == 401
    assert world.request("POST", "/v1/messages", {}, body(), key=CLIENT_KEY).status == 503
