"""Writes a request as ``generateContent``. The model's name and whether to stream are in the path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ampproxy.adapt.passes import adapt
from ampproxy.dialects.base import Rendered, Target
from ampproxy.dialects.gemini.contents_out import ContentWriter
from ampproxy.dialects.gemini.profile import PROFILE
from ampproxy.dialects.gemini.wire import SAMPLING
from ampproxy.dialects.json import encode, loads, members, put
from ampproxy.dialects.unsupported import is_harmless
from ampproxy.model.base import GEMINI, Json
from ampproxy.model.loss import Losses
from ampproxy.model.request import ChatRequest, OutputFormat, Sampling, Thinking, Tool, ToolChoice


def thinking_config(wish: Thinking | None) -> dict[str, Any]:
    """The members of ``thinkingConfig``; none where there is nothing to set.

    :param wish: as :func:`ampproxy.adapt.thinking.settle_amount` gives it.
    """
    if wish is None:
        return {}
    found: dict[str, Any] = {}
    if wish.mode == "off":
        found["thinkingBudget"] = 0
    elif wish.mode == "budget":
        found["thinkingBudget"] = wish.budget
    elif wish.mode == "level" and wish.level is not None:
        found["thinkingLevel"] = wish.level.upper()
    if wish.show is not None and found.get("thinkingBudget") != 0:
        found["includeThoughts"] = wish.show
    return found


_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}


def render_request(request: ChatRequest, target: Target) -> Rendered:
    """Write a request for a Gemini model. Never raises."""
    losses = Losses()
    request, names, wrapped = adapt(request, PROFILE, target, losses, is_harmless)
    extras: dict[str, Any] = dict(request.extras) if request.dialect == GEMINI else {}
    writer = ContentWriter(request, target, names)
    body: dict[str, Any] = {"contents": writer.contents(request.turns)}
    if request.system:
        body["systemInstruction"] = {"parts": [writer.part(text) for text in request.system]}
    if tools := _tools(request, names):
        body["tools"] = tools
    if config := _tool_config(request, names, loads(extras.pop("toolConfig", b"{}"))):
        body["toolConfig"] = config
    if config := _generation_config(request, extras.pop("generationConfig", None)):
        body["generationConfig"] = config
    put(body, {"serviceTier": request.service_tier})
    return Rendered(encode({**body, **extras}), losses.all(), names.changed, freeform=wrapped)


def for_counting(body: bytes, model: str) -> bytes:
    """The whole request, wrapped: alone, ``contents`` would be counted without system and tools."""
    rest = body.lstrip()[1:]
    return b'{"generateContentRequest":{"model":' + encode(f"models/{model}") + b"," + rest + b"}"


def _tools(request: ChatRequest, names: Callable[[str], str]) -> list[Any]:
    declared = [_declaration(tool, names(tool.name)) for tool in request.tools]
    functions: list[Any] = [{"functionDeclarations": declared}] if declared else []
    return [*functions, *(hosted.raw for hosted in request.hosted)]


def _declaration(tool: Tool, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name}
    put(found, {"description": tool.description})
    found.update(tool.extras)
    put(found, {"parametersJsonSchema": tool.schema})
    return found


def _tool_config(request: ChatRequest, names: Callable[[str], str], found: dict[str, Any]) -> dict[str, Any]:
    if request.choice is not None:
        config = _calling(request.choice, names)
        found["functionCallingConfig"] = config | found.get("functionCallingConfig", {})
    return found


def _calling(choice: ToolChoice, names: Callable[[str], str]) -> dict[str, Any]:
    """The mode, with names only where they are taken (ANY and VALIDATED)."""
    mode = _MODES[choice.mode]
    allowed = [names(name) for name in ([choice.name] if choice.name else choice.allowed)]
    if not allowed or mode == "NONE":
        return {"mode": mode}
    # VALIDATED leaves the model free to answer in words.
    return {"mode": "VALIDATED" if mode == "AUTO" else mode, "allowedFunctionNames": allowed}


# -- generationConfig


def _generation_config(request: ChatRequest, more: Json | None) -> dict[str, Any]:
    config = _sampling(request.sampling)
    if thinking := thinking_config(request.thinking):
        config["thinkingConfig"] = thinking
    config |= _output(request.output)
    if request.modalities and (request.dialect == GEMINI or request.modalities != ("text",)):
        config["responseModalities"] = [word.upper() for word in request.modalities]
    return config if more is None else config | members(more)


def _sampling(sampling: Sampling) -> dict[str, Any]:
    found: dict[str, Any] = {}
    put(found, {member: getattr(sampling, field) for member, field in SAMPLING.items()})
    if sampling.stop:
        found["stopSequences"] = sampling.stop
    return found


def _output(output: OutputFormat | None) -> dict[str, Any]:
    if output is None:
        return {}
    found: dict[str, Any] = {"responseMimeType": "application/json"}
    put(found, {"responseJsonSchema": output.schema if output.kind == "schema" else None})
    return found
