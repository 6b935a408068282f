"""Reads a ``generateContent`` request of the Gemini API or of Vertex AI."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ampproxy.adapt.schema import Node, member, node_of, strings
from ampproxy.dialects.gemini.content_in import History, plain_texts
from ampproxy.dialects.gemini.wire import SAMPLING, CamelFields, listed
from ampproxy.dialects.json import NULL, Members, bad_request, encode, is_string, loads, raw_text, to_raw
from ampproxy.model.base import GEMINI, Json
from ampproxy.model.parts import Text
from ampproxy.model.request import (
    LEVELS,
    ChatRequest,
    HostedTool,
    OutputFormat,
    Sampling,
    Thinking,
    Tool,
    ToolChoice,
    leading_system,
    level_of,
)
from ampproxy.wire.json import elements

#: The budget that leaves the amount to the model: written, where a mere ``auto`` is not.
DYNAMIC = -1

#: Tools that the vendor runs and that other vendors have too.
HOSTED: dict[str, str] = {
    "googleSearch": "web_search",
    "googleSearchRetrieval": "web_search",
    "enterpriseWebSearch": "web_search",
    "codeExecution": "code_execution",
    "urlContext": "url_context",
}
#: Members of other dialects' requests, and of the configuration beside it, -> those of the configuration.
_BESIDE = {
    "maxTokens": "maxOutputTokens",
    "maxCompletionTokens": "maxOutputTokens",
    "stop": "stopSequences",
    **{name: name for name in (*SAMPLING, "stopSequences") if name != "logprobs"},
}
_MODES = {"required": "ANY", "any": "ANY", "function": "ANY", "tool": "ANY"}
#: Members of tools in the form of OpenAI's dialects, or of Anthropic's.
_FOREIGN = ("name", "function", "inputSchema")
_JSON_TYPE = "application/json"
#: The fields of ``Sampling`` that are whole numbers.
_WHOLE = frozenset(("max_tokens", "top_k", "seed", "top_logprobs", "candidates"))


def parse_request(body: bytes, *, model: str | None = None, stream: bool | None = None) -> ChatRequest:
    """Read a request, or one to count its tokens; see :class:`~ampproxy.dialects.base.ParseRequest`."""
    asked = CamelFields(body)
    # countTokens, with all that a request has.
    asked = asked.take_object("generateContentRequest") or asked
    contents = asked.take_raw("contents")
    if contents is None:
        bad_request("contents", "It is required: a list of contents.")
    config = asked.take_object("generationConfig") or CamelFields(b"{}")
    _settle(asked, config)
    system, turns = _system(asked), History().turns(contents)
    if turns and turns[0].role == "system":
        leading, turns = leading_system(turns)
        system += leading
    tools, hosted = _tools(asked.take_raw("tools"))
    choice, rest = _choice(asked.take_object("toolConfig"))
    thinking, output = _thinking(config), _output(config)
    modalities = config.take("responseModalities", list[str]) or ()
    sampling = _sampling(config)
    named = asked.take("model", str) or ""
    tier = asked.take("serviceTier", str)
    for name, value in (("generationConfig", config.left), ("toolConfig", rest)):
        if value:
            asked.left[name] = to_raw(value)
    return ChatRequest(
        dialect=GEMINI,
        model=model or named,
        turns=turns,
        system=system,
        tools=tools,
        hosted=hosted,
        choice=choice,
        sampling=sampling,
        thinking=thinking,
        output=output,
        modalities=tuple(map(str.lower, modalities)),
        stream=bool(stream),
        service_tier=tier,
        extras=asked.left,
    )


def _settle(asked: CamelFields, config: CamelFields) -> None:
    """Put members of other dialects where Gemini has them; what is there already counts."""
    for name in _BESIDE.keys() & asked.left.keys():
        value = asked.left.pop(name)
        one_stop = name == "stop" and is_string(value)
        config.left.setdefault(_BESIDE[name], to_raw([value]) if one_stop else value)
    if (system := asked.take_raw("system")) is not None:
        asked.left.setdefault("systemInstruction", system)
    choice = loads(asked.left.pop("toolChoice", NULL))
    if choice is None or "toolConfig" in asked.left:
        return
    named = choice if isinstance(choice, dict) else {"type": choice}
    mode = str(named.get("type")).lower()
    calling: dict[str, Any] = {"mode": _MODES.get(mode, mode.upper())}
    function = named.get("function", named)
    if isinstance(function, dict) and isinstance(function.get("name"), str):
        calling["allowedFunctionNames"] = [function["name"]]
    asked.left["toolConfig"] = to_raw({"functionCallingConfig": calling})


def _system(asked: CamelFields) -> tuple[Text, ...]:
    """The system's texts; an instruction that has anything else is also kept as it came."""
    raw = asked.take_raw("systemInstruction")
    if raw is None:
        return ()
    texts, mixed = plain_texts(raw, asked.path("systemInstruction"))
    if mixed:
        asked.left["systemInstruction"] = raw
    return texts


