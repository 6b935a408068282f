"""A wish to think as Messages has it: ``thinking``, beside ``output_config.effort``."""

from __future__ import annotations

from typing import Any

from ampproxy.adapt.target import Target
from ampproxy.adapt.thinking import MEMBER, without_member
from ampproxy.dialects.anthropic.request_in import read_thinking
from ampproxy.dialects.json import NULL, loads, put
from ampproxy.errors import ClientFault
from ampproxy.model.base import ANTHROPIC, Json
from ampproxy.model.request import ChatRequest


def thinking_member(request: ChatRequest) -> Json | dict[str, Any] | None:
    """The member of a request whose thinking is planned; ``None``: it is left out."""
    raw, wish = request.extras.get(MEMBER), request.thinking
    if raw is not None:
        return None if raw == NULL else raw
    if wish is None:
        return None
    if wish.mode == "off":
        return {"type": "disabled"}
    if wish.mode == "budget":
        member: dict[str, Any] = {"type": "enabled", "budget_tokens": wish.budget}
        # Models that take a budget show their thinking unless they are told not to.
        return member if wish.show is not False else {**member, "display": "omitted"}
    member = {"type": "adaptive"}
    put(member, {"display": None if wish.show is None else "summarized" if wish.show else "omitted"})
    return member


def without_stale_member(request: ChatRequest, target: Target) -> ChatRequest:
    """The request without its client's own ``thinking`` member (``null`` for an effort alone), unless that is
    still what is wished, and of a kind that the model takes.
    """
    raw, wish = request.extras.get(MEMBER), request.thinking
    if request.dialect != ANTHROPIC or raw is None:
        return request
    try:
        same = wish is not None and read_thinking(raw, wish.level) == wish
    except ClientFault:
        same = False
    if same and _fits(loads(raw), target):
        return request
    return without_member(request)


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
