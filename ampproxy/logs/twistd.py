"""What ``twistd``'s own options say about the log."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from twisted.logger import LogEvent

from ampproxy.logs.observer import Output
from ampproxy.logs.outputs import FileOutput, SyslogOutput, standard_output
from ampproxy.wire.late import LatePattern

_PORTS = LatePattern(r" starting on \S+\Z|\A\(.* Port \S+ Closed\)\Z|\AMain loop terminated\.\Z")


def is_about_port(event: LogEvent) -> bool:
    """Whether an event is one of Twisted's own on ports and its loop, which add nothing to ours."""
    legacy = event.get("log_namespace") == "log_legacy"
    return bool(_PORTS.search(str(event.get("log_text" if legacy else "log_format") or "")))


def output_of(options: Mapping[str, Any] | None, now: Callable[[], float]) -> Output | None:
    """Where ``twistd`` is to log: ``--logfile``, ``--syslog``, else standard output in the foreground and
    ``twistd.log`` in the background, as with any service of Twisted's.

    :param options: those before the word ``ampproxy``; ``None``: it is not ``twistd`` that runs.
    :param now: seconds, monotonic.
    :return: ``None`` where the log is none of our business: ``--logger`` names somebody else's observer.
    :raises SystemExit: the file cannot be opened.
    """
    if options is None or options.get("logger"):
        return None
    if options.get("syslog"):
        return SyslogOutput(options.get("prefix") or "ampproxy")
    foreground = options.get("nodaemon") or options.get("debug")
    name = options.get("logfile") or ("-" if foreground else "twistd.log")
    if name == "-":
        if not foreground:
            raise SystemExit("ampproxy: a daemon cannot log to standard output: name a file with --logfile.")
        return standard_output()
    path = os.path.abspath(name)
    try:
        return FileOutput(path, now)
    except OSError as error:
        raise SystemExit(f"ampproxy: the log {path} cannot be opened: {error.strerror}") from None
