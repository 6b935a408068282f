"""Says a wish for thinking as ``thinkingConfig``, in what the target takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ampproxy.dialects.base import Target
from ampproxy.dialects.common import Losses
from ampproxy.model.base import GEMINI
from ampproxy.model.request import ChatRequest, Thinking
from ampproxy.model.thinking import budget_wanted, clamp_budget, level_wanted, nearest_level

_PATH = "thinking"
#: The budget that leaves the amount to the model.
_DYNAMIC = -1
#: An answer of fewer tokens leaves no room for thinking.
_SMALL = 1024


def thinking_config(request: ChatRequest, target: Target, losses: Losses) -> dict[str, Any]:
    """The members of ``thinkingConfig``; none where there is nothing to say."""
    wish = request.thinking
    if wish is None:
        return _small_answer(request, target)
    if target.thinking == "none":
        if wish.mode != "off":
            losses("thinking", _PATH, "The model does not think.")
        return {}
    own_level = wish.mode == "level" and request.dialect == GEMINI and target.thinking == "unknown"
    if own_level and wish.level is not None:
        found: dict[str, Any] = {"thinkingLevel": wish.level.upper()}
    elif wish.mode == "auto" and wish.budget is None and request.dialect == GEMINI:
        # The client of a Gemini model named no amount at all, so none is named for it.
        found = {}
    else:
        by_level = target.thinking in ("level", "both")
        found = (_LEVELS if by_level else _BUDGETS)[wish.mode](wish, target, losses)
    if wish.show is not None and found.get("thinkingBudget") != 0:
        found["includeThoughts"] = wish.show
    return found


def _small_answer(request: ChatRequest, target: Target) -> dict[str, Any]:
    """A model that thinks unless told otherwise would spend the whole of a small answer on it, and a
    client of another dialect that did not ask for thinking does not expect that.
    """
    limit = request.sampling.max_tokens
    if request.dialect == GEMINI or limit is None or limit >= _SMALL:
        return {}
    if target.thinking == "budget":
        return {"thinkingBudget": 0 if target.can_disable else target.budget[0]}
    if target.thinking == "level":
        return {"thinkingLevel": nearest_level("minimal", target.levels).upper()}
    return {}


def _moved(losses: Losses, why: str) -> None:
    losses("thinking", _PATH, why)


def _no_budget(wish: Thinking, target: Target, losses: Losses) -> dict[str, Any]:
    if target.can_disable:
        return {"thinkingBudget": 0}
    _moved(losses, "The model cannot go without thinking, so it thinks as little as it can.")
    return {"thinkingBudget": target.budget[0]}


def _budget(wish: Thinking, target: Target, losses: Losses) -> dict[str, Any]:
    wanted = budget_wanted(wish)
    if wanted is None:
        return {"thinkingBudget": _DYNAMIC}
    given = clamp_budget(wanted, target.budget)
    if given != wanted:
        _moved(losses, f"A budget of {wanted} is outside of what the model takes; it got {given}.")
    return {"thinkingBudget": given}


def _no_level(wish: Thinking, target: Target, losses: Losses) -> dict[str, Any]:
    _moved(losses, "The model cannot go without thinking, so it thinks as little as it can.")
    return {"thinkingLevel": nearest_level("minimal", target.levels).upper()}


def _level(wish: Thinking, target: Target, losses: Losses) -> dict[str, Any]:
    wanted = level_wanted(wish)
    if wanted is None:
        return {}
    given = nearest_level(wanted, target.levels)
    if given != wanted or wish.mode == "budget":
        asked = wish.budget if wish.mode == "budget" else wanted
        _moved(losses, f"The model has no thinking of {asked}; it got the level {given}.")
    return {"thinkingLevel": given.upper()}


def _model_decides(wish: Thinking, target: Target, losses: Losses) -> dict[str, Any]:
    return {}


_Say = Callable[[Thinking, Target, Losses], dict[str, Any]]
_BUDGETS: dict[str, _Say] = {"off": _no_budget, "auto": _budget, "budget": _budget, "level": _budget}
_LEVELS: dict[str, _Say] = {"off": _no_level, "auto": _model_decides, "budget": _level, "level": _level}
