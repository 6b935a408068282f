"""How much a request lets the model think, in the words that the target takes."""

from __future__ import annotations

from typing import Any, Final

from ampproxy.adapt.thinking import raised_limit
from ampproxy.dialects.anthropic.request_in import read_thinking
from ampproxy.dialects.base import Target
from ampproxy.dialects.common import NULL, Losses, loads
from ampproxy.errors import ClientFault
from ampproxy.model.base import ANTHROPIC, Json, Value
from ampproxy.model.request import ChatRequest, Level, Thinking
from ampproxy.model.thinking import budget_of, budget_wanted, clamp_budget, level_wanted, nearest_level

#: Smallest budget that the vendor takes.
MIN_BUDGET: Final = 1024
#: Where neither the client nor the model's description says how long an answer may be.
DEFAULT_MAX_TOKENS: Final = 32_000
#: What "as much as you like" comes to for a model that wants a number.
_AUTO_BUDGET: Final = 8192


class Plan(Value, frozen=True):
    """What a request says about thinking.

    :param member: the ``thinking`` member, ``None``: left out.
    :param effort: ``output_config.effort``.
    :param on: whether the model will think: that forbids sampling parameters and forced calls.
    """

    member: Json | dict[str, Any] | None = None
    effort: str | None = None
    max_tokens: int = DEFAULT_MAX_TOKENS
    on: bool = False


class Forbidden(Value, frozen=True):
    """Why the model must not think in this request, if it must not.

    :param budget: ... in the manner of ``enabled``.
    :param free: ... in the manner of ``adaptive``.
    :param unasked: ... where the request says nothing about thinking and the model would think.
    """

    budget: str | None = None
    free: str | None = None
    unasked: str | None = None


def plan(request: ChatRequest, target: Target, losses: Losses, *, forbidden: Forbidden) -> Plan:
    """Decide what is said about thinking."""
    wish = request.thinking
    tokens = request.sampling.max_tokens
    if tokens is None:
        tokens = target.max_output or DEFAULT_MAX_TOKENS
    if wish is None:
        return _unasked(target, tokens, losses, forbidden.unasked)
    if target.thinking == "none":
        return _without(wish, tokens, losses)
    tried = Losses()
    found = _wished(request, wish, target, tokens, tried)
    why = forbidden.budget if _is_enabled(found.member) else forbidden.free
    if found.on and why and target.can_disable:
        losses("thinking", "thinking", why)
        return Plan({"type": "disabled"} if _takes_levels(target) else None, None, tokens)
    for loss in tried:
        losses(loss.kind, loss.path, loss.why)
    return found


def _unasked(target: Target, tokens: int, losses: Losses, why: str | None) -> Plan:
    """Leave it to the model, unless it would think where it must not."""
    if why and target.thinks_unasked and target.can_disable and _takes_levels(target):
        losses("thinking", "thinking", why)
        return Plan({"type": "disabled"}, None, tokens)
    return Plan(max_tokens=tokens)


def _wished(request: ChatRequest, wish: Thinking, target: Target, tokens: int, losses: Losses) -> Plan:
    member = _client_member(request, wish, target)
    if member is not None:
        return _unchanged(member, wish, tokens)
    if wish.mode == "off":
        return _off(wish, target, tokens, losses, own=_is_own(request))
    render = _level if _takes_levels(target) else _budget
    return render(wish, target, tokens, losses)


def _is_enabled(member: Json | dict[str, Any] | None) -> bool:
    value = loads(member) if isinstance(member, Json) else member
    return isinstance(value, dict) and value.get("type") == "enabled"


def _is_own(request: ChatRequest) -> bool:
    return request.dialect == ANTHROPIC


def _takes_levels(target: Target) -> bool:
    return target.thinking in ("level", "both")


def _without(wish: Thinking, tokens: int, losses: Losses) -> Plan:
    if wish.mode != "off":
        losses("thinking", "thinking", "This model does not think.")
    return Plan(max_tokens=tokens)


