"""A small language to declare what a vendor's request may hold.

A check takes a value and the path to it, and raises :class:`Mismatch` at the first thing that the
vendor would refuse. Checks are composed into one table a dialect; each dialect says the mismatch in
its vendor's own words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

Path = tuple[str | int, ...]
Check = Callable[[Any, Path], None]
Kind = Literal["unknown", "missing", "type", "value"]


class Mismatch(Exception):
    """A value is not what the table declares.

    :param kind: an unknown member, a missing one, a wrong JSON type, or a wrong value.
    :param path: to the value; for an unknown or missing member its name is the last step.
    :param message: what is wrong, as a sentence without the path.
    """

    def __init__(self, kind: Kind, path: Path, message: str) -> None:
        super().__init__(f"{dotted(path)}: {message}")
        self.kind = kind
        self.path = path
        self.message = message


def dotted(path: Path) -> str:
    """``messages.0.content``: how Anthropic writes a path."""
    return ".".join(str(step) for step in path)


def bracketed(path: Path) -> str:
    """``messages[0].content``: how OpenAI and Google write a path."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def fail(kind: Kind, path: Path, message: str) -> None:
    """Refuse the value at ``path``."""
    raise Mismatch(kind, path, message)


def _typed(name: str, *types: type) -> Check:
    def check(value: Any, path: Path) -> None:
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            fail("type", path, f"Input should be a valid {name}")

    return check


ANY: Check = lambda value, path: None  # noqa: E731 - a constant of the language, like the next ones
STR = _typed("string", str)
INT = _typed("integer", int)
NUM = _typed("number", int, float)
BOOL = _typed("boolean", bool)
OBJECT = _typed("object", dict)
ARRAY = _typed("array", list)


def nullable(check: Check) -> Check:
    """The value may be ``null``."""
    return lambda value, path: None if value is None else check(value, path)


def choice(*allowed: str) -> Check:
    """One of these strings."""
    listed = ", ".join(f"'{one}'" for one in allowed)

    def check(value: Any, path: Path) -> None:
        STR(value, path)
        if value not in allowed:
            fail("value", path, f"Invalid value: '{value}'. Supported values are: {listed}.")

    return check


def between(low: float, high: float, check: Check = NUM) -> Check:
    """A number within both bounds."""

    def bounded(value: Any, path: Path) -> None:
        check(value, path)
        if value < low:
            fail("value", path, f"Input should be greater than or equal to {low}")
        if value > high:
            fail("value", path, f"Input should be less than or equal to {high}")

    return bounded


def matching(pattern: str, check: Check = STR) -> Check:
    """A string that the whole pattern matches."""
    compiled = re.compile(pattern)

    def matched(value: Any, path: Path) -> None:
        check(value, path)
        if not compiled.fullmatch(value):
            fail("value", path, f"String should match pattern '^{pattern}$'")

    return matched


def text_of(longest: int, shortest: int = 0) -> Check:
    """A string of bounded length."""

    def check(value: Any, path: Path) -> None:
        STR(value, path)
        if len(value) < shortest:
            fail("value", path, f"String should have at least {shortest} character")
        if len(value) > longest:
            message = (
                f"string too long. Expected a string with maximum length {longest}, but got {len(value)}"
            )
            fail("value", path, message)

    return check


def items(check: Check, most: int | None = None, least: int = 0) -> Check:
    """An array, each member of which passes."""

    def each(value: Any, path: Path) -> None:
        ARRAY(value, path)
        if len(value) < least:
            fail("value", path, f"array too short. Expected at least {least}, but got {len(value)}")
        if most is not None and len(value) > most:
            fail("value", path, f"array too long. Expected at most {most}, but got {len(value)}")
        for index, one in enumerate(value):
            check(one, (*path, index))

    return each


def values(check: Check) -> Check:
    """An object with free member names, each value of which passes."""

    def each(value: Any, path: Path) -> None:
        OBJECT(value, path)
        for name, one in value.items():
            check(one, (*path, name))

    return each


def fields(required: Mapping[str, Check] | None = None, /, **optional: Check) -> Check:
    """An object with these members and no others."""
    needed = dict(required or {})
    known = {**needed, **optional}

    def check(value: Any, path: Path) -> None:
        OBJECT(value, path)
        for name in value:
            if name not in known:
                fail("unknown", (*path, name), "Extra inputs are not permitted")
        for name in needed:
            if name not in value:
                fail("missing", (*path, name), "Field required")
        for name, member in value.items():
            known[name](member, (*path, name))

    return check


def tagged(tag: str, table: Mapping[str, Check], default: str | None = None) -> Check:
    """An object whose member ``tag`` says which row of the table it must pass."""
    listed = ", ".join(f"'{one}'" for one in table)

    def check(value: Any, path: Path) -> None:
        OBJECT(value, path)
        kind = value.get(tag, default)
        if kind is None:
            fail("missing", (*path, tag), "Field required")
        if not isinstance(kind, str) or kind not in table:
            fail("value", (*path, tag), f"Invalid value: '{kind}'. Supported values are: {listed}.")
        table[str(kind)](value, path)

    return check


def either(*, text: Check | None = None, array: Check | None = None, members: Check | None = None) -> Check:
    """What passes depends on the JSON type: a string, an array or an object."""
    rows = ((str, text), (list, array), (dict, members))

    def check(value: Any, path: Path) -> None:
        for kind, row in rows:
            if isinstance(value, kind) and row is not None:
                return row(value, path)
        names = (("string", text), ("array", array), ("object", members))
        wanted = " or ".join(name for name, row in names if row is not None)
        return fail("type", path, f"Input should be a valid {wanted}")

    return check


def same(names: Iterable[str], check: Check) -> dict[str, Check]:
    """Several members that pass the same check."""
    return dict.fromkeys(names, check)
