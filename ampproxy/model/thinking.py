"""Levels of thinking and token budgets: the one table that leads from one to the other.

No vendor publishes an exact equation between effort and tokens. The figures are those of Google's
table for its OpenAI-compatible endpoint (low 1024, medium 8192, high 24576), widened by the levels
that table does not have.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ampproxy.model.request import LEVELS, Level, Thinking

#: What each level asks for, in tokens.
BUDGETS: dict[Level, int] = {
    "minimal": 512,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 32_768,
    "max": 128_000,
}

#: The largest budget of each level but the last; what is above them all is ``xhigh``.
_CEILINGS: tuple[tuple[int, Level], ...] = (
    (512, "minimal"),
    (1024, "low"),
    (8192, "medium"),
    (24_576, "high"),
)

_RANK: dict[Level, int] = {level: rank for rank, level in enumerate(LEVELS)}


def budget_of(level: Level) -> int:
    """The token budget that stands for a level."""
    return BUDGETS[level]


def level_of(budget: int) -> Level:
    """The level that stands for a token budget. ``max`` is never reached: it must be asked for by name."""
    for ceiling, level in _CEILINGS:
        if budget <= ceiling:
            return level
    return "xhigh"


def nearest_level(level: Level, allowed: Sequence[Level]) -> Level:
    """The accepted level that is nearest; of two equally near ones the higher, since an answer that
    was thought over too little cannot be mended. ``level`` itself when nothing is named.
    """
    if not allowed or level in allowed:
        return level
    rank = _RANK[level]
    return min(allowed, key=lambda other: (abs(_RANK[other] - rank), -_RANK[other]))


def clamp_budget(budget: int, bounds: tuple[int, int]) -> int:
    """The budget, moved into what is accepted (smallest, largest)."""
    smallest, largest = bounds
    return max(smallest, min(budget, largest))


def budget_wanted(thinking: Thinking) -> int | None:
    """The budget that a wish comes to; ``None`` for ``off``, ``auto`` and a wish without an amount."""
    if thinking.mode == "budget":
        return thinking.budget
    if thinking.mode == "level" and thinking.level is not None:
        return budget_of(thinking.level)
    return None


def level_wanted(thinking: Thinking) -> Level | None:
    """The level that a wish comes to; ``None`` for ``off``, ``auto`` and a wish without an amount."""
    if thinking.mode == "level":
        return thinking.level
    if thinking.mode == "budget" and thinking.budget is not None:
        return level_of(thinking.budget)
    return None


def with_suffix(thinking: Thinking | None, suffix: str) -> Thinking | None:
    """Apply the thinking suffix of a model's name, ``model(SUFFIX)``; it beats what the body says.

    :param thinking: the body's wish; whether thinking is to be shown is kept from it.
    :param suffix: ``none``, ``auto`` (or ``-1``, which is the budget of the result), a level, or a
        number of tokens (0 is ``none``), in any case; anything else is ignored and ``thinking`` is
        given back.
    """
    asked = _read_suffix(suffix.strip().lower())
    if asked is None or thinking is None:
        return asked or thinking
    return msgspec.structs.replace(asked, show=thinking.show, summary=thinking.summary)


def _read_suffix(word: str) -> Thinking | None:
    if word in ("none", "0"):
        return Thinking("off")
    if word in ("auto", "-1"):
        return Thinking("auto", budget=-1)
    for level in LEVELS:
        if word == level:
            return Thinking("level", level=level)
    if word.isascii() and word.isdigit() and len(word) < 10:
        budget = int(word)
        return Thinking("budget", budget=budget) if budget else Thinking("off")
    return None
