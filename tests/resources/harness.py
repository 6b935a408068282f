"""A gateway in memory: a real site on a string transport, and an upstream that the test plays."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH

from ampproxy.config.load import parse
from ampproxy.config.schema import Config
from ampproxy.credentials.health import PoolState
from ampproxy.credentials.lessons import Lessons
from ampproxy.credentials.pins import Pins
from ampproxy.credentials.sharing import share_pool
from ampproxy.credits.allowance import Allowance
from ampproxy.generation import Generation
from ampproxy.http.deadlines import Deadlines
from ampproxy.listen.listeners import CloudEntrance
from ampproxy.relay.clients import SeenClients
from ampproxy.relay.unknown import RouteMemory
from ampproxy.resources.root import Root
from ampproxy.runtime import Runtime
from ampproxy.server.failures import Failures
from ampproxy.server.limiter import Limiter, kept_nowhere
from ampproxy.server.revocation import end_beyond_limits, end_revoked
from ampproxy.server.running import ActiveExchanges
from ampproxy.server.site import GatewaySite
from ampproxy.state.shared import ALONE, Shared
from ampproxy.tenants.costs import Costs, NoCosts
from ampproxy.upstream.inflate import inflated

CLIENT_KEY = "client-key-0123456789"
ACCOUNT_KEY = "account-key-0123456789"
AMP_KEY = "amp-upstream-key-0123456789"

CONFIG = f"""
api-keys: ["{CLIENT_KEY}", "second-client-key"]
claude-api-key:
  - api-key: {ACCOUNT_KEY}
    base-url: http://claude.test
    models: [{{name: claude-real, alias: claude-local}}]
ampcode:
  upstream-url: https://amp.test
  upstream-api-key: {AMP_KEY}
  upstream-api-keys:
    - upstream-api-key: second-amp-key
      api-keys: ["second-client-key"]
  model-mappings:
    - {{from: claude-wanted, to: claude-local}}