def _tools(raw: Json | None) -> tuple[tuple[Tool, ...], tuple[HostedTool, ...]]:
    tools: list[Tool] = []
    hosted: list[HostedTool] = []
    for n, entry in enumerate(listed(raw, "tools") if raw is not None else ()):
        found = CamelFields(entry, f"tools[{n}]")
        declared, at = found.take_raw("functionDeclarations"), found.path("functionDeclarations")
        for m, one in enumerate(listed(declared, at) if declared is not None else ()):
            tools.append(_tool(CamelFields(one, f"{at}[{m}]")))
        if not found.left.keys().isdisjoint(_FOREIGN):
            tools.append(_of_others(found))
            continue
        for name, value in found.left.items():
            hosted.append(HostedTool(HOSTED.get(name, name), GEMINI, to_raw({name: value})))
    return tuple(tools), tuple(hosted)


def _of_others(tool: CamelFields) -> Tool:
    tool.left.pop("type", None)
    function = tool.take_object("function") or tool
    for name in ("parameters", "inputSchema"):
        if (schema := function.take_raw(name)) is not None:
            function.left["parametersJsonSchema"] = schema
    function.left.pop("strict", None)
    return _tool(function)


def _tool(tool: CamelFields) -> Tool:
    name, description = tool.take("name", str), tool.take("description", str)
    if not name:
        bad_request(tool.path("name"), "It is required.")
    schema, proto = tool.take_raw("parametersJsonSchema"), tool.take_raw("parameters")
    if schema is None and proto is not None:
        schema = raw_text(raise_gemini(proto))
    return Tool(name, description, schema, extras=tool.left)


def _choice(config: CamelFields | None) -> tuple[ToolChoice | None, Members]:
    """The choice, and what of ``toolConfig`` it does not express."""
    if config is None:
        return None, {}
    calling = config.take_object("functionCallingConfig")
    if calling is None:
        return None, config.left
    mode = (calling.take("mode", str) or "AUTO").upper()
    names = tuple(calling.take("allowedFunctionNames", list[str]) or ())
    if mode == "VALIDATED":
        calling.left["mode"] = to_raw(mode)
    if calling.left:
        config.left["functionCallingConfig"] = to_raw(calling.left)
    if mode == "ANY":
        named = len(names) == 1
        return ToolChoice("named", names[0]) if named else ToolChoice("required", allowed=names), config.left
    if mode == "NONE":
        return ToolChoice("none"), config.left
    if mode not in ("AUTO", "VALIDATED", "MODE_UNSPECIFIED"):
        bad_request(calling.path("mode"), f"Expected AUTO, ANY, NONE or VALIDATED, got '{mode}'.")
    return ToolChoice("auto", allowed=names), config.left


def _sampling(config: CamelFields) -> Sampling:
    found: dict[str, Any] = {
        field: _number(config, member, int if field in _WHOLE else float)
        for member, field in SAMPLING.items()
        if field != "logprobs"
    }
    stop = tuple(config.take("stopSequences", list[str]) or ())
    return Sampling(**found, logprobs=config.take("responseLogprobs", bool), stop=stop)


def _thinking(config: CamelFields) -> Thinking | None:
    wish = config.take_object("thinkingConfig")
    if wish is None:
        return None
    show = wish.take("includeThoughts", bool)
    word = (wish.take("thinkingLevel", str) or "").lower()
    if word and word != "thinking_level_unspecified":
        level = level_of(word)
        if level is None:
            bad_request(wish.path("thinkingLevel"), f"Expected one of {', '.join(LEVELS)}, got '{word}'.")
        return Thinking("level", level=level, show=show)
    budget = _number(wish, "thinkingBudget", int)
    if budget is None:
        return Thinking("auto", show=show)
    if budget < 0:
        return Thinking("auto", budget=DYNAMIC, show=show)
    return Thinking("budget", budget=budget, show=show) if budget else Thinking("off", show=show)


