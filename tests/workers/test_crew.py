"""The supervisor of workers that are doubles: it starts them, asks them, replaces them, and ends them."""

from __future__ import annotations

import signal
import socket
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.logger import Logger, formatEvent

from ampproxy import __version__
from ampproxy.channel.link import Link
from ampproxy.channel.messages import (
    Accept,
    Beat,
    Begun,
    Cancel,
    Commit,
    Ended,
    Leave,
    Leaving,
    Line,
    Ping,
    Prepare,
    Prepared,
    Ready,
    Start,
    Stop,
    encode,
    from_supervisor,
)
from ampproxy.config.schema import Config
from ampproxy.errors import ConfigError
from ampproxy.lifecycle import Lifecycle, Phase
from ampproxy.relay.record import ExchangeRecord, Outcome
from ampproxy.status import SharedReport
from ampproxy.workers.beginning import Beginning
from ampproxy.workers.crew import LOST, Supervisor
from ampproxy.workers.starting import NewConfig, WorkerStart, unpacked
from tests.channel.reactor import TurnedReactor


class Double:
    """A worker's end of its channel."""

    def __init__(self, reactor: Any, sock: socket.socket, pid: int) -> None:
        self.pid = pid
        self.got: list[Any] = []
        self.complaints: tuple[str, ...] | None = ()
        self.silent = self.away = False
        self.link = Link(reactor, sock, self)
        self.link.start()

    def received(self, payload: bytes, descriptors: list[int]) -> None:
        for number in descriptors:
            socket.socket(fileno=number).close()
        message = from_supervisor(payload)
        self.got.append(message)
        if isinstance(message, Ping) and not self.silent:
            self.send(Beat(message.number, 1, 2, 30, 0.5, lags=(0.25,), away=self.away))
        if isinstance(message, Prepare) and self.complaints is not None:
            self.send(Prepared(self.complaints))

    def lost(self) -> None:
        pass

    def send(self, message: Any) -> None:
        self.link.send(encode(message))

    def last(self, kind: type) -> Any:
        return next((message for message in reversed(self.got) if isinstance(message, kind)), None)


class World:
    """A supervisor, its service as far as it asks it, and what it starts."""

    def __init__(self, count: int = 2, *, slow: bool = False) -> None:
        self.reactor = TurnedReactor()
        self.workers: list[Double] = []
        self.killed: list[tuple[int, int]] = []
        self.reports: list[ExchangeRecord] = []
        self.lines: list[tuple[str, str]] = []
        self.late: list[float] = []
        self.events: list[str] = []
        self.closed = 0
        self.refuse = ""
        self.slow = slow
        self.forking: list[Any] = []
        log = Logger(observer=lambda event: self.events.append(formatEvent(event)))  # type: ignore[arg-type]
        self.crew = Supervisor(
            count,
            self.reactor,
            log,
            environ={},
            begins=Beginning(None, None, {}),  # type: ignore[arg-type]
            line=lambda text, level: self.lines.append((text, level)),
            late=self.late.append,
            wall=lambda: 1000.0,
            kill=lambda pid, number: self.killed.append((pid, number)),
        )
        self.crew.spawner = self
        self.crew.wait = self.wait
        self.sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
        listeners = SimpleNamespace(handed=lambda: ({"tcp": self.sockets}, [], []), strings=(), moved=None)
        self.lifecycle = Lifecycle()
        self.lifecycle.to(Phase.SERVING)
        pool_state = SimpleNamespace(begun={})
        limiter = SimpleNamespace(running=Counter(), last={})
        self.shared = SharedReport("redis", connected=True)
        shared = SimpleNamespace(report=lambda: self.shared)
        runtime = SimpleNamespace(live={}, state=None, pool_state=pool_state, limiter=limiter, shared=shared)
        self.ledger = SimpleNamespace(position=0, settled=0)
        self.live: dict[int, ExchangeRecord] = runtime.live
        current = SimpleNamespace(runtime=runtime, report=self.reports.append, config=Config())
        self.service = SimpleNamespace(
            listeners=listeners,
            lifecycle=self.lifecycle,
            current=current,
            configured=Config(),
            generation=1,
            ledger=self.ledger,
        )
        self.crew.attach(self.service)  # type: ignore[arg-type]
        self.ready: list[object] = []
        self.crew.when_ready().addCallback(self.ready.append)
        self.crew.start()
        self.settle()

    def spawn(self, channel: socket.socket, done: Any) -> None:
        """What the template does."""
        if self.refuse:
            done(0, self.refuse)
            return
        pid = 100 + len(self.workers)
        self.workers.append(Double(self.reactor, channel.dup(), pid))
        if self.slow:
            self.workers[-1].silent = True
            self.forking.append(lambda: done(pid, ""))
        else:
            done(pid, "")

    def fork(self) -> None:
        """The template, which was slow, does what it was asked for."""
        self.slow = False
        forking, self.forking = self.forking, []
        for each in forking:
            each()
        for worker in self.workers:
            worker.silent = False

    def close(self) -> None:
        self.closed += 1

    def wait(self, links: object, done: Any, seconds: object, timeout: float) -> bool:
        """As :func:`ampproxy.channel.link.pump`, for channels of which both ends are here."""
        self.settle()
        return bool(done())

    def settle(self) -> None:
        self.reactor.settle()

    def all_ready(self) -> World:
        for worker in self.workers:
            worker.send(Ready(worker.pid, __version__))
        self.settle()
        return self

    def advance(self, seconds: float, step: float = 0.5) -> None:
        for _ in range(int(seconds / step)):
            self.reactor.advance(step)
            self.settle()

    def die(self, index: int) -> None:
        self.workers[index].link.close()
        self.settle()

    def states(self) -> list[str]:
        return [each.state for each in self.crew.report()]


