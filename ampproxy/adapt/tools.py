"""Tools, the choice among them, and structured output, as far as a vendor and its server take them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from ampproxy.adapt.freeform import SCHEMA, described
from ampproxy.adapt.names import ToolNameMap
from ampproxy.adapt.profile import DialectProfile, Hosted
from ampproxy.adapt.schema import is_strict, lower, with_description
from ampproxy.adapt.target import Target, can_disable
from ampproxy.model.base import CHAT, GEMINI, Json
from ampproxy.model.loss import Losses
from ampproxy.model.parts import ToolCall
from ampproxy.model.request import ChatRequest, HostedTool, OutputFormat, Thinking, Tool, ToolChoice
from ampproxy.wire.json import NULL, members
from ampproxy.wire.values import loads, to_raw

_NAMED: Final = ("properties", "$defs", "definitions")
_SUBSCHEMAS: Final = (*_NAMED, "items", "prefixItems", "anyOf", "allOf", "oneOf")
_DEEPEST: Final = 100
#: A function's schema that has what every one needs; most begin so, and are not taken apart.
_USUAL_SCHEMA: Final = re.compile(rb'\{\s*"type"\s*:\s*"object"\s*,\s*"properties"\s*:')
_FORCED = ("required", "named")
#: The schema of any object.
ANY_OBJECT: Final = Json(b'{"type":"object","properties":{}}')
_NEEDED: Final = {"type": Json(b'"object"'), "properties": Json(b"{}")}
#: What names a tool, or is for the cache, sets nothing.
_NO_SETTINGS: Final = frozenset(("type", "name", "cache_control"))
_WHY: Final = "The settings {names} of {kind} cannot be expressed here and were dropped."
#: How the tool is loaded and who may call it, where all are declared at once.
_OF_LOADING: Final = ("allowed_callers", "defer_loading")


def fit_output(request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses) -> ChatRequest:
    """A form of the answer that can be had, or none."""
    output = request.output
    if output is None:
        return request
    own = request.dialect == profile.dialect
    if output.schema is None and not profile.json_output:
        why = f"{profile.vendor} has no JSON output without a schema, and nothing is added to a prompt."
        losses("output_format", "output", why)
        return replace(request, output=None)
    if own:
        return request
    if request.tools and not profile.output_beside_tools and target.thinking != "level":
        losses("output_format", "output", "This model refuses a response format beside functions.")
        return replace(request, output=None)
    if output.schema is None:
        return request
    fitted = _fit_schema(output, output.schema, profile, losses)
    return replace(request, output=_fit_name(fitted, profile, losses))


def _fit_name(output: OutputFormat, profile: DialectProfile, losses: Losses) -> OutputFormat:
    if profile.schema_names:
        name = ToolNameMap(*profile.name)(output.name or profile.schema_names)
        return output if name == output.name else replace(output, name=name)
    if output.name:
        losses("schema_name", "output.name", f"{profile.vendor} has no names of schemas.")
    schema = None if output.schema is None else with_description(output.schema, output.description)
    return replace(output, name=None, description=None, schema=schema)


def _fit_schema(output: OutputFormat, schema: Json, profile: DialectProfile, losses: Losses) -> OutputFormat:
    if profile.output_schema == "closed":
        value = loads(schema)
        if _close(value):
            losses("open_schema", "output.schema", "Objects that admit further members were closed.")
            return replace(output, schema=to_raw(value))
    if profile.output_schema == "strict":
        strict = is_strict(schema)
        if output.strict and not strict:
            losses("strict", "output", "A strict schema must be closed and require all its members.")
        return replace(output, strict=output.strict is not False and strict)
    return output


def _close(node: Any, depth: int = 0) -> bool:
    """Close the objects of a schema in place, as a vendor demands of one that is enforced; whether one was
    open.
    """
    if isinstance(node, list):
        return sum(_close(item, depth + 1) for item in node) > 0
    if not isinstance(node, dict) or depth > _DEEPEST:
        return False
    is_open = node.get("type") == "object" or "properties" in node
    changed = is_open and node.get("additionalProperties") is not False
    if changed:
        node["additionalProperties"] = False
    for key, value in node.items():
        if key in _SUBSCHEMAS:
            inner = list(value.values()) if key in _NAMED and isinstance(value, dict) else value
            changed |= _close(inner, depth + 1)
    return changed


def fit_choice(request: ChatRequest, target: Target, losses: Losses) -> ChatRequest:
    """A choice that the server takes: one call that is demanded, or the model's own choice.

    Where a call may be demanded of a model that does not think, it is kept from thinking, if it can be.
    """
    choice = request.choice
    if choice is None or not request.tools:
        return request
    host = target.host
    off = request.thinking is not None and request.thinking.mode == "off" and can_disable(target)
    # Where it is not known whether the model would think in this request, it would.
    thinks = target.thinks is not False and not off
    if choice.mode in _FORCED and host.forced_tools != "always" and thinks:
        if host.forced_tools == "never" or not can_disable(target):
            return free_choice(request, losses, f"A call cannot be demanded of {target.model}.")
        if request.thinking is None or request.thinking.mode != "off":
            losses("thinking", "thinking", "A call was demanded, and the model must not think then.")
            request = replace(request, thinking=Thinking("off"))
    if choice.mode in host.choices:
        return request
    if choice.mode == "none":
        losses("tool_choice", "choice", "The server cannot be asked for no call: it was shown no tools.")
        return replace(request, choice=None, tools=(), hosted=())
    if choice.mode == "named" and "required" in host.choices:
        # Some call must be made, and the one tool that was named is the only one that may be.
        only = (choice.name,) if choice.name is not None else choice.allowed
        return replace(request, choice=ToolChoice("required", allowed=only))
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
    choice = replace(choice, allowed=left) if left else None
    return replace(request, choice=choice)


def free_choice(request: ChatRequest, losses: Losses, why: str) -> ChatRequest:
    """The request with a call that is possible, where one was demanded."""
    losses("tool_choice", "choice", why)
    allowed = request.choice.allowed if request.choice is not None else ()
    return replace(request, choice=ToolChoice("auto", allowed=allowed))


def fit_tools(request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses) -> ChatRequest:
    """Tools that the vendor takes, and a choice among those alone."""
    own = request.dialect == profile.dialect
    if request.choice is not None and (not own or not profile.trusted_choice):
        request = choose_declared(request, losses)
    if request.choice is not None:
        request = fit_choice(request, target, losses)
    changed: dict[str, Any] = {}
    if request.tools:
        tools = tuple(_Fitting(request, profile, target, losses).tools())
        if tools != request.tools:
            changed["tools"] = tools
    if request.hosted and not own:
        changed["hosted"] = tuple(_fit_hosted(request, profile, losses))
    if changed:
        request = replace(request, **changed)
    if request.choice is not None and request.choice.allowed and not profile.allowed_tools:
        request = replace(request, choice=replace(request.choice, allowed=()))
    if profile.history_tools and not (own or request.tools or request.hosted):
        request = _with_stubs(request, losses)
    return _without_vain_wishes(request, profile, losses, own=own)


def _without_vain_wishes(
    request: ChatRequest, profile: DialectProfile, losses: Losses, *, own: bool
) -> ChatRequest:
    """No wish about calls where there is no tool, or where the vendor knows none such."""
    has_tools = bool(request.tools or (request.hosted and (own or profile.hosted_choice)))
    choice = request.choice
    if choice is not None and not has_tools and not (own and profile.choice_alone):
        if choice.mode in _FORCED:
            losses("tool_choice", "choice", "There is no tool that could be chosen.")
        request = replace(request, choice=None)
    if request.parallel is None or own:
        return request
    if has_tools and not profile.parallel and request.parallel is False:
        losses("parallel", "parallel", f"{profile.vendor} cannot be asked for one call at a time.")
    return request if has_tools and profile.parallel else replace(request, parallel=None)


class _Fitting:
    """The functions of one request on their way to a vendor."""

    def __init__(self, request: ChatRequest, profile: DialectProfile, target: Target, losses: Losses) -> None:
        self._tools = request.tools
        self._profile = profile
        self._own = request.dialect == profile.dialect
        self._strict = profile.strict if target.host.strict_tools else "never"
        self._losses = losses
        limited = request.choice is not None and not profile.allowed_tools
        self._allowed = frozenset(request.choice.allowed if limited and request.choice else ())

    def tools(self) -> Iterator[Tool]:
        """Those that are declared: those chosen alone, where the vendor knows no choice among several."""
        known: set[str] = set()
        for number, tool in enumerate(self._tools):
            if self._allowed and tool.name not in self._allowed:
                continue
            if tool.name in known and self._profile.unique_tools and not self._own:
                self._losses("tools", f"tools[{number}]", f"A tool {tool.name} was declared before.")
                continue
            known.add(tool.name)
            yield self._fit(tool, f"tools[{number}]")

    def _fit(self, tool: Tool, at: str) -> Tool:
        changed: dict[str, Any] = {}
        if not self._own:
            self._drop_foreign(tool, at, changed)
        takes_text = self._profile.custom_tools or (self._own and self._profile.own_custom_tools)
        if tool.freeform and not takes_text:
            self._as_function(tool, at, changed)
        elif not tool.freeform:
            self._fit_schema(tool, at, changed)
            if tool.strict is not None or self._strict == "closed":
                self._fit_strict(tool, at, changed)
        return replace(tool, **changed) if changed else tool

    def _drop_foreign(self, tool: Tool, at: str, changed: dict[str, Any]) -> None:
        if tool.cache is not None and not self._profile.cache_marks:
            self._losses("cache_control", at, f"{self._profile.vendor} caches by itself and takes no marks.")
            changed["cache"] = None
        if tool.extras:
            for name in tool.extras:
                why = f"Only the client's own dialect knows '{name}'."
                self._losses("extras", f"{at}.extras.{name}", why)
            changed["extras"] = {}

    def _as_function(self, tool: Tool, at: str, changed: dict[str, Any]) -> None:
        if tool.grammar is not None:
            why = "The model reads the grammar; its input is not held to it."
            self._losses("grammar", f"{at}.grammar", why)
        else:
            self._losses("freeform", at, "A tool with free text was declared as a function.")
        changed |= {"description": described(tool), "schema": SCHEMA, "freeform": False, "grammar": None}
        changed["strict"] = None

    def _fit_schema(self, tool: Tool, at: str, changed: dict[str, Any]) -> None:
        form = self._profile.schema
        schema = tool.schema
        if form == "flat" and schema is not None:
            text, lost = lower(schema, f"{at}.schema")
            for loss in lost:
                self._losses(loss.kind, loss.path, loss.why)
            schema = Json(text)
        elif form == "object" and not self._own and schema is not None:
            schema = _object_schema(schema)
        elif form == "any" and schema is not None:
            # One that is no object, or an empty one, Gemini refuses.
            text = bytes(schema).strip()
            schema = schema if text[:1] == b"{" and text[1:].lstrip() != b"}" else None
        if schema is None and (form == "flat" or (form == "object" and not self._own)):
            schema = ANY_OBJECT
        if schema is not tool.schema:
            changed["schema"] = schema

    def _fit_strict(self, tool: Tool, at: str, changed: dict[str, Any]) -> None:
        if self._own and self._profile.strict != "taken":
            return
        if self._strict == "never":
            changed["strict"] = None
            if tool.strict:
                why = f"{self._profile.vendor} does not enforce a function's schema there."
                self._losses("strict", f"{at}.strict", why)
        elif self._strict == "closed":
            changed["strict"] = bool(tool.strict) and is_strict(changed.get("schema", tool.schema) or b"")
            if tool.strict and not changed["strict"]:
                why = "A strict schema must be closed and require all its members."
                self._losses("strict", f"{at}.strict", why)


def _object_schema(schema: Json) -> Json:
    """The schema with what OpenAI demands of every function's: ``type: object`` and ``properties``."""
    if _USUAL_SCHEMA.match(bytes(schema)) is not None:
        return schema
    found = members(schema)
    if found is None or (bytes(found.get("type", NULL)) == b'"object"' and "properties" in found):
        return schema
    kind = loads(found["type"]) if "type" in found else None
    if kind is None or (isinstance(kind, list) and "object" in kind):
        # MCP servers have a null there, or an object among others.
        found = {**found, "type": _NEEDED["type"]}
    elif kind != "object":
        return schema
    return to_raw({**_NEEDED, **found})


