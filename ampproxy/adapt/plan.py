"""How much a model thinks, where that decides over the answer's limit, sampling and demanded calls, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from ampproxy.adapt.profile import DialectProfile
from ampproxy.adapt.sampling import draw_while_thinking, fit_sampling
from ampproxy.adapt.target import Target
from ampproxy.adapt.thinking import raised_limit
from ampproxy.adapt.tools import free_choice
from ampproxy.model.base import Json, Value
from ampproxy.model.loss import Losses
from ampproxy.model.parts import Opaque, Reasoning, ToolCall, ToolResult
from ampproxy.model.request import ChatRequest, Level, Thinking, Turn
from ampproxy.model.thinking import budget_of, budget_wanted, clamp_budget, level_wanted, nearest_level
from ampproxy.wire.values import NULL

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


class _Forbidden(Value, frozen=True):
    """Why the model must not think in this request, if it must not.

    :param budget: ... for a number of tokens.
    :param free: ... as it likes.
    :param unasked: ... where the request says nothing about thinking and the model would think.
    """

    budget: str | None = None
    free: str | None = None
    unasked: str | None = None


def plan_thinking(
    asked: ChatRequest, request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses
) -> ChatRequest:
    """The request with a wish to think that the model takes, and all that follows from it.

    :param asked: the client's request, whose turns have the numbers that losses name.
    :param request: with its turns settled. Of a client that speaks the dialect, ``extras`` have its own
        member if that is still what is wished and of a kind that the model takes.
    """
    own = request.dialect == profile.dialect
    plan = _plan(request, profile, target, losses, _forbidden(asked, request, profile, target, losses))
    extras = dict(request.extras) if own else {}
    extras.pop(MEMBER, None)
    if plan.member is not None:
        extras[MEMBER] = plan.member
    sampling = msgspec.structs.replace(request.sampling, max_tokens=plan.limit)
    request = msgspec.structs.replace(request, thinking=plan.wish, sampling=sampling, extras=extras)
    if _is_forced(request) and (why := _no_force(plan, target)):
        request = free_choice(request, losses, why)
    if plan.on:
        request = draw_while_thinking(request, losses, own=own)
    return fit_sampling(request, profile, target, losses)


# ------------------------------------------------------------------------------ what is in the way


def _is_forced(request: ChatRequest) -> bool:
    return request.choice is not None and request.choice.mode in ("required", "named")


def _no_force(plan: _Plan, target: Target) -> str:
    """Why no call can be demanded; empty: it can."""
    if target.forced_tools == "never":
        return _NEVER_FORCED
    return _THINKS if plan.on and target.forced_tools != "always" else ""


def _forbidden(
    asked: ChatRequest, request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses
) -> _Forbidden:
    """Why the model must not think, in a budget and freely."""
    if _is_forced(request) and target.forced_tools == "not-thinking":
        return _Forbidden(_FORCED, _FORCED, unasked=_FORCED)
    if not _lacks_thinking(request.turns):
        return _Forbidden()
    # A model that thinks as it likes may have called without thinking, which the vendor lets pass.
    # It must not go on from thinking that was there and is lost, though.
    lost = request.dialect in profile.proofless or _lost_proof(asked.turns, losses)
    return _Forbidden(_NO_PROOF, _NO_PROOF if lost else None)


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


# ----------------------------------------------------------------------------------- the decision


def _plan(
    request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses, forbidden: _Forbidden
) -> _Plan:
    wish, limit = request.thinking, request.sampling.max_tokens
    if limit is None:
        limit = target.max_output or profile.default_output
    if wish is None:
        return _unasked(target, limit, losses, forbidden.unasked)
    if target.thinking == "none":
        if wish.mode != "off":
            losses("thinking", "thinking", "This model does not think.")
        return _Plan(None, limit)
    tried = Losses()
    found = _wished(request, wish, profile, target, limit, tried)
    by_budget = found.wish is not None and found.wish.mode == "budget"
    why = forbidden.budget if by_budget else forbidden.free
    if found.on and why and target.can_disable:
        losses("thinking", "thinking", why)
        return _Plan(Thinking("off") if _takes_levels(target) else None, limit)
    for loss in tried:
        losses(loss.kind, loss.path, loss.why)
    return found


def _takes_levels(target: Target) -> bool:
    return target.thinking in ("level", "both")


def _unasked(target: Target, limit: int, losses: Losses, why: str | None) -> _Plan:
    """Leave it to the model, unless it would think where it must not."""
    if why and target.thinks_unasked and target.can_disable and _takes_levels(target):
        losses("thinking", "thinking", why)
        return _Plan(Thinking("off"), limit)
    return _Plan(None, limit)


def _wished(
    request: ChatRequest, wish: Thinking, profile: DialectProfile, target: Target, limit: int, losses: Losses
) -> _Plan:
    own = request.dialect == profile.dialect
    member = request.extras.get(MEMBER) if own else None
    if member is not None:
        return _Plan(wish, limit, member, wish.mode != "off" and member != NULL)
    if wish.mode == "off":
        return _off(wish, profile, target, limit, losses, own=own)
    return (_level if _takes_levels(target) else _budget)(wish, target, limit, losses)


def _off(
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
