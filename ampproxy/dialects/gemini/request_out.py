"""Says a request as ``generateContent``. The model's name and whether to stream are in the path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ampproxy.adapt.account import fit_account
from ampproxy.adapt.history import drop_remembered
from ampproxy.adapt.parts import parts_to_text
from ampproxy.adapt.sampling import fit_ends, fit_sampling
from ampproxy.adapt.thinking import settle_amount
from ampproxy.adapt.tools import choose_declared
from ampproxy.dialects.base import Rendered, Target
from ampproxy.dialects.common import Losses, Names, encode, loads
from ampproxy.dialects.freeform import SCHEMA, described
from ampproxy.dialects.gemini.contents_out import contents
from ampproxy.dialects.gemini.parts_out import PartRenderer
from ampproxy.dialects.gemini.profile import PROFILE
from ampproxy.dialects.gemini.thinking import thinking_config
from ampproxy.dialects.hosted import carried
from ampproxy.dialects.schema_tree import with_description
from ampproxy.dialects.unsupported import note_lost_extras
from ampproxy.model.base import GEMINI, Json
from ampproxy.model.parts import ToolCall
from ampproxy.model.request import ChatRequest, HostedTool, Sampling, Tool, ToolChoice

#: One character that a function's name may not have there. The first must be a letter or an underscore.
_ILLEGAL = r"^[^a-zA-Z_]|[^a-zA-Z0-9_.:-]"
_LONGEST_NAME = 64

#: How Gemini calls what other vendors run as well.
_HOSTED: dict[str, dict[str, Any]] = {
    "web_search": {"googleSearch": {}},
    "code_execution": {"codeExecution": {}},
    "url_context": {"urlContext": {}},
}
#: Member of ``generationConfig`` -> field of ``Sampling``.
_SAMPLING = {
    "maxOutputTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "seed": "seed",
    "responseLogprobs": "logprobs",
    "logprobs": "top_logprobs",
    "candidateCount": "candidates",
}
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}


def render_request(request: ChatRequest, target: Target) -> Rendered:
    """Say a request to a Gemini model. What cannot be said is a loss; never raises."""
    losses = Losses()
    request = parts_to_text(drop_remembered(request, losses), GEMINI, losses)
    own = request.dialect == GEMINI
    request = request if own else choose_declared(request, losses)
    request = fit_sampling(request, PROFILE, target, losses)
    request = fit_account(fit_ends(request, PROFILE, target, losses), PROFILE, losses)
    names = Names(_ILLEGAL, _LONGEST_NAME, _names(request))
    renderer = PartRenderer(request, target, names, losses)
    extras: dict[str, Any] = dict(request.extras) if own else {}
    if not own:
        note_lost_extras(request, losses)
    body: dict[str, Any] = {
        "contents": contents(request.turns, renderer, losses, own=own, prefill=target.prefill)
    }
    if system := _system(request, renderer):
        body["systemInstruction"] = {"parts": system}
    if tools := _tools(request, target, names, losses, own):
        body["tools"] = tools
    if config := _tool_config(request, names, losses, loads(extras.pop("toolConfig", b"{}"))):
        body["toolConfig"] = config
    if config := _generation_config(request, target, losses, _members(extras.pop("generationConfig", None))):
        body["generationConfig"] = config
    if request.service_tier is not None:
        body["serviceTier"] = request.service_tier
    _drop_unsupported(request, losses)
    return Rendered(
        encode({**body, **extras}),
        losses.all(),
        names.changed,
        freeform=frozenset(names(tool.name) for tool in request.tools if tool.freeform),
    )


def _names(request: ChatRequest) -> Iterator[str]:
    yield from (tool.name for tool in request.tools)
    for turn in request.turns:
        yield from (part.name for part in turn.parts if isinstance(part, ToolCall))


def _members(raw: Json | None) -> dict[str, Any]:
    return {} if raw is None else dict(msgspec.json.decode(bytes(raw), type=dict[str, Json]))


def _system(request: ChatRequest, renderer: PartRenderer) -> list[Any]:
    parts = [renderer.part(text, f"system[{n}]") for n, text in enumerate(request.system)]
    return [wire for wires in parts for wire in wires]


def _drop_unsupported(request: ChatRequest, losses: Losses) -> None:
    if request.parallel is False and request.tools:
        losses("parallel", "parallel", "Gemini cannot be asked for one call at a time.")


# -- tools


def _tools(
    request: ChatRequest, target: Target, names: Names, losses: Losses, own: bool
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    sent_before: set[bytes] = set()
    declared = [_declaration(tool, names, losses, f"tools[{n}]", own) for n, tool in enumerate(request.tools)]
    if declared:
        found.append({"functionDeclarations": declared})
    for n, hosted in enumerate(request.hosted):
        rendered = _hosted(hosted)
        if rendered is None:
            losses("hosted_tool", f"hosted[{n}]", f"Gemini has no tool like {hosted.kind}.")
        elif declared and not own:
            # Newer models take both with toolConfig.includeServerSideToolInvocations, and want their own
            # toolCall parts back then, which no other dialect carries. Vertex has no such member at all.
            losses("hosted_tool", f"hosted[{n}]", f"{hosted.kind} is refused beside functions.")
        elif (text := encode(rendered)) not in sent_before:
            if hosted.dialect != GEMINI:
                carried(hosted, (), f"hosted[{n}]", losses)
            sent_before.add(text)
            found.append(rendered)
    return found


def _hosted(hosted: HostedTool) -> Any:
    return hosted.raw if hosted.dialect == GEMINI else _HOSTED.get(hosted.kind)


def _declaration(tool: Tool, names: Names, losses: Losses, path: str, own: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"name": names(tool.name)}
    if (description := described(tool)) is not None:
        found["description"] = description
    if tool.cache is not None:
        losses("cache_control", path, "Gemini has no marks for its cache.")
    if tool.strict:
        losses("strict", path, "Gemini does not enforce a function's schema.")
    if tool.freeform and tool.grammar is not None:
        losses("grammar", path, "The model reads the grammar; its input is not held to it.")
    if own:
        found.update(tool.extras)
    elif tool.extras:
        losses("extras", path, "Members that only the client's dialect knows were left out.")
    schema = SCHEMA if tool.freeform else tool.schema
    if schema is not None and bytes(schema).lstrip()[:1] == b"{":
        found["parametersJsonSchema"] = schema
    return found


def _tool_config(request: ChatRequest, names: Names, losses: Losses, found: dict[str, Any]) -> dict[str, Any]:
    choice = request.choice
    if choice is not None and request.tools:
        declared = {tool.name for tool in request.tools}
        config = _calling(choice, declared, names, losses)
        found["functionCallingConfig"] = config | found.get("functionCallingConfig", {})
    elif choice is not None and choice.mode in ("required", "named"):
        losses("tool_choice", "choice", "A tool is required, but there is none.")
    return found


def _calling(choice: ToolChoice, declared: set[str], names: Names, losses: Losses) -> dict[str, Any]:
    """The mode, with names only where they are taken (ANY and VALIDATED) and only of declared functions."""
    wanted = [choice.name] if choice.mode == "named" and choice.name else list(choice.allowed)
    allowed = [names(name) for name in wanted if name in declared]
    mode = _MODES[choice.mode]
    if len(allowed) < len(wanted):
        losses("tool_choice", "choice", "A tool was chosen that is not declared.")
        mode = mode if allowed else "AUTO"
    if not allowed or mode == "NONE":
        return {"mode": mode}
    # VALIDATED leaves the model free to answer in words.
    return {"mode": "VALIDATED" if mode == "AUTO" else mode, "allowedFunctionNames": allowed}


# -- generationConfig


def _generation_config(
    request: ChatRequest, target: Target, losses: Losses, found: dict[str, Any]
) -> dict[str, Any]:
    request = settle_amount(request, target, losses, trusted=request.dialect == GEMINI)
    config = _sampling(request.sampling)
    if thinking := thinking_config(request.thinking):
        config["thinkingConfig"] = thinking
    config |= _output(request, target, losses)
    if request.modalities and (request.dialect == GEMINI or request.modalities != ("text",)):
        config["responseModalities"] = [word.upper() for word in request.modalities]
    return config | found


def _sampling(sampling: Sampling) -> dict[str, Any]:
    found = {member: getattr(sampling, field) for member, field in _SAMPLING.items()}
    found["stopSequences"] = sampling.stop or None
    return {name: value for name, value in found.items() if value is not None}


def _output(request: ChatRequest, target: Target, losses: Losses) -> dict[str, Any]:
    output = request.output
    if output is None:
        return {}
    if request.tools and request.dialect != GEMINI and target.thinking != "level":
        losses("output_format", "output", "This model refuses a response format beside functions.")
        return {}
    members: dict[str, Any] = {"responseMimeType": "application/json"}
    if output.kind == "schema" and output.schema is not None:
        members["responseJsonSchema"] = with_description(output.schema, output.description)
        if output.name:
            losses("schema_name", "output.name", "Gemini has no names of schemas.")
    return members
