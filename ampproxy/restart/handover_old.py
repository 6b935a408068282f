"""The process whose place is taken: starts the other one, makes way for it, or goes on."""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen
from typing import IO, Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ampproxy.model.base import Value
from ampproxy.restart.control import VARIABLE, Control, Message, connect
from ampproxy.status import Reports, RestartReport

#: Seconds that a successor may take until it is ready; until it has taken over.
STARTING = 60.0
TAKING = 20.0
#: So many characters are told of what a successor wrote before it ended.
_MAX_OUTPUT_CHARS = 2000


class Command(Value, frozen=True):
    """How this process was started.

    :param arguments: with the interpreter's path first.
    :param folder: in which it was started.
    """

    arguments: Sequence[str]
    environ: Mapping[str, str]
    folder: Path


class HandoverSockets(Protocol):
    """The sockets, and their port's doors: :class:`~ampproxy.listen.listeners.Listeners`."""

    def handed(self) -> tuple[dict[str, list[socket.socket]], list[socket.socket], list[str]]:
        """What is listened on, by what it was opened for; systemd's sockets, and their names."""

    def pause(self) -> None:
        """Accept nobody; who connects waits."""

    def resume(self) -> None:
        """Accept again."""

    def release(self) -> None:
        """Close the sockets here; they are another process's now."""


class HandoverSource:
    """Restarts, one at a time.

    :param command: starts the other process.
    :param reports: keep how the last one went that failed, or is under way.
    :param generation: gives the number of the configuration that is in force.
    :param keyed: whether a client key is asked for.
    :param obstacle: says why there can be no restart, if so.
    :param yield_to: called with the process that is to take over; fires when nothing stands in its way, fails
        when something does.
    :param go_on: called if it does not, after all.
    :param leave: called when the other process has taken over.
    :param wall: seconds since the epoch.
    """

    def __init__(
        self,
        command: Command,
        ports: HandoverSockets,
        reactor: Any,
        log: Logger,
        *,
        reports: Reports,
        generation: Callable[[], int],
        keyed: Callable[[], bool],
        obstacle: Callable[[], str],
        yield_to: Callable[[int], Deferred[None]],
        go_on: Callable[[], None],
        leave: Callable[[int], None],
        wall: Callable[[], float],
    ) -> None:
        self._reports = reports
        self._command = command
        self._ports = ports
        self._reactor = reactor
        self._log = log
        self._generation = generation
        self._keyed = keyed
        self._obstacle = obstacle
        self._yield_to = yield_to
        self._go_on = go_on
        self._leave = leave
        self._wall = wall
        self._attempt: _Attempt | None = None

    def begin(self) -> None:
        """Start another process that takes this one's place."""
        if self._attempt is not None:
            self._log.warn("A restart is already in progress")
            return
        why = self._obstacle()
        if why:
            self.failed(why)
            return
        self._reports.restart = RestartReport(0.0)
        try:
            self._attempt = _Attempt(self)
        except OSError as error:
            what = f"{error.filename}: " if error.filename else ""
            self.failed(f"it could not be started: {what}{error.strerror or error}")

    def cancel(self) -> None:
        """This process ends by itself: no other one is to take its place."""
        if self._attempt is not None:
            self._attempt.give_up("the service is stopping")

    def succeeded(self, pid: int) -> None:
        """The other process has taken over."""
        self._attempt = self._reports.restart = None
        self._ports.release()
        self._leave(pid)

    def failed(self, why: str) -> None:
        """All stays as it is."""
        self._attempt = None
        self._reports.restart = RestartReport(self._wall(), why)
        # What another process wrote may have many lines; each is cleaned like any other.
        self._log.error("Restart failed; continuing with this process: {lines}", lines=why)


class _Attempt:
    """One restart.

    :raises OSError: the other process could not be started.
    """

    def __init__(self, owner: HandoverSource) -> None:
        self._owner = owner
        self._pid = 0
        self._going = self._over = False
        self._control = Control(self._heard, self._lost)
        with ExitStack() as undo:
            self._errors: IO[bytes] = undo.enter_context(tempfile.TemporaryFile())
            ours, theirs = socket.socketpair()
            with theirs:
                # First: a process that is started and not heard would take over as soon as it is ready.
                connect(owner._reactor, ours, self._control)
                undo.callback(self._control.close)
                self._child = self._start(theirs)
            undo.pop_all()
        self._late: IDelayedCall = owner._reactor.callLater(STARTING, self._too_late)
        owner._log.info("Started process {pid} to take over", pid=self._child.pid)

    def _start(self, control: socket.socket) -> Popen[bytes]:
        owner = self._owner
        kept, activated, names = owner._ports.handed()
        stderr = os.dup(2)
        try:
            options = {
                "control": control.fileno(),
                "stderr": stderr,
                "pid": os.getpid(),
                "generation": owner._generation(),
                "keyed": owner._keyed(),
                "kept": {key: [sock.fileno() for sock in sockets] for key, sockets in kept.items()},
                "activated": [sock.fileno() for sock in activated],
                "names": names,
            }
            sockets = [*activated, *(sock for found in kept.values() for sock in found)]
            return Popen(  # noqa: S603  the very command by which this process was started
                list(owner._command.arguments),
                cwd=owner._command.folder,
                env={**owner._command.environ, VARIABLE: json.dumps(options)},
                stderr=self._errors,
                pass_fds=[control.fileno(), stderr, *(sock.fileno() for sock in sockets)],
            )
        finally:
            os.close(stderr)

    def _heard(self, message: Message) -> None:
        if "failed" in message:
            self._fail(str(message["failed"]))
        elif "ready" in message and not self._going:
            self._pid, self._going = int(message["ready"]), True
            self._owner._ports.pause()
            self._late.reset(TAKING)
            way = self._owner._yield_to(self._pid)
            way.addCallbacks(self._clear, self._stuck)
        elif "took" in message and self._going:
            self._late.cancel()
            self._control.close()
            self._errors.close()
            self._child.poll()
            self._owner.succeeded(self._pid)

    def _clear(self, _: None) -> None:
        if not self._over:
            # This process may have read the configuration once more since the other one did.
            self._control.send(go=True, generation=self._owner._generation())

    def _stuck(self, failure: Failure) -> None:
        if not self._over:
            self._fail(f"sd_notify for the new process failed: {failure.value}")

    def _lost(self) -> None:
        status = self._child.poll()
        words = self._last_words()
        ended = "" if status is None else f" with status {status}"
        self._fail(
            f"the new process ended{ended} before it had taken over" + (f":\n{words}" if words else "")
        )

    def _too_late(self) -> None:
        what = f"taken over within {TAKING:g} s" if self._going else f"been ready within {STARTING:g} s"
        self._fail(f"the new process has not {what}", kill=True)

    def give_up(self, why: str) -> None:
        """Have the other process end."""
        self._fail(why)

    def _fail(self, why: str, *, kill: bool = False) -> None:
        self._over = True
        if self._late.active():
            self._late.cancel()
        self._control.send(stop=why)
        self._control.close()
        if kill:
            # It hangs: once it goes on it must not accept, for then nobody would serve whom it lets in.
            for pid in {self._child.pid, self._pid} - {0}:
                _kill(pid)
        self._child.poll()
        self._errors.close()
        if self._going:
            self._owner._ports.resume()
            self._owner._go_on()
        self._owner.failed(why)

    def _last_words(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode("utf-8", "replace").strip()[-_MAX_OUTPUT_CHARS:]


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
