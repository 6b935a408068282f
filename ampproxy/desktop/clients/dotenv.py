"""Files of variables, ``NAME=value`` a line, as ``dotenv`` reads them: one line is put or removed."""

from __future__ import annotations

import json
import re

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")


def _line(name: str) -> re.Pattern[str]:
    return re.compile(rf"^[ \t]*(?:export[ \t]+)?{re.escape(name)}[ \t]*=([^\r\n]*)\r?\n?", re.MULTILINE)


def get(text: str, name: str) -> str | None:
    """The value of a variable, the last one; ``None`` if it is not set."""
    found = _line(name).findall(text)
    return _unquoted(found[-1].strip(" \t")) if found else None


def put(text: str, name: str, value: str) -> str:
    """The text with a variable set, in the place of its first line, or behind all others.

    :raises ValueError: the value has a line break.
    """
    if "\n" in value or "\r" in value:
        raise ValueError(f"{name} cannot have a line break")
    line = f"{name}={value if _PLAIN.fullmatch(value) else json.dumps(value)}\n"
    first = _line(name).search(text)
    if first is None:
        return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{line}"
    return text[: first.start()] + line + _line(name).sub("", text[first.end() :])


def remove(text: str, name: str) -> str:
    """The text without a variable."""
    return _line(name).sub("", text)


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value.partition(" #")[0].rstrip()
