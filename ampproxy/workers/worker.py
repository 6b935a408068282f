"""A worker: its composition root, and what it does when the supervisor asks."""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Collection
from importlib import import_module
from typing import Any

from msgspec import structs
from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, Logger, globalLogBeginner
from zope.interface import implementer

from ampproxy import __version__
from ampproxy.assembly import Hearers, Outside, Start, assemble
from ampproxy.channel.link import Frames, Link
from ampproxy.channel.messages import (
    Accept,
    Beat,
    Cancel,
    Commit,
    Entered,
    Leave,
    Leaving,
    Ping,
    Prepare,
    Prepared,
    Ready,
    Stop,
    from_supervisor,
)
from ampproxy.channel.messages import Start as StartMessage
from ampproxy.clock import use_monotonic_clock
from ampproxy.collector import Collector, tune_malloc
from ampproxy.dialects.registry import DIALECTS, directions
from ampproxy.errors import ConfigError
from ampproxy.generation import Generation
from ampproxy.ledger.recorder import new_writer
from ampproxy.listen.listeners import Move
from ampproxy.logs.observer import LogObserver
from ampproxy.logs.twistd import is_about_port
from ampproxy.metrics.lag import Lag
from ampproxy.metrics.stalls import Stalls
from ampproxy.model.clients import Standing
from ampproxy.relay.elsewhere import Keeps
from ampproxy.resources.gate import PIECES
from ampproxy.service import GatewayService
from ampproxy.state.view import View
from ampproxy.wire.redact import Secret
from ampproxy.workers.limiting import Entrance
from ampproxy.workers.notes import ReportedClients, ReportedNotes, ReportedRoutes
from ampproxy.workers.orphan import Orphan
from ampproxy.workers.reporting import ChannelOutput, Reporter
from ampproxy.workers.searching import SEARCHING, Seeker
from ampproxy.workers.sharing import ChannelLink
from ampproxy.workers.starting import NewConfig, WorkerStart, inherited, kept, unpacked
from ampproxy.workers.template import named
from ampproxy.workers.visits import SupervisorResource

_PAGE = os.sysconf("SC_PAGE_SIZE")
#: Signals that are the supervisor's.
_NOT_OURS = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
#: What is imported where it is first needed.
_LOADED_LATER = (
    *PIECES,
    "oauthlib.oauth2",
    "ampproxy.dialects.refusals",
    "ampproxy.resources.neo",
    "ampproxy.resources.tunnel",
    "ampproxy.resources.vendor_calls",
    "ampproxy.credentials.oauth.service",
    "ampproxy.credentials.sharing",
    "ampproxy.credentials.sharing_memory",
    "ampproxy.ledger.book",
    "ampproxy.ledger.store",
    "twisted.internet.unix",
)
#: Seconds that the end of the process waits until the supervisor has taken what was sent.
_FLUSH_SECONDS = 2.0


def load_all() -> None:
    """Load what else workers need, before they are made."""
    for name in (*_LOADED_LATER, *directions()):
        import_module(name)
    for name in DIALECTS:
        assert DIALECTS[name]


def main(sock: socket.socket) -> None:
    """Be a worker, from the supervisor's first message to the end.

    :param sock: the worker's end of its channel.
    """
    start, descriptors, rest = first_message(sock)
    if start is None:
        return
    # Made here: a process that is forked must not have its parent's.
    from twisted.internet import reactor

    named(f"ampproxy-w{start.number}")
    use_monotonic_clock(reactor)
    tune_malloc()
    gc.set_threshold(50_000, 20, 100)
    # Where a thread computes, the reactor waits so long for the interpreter after each system call.
    sys.setswitchinterval(0.001)
    for number in _NOT_OURS:
        signal.signal(number, signal.SIG_IGN)
    Worker(start, descriptors, sock, reactor, rest).run()


def first_message(sock: socket.socket) -> tuple[WorkerStart | None, list[int], list[tuple[bytes, list[int]]]]:
    """What the worker is to be, its sockets, and what has come behind that; ``None``: nothing comes any
    more.
    """
    frames = Frames()
    sock.setblocking(True)
    while True:
        data, descriptors, _, _ = socket.recv_fds(sock, 65536, 250)
        if not data:
            return None, [], []
        whole = frames.feed(data, descriptors)
        if whole:
            payload, own = whole[0]
            message = from_supervisor(payload)
            assert isinstance(message, StartMessage)
            return unpacked(WorkerStart, message.blob), own, whole[1:]


