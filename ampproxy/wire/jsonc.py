"""Settings files: JSON with comments and trailing commas, in which one member is changed and no other byte.

What is read is what VS Code and Amp's CLI read: ``//`` and ``/* */`` comments, and a comma behind the last
member. Such files are their users' own; whoever changes one keeps its comments, its order, its indentation,
its line ends and a byte order mark.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from ampproxy.model.base import Value

#: Deeper than any settings file; a parser of the program that reads it may give up even earlier.
MAX_DEPTH = 500

_BOM = b"\xef\xbb\xbf"
_TRIVIA = re.compile(rb"(?:[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(rb'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_PLAIN = re.compile(rb"(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)(?![\w.+-])")
_BREAK = re.compile(rb"\r\n|\n|\r")
_REST_OF_LINE = re.compile(rb"[ \t]*(?:\r\n|\n|\r)")
_BLANKS = b" \t"
_CLOSES = {b"{": b"}", b"[": b"]"}


class BadJsonc(ValueError):
    """The bytes are no object of this kind. The message tells the line, and nothing of the values."""


class _Member(Value, frozen=True):
    """A member of the outermost object.

    :param start: where its name begins.
    :param value: where its value begins.
    :param end: behind its value.
    :param comma: where the comma stands that follows, perhaps behind comments; ``None`` if none does.
    """

    name: str
    start: int
    value: int
    end: int
    comma: int | None


class _Outline(Value, frozen=True):
    """The outermost object: where it closes, and what is in it."""

    close: int
    members: tuple[_Member, ...]


def read(data: bytes) -> dict[str, bytes]:
    """The members of the outermost object, values as the text that stands there. Of two of one name the
    later one counts. A file of nothing but blanks and comments has none.

    :raises BadJsonc: it is something else.
    """
    outline = _outline(data)
    return {} if outline is None else {m.name: data[m.value : m.end] for m in outline.members}


def string(value: bytes | None) -> str | None:
    """The text of a member's value; ``None`` if it is no string, or there is none."""
    if value is None or not value.startswith(b'"'):
        return None
    text: str = json.loads(value)
    return text


def quoted(text: str) -> bytes:
    """A text as a value."""
    return json.dumps(text).encode("ascii")


def put(data: bytes, name: str, value: bytes) -> bytes:
    """Give a member a value: in its place if it is there, else behind the last one.

    :param value: its text, as :func:`quoted` makes it of a string.
    :raises BadJsonc: the bytes are no object, or have this name twice.
    """
    outline = _outline(data)
    if outline is None:
        changed = _begun(data, name, value)
    elif (member := _find(data, outline, name)) is not None:
        changed = data[: member.value] + value + data[member.end :]
    else:
        changed = _with(data, outline, quoted(name) + b": " + value)
    return _proven(changed, {**read(data), name: value})


def remove(data: bytes, name: str) -> bytes:
    """Take a member out, and its line if nothing else is on it. All comments stay.

    :raises BadJsonc: the bytes are no object, or have this name twice.
    """
    outline = _outline(data)
    member = None if outline is None else _find(data, outline, name)
    if outline is None or member is None:
        return data
    rest = {other: value for other, value in read(data).items() if other != name}
    return _proven(_without(data, outline, member), rest)


def is_bare(data: bytes) -> bool:
    """Whether nothing is said: no member, no comment.

    :raises BadJsonc: it is something else.
    """
    return not read(data) and not data.removeprefix(_BOM).strip(b" \t\r\n{},")


def require_unmarked(data: bytes) -> None:
    """For a program that takes no byte order mark.

    :raises BadJsonc: there is one.
    """
    if data.startswith(_BOM):
        raise BadJsonc("line 1: begins with a byte order mark, which its program does not accept")


def require_plain(data: bytes) -> None:
    """For a program that takes JSON as it is specified, without comments and trailing commas.

    :raises BadJsonc: it is something else.
    """
    require_unmarked(data)
    try:
        json.loads(data)
    except json.JSONDecodeError as error:
        raise BadJsonc(f"line {error.lineno}: not plain JSON, which is all that its program takes") from None
    except (UnicodeDecodeError, RecursionError):
        raise BadJsonc("not plain JSON, and its program accepts nothing else") from None


def _proven(changed: bytes, wanted: dict[str, bytes]) -> bytes:
    """The changed bytes, once they are read again: an edit that did anything else is not handed out."""
    if read(changed) != wanted:
        raise BadJsonc("it cannot be changed without changing more than that")
    return changed


def _find(data: bytes, outline: _Outline, name: str) -> _Member | None:
    found = [member for member in outline.members if member.name == name]
    if len(found) > 1:
        lines = " and ".join(str(_line(data, member.start)) for member in found[:2])
        raise BadJsonc(f"{name} is defined twice, in lines {lines}: keep one of them")
    return found[0] if found else None


# Changing.


def _begun(data: bytes, name: str, value: bytes) -> bytes:
    """An object behind nothing but comments."""
    end = _line_end(data)
    gap = b"" if not data.removeprefix(_BOM) or data.endswith((b"\n", b"\r")) else end
    return b"".join((data, gap, b"{", end, b"  ", quoted(name), b": ", value, end, b"}", end))


def _with(data: bytes, outline: _Outline, text: bytes) -> bytes:
    last = outline.members[-1] if outline.members else None
    end = _line_end(data)
    line = _line_start(data, outline.close)
    if line is not None:
        tail = b"," if last is not None and last.comma is not None else b""
        whole = _indent(data, outline, line) + text + tail + end
        changed = data[:line] + whole + data[line:]
        if last is not None and last.comma is None:
            changed = changed[: last.end] + b"," + changed[last.end :]
        return changed
    # The brace shares its line with something: so does what is added.
    if last is None:
        at, added = outline.close, end + b"  " + text + end
    elif last.comma is None:
        at, added = last.end, b", " + text
    else:
        at, added = last.comma + 1, b" " + text + b","
    return data[:at] + added + data[at:]


