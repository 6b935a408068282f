"""Paths into JSON as CLIProxyAPI's payload rules write them: ``a.b``, ``a.0``, ``tools.#(type=="x").name``.

Their syntax is that of the Go libraries gjson and sjson, as far as those rules can use it. Steps are parted
by dots. A number is a place in a list; ``-1`` is the place behind its last element, or when something is
taken out the last; ``:7`` is the member of that name. ``#(QUERY)`` is the first element of a list that the
query is true of, and ``#(QUERY)#`` all of them. A backslash takes the meaning of the character behind it.

Values are exact text throughout: what no path leads to is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from ampproxy.model.base import Value
from ampproxy.wire.json import BAD_JSON, members

_list = msgspec.json.Decoder(list[msgspec.Raw])
_any = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode

#: No list is made longer than this to have the place that a path names.
MAX_INDEX = 1000
_META = re.compile(r"[|#@*?]")
_OPERATORS = ("==", "!=", "<=", ">=", "!%", "=", "<", ">", "%")


class Term(Value, frozen=True):
    """One comparison of a query: the value at ``path`` within an element, against ``value``.

    :param operator: empty: whether there is a value at all.
    """

    path: Path
    operator: str = ""
    value: Any = None


class Step(Value, frozen=True):
    """One step of a path.

    :param index: the place that the name is, in a list; -1: behind the last.
    :param query: alternatives, each of terms that must all hold; ``None``: it is no query.
    :param every: whether all elements that the query is true of are meant.
    """

    name: str
    index: int | None = None
    query: tuple[tuple[Term, ...], ...] | None = None
    every: bool = False


Path: TypeAlias = tuple[Step, ...]


def parse_path(text: str) -> Path:
    """A path of its text.

    :raises ValueError: it is none, or of a kind that is not known here; the message says what.
    """
    if not text.strip():
        raise ValueError("is empty")
    return tuple(_step(part) for part in _split(text.strip(), "."))


def found(body: bytes, path: Path) -> list[bytes]:
    """The values at a path: several where a query in it means all elements."""
    values = (_at(body, place) for place in resolved(body, path))
    return [value for value in values if value is not None]


def resolved(body: bytes, path: Path) -> list[Path]:
    """The path without queries: the places of the elements that they are true of."""
    places: list[Path] = [()]
    for step in path:
        if step.query is None:
            places = [(*place, step) for place in places]
        else:
            places = [(*place, hit) for place in places for hit in _hits(_at(body, place), step)]
    return places


def put(body: bytes, place: Path, value: bytes) -> bytes:
    """The body with a value at a place; what is missing on the way there is made.

    :param place: without queries.
    :returns: the same body where a list on the way has no such place.
    """
    out = _put(body, place, value)
    return body if out is None else out


def taken_out(body: bytes, places: list[Path]) -> bytes:
    """The body without what stands at some places, which are counted before anything is taken out."""
    for place in sorted(places, key=_order, reverse=True):
        out = _without(body, place)
        body = body if out is None else out
    return body


def _order(place: Path) -> list[tuple[int, str]]:
    return [(-1 if step.index is None else step.index, step.name) for step in place]


def _put(body: bytes | None, place: Path, value: bytes) -> bytes | None:
    if not place:
        return value
    step, rest = place[0], place[1:]
    if body is not None and (items := _items(body)) is not None:
        return _put_item(items, step, rest, value)
    inner = None if body is None else members(body)
    if inner is None and step.index is not None:
        return _put_item([], step, rest, value)
    inner = inner or {}
    old = inner.get(step.name)
    new = _put(None if old is None else bytes(old), rest, value)
    if new is None:
        return None
    inner[step.name] = msgspec.Raw(new)
    return _encode(inner)


def _put_item(items: list[msgspec.Raw], step: Step, rest: Path, value: bytes) -> bytes | None:
    if step.index is None:
        return None
    index = len(items) if step.index < 0 else step.index
    new = _put(bytes(items[index]) if index < len(items) else None, rest, value)
    if new is None:
        return None
    items += [msgspec.Raw(b"null")] * (index + 1 - len(items))
    items[index] = msgspec.Raw(new)
    return _encode(items)


def _without(body: bytes, place: Path) -> bytes | None:
    """The body without one place; ``None``: there is nothing."""
    step, rest = place[0], place[1:]
    items = _items(body)
    if items is not None:
        index = None if step.index is None else len(items) - 1 if step.index < 0 else step.index
        if index is None or not 0 <= index < len(items):
            return None
        inner = _without(bytes(items[index]), rest) if rest else b""
        if inner is None:
            return None
        items[index : index + 1] = [msgspec.Raw(inner)] if rest else []
        return _encode(items)
    values = members(body)
    if values is None or step.name not in values:
        return None
    if not rest:
        del values[step.name]
        return _encode(values)
    inner = _without(bytes(values[step.name]), rest)
    if inner is None:
        return None
    values[step.name] = msgspec.Raw(inner)
    return _encode(values)


def _at(body: bytes | None, place: Path) -> bytes | None:
    for step in place:
        if body is None:
            return None
        items = _items(body)
        if items is None:
            value = (members(body) or {}).get(step.name)
        else:
            index = -1 if step.index is None else step.index
            value = items[index] if 0 <= index < len(items) else None
        body = None if value is None else bytes(value)
    return body


def _items(body: bytes) -> list[msgspec.Raw] | None:
    if body.lstrip()[:1] != b"[":
        return None
    try:
        return _list.decode(body)
    except BAD_JSON:
        return None


def _hits(body: bytes | None, step: Step) -> Iterator[Step]:
    for index, item in enumerate(_items(body) or () if body is not None else ()):
        if any(all(_holds(bytes(item), term) for term in terms) for terms in step.query or ()):
            yield Step(str(index), index)
            if not step.every:
                return


def _holds(item: bytes, term: Term) -> bool:
    values = found(item, term.path)
    if not term.operator:
        return bool(values)
    return any(_compared(_any.decode(value), term.operator, term.value) for value in values)


def _compared(left: Any, operator: str, right: Any) -> bool:
    if operator in ("%", "!%"):
        alike = isinstance(left, str) and isinstance(right, str) and _like(right, left)
        return alike == (operator == "%")
    if operator in ("==", "="):
        return same(left, right)
    if operator == "!=":
        return not same(left, right)
    if _is_number(left) != _is_number(right) or not isinstance(right, (str, int, float)):
        return False
    if not isinstance(left, (str, int, float)):
        return False
    return bool(_ORDER[operator](left, right))


_ORDER: dict[str, Any] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are one: ``1`` is ``1.0``, and ``true`` is no number."""
    if _is_number(left) and _is_number(right):
        return bool(left == right)
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    return bool(left == right)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _like(pattern: str, text: str) -> bool:
    """Whether a text is as a pattern says: ``*`` for anything, ``?`` for one character.

    Pieces between stars are looked for one after the other: one expression for all would try every way of
    dividing a text that does not fit.
    """
    first, *pieces = pattern.split("*")
    begins = _piece(first).match(text)
    if not pieces:
        return begins is not None and begins.end() == len(text)
    at = 0 if begins is None else begins.end()
    for piece in pieces[:-1]:
        found = _piece(piece).search(text, at)
        if found is None:
            return False
        at = found.end()
    start = len(text) - len(pieces[-1])
    return begins is not None and start >= at and _piece(pieces[-1]).match(text, start) is not None


