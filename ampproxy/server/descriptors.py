"""File descriptors: some are kept back from new clients, so that those who are served can be served on.

A client whom nobody can connect onward is of no use, and a process without any descriptor can neither read
a changed file nor renew a login. Twisted's own answer to the lack is three log lines for every connection.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.logger import ILogObserver, LogEvent, Logger
from zope.interface import provider

from ampproxy.wire.words import counted

#: A limit above this is left as it is: each descriptor that is allowed costs the system some memory.
ENOUGH = 65536
#: The part of the limit that clients do not get, and the least of it.
_RESERVE, _LEAST_RESERVE = 4, 32
#: Seconds without a refusal after which there are enough again.
_CALM = 60.0
#: Seconds that a port rests which cannot accept.
PAUSE = 1.0

_BODY = (
    b'{"error":{"type":"overloaded_error","message":"The gateway has no file descriptors left; try again."}}'
)
_ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Retry-After: 5\r\nX-Ampproxy-Generation: %d\r\nConnection: close\r\n\r\n%b"
)


def raise_limit() -> None:
    """Let the process have as many descriptors as it may, up to :data:`ENOUGH`: the soft limit of most
    systems is 1024, for programs that use ``select``.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            pass  # macOS refuses more than its own limit; what there is has to do


class Descriptors:
    """Whether another client may be let in. Scarcity is told in the log when it begins and when it is over.

    :param limit: descriptors of the process; ``None``: as the system says at each look.
    """

    def __init__(self, clock: IReactorTime, log: Logger, *, limit: int | None = None) -> None:
        self._clock = clock
        self._log = log
        self._limit = limit
        self._refused = 0
        self._refused_at = 0.0

    def suffice(self) -> bool:
        """Whether enough are left for one more client."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if self._limit is None else self._limit
        if limit == resource.RLIM_INFINITY:
            return True
        reserve = max(limit // _RESERVE, min(_LEAST_RESERVE, limit // 2))
        if _lowest_free(limit) >= limit - reserve:
            self.refuse(limit)
            return False
        if self._refused and self._clock.seconds() - self._refused_at >= _CALM:
            count, self._refused = self._refused, 0
            self._log.info(
                "There are enough file descriptors again; refused meanwhile: {connections}",
                connections=counted(count, "connection"),
                count=count,
            )
        return True

    def refuse(self, limit: int | None = None) -> None:
        """A client was turned away."""
        self._refused += 1
        self._refused_at = self._clock.seconds()
        if self._refused == 1:
            self._log.error(
                "File descriptors run out (the limit is {limit}): new connections are refused until "
                "some are free again. To do: raise the limit with LimitNOFILE= in the unit or ulimit -n",
                limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0] if limit is None else limit,
            )

    def watch(self, port: Any, may_accept: Callable[[], bool] = lambda: True) -> None:
        """Count what a port itself turns away, in place of its own log lines, three for each; and have one
        that can accept nothing pause, in place of trying again without end.

        :param may_accept: whether it is to accept when the pause is over: another process may by then.
        """
        logger = getattr(port, "_logger", None)
        if not isinstance(logger, Logger):
            return

        @provider(ILogObserver)
        def observe(event: LogEvent) -> None:
            text = event.get("log_format") or ""
            if "acceptError" in event:
                self.refuse()
                port.stopReading()
                self._clock.callLater(PAUSE, self._resume, port, may_accept)
            elif "Closed socket" in text and "EMFILE" in text:
                self.refuse()
            elif "EMFILE" not in text:
                logger.observer(event)

        port._logger = Logger(namespace=logger.namespace, observer=observe)

    @staticmethod
    def _resume(port: Any, may_accept: Callable[[], bool]) -> None:
        if port.connected and not port.disconnecting and may_accept():
            port.startReading()


def _lowest_free(limit: int) -> int:
    """The number that the next descriptor gets: all below it are taken. ``limit``, if none is left."""
    try:
        lowest = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return limit if error.errno in (errno.EMFILE, errno.ENFILE) else 0
    os.close(lowest)
    return lowest


class Refusal(Protocol):
    """Answers a client with status 503 before it has asked, and closes.

    :param generation: of the configuration.
    """

    transport: Any

    def __init__(self, generation: int) -> None:
        self._generation = generation

    def connectionMade(self) -> None:
        """Say so."""
        self.transport.write(_ANSWER % (len(_BODY), self._generation, _BODY))
        self.transport.loseConnection()