def _without(data: bytes, outline: _Outline, member: _Member) -> bytes:
    index = outline.members.index(member)
    cuts = [(member.start, member.end)]
    behind = member.end
    if member.comma is not None:
        cuts.append((member.comma, member.comma + 1))
        behind = member.comma + 1
    elif index:
        # The comma before it would now stand behind the last member.
        comma = outline.members[index - 1].comma
        assert comma is not None
        cuts.insert(0, (comma, comma + 1))
    line = _line_start(data, member.start)
    rest = _REST_OF_LINE.match(data, behind)
    if line is not None and rest is not None and not data[member.end : behind].strip(_BLANKS + b","):
        cuts += [(line, member.start), (behind, rest.end())]
    elif index and data[member.start - 1 : member.start] == b" ":
        cuts.append((member.start - 1, member.start))
    for start, end in sorted(cuts, reverse=True):
        data = data[:start] + data[end:]
    return data


def _line_start(data: bytes, at: int) -> int | None:
    """Where the line of this place begins, if only blanks are between; ``None`` if anything is."""
    start = max(data.rfind(b"\n", 0, at), data.rfind(b"\r", 0, at)) + 1
    return start if start and not data[start:at].strip(_BLANKS) else None


def _line_end(data: bytes) -> bytes:
    """How lines end here."""
    found = _BREAK.search(data)
    return b"\n" if found is None else found.group()


def _indent(data: bytes, outline: _Outline, brace: int) -> bytes:
    """What stands before a member that has a line of its own.

    :param brace: where the line of the closing brace begins.
    """
    for member in reversed(outline.members):
        line = _line_start(data, member.start)
        if line is not None:
            return data[line : member.start]
    outer = data[brace : outline.close]
    return outer + (b"\t" if b"\t" in outer else b"  ")


# Reading.


def _outline(data: bytes) -> _Outline | None:
    """The outermost object, once all of the file has been found right; ``None``: there is none."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJsonc(f"line {_line(data, error.start)}: not UTF-8 text") from None
    start = len(_BOM) if data.startswith(_BOM) else 0
    at = _skip(data, start)
    if at == len(data):
        return None
    if data[at : at + 1] != b"{":
        raise _bad(data, at, "expected an object")
    members = list(_members(data, at))
    close = members.pop().start
    end = _skip(data, close + 1)
    if end != len(data):
        raise _bad(data, end, "expected nothing after the object")
    return _Outline(close, tuple(members))


def _members(data: bytes, brace: int) -> Iterator[_Member]:
    """The members of an object, and at its end one without a name at its closing brace."""
    at = _skip(data, brace + 1)
    while data[at : at + 1] != b"}":
        start, value = at, _name(data, at)
        end = _value(data, value)
        at = _skip(data, end)
        comma = at if data[at : at + 1] == b"," else None
        if comma is not None:
            at = _skip(data, at + 1)
        elif data[at : at + 1] != b"}":
            raise _bad(data, at, "expected a comma or a closing brace")
        yield _Member(json.loads(data[start : _end_of(_STRING, data, start)]), start, value, end, comma)
    yield _Member("", at, at, at, None)


def _name(data: bytes, at: int) -> int:
    """Where the value begins of the member that begins here."""
    colon = _skip(data, _end_of(_STRING, data, at))
    if data[colon : colon + 1] != b":":
        raise _bad(data, colon, "expected a colon")
    return _skip(data, colon + 1)


def _value(data: bytes, at: int) -> int:
    """Behind the value that begins here. Keeps its own stack: a file may be deeper than Python's."""
    open_: list[bytes] = []
    while True:
        token = data[at : at + 1]
        if token in (b"{", b"["):
            open_.append(_CLOSES[token])
            if len(open_) > MAX_DEPTH:
                raise _bad(data, at, f"nested more than {MAX_DEPTH} levels deep")
            at += 1
        else:
            at = _end_of(_STRING if token == b'"' else _PLAIN, data, at)
            if not open_:
                return at
            at = _behind_item(data, at, open_[-1])
        # What may come next: the end of one or more of what is open, or the next item of the innermost.
        at = _skip(data, at)
        while open_ and data[at : at + 1] == open_[-1]:
            open_.pop()
            at += 1
            if not open_:
                return at
            at = _skip(data, _behind_item(data, at, open_[-1]))
        if open_[-1] == b"}":
            at = _name(data, at)


def _behind_item(data: bytes, at: int, close: bytes) -> int:
    """Behind the comma that follows an item, or at the bracket that does."""
    at = _skip(data, at)
    if data[at : at + 1] == b",":
        return at + 1
    if data[at : at + 1] != close:
        raise _bad(data, at, f"expected a comma or {close.decode()}")
    return at


def _skip(data: bytes, at: int) -> int:
    found = _TRIVIA.match(data, at)
    assert found is not None
    return found.end()


def _end_of(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    found = pattern.match(data, at)
    if found is None:
        raise _bad(data, at, "expected a string" if pattern is _STRING else "expected a value")
    return found.end()


def _bad(data: bytes, at: int, why: str) -> BadJsonc:
    return BadJsonc(f"line {_line(data, at)}: {why}")


def _line(data: bytes, at: int) -> int:
    return len(_BREAK.findall(data, 0, at)) + 1
