"""Tools and the choice among them, both ways.

Functions are flat here (``name`` and ``parameters`` stand beside ``type``), and ``strict`` is true
where it is not said (``FunctionToolParam``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ampproxy.dialects.common import Losses, ToolNameMap, bad_request, loads, members, to_raw
from ampproxy.dialects.hosted import carried
from ampproxy.dialects.json import Fields, is_string, put, read
from ampproxy.dialects.openai_responses.schema import is_strict
from ampproxy.model.base import RESPONSES, Json
from ampproxy.model.request import ChatRequest, HostedTool, Tool, ToolChoice

#: Types of hosted tools that other vendors have too; dated variants follow a ``_preview_``.
_KINDS = {
    "web_search": "web_search",
    "web_search_preview": "web_search",
    "code_interpreter": "code_execution",
}
_DECLARED: dict[str, dict[str, Any]] = {
    "web_search": {"type": "web_search"},
    "code_execution": {"type": "code_interpreter", "container": {"type": "auto"}},
}
#: The settings of a web search that this dialect has.
_SEARCH = ("search_context_size", "user_location", "allowed_domains")
_EMPTY_SCHEMA = {"type": "object", "properties": {}}


def parse_tools(text: Json | None) -> tuple[tuple[Tool, ...], tuple[HostedTool, ...]]:
    """The client's functions and custom tools, and the tools that the vendor runs.

    :raises ampproxy.errors.ClientFault: a declaration is not valid.
    """
    tools: list[Tool] = []
    hosted: list[HostedTool] = []
    declared = read(text, list[Json], "tools") if text is not None else None
    for number, declaration in enumerate(declared or ()):
        fields = Fields(declaration, f"tools[{number}]")
        kind = fields.need("type", str)
        if kind == "function":
            tools.append(_parse_function(fields))
        elif kind == "custom":
            tools.append(_parse_custom(fields))
        else:
            hosted.append(HostedTool(_kind(kind), RESPONSES, declaration))
    return tuple(tools), tuple(hosted)


def _kind(name: str) -> str:
    if name.startswith("web_search"):
        return "web_search"
    return _KINDS.get(name, name)


def _parse_function(fields: Fields) -> Tool:
    """A function. Where ``strict`` is not said it is true, and the service closes the schema itself;
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
        grammar=fields.take_raw("format"),
        extras=fields.remaining(),
    )


def parse_choice(text: Json | None) -> tuple[ToolChoice | None, bool]:
    """The choice, and whether it was understood: one that forces a hosted tool is this dialect's alone.

    :raises ampproxy.errors.ClientFault: it is neither a word nor an object.
    """
    if text is None:
        return None, True
    if is_string(text):
        word: Any = read(text, str, "tool_choice")
        if word not in ("auto", "none", "required"):
            bad_request(
                "tool_choice", f"It must be auto, none, required or an object, not {str(word)[:40]!r}."
            )
        return ToolChoice(word), True
    fields = Fields(text, "tool_choice")
    kind = fields.need("type", str)
    if kind in ("function", "custom"):
        name = fields.need("name", str)
        # One in a namespace is this dialect's alone.
        return (None, False) if fields.take("namespace", str) else (ToolChoice("named", name), True)
    if kind == "allowed_tools":
        return _parse_allowed(fields)
    return None, False


def _parse_allowed(fields: Fields) -> tuple[ToolChoice, bool]:
    mode = fields.take("mode", str)
    entries = fields.take("tools", list[dict[str, Any]]) or []
    names = tuple(
        str(entry["name"])
        for entry in entries
        if entry.get("type") in ("function", "custom") and "name" in entry
    )
    return ToolChoice("required" if mode == "required" else "auto", allowed=names), len(names) == len(entries)


# ------------------------------------------------------------------------------------- rendering