def _output(config: CamelFields) -> OutputFormat | None:
    form = config.take("responseMimeType", str)
    schema, proto = config.take_raw("responseJsonSchema"), config.take_raw("responseSchema")
    if form not in (_JSON_TYPE, None):
        config.left["responseMimeType"] = to_raw(form)
        return None
    if schema is None and proto is not None:
        schema = raw_text(raise_gemini(proto))
    if schema is not None:
        return OutputFormat("schema", schema)
    return OutputFormat("json") if form is not None else None


def _number(found: CamelFields, name: str, kind: Callable[[Any], Any]) -> Any:
    """A number; the API takes a text of digits for one, and 40.0 for 40."""
    raw = found.take_raw(name)
    if raw is None:
        return None
    value = loads(raw)
    try:
        if isinstance(value, bool) or (kind is int and isinstance(value, float) and value != int(value)):
            raise ValueError(value)
        return kind(value)
    except (TypeError, ValueError, OverflowError):
        return bad_request(found.path(name), f"Expected a number, got {encode(value).decode()[:40]}.")


# Gemini's own ``Schema`` (``parameters``, ``responseSchema``) is a selection of OpenAPI 3.0's: types in
# upper case, ``nullable``, ``anyOf``; no references, no ``const``, ``enum`` on strings only. Source: the
# reference of ``Schema`` of the Gemini API. The way there is not needed: ``parametersJsonSchema`` and
# ``responseJsonSchema`` take JSON Schema as it is.

#: Levels of a schema that are translated; what is below them stays as it is.
_DEEPEST = 24

_SPELLINGS = {
    "any_of": "anyOf",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "property_ordering": "propertyOrdering",
    "additional_properties": "additionalProperties",
    "defs": "$defs",
    "ref": "$ref",
}
#: int64 in the proto: a JSON string or a number.
_INT64 = frozenset(("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"))
_GROUPS = frozenset(("properties", "$defs"))
#: As JSON writes one.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")


def raise_gemini(schema: bytes | Json) -> bytes:
    """Write Gemini's proto Schema as JSON Schema.

    What is no schema becomes ``{}``. ``propertyOrdering``, which JSON Schema does not know, becomes the order
    in which the properties stand, since models write them in that order.
    """
    return encode(_raised(node_of(schema) or {}, 0))


def _raised(node: Node, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, raw in node.items():
        key = _SPELLINGS.get(name, name)
        if key in _GROUPS and depth < _DEEPEST and (group := node_of(raw)) is not None:
            found[key] = {entry: _raised(node_of(text) or {}, depth + 1) for entry, text in group.items()}
        elif key in ("items", "additionalProperties") and depth < _DEEPEST and bytes(raw)[:1] == b"{":
            found[key] = _raised(node_of(raw) or {}, depth + 1)
        elif key == "anyOf" and depth < _DEEPEST:
            found[key] = [_raised(node_of(text) or {}, depth + 1) for text in elements(raw)]
        elif key == "type":
            kind = loads(raw)
            if isinstance(kind, str) and kind.upper() != "TYPE_UNSPECIFIED":
                found[key] = kind.lower()
            elif isinstance(kind, list):
                found[key] = raw
        elif key in _INT64:
            text = loads(raw)
            found[key] = Json(text.encode()) if isinstance(text, str) and text.isdecimal() else raw
        elif key == "example":
            found["examples"] = [raw]
        elif key not in ("nullable", "propertyOrdering") and not (key == "format" and loads(raw) == "enum"):
            found[key] = raw
    ordering = node.get("propertyOrdering", node.get("property_ordering"))
    if ordering is not None and isinstance(found.get("properties"), dict):
        found["properties"] = _ordered(found["properties"], strings(ordering))
    if found.get("type") in ("integer", "number") and (values := elements(found.get("enum"))):
        found["enum"] = Json(encode([_plain_number(value) for value in values]))
    return _with_null(found) if member(node, "nullable") is True else found


def _plain_number(value: Json) -> Json:
    """A value of an enum of numbers, which is a text in the proto: ``"101"``."""
    text = loads(value)
    return Json(text.encode()) if isinstance(text, str) and _NUMBER.fullmatch(text) else value


def _ordered(properties: dict[str, Any], names: list[str]) -> dict[str, Any]:
    first = {name: properties[name] for name in names if name in properties}
    return {**first, **properties}


def _with_null(found: dict[str, Any]) -> dict[str, Any]:
    if isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    elif "anyOf" in found:
        found["anyOf"].append({"type": "null"})
    values = elements(found.get("enum"))
    if values and NULL not in values:
        found["enum"] = [*values, NULL]
    return found
