"""Metrics on a port of their own, as long as the configuration wants it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.logger import Logger, formatEvent

from ampproxy.config.schema import Metrics
from ampproxy.generation import Generation
from ampproxy.metrics.service import RETRY, MetricsService
from ampproxy.relay.record import ExchangeRecord, Outcome
from ampproxy.wire.redact import Secret
from tests.resources.harness import CLIENT_KEY, CONFIG, World


class Port:
    def __init__(self, reactor: Reactor, number: int, factory: Any, interface: str) -> None:
        self.reactor, self.number, self.factory, self.interface = reactor, number, factory, interface

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", self.interface, self.number)

    def stopListening(self) -> Deferred[None]:
        # As Twisted's: in the next turn.
        return deferLater(self.reactor, 0, self.reactor.open.remove, self)


class Reactor(Clock):
    """Listens in memory; some ports are somebody else's."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: set[int] = set()
        self.open: list[Port] = []

    def listenTCP(self, number: int, factory: Any, interface: str = "") -> Port:
        if number in self.taken or number in [port.number for port in self.open]:
            raise CannotListenError(interface, number, OSError(98, "Address already in use"))
        port = Port(self, number, factory, interface)
        self.open.append(port)
        return port


class NoToken:
    def current(self) -> Secret:
        return Secret("token-0123456789")

    def refused(self, token: Secret) -> None:
        """Nothing comes of it."""


class House:
    def __init__(self, config: str = CONFIG) -> None:
        self.world = World(config)
        self.reactor = Reactor()
        self.lines: list[str] = []
        log = Logger(namespace="ampproxy", observer=lambda event: self.lines.append(formatEvent(event)))  # type: ignore[arg-type]
        self.service = MetricsService(self.reactor, log, {})
        self.service.use(self.world.generation)

    def use(self, **settings: Any) -> None:
        config = replace(self.world.generation.config, metrics=Metrics(**settings))
        self.service.use(Generation(config, self.world.generation.runtime))
        self.reactor.advance(0)

    def ask(self, path: str = "/metrics", method: str = "GET", **headers: str) -> tuple[int, bytes, bytes]:
        """Status, head and body."""
        (port,) = self.reactor.open
        transport = StringTransport(peerAddress=IPv4Address("TCP", "127.0.0.1", 4000))
        channel = port.factory.buildProtocol(None)
        channel.makeConnection(transport)
        lines = {"Host": "127.0.0.1:9317", **{name.replace("_", "-"): text for name, text in headers.items()}}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        channel.dataReceived(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode())
        told, _, body = transport.value().partition(b"\r\n\r\n")
        return int(told.split(b" ", 2)[1]), told, body

    def addresses(self) -> list[tuple[str, int]]:
        return [(port.interface, port.number) for port in self.reactor.open]


def exchange() -> ExchangeRecord:
    record = ExchangeRecord(
        started=0.0, method="POST", path="/", kind="local", asked="claude-local", status=200
    )
    record.close(1.0, Outcome.COMPLETED)
    return record


def test_shown() -> None:
    """On loopback, without a key; what ended before the library was there is counted."""
    house = House()
    house.service.observe(exchange())
    assert house.addresses() == []
    house.service.start()
    house.service.observe(exchange())
    assert house.addresses() == [("127.0.0.1", 9317)]
    assert house.lines == ["Serving metrics at http://127.0.0.1:9317/metrics"]
    status, head, body = house.ask()
    assert status == 200
    assert b"Content-Type: text/plain; version=0.0.4; charset=utf-8" in head
    assert b'kind="local",model="claude-local",outcome="completed",role=""} 2.0\n' in body
    assert b"process_resident_memory_bytes" in body
    assert b"_created" not in body
    assert house.ask(method="HEAD")[2] == b""


def test_addresses() -> None:
    """Whose the logins are is for the owner alone; who shows no key sees the same metrics with digests."""
    house, label = House(), "claude:anna@example.com"
    house.service.start()
    config = house.world.generation.config
    account = replace(config.accounts[0], label=label, token=NoToken())
    house.service.use(Generation(replace(config, accounts=(account,)), house.world.generation.runtime))
    house.reactor.advance(0)
    record = exchange()
    record.account, record.failed = label, (label,)
    house.service.observe(record)
    for kind in ("text/plain", "application/openmetrics-text"):
        for key in ("", "wrong"):
            body = house.ask(Accept=kind, X_Api_Key=key)[2]
            assert b"anna" not in body
            assert b"example.com" not in body
        full = house.ask(Accept=kind, X_Api_Key=CLIENT_KEY)[2]
        digest = b'"claude:264af00d"'
        assert full.count(label.encode()) == body.count(digest) > body.count(b"account=" + digest) > 10
        assert house.ask(Accept=kind, X_Api_Key=CLIENT_KEY)[2].count(b"anna") == full.count(b"anna")