def _fit_hosted(request: ChatRequest, profile: DialectProfile, losses: Losses) -> Iterator[HostedTool]:
    """The tools that the vendor runs, declared as it has them."""
    sent: set[bytes] = set()
    for number, hosted in enumerate(request.hosted):
        at = f"hosted[{number}]"
        like = profile.hosted.get(hosted.kind)
        if hosted.dialect == profile.dialect:
            yield hosted
        elif like is None:
            losses("hosted_tool", at, f"{profile.vendor} has no tool like {hosted.kind} there.")
        elif request.tools and not profile.hosted_beside_tools:
            losses("hosted_tool", at, f"{hosted.kind} is refused beside functions.")
        elif (raw := _declared(hosted, like, at, losses)) not in sent:
            sent.add(raw)
            yield HostedTool(hosted.kind, profile.dialect, Json(raw))


def _declared(hosted: HostedTool, like: Hosted, at: str, losses: Losses) -> bytes:
    body = {name: dict(value) if isinstance(value, dict) else value for name, value in like.declared.items()}
    for name, value in carried(hosted, tuple(like.settings), at, losses).items():
        *groups, last = like.settings[name].split(".")
        place = body
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
        if name == "user_location" and like.nested_place:
            inner = {key: one for key, one in value.items() if key != "type"}
            place[last] = {"type": "approximate", "approximate": inner}
    return bytes(to_raw(body))