@pytest.fixture
def world() -> Any:
    made = World()
    yield made
    for sock in made.sockets:
        sock.close()
    for worker in made.workers:
        worker.link.close()


def record() -> ExchangeRecord:
    return ExchangeRecord(0.0, "POST", "/x", asked="m")


def test_begin(world: World) -> None:
    """Each gets the configuration and the sockets; when all are ready the service is, and each has its
    socket.
    """
    assert world.states() == ["starting", "starting"]
    start = unpacked(WorkerStart, world.workers[1].last(Start).blob)
    assert (start.number, start.kept, start.generation) == (2, (("tcp", 2),), 1)
    world.workers[0].send(Ready(100, __version__))
    world.settle()
    assert world.workers[0].last(Accept).slots == (0, 1)  # until the other one is there
    assert world.ready == []
    world.workers[1].send(Ready(101, __version__))
    world.settle()
    assert world.ready == [None]
    assert [worker.last(Accept).slots for worker in world.workers] == [(0,), (1,)]
    assert world.states() == ["ready", "ready"]


def test_one_dies(world: World) -> None:
    """Its sockets are the other one's until another worker is ready; what it served has failed, once."""
    world.all_ready()
    begun = record()
    world.workers[0].send(Begun(7, begun))
    world.workers[0].send(Begun(7, begun))
    world.settle()
    assert len(world.live) == 1
    world.die(0)
    assert world.workers[1].last(Accept).slots == (0, 1)
    (lost,) = world.reports
    assert (lost.code, lost.outcome, lost.asked) == (LOST, Outcome.FAILED, "m")
    assert world.live == {}
    world.advance(0.5)
    assert len(world.workers) == 3
    world.workers[2].send(Ready(102, __version__))
    world.settle()
    assert world.workers[2].last(Accept).slots == (0,)
    assert world.workers[1].last(Accept).slots == (1,)
    assert [each.deaths for each in world.crew.report()] == [1, 0]


def test_again_and_again(world: World) -> None:
    """One that dies early is started later and later; the others go on."""
    world.all_ready()
    for _ in range(3):
        world.die(len(world.workers) - 1)
        world.advance(4)
    assert world.crew.report()[1].in_a_row == 3
    world.die(len(world.workers) - 1)
    assert world.states() == ["ready", "waiting"]
    assert world.workers[0].last(Accept).slots == (0, 1)


def test_none_can_be_started(world: World) -> None:
    """The reason is in the log, and it is tried again."""
    world.all_ready()
    world.refuse = "out of memory"
    world.die(0)
    world.advance(0.5)
    assert any("cannot be started: out of memory" in event for event in world.events)
    world.refuse = ""
    world.advance(3)
    assert world.states()[0] == "starting"


