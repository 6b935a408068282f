"""An event of the log as text for people, or as a line of JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from ampproxy.logs.sanitize import Cleaner
from ampproxy.relay.fields import fields_of, line_of
from ampproxy.relay.record import ExchangeRecord

#: Levels, the least first, and how a line of text names them.
LEVELS = {"debug": "debug", "info": "info ", "warn": "warn ", "error": "error", "critical": "CRIT "}

#: How lines after the first of a message begin: nobody's text can pass for a line of the log.
INDENT = "    "

#: The keys of a line of JSON that are not an event's fields.
OWN_KEYS = ("time", "level", "event", "logger", "message", "traceback")


class LogLine(msgspec.Struct):
    """What is to be written of an event; nothing of it has been cleaned but ``message``.

    :param time: seconds since the epoch.
    :param message: clean; may have several lines.
    :param fields: the event's own.
    :param traceback: empty where nothing failed.
    :param worker: whose event it is; 0: there is only one process.
    """

    time: float
    level: str
    logger: str
    message: str
    request: str = ""
    fields: Mapping[str, Any] = msgspec.field(default_factory=dict)
    traceback: str = ""
    worker: int = 0


class Format(Protocol):
    """Makes what is written: one line, or one and its continuations, with an end of line."""

    def exchange(self, moment: float, record: ExchangeRecord) -> str:
        """Of an exchange that has ended."""

    def event(self, entry: LogLine) -> str:
        """Of anything else."""


class Stamp:
    """The time of a line: ISO 8601, local, with milliseconds and the offset.

    :param local: as ``time.localtime``.
    """

    def __init__(self, local: Callable[[float], time.struct_time] = time.localtime) -> None:
        self._local = local
        self._second = -1
        self._before = self._after = ""

    def __call__(self, moment: float) -> str:
        """``2026-07-14T09:21:33.123+02:00``."""
        second = int(moment // 1)
        if second != self._second:
            parts = self._local(second)
            offset = (parts.tm_gmtoff or 0) // 60
            hours, minutes = divmod(abs(offset), 60)
            self._before = time.strftime("%Y-%m-%dT%H:%M:%S.", parts)
            self._after = f"{'-' if offset < 0 else '+'}{hours:02d}:{minutes:02d}"
            self._second = second
        return f"{self._before}{int((moment - second) * 1000):03d}{self._after}"


class TextFormat:
    """``TIME LEVEL MESSAGE``; what follows the first line is indented. The line of an exchange ends with its
    request's id, other messages begin with it; those of others' code begin with the package's name.
    """

    def __init__(self, stamp: Stamp, clean: Cleaner) -> None:
        self._stamp = stamp
        self._clean = clean

    def exchange(self, moment: float, record: ExchangeRecord) -> str:
        """See :meth:`Format.exchange`."""
        clean = self._clean.line
        tail = f" request={clean(record.request)}" if record.request else ""
        return f"{self._stamp(moment)} {LEVELS['info']} {line_of(record, clean)}{tail}\n"

    def event(self, entry: LogLine) -> str:
        """See :meth:`Format.event`."""
        clean = self._clean
        head = f"{self._stamp(entry.time)} {LEVELS[entry.level]} "
        if entry.worker:
            head += f"worker {entry.worker}: "
        if entry.request:
            head += f"[{clean.line(entry.request)}] "
        name = entry.logger.partition(".")[0]
        first, *rest = entry.message.rstrip("\n").split("\n")
        if name != "ampproxy":
            head += f"{clean.line(name)}: "
        rest += clean.lines(entry.traceback).rstrip("\n").split("\n") if entry.traceback else []
        return "\n".join([head + first, *(INDENT + line for line in rest)]) + "\n"


class JsonFormat:
    """One object a line, in ASCII: no terminal and no reader of lines can be fooled by what stands in it."""

    def __init__(self, stamp: Stamp, clean: Cleaner) -> None:
        self._stamp = stamp
        self._clean = clean
        self._encode = msgspec.json.Encoder(enc_hook=self._as_text).encode

    def exchange(self, moment: float, record: ExchangeRecord) -> str:
        """See :meth:`Format.exchange`."""
        line: dict[str, Any] = {"time": self._stamp(moment), "level": "info", "event": "exchange"}
        text = self._clean.text
        for name, value in fields_of(record).items():
            kind = type(value)
            if kind is str:
                line[name] = text(value)
            elif kind in _PLAIN or not value:
                line[name] = value
            else:
                line[name] = self._clean.field(name, value, text)
        return self._encoded(line)

    def event(self, entry: LogLine) -> str:
        """See :meth:`Format.event`."""
        line: dict[str, Any] = {"time": self._stamp(entry.time), "level": entry.level}
        text, field = self._clean.text, self._clean.field
        line["logger"] = text(entry.logger)
        line["message"] = entry.message
        if entry.worker:
            line["worker"] = entry.worker
        if entry.request:
            line["request"] = text(entry.request)
        for name, value in entry.fields.items():
            if name not in line and name not in OWN_KEYS:
                line[text(name)] = field(name, value, text)
        if entry.traceback:
            line["traceback"] = self._clean.texts(entry.traceback.rstrip("\n"))
        return self._encoded(line)

    def _encoded(self, line: Mapping[str, Any]) -> str:
        try:
            encoded = self._encode(line)
            if encoded.isascii() and b"\x7f" not in encoded:
                return encoded.decode("ascii") + "\n"
        except (TypeError, ValueError, UnicodeError):
            pass
        return json.dumps(line, default=self._as_text) + "\n"

    def _as_text(self, value: object) -> str:
        """What is none of JSON's own kinds becomes text, clean like all else."""
        return self._clean.text(str(value))


_PLAIN = frozenset((int, float, bool, type(None)))

FORMATS: Mapping[str, Callable[[Stamp, Cleaner], Format]] = {"text": TextFormat, "json": JsonFormat}
