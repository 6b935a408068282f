"""The doctor, called by the page: ``ampproxy doctor`` in a process, one at a time, for a bounded time."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from ampproxy.dashboard.shapes import Doctor, DoctorFinding

#: Bytes of its output that are read: some thousand findings.
_MAX_OUTPUT_BYTES = 1024 * 1024
_MAIN = "from ampproxy.cli import main; main(prog_name='ampproxy')"


class _Findings(msgspec.Struct, frozen=True):
    findings: tuple[DoctorFinding, ...]


class Visit(ProcessProtocol):
    """One run: what it prints, as long as it is not too much.

    :ivar done: fires with what it printed; fails with an error of Twisted's where there is no process.
    """

    def __init__(self) -> None:
        self.done: Deferred[bytes] = Deferred()
        self._out: list[bytes] = []
        self._size = 0
        self.why = ""

    def stop(self, why: str) -> None:
        """Have it end."""
        self.why = self.why or why
        if self.transport is not None and self.transport.pid:
            self.transport.signalProcess("KILL")

    def outReceived(self, data: bytes) -> None:
        """It prints something."""
        self._size += len(data)
        if self._size > _MAX_OUTPUT_BYTES:
            self.stop("it printed too much")
        else:
            self._out.append(data)

    def errReceived(self, data: bytes) -> None:
        """It reports what it does, which is for a terminal."""

    def processEnded(self, reason: Failure) -> None:
        """It is over."""
        if reason.check(ProcessDone, ProcessTerminated) is None and not self.why:
            self.why = "it could not be run"
        self.done.callback(b"".join(self._out))


class Visits:
    """The last visit, and the one that is under way.

    :param spawn: the reactor's ``spawnProcess``.
    :param later: the reactor's ``callLater``.
    :param wall: seconds since the epoch.
    """

    def __init__(
        self, spawn: Callable[..., Any], later: Callable[..., IDelayedCall], wall: Callable[[], float]
    ) -> None:
        self._spawn = spawn
        self._later = later
        self._wall = wall
        self.last = Doctor("never")
        self._visit: Visit | None = None

    def begin(self, config: Path, timeout: float) -> Doctor:
        """Call the doctor, unless one is at work.

        :param config: the file that is looked at.
        :param timeout: seconds that it may take.
        """
        if self._visit is not None:
            return self.last
        visit = self._visit = Visit()
        self.last = Doctor("running", self._wall())
        limit = self._later(
            timeout, visit.stop, f"it took longer than {timeout:g} s (setting: page.doctor-timeout)"
        )
        command = (sys.executable, "-c", _MAIN, "doctor", "--json", "--config", str(config))
        visit.done.addBoth(self._ended, visit, limit)
        try:
            self._spawn(visit, command[0], command, env=dict(os.environ))
        except OSError as error:
            visit.why = error.strerror or type(error).__name__
            visit.done.callback(b"")
        return self.last

    def stop(self) -> None:
        """The service ends."""
        if self._visit is not None:
            self._visit.stop("the service ended")

    def _ended(self, output: Any, visit: Visit, limit: IDelayedCall) -> None:
        if limit.active():
            limit.cancel()
        self._visit = None
        started, now = self.last.started_at, self._wall()
        if visit.why:
            self.last = Doctor("failed", started, now, why=f"The doctor did not finish: {visit.why}.")
            return
        try:
            found = msgspec.json.decode(output, type=_Findings)
        except msgspec.DecodeError:
            why = "The doctor gave no findings; run ampproxy doctor in a terminal to see why."
            self.last = Doctor("failed", started, now, why=why)
            return
        self.last = Doctor("done", started, now, found.findings)
