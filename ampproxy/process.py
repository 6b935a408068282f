"""The service as a process: its signals, its service manager, and its place among the processes of
a restart.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, FirstError, gatherResults, succeed
from twisted.internet.error import ReactorNotRunning
from twisted.python.failure import Failure

from ampproxy.alerts.service import AlertsService
from ampproxy.assembly import Reloads
from ampproxy.clock import ClockWatch
from ampproxy.collector import Collector, trim_malloc, tune_malloc
from ampproxy.credentials.oauth.watch import INTERVAL, holds_logins
from ampproxy.lifecycle import Phase
from ampproxy.listen import describe
from ampproxy.metrics.service import MetricsService
from ampproxy.notify import Notifier
from ampproxy.restart.handover_new import Handover
from ampproxy.restart.handover_old import HandoverSource
from ampproxy.service import GatewayService

if TYPE_CHECKING:
    from ampproxy.workers.crew import Supervisor


#: Seconds between the pieces of what is loaded while the service serves.
PAUSE = 0.05


class Process:
    """From the start to the end.

    :param twistd: its options, those before the word ``ampproxy``.
    :param succession: the place of another process that this one is to take; ``None``: none.
    :param restart: another process's, to take this one's place: made of why there can be none just now, what
        is to be told the service manager, and what follows.
    :param announce: called when this process is the service, from the start or after taking another's place.
    :param crew: the workers; ``None``: this process serves itself.
    """

    def __init__(
        self,
        service: GatewayService,
        reactor: Any,
        *,
        twistd: MutableMapping[str, Any],
        clock: ClockWatch,
        notifier: Notifier,
        metrics: MetricsService,
        alerts: AlertsService,
        succession: Handover | None,
        restart: Callable[[Process], HandoverSource],
        announce: Callable[[], object] = lambda: None,
        crew: Supervisor | None = None,
    ) -> None:
        self._service = service
        self._reactor = reactor
        self._twistd = twistd
        self._clock = clock
        self._notifier = notifier
        self._metrics = metrics
        self._alerts = alerts
        self._succession = succession
        self._restart = restart(self)
        self._announce = announce
        self._crew = crew
        if crew is not None:
            crew.renew = self._restart.begin

    def install(self) -> None:
        """Begin when the reactor does."""
        # By default they end the process, also one that has not come so far as to listen to them.
        for number in (signal.SIGHUP, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        self._reactor.callWhenRunning(self._started)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._stopping)

    def _started(self) -> None:
        # twistd would end with the signal's own status; an orderly end is a success.
        self._on(signal.SIGTERM, self._terminate)
        self._on(signal.SIGHUP, self._service.reload)
        self._on(signal.SIGUSR2, self._restart.begin)
        self._clock.start()
        gc.set_threshold(50_000, 20, 100)
        # Where a thread computes, the reactor waits so long for the interpreter after each system call.
        sys.setswitchinterval(0.001)
        tune_malloc()
        ready = succeed(None) if self._crew is None else self._crew.when_ready()
        if self._succession is None:
            ready.addCallback(lambda _: self._serves())
            self._reactor.callLater(PAUSE, self._load, self._service.tree.pieces())
        else:
            ready.addCallback(lambda _: self._load(self._service.tree.pieces()))

    def _start_observing(self) -> None:
        """Show metrics and send alerts: of one process at a time."""
        self._metrics.start()
        self._alerts.start()

    def _stop_observing(self) -> Deferred[None]:
        """Do so no longer; fires when another process can have the metrics' port."""
        self._alerts.stop()
        return self._metrics.stop()

    def _on(self, number: int, what: Callable[[], Any]) -> None:
        signal.signal(number, lambda *_: self._reactor.callFromThread(what))

    def _serves(self) -> None:
        """From now on this process is the service."""
        self._service.follow_file()
        self._notifier.ready(state_of(self._service))
        self._announce()

    def _load(self, pieces: Iterator[Callable[[], object]]) -> None:
        """The service listens already; what is left to load comes between requests. A process that is to take
        another's place has no requests, and takes it when it lacks nothing.
        """
        if not self._service.running:
            return
        for piece in pieces:
            piece()
            self._reactor.callLater(PAUSE if self._succession is None else 0, self._load, pieces)
            return
        self._await_logins()
        if self._succession is None:
            self._start_observing()
        # What is there now lives as long as the process: a collection need not look at it again.
        gc.collect()
        gc.freeze()
        trim_malloc()
        generation = self._service.current
        Collector(self._reactor, generation.runtime.log, lambda: generation.runtime.held.total).start()
        if self._succession is not None:
            self._succession.begin(self._reactor, self._take_over, self._give_up)

    def _await_logins(self) -> None:
        """Serve with logins from the time when there is one: until then nothing of them is loaded."""
        if not self._service.running:
            return
        if holds_logins(self._service.configured.auth_dir):
            self._service.attach_logins()
        else:
            self._reactor.callLater(INTERVAL, self._await_logins)

    # Its place.

    def _take_over(self) -> None:
        """The process before makes way."""
        succession, self._succession = self._succession, None
        assert succession is not None
        if succession.followed != succession.generation:
            # It has read another file since: a key that is no longer one must not be let in here.
            self._service.number_after(succession.followed)
            self._service.reload()
        self._service.accept()
        succession.own_pidfile(self._twistd, self._service.current.runtime.log)
        self._service.current.runtime.log.info(
            "Process {pid} has taken over from {predecessor}",
            pid=os.getpid(),
            predecessor=succession.predecessor,
        )
        self._serves()
        self._start_observing()

    def _give_up(self, why: str) -> None:
        """The process before stays."""
        self._service.current.runtime.log.warn("Handover cancelled, exiting: {why}", why=why)
        self._service.abandon()
        self._reactor.stop()

    def obstacle(self) -> str:
        """Why no other process can take this one's place just now; empty: nothing stands against it."""
        if self._succession is not None:
            return "this process has not yet taken over from another one itself"
        if self._crew is not None and not self._crew.is_ready:
            return "its workers are not ready yet"
        if self._service.lifecycle.phase is Phase.LEAVING:
            return "another process has already taken over"
        if not self._service.running:
            return "the service is stopping"
        if self._twistd.get("chroot"):
            return "a service in a chroot (--chroot) cannot be restarted"
        if os.getpid() == 1:
            return "it is the first process of a container, which would end with it: restart the container"
        return ""

    def yield_to(self, pid: int) -> Deferred[None]:
        """Another process is to be the service; fires when nothing stands in its way.

        :raises OSError: the service manager cannot be told; it would end the service with this process.
        """
        # The port for metrics is not handed on: what is counted here nobody would ask for any more.
        way = [self._notifier.main_pid(pid), self._stop_observing()]
        return gatherResults(way, consumeErrors=True).addCallbacks(lambda _: None, _first)

    def go_on(self) -> None:
        """It is not, and this one is again."""
        self._notifier.main_pid(os.getpid()).addErrback(lambda _: None)
        self._start_observing()

    def leave(self, pid: int) -> None:
        """Another process is: end what is under way, and then this one."""
        # Both are its own now.
        self._notifier.close()
        self._twistd["pidfile"] = ""
        leaving: Deferred[None] = Deferred.fromCoroutine(self._service.leave(pid))
        leaving.addErrback(self._defect)
        leaving.addCallback(lambda _: self._reactor.stop() if self._service.running else None)

    def _defect(self, failure: Failure) -> None:
        self._service.current.runtime.log.failure("Unhandled error while leaving", failure)

    # Its end.

    def _terminate(self) -> None:
        """End in order; when called again, without waiting."""
        try:
            self._reactor.stop()
        except ReactorNotRunning:
            self._service.hurry()

    def _stopping(self) -> None:
        succession, self._succession = self._succession, None
        if succession is not None:
            succession.withdraw("the new process received a signal to stop")
        self._restart.cancel()
        self._stop_observing()
        self._notifier.stopping(self._service.current.config.timeouts.grace, "Finishing running requests")


def _first(failure: Failure) -> Failure:
    """Why the first of several Deferreds failed."""
    error = failure.value
    return error.subFailure if isinstance(error, FirstError) else failure


def leave_no_core() -> None:
    """Have the system write no core dump of this process: it would hold keys and conversations in plain. Root
    can allow one again (``prlimit --core``), for the hard limit stays.
    """
    try:
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    except (OSError, ValueError):
        pass  # a filter of system calls may refuse it; the unit that has one sets the limit, too


def state_of(service: Reloads) -> str:
    """What a service manager shows."""
    where = ", ".join(describe(port) for port in service.ports)
    return f"Serving on {where}; configuration {service.generation}"
