"""Where the events of ``twisted.logger`` end: the one place through which everything goes that is written."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection
from threading import RLock
from typing import Any, Protocol

from twisted.logger import ILogObserver, LogEvent, formatEvent
from zope.interface import implementer

from ampproxy.config.schema import Logging
from ampproxy.logs.duplicates import DuplicateFilter
from ampproxy.logs.formats import FORMATS, LogLine, Stamp
from ampproxy.logs.sanitize import Cleaner
from ampproxy.relay.record import SERVING, ExchangeRecord
from ampproxy.wire.redact import Secret

#: Seconds for which the line of an exchange may wait for others, so that they are written together.
PUT_OFF = 0.02
#: So many of them are written at once at the latest.
MAX_PENDING = 256

#: So many secrets are known at the least, those that were known last: a token that was renewed and a key
#: that was taken away may still turn up.
MAX_SECRETS = 100

_RANK = {name: rank for rank, name in enumerate(("debug", "info", "warn", "error", "critical"))}
_INFO = _RANK["info"]


class Output(Protocol):
    """Takes what is to be written."""

    def write(self, line: str, level: str) -> None:
        """A line, perhaps with continuations, with an end of line. Does not raise."""

    def start(self) -> None:
        """The process will not fork any more: other threads may write from now on."""

    def settle(self) -> None:
        """Write what is not written yet, in bounded time."""

    def use(self, logging: Logging) -> None:
        """Other settings from now on."""

    def reopen(self) -> None:
        """Write to another file from now on, if this one was moved away; see the provider."""


@implementer(ILogObserver)
class LogObserver:
    """Filters by level, cuts secrets, formats, writes. It never raises.

    :param output: where it is written; by one thread at a time.
    :param now: seconds, monotonic.
    :param later: as ``IReactorTime.callLater``; only called in the reactor's thread.
    :param in_reactor: as ``IReactorFromThreads.callFromThread``.
    :param wall: seconds since the epoch.
    :param local: as ``time.localtime``.
    :param worker: the number of this worker, which each line has; 0: there is only one process.
    :ivar counts: how many events of each level came, from warnings on; told or held back.
    """

    def __init__(
        self,
        output: Output,
        *,
        now: Callable[[], float],
        later: Callable[[float, Callable[[], None]], object],
        in_reactor: Callable[..., object],
        wall: Callable[[], float],
        local: Callable[[float], time.struct_time] = time.localtime,
        worker: int = 0,
    ) -> None:
        self._worker = worker
        self.output = output
        self.counts: Counter[str] = Counter()
        self._lock = RLock()
        self._wall = wall
        self._later = later
        self._in_reactor = in_reactor
        self._pending: list[tuple[float, ExchangeRecord]] = []
        self._waiting = False
        self._stamp = Stamp(local)
        self._storms = DuplicateFilter(now, self._later_from_anywhere, self._held_back)
        self._secrets: OrderedDict[Secret, None] = OrderedDict()
        self.use(Logging(), ())

    def use(self, logging: Logging, secrets: Collection[Secret]) -> None:
        """From now on by these settings, and without these secrets nor, for some time, those before."""
        with self._lock:
            self._use(logging, secrets)

    def _use(self, logging: Logging, secrets: Collection[Secret]) -> None:
        for secret in secrets:
            self._secrets.pop(secret, None)
            self._secrets[secret] = None
        while len(self._secrets) > MAX_SECRETS and len(self._secrets) > len(secrets):
            self._secrets.popitem(last=False)
        self._least = _RANK[logging.level]
        self._clean = Cleaner(self._secrets)
        self._format = FORMATS[logging.format](self._stamp, self._clean)
        self._write_pending()
        self.output.use(logging)

    def start(self) -> None:
        """The reactor runs."""
        with self._lock:
            self.output.start()

    def flush(self) -> None:
        """Tell of what was held back, and have it written: the service ends."""
        with self._lock:
            self._write_pending()
            self._storms.flush()
            self.output.settle()

    def reopen(self) -> None:
        """Write to another file from now on, if this one was moved away."""
        with self._lock:
            self.output.reopen()

    def forward(self, line: str, level: str) -> None:
        """Write what a worker has logged, which is filtered and formatted."""
        with self._lock:
            if _RANK.get(level, 0) >= 2:
                self.counts[level] += 1
            self._write_pending()
            self.output.write(line, level)

    def __call__(self, event: LogEvent) -> None:
        """Take an event, from any thread."""
        with self._lock:
            record = event.get("exchange")
            if record is None:
                self._take(event)
            elif self._least <= _INFO:
                self._put_off(event["log_time"], record)

    def _take(self, event: LogEvent) -> None:
        level: Any = event.get("log_level")
        name: str = level.name if level is not None else _legacy_level(event)
        rank = _RANK[name]
        if rank >= 2:
            self.counts[name] += 1
        if rank < self._least:
            return
        try:
            self._write_pending()
            entry = self._log_line(event, name)
            if rank >= 2 and not self._storms.admit(name, f"{entry.message}\n{entry.traceback}"):
                return
            line = self._format.event(entry)
        except Exception as error:
            line = self._cannot_show(event, error)
        self.output.write(line, name)

    def _put_off(self, moment: float, record: ExchangeRecord) -> None:
        """Exchanges are told many at a time, where there are many: that takes half as long. What is told of
        anything else comes after those that were before it. They all end in the reactor's thread.
        """
        self._pending.append((moment, record))
        if not self._waiting:
            self._waiting = True
            self._later(PUT_OFF, self._waited)
        elif len(self._pending) >= MAX_PENDING:
            self._write_pending()

    def _later_from_anywhere(self, seconds: float, what: Callable[[], None]) -> None:
        """As ``later``, for what an event of any thread may want."""

        def alone() -> None:
            with self._lock:
                what()

        self._in_reactor(self._later, seconds, alone)

    def _waited(self) -> None:
        with self._lock:
            self._waiting = False
            self._write_pending()

    def _write_pending(self) -> None:
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        exchange, lines = self._format.exchange, []
        for moment, record in pending:
            try:
                lines.append(exchange(moment, record))
            except Exception as error:
                lines.append(self._cannot_show({}, error))
        self.output.write("".join(lines), "info")

    def _cannot_show(self, event: LogEvent, error: Exception) -> str:
        """A log must not fail because of what is told to it."""
        problem = f"an event of {event.get('log_namespace')} cannot be shown: {type(error).__name__}"
        return self._format.event(LogLine(self._wall(), "error", "ampproxy", problem, worker=self._worker))

    def _log_line(self, event: LogEvent, level: str) -> LogLine:
        moment = event.get("log_time") or self._wall()
        request = event.get("request") or SERVING.get()
        logger = event.get("log_namespace") or "-"
        if logger == "log_legacy":
            logger = "twisted"
        failure = event.get("log_failure")
        fields = {}
        if "log_legacy" not in event:
            fields = {name: value for name, value in event.items() if not name.startswith("log_")}
            fields.pop("request", None)
        return LogLine(
            moment,
            level,
            logger,
            self._message(event, logger),
            request=str(request),
            fields=fields,
            traceback="" if failure is None else failure.getTraceback(),
            worker=self._worker,
        )

    def _message(self, event: LogEvent, logger: str) -> str:
        """The text of an event. What was put into it is cleaned first, so that only line ends that are
        ours remain; then the whole, for what hides in objects that are no texts.
        """
        clean = self._clean
        copy = dict(event)
        for name, value in event.items():
            if isinstance(value, (str, bytes)) and not name.startswith("log_"):
                copy[name] = clean.field(name, value, clean.line)
        text: str = formatEvent(copy)
        if not text and "log_failure" in event:
            text = "A defect"
        if logger.partition(".")[0] == "ampproxy":
            return clean.known(text)
        # What others say may hold a secret behind any name, and lines of anybody.
        return clean.lines(text)

    def _held_back(self, level: str, message: str) -> None:
        entry = LogLine(self._wall(), level, "ampproxy", message, worker=self._worker)
        self.output.write(self._format.event(entry), level)


def _legacy_level(event: LogEvent) -> str:
    """The level of an event that has none."""
    return "critical" if event.get("isError") else "info"
