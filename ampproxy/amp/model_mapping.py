"""A connection's model mapping: which models a connection of Amp's model routing takes, and as what they are
sent there.

Lines or commas separate its rules. ``provider/model`` takes a model, ``*`` at an end of it any that begins,
ends or has that within, ``-pattern`` excludes, ``a/b -> id`` sends ``a/b`` as ``id``, and ``#`` begins a
comment. Of the rules that fit a model the last counts. The CLI of September 2026 checks them so, and its
cloud was seen to apply them so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ampproxy.model.base import Value

#: The most characters of a pattern or a name, and of a whole mapping.
MAX_NAME = 256
MAX_MAPPING = 10_000
#: What a connection takes that has no mapping: every model, also those that are not served there.
EVERYTHING = "*/*"

_BREAK = re.compile(r"[\n,]")


class BadMapping(ValueError):
    """Amp would reject it; the message has the reason."""


class Rule(Value, frozen=True):
    """One rule.

    :param pattern: ``provider/model``, perhaps with ``*`` at its ends.
    :param target: the name that is sent; empty: as it is.
    :param excluded: whether what fits is not taken.
    """

    pattern: str
    target: str = ""
    excluded: bool = False

    def __str__(self) -> str:
        if self.excluded:
            return f"-{self.pattern}"
        return f"{self.pattern} -> {self.target}" if self.target else self.pattern

    @property
    def is_exact(self) -> bool:
        """Whether it is for one model alone."""
        return "*" not in self.pattern

    def fits(self, model: str) -> bool:
        """Whether it is for a model, ``provider/model``."""
        if self.pattern == EVERYTHING:
            return True
        begin, end = self.pattern.startswith("*"), self.pattern.endswith("*")
        middle = self.pattern.strip("*")
        if begin and end:
            return middle in model
        if begin:
            return model.endswith(middle)
        return model.startswith(middle) if end else model == middle


def parse_mapping(text: str) -> tuple[Rule, ...]:
    """The rules of a mapping; none of them where it is empty, which stands for :data:`EVERYTHING`.

    :raises BadMapping: Amp would reject it.
    """
    if len(text) > MAX_MAPPING:
        raise BadMapping(f"it has more than {MAX_MAPPING} characters")
    without = (line.partition("#")[0] for line in text.split("\n"))
    rules = tuple(_rule(part.strip()) for line in without for part in _BREAK.split(line) if part.strip())
    if rules and all(rule.excluded for rule in rules):
        raise BadMapping("it excludes models and takes none")
    return rules


def _rule(text: str) -> Rule:
    pattern, arrow, target = (part.strip() for part in text.partition("->"))
    excluded = pattern.startswith("-")
    pattern = pattern.removeprefix("-").strip()
    if arrow and (excluded or not target or "*" in pattern):
        raise BadMapping(f"{text!r} renames what is no single model")
    for name in (pattern, target):
        if len(name) > MAX_NAME or re.search(r"\s", name):
            raise BadMapping(f"{name[:40]!r} is no name of a model")
    if pattern != EVERYTHING and ("/" not in pattern or "*" in pattern.strip("*")):
        raise BadMapping(f"{pattern!r} is neither provider/model nor such a name with * at its ends")
    return Rule(pattern, target, excluded)


def sent_as(rules: Sequence[Rule], model: str) -> str | None:
    """The name as which a connection would be sent a model; ``None``: it does not take it.

    :param model: as Amp names it, ``provider/model``.
    """
    if not rules:
        return model
    last = next((rule for rule in reversed(rules) if rule.fits(model)), None)
    if last is None or last.excluded:
        return None
    return last.target or model


def written(rules: Iterable[Rule], separator: str = "\n") -> str:
    """A mapping's text.

    :raises BadMapping: it is too long for Amp.
    """
    text = separator.join(map(str, rules))
    parse_mapping(text)
    return text
