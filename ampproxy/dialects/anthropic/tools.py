"""Tools and the choice among them, as Messages has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ampproxy.dialects.anthropic.profile import PROFILE
from ampproxy.dialects.json import put
from ampproxy.model.base import ANTHROPIC
from ampproxy.model.request import ChatRequest, Tool

_CHOICES: Final = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}


def declared(request: ChatRequest, names: Callable[[str], str]) -> list[Any]:
    """The ``tools`` member.

    :param names: gives the names to send.
    """
    tools: list[Any] = [_tool(tool, names(tool.name)) for tool in request.tools]
    return [*tools, *(hosted.raw for hosted in request.hosted)]


def _tool(tool: Tool, name: str) -> dict[str, Any]:
    body: dict[str, Any] = {"name": name}
    put(body, {"description": tool.description or None, "input_schema": tool.schema})
    put(body, {"strict": tool.strict, "cache_control": tool.cache})
    return {**body, **tool.extras}


def betas(request: ChatRequest) -> list[str]:
    """The beta features that tools of other vendors' need here."""
    likes = [PROFILE.hosted.get(one.kind) for one in request.hosted if one.dialect != ANTHROPIC]
    return [like.beta for like in likes if like is not None and like.beta]


def choice_of(request: ChatRequest, names: Callable[[str], str]) -> dict[str, Any] | None:
    """The ``tool_choice`` member."""
    choice, single = request.choice, request.parallel is False
    if choice is None:
        return {"type": "auto", "disable_parallel_tool_use": True} if single else None
    body: dict[str, Any] = {"type": _CHOICES[choice.mode]}
    if choice.mode == "named":
        body["name"] = names(choice.name or "")
    if choice.mode != "none" and request.parallel is not None and (single or request.dialect == ANTHROPIC):
        body["disable_parallel_tool_use"] = single
    return body