def render_tools(request: ChatRequest, names: ToolNameMap, losses: Losses) -> list[dict[str, Any] | Json]:
    """The declarations of all tools.

    :param names: gives the names to send.
    """
    native = request.dialect == RESPONSES
    rendered: list[dict[str, Any] | Json] = []
    for number, tool in enumerate(request.tools):
        if tool.cache is not None:
            losses("cache_control", f"tools[{number}]", "Responses caches by itself; marks have no place.")
        rendered.append(_render_tool(tool, names(tool.name), f"tools[{number}]", losses, native=native))
    for number, hosted in enumerate(request.hosted):
        if hosted.dialect == RESPONSES:
            rendered.append(hosted.raw)
        elif hosted.kind in _DECLARED:
            rendered.append({**_DECLARED[hosted.kind], **_settings(hosted, f"hosted[{number}]", losses)})
        else:
            losses("hosted_tool", f"hosted[{number}]", f"Responses has no tool like {hosted.kind}.")
    return rendered


def _settings(hosted: HostedTool, path: str, losses: Losses) -> dict[str, Any]:
    found = carried(hosted, _SEARCH if hosted.kind == "web_search" else (), path, losses)
    if "allowed_domains" in found:
        found["filters"] = {"allowed_domains": found.pop("allowed_domains")}
    return found


def _render_tool(tool: Tool, name: str, path: str, losses: Losses, *, native: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"type": "custom" if tool.freeform else "function", "name": name}
    put(body, {"description": tool.description})
    if tool.freeform:
        put(body, {"format": _flat(tool.grammar)})
    elif native:
        body["parameters"] = tool.schema
        put(body, {"strict": tool.strict})
    else:
        schema = _object_schema(tool.schema)
        body["parameters"] = schema
        # Unsaid means true here and false everywhere else.
        body["strict"] = bool(tool.strict) and is_strict(schema)
        if tool.strict and not body["strict"]:
            losses("strict", path, "A strict schema must be closed and require all its members.")
    if not native:
        for member in tool.extras:
            losses("extras", f"{path}.extras.{member}", f"Only the client's own dialect knows '{member}'.")
        return body
    return {**body, **tool.extras}


def _object_schema(schema: Json | None) -> Json:
    """The schema with what the service wants of every function's: ``type: object``, ``properties``."""
    found = loads(schema) if schema is not None else {}
    if not isinstance(found, dict) or (schema is not None and {"type", "properties"} <= found.keys()):
        return schema if schema is not None else to_raw(_EMPTY_SCHEMA)
    exact = members(schema) if schema is not None else {}
    return to_raw({**_EMPTY_SCHEMA, **exact})


def _flat(grammar: Json | None) -> Json | None:
    """A custom tool's format, as Responses has it: chat has one level more."""
    value = loads(grammar) if grammar is not None else None
    if isinstance(value, dict) and isinstance(value.get("grammar"), dict):
        return to_raw({"type": "grammar", **value["grammar"]})
    return grammar


def render_choice(
    request: ChatRequest, names: ToolNameMap, losses: Losses, *, tools: bool
) -> str | dict[str, Any] | None:
    """The choice, or ``None`` for the vendor's default.

    :param tools: whether any tool was declared.
    """
    choice = request.choice
    if choice is None:
        return None
    native, known = request.dialect == RESPONSES, {tool.name for tool in request.tools}
    if not tools and not native:
        if choice.mode not in ("auto", "none"):
            losses("tool_choice", "choice", "There is no tool that could be chosen.")
        return None
    reference = _Reference(request.tools, names)
    if choice.mode == "named":
        if not native and choice.name not in known:
            losses("tool_choice", "choice", "The tool that was chosen is not among the tools.")
            return None
        return reference(choice.name or "")
    if allowed := [reference(name) for name in choice.allowed if native or name in known]:
        mode = "auto" if choice.mode == "none" else choice.mode
        return {"type": "allowed_tools", "mode": mode, "tools": allowed}
    return choice.mode


class _Reference:
    """Names a tool in a choice, with its kind."""

    def __init__(self, tools: Sequence[Tool], names: Callable[[str], str]) -> None:
        self._custom = {tool.name for tool in tools if tool.freeform}
        self._names = names

    def __call__(self, name: str) -> dict[str, Any]:
        return {"type": "custom" if name in self._custom else "function", "name": self._names(name)}
