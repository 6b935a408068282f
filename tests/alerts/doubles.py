"""A gateway whose alerts go to places that the test plays."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.python.failure import Failure

from ampproxy.alerts.service import AlertsService
from ampproxy.credentials.secrets import secrets_of
from tests.resources.harness import World

WEBHOOK = "http://hook.test/services/canary-path-0123"
BASE = """
api-keys: [client-key-0123456789]
claude-api-key:
  - {api-key: canary-1, base-url: "http://claude.test", models: [{name: a}]}
"""
CONFIG = (
    BASE
    + f"""
alerts:
  webhook: {WEBHOOK}
  webhook-headers: {{Authorization: Bearer canary-token}}
"""
)


class FakeProcess:
    """A command that runs until the test ends it."""

    def __init__(self, protocol: Any, program: str, argv: tuple[str, ...], env: dict[str, str]) -> None:
        self.protocol, self.program, self.argv, self.env = protocol, program, argv, env
        self.stdin, self.signals, self.closed, self.left = b"", [], False, False
        protocol.makeConnection(self)

    def write(self, data: bytes) -> None:
        self.stdin += data

    def closeStdin(self) -> None:
        self.closed = True

    def loseConnection(self) -> None:
        self.left = True

    def signalProcess(self, name: str) -> None:
        self.signals.append(name)

    def exit(self, status: int = 0, *, output: bytes = b"", signal: int | None = None) -> None:
        self.protocol.childDataReceived(1, output)
        error = ProcessTerminated(status, signal) if status or signal else ProcessDone(0)
        self.protocol.processEnded(Failure(error))


class Reactor(Clock):
    """Has the time, and starts processes that the test plays."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[FakeProcess] = []

    def spawnProcess(self, protocol: Any, program: str, argv: Any, env: Any) -> None:
        if program.startswith("/missing"):
            raise FileNotFoundError(2, "No such file or directory")
        self.processes.append(FakeProcess(protocol, program, argv, env))


class Alerted:
    """A gateway in memory, and its alerts."""

    def __init__(self, config: str = CONFIG, world: World | None = None, **more: Any) -> None:
        self.world = world or World(config, **more)
        self.reactor = Reactor()
        log = Logger(namespace="ampproxy", observer=self.world.events.append)
        self.service = AlertsService(self.reactor, log, in_thread=maybeDeferred, host="gw")
        self.service.use(self.world.generation, secrets_of(self.world.config))
        self.service.start()

    def wait(self, seconds: float = 30.0) -> None:
        """Time goes by, for the clock and for the alerts."""
        self.world.wall += seconds
        self.world.clock.advance(seconds)
        self.reactor.advance(seconds)

    def refuse_key(self) -> None:
        from ampproxy.credentials.health import scopes
        from tests.alerts.test_conditions import REFUSED

        state, account = self.world.generation.pool.state, self.world.config.accounts[0]
        state.health(state.identity(account)).failed(
            scopes("a", "messages"), REFUSED, -1.0, self.world.clock.seconds(), 1800.0
        )

    def heal(self) -> None:
        state, account = self.world.generation.pool.state, self.world.config.accounts[0]
        state.reset(account)
        state.health(state.identity(account)).proven = True

    @property
    def posted(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(sent.body) for sent in self.world.client.sent]

    def lines(self) -> list[str]:
        return [event["log_format"].format(**event) for event in self.world.events if event.get("log_format")]


def result(coroutine: Any) -> Any:
    """What a coroutine gives that is over."""
    results: list[Any] = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    return results[0] if results else None
