"""How much a model is to think, in what the model and its server take.

Where that decides over the answer's limit, sampling and demanded calls, too, all are planned together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from ampproxy.adapt.profile import DialectProfile
from ampproxy.adapt.settings import draw_while_thinking, fit_sampling, is_small
from ampproxy.adapt.target import Target, can_disable
from ampproxy.adapt.tools import free_choice
from ampproxy.model.base import Json, Value
from ampproxy.model.loss import Losses
from ampproxy.model.parts import Opaque, Reasoning, ToolCall, ToolResult
from ampproxy.model.request import LEVELS, ChatRequest, Level, Thinking, Turn
from ampproxy.model.thinking import budget_of, budget_wanted, clamp_budget, level_wanted, nearest_level
from ampproxy.wire.values import NULL

_PATH = "thinking"
#: The budget that leaves the amount to the model.
DYNAMIC = -1
#: An answer of fewer tokens does not matter: so few warm a cache, or try a key. The least that OpenAI takes,
#: to which a limit of one is raised before, is one less.
_MATTERS = 17


def settle_level(
    request: ChatRequest, target: Target, losses: Losses, *, trusted: bool = False, kin: bool = False
) -> ChatRequest:
    """The wish in the form of a dialect that names levels: ``off``, ``auto``, or a level that is taken.

    It is ``None`` where nothing may be asked.

    :param kin: the client speaks that dialect or one of the same vendor's, and knows that its models think.
    :param trusted: the client is taken to know the levels of a model without a description.
    """
    wish = request.thinking
    if wish is None:
        return request if kin else _small_at_levels(request, target, losses)
    if target.thinking == "none" or (target.thinks is False and not target.host.asks_unknown):
        if wish.mode != "off":
            losses("thinking", _PATH, f"{target.model} does not think.")
        return _with(request, None)
    if target.thinks is None and not target.host.asks_unknown:
        losses("thinking", _PATH, f"Whether {target.model} thinks is unknown, so no thinking was requested.")
        return _with(request, None)
    if wish.mode == "off":
        return _off(request, wish, target, losses)
    trusted = trusted and target.thinking == "unknown" and target.host.efforts is None
    return _on(request, wish, target, losses, trusted=trusted)


def _amount(wish: Thinking) -> tuple[str, str]:
    """The kind of the loss of how much to think, and its path."""
    measure = "budget" if wish.mode == "budget" else "level"
    return f"thinking_{measure}", f"{_PATH}.{measure}"


def _with(request: ChatRequest, wish: Thinking | None) -> ChatRequest:
    return request if wish == request.thinking else replace(request, thinking=wish)


def levels_of(target: Target) -> tuple[Level, ...]:
    """The levels that a model takes at its server."""
    efforts = target.host.efforts
    if efforts is None:
        return target.levels
    if "default" in efforts:
        return LEVELS
    both = [level for level in target.levels if level in efforts] if target.thinking != "unknown" else []
    return tuple(both or [effort for effort in efforts if effort in LEVELS])


def _off(request: ChatRequest, wish: Thinking, target: Target, losses: Losses) -> ChatRequest:
    if can_disable(target):
        return request
    levels = levels_of(target)
    if not levels:
        losses("thinking", _PATH, f"{target.model} cannot be kept from thinking.")
        return _with(_with_room(request, budget_of("low"), target, losses), None)
    least = nearest_level("minimal", levels)
    losses("thinking", _PATH, f"{target.model} always thinks; it was asked for the least.")
    asked = replace(wish, mode="level", level=least)
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
        losses(*_amount(wish), f"The amount of thinking of {target.model} cannot be set there.")
        return _with(request, replace(wish, mode="auto", level=None, budget=None))
    sent = level if trusted else nearest_level(level, levels)
    if wish.mode == "budget":
        losses("thinking_budget", "thinking.budget", f"A budget of {wish.budget} tokens became '{sent}'.")
    elif sent != level or target.host.efforts == ("none", "default"):
        losses("thinking_level", "thinking.level", f"Effort '{level}' became '{sent}'.")
    return _with(request, replace(wish, mode="level", level=sent, budget=None))


def _in_tokens(wish: Thinking) -> Thinking:
    """For a server that takes a number of tokens; without one the model thinks as long as it can."""
    if wish.mode == "budget" or wish.level is None:
        return wish
    if wish.level == "max":
        return replace(wish, mode="auto", level=None)
    return replace(wish, mode="budget", budget=budget_of(wish.level), level=None)


def raised_limit(limit: int, tokens: int, target: Target, losses: Losses) -> int:
    """A limit that has room for thinking that the client did not want, since the vendor counts it, too.

    A small limit would be used up before the answer begins.

    :param limit: the client's, in tokens, of the answer alone.
    :param tokens: what the least thinking comes to.
    """
    raised = max(limit, min(limit + tokens, target.max_output or limit + tokens))
    if raised != limit:
        why = f"Raised from {limit} to {raised}: the model cannot be kept from thinking first."
        losses("raised_limit", "sampling.max_tokens", why)
    return raised


def _with_room(
    request: ChatRequest, tokens: int, target: Target, losses: Losses, least: int = 1
) -> ChatRequest:
    """With room for thinking, where the limit is not less than ``least``."""
    limit = request.sampling.max_tokens
    if limit is None or limit < least:
        return request
    raised = raised_limit(limit, tokens, target, losses)
    return replace(request, sampling=replace(request.sampling, max_tokens=raised))


def forbid_with_tools(request: ChatRequest, target: Target, losses: Losses) -> ChatRequest:
    """No thinking where the vendor takes functions only without it."""
    wish = request.thinking
    if not request.tools or (wish is not None and wish.mode == "off"):
        return request
    losses("thinking", _PATH, f"{target.model} takes tools over Chat Completions only without thinking.")
    return _with(request, Thinking("off"))


def settle_amount(
    request: ChatRequest, target: Target, losses: Losses, *, trusted: bool = False
) -> ChatRequest:
    """The wish in the form of a dialect that has levels for some models and budgets for others: ``off``,
    ``auto`` (nothing is named), a level or a budget that is taken. ``None``: nothing is asked.

    :param trusted: the client spoke that dialect itself, and knows what it names or leaves out.
    """
    wish = request.thinking
    if wish is None:
        return request if trusted else _small_answer(request, target, losses)
    if target.thinking == "none":
        if wish.mode != "off":
            losses("thinking", _PATH, "The model does not think.")
        return _with(request, None)
    own_level = trusted and wish.mode == "level" and target.thinking == "unknown"
    if own_level or (trusted and wish.mode == "auto" and wish.budget is None):
        return request
    by_level = target.thinking in ("level", "both")
    return (_by_level if by_level else _by_budget)(request, wish, target, losses)


def _small_answer(request: ChatRequest, target: Target, losses: Losses) -> ChatRequest:
    """The least thinking for a small answer, and room for it where that is not none."""
    if not is_small(request) or target.thinking not in ("budget", "level"):
        return request
    if target.thinking == "level":
        least = nearest_level("minimal", target.levels)
        if least != "minimal":
            request = _with_room(request, budget_of(least), target, losses, _MATTERS)
        return _with(request, Thinking("level", level=least))
    if target.can_disable:
        return _with(request, Thinking("off"))
    request = _with_room(request, target.budget[0], target, losses, _MATTERS)
    return _with(request, Thinking("budget", target.budget[0]))


def _small_at_levels(request: ChatRequest, target: Target, losses: Losses) -> ChatRequest:
    """The same for a model that names levels, if it always thinks."""
    levels = levels_of(target)
    if not is_small(request) or not target.thinks_unasked or can_disable(target) or not levels:
        return request
    least = nearest_level("minimal", levels)
    request = _with_room(request, budget_of(least), target, losses, _MATTERS)
    return _with(request, Thinking("level", level=least))


def _by_budget(request: ChatRequest, wish: Thinking, target: Target, losses: Losses) -> ChatRequest:
    if wish.mode == "off" and target.can_disable:
        return request
    wanted = 0 if wish.mode == "off" else budget_wanted(wish)
    given = DYNAMIC if wanted is None else clamp_budget(wanted, target.budget)
    if wish.mode == "off":
        losses("thinking", _PATH, _LEAST)
        request = _with_room(request, given, target, losses)
    elif wanted is not None and given != wanted:
        losses(*_amount(wish), f"The model does not accept a budget of {wanted}; {given} was sent.")
    return _with(request, replace(wish, mode="budget", budget=given, level=None))


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
        losses(*_amount(wish), f"The model does not support thinking of {asked}; the level {given} was sent.")
    return _with(request, replace(wish, mode="level", level=given, budget=None))


_LEAST = "The model always thinks; it was set to the minimum."


#: The member of ``extras`` that is sent as it is in place of the wish; ``null``: an effort is sent alone.
MEMBER: Final = "thinking"

#: Smallest budget that the vendor takes.
_MIN_BUDGET: Final = 1024
#: What "as much as you like" comes to for a model that wants a number.
_AUTO_BUDGET: Final = 8192

_FORCED: Final = "A call was demanded, and the model must not think then."
_NEVER_FORCED: Final = "A call cannot be demanded of this model."
_THINKS: Final = "A call cannot be demanded of a model that thinks."
_NO_PROOF: Final = "The tool loop under way has no thinking that this vendor would take back."
_PROOF_LOSSES: Final = ("foreign_proof", "unsigned_thinking")


class _Plan(Value, frozen=True):
    """What is decided.

    :param wish: in the model's own form; ``None``: nothing is sent.
    :param member: what is sent in its place; see :data:`MEMBER`.
    :param on: whether the model will think: that forbids sampling parameters and forced calls.
    """

    wish: Thinking | None
    limit: int
    member: Json | None = None
    on: bool = False


def plan_thinking(
    asked: ChatRequest, request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses
) -> ChatRequest:
    """The request with a wish to think that the model takes, and all that follows from it.

    :param asked: the client's request, whose turns have the numbers that losses name.
    :param request: with its turns settled. Of a client that speaks the dialect, ``extras`` have its own
        member if that is still what is wished and of a kind that the model takes.
    """
    own = request.dialect == profile.dialect
    plan = _plan(asked, request, profile, target, losses)
    extras = dict(request.extras) if own else {}
    extras.pop(MEMBER, None)
    if plan.member is not None:
        extras[MEMBER] = plan.member
    sampling = replace(request.sampling, max_tokens=plan.limit)
    request = replace(request, thinking=plan.wish, sampling=sampling, extras=extras)
    never = target.forced_tools == "never"
    if _is_forced(request) and (never or (plan.on and target.forced_tools != "always")):
        request = free_choice(request, losses, _NEVER_FORCED if never else _THINKS)
    if plan.on:
        request = draw_while_thinking(request, losses, own=own)
    return fit_sampling(request, profile, target, losses)


def without_member(request: ChatRequest) -> ChatRequest:
    """The request without its client's own words for a wish to think, which is another one now."""
    if MEMBER not in request.extras:
        return request
    return replace(request, extras={name: value for name, value in request.extras.items() if name != MEMBER})


