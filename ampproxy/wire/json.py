"""Looking into JSON, and changing single members of it, without building the rest.

Bodies are large and are not ours: what is not asked about is skipped, never built, and keeps its exact
text. Numbers past 2^53, the order of members and spaces survive.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache

import msgspec

from ampproxy.wire.late import LatePattern

#: How far from either end of a large body a member is looked for before the body is written anew.
_NEAR = 8192

#: A run of members of one object whose values are neither objects nor lists. Text without quotes and
#: backslashes, and whole strings without backslashes.
_FLAT = rb'(?:[^{}\[\]"\\]|"[^"\\]*")*'


#: JSON's ``null`` as uninterpreted JSON, which compares by content.
NULL = msgspec.Raw(b"null")


class Peek(
    msgspec.Struct,
    frozen=True,
    rename={"choice": "tool_choice", "generation": "generationConfig", "configured": "toolConfig"},
):
    """What routing must know of a body.

    :param model: ``None`` if it is missing or not a string.
    :param tools: the JSON text of ``tools``, as it is; ``null`` if it is missing. So are the others.
    :param choice: of ``tool_choice``.
    :param generation: of Gemini's ``generationConfig``.
    :param configured: of Gemini's ``toolConfig``.
    :param store: of OpenAI's ``store``.
    :param thread: of Anthropic's ``thread``.
    """

    model: str | None = None
    stream: bool = False
    tools: msgspec.Raw = NULL
    choice: msgspec.Raw = NULL
    generation: msgspec.Raw = NULL
    configured: msgspec.Raw = NULL
    store: msgspec.Raw = NULL
    thread: msgspec.Raw = NULL

    @property
    def demands(self) -> bool:
        """Whether it may demand that some tool be called."""
        return self.choice is not NULL or self.configured is not NULL


class _Found(msgspec.Struct):
    model: msgspec.Raw = NULL
    stream: msgspec.Raw = msgspec.Raw(b"false")
    tools: msgspec.Raw = NULL
    tool_choice: msgspec.Raw = NULL
    toolConfig: msgspec.Raw = NULL
    generationConfig: msgspec.Raw = NULL
    store: msgspec.Raw = NULL
    thread: msgspec.Raw = NULL


class _Model(msgspec.Struct):
    model: msgspec.Raw = msgspec.Raw(b"")


_peek = msgspec.json.Decoder(Peek)
_found = msgspec.json.Decoder(_Found)
_model = msgspec.json.Decoder(_Model)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_string = msgspec.json.Decoder(str)
_elements = msgspec.json.Decoder(list[msgspec.Raw])
_encode = msgspec.json.Encoder().encode

#: What reading bad JSON raises: malformed or mistyped, not UTF-8, nested without end.
BAD_JSON = (ValueError, RecursionError)


def peek(body: bytes) -> Peek:
    """Find ``model`` and ``stream`` in a JSON object.

    :raises ValueError: it is not valid JSON (the message tells the byte), or not an object.
    """
    try:
        return _peek.decode(body)
    except BAD_JSON:
        return _odd(body)


def _odd(body: bytes) -> Peek:
    """The same of a body that is not valid, or has something else where a name or ``true`` is expected."""
    try:
        found = _found.decode(body)
    except msgspec.ValidationError as error:
        raise ValueError("The body is JSON, but not an object.") from error
    except RecursionError as error:
        raise ValueError("The body is nested too deeply.") from error
    except BAD_JSON as error:
        raise ValueError(f"The body is not valid JSON: {error}.") from error
    return Peek(
        string(found.model),
        bytes(found.stream) == b"true",
        found.tools,
        found.tool_choice,
        found.generationConfig,
        found.toolConfig,
        found.store,
        found.thread,
    )


#: Python makes no number of thousands of them, and none of ours is as large.
_MOST_DIGITS = 18


def string(raw: msgspec.Raw) -> str | None:
    """The text of a JSON string; ``None`` for any other value."""
    try:
        return _string.decode(raw)
    except BAD_JSON:
        return None


def natural(raw: bytes | msgspec.Raw) -> int | None:
    """A whole number from zero on, of at most 18 digits; ``None`` for any other value."""
    digits = bytes(raw)
    return int(digits) if len(digits) <= _MOST_DIGITS and digits.isdigit() else None


def members(raw: bytes | msgspec.Raw) -> dict[str, msgspec.Raw] | None:
    """The members of a JSON object, values as their exact text; ``None`` for any other value."""
    try:
        return _members.decode(raw)
    except BAD_JSON:
        return None


def elements(raw: bytes | msgspec.Raw | None) -> list[msgspec.Raw]:
    """The elements of a JSON list, as their exact text; none of any other value."""
    if raw is None:
        return []
    try:
        return _elements.decode(raw)
    except BAD_JSON:
        return []


def sole_members(body: bytes, inner: Collection[str] = ()) -> bytes:
    """A JSON object written so that every reader finds the same: each name once, with the value that counted
    here, which is the last; every value's text exact.

    :param inner: members that are objects of which the same is to be true.
    :raises ValueError: two names differ in case only, which is one name to some; or it is not a JSON object.
    """
    values = members(body)
    if values is None:
        raise ValueError("The body is not a JSON object.")
    if len({name.casefold() for name in values}) < len(values):
        raise ValueError("The body has two members whose names differ in case only.")
    for name in inner:
        if name in values and members(values[name]) is not None:
            values[name] = msgspec.Raw(sole_members(bytes(values[name])))
    return _encode(values)


def replace_model(body: bytes, new: str, old: str | None = None) -> bytes:
    """Give the top-level ``model`` another value; every other byte stays.

    Without such a member the same object comes back. Where the member is not near either end, or
    stands there twice, the body is written anew: one ``model``, every value's text exact.

    :param body: JSON that has been found valid.
    :param old: the value that it was found to have. A large body is then not searched for another
        ``model`` that would count instead: no client writes two, and the search costs more than the rest.
    :raises ValueError: it is not a JSON object.
    """
    value = _encode(new)
    span = _near_span(body)
    try:
        if span is not None:
            view = memoryview(body)
            spliced = b"".join((view[: span[0]], value, view[span[1] :]))
            # The last of several members counts: then a parse has to prove that it was this one.
            known = old is not None and len(body) > _LARGE and body[span[0] : span[1]] == _encode(old)
            if known or _only(body, span[0]) or _is_model(spliced, value):
                return body if len(spliced) == len(body) and spliced == body else spliced
        return _rewritten(body, value)
    except BAD_JSON as error:
        raise ValueError(f"The body is not a JSON object: {error}.") from error


def _is_model(body: bytes, value: bytes) -> bool:
    """Whether this is JSON whose ``model`` is ``value``; not if the wrong bytes were replaced."""
    try:
        return bytes(_model.decode(body).model) == value
    except BAD_JSON:
        return False


def _only(body: bytes, value: int) -> bool:
    """Whether the ``"model"`` before the value at this place is the only one in the body."""
    at = body.rfind(_MODEL, 0, value)
    # From the end: in large bodies that search is several times faster.
    return body.rfind(_MODEL) == at and body.rfind(_MODEL, 0, at) < 0


def _rewritten(body: bytes, value: bytes) -> bytes:
    values = _members.decode(body)
    if "model" not in values:
        return body
    values["model"] = msgspec.Raw(value)
    return _encode(values)


_SCALAR = rb'("[^"\\]*(?:\\.[^"\\]*)*"|[^"\s,{}\[\]]+)'
# The first such member, which mostly is the first of all.
_HEAD = LatePattern(rb"\s*\{" + _FLAT + rb'?(?<!\\)"model"\s*:\s*' + _SCALAR)
_TAIL = LatePattern(rb'(?<!\\)"model"\s*:\s*' + _SCALAR + rb"\s*(?:," + _FLAT + rb")?\}\s*\Z")


_MODEL = b'"model"'
#: From this size on a search through a body is worth avoiding. Bytes.
_LARGE = 64 * 1024


def _near_span(body: bytes) -> tuple[int, int] | None:
    """Where the value of ``model`` stands, if no bracket is between it and an end: then it is at the top.

    Strings on the way are stepped over whole, so nothing here can lie within one.
    """
    start = body.find(b'"model"', 0, _NEAR)
    if start >= 0:
        end = min(len(body), start + _NEAR)
        match = _HEAD.match(body, 0, end)
        # What reaches the end of what was looked at may go on behind it.
        if match is not None and match.end() < end:
            return match.span(1)
    base = max(0, len(body) - _NEAR)
    start = body.rfind(b'"model"', base)
    if start >= 0:
        match = _TAIL.match(body, start)
        if match is not None:
            return match.span(1)
    return None


def replace_members(
    raw: bytes | msgspec.Raw, changes: Mapping[str, bytes], known: Mapping[str, msgspec.Raw] | None = None
) -> bytes:
    """Set members of a JSON object: existing ones in place, new ones at its end, the rest exact.

    Spaces between members are kept too wherever the member's place is unmistakable.

    :param changes: names and the JSON text of their values.
    :param known: its members, where they have been read already.
    :raises ValueError: it is not a JSON object.
    """
    text = bytes(raw)
    try:
        values = _members.decode(text) if known is None else dict(known)
    except BAD_JSON as error:
        raise ValueError(f"Not a JSON object: {error}.") from error
    for name, value in changes.items():
        old = values.get(name)
        values[name] = msgspec.Raw(value)
        if old is None:
            text = _append(text, name, value)
        elif (exact := bytes(old)) != value:
            text = _splice(text, name, exact, value, values)
    return text


def with_model(body: bytes, model: str) -> bytes:
    """A body with this ``model``; as it is where it is no object."""
    values = members(body)
    return body if values is None else replace_members(body, {"model": _encode(model)}, values)


def _append(text: bytes, name: str, value: bytes) -> bytes:
    inner = text.rstrip()[:-1].rstrip()
    comma = b"" if inner.endswith(b"{") and inner.strip() == b"{" else b","
    return inner + comma + _encode(name) + b":" + value + b"}"


def _splice(text: bytes, name: str, old: bytes, new: bytes, wanted: dict[str, msgspec.Raw]) -> bytes:
    key, pattern = _key(name)
    match = pattern.search(text)
    if match is not None and text.startswith(old, match.end()):
        at = match.end()
        view = memoryview(text)
        spliced = b"".join((view[:at], new, view[at + len(old) :]))
        # Where no other member has that name, however deep and however it is written, it was this one.
        if (text.find(key, at) < 0 and b"\\u" not in text) or members(spliced) == wanted:
            return spliced
    return _encode(wanted)


@lru_cache(maxsize=64)
def _key(name: str) -> tuple[bytes, re.Pattern[bytes]]:
    """A member's name as JSON, and what finds it: no end of a string that holds a quote."""
    key = _encode(name)
    text = re.escape(key)
    # What begins with plain text is found several times faster than what begins with a look behind.
    return key, re.compile(text + rb"(?<!\\" + text + rb")\s*:\s*")


def remove_members(raw: bytes | msgspec.Raw, names: frozenset[str]) -> bytes:
    """A JSON object without some members; the same text if it has none of them.

    :raises ValueError: it is not a JSON object.
    """
    values = members(raw)
    if values is None:
        raise ValueError("Not a JSON object.")
    if names.isdisjoint(values):
        return bytes(raw)
    return _encode({name: value for name, value in values.items() if name not in names})
