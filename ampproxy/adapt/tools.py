"""The choice among tools, as far as the model and its server take it."""

from __future__ import annotations

import msgspec

from ampproxy.adapt.target import Target
from ampproxy.adapt.thinking import can_disable
from ampproxy.model.loss import Losses
from ampproxy.model.request import ChatRequest, Thinking, ToolChoice

_FORCED = ("required", "named")


def fit_choice(request: ChatRequest, target: Target, losses: Losses) -> ChatRequest:
    """A choice that the server takes: one call that is demanded, or the model's own choice.

    Where a call may be demanded of a model that does not think, it is kept from thinking, if it can be.
    """
    choice = request.choice
    if choice is None or not request.tools:
        return request
    host = target.host
    if choice.mode in _FORCED and host.forced_tools != "always" and _thinks(request, target):
        if host.forced_tools == "never" or not can_disable(target):
            return free_choice(request, losses, f"A call cannot be demanded of {target.model}.")
        if request.thinking is None or request.thinking.mode != "off":
            losses("thinking", "thinking", "A call was demanded, and the model must not think then.")
            request = msgspec.structs.replace(request, thinking=Thinking("off"))
    if choice.mode in host.choices:
        return request
    if choice.mode == "none":
        losses("tool_choice", "choice", "The server cannot be asked for no call: it was shown no tools.")
        return msgspec.structs.replace(request, choice=None, tools=(), hosted=())
    if choice.mode == "named" and "required" in host.choices:
        return _only(request, choice, losses)
    return free_choice(request, losses, "The server lets the model choose whether to call.")


def choose_declared(request: ChatRequest, losses: Losses) -> ChatRequest:
    """The choice among tools that are declared: vendors refuse one of another. Not for a client that speaks
    the account's own dialect, which may know what it does.
    """
    choice = request.choice
    if choice is None:
        return request
    declared = {tool.name for tool in request.tools}
    wanted = choice.allowed if choice.mode != "named" else (choice.name or "",)
    lost = [name for name in wanted if name not in declared]
    if not lost:
        return request
    losses("tool_choice", "choice", f"Chosen, but not declared: {', '.join(lost)}.")
    left = tuple(name for name in choice.allowed if name in declared)
    choice = msgspec.structs.replace(choice, allowed=left) if left else None
    return msgspec.structs.replace(request, choice=choice)


def _thinks(request: ChatRequest, target: Target) -> bool:
    """Whether the model would think in this request; where that is not known, it would."""
    off = request.thinking is not None and request.thinking.mode == "off" and can_disable(target)
    return target.thinks is not False and not off


def free_choice(request: ChatRequest, losses: Losses, why: str) -> ChatRequest:
    """The request with a call that is possible, where one was demanded."""
    losses("tool_choice", "choice", why)
    allowed = request.choice.allowed if request.choice is not None else ()
    return msgspec.structs.replace(request, choice=ToolChoice("auto", allowed=allowed))


def _only(request: ChatRequest, choice: ToolChoice, losses: Losses) -> ChatRequest:
    """Some call must be made, and the one tool that was named is the only one that may be."""
    only = (choice.name,) if choice.name is not None else choice.allowed
    return msgspec.structs.replace(request, choice=ToolChoice("required", allowed=only))