def test_ended_exchanges(world: World) -> None:
    """Each is reported once, in the order in which they ended; the worker hears which are in the ledger."""
    world.all_ready()
    worker = world.workers[0]
    for number in (1, 2):
        world.ledger.position += 3
        each = record()
        worker.send(Begun(number, each))
        worker.send(Ended(number, number, each))
        world.settle()
    assert len(world.reports) == 2
    assert world.live == {}
    world.ledger.settled = 3
    world.advance(1)
    assert worker.last(Ping).written == 1
    world.ledger.settled = 6
    world.advance(1)
    assert worker.last(Ping).written == 2
    world.die(0)
    assert len(world.reports) == 2


def test_lines_and_lateness(world: World) -> None:
    """One log, and one measure of how late reactors are."""
    world.all_ready()
    world.workers[1].send(Line("a line\n", "warn"))
    world.advance(1)
    assert world.lines == [("a line\n", "warn")]
    assert world.late == [0.25, 0.25]
    (one, _) = world.crew.report()
    assert (one.running, one.connections, one.memory, one.cpu) == (1, 2, 30, 0.5)


def test_a_message_that_cannot_be_read(world: World) -> None:
    """It is logged, and the worker goes on."""
    world.all_ready()
    world.workers[0].link.send(b"\xc1")
    world.workers[0].send(Line("next\n", "info"))
    world.settle()
    assert any("message of worker 1" in event for event in world.events)
    assert world.lines == [("next\n", "info")]
    assert world.states() == ["ready", "ready"]


def test_one_hangs(world: World) -> None:
    """One that does not answer is shown as hung, then killed; the watchdog is not fed if that helps
    nothing.
    """
    world.all_ready()
    world.workers[0].silent = True
    world.advance(5)
    assert world.states() == ["hung", "ready"]
    assert world.killed == []
    assert world.crew.all_answer()
    world.advance(17)
    assert world.killed == [(100, signal.SIGKILL)]
    assert world.workers[1].last(Accept).slots == (1,)
    world.advance(20)
    assert not world.crew.all_answer()
    world.die(0)
    world.advance(1)
    world.workers[-1].send(Ready(102, __version__))
    world.settle()
    assert world.crew.all_answer()


def test_one_cannot_share(world: World) -> None:
    """A worker that misses the shared state is logged once; not where the supervisor misses it, too: that
    logs it itself.
    """
    world.all_ready()
    world.shared = SharedReport("redis", connected=False)
    world.workers[0].away = True
    world.advance(20)
    assert not [line for line in world.events if "cannot reach" in line]
    world.shared = SharedReport("redis", connected=True)
    for _ in range(2):
        world.advance(20)
        world.workers[0].away = False
        world.advance(3)
        world.workers[0].away = True
    lines = [line for line in world.events if "cannot reach" in line]
    assert len(lines) == 2
    assert "Worker 1 (process 100) cannot reach what the state is shared by" in lines[0]


def test_a_template_that_takes_its_time() -> None:
    """On a busy machine it is long until there are any workers: they accept all the same, and their own time
    begins then. One that is of no use any more is killed as soon as it is there.
    """
    world = World(slow=True)
    world.advance(30)
    assert world.killed == []
    world.crew.prepare(Config(), {})
    world.crew.commit(2)
    world.fork()
    assert world.killed == [(100, signal.SIGKILL), (101, signal.SIGKILL)]
    world.slow = True
    for number in (0, 1):
        world.die(number)
    world.advance(30)
    world.fork()
    world.advance(15)
    world.all_ready()
    assert world.workers[-1].last(Accept).slots == (1,)
    assert len(world.killed) == 2


def test_a_reload(world: World) -> None:
    """All are ready for it before any uses it."""
    world.all_ready()
    config = Config(port=1)
    with socket.create_server(("127.0.0.1", 0)) as fresh:
        world.crew.prepare(config, {"tcp:1": [fresh]})
    for worker in world.workers:
        new = unpacked(NewConfig, worker.last(Prepare).blob)
        assert (new.config, new.kept) == (config, (("tcp:1", 1),))
        assert worker.last(Commit) is None
    world.crew.commit(2)
    world.settle()
    assert [worker.last(Commit).generation for worker in world.workers] == [2, 2]