def _with_stubs(request: ChatRequest, losses: Losses) -> ChatRequest:
    """The calls in the history declared as tools that must not be used: a client that left them out wants
    no more calls.
    """
    calls = {part.name: None for turn in request.turns for part in turn.parts if isinstance(part, ToolCall)}
    if not calls:
        return request
    losses("tools", "tools", "The calls in the history were declared as tools that must not be used.")
    tools = tuple(Tool(name, schema=ANY_OBJECT) for name in calls)
    return replace(request, tools=tools, choice=ToolChoice("none"), parallel=None)


def settings_of(hosted: HostedTool) -> dict[str, Any]:
    """The settings of a tool that another dialect declared; those of one dialect alone by their own names."""
    found = loads(hosted.raw, {})
    if not isinstance(found, dict):
        return {}
    if hosted.dialect == CHAT:
        found = found.get("web_search_options", found)
    elif hosted.dialect == GEMINI:
        found = next(iter(found.values()), {})
    if not isinstance(found, dict):
        return {}
    filters = found.pop("filters", None)
    found |= filters if isinstance(filters, dict) else {}
    place = found.get("user_location")
    if isinstance(place, dict):
        inner = place.get("approximate")
        found["user_location"] = {"type": "approximate", **(inner if isinstance(inner, dict) else place)}
    return {name: value for name, value in found.items() if name not in _NO_SETTINGS and value is not None}


def _is_usual(name: str, value: Any) -> bool:
    """Whether a setting asks for what any vendor's tool does without it."""
    if name == "external_web_access":
        return value is not False
    if name == "search_content_types":
        return isinstance(value, list) and "text" in value
    return name in _OF_LOADING or (name == "container" and value == {"type": "auto"})


def carried(hosted: HostedTool, taken: tuple[str, ...], path: str, losses: Losses) -> dict[str, Any]:
    """The settings that the target has a place for, by their names; each other one is a loss."""
    found = settings_of(hosted)
    if lost := sorted(name for name in found if name not in taken and not _is_usual(name, found[name])):
        losses("hosted_settings", path, _WHY.format(names=", ".join(lost), kind=hosted.kind))
    return {name: found[name] for name in taken if name in found}
