"""A member of a TOML file, by its path; its value is a string. All else of the file stays, comments included.

Only what people and programs write for settings is changed: a member in a line of its own, below the header
of its table. Where a table is written in another way, the file would be another one than is meant: that is
found by reading both (Python 3.11 and later), and refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

#: A string that does not end goes as far as it may: so no text is looked through again and again.
_TOKENS = re.compile(
    r'''"""(?:\\.|[^\\])*?(?:"""|\\?\Z)|\'\'\'.*?(?:\'\'\'|\Z)'''
    r"""|"(?:\\.|[^"\\\n])*(?:"|(?=\n)|\\?\Z)|\'[^\'\n]*\'?|#[^\n]*|[\[\]{}]|\n""",
    re.DOTALL,
)
_HEADER = re.compile(r"[ \t]*\[[ \t]*([^\[\]\n]+?)[ \t]*\][ \t]*(?:#.*)?$")
_MEMBER = re.compile(r"[ \t]*([A-Za-z0-9_-]+)[ \t]*=[ \t]*(.*)$", re.DOTALL)


class BadToml(ValueError):
    """The file cannot be changed. The message has none of its values."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A statement with its line end. ``table``: below which header it is; empty: below none."""

    start: int
    end: int
    text: str
    table: str
    header: bool


def get(text: str, path: str) -> str | None:
    """The string there; ``None`` if there is none."""
    table, _, name = path.rpartition(".")
    for line in _lines(text):
        found = None if line.header or line.table != table else _MEMBER.match(line.text)
        if found and found[1] == name:
            return _string(found[2].strip())
    return None


def put(text: str, path: str, value: str) -> str:
    """The text with a string there.

    :raises BadToml: the table is written in a way that is not understood.
    """
    table, _, name = path.rpartition(".")
    written = f"{name} = {json.dumps(value, ensure_ascii=False)}\n"
    changed = _with(text, table, name, written)
    _prove(text, changed, path, value)
    return changed


def remove(text: str, path: str) -> str:
    """The text without a member, and without the header of its table if nothing else is below it.

    :raises BadToml: as :func:`put`.
    """
    table, _, name = path.rpartition(".")
    lines = list(_lines(text))
    for line in lines:
        found = None if line.header or line.table != table else _MEMBER.match(line.text)
        if found and found[1] == name:
            text = text[: line.start] + text[line.end :]
            return _without_empty(text, table) if table else text
    return text


def _with(text: str, table: str, name: str, written: str) -> str:
    place = None if table else 0
    for line in _lines(text):
        if line.table != table:
            continue
        found = None if line.header else _MEMBER.match(line.text)
        if found and found[1] == name:
            return text[: line.start] + written + text[line.end :]
        if line.header or (place is not None and line.text.strip()):
            place = line.end
    if place is None:
        gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
        return f"{text}{gap}[{table}]\n{written}"
    before = text[:place]
    return before + ("" if not before or before.endswith("\n") else "\n") + written + text[place:]


def _without_empty(text: str, table: str) -> str:
    """Without the header of a table that has nothing, and the blank line that was put before it."""
    mine = [line for line in _lines(text) if line.table == table]
    if len([line for line in mine if line.text.strip()]) != 1:
        return text
    start, end = mine[0].start, mine[0].end
    if text[:start].endswith("\n\n"):
        start -= 1
    return text[:start] + text[end:]


def _lines(text: str) -> Iterator[_Line]:
    """The statements, in their order; a value of several lines is one."""
    start, depth, table = 0, 0, ""
    for token in (*_TOKENS.finditer(text), None):
        kind = "\n" if token is None else token[0]
        if kind in ("[", "{"):
            depth += 1
        elif kind in ("]", "}"):
            depth -= 1
        elif kind == "\n" and (depth <= 0 or token is None):
            end = len(text) if token is None else token.end()
            statement = text[start:end]
            header = _HEADER.match(statement.rstrip("\r\n"))
            array = statement.lstrip().startswith("[[")
            table = header[1] if header else f"[{statement.strip()}" if array else table
            if statement:
                yield _Line(start, end, statement.rstrip("\r\n"), table, bool(header) or array)
            start, depth = end, 0


def _string(value: str) -> str | None:
    found = _TOKENS.match(value)
    if found is None or found[0][0] not in "\"'" or found[0][:3] in ('"""', "'''"):
        return None
    if len(found[0]) < 2 or found[0][-1] != found[0][0]:
        return None
    try:
        return str(json.loads(found[0])) if found[0][0] == '"' else found[0][1:-1]
    except ValueError:
        return None


def _prove(before: str, after: str, path: str, value: str) -> None:
    """Read both.

    :raises BadToml: more than the one member is different.
    """
    unknown = f"{path} is written there in a way that is not understood: set it by hand"
    try:
        tomllib: Any = import_module("tomllib")
    except ImportError:  # Python 3.10
        if re.search(rf"(?m)^[ \t]*{re.escape(path.partition('.')[0])}[ \t]*(\.|=[ \t]*\{{)", before):
            raise BadToml(unknown) from None
        return
    try:
        expected: dict[str, Any] = tomllib.loads(before)
    except ValueError as error:
        line = re.search(r"line (\d+)", str(error))
        raise BadToml(f"it is not TOML{f' (line {line[1]})' if line else ''}") from None
    inner = expected
    *tables, name = path.split(".")
    try:
        for table in tables:
            inner = inner.setdefault(table, {})
        inner[name] = value
        if tomllib.loads(after) == expected:
            return
    except (ValueError, TypeError, AttributeError):
        pass
    raise BadToml(unknown)
