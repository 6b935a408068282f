"""Tools and the choice among them, both ways.

Functions are flat here (``name`` and ``parameters`` stand beside ``type``), and ``strict`` is true
where it is not given (``FunctionToolParam``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ampproxy.adapt.schema import is_strict
from ampproxy.catalog.hosts import Mode
from ampproxy.dialects.json import Fields, bad_request, is_string, put, read
from ampproxy.dialects.openai_requests import flat_grammar
from ampproxy.model.base import RESPONSES, Json
from ampproxy.model.request import ChatRequest, HostedTool, Tool, ToolChoice

#: A function in the form of Chat Completions, one without anything around it, and Anthropic's.
_NESTED = re.compile(rb'"type"\s*:\s*"function"\s*,\s*"function"\s*:\s*\{|"function"\s*:\s*\{\s*"name"')
_BARE = re.compile(rb'\[\s*\{\s*"(?:name|description|parameters)"')
#: A choice in the form of Anthropic, or of Chat Completions.
_FOREIGN_CHOICE = re.compile(
    rb'"any"|\{\s*"type"\s*:\s*"(?:(?:auto|any|none|required|tool)"|(?:function|custom)"\s*,\s*"(?:function|custom)")'
)
#: What other vendors call a hosted tool that they have, too.
_LIKE = {"code_interpreter": "code_execution"}
#: The words of a choice; Anthropic's, too.
_MODES: dict[str, Mode] = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


def parse_tools(text: Json | None) -> tuple[tuple[Tool, ...], tuple[HostedTool, ...]]:
    """The client's functions and custom tools, and the tools that the vendor runs.

    :raises ampproxy.errors.ClientFault: a declaration is not valid.
    """
    tools: list[Tool] = []
    hosted: list[HostedTool] = []
    declared = read(text, list[Json], "tools") if text is not None else None
    for number, declaration in enumerate(declared or ()):
        fields = Fields(declaration, f"tools[{number}]")
        kind = fields.take("type", str) or "function"
        schema = fields.take_raw("input_schema")
        if kind == "function" or schema is not None:
            # Also in the forms of Chat Completions and of Anthropic.
            function = fields.take_object("function") or fields
            if schema is not None:
                function.left["parameters"] = schema
            tools.append(_parse_function(function))
        elif kind == "custom":
            tools.append(_parse_custom(fields.take_object(kind) or fields))
        else:
            # Dated variants follow a ``_preview_``.
            like = "web_search" if kind.startswith("web_search") else _LIKE.get(kind, kind)
            hosted.append(HostedTool(like, RESPONSES, declaration))
    return tuple(tools), tuple(hosted)


def is_foreign(tools: bytes, choice: bytes) -> bool:
    """Whether functions are declared, or chosen, as other dialects have it, by a glance at the JSON text."""
    if choice[:1] in (b"{", b'"') and _FOREIGN_CHOICE.match(choice) is not None:
        return True
    if _BARE.match(tools) is not None or tools.find(b'"input_schema"') >= 0:
        return True
    return tools.find(b'"function"') >= 0 and _NESTED.search(tools) is not None


def _parse_function(fields: Fields) -> Tool:
    """A function. Where ``strict`` is not given it is true, and the service closes the schema itself;
    elsewhere that comes to strict only if the schema is closed as it stands.
    """
    has_strict = "strict" in fields.left
    strict = fields.take("strict", bool)
    name, description = fields.need("name", str), fields.take("description", str)
    schema = fields.take_raw("parameters")
    if not has_strict and schema is not None and is_strict(schema):
        strict = True
    return Tool(name, description, schema, strict, extras=fields.remaining())


def _parse_custom(fields: Fields) -> Tool:
    return Tool(
        fields.need("name", str),
        fields.take("description", str),
        freeform=True,
        grammar=flat_grammar(fields.take_raw("format")),
        extras=fields.remaining(),
    )


def parse_choice(text: Json | None) -> tuple[ToolChoice | None, bool]:
    """The choice, and whether it was understood: one that forces a hosted tool is this dialect's alone.

    :raises ampproxy.errors.ClientFault: it is neither a word nor an object.
    """
    if text is None:
        return None, True
    if is_string(text):
        word = read(text, str, "tool_choice") or ""
        mode = _MODES.get(word)
        if mode is None:
            bad_request("tool_choice", f"It must be auto, none, required or an object, not {word[:40]!r}.")
        return ToolChoice(mode), True
    fields = Fields(text, "tool_choice")
    kind = fields.need("type", str)
    if kind in _MODES:
        return ToolChoice(_MODES[kind]), True
    if kind in ("function", "custom", "tool"):
        name = (fields.take_object(kind) or fields).need("name", str)
        # One in a namespace is this dialect's alone.
        return (None, False) if fields.take("namespace", str) else (ToolChoice("named", name), True)
    if kind == "allowed_tools":
        return _parse_allowed(fields)
    return None, False


def _parse_allowed(fields: Fields) -> tuple[ToolChoice, bool]:
    mode = fields.take("mode", str)
    entries = fields.take("tools", list[dict[str, Any]]) or []
    named = [one for one in entries if one.get("type") in ("function", "custom") and "name" in one]
    names = tuple(str(one["name"]) for one in named)
    return ToolChoice("required" if mode == "required" else "auto", allowed=names), len(names) == len(entries)


def render_tools(request: ChatRequest, names: Callable[[str], str]) -> list[dict[str, Any] | Json]:
    """The declarations of all tools; ``names`` gives the names to send."""
    hosted = [one.raw for one in request.hosted]
    native = request.dialect == RESPONSES
    return [*(_render_tool(tool, names(tool.name), native=native) for tool in request.tools), *hosted]


def _render_tool(tool: Tool, name: str, *, native: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"type": "custom" if tool.freeform else "function", "name": name}
    put(body, {"description": tool.description})
    if tool.freeform:
        put(body, {"format": tool.grammar})
    else:
        body["parameters"] = tool.schema
        # To leave it out means true here, and false everywhere else.
        put(body, {"strict": tool.strict if native else bool(tool.strict)})
    return {**body, **tool.extras}


def render_choice(request: ChatRequest, names: Callable[[str], str]) -> str | dict[str, Any] | None:
    """The choice, or ``None`` for the vendor's default."""
    choice = request.choice
    if choice is None:
        return None
    custom = {tool.name for tool in request.tools if tool.freeform}

    def reference(name: str) -> dict[str, Any]:
        return {"type": "custom" if name in custom else "function", "name": names(name)}

    if choice.mode == "named":
        return reference(choice.name or "")
    if allowed := [reference(name) for name in choice.allowed]:
        mode = "auto" if choice.mode == "none" else choice.mode
        return {"type": "allowed_tools", "mode": mode, "tools": allowed}
    return choice.mode
