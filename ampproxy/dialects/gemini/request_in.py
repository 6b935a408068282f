"""Reads a ``generateContent`` request of the Gemini API or of Vertex AI."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ampproxy.dialects.gemini.content_in import History, object_members, plain_texts
from ampproxy.dialects.gemini.schema import raise_gemini
from ampproxy.dialects.json import (
    Decoder,
    Members,
    bad_request,
    encode,
    items,
    loads,
    member,
    raw_text,
    read_request,
    text_of,
    to_raw,
)
from ampproxy.model.base import GEMINI, Json
from ampproxy.model.request import (
    LEVELS,
    ChatRequest,
    HostedTool,
    OutputFormat,
    Sampling,
    Thinking,
    Tool,
    ToolChoice,
)

_RAW = Decoder(Json)
_EMPTY = raw_text("{}")

#: The budget that leaves the amount to the model: said, where a mere ``auto`` says nothing.
DYNAMIC = -1

#: Tools that the vendor runs and that other vendors have too.
HOSTED: dict[str, str] = {
    "googleSearch": "web_search",
    "googleSearchRetrieval": "web_search",
    "enterpriseWebSearch": "web_search",
    "codeExecution": "code_execution",
    "urlContext": "url_context",
}
_TOP = frozenset(
    ("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "model", "serviceTier")
)


def parse_request(body: bytes, *, model: str | None = None, stream: bool | None = None) -> ChatRequest:
    """Read a request, or one to count its tokens.

    :param model: the model from the path; the body has none.
    :param stream: whether the path asks for a stream.
    :raises ampproxy.errors.ClientFault: it is not valid; the message names the member.
    """
    found = object_members(read_request(_RAW, body), "")
    if "generateContentRequest" in found:  # countTokens, with all that a request has
        found = object_members(found["generateContentRequest"], "generateContentRequest")
    if "contents" not in found:
        bad_request("contents", "It is required: a list of contents.")
    extras = {name: raw for name, raw in found.items() if name not in _TOP}
    system, mixed = (
        plain_texts(found["systemInstruction"], "systemInstruction")
        if ("systemInstruction" in found)
        else ((), False)
    )
    if mixed:
        extras["systemInstruction"] = found["systemInstruction"]
    tools, hosted = _tools(found["tools"]) if "tools" in found else ((), ())
    config = object_members(found.get("generationConfig", _EMPTY), "generationConfig")
    choice, rest = _choice(found.get("toolConfig"))
    thinking, output = _thinking(config), _output(config)
    settings = {name: raw for name, raw in config.items() if name not in _KNOWN or _keeps(name, config)}
    for name, value in (("generationConfig", settings), ("toolConfig", rest)):
        if value:
            extras[name] = to_raw(value)
    return ChatRequest(
        dialect=GEMINI,
        model=model or member(found, "model", str, "") or "",
        turns=History().turns(found["contents"]),
        system=system,
        tools=tools,
        hosted=hosted,
        choice=choice,
        sampling=_sampling(config),
        thinking=thinking,
        output=output,
        modalities=tuple(
            word.lower()
            for word in (member(config, "responseModalities", list[str], "generationConfig") or ())
        ),
        stream=bool(stream),
        service_tier=member(found, "serviceTier", str, ""),
        extras=extras,
    )


# -- tools


def _tools(raw: Json) -> tuple[tuple[Tool, ...], tuple[HostedTool, ...]]:
    tools: list[Tool] = []
    hosted: list[HostedTool] = []
    for n, entry in enumerate(items(raw, "tools")):
        found = object_members(entry, f"tools[{n}]")
        declared = found.pop("functionDeclarations", None)
        for m, one in enumerate(items(declared, f"tools[{n}].functionDeclarations") if declared else ()):
            tools.append(_tool(one, f"tools[{n}].functionDeclarations[{m}]"))
        for name, value in found.items():
            hosted.append(HostedTool(HOSTED.get(name, name), GEMINI, to_raw({name: value})))
    return tuple(tools), tuple(hosted)


def _tool(raw: Json, at: str) -> Tool:
    found = object_members(raw, at)
    name = member(found, "name", str, at)
    if not name:
        bad_request(f"{at}.name", "It is required.")
    schema = found.pop("parametersJsonSchema", None)
    proto = found.pop("parameters", None)
    if schema is None and proto is not None:
        schema = raw_text(raise_gemini(proto))
    return Tool(
        name,
        member(found, "description", str, at),
        schema,
        extras={key: value for key, value in found.items() if key not in ("name", "description")},
    )


def _choice(raw: Json | None) -> tuple[ToolChoice | None, Members]:
    """The choice, and what of ``toolConfig`` it does not say."""
    if raw is None:
        return None, {}
    found = object_members(raw, "toolConfig")
    calling = found.pop("functionCallingConfig", None)
    if calling is None:
        return None, found
    at = "toolConfig.functionCallingConfig"
    config = object_members(calling, at)
    mode = (member(config, "mode", str, at) or "AUTO").upper()
    names = tuple(member(config, "allowedFunctionNames", list[str], at) or ())
    rest = {name: value for name, value in config.items() if name not in ("mode", "allowedFunctionNames")}
    if mode == "VALIDATED":
        rest["mode"] = to_raw(mode)
    if rest:
        found["functionCallingConfig"] = to_raw(rest)
    if mode == "ANY":
        if len(names) == 1:
            return ToolChoice("named", names[0]), found
        return ToolChoice("required", allowed=names), found
    if mode == "NONE":
        return ToolChoice("none"), found
    if mode not in ("AUTO", "VALIDATED", "MODE_UNSPECIFIED"):
        bad_request(f"{at}.mode", f"Expected AUTO, ANY, NONE or VALIDATED, got '{mode}'.")
    return ToolChoice("auto", allowed=names), found


# -- generationConfig

_KNOWN = frozenset(
    (
        *("temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "seed"),
        *("presencePenalty", "frequencyPenalty", "responseLogprobs", "logprobs", "responseModalities"),
        *("responseMimeType", "responseSchema", "responseJsonSchema", "thinkingConfig"),
    )
)
_JSON_TYPE = "application/json"


def _keeps(name: str, config: Members) -> bool:
    """Whether a known member is also kept as it came, because the vocabulary cannot say it."""
    return name == "responseMimeType" and text_of(config[name]) != _JSON_TYPE


def _sampling(config: Members) -> Sampling:
    return Sampling(
        max_tokens=_number(config, "maxOutputTokens", int),
        temperature=_number(config, "temperature", float),
        top_p=_number(config, "topP", float),
        top_k=_number(config, "topK", int),
        stop=tuple(member(config, "stopSequences", list[str], "generationConfig") or ()),
        seed=_number(config, "seed", int),
        presence_penalty=_number(config, "presencePenalty", float),
        frequency_penalty=_number(config, "frequencyPenalty", float),
        logprobs=member(config, "responseLogprobs", bool, "generationConfig"),
        top_logprobs=_number(config, "logprobs", int),
        candidates=_number(config, "candidateCount", int),
    )


def _thinking(config: Members) -> Thinking | None:
    if "thinkingConfig" not in config:
        return None
    at = "generationConfig.thinkingConfig"
    found = object_members(config["thinkingConfig"], at)
    show = member(found, "includeThoughts", bool, at)
    level = (member(found, "thinkingLevel", str, at) or "").lower()
    if level and level != "thinking_level_unspecified":
        for known in LEVELS:
            if level == known:
                return Thinking("level", level=known, show=show)
        bad_request(f"{at}.thinkingLevel", f"Expected one of {', '.join(LEVELS)}, got '{level}'.")
    budget = _number(found, "thinkingBudget", int, at)
    if budget is None:
        return Thinking("auto", show=show)
    if budget < 0:
        return Thinking("auto", budget=DYNAMIC, show=show)
    return Thinking("budget", budget=budget, show=show) if budget else Thinking("off", show=show)


def _output(config: Members) -> OutputFormat | None:
    if member(config, "responseMimeType", str, "generationConfig") not in (_JSON_TYPE, None):
        return None
    if "responseJsonSchema" in config:
        return OutputFormat("schema", config["responseJsonSchema"])
    if "responseSchema" in config:
        return OutputFormat("schema", raw_text(raise_gemini(config["responseSchema"])))
    return OutputFormat("json") if "responseMimeType" in config else None


def _number(found: Members, name: str, kind: Callable[[Any], Any], at: str = "generationConfig") -> Any:
    """A number; the API takes a text of digits for one, and 40.0 for 40."""
    if name not in found:
        return None
    value = loads(found[name])
    try:
        if isinstance(value, bool) or (kind is int and isinstance(value, float) and value != int(value)):
            raise ValueError(value)
        return kind(value)
    except (TypeError, ValueError, OverflowError):
        return bad_request(f"{at}.{name}", f"Expected a number, got {encode(value).decode()[:40]}.")
