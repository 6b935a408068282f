"""Where the log is written: standard output, a file, or syslog."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable
from typing import Any

from ampproxy.config.schema import Logging

#: How often a file's path is looked at, to see whether it still is the file that is written to. Seconds.
LOOK = 1.0

#: A file of the log can be read by its group, which is how log readers are let in.
MODE = 0o640


class StreamOutput:
    """Writes to an open file descriptor, by default standard output. What cannot be written is counted, and
    told of when it can be again.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lost = 0

    def write(self, line: str, level: str) -> None:
        """See :meth:`ampproxy.logs.observer.Output.write`."""
        if self._lost:
            note = f"{self._lost} lines of the log could not be written before this one\n"
            if not self._put((note + line).encode("utf-8", "backslashreplace")):
                self._lost += line.count("\n")
                return
            self._lost = 0
        elif not self._put(line.encode("utf-8", "backslashreplace")):
            self._lost = line.count("\n")

    def start(self) -> None:
        """It needs no thread."""

    def settle(self) -> None:
        """All is written already."""

    def use(self, logging: Logging) -> None:
        """Nothing of it concerns a stream."""

    def reopen(self) -> None:
        """Nobody can move it away."""

    def _put(self, data: bytes) -> bool:
        try:
            while data:
                try:
                    data = data[os.write(self._descriptor, data) :]
                except BlockingIOError:
                    # Whoever shares it with us made it so; it is as if it blocked.
                    _wait_for_room(self._descriptor)
        except OSError:
            return False
        return True


def _wait_for_room(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll()


class FileOutput(StreamOutput):
    """Appends to a file, which others may move away: logrotate, another process of this service.

    When the path no longer leads to the file that is written to, it is opened anew: at the next line after
    :data:`LOOK` seconds, or at once by :meth:`reopen`. When it grows too large it is set aside as ``PATH.1``,
    and what was ``.1`` as ``.2``, if the settings want that.

    :param path: absolute, for a daemon changes its folder.
    :param now: seconds, monotonic.
    :raises OSError: it cannot be opened.
    """

    def __init__(self, path: str, now: Callable[[], float]) -> None:
        self._path = path
        self._now = now
        self._logging = Logging()
        self._complained = ""
        super().__init__(self._open())
        self._looked = now()

    def write(self, line: str, level: str) -> None:
        now = self._now()
        if now - self._looked >= LOOK:
            self._looked = now
            self._follow()
        super().write(line, level)
        self._size += len(line)
        if self._logging.rotate_keep and self._size >= self._logging.rotate_size:
            self.reopen()

    def use(self, logging: Logging) -> None:
        """Other sizes from now on."""
        self._logging = logging

    def reopen(self) -> None:
        """What a signal asks for: open the path anew if the file was moved away; if it was not, set it aside
        oneself, as twistd does, unless that is left to others.
        """
        if not self._follow() and self._logging.rotate_keep:
            self._set_aside()

    def _set_aside(self) -> None:
        try:
            for number in range(self._logging.rotate_keep - 1, 0, -1):
                if os.path.exists(f"{self._path}.{number}"):
                    os.replace(f"{self._path}.{number}", f"{self._path}.{number + 1}")
            os.replace(self._path, f"{self._path}.1")
            self._switch()
        except OSError as error:
            self._size = 0  # not with every line again
            self._complain(f"the log {self._path} cannot be rotated: {error.strerror}")

    def _follow(self) -> bool:
        """Open the path anew if it is no longer the file that is written to; whether it was not."""
        try:
            current = os.stat(self._path)
            ours = os.fstat(self._descriptor)
            if (current.st_dev, current.st_ino) == (ours.st_dev, ours.st_ino):
                return False
        except FileNotFoundError:
            pass
        except OSError:
            return False
        try:
            self._switch()
        except OSError as error:
            self._complain(f"the log {self._path} cannot be reopened: {error.strerror}")
        return True

    def _switch(self) -> None:
        old, self._descriptor = self._descriptor, self._open()
        os.close(old)
        self._complained = ""

    def _open(self) -> int:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
        self._size = os.fstat(descriptor).st_size
        return descriptor

    def _complain(self, problem: str) -> None:
        """Where the log goes as long as it does; once for each trouble."""
        if problem != self._complained:
            self._complained = problem
            self._put(f"ampproxy: {problem}; writing to the open file continues\n".encode())


class SyslogOutput:
    """Hands each line to syslog, which has times of its own. An :class:`~ampproxy.logs.observer.Output`.

    :param prefix: what syslog names the program.
    :param log: as ``syslog.syslog``; in a test something else.
    """

    def __init__(self, prefix: str, log: Callable[[int, str], Any] | None = None) -> None:
        import syslog

        if log is None:
            syslog.openlog(prefix, syslog.LOG_PID, syslog.LOG_DAEMON)
        self._log = syslog.syslog if log is None else log
        self._priorities = {
            "debug": syslog.LOG_DEBUG,
            "info": syslog.LOG_INFO,
            "warn": syslog.LOG_WARNING,
            "error": syslog.LOG_ERR,
            "critical": syslog.LOG_CRIT,
        }

    def write(self, line: str, level: str) -> None:
        for piece in line.rstrip("\n").split("\n"):
            # Syslog takes bytes without the zero byte, and no lone surrogates.
            self._log(self._priorities[level], piece.encode("utf-8", "backslashreplace").decode())

    def start(self) -> None:
        """It needs no thread."""

    def settle(self) -> None:
        """All is written already."""

    def use(self, logging: Logging) -> None:
        """Nothing of it concerns syslog."""

    def reopen(self) -> None:
        """Nobody can move it away."""


def standard_output() -> StreamOutput:
    """Standard output as it is now; ``twistd`` will soon redirect it to the log."""
    return StreamOutput(sys.stdout.fileno())
