"""How much a model is to think, in what the model and its server take."""

from __future__ import annotations

import msgspec

from ampproxy.adapt.target import Target
from ampproxy.model.loss import Losses
from ampproxy.model.request import LEVELS, ChatRequest, Level, Thinking
from ampproxy.model.thinking import budget_of, budget_wanted, clamp_budget, level_wanted, nearest_level

_PATH = "thinking"


def settle_level(
    request: ChatRequest, target: Target, losses: Losses, *, trusted: bool = False
) -> ChatRequest:
    """The wish in the form of a dialect that names levels: ``off``, ``auto``, or a level that is taken.

    It is ``None`` where nothing may be asked.

    :param trusted: the client is taken to know the levels of a model that nobody described.
    """
    wish = request.thinking
    if wish is None:
        return request
    if target.thinking == "none" or (target.thinks is False and not target.host.asks_unknown):
        if wish.mode != "off":
            losses("thinking", _PATH, f"{target.model} does not think.")
        return _with(request, None)
    if target.thinks is None and not target.host.asks_unknown:
        _lose(wish, losses, f"Whether {target.model} thinks is unknown, so no thinking was requested.")
        return _with(request, None)
    if wish.mode == "off":
        return _off(request, wish, target, losses)
    trusted = trusted and target.thinking == "unknown" and target.host.efforts is None
    return _on(request, wish, target, losses, trusted=trusted)


def _lose(wish: Thinking, losses: Losses, why: str) -> None:
    """Note that a wish is not passed on."""
    amount = wish.mode in ("level", "budget")
    losses(
        f"thinking_{wish.mode}" if amount else "thinking", f"thinking.{wish.mode}" if amount else _PATH, why
    )


def _with(request: ChatRequest, wish: Thinking | None) -> ChatRequest:
    return request if wish == request.thinking else msgspec.structs.replace(request, thinking=wish)


def levels_of(target: Target) -> tuple[Level, ...]:
    """The levels that a model takes at its server."""
    efforts = target.host.efforts
    if efforts is None:
        return target.levels
    if "default" in efforts:
        return LEVELS
    both = [level for level in target.levels if level in efforts] if target.thinking != "unknown" else []
    return tuple(both or [effort for effort in efforts if effort in LEVELS])


def can_disable(target: Target) -> bool:
    """Whether a model can be kept from thinking at its server."""
    host = target.host
    if host.switch == "effort":
        return target.can_disable and (host.efforts is None or "none" in host.efforts)
    return target.can_disable and host.switch != "none"


def _off(request: ChatRequest, wish: Thinking, target: Target, losses: Losses) -> ChatRequest:
    if can_disable(target):
        return request
    levels = levels_of(target)
    if not levels:
        losses("thinking", _PATH, f"{target.model} always thinks.")
        return _with(_with_room(request, budget_of("low"), target, losses), None)
    least = nearest_level("minimal", levels)
    losses("thinking", _PATH, f"{target.model} always thinks; it was set to the minimum.")
    asked = msgspec.structs.replace(wish, mode="level", level=least)
    return _with(_with_room(request, budget_of(least), target, losses), asked)


def _on(
    request: ChatRequest, wish: Thinking, target: Target, losses: Losses, *, trusted: bool
) -> ChatRequest:
    level = level_wanted(wish)
    if level is None:
        return request
    if target.host.switch == "enable_thinking":
        return _with(request, _in_tokens(wish))
    levels = levels_of(target)
    if not levels:
        _lose(wish, losses, f"The amount of thinking of {target.model} cannot be set there.")
        return _with(request, msgspec.structs.replace(wish, mode="auto", level=None, budget=None))
    sent = level if trusted else nearest_level(level, levels)
    if wish.mode == "budget":
        losses("thinking_budget", "thinking.budget", f"A budget of {wish.budget} tokens became '{sent}'.")
    elif sent != level or target.host.efforts == ("none", "default"):
        losses("thinking_level", "thinking.level", f"Effort '{level}' became '{sent}'.")
    return _with(request, msgspec.structs.replace(wish, mode="level", level=sent, budget=None))


def _in_tokens(wish: Thinking) -> Thinking:
    """For a server that takes a number of tokens; without one the model thinks as long as it can."""
    if wish.mode == "budget" or wish.level is None:
        return wish
    if wish.level == "max":
        return msgspec.structs.replace(wish, mode="auto", level=None)
    return msgspec.structs.replace(wish, mode="budget", budget=budget_of(wish.level), level=None)


