"""Tools, and the choice among them: from the vocabulary to Chat Completions' JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ampproxy.dialects.common import loads, members
from ampproxy.dialects.json import put
from ampproxy.model.base import Json
from ampproxy.model.request import ChatRequest, HostedTool, Tool, ToolChoice


def write_tools(request: ChatRequest, names: Callable[[str], str], body: dict[str, Any]) -> None:
    """Put ``tools``, ``tool_choice`` and ``parallel_tool_calls`` into a request's body.

    :param names: gives the tool names to send.
    """
    tools: list[Any] = [_tool(tool, names(tool.name)) for tool in request.tools]
    for hosted in request.hosted:
        _write_hosted(hosted, tools, body)
    if not tools:
        # Both members are refused without tools.
        return
    body["tools"] = tools
    if request.choice is not None:
        body["tool_choice"] = _choice(request.choice, request, names)
    put(body, {"parallel_tool_calls": request.parallel})


def _tool(tool: Tool, name: str) -> dict[str, Any]:
    kind = "custom" if tool.freeform else "function"
    function: dict[str, Any] = {"name": name}
    put(function, {"description": tool.description})
    if tool.freeform:
        put(function, {"format": None if tool.grammar is None else _nested_grammar(tool.grammar)})
    else:
        put(function, {"parameters": tool.schema, "strict": tool.strict})
    body: dict[str, Any] = {"type": kind, kind: function}
    put(body, {"cache_control": tool.cache})
    return {**body, **tool.extras}


def _write_hosted(hosted: HostedTool, tools: list[Any], body: dict[str, Any]) -> None:
    options = members(hosted.raw).get("web_search_options")
    if options is None:
        tools.append(hosted.raw)
    else:
        body["web_search_options"] = options


def _choice(choice: ToolChoice, request: ChatRequest, names: Callable[[str], str]) -> Any:
    freeform = {tool.name for tool in request.tools if tool.freeform}

    def named(name: str) -> dict[str, Any]:
        kind = "custom" if name in freeform else "function"
        return {"type": kind, kind: {"name": names(name)}}

    if choice.mode == "named" and choice.name is not None:
        return named(choice.name)
    if choice.allowed:
        tools = [named(name) for name in choice.allowed]
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": tools}}
    return choice.mode


def _nested_grammar(grammar: Json) -> Any:
    """The vocabulary's (Responses') format of a custom tool as chat nests it."""
    value = loads(grammar)
    if not isinstance(value, dict) or value.get("type") != "grammar" or "grammar" in value:
        return grammar
    return {"type": "grammar", "grammar": {name: value[name] for name in value if name != "type"}}