def _piece(piece: str) -> re.Pattern[str]:
    return re.compile("".join("." if letter == "?" else re.escape(letter) for letter in piece), re.DOTALL)


def _step(part: str) -> Step:
    if part.startswith("#("):
        return _query(part)
    named = part.startswith(":")
    name, bare = _unescaped(part[1:] if named else part)
    meta = _META.search(bare)
    if meta is not None:
        raise ValueError(f"uses {meta.group()}, which is not supported in a path")
    if named or not re.fullmatch(r"-1|[0-9]+", name):
        return Step(name)
    index = int(name)
    if index > MAX_INDEX:
        raise ValueError(f"names place {index} of a list, and {MAX_INDEX} is the last that can be named")
    return Step(name, index)


def _unescaped(text: str) -> tuple[str, str]:
    """The text without backslashes, and what of it was not behind one."""
    if re.search(r"(?<!\\)(?:\\\\)*\\\Z", text):
        raise ValueError("ends in a backslash")
    return re.sub(r"\\(.)", r"\1", text), re.sub(r"\\.", "", text)


def _query(part: str) -> Step:
    inner, closed, rest = part[2:].rpartition(")")
    if not closed or rest not in ("", "#"):
        raise ValueError("has a query that does not end with ) or )#")
    terms = tuple(
        tuple(_term(text.strip()) for text in _split(choice, "&&")) for choice in _split(inner, "||")
    )
    return Step("", None, terms, rest == "#")


def _term(text: str) -> Term:
    if not text:
        raise ValueError("has an empty query")
    for at in _outside(text):
        for operator in _OPERATORS:
            if text.startswith(operator, at):
                left, right = text[:at].strip(), text[at + len(operator) :].strip()
                return Term(parse_path(left) if left else (), operator, _literal(right))
    return Term(parse_path(text))


def _literal(text: str) -> Any:
    try:
        return _any.decode(text.encode())
    except msgspec.MsgspecError:
        return text.strip("'")


def _split(text: str, mark: str) -> list[str]:
    """The parts of a text between marks that stand outside of quotes and brackets."""
    parts, start = [], 0
    for at in _outside(text):
        if at >= start and text.startswith(mark, at):
            parts.append(text[start:at])
            start = at + len(mark)
    return [*parts, text[start:]]


def _outside(text: str) -> Iterator[int]:
    """The places outside of quotes and brackets."""
    quote, depth, at = "", 0, 0
    while at < len(text):
        letter = text[at]
        if letter == "\\":
            at += 2
            continue
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "()":
            depth = max(0, depth + (1 if letter == "(" else -1))
        elif depth == 0:
            yield at
        at += 1
