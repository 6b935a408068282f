"""Says the parts of a conversation in Gemini's words."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from typing import Any

from ampproxy.dialects.base import Target
from ampproxy.dialects.common import Losses, ToolNameMap, loads, object_or_empty
from ampproxy.dialects.freeform import wrap
from ampproxy.dialects.gemini.wire import EMPTY, MADE, SKIP_SIGNATURE, camel
from ampproxy.model.base import GEMINI, Json
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
    Sealed,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import ChatRequest

#: A part as it is sent.
Wire = dict[str, Any]

#: What stands for the result of a call that never got one.
INTERRUPTED = "The tool call was interrupted: there is no result."


class PartRenderer:
    """Says parts to one target; what cannot be said is noted in ``losses``.

    :param names: function names as the target takes them.
    """

    def __init__(self, request: ChatRequest, target: Target, names: ToolNameMap, losses: Losses) -> None:
        self._own = request.dialect == GEMINI
        self._newer = target.thinking == "level"
        self._names = names
        self._losses = losses

    def part(self, part: Part, path: str) -> list[Wire]:
        """One part; none where it is left out."""
        if getattr(part, "cache", None) is not None:
            self._losses("cache_control", path, "Gemini has no marks for its cache.")
        if not isinstance(part, ToolCall):
            self.lose_extras(getattr(part, "extras", {}), path)
        return _RENDERERS[type(part)](self, part, path)

    def lose_extras(self, extras: dict[str, Json], path: str) -> None:
        """Note the members that only the client's dialect knows."""
        if extras and not self._own:
            self._losses("extras", path, f"Members of another dialect: {', '.join(sorted(extras))}.")

    # -- words

    def _text(self, part: Text, path: str) -> list[Wire]:
        signature = self._signature(part.sealed, path)
        if not part.text and not signature and not self._own:
            return []
        return [{"text": part.text, **signature, **self._extras(part.extras)}]

    def _reasoning(self, part: Reasoning, path: str) -> list[Wire]:
        signature = self._signature(part.sealed, path)
        if signature or (self._own and part.sealed is None):
            return [{"text": part.text, "thought": True, **signature}]
        if part.sealed is None:
            self._losses("earlier_thinking", path, "Gemini does not read thinking without its proof again.")
        return []

    def _refusal(self, part: Refusal, path: str) -> list[Wire]:
        self._losses("refusal", path, "A refusal becomes text.")
        return [{"text": part.text}] if part.text else []

    # -- media

    def _image(self, part: Image, path: str) -> list[Wire]:
        if part.detail not in (None, "auto"):
            self._losses("detail", path, "The resolution hint of an image was left out.")
        extras = self._extras(part.extras)
        name = extras.pop("displayName", None)
        found = self._source(part.source, path, "image/jpeg", name)
        return [{**found, **self._signature(part.sealed, path), **extras}] if found else []

    def _document(self, part: Document, path: str) -> list[Wire]:
        if part.name is not None and not self._own:
            self._losses("document_name", path, "A document's name cannot be expressed.")
        if part.source is None:
            return [{"text": part.text}] if part.text else []
        found = self._source(part.source, path, "application/pdf", part.name if self._own else None)
        return [{**found, **self._extras(part.extras)}] if found else []

    def _audio(self, part: Audio, path: str) -> list[Wire]:
        found = self._source(part.source, path, "audio/wav", None)
        if not found and part.transcript:
            return [{"text": part.transcript}]
        return [found] if found else []

    def _source(self, source: Source, path: str, usual: str, name: object) -> Wire:
        named = {} if name is None else {"displayName": name}
        if isinstance(source, Inline):
            return {"inlineData": {"mimeType": source.media_type, "data": source.data, **named}}
        if isinstance(source, FileId):
            if source.vendor != GEMINI:
                self._losses("file", path, "A file that lies with another vendor was left out.")
                return {}
            uri = source.id
            media = {} if source.media_type is None else {"mimeType": source.media_type}
        else:
            uri = source.url
            guess = source.media_type or mimetypes.guess_type(uri.partition("?")[0])[0]
            media = {} if guess is None and self._own else {"mimeType": guess or usual}
        return {"fileData": {"fileUri": uri, **media, **named}}

    # -- tools

    def call(self, part: ToolCall, path: str, *, first: bool) -> Wire:
        """A call of a function.

        :param first: the first of its turn, which newer models want to be signed.
        """
        if part.cache is not None:
            self._losses("cache_control", path, "Gemini has no marks for its cache.")
        arguments = wrap(part.arguments) if part.freeform else part.arguments
        args = object_or_empty(arguments)
        if arguments.strip() and bytes(args).decode() != arguments:
            self._losses("arguments", path, "The arguments are no JSON object and were wrapped in one.")
        signature = self._signature(part.sealed, path)
        if first and self._newer and not signature:
            signature = {"thoughtSignature": SKIP_SIGNATURE}
            self._losses(
                "missing_signature", path, "The call has no proof of Gemini's; its check is skipped."
            )
        self.lose_extras(part.extras, path)
        extras = self._extras(part.extras)
        more = loads(extras.pop("functionCall", EMPTY))
        body = {**self._id(part.id), "name": self._names(part.name), "args": args, **more}
        return {"functionCall": body, **signature, **extras}

    def result(self, call: ToolCall, result: ToolResult | None, path: str) -> tuple[Wire, list[Wire]]:
        """The result of a call, and the parts that must stand after all results."""
        body: Wire = {**self._id(call.id), "name": self._names(call.name)}
        if result is None:
            self._losses("unanswered_call", path, "A call without a result was marked as interrupted.")
            return {"functionResponse": {**body, "response": {"error": INTERRUPTED}}}, []
        if result.cache is not None:
            self._losses("cache_control", path, "Gemini has no marks for its cache.")
        self.lose_extras(result.extras, path)
        for n, part in enumerate(result.parts):
            if isinstance(part, Text):
                self.lose_extras(part.extras, f"{path}.parts[{n}]")
        media = [part for part in result.parts if not isinstance(part, Text)]
        wires = [wire for n, part in enumerate(media) for wire in self.part(part, f"{path}.parts[{n}]")]
        body["response"] = self._response(result)
        extras = self._extras(result.extras)
        body.update(loads(extras.pop("functionResponse", EMPTY)))
        if wires and (self._newer or self._own):
            body["parts"] = wires
            wires = []
        return {"functionResponse": body, **extras}, wires

    def orphan(self, result: ToolResult, path: str) -> list[Wire]:
        """A result whose call is not in the conversation: it is told as text, so that it is not lost."""
        self._losses("orphan_result", path, "A result without its call was sent as text.")
        name = f" of {result.name}" if result.name else ""
        self.lose_extras(result.extras, path)
        text = _words(result)
        wires: list[Wire] = [{"text": f"Result{name}: {text}"}] if text else []
        for n, part in enumerate(result.parts):
            if not isinstance(part, Text):
                wires += self.part(part, f"{path}.parts[{n}]")
        return wires

    def _response(self, result: ToolResult) -> Json | dict[str, str]:
        if result.structured is not None and self._own:
            return result.structured
        return {"error" if result.is_error else "result": _words(result)}

    def _id(self, call: str) -> dict[str, str]:
        """Ids are for models that know them; a made one means nothing to anybody else."""
        return {"id": call} if (self._own or self._newer) and not call.startswith(MADE) else {}

    # -- the rest

    def _opaque(self, part: Opaque, path: str) -> list[Wire]:
        found = loads(part.raw) if part.dialect == GEMINI else None
        if isinstance(found, dict) and any(camel(name) == part.kind for name in found):
            return [part.raw]  # type: ignore[list-item]
        self._losses("opaque", path, f"A part of the kind {part.kind} has no like at Gemini.")
        return []

    def _signature(self, sealed: Sealed | None, path: str) -> dict[str, Any]:
        if sealed is None:
            return {}
        if sealed.vendor != GEMINI:
            self._losses("foreign_proof", path, "Another vendor's proof of thinking was left out.")
            return {}
        return {"thoughtSignature": sealed.value}

    def _extras(self, extras: dict[str, Json]) -> dict[str, Any]:
        return dict(extras) if self._own else {}


def _words(result: ToolResult) -> str:
    return "\n".join(part.text for part in result.parts if isinstance(part, Text))


_RENDERERS: dict[type, Callable[[PartRenderer, Any, str], list[Wire]]] = {
    Text: PartRenderer._text,
    Reasoning: PartRenderer._reasoning,
    Refusal: PartRenderer._refusal,
    Image: PartRenderer._image,
    Document: PartRenderer._document,
    Audio: PartRenderer._audio,
    Opaque: PartRenderer._opaque,
    ToolCall: lambda self, part, path: [self.call(part, path, first=False)],
    ToolResult: lambda self, part, path: self.orphan(part, path),
}
