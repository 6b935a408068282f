"""The grammar of a connection's model mapping, as Amp has it. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

#: The longest pattern or id, and the longest mapping.
MAX_PATTERN, MAX_MAPPING = 256, 10_000


class BadMapping(ValueError):
    """A text is no mapping."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a mapping.

    :param target: the name that is sent; empty: the one that was asked for.
    """

    pattern: str
    target: str = ""
    excluded: bool = False

    def fits(self, model: str) -> bool:
        """Whether it is for a model, ``provider/model``."""
        if self.pattern == "*/*":
            return True
        text = self.pattern.strip("*")
        if self.pattern.startswith("*") and self.pattern.endswith("*"):
            return text in model
        if self.pattern.startswith("*"):
            return model.endswith(text)
        return model.startswith(text) if self.pattern.endswith("*") else model == text


def parse_mapping(text: str | None) -> tuple[Line, ...]:
    """The lines of a model mapping; of those that fit a model the last one counts.

    :param text: ``None``: a custom URL's default, ``*/*``.
    :raises BadMapping: it is not as Amp's grammar has it.
    """
    if text is None:
        return (Line("*/*"),)
    if len(text) > MAX_MAPPING:
        raise BadMapping(f"The model mapping is longer than {MAX_MAPPING} characters")
    rows = (row.partition("#")[0].strip() for row in re.split(r"[\n,]", text))
    lines = tuple(_line(row) for row in rows if row)
    if lines and all(line.excluded for line in lines):
        raise BadMapping("The model mapping has only exclusions")
    return lines


def _line(row: str) -> Line:
    excluded = row.startswith("-")
    source, arrow, target = (part.strip() for part in row.removeprefix("-").partition("->"))
    for text in (source, *((target,) if arrow else ())):
        if not text or len(text) > MAX_PATTERN or re.search(r"\s", text):
            raise BadMapping(f"{row!r} is no line of a model mapping")
    if "/" not in source:
        raise BadMapping(f"{source!r} must be provider/model")
    if source != "*/*" and not re.fullmatch(r"\*?[^*]+\*?", source):
        raise BadMapping(f"{source!r}: one * may stand at each end, and nowhere else")
    if arrow and (excluded or "*" in source or "*" in target):
        raise BadMapping(f"{row!r}: only an exact id can be renamed")
    return Line(source, target, excluded)


def mapped(lines: Iterable[Line], model: str) -> str | None:
    """The name under which a model is asked for at a connection; ``None``: it is not asked for there."""
    line = None
    for one in lines:
        line = one if one.fits(model) else line
    return None if line is None or line.excluded else line.target or model