def test_a_key_for_models_alone() -> None:
    """It does not open what is for the owner."""
    entry = "{name: ci, key: key-of-ci, routes: [models]}"
    house = House(CONFIG.replace('"second-client-key"]', f'"second-client-key", {entry}]', 1))
    shown: list[bool] = []
    house.service._shown = lambda accept, owner: (shown.append(owner), (b"", "text/plain"))[1]  # type: ignore[method-assign]
    house.service.start()
    house.reactor.advance(0)
    for key in ("key-of-ci", CLIENT_KEY):
        house.ask(X_Api_Key=key)
    assert shown == [False, True]


def test_openmetrics() -> None:
    """Whoever prefers OpenMetrics gets that."""
    house = House()
    house.service.start()
    _, head, body = house.ask(Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert b"application/openmetrics-text" in head
    assert body.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        ("/", "GET", {}, 404),
        ("/metrics/x", "GET", {}, 404),
        ("/v1/messages", "POST", {}, 404),
        ("/metrics", "POST", {}, 405),
        ("/metrics", "GET", {"Host": "evil.example"}, 403),
        ("/metrics", "GET", {"Origin": "https://evil.example"}, 403),
    ],
)
def test_nothing_else(path: str, method: str, headers: dict[str, str], status: int) -> None:
    """No other path, no writing, and nothing for pages of other sites."""
    house = House()
    house.service.start()
    assert house.ask(path, method, **headers)[0] == status


def test_a_port_that_is_taken() -> None:
    """Is told once, and tried again until it is free; the service runs."""
    house = House()
    house.reactor.taken.add(9317)
    house.service.start()
    house.reactor.pump([RETRY] * 5)
    (line,) = house.lines
    assert "127.0.0.1:9317: [Errno 98] Address already in use" in line
    assert "metrics.listen" in line
    house.service.observe(exchange())
    house.reactor.taken.clear()
    house.reactor.advance(RETRY)
    house.service.stop()
    house.reactor.advance(0)
    assert (house.addresses(), house.reactor.getDelayedCalls()) == ([], [])
    house.service.start()
    assert b'outcome="completed",role=""} 1.0\n' in house.ask()[2]


def test_stopped_and_started_at_once() -> None:
    """A restart that comes to nothing in the same moment leaves no gap."""
    house = House()
    house.service.start()
    stopped = house.service.stop()
    house.service.start()
    assert not stopped.called
    house.reactor.advance(0)
    assert stopped.called
    assert house.addresses() == [("127.0.0.1", 9317)]
    assert house.lines == ["Serving metrics at http://127.0.0.1:9317/metrics"] * 2


def test_reload() -> None:
    """Another address takes the place of the old; off is off; what was counted is counted on."""
    house = House()
    house.service.start()
    house.service.observe(exchange())
    house.use(host="localhost", port=9999)
    house.service.observe(exchange())
    assert house.addresses() == [("127.0.0.1", 9999)]
    house.use(enable=False)
    assert house.addresses() == []
    assert house.reactor.getDelayedCalls() == []
    house.service.observe(exchange())
    house.use()
    house.service.observe(exchange())
    assert b'outcome="completed",role=""} 3.0\n' in house.ask()[2]
    for _ in range(1000):
        house.service.observe(exchange())
    assert b'outcome="completed",role=""} 1003.0\n' in house.ask()[2]
    house.use(max_models=5)
    assert house.addresses() == [("127.0.0.1", 9317)]


def test_reload_while_the_port_is_taken() -> None:
    """The retry is for the address that is wanted now."""
    house = House()
    house.reactor.taken.add(9317)
    house.service.start()
    house.use(port=9999)
    assert house.addresses() == [("127.0.0.1", 9999)]
    house.reactor.taken.clear()
    house.reactor.advance(2 * RETRY)
    assert house.addresses() == [("127.0.0.1", 9999)]


def test_off() -> None:
    """Then nothing is loaded nor kept, until it is switched on."""
    text = CONFIG + "metrics: {enable: false}\n"
    house = House(text)
    house.service.observe(exchange())
    house.service.start()
    house.service.observe(exchange())
    assert (house.addresses(), house.lines, house.reactor.getDelayedCalls()) == ([], [], [])
    house.use()
    assert b"\nampproxy_exchanges_total{" not in house.ask()[2]