@implementer(ILogObserver)
class WithoutPorts:
    """The worker's log without Twisted's own lines on ports."""

    def __init__(self, observer: ILogObserver) -> None:
        self._observer = observer

    def __call__(self, event: LogEvent) -> None:
        """Take an event."""
        if not is_about_port(event):
            self._observer(event)


class Worker:
    """One of several processes that serve as one. A :class:`~ampproxy.channel.link.Receiver`."""

    def __init__(
        self,
        start: WorkerStart,
        descriptors: list[int],
        sock: socket.socket,
        reactor: Any,
        rest: list[tuple[bytes, list[int]]],
    ) -> None:
        self._start = start
        self._reactor = reactor
        self._rest = rest
        self._link = Link(reactor, sock, self)
        self._reporter = Reporter(start.number, self._link, time.time, new_writer())
        self._output = ChannelOutput(self._link)
        self._observer = LogObserver(
            self._output,
            now=reactor.seconds,
            later=reactor.callLater,
            in_reactor=reactor.callFromThread,
            wall=time.time,
            worker=start.number,
        )
        self._events = WithoutPorts(self._observer)
        self._log = Logger(namespace="ampproxy", observer=self._events)
        self._stalls = Stalls(reactor, self._log)
        self._lags: list[float] = []
        self._lag = Lag(reactor, self._lags.append)
        self._ending = False
        self._reported: dict[str, tuple[Standing, ...]] = {}
        self._move: Move | None = None
        self._next: NewConfig | None = None
        self._orphan: Orphan | None = None
        self._service, self._shared = self._assembled(descriptors)

    def _assembled(self, descriptors: list[int]) -> tuple[GatewayService, ChannelLink]:
        start, reactor, reporter = self._start, self._reactor, self._reporter
        # That the supervisor has ended is logged once, not for each thing that it did.
        view = View("the supervisor", reactor, time.time, self._log, quiet=True)
        shared = ChannelLink(view, reporter.send)
        outside = Outside(
            reactor=reactor,
            environ=os.environ,
            home=start.home,
            observer=self._events,
            cache=start.cache,
            state=start.state,
            shared=view,
        )
        assembly = assemble(
            start.config,
            outside,
            Start(
                listen=start.listen,
                inherited=inherited(start, descriptors),
                generation=start.generation,
                failed=lambda why: None,
                discover=True,
                borrowed=True,
            ),
            Hearers(in_force=(self._use,), supervised=True),
        )
        of = assembly.runtime
        keeps = Keeps(of.remembered, of.stored, time.monotonic, lambda id_: of.pins.owner(id_) is not None)
        self._seeker = Seeker(keeps, reactor, reporter.send)
        runtime = replace(
            assembly.runtime,
            observers=(reporter.ended,),
            departing=reporter.departing,
            logs_exchanges=False,
            cloud_notes=ReportedNotes(reporter.send),
            seen_clients=ReportedClients(reporter.send, self._log),
            unknown_routes=ReportedRoutes(reporter.send, reactor, self._log),
            elsewhere=lambda generation: SupervisorResource(generation, reactor, reporter.send),
            kept_elsewhere=self._seeker,
        )
        view.use(shared)
        self._entrance = Entrance(runtime.limiter, reactor, reporter.send)
        return GatewayService(structs.replace(assembly, runtime=runtime)), shared

    def _use(self, generation: Generation, secrets: Collection[Secret]) -> None:
        self._observer.use(generation.config.logging, secrets)
        self._stalls.use(generation.config.logging.stall)

    def run(self) -> None:
        """Serve until the end."""
        reactor, service = self._reactor, self._service
        globalLogBeginner.beginLoggingTo([self._events], redirectStandardIO=False, discardBuffer=True)
        service.privilegedStartService()
        service.startService()
        service.attach_logins()
        service.tree.load()
        reactor.callWhenRunning(self._started)
        reactor.addSystemEventTrigger("before", "shutdown", self._stop)
        reactor.run()

    def _stop(self) -> Deferred[None]:
        return self._service.stopService().addBoth(self._flush)

    def _flush(self, result: Any) -> Any:
        """All that is to be sent is; the reactor closes the channel next."""
        self._observer.flush()
        self._link.flush(_FLUSH_SECONDS)
        return result

    def _started(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: self._reactor.callFromThread(self._terminate))
        self._observer.start()
        self._stalls.start()
        self._lag.start()
        runtime = self._service.current.runtime
        Collector(self._reactor, self._log, lambda: runtime.held.total).start()
        gc.collect()
        gc.freeze()
        self._link.start()
        self._reporter.send(Ready(os.getpid(), __version__))
        for payload, descriptors in self._rest:
            self.received(payload, descriptors)

    # Asked by a signal.

    def _terminate(self) -> None:
        """End in order: the supervisor starts another worker meanwhile."""
        if not self._ending:
            self._reporter.send(Leaving())
        self._end()

    def _end(self) -> None:
        """End in order; when called again, without waiting."""
        if self._ending:
            self._service.hurry()
        else:
            self._ending = True
            self._reactor.stop()

    # Asked by the supervisor.

    def received(self, payload: bytes, descriptors: list[int]) -> None:
        try:
            self._obey(from_supervisor(payload), descriptors)
        except Exception:
            # One message must not cost the channel, which is this worker's life.
            self._log.failure("Unhandled error in a message of the supervisor")

    def _obey(self, message: Any, descriptors: list[int]) -> None:
        if isinstance(message, Ping):
            self._answer(message)
        elif isinstance(message, Accept):
            self._accept(message.slots)
        elif isinstance(message, Prepare):
            self._reporter.send(Prepared(self._prepare(unpacked(NewConfig, message.blob), descriptors)))
        elif isinstance(message, Commit):
            self._commit(message.generation)
        elif isinstance(message, Cancel):
            self._cancel()
        elif isinstance(message, Leave):
            self._leave(message.pid)
        elif isinstance(message, Stop):
            self._end()
        elif isinstance(message, Entered):
            self._entrance.message(message)
        elif isinstance(message, SEARCHING):
            self._seeker.message(message)
        else:
            self._shared.message(message)

    def lost(self) -> None:
        """The supervisor has ended, and no one starts another worker: serve what is under way, and end."""
        service = self._service
        if self._ending or not service.running:
            return
        self._entrance.open = self._seeker.open = False
        self._orphan = Orphan(self._start.twistd, service, self._reactor, self._log)
        self._orphan.take_over(self._output, self._reporter)
        self._log.error("The supervisor has ended: finishing running exchanges, then this worker ends, too")
        self._leave(0, is_last=True)

    def _accept(self, slots: Collection[int]) -> None:
        service = self._service
        service.listeners.accept(slots)
        if slots and service.lifecycle.paused:
            service.accept()

    def _leave(self, pid: int, *, is_last: bool = False) -> None:
        self._service.listeners.release(is_last=is_last)
        leaving: Deferred[None] = Deferred.fromCoroutine(self._service.leave(pid))
        leaving.addErrback(lambda failure: self._log.failure("Unhandled error while leaving", failure))
        leaving.addCallback(lambda _: None if self._ending else self._end())

    def _prepare(self, new: NewConfig, descriptors: list[int]) -> tuple[str, ...]:
        service = self._service
        self._cancel()
        service.listeners.add(kept(new.kept, descriptors))
        try:
            self._move = service.open_for(new.config)
        except ConfigError as error:
            service.listeners.drop_added()
            return error.complaints
        self._next = new
        return ()

    def _commit(self, generation: int) -> None:
        new, move = self._next, self._move
        self._next = self._move = None
        if new is None or move is None:
            return
        service = self._service
        service.generation = generation - 1
        try:
            service.use_with(new.config, move)
        except Exception:
            # It must not go on with another configuration than the others: its successor gets this one.
            self._log.failure("Unhandled error while using a configuration; this worker ends")
            self._terminate()

    def _cancel(self) -> None:
        move, self._move, self._next = self._move, None, None
        if move is not None:
            self._service.listeners.cancel(move)

    def _answer(self, ping: Ping) -> None:
        service, reporter = self._service, self._reporter
        runtime = service.current.runtime
        reporter.written(ping.written)
        reporter.update()
        lags, self._lags[:] = tuple(self._lags), []
        begun = runtime.pool_state.begun
        shared = runtime.shared.report()
        reporter.send(
            Beat(
                ping.number,
                runtime.running.count,
                len(service.site.channels),
                _rss(),
                time.process_time(),
                runtime.held.total,
                lags,
                self._stalls.longest,
                tuple((name, why, count) for (name, why), count in begun.items()),
                tuple(runtime.lessons.learned.items()),
                self._standings(),
                bool(shared.by) and not shared.connected,
            )
        )

    def _standings(self) -> tuple[tuple[str, tuple[Standing, ...]], ...]:
        """How clients stood with their limits at their last requests, of those since the last beat."""
        last, known = self._service.current.runtime.limiter.last, self._reported
        self._reported = dict(last)
        return tuple((label, found) for label, found in last.items() if known.get(label) is not found)


def _rss() -> int:
    """The resident memory of this process in bytes."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