def _is_forced(request: ChatRequest) -> bool:
    return request.choice is not None and request.choice.mode in ("required", "named")


def _why_not(
    asked: ChatRequest, request: ChatRequest, profile: DialectProfile, losses: Losses, *, by_budget: bool
) -> str:
    """Why the model must not think in this request, by a number of tokens or as it likes; empty: it may."""
    if not _lacks_thinking(request.turns):
        return ""
    # A model that thinks as it likes may have called without thinking, which the vendor lets pass.
    # It must not go on from thinking that was there and is lost, though.
    lost = by_budget or request.dialect in profile.proofless or _lost_proof(asked.turns, losses)
    return _NO_PROOF if lost else ""


def _lacks_thinking(turns: Sequence[Turn]) -> bool:
    """Whether a tool loop is under way whose assistant turn does not begin with thinking.

    The vendor answers 400 to such a request with thinking on. It is what a thread looks like whose
    client cannot carry proofs, or whose calls came from another vendor's model.
    """
    if len(turns) < 2 or turns[-1].role != "user":
        return False
    before = next((turn for turn in reversed(turns) if turn.role == "assistant"), None)
    if before is None or not any(isinstance(part, ToolCall) for part in before.parts):
        return False
    if not any(isinstance(part, ToolResult) for part in turns[-1].parts):
        return False
    first = before.parts[0]
    kept = isinstance(first, Opaque) and first.kind in ("thinking", "redacted_thinking")
    return not (kept or isinstance(first, Reasoning))


