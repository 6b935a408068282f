"""Tools, and the choice among them: from the vocabulary to Chat Completions' JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from ampproxy.dialects.common import Losses, Members, loads, raw_str, to_raw
from ampproxy.dialects.freeform import SCHEMA, described
from ampproxy.dialects.hosted import carried
from ampproxy.dialects.openai_chat.rules import Rules
from ampproxy.model.base import CHAT, Json
from ampproxy.model.request import ChatRequest, HostedTool, Tool, ToolChoice
from ampproxy.wire.json import BAD_JSON

_MEMBERS = msgspec.json.Decoder(Members)
#: The settings of a web search that this dialect has.
_SEARCH = ("search_context_size", "user_location")


class ToolWriter:
    """Writes tools and the choice, and notes what cannot be said.

    :ivar wrapped: the names, as sent, of freeform tools that were said as functions.
    """

    def __init__(self, rules: Rules, losses: Losses) -> None:
        self._rules = rules
        self._losses = losses
        self.wrapped: set[str] = set()

    def write(self, request: ChatRequest, body: dict[str, Any]) -> None:
        """Put ``tools``, ``tool_choice`` and ``parallel_tool_calls`` into a request's body."""
        offered = self._offered(request)
        tools = [self._tool(tool, f"tools[{number}]") for number, tool in offered]
        for number, hosted in enumerate(request.hosted):
            self._hosted(hosted, f"hosted[{number}]", tools, body)
        if not tools:
            # Both members are refused without tools.
            if request.choice is not None and request.choice.mode in ("required", "named"):
                self._losses("tool_choice", "choice", "There are no tools to choose from.")
            return
        body["tools"] = tools
        if request.choice is not None:
            body["tool_choice"] = self._choice(request.choice, request)
        if request.parallel is not None:
            body["parallel_tool_calls"] = request.parallel

    def _offered(self, request: ChatRequest) -> list[tuple[int, Tool]]:
        """The tools; only the allowed ones for a server that does not know ``allowed_tools``."""
        choice = request.choice
        limited = choice is not None and choice.allowed and not self._rules.allowed_tools
        allowed = frozenset(choice.allowed if choice is not None else ())
        return [
            (number, tool) for number, tool in enumerate(request.tools) if not limited or tool.name in allowed
        ]

    def _tool(self, tool: Tool, path: str) -> Any:
        name = self._rules.names(tool.name)
        body: dict[str, Any]
        function: dict[str, Any] = {"name": name}
        custom = tool.freeform and self._rules.custom_tools
        description = tool.description if custom else described(tool)
        if description is not None:
            function["description"] = description
        if custom:
            if tool.grammar is not None:
                function["format"] = _nested_grammar(tool.grammar)
            body = {"type": "custom", "custom": function}
        else:
            if tool.freeform:
                self.wrapped.add(name)
                self._losses("freeform", path, "A tool with free text was declared as a function.")
                function["parameters"] = SCHEMA
            elif tool.schema is not None:
                function["parameters"] = tool.schema if self._rules.same else _object_schema(tool.schema)
            if tool.strict is not None and not tool.freeform:
                self._strict(tool.strict, path, function)
            body = {"type": "function", "function": function}
        if tool.cache is not None and self._rules.same:
            body["cache_control"] = tool.cache
        elif tool.cache is not None:
            self._losses("cache_control", path, "OpenAI caches by itself and takes no marks.")
        if tool.extras and self._rules.same:
            body.update(tool.extras)
        elif tool.extras:
            self._losses("extras", path, f"Members of another dialect: {', '.join(sorted(tool.extras))}.")
        return body

    def _strict(self, strict: bool, path: str, function: dict[str, Any]) -> None:
        if self._rules.host.strict_tools:
            function["strict"] = strict
        elif strict:
            self._losses("strict", path, "The server does not enforce a function's schema.")

    def _hosted(self, hosted: HostedTool, path: str, tools: list[Any], body: dict[str, Any]) -> None:
        if hosted.dialect == CHAT and self._rules.same:
            options = _MEMBERS.decode(hosted.raw).get("web_search_options")
            if options is None:
                tools.append(hosted.raw)
            else:
                body["web_search_options"] = options
        elif hosted.kind == "web_search" and self._rules.searches:
            found = carried(hosted, _SEARCH, path, self._losses)
            if "user_location" in found:
                place = {name: value for name, value in found["user_location"].items() if name != "type"}
                found["user_location"] = {"type": "approximate", "approximate": place}
            body["web_search_options"] = found
        else:
            self._losses("hosted_tool", path, f"This vendor does not run '{hosted.kind}' in this dialect.")

    def _choice(self, choice: ToolChoice, request: ChatRequest) -> Any:
        freeform = {tool.name for tool in request.tools if tool.freeform and self._rules.custom_tools}

        def named(name: str) -> dict[str, Any]:
            kind = "custom" if name in freeform else "function"
            return {"type": kind, kind: {"name": self._rules.names(name)}}

        if choice.mode == "named" and choice.name is not None:
            return named(choice.name)
        if choice.allowed and self._rules.allowed_tools:
            tools = [named(name) for name in choice.allowed]
            return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": tools}}
        return choice.mode


def _object_schema(schema: Json) -> Json:
    """The schema with what OpenAI demands of every function's: ``type: object`` and ``properties``."""
    try:
        found = _MEMBERS.decode(schema)
    except BAD_JSON:
        return schema
    if "type" in found and "properties" in found:
        return schema
    if "type" in found and raw_str(found["type"]) != '"object"':
        return schema
    needed: Members = {"type": Json(b'"object"'), "properties": Json(b"{}")}
    return to_raw({**needed, **found})


def _nested_grammar(grammar: Json) -> Any:
    """The vocabulary's (Responses') format of a custom tool as chat nests it."""
    value = loads(grammar)
    if not isinstance(value, dict) or value.get("type") != "grammar" or "grammar" in value:
        return grammar
    return {"type": "grammar", "grammar": {name: value[name] for name in value if name != "type"}}