def _client_member(request: ChatRequest, wish: Thinking, target: Target) -> Json | None:
    """The client's own ``thinking`` member (``null`` for an effort alone), if it is of this dialect, still
    what is wished, and of a kind that the model takes.
    """
    raw = request.extras.get("thinking") if _is_own(request) else None
    if raw is None:
        return None
    try:
        if read_thinking(raw, wish.level) != wish:
            return None
    except ClientFault:
        return None
    return raw if _fits(loads(raw), target) else None


def _fits(value: Any, target: Target) -> bool:
    """Whether a model takes a ``thinking`` member of this dialect; one that nobody described takes any."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "disabled":
        return target.can_disable
    if kind == "between_tools":
        return target.between_tools or target.thinking == "unknown"
    if kind == "enabled":
        return target.thinking != "level"
    return target.thinking != "budget"


def _unchanged(member: Json, wish: Thinking, tokens: int) -> Plan:
    alone = member == NULL
    return Plan(None if alone else member, wish.level, tokens, wish.mode != "off" and not alone)


def _off(wish: Thinking, target: Target, tokens: int, losses: Losses, *, own: bool) -> Plan:
    if target.can_disable:
        return Plan({"type": "disabled"}, None, tokens)
    if target.between_tools:
        losses("thinking", "thinking", "This model cannot be kept from thinking between calls.")
        return Plan({"type": "between_tools"}, None, tokens)
    losses("thinking", "thinking", "This model cannot be kept from thinking.")
    if _takes_levels(target):
        least = nearest_level("low", target.levels)
        # A client of this dialect knows that its limit counts the thinking.
        room = tokens if own else raised_limit(tokens, budget_of(least), target, losses)
        return Plan(None, least, room, on=True)
    return _budget(Thinking("budget", MIN_BUDGET, show=wish.show), target, tokens, losses)


def _level(wish: Thinking, target: Target, tokens: int, losses: Losses) -> Plan:
    """``adaptive`` with an effort."""
    member: dict[str, Any] = {"type": "adaptive"}
    if wish.show is not None:
        member["display"] = "summarized" if wish.show else "omitted"
    wanted: Level | None = wish.level if wish.mode == "budget" and wish.level else level_wanted(wish)
    effort = nearest_level(wanted, target.levels) if wanted else None
    if wish.mode == "budget":
        losses(
            "thinking_budget", "thinking.budget", f"The model takes levels of effort, not tokens: {effort}."
        )
    elif effort != wanted:
        losses("thinking_level", "thinking.level", f"The model does not take {wanted}: {effort}.")
    return Plan(member, effort, tokens, on=True)


def _budget(wish: Thinking, target: Target, tokens: int, losses: Losses) -> Plan:
    """``enabled`` with a number of tokens, at least 1024 and less than ``max_tokens``."""
    wanted = budget_wanted(wish)
    if wanted is None:
        wanted = _AUTO_BUDGET
        losses("thinking_budget", "thinking", f"The model wants a number of tokens: {wanted}.")
    budget = max(MIN_BUDGET, clamp_budget(wanted, target.budget))
    room = tokens
    if room <= budget:
        # The client's limit is for what it reads; the vendor counts thinking too.
        room = budget + tokens
        if target.max_output is not None and room > target.max_output:
            room = max(target.max_output, MIN_BUDGET + 1)
            budget = max(MIN_BUDGET, min(budget, room - min(tokens, room // 2)))
        losses(
            "max_tokens", "sampling.max_tokens", f"Raised from {tokens} to {room}, above the thinking budget."
        )
    if budget != wanted:
        losses(
            "thinking_budget", "thinking.budget", f"{wanted} tokens became {budget}, which the model takes."
        )
    member: dict[str, Any] = {"type": "enabled", "budget_tokens": budget}
    if wish.show is False:
        member["display"] = "omitted"
    return Plan(member, None, room, on=True)
