"""Writes a request as ``generateContent``. The model's name and whether to stream are in the path."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Sequence
from typing import Any

from ampproxy.adapt.passes import adapt
from ampproxy.dialects.base import Rendered, Target, is_harmless
from ampproxy.dialects.gemini.profile import PROFILE
from ampproxy.dialects.gemini.wire import EMPTY, MADE, SAMPLING
from ampproxy.dialects.json import encode, loads, members, put, raw_text
from ampproxy.model.base import GEMINI, Json
from ampproxy.model.loss import Losses
from ampproxy.model.parts import (
    Audio,
    Document,
    FileId,
    Image,
    Inline,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import ChatRequest, Thinking, Tool, ToolChoice, Turn

#: A part as it is sent.
Wire = dict[str, Any]
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}


class ContentWriter:
    """Writes turns that are fitted to the dialect; ``names`` gives the names of functions to send."""

    def __init__(self, request: ChatRequest, target: Target, names: Callable[[str], str]) -> None:
        self._own = request.dialect == GEMINI
        #: Ids are for models that know them.
        self._has_ids = self._own or target.thinking == "level"
        self._names = names

    def contents(self, turns: Sequence[Turn]) -> list[Wire]:
        """All contents of a request."""
        found: list[Wire] = []
        for turn in turns:
            role = "model" if turn.role == "assistant" else "user"
            found.append({"role": role, "parts": list(map(self.part, turn.parts)), **turn.extras})
        return found

    def part(self, part: Part) -> Wire | Json:
        """One part."""
        return _WRITERS[type(part)](self, part)

    def _text(self, part: Text) -> Wire:
        if part.signature is None and not part.extras:
            return {"text": part.text}
        return {"text": part.text, **_signature(part), **part.extras}

    def _image(self, part: Image) -> Wire:
        extras = dict(part.extras)
        found = self._source(part.source, "image/jpeg", extras.pop("displayName", None))
        return {**found, **_signature(part), **extras}

    def _document(self, part: Document) -> Wire:
        assert part.source is not None
        return {**self._source(part.source, "application/pdf", part.name), **part.extras}

    def _source(self, source: Source, usual: str, name: object) -> Wire:
        named = {} if name is None else {"displayName": name}
        if isinstance(source, Inline):
            return {"inlineData": {"mimeType": source.media_type, "data": source.data, **named}}
        uri, media = source.id if isinstance(source, FileId) else source.url, source.media_type
        file = {"fileUri": uri}
        if media is None and not isinstance(source, FileId):
            media = mimetypes.guess_type(uri.partition("?")[0])[0] or (None if self._own else usual)
        put(file, {"mimeType": media})
        return {"fileData": {**file, **named}}

    def _call(self, part: ToolCall) -> Wire:
        extras = dict(part.extras)
        more = loads(extras.pop("functionCall", EMPTY))
        body = {**self._id(part.id), "name": self._names(part.name), "args": raw_text(part.arguments), **more}
        return {"functionCall": body, **_signature(part), **extras}

    def _result(self, part: ToolResult) -> Wire:
        extras = dict(part.extras)
        name = self._names(part.name or "")
        body: Wire = {**self._id(part.call), "name": name, "response": self._response(part)}
        body.update(loads(extras.pop("functionResponse", EMPTY)))
        if media := [self.part(inner) for inner in part.parts if not isinstance(inner, Text)]:
            body["parts"] = media
        return {"functionResponse": body, **extras}

    def _response(self, result: ToolResult) -> Json | dict[str, str]:
        if result.structured is not None and self._own:
            return result.structured
        words = "\n".join(part.text for part in result.parts if isinstance(part, Text))
        return {"error" if result.is_error else "result": words}

    def _id(self, call: str) -> dict[str, str]:
        """A made id means nothing to anybody else."""
        return {"id": call} if self._has_ids and not call.startswith(MADE) else {}


def _signature(part: Text | Image | Reasoning | ToolCall) -> dict[str, str]:
    return {} if part.signature is None else {"thoughtSignature": part.signature.value}


_WRITERS: dict[type, Callable[[ContentWriter, Any], Wire | Json]] = {
    Text: ContentWriter._text,
    Reasoning: lambda self, part: {"text": part.text, "thought": True, **_signature(part)},
    Refusal: lambda self, part: {"text": part.text},
    Image: ContentWriter._image,
    Document: ContentWriter._document,
    Audio: lambda self, part: self._source(part.source, "audio/wav", None),
    Opaque: lambda self, part: part.raw,
    ToolCall: ContentWriter._call,
    ToolResult: ContentWriter._result,
}


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


def render_request(request: ChatRequest, target: Target) -> Rendered:
    """Write a request for a Gemini model. Never raises."""
    losses = Losses()
    request, names, wrapped = adapt(request, PROFILE, target, losses, is_harmless)
    extras: dict[str, Any] = dict(request.extras) if request.dialect == GEMINI else {}
    writer = ContentWriter(request, target, names)
    body: dict[str, Any] = {"contents": writer.contents(request.turns)}
    if request.system:
        body["systemInstruction"] = {"parts": [writer.part(text) for text in request.system]}
    declared = [_declaration(tool, names(tool.name)) for tool in request.tools]
    functions: list[Any] = [{"functionDeclarations": declared}] if declared else []
    put(body, {"tools": [*functions, *(hosted.raw for hosted in request.hosted)] or None})
    config: dict[str, Any] = loads(extras.pop("toolConfig", b"{}"))
    if request.choice is not None:
        own = config.get("functionCallingConfig", {})
        config["functionCallingConfig"] = _calling(request.choice, names) | own
    if config:
        body["toolConfig"] = config
    if config := _generation_config(request, extras.pop("generationConfig", None)):
        body["generationConfig"] = config
    put(body, {"serviceTier": request.service_tier})
    return Rendered(encode({**body, **extras}), losses.all(), names.changed, freeform=wrapped)


def for_counting(body: bytes, model: str) -> bytes:
    """The whole request, wrapped: alone, ``contents`` would be counted without system and tools."""
    rest = body.lstrip()[1:]
    return b'{"generateContentRequest":{"model":' + encode(f"models/{model}") + b"," + rest + b"}"


def _declaration(tool: Tool, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name}
    put(found, {"description": tool.description})
    found.update(tool.extras)
    put(found, {"parametersJsonSchema": tool.schema})
    return found


def _calling(choice: ToolChoice, names: Callable[[str], str]) -> dict[str, Any]:
    """The mode, with names only where they are taken (ANY and VALIDATED)."""
    mode = _MODES[choice.mode]
    allowed = [names(name) for name in ([choice.name] if choice.name else choice.allowed)]
    if not allowed or mode == "NONE":
        return {"mode": mode}
    # VALIDATED leaves the model free to answer in words.
    return {"mode": "VALIDATED" if mode == "AUTO" else mode, "allowedFunctionNames": allowed}


def _generation_config(request: ChatRequest, more: Json | None) -> dict[str, Any]:
    config: dict[str, Any] = {}
    put(config, {member: getattr(request.sampling, field) for member, field in SAMPLING.items()})
    put(config, {"stopSequences": request.sampling.stop or None})
    if thinking := thinking_config(request.thinking):
        config["thinkingConfig"] = thinking
    if request.output is not None:
        config["responseMimeType"] = "application/json"
        put(config, {"responseJsonSchema": request.output.schema})
    if request.modalities and (request.dialect == GEMINI or request.modalities != ("text",)):
        config["responseModalities"] = [word.upper() for word in request.modalities]
    return config if more is None else config | members(more)
