"""Which model each of Amp's classic versions asks for, in each role.

Seen in the traffic of the CLIs of 8 January, 10 February and 4 May 2026, and read in the tables of those
between. Later clients (Neo) ask for none: Amp's cloud does (:mod:`ampproxy.amp.modes`). Modes that only
Amp's own people can choose are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timezone

from ampproxy.model.base import ANTHROPIC, GEMINI, RESPONSES, Value

#: Where the paths of each dialect are, as the clients ask; ``{model}`` stands for the model.
PATHS: Mapping[str, str] = {
    ANTHROPIC: "/api/provider/anthropic/v1/messages",
    RESPONSES: "/api/provider/openai/v1/responses",
    GEMINI: "/api/provider/google/v1beta1/publishers/google/models/{model}:generateContent",
}


class Ask(Value, frozen=True):
    """A role, and the model that a version asks for in it."""

    role: str
    model: str
    dialect: str


class _Since(Value, frozen=True):
    """From the versions of this day on; ``model``: empty where the role is gone."""

    day: date
    model: str
    dialect: str = ANTHROPIC


def _since(month: int, day: int, model: str, dialect: str = ANTHROPIC) -> _Since:
    return _Since(date(2026, month, day), model, dialect)


_HAIKU = "claude-haiku-4-5-20251001"
_MAIN = (
    _since(1, 1, "claude-opus-4-5-20251101"),
    _since(2, 10, "claude-opus-4-6"),
    _since(4, 27, "claude-opus-4-7"),
)

#: role -> what it asked for, from when on.
HISTORY: Mapping[str, tuple[_Since, ...]] = {
    "smart": _MAIN,
    "rush": (_since(1, 1, _HAIKU),),
    "free": (_since(1, 1, _HAIKU), _since(4, 21, "")),
    "large": (
        _since(1, 1, "claude-sonnet-4-5-20250929"),
        _since(3, 13, "claude-sonnet-4-6"),
        _since(3, 24, "claude-opus-4-6"),
    ),
    "deep": (
        _since(1, 25, "gpt-5.2-codex", RESPONSES),
        _since(3, 13, "gpt-5.3-codex", RESPONSES),
        _since(3, 27, "gpt-5.4", RESPONSES),
    ),
    "oracle": (
        _since(1, 1, "gpt-5.1", RESPONSES),
        _since(2, 10, "gpt-5.2", RESPONSES),
        _since(5, 4, "gpt-5.4", RESPONSES),
    ),
    "finder": (_since(1, 1, "gemini-3-flash-preview", GEMINI),),
    "librarian": (_since(1, 1, _HAIKU), _since(5, 4, "claude-sonnet-4-6")),
    "task": _MAIN,
    "title": (_since(1, 1, _HAIKU),),
    "handoff": _MAIN,
    "review": (
        _since(1, 1, "claude-sonnet-4-5"),
        _since(2, 10, "gemini-3-pro-preview", GEMINI),
        _since(5, 4, "gemini-3.1-pro-preview", GEMINI),
    ),
    "painter": (_since(2, 10, "gemini-3-pro-image-preview", GEMINI),),
    "look_at": (_since(1, 1, "gemini-3-flash-preview", GEMINI),),
    "read_thread": (
        _since(1, 1, "gemini-2.5-flash-lite-preview-09-2025", GEMINI),
        _since(2, 10, "gemini-3-flash-preview", GEMINI),
    ),
}


def asks(built: float) -> tuple[Ask, ...]:
    """What a version asks for, a role each.

    :param built: when it was built, in seconds since the epoch. An older version than any that is known
        counts as the oldest.
    """
    day = max(datetime.fromtimestamp(built, timezone.utc).date(), date(2026, 1, 8))
    found = []
    for role, history in HISTORY.items():
        past = [row for row in history if row.day <= day]
        if past and past[-1].model:
            found.append(Ask(role, past[-1].model, past[-1].dialect))
    return tuple(found)