"""


class FakeBody:
    """An upstream's answer that the test sends piece by piece."""

    def __init__(self, response: FakeResponse) -> None:
        self._response = response
        self.state = "producing"
        self.protocol: Any = None

    def pauseProducing(self) -> None:
        self.state = "paused"

    def resumeProducing(self) -> None:
        self.state = "producing"

    def stopProducing(self) -> None:
        self.state = "stopped"

    def data(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def done(self) -> None:
        self.protocol.connectionLost(Failure(ResponseDone()))

    def lose(self, error: Exception | None = None) -> None:
        self.protocol.connectionLost(Failure(error or ConnectionDone()))


class FakeResponse:
    """What an upstream answered: ``IResponse`` as far as it is used."""

    def __init__(self, code: int, headers: dict[str, list[str]], length: Any) -> None:
        self.code = code
        self.phrase = b"Phrase"
        self.length = length
        self.headers = Headers(headers)
        self.body = FakeBody(self)

    def deliverBody(self, protocol: Any) -> None:
        self.body.protocol = protocol
        protocol.makeConnection(self.body)


class Sent:
    """A request that reached the upstream."""

    def __init__(self, method: str, url: str, headers: Headers, producer: Any) -> None:
        self.method, self.url, self.headers, self.producer = method, url, headers, producer
        self.cancelled = False
        self.proxy: str | None = None
        self.answer: Deferred[Any] = Deferred(self._cancel)
        self.body = b""
        self.body_done = False
        self.paused = False
        if producer is not None:
            producer.startProducing(self).addCallbacks(self._whole, lambda _: None)

    def _cancel(self, _: object) -> None:
        self.cancelled = True

    def _whole(self, _: object) -> None:
        self.body_done = True

    def write(self, data: Any) -> None:
        self.body += bytes(data)

    def header(self, name: str) -> list[str]:
        return [value.decode() for value in self.headers.getRawHeaders(name.encode()) or []]

    def respond(
        self, code: int = 200, headers: dict[str, list[str]] | None = None, length: Any = UNKNOWN_LENGTH
    ) -> FakeBody:
        response = FakeResponse(code, headers or {}, length)
        self.answer.callback(response)
        return response.body

    def respond_whole(self, code: int, body: bytes, headers: dict[str, list[str]] | None = None) -> None:
        stream = self.respond(code, headers, len(body))
        if stream.protocol is not None:
            if body:
                stream.data(body)
            stream.done()


class FakeClient:
    """In place of ``UpstreamClient``: keeps what is sent, and answers when the test says so."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def load(self) -> None:
        """Nothing is to be loaded."""

    def send(
        self, method: str, url: str, headers: Headers, body: Any = None, proxy: str | None = None
    ) -> Deferred[Any]:
        sent = Sent(method, url, headers.copy(), body)
        sent.proxy = proxy
        self.sent.append(sent)
        return sent.answer.addCallback(inflated)

    def close(self) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        done.callback(None)
        return done


class Connection:
    """One client connection to the site."""

    def __init__(self, world: World, peer: str, *, cloud: bool = False) -> None:
        self.world = world
        self.transport = StringTransport(peerAddress=IPv4Address("TCP", peer, 4000))
        self.transport.abortConnection = self._abort  # type: ignore[method-assign]
        self.aborted = False
        factory = CloudEntrance(world.site) if cloud else world.site
        self.channel: Any = factory.buildProtocol(None)
        self.channel.makeConnection(self.transport)

    def _abort(self) -> None:
        self.aborted = True
        self.transport.loseConnection()

    def send(self, data: bytes) -> Connection:
        self.channel.dataReceived(data)
        return self

    def leave(self) -> None:
        self.channel.connectionLost(Failure(ConnectionDone()))

    @property
    def closed(self) -> bool:
        return bool(self.transport.disconnecting) or self.aborted

    @property
    def answer(self) -> bytes:
        return self.transport.value()

    @property
    def status(self) -> int:
        return int(self.answer.split(b" ", 2)[1])

    @property
    def body(self) -> bytes:
        head, _, body = self.answer.partition(b"\r\n\r\n")
        if b"transfer-encoding: chunked" not in head.lower():
            return body
        out = b""
        while body:
            size, _, rest = body.partition(b"\r\n")
            length = int(size, 16)
            if not length:
                break
            out, body = out + rest[:length], rest[length + 2 :]
        return out

    @property
    def ended_cleanly(self) -> bool:
        return self.answer.endswith(b"0\r\n\r\n")


@functools.lru_cache(512)
def configuration(text: str, home: Path) -> Config:
    """A configuration by its text. Tests have few of them, and reading one takes longer than a request."""
    return parse(text, name="test.yaml", environ={}, home=home, read_secret=Path.read_text)


class World:
    """A gateway with everything around it."""

    def __init__(
        self,
        config: str = CONFIG,
        home: Path = Path("/nonexistent"),
        state: Path | None = None,
        allowance: Allowance | None = None,
        client: Any = None,
        limiter: Limiter | None = None,
        costs: Callable[[Config], Costs] = lambda config: NoCosts(),
        clock: Clock | None = None,
        shared: Shared = ALONE,
    ) -> None:
        self.clock = clock or Clock()
        self.wall = 1_700_000_000.0
        self.client = client or FakeClient()
        self.events: list[Any] = []
        self.config = configuration(config, home)
        log = Logger(namespace="ampproxy", observer=self.events.append)
        pool_state = PoolState()
        share_pool(pool_state, shared, self.clock.seconds)
        self.generation = Generation(
            self.config,
            Runtime(
                clock=self.clock,
                deadlines=Deadlines(self.clock),
                client=self.client,
                environ={},
                home=home,
                wall=lambda: self.wall,
                new_id=lambda prefix: prefix + "test",
                log=log,
                running=ActiveExchanges(),
                seen_clients=SeenClients(log),
                unknown_routes=RouteMemory(state, self.clock, lambda: 1_700_000_000.0, log),
                state=state,
                lessons=Lessons(
                    state, lambda: 1_700_000_000.0 + self.clock.seconds(), clock=self.clock, log=log
                ),
                pins=Pins(state, lambda: 1_700_000_000.0 + self.clock.seconds(), clock=self.clock, log=log),
                allowance=allowance or Allowance(None, lambda: "2026-11-29"),
                limiter=limiter or kept_nowhere(lambda: self.wall),
                costs=costs,
                failures=Failures(self.clock.seconds),
                pool_state=pool_state,
                shared=shared,
            ),
        )
        runtime = self.generation.runtime
        self.site = GatewaySite(
            Root(self.generation),
            self.config.limits,
            self.clock,
            runtime.new_id,
            runtime.log,
            held=runtime.held,
        )

    def use(self, config: str) -> int:
        """Put another configuration in force; says how many exchanges that ended."""
        home = self.generation.runtime.home
        self.config = configuration(config, home)
        self.generation = Generation(self.config, self.generation.runtime, self.generation)
        self.site.generation += 1
        self.site.resource = Root(self.generation)
        runtime, ended = self.generation.runtime, [0]
        ended.append(end_revoked(self.generation, runtime.running))
        beyond = end_beyond_limits(runtime.running, runtime.limiter, runtime.wall)
        Deferred.fromCoroutine(beyond).addCallback(ended.append)
        return sum(ended)

    def connect(self, peer: str = "127.0.0.1", *, cloud: bool = False) -> Connection:
        return Connection(self, peer, cloud=cloud)

    def request(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        *,
        key: str | None = CLIENT_KEY,
        peer: str = "127.0.0.1",
        cloud: bool = False,
    ) -> Connection:
        """One whole request on a connection of its own."""
        lines = {"Host": "127.0.0.1:8317"}
        if key is not None:
            lines["Authorization"] = f"Bearer {key}"
        if body is not None:
            lines["Content-Length"] = str(len(body))
        lines.update(headers or {})
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
        return self.connect(peer, cloud=cloud).send(
            f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + (body or b"")
        )

    def turn(self) -> None:
        """The rest of this turn of the reactor."""
        self.clock.advance(0)

    @property
    def exchanges(self) -> list[Any]:
        return [event for event in self.events if event.get("log_kind") == "exchange"]
