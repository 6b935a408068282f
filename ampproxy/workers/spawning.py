"""The supervisor's side of the template: starts it, asks it for workers, and starts another one when it has
ended.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ampproxy
from ampproxy.channel.link import Link
from ampproxy.workers.template import Exited, Forked, decode

#: What is about the supervisor and its service manager alone.
_NOT_FOR_WORKERS = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
)


class SpawnFailed(Exception):
    """No worker can be started. The message gives the reason."""


class Spawner:
    """Has workers forked.

    :param environ: the service's.
    :param exited: hears of workers that have ended, by process and status.
    """

    def __init__(self, reactor: Any, environ: Mapping[str, str], exited: Callable[[int, int], None]) -> None:
        self._reactor = reactor
        self._environ = environ
        self._exited = exited
        self._template: subprocess.Popen[bytes] | None = None
        self._link: Link | None = None
        self._asked: deque[Callable[[int, str], None]] = deque()

    def spawn(self, channel: socket.socket, done: Callable[[int, str], None]) -> None:
        """Have a worker forked.

        :param channel: its end of its channel; the caller keeps its own copy.
        :param done: called with its process; or with 0 and the reason why there is none.
        :raises SpawnFailed: the template cannot be started.
        """
        if self._link is None:
            self._start()
        assert self._link is not None
        self._asked.append(done)
        self._link.send(b"", [channel.fileno()])

    def close(self) -> None:
        """End the template; workers go on."""
        link, self._link = self._link, None
        if link is not None:
            link.close()
        if self._template is not None:
            self._template.poll()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._template = subprocess.Popen(  # noqa: S603  this very program
                    [sys.executable, "-m", "ampproxy.workers", str(theirs.fileno())],
                    env=self._environment(),
                    # In a folder of nobody's: Python would look for modules in the working folder.
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                )
            except OSError as error:
                ours.close()
                raise SpawnFailed(f"{sys.executable}: {error.strerror or error}") from None
        self._link = Link(self._reactor, ours, self)
        self._link.start()

    def _environment(self) -> dict[str, str]:
        environ = {name: value for name, value in self._environ.items() if name not in _NOT_FOR_WORKERS}
        # The packages that this process has found, in the same order.
        folders = [str(Path(folder).absolute()) for folder in sys.path if folder]
        own = str(Path(ampproxy.__file__).parents[1])
        environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([*folders, own]))
        # Threads of a worker need no arenas of their own: each costs memory that is never given back.
        environ.setdefault("MALLOC_ARENA_MAX", "2")
        return environ

    def received(self, payload: bytes, descriptors: list[int]) -> None:
        """The template has forked a worker, or one has ended."""
        message = decode(payload)
        if isinstance(message, Exited):
            self._exited(message.pid, message.status)
        elif self._asked:
            assert isinstance(message, Forked)
            self._asked.popleft()(message.pid, message.why)

    def lost(self) -> None:
        """The template has ended; the next worker starts another one."""
        self._link = None
        status = None if self._template is None else self._template.poll()
        asked, self._asked = self._asked, deque()
        why = "the process that starts workers has ended" + (
            "" if status is None else f" with status {status}"
        )
        for done in asked:
            done(0, why)
