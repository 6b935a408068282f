"""Tools, and the choice among them: from Chat Completions' JSON to the vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from ampproxy.dialects.json import (
    NULL,
    Decoder,
    bad_request,
    loads,
    members,
    raw_text,
    read_request,
    text_of,
    to_raw,
    without_nulls,
)
from ampproxy.model.base import CHAT, Json
from ampproxy.model.request import HostedTool, Tool, ToolChoice

_Mode = Literal["auto", "none", "required", "named"]


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: Json = NULL
    strict: bool | None = None


class _Custom(msgspec.Struct):
    name: str
    description: str | None = None
    format: Json = NULL


class _Declaration(msgspec.Struct):
    type: str = "function"
    function: _Function | None = None
    custom: _Custom | None = None
    #: Of a tool that is declared flat, as Responses has it, or in Anthropic's form.
    name: str | None = None
    description: str | None = None
    parameters: Json = NULL
    input_schema: Json = NULL
    strict: bool | None = None
    format: Json = NULL


#: The members of a flat declaration.
_FLAT: Final = ("name", "description", "parameters", "input_schema", "strict", "format")


class _Named(msgspec.Struct):
    name: str


class _Allowed(msgspec.Struct):
    tools: list[_Choice]
    mode: Literal["auto", "required"] = "auto"


class _Choice(msgspec.Struct):
    type: str = "function"
    function: _Named | None = None
    custom: _Named | None = None
    #: Responses' flat form, which some clients write here.
    name: str | None = None
    allowed_tools: _Allowed | None = None


_DECLARATION: Final = Decoder(_Declaration)
_FUNCTION: Final = Decoder(_Function)
_CHOICE: Final = Decoder(_Choice)
_ALLOWED: Final = Decoder(_Allowed)
_NAMED: Final = Decoder(_Named)
_MODES: Final[dict[str, _Mode]] = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


def _function(function: _Function, extras: dict[str, Json]) -> Tool:
    return Tool(
        function.name,
        function.description,
        None if function.parameters == NULL else function.parameters,
        function.strict,
        cache=extras.pop("cache_control", None),
        extras=extras,
    )


def flat_grammar(raw: Json) -> Json | None:
    """A custom tool's format as Responses writes it: ``{"type": "grammar", "syntax", "definition"}``."""
    value = loads(raw)
    if not isinstance(value, dict):
        return None
    grammar = value.get("grammar")
    return to_raw({"type": value.get("type"), **grammar}) if isinstance(grammar, dict) else raw


def parse_tools(tools: Sequence[Json]) -> tuple[tuple[Tool, ...], tuple[HostedTool, ...]]:
    """The client's own tools, and those that the vendor runs.

    :raises ampproxy.errors.ClientFault: a declaration is not valid; names it.
    """
    own: list[Tool] = []
    hosted: list[HostedTool] = []
    for number, raw in enumerate(tools):
        at = f"tools[{number}]"
        tool = read_request(_DECLARATION, bytes(raw), at)
        extras = without_nulls(members(raw, at))
        for known in ("type", "function", "custom"):
            extras.pop(known, None)
        function, custom = _nested(tool, extras)
        if function is not None:
            own.append(_function(function, extras))
        elif custom is not None:
            grammar = flat_grammar(custom.format)
            own.append(Tool(custom.name, custom.description, freeform=True, grammar=grammar, extras=extras))
        elif tool.type in ("function", "custom"):
            bad_request(f"{at}.{tool.type}", "It is missing.")
        else:
            hosted.append(HostedTool(_hosted_kind(tool.type), CHAT, raw))
    return tuple(own), tuple(hosted)


def _nested(tool: _Declaration, extras: dict[str, Json]) -> tuple[_Function | None, _Custom | None]:
    """The function or the custom tool, where it stands or flat, as Cursor declares tools here.

    :param extras: loses what belongs to the tool.
    """
    if tool.type == "function" and tool.function is not None:
        return tool.function, None
    if tool.type == "custom" and tool.custom is not None:
        return None, tool.custom
    if tool.name is None or tool.type not in ("function", "custom"):
        return None, None
    for name in _FLAT:
        extras.pop(name, None)
    schema = tool.parameters if tool.input_schema == NULL else tool.input_schema
    if tool.type == "custom" and schema == NULL:
        return None, _Custom(tool.name, tool.description, tool.format)
    return _Function(tool.name, tool.description, schema, tool.strict), None


def is_flat(tools: bytes) -> bool:
    """Whether tools are declared in another dialect's form, by a glance at their JSON text: ``type`` is not
    followed by the member of its name. For most requests a few quick searches.
    """
    if tools.find(b'"input_schema"') >= 0:
        return True
    for kind in (b'"function"', b'"custom"'):
        at = tools.find(kind + b",")
        while at >= 0:
            rest = tools[at + len(kind) + 1 : at + len(kind) + 64].lstrip()
            if rest.startswith(_FLAT_NAMES):
                return True
            at = tools.find(kind + b",", at + len(kind))
    return False


_FLAT_NAMES: Final = tuple(f'"{name}"'.encode() for name in _FLAT)


def _hosted_kind(type_: str) -> str:
    return "web_search" if type_.startswith("web_search") else type_


def parse_functions(functions: Sequence[Json]) -> tuple[Tool, ...]:
    """``functions``, which ``tools`` took the place of."""
    return tuple(
        _function(read_request(_FUNCTION, bytes(raw), f"functions[{number}]"), {})
        for number, raw in enumerate(functions)
    )


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
    choice = read_request(_CHOICE, bytes(raw), "tool_choice")
    if choice.type == "allowed_tools":
        allowed = _allowed(choice, raw)
        return ToolChoice(allowed.mode, allowed=tuple(filter(None, map(_name, allowed.tools))))
    name = _name(choice)
    if name is None:
        bad_request("tool_choice", "It names no tool: 'function.name' is missing.")
    return ToolChoice("named", name)


def is_understood(raw: Json) -> bool:
    """Whether all that ``tool_choice`` allows are the client's own tools, which have names."""
    if bytes(raw)[:1] != b"{":
        return True
    choice = read_request(_CHOICE, bytes(raw), "tool_choice")
    if choice.type != "allowed_tools":
        return True
    return all(map(_name, _allowed(choice, raw).tools))


def _allowed(choice: _Choice, raw: Json) -> _Allowed:
    """The SDK's type nests the list; the flat form is Responses'."""
    return choice.allowed_tools or read_request(_ALLOWED, bytes(raw), "tool_choice")


def _name(choice: _Choice) -> str | None:
    named: Any = choice.function or choice.custom or choice
    return named.name  # type: ignore[no-any-return]


def parse_function_call(raw: Json) -> ToolChoice | None:
    """``function_call``, which ``tool_choice`` took the place of.

    :raises ampproxy.errors.ClientFault: it is neither a word nor names a function.
    """
    if raw == NULL:
        return None
    word = text_of(raw)
    if word is None:
        return ToolChoice("named", read_request(_NAMED, bytes(raw), "function_call").name)
    return parse_choice(raw_text(bytes(raw)))