def raised_limit(limit: int, tokens: int, target: Target, losses: Losses) -> int:
    """A limit that has room for thinking that the client did not want, since the vendor counts it, too.

    A small limit would be used up before the answer begins.

    :param limit: the client's, in tokens, of the answer alone.
    :param tokens: what the least thinking comes to.
    """
    raised = max(limit, min(limit + tokens, target.max_output or limit + tokens))
    if raised != limit:
        why = f"Raised from {limit} to {raised}: the model always thinks first."
        losses("max_tokens", "sampling.max_tokens", why)
    return raised


def _with_room(request: ChatRequest, tokens: int, target: Target, losses: Losses) -> ChatRequest:
    limit = request.sampling.max_tokens
    if limit is None or limit < 1:
        return request
    raised = raised_limit(limit, tokens, target, losses)
    sampling = msgspec.structs.replace(request.sampling, max_tokens=raised)
    return msgspec.structs.replace(request, sampling=sampling)


def forbid_with_tools(request: ChatRequest, target: Target, losses: Losses) -> ChatRequest:
    """No thinking where the vendor takes functions only without it."""
    wish = request.thinking
    if target.chat_tools != "not-thinking" or not request.tools or (wish is not None and wish.mode == "off"):
        return request
    losses("thinking", _PATH, f"{target.model} accepts tools over Chat Completions only without thinking.")
    return _with(request, Thinking("off"))


#: The budget that leaves the amount to the model.
DYNAMIC = -1
#: An answer of fewer tokens leaves no room for thinking.
_SMALL = 1024


def settle_amount(
    request: ChatRequest, target: Target, losses: Losses, *, trusted: bool = False
) -> ChatRequest:
    """The wish in the form of a dialect that has levels for some models and budgets for others: ``off``,
    ``auto`` (nothing is named), a level or a budget that is taken. ``None``: nothing is asked.

    :param trusted: the client spoke that dialect itself, and knows what it names or leaves out.
    """
    wish = request.thinking
    if wish is None:
        return request if trusted else _small_answer(request, target)
    if target.thinking == "none":
        if wish.mode != "off":
            losses("thinking", _PATH, "The model does not think.")
        return _with(request, None)
    own_level = trusted and wish.mode == "level" and target.thinking == "unknown"
    if own_level or (trusted and wish.mode == "auto" and wish.budget is None):
        return request
    by_level = target.thinking in ("level", "both")
    return (_by_level if by_level else _by_budget)(request, wish, target, losses)


def _small_answer(request: ChatRequest, target: Target) -> ChatRequest:
    """A model that thinks unless told otherwise would spend the whole of a small answer on it, and a
    client of another dialect that did not ask for thinking does not expect that.
    """
    limit = request.sampling.max_tokens
    if limit is None or limit >= _SMALL or target.thinking not in ("budget", "level"):
        return request
    if target.thinking == "level":
        return _with(request, Thinking("level", level=nearest_level("minimal", target.levels)))
    return _with(request, Thinking("off") if target.can_disable else Thinking("budget", target.budget[0]))


def _by_budget(request: ChatRequest, wish: Thinking, target: Target, losses: Losses) -> ChatRequest:
    if wish.mode == "off" and target.can_disable:
        return request
    wanted = 0 if wish.mode == "off" else budget_wanted(wish)
    given = DYNAMIC if wanted is None else clamp_budget(wanted, target.budget)
    if wish.mode == "off":
        losses("thinking", _PATH, _LEAST)
        request = _with_room(request, given, target, losses)
    elif wanted is not None and given != wanted:
        losses("thinking", _PATH, f"The model does not accept a budget of {wanted}; {given} was sent.")
    return _with(request, msgspec.structs.replace(wish, mode="budget", budget=given, level=None))


def _by_level(request: ChatRequest, wish: Thinking, target: Target, losses: Losses) -> ChatRequest:
    wanted = "minimal" if wish.mode == "off" else level_wanted(wish)
    if wanted is None:
        return request
    given = nearest_level(wanted, target.levels)
    if wish.mode == "off":
        losses("thinking", _PATH, _LEAST)
        request = _with_room(request, budget_of(given), target, losses)
    elif given != wanted or wish.mode == "budget":
        asked = wish.budget if wish.mode == "budget" else wanted
        losses(
            "thinking", _PATH, f"The model does not support thinking of {asked}; the level {given} was sent."
        )
    return _with(request, msgspec.structs.replace(wish, mode="level", level=given, budget=None))


_LEAST = "The model always thinks; it was set to the minimum."