def test_a_reload_that_one_cannot_use(world: World) -> None:
    """Then no one does."""
    world.all_ready()
    world.workers[1].complaints = ("tls: no",)
    with pytest.raises(ConfigError, match="tls: no"):
        world.crew.prepare(Config(), {})
    world.crew.cancel()
    world.settle()
    assert world.workers[0].last(Cancel) is not None
    assert world.workers[0].last(Commit) is None


def test_a_reload_that_one_does_not_answer(world: World) -> None:
    """It is killed, and the others go on with the new configuration."""
    world.all_ready()
    world.workers[1].complaints = None
    world.crew.prepare(Config(), {})
    world.crew.commit(2)
    world.settle()
    assert world.killed == [(101, signal.SIGKILL)]
    assert world.workers[0].last(Commit).generation == 2
    assert world.workers[1].last(Commit) is None


def test_a_reload_while_one_starts(world: World) -> None:
    """It was given the former configuration: it begins anew, which is no death."""
    world.workers[0].send(Ready(100, __version__))
    world.settle()
    world.crew.prepare(Config(), {})
    world.crew.commit(2)
    assert world.killed == [(101, signal.SIGKILL)]
    world.die(1)
    world.advance(0.5)
    assert len(world.workers) == 3
    assert world.crew.report()[1].deaths == 0


def test_one_leaves(world: World) -> None:
    """Asked to end by someone else, it serves what is under way, and another one accepts meanwhile."""
    world.all_ready()
    world.workers[0].send(Leaving())
    world.settle()
    assert world.states() == ["starting", "ready", "leaving"]
    assert world.workers[1].last(Accept).slots == (0, 1)
    world.workers[2].send(Ready(102, __version__))
    world.settle()
    world.die(0)
    assert world.states() == ["ready", "ready"]
    assert world.crew.report()[0].deaths == 0


def test_another_version(world: World) -> None:
    """Workers of other code than the supervisor's: the service is started anew, once."""
    renewed: list[bool] = []
    world.crew.renew = lambda: renewed.append(True)
    for worker in world.workers:
        worker.send(Ready(worker.pid, "99.0"))
    world.settle()
    assert renewed == [True]


def test_pause_and_go_on(world: World) -> None:
    """While another process is about to take the place, no one accepts; afterwards each does again."""
    world.all_ready()
    world.lifecycle.to(Phase.YIELDING)
    world.service.listeners.moved()
    world.settle()
    assert [worker.last(Accept).slots for worker in world.workers] == [(), ()]
    world.lifecycle.to(Phase.SERVING)
    world.service.listeners.moved()
    world.settle()
    assert [worker.last(Accept).slots for worker in world.workers] == [(0,), (1,)]


@pytest.mark.parametrize("leave", [True, False])
def test_the_end(world: World, leave: bool) -> None:
    """All are asked to end, and waited for; none is replaced, and one that does not end in time is killed."""
    world.all_ready()
    done: list[object] = []
    if leave:
        world.crew.leave(4711)
    else:
        world.crew.stop()
    world.crew.ended(10.0).addCallback(done.append)
    world.settle()
    asked: type = Leave if leave else Stop
    assert all(worker.last(asked) is not None for worker in world.workers)
    world.die(0)
    world.advance(5)
    assert (done, len(world.workers)) == ([], 2)
    world.advance(20)
    assert world.killed == [(101, signal.SIGKILL)]
    world.die(1)
    assert (done, world.closed) == ([None], 1)
    assert not world.reactor.getDelayedCalls()


def test_an_account_is_proven(world: World) -> None:
    """By an exchange that a worker has completed with it; not by one that failed."""
    health = SimpleNamespace(proven=False)
    state = world.service.current.runtime.pool_state
    state.identity, state.health = lambda account: account.label, lambda identity: health
    world.service.current.config = SimpleNamespace(accounts=[SimpleNamespace(label="a[0]")])
    for status, proven in ((500, False), (200, True)):
        each = record()
        each.account, each.status = "a[0]", status
        each.close(1.0, Outcome.COMPLETED)
        world.crew.message(next(iter(world.crew._members.values())), Ended(1, 1, each), [])
        assert health.proven is proven
