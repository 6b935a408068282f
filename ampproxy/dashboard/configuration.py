"""The configuration with what was found fault with, line by line. Called in threads: it reads a file."""

from __future__ import annotations

import re
from pathlib import Path

from ampproxy.config.load import read_file
from ampproxy.config.schema import Config
from ampproxy.dashboard.masked import masked
from ampproxy.dashboard.shapes import Configuration, Remark
from ampproxy.status import Status

#: ``FILE:LINE: KEY: what is wrong``.
_REMARK = re.compile(r".*?:(\d+): (.*)", re.DOTALL)


def configuration(config: Config, status: Status) -> Configuration:
    """The file, and how reading it went last."""
    last = status.reload
    remarks = [_remark("warning", text) for text in config.warnings]
    if last is not None:
        remarks = [_remark("error", text) for text in last.complaints]
        remarks += [_remark("warning", text) for text in last.warnings]
    lines, why = _lines(config.source)
    return Configuration(
        file="" if config.source is None else str(config.source),
        generation=status.generation,
        since=status.since,
        in_force=last is None or last.ok,
        remarks=tuple(sorted(remarks, key=lambda remark: (remark.level, remark.line))),
        lines=lines,
        why=why,
        changes=() if last is None else last.changes,
    )


def _remark(level: str, text: str) -> Remark:
    found = _REMARK.fullmatch(text)
    line, words = (int(found[1]), found[2]) if found else (0, text)
    return Remark("error" if level == "error" else "warning", line, words)


def _lines(source: Path | None) -> tuple[tuple[str, ...] | None, str]:
    if source is None:
        return None, "The configuration came from no file."
    try:
        text = read_file(source).decode("utf-8-sig")
    except OSError as error:
        return None, f"{source} cannot be read: {error.strerror or type(error).__name__}."
    except ValueError:
        return None, f"{source} is not UTF-8."
    return masked(text), ""