def _lost_proof(turns: Sequence[Turn], losses: Losses) -> bool:
    """Whether thinking since the user's last own words had to be left out."""
    last = -1
    for number, turn in enumerate(turns):
        if turn.role == "user" and not all(isinstance(part, ToolResult) for part in turn.parts):
            last = number
    since = {f"turns[{number}]" for number in range(last + 1, len(turns))}
    return any(loss.kind in _PROOF_LOSSES and loss.path.partition(".")[0] in since for loss in losses)


def _plan(
    asked: ChatRequest, request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses
) -> _Plan:
    wish, limit = request.thinking, request.sampling.max_tokens
    forced = _is_forced(request) and target.forced_tools == "not-thinking"
    if limit is None:
        limit = target.max_output or profile.default_output
    if wish is None:
        if request.dialect != profile.dialect and is_small(request) and target.thinks_unasked:
            return _small_plan(profile, target, limit, losses)
        # It is left to the model, unless it would think where it must not.
        if forced and target.thinks_unasked and target.can_disable and _takes_levels(target):
            losses("thinking", "thinking", _FORCED)
            return _Plan(Thinking("off"), limit)
        return _Plan(None, limit)
    if target.thinking == "none":
        if wish.mode != "off":
            losses("thinking", "thinking", "This model does not think.")
        return _Plan(None, limit)
    tried = Losses()
    found = _wished(request, wish, profile, target, limit, tried)
    by_budget = found.wish is not None and found.wish.mode == "budget"
    why = _FORCED if forced else _why_not(asked, request, profile, losses, by_budget=by_budget)
    if found.on and why and target.can_disable:
        losses("thinking", "thinking", why)
        return _Plan(Thinking("off") if _takes_levels(target) else None, limit)
    for loss in tried:
        losses(loss.kind, loss.path, loss.why)
    return found


