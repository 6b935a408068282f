"""What the service manager is told: systemd's notification protocol, by ``sd_notify(3)``.

A datagram of ``NAME=value`` lines goes to the socket that ``NOTIFY_SOCKET`` names. Without that variable
all of this does nothing. Nothing here waits: what the socket does not take at once is sent a little later.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

#: Seconds until a socket that was full is tried again.
RETRY = 0.1
#: So many messages wait at most; then the oldest goes.
_MAX_MESSAGES = 32
#: Seconds that are asked for beyond the grace period, for what is closed after it.
_SPARE = 10.0


class Alive(Protocol):
    """Who knows whether all that makes up the service is alive."""

    def all_answer(self) -> bool:
        """Whether it is."""


class Notifier:
    """Tells the service manager how the service is.

    A manager that cannot be reached is told of in the log once; the service goes on without it.

    :param address: a path, or ``@name`` for an abstract socket; empty: nothing is ever sent.
    :param watchdog: seconds within which the manager wants to hear something, or 0.
    :ivar alive: while it denies that, the watchdog is not fed; ``None``: the reactor's turning is enough.
    :param monotonic_ns: the system's ``CLOCK_MONOTONIC`` in nanoseconds; the manager compares it.
    """

    def __init__(
        self,
        address: str,
        clock: IReactorTime,
        log: Logger,
        *,
        watchdog: float = 0.0,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        # By unix(7) a name in the abstract space begins with a zero byte, written as "@" in the variable.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._shown = address
        self._clock = clock
        self._log = log
        self._monotonic_ns = monotonic_ns
        self._socket: socket.socket | None = None
        self._waiting: deque[tuple[bytes, Deferred[None] | None]] = deque(maxlen=_MAX_MESSAGES)
        self._retry: IDelayedCall | None = None
        self._complaint = ""
        self._loop: LoopingCall | None = None
        self.alive: Alive | None = None
        if address and watchdog > 0:
            self._interval = watchdog / 2
            self._loop = LoopingCall(self._ping)
            self._loop.clock = clock

    @classmethod
    def of(cls, environ: Mapping[str, str], pid: int, clock: IReactorTime, log: Logger) -> Notifier:
        """The one that the environment asks for.

        :param pid: of this process: the watchdog's variables may be meant for another one.
        """
        address = environ.get("NOTIFY_SOCKET", "")
        if address and not address.startswith(("/", "@")):
            log.warn(
                "NOTIFY_SOCKET is neither a path nor an abstract name; the service manager is not notified"
            )
            address = ""
        return cls(address, clock, log, watchdog=_watchdog(environ, pid))

    def ready(self, status: str = "") -> None:
        """The service serves; from now on the watchdog is fed, from the reactor: if that hangs, it is not."""
        self._queue("READY=1", *_status(status))
        if self._loop is not None and not self._loop.running:
            self._loop.start(self._interval)

    @contextmanager
    def reloading(self, status: Callable[[], str] = str) -> Iterator[None]:
        """While the configuration is being read again.

        :param status: gives what is shown as the state afterwards, if anything.
        """
        self._queue("RELOADING=1", f"MONOTONIC_USEC={self._monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self._queue("READY=1", *_status(status()))

    def stopping(self, within: float, status: str = "") -> None:
        """The service ends.

        :param within: seconds that this may take: the manager's own limit must not come before.
        """
        self._queue("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int((within + _SPARE) * 1e6)}", *_status(status))

    def status(self, text: str) -> None:
        """What the manager shows as the state, in one line."""
        self._queue(*_status(text))

    def main_pid(self, pid: int) -> Deferred[None]:
        """Another process is the service from now on. The one that is has to say so: others are not heard.

        :return: fires when that is said, or nobody wants to hear it; fails with ``OSError`` if it cannot be.
        """
        sent: Deferred[None] = Deferred()
        if self._address:
            self._queue(f"MAINPID={pid}", sent=sent)
        else:
            sent.callback(None)
        return sent

    def close(self) -> None:
        """Tell nothing more."""
        if self._loop is not None and self._loop.running:
            self._loop.stop()
        retry, self._retry = self._retry, None
        if retry is not None:
            retry.cancel()
        self._waiting.clear()
        self._address = ""
        self._disconnect()

    def _ping(self) -> None:
        # What waits already says that we live; and a hung manager must not fill the queue.
        if not self._waiting and (self.alive is None or self.alive.all_answer()):
            self._queue("WATCHDOG=1")

    def _queue(self, *lines: str, sent: Deferred[None] | None = None) -> None:
        if not self._address or not lines:
            return
        self._waiting.append(("\n".join(lines).encode(), sent))
        if self._retry is None:
            self._flush()

    def _flush(self) -> None:
        self._retry = None
        while self._waiting:
            message, sent = self._waiting[0]
            failure: Failure | None = None
            try:
                self._send(message)
            except BlockingIOError:
                self._retry = self._clock.callLater(RETRY, self._flush)
                return
            except OSError as error:
                self._unheard(error)
                failure = Failure()
            else:
                self._complaint = ""
            self._waiting.popleft()
            if sent is not None:
                sent.callback(None) if failure is None else sent.errback(failure)

    def _send(self, message: bytes) -> None:
        # Kept open: a service that is out of descriptors must feed its watchdog all the same.
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
        self._socket.sendto(message, self._address)

    def _unheard(self, error: OSError) -> None:
        self._disconnect()
        complaint = error.strerror or str(error)
        if complaint != self._complaint:
            self._complaint = complaint
            self._log.warn(
                "sd_notify failed (NOTIFY_SOCKET {address}: {why}); continuing without it",
                address=self._shown,
                why=complaint,
            )

    def _disconnect(self) -> None:
        opened, self._socket = self._socket, None
        if opened is not None:
            opened.close()


def for_successor(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that is to take this one's place: without what names this one."""
    return {name: value for name, value in environ.items() if name != "WATCHDOG_PID"}


def _watchdog(environ: Mapping[str, str], pid: int) -> float:
    """Seconds that the watchdog waits, by ``sd_watchdog_enabled(3)``; 0 if there is none for us."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return 0.0
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isdecimal() else 0.0


def _status(text: str) -> list[str]:
    # One line: a line break would begin another message.
    return [f"STATUS={' '.join(text.split())}"] if text else []
