"""Tools, and the choice among them: from Chat Completions' JSON to the vocabulary."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, Literal

from ampproxy.dialects.json import NULL, Fields, bad_request, raw_text, text_of
from ampproxy.dialects.openai_requests import flat_grammar
from ampproxy.model.base import CHAT, Json
from ampproxy.model.request import HostedTool, Tool, ToolChoice

_Mode = Literal["auto", "none", "required", "named"]
_MODES: Final[dict[str, _Mode]] = {"auto": "auto", "none": "none", "required": "required", "any": "required"}
#: A choice among several tools.
_ALLOWED: Final[Any] = Literal["auto", "required"]
#: The members of a tool that is declared flat, as Responses has it, or in Anthropic's form.
_FLAT: Final = ("name", "description", "parameters", "input_schema", "strict", "format")
#: A tool that is declared without anything around it.
_BARE: Final = re.compile(rb'\[\s*\{\s*"(?:name|description|parameters)"')
#: Forms of a choice that Cursor and others send here, too: Anthropic's, and Responses' flat one.
_FOREIGN_CHOICE: Final = re.compile(
    rb'"any"|\{\s*"type"\s*:\s*"(?:(?:auto|any|none|required|tool)"|(?:function|custom)"\s*,\s*"name")'
)
_FLAT_NAMES: Final = tuple(f'"{name}"'.encode() for name in _FLAT)


def _function(function: Fields, cache: Json | None, extras: dict[str, Json]) -> Tool:
    name, description = function.need("name", str), function.take("description", str)
    schema = function.take_raw("parameters")
    foreign = function.take_raw("input_schema")
    geminis = function.take_raw("parametersJsonSchema")
    schema = next((found for found in (schema, foreign, geminis) if found is not None), None)
    return Tool(name, description, schema, function.take("strict", bool), cache=cache, extras=extras)


def _custom(custom: Fields, cache: Json | None, extras: dict[str, Json]) -> Tool:
    name, description = custom.need("name", str), custom.take("description", str)
    grammar = flat_grammar(custom.take_raw("format"))
    return Tool(name, description, freeform=True, grammar=grammar, cache=cache, extras=extras)


_READERS: Final = {"function": _function, "custom": _custom}


def parse_tools(tools: Sequence[Json]) -> tuple[tuple[Tool, ...], tuple[HostedTool, ...]]:
    """The client's own tools, and those that the vendor runs.

    :raises ampproxy.errors.ClientFault: a declaration is not valid; names it.
    """
    own: list[Tool] = []
    hosted: list[HostedTool] = []
    for number, raw in enumerate(tools):
        tool = Fields(raw, f"tools[{number}]", nulls=False)
        if (declared_in := tool.take("functionDeclarations", list[Json])) is not None:
            # Gemini's form.
            own += parse_functions(declared_in, tool.path("functionDeclarations"))
            continue
        kind = tool.take("type", str) or "function"
        if kind not in _READERS:
            like = "web_search" if kind.startswith("web_search") else kind
            hosted.append(HostedTool(like, CHAT, raw))
            continue
        declared = tool.take_object(kind)
        if declared is None:
            kind, declared = _flat(tool, kind)
        for other in _READERS:
            tool.left.pop(other, None)
        own.append(_READERS[kind](declared, tool.take_raw("cache_control"), tool.left))
    return tuple(own), tuple(hosted)


def _flat(tool: Fields, kind: str) -> tuple[str, Fields]:
    """The kind and the members of a tool that is declared flat, as Cursor declares tools here."""
    if "name" not in tool.left:
        bad_request(tool.path(kind), "It is missing.")
    declared = Fields(b"{}", tool.at)
    declared.left = {name: tool.left.pop(name) for name in _FLAT if name in tool.left}
    if (schema := declared.take_raw("input_schema")) is not None:
        declared.left["parameters"] = schema
    return "function" if "parameters" in declared.left else kind, declared


def is_flat(tools: bytes) -> bool:
    """Whether tools are declared in another dialect's form, by a glance at their JSON text: ``type`` is not
    followed by the member of its name. For most requests a few quick searches.
    """
    if _BARE.match(tools) or tools.find(b'"input_schema"') >= 0 or tools.find(b'"functionDeclarations"') >= 0:
        return True
    for kind in (b'"function"', b'"custom"'):
        at = tools.find(kind + b",")
        while at >= 0:
            rest = tools[at + len(kind) + 1 : at + len(kind) + 64].lstrip()
            if rest.startswith(_FLAT_NAMES):
                return True
            at = tools.find(kind + b",", at + len(kind))
    return False


def is_foreign_choice(choice: bytes) -> bool:
    """Whether ``tool_choice`` is written in another dialect's form."""
    return choice[:1] in (b"{", b'"') and _FOREIGN_CHOICE.match(choice) is not None


def parse_functions(functions: Sequence[Json], at: str = "functions") -> tuple[Tool, ...]:
    """``functions``, which ``tools`` took the place of."""
    declared = (Fields(raw, f"{at}[{number}]", nulls=False) for number, raw in enumerate(functions))
    return tuple(_function(one, None, {}) for one in declared)


def parse_choice(raw: Json) -> ToolChoice | None:
    """``tool_choice`` in any of its forms.

    :raises ampproxy.errors.ClientFault: it is none of them.
    """
    if raw == NULL:
        return None
    word = text_of(raw)
    if word is not None:
        if word not in _MODES:
            bad_request("tool_choice", "Expected auto, none, required or an object.")
        return ToolChoice(_MODES[word])
    choice = Fields(raw, "tool_choice", nulls=False)
    kind = choice.take("type", str) or ""
    if kind == "allowed_tools":
        mode, names = _allowed(choice)
        return ToolChoice(mode, allowed=tuple(filter(None, names)))
    name = _name(choice)
    if name is None and kind in _MODES:
        return ToolChoice(_MODES[kind])
    if name is None:
        bad_request("tool_choice", "It names no tool: 'function.name' is missing.")
    return ToolChoice("named", name)


def is_understood(raw: Json) -> bool:
    """Whether all that ``tool_choice`` allows are the client's own tools, which have names."""
    if bytes(raw)[:1] != b"{":
        return True
    choice = Fields(raw, "tool_choice", nulls=False)
    return choice.take("type", str) != "allowed_tools" or all(_allowed(choice)[1])


def _allowed(choice: Fields) -> tuple[Literal["auto", "required"], list[str | None]]:
    """The mode and the names. The SDK's type nests the list; the flat form is Responses'."""
    allowed = choice.take_object("allowed_tools") or choice
    tools = allowed.need("tools", list[Json])
    at = allowed.path("tools")
    names = [_name(Fields(tool, f"{at}[{number}]", nulls=False)) for number, tool in enumerate(tools)]
    return allowed.take("mode", _ALLOWED) or "auto", names


def _name(choice: Fields) -> str | None:
    """The name of a tool, where it stands, or flat as Responses has it."""
    for kind in _READERS:
        if (named := choice.take_object(kind)) is not None:
            return named.need("name", str)
    return choice.take("name", str)


def parse_function_call(raw: Json) -> ToolChoice | None:
    """``function_call``, which ``tool_choice`` took the place of.

    :raises ampproxy.errors.ClientFault: it is neither a word nor names a function.
    """
    if raw == NULL:
        return None
    if text_of(raw) is None:
        return ToolChoice("named", Fields(raw, "function_call", nulls=False).need("name", str))
    return parse_choice(raw_text(bytes(raw)))