def _takes_levels(target: Target) -> bool:
    return target.thinking in ("level", "both")


def _small_plan(profile: DialectProfile, target: Target, limit: int, losses: Losses) -> _Plan:
    """As little as can be for a small answer of who did not ask for thinking, and room for it."""
    if not _takes_levels(target):
        return _Plan(None, limit)
    if target.can_disable or target.between_tools:
        return _Plan(Thinking("off"), limit, None if target.can_disable else profile.between_tools)
    least = nearest_level("low", target.levels)
    room = limit if limit < _MATTERS else raised_limit(limit, budget_of(least), target, losses)
    return _Plan(Thinking("level", level=least), room, NULL, on=True)


def _wished(
    request: ChatRequest, wish: Thinking, profile: DialectProfile, target: Target, limit: int, losses: Losses
) -> _Plan:
    own = request.dialect == profile.dialect
    member = request.extras.get(MEMBER) if own else None
    if member is not None:
        return _Plan(wish, limit, member, wish.mode != "off" and member != NULL)
    if wish.mode == "off":
        return _planned_off(wish, profile, target, limit, losses, own=own)
    return (_level if _takes_levels(target) else _budget)(wish, target, limit, losses)


def _planned_off(
    wish: Thinking, profile: DialectProfile, target: Target, limit: int, losses: Losses, *, own: bool
) -> _Plan:
    if target.can_disable:
        return _Plan(Thinking("off"), limit)
    if target.between_tools:
        losses("thinking", "thinking", "This model cannot be kept from thinking between calls.")
        return _Plan(Thinking("off"), limit, profile.between_tools)
    losses("thinking", "thinking", "This model cannot be kept from thinking.")
    if _takes_levels(target):
        least = nearest_level("low", target.levels)
        # A client of this dialect knows that its limit counts the thinking.
        room = limit if own else raised_limit(limit, budget_of(least), target, losses)
        return _Plan(Thinking("level", level=least), room, NULL, on=True)
    return _budget(Thinking("budget", _MIN_BUDGET, show=wish.show), target, limit, losses)


def _level(wish: Thinking, target: Target, limit: int, losses: Losses) -> _Plan:
    """As it likes, with an effort."""
    wanted: Level | None = wish.level if wish.mode == "budget" and wish.level else level_wanted(wish)
    effort = nearest_level(wanted, target.levels) if wanted else None
    if wish.mode == "budget":
        why = f"The model takes levels of effort, not tokens: {effort}."
        losses("thinking_budget", "thinking.budget", why)
    elif effort != wanted:
        losses("thinking_level", "thinking.level", f"The model does not take {wanted}: {effort}.")
    return _Plan(Thinking("level" if effort else "auto", level=effort, show=wish.show), limit, on=True)


def _budget(wish: Thinking, target: Target, limit: int, losses: Losses) -> _Plan:
    """A number of tokens, at least 1024 and less than the limit of the answer."""
    wanted = budget_wanted(wish)
    if wanted is None:
        wanted = _AUTO_BUDGET
        losses("thinking_budget", "thinking", f"The model wants a number of tokens: {wanted}.")
    budget = max(_MIN_BUDGET, clamp_budget(wanted, target.budget))
    room = limit
    if room <= budget:
        # The client's limit is for what it reads; the vendor counts thinking too.
        room = budget + limit
        if target.max_output is not None and room > target.max_output:
            room = max(target.max_output, _MIN_BUDGET + 1)
            budget = max(_MIN_BUDGET, min(budget, room - min(limit, room // 2)))
        why = f"Raised from {limit} to {room}, above the thinking budget."
        losses("max_tokens", "sampling.max_tokens", why)
    if budget != wanted:
        why = f"{wanted} tokens became {budget}, which the model takes."
        losses("thinking_budget", "thinking.budget", why)
    return _Plan(Thinking("budget", budget, show=wish.show), room, on=True)
