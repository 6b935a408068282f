"""The contents of a request: from turns to Gemini's JSON."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Sequence
from typing import Any

from ampproxy.dialects.base import Target
from ampproxy.dialects.gemini.wire import EMPTY, MADE
from ampproxy.dialects.json import loads, put, raw_text
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
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import ChatRequest, Turn

#: A part as it is sent.
Wire = dict[str, Any]


class ContentWriter:
    """Writes turns that are fitted to the dialect.

    :param names: gives the names of functions to send.
    """

    def __init__(self, request: ChatRequest, target: Target, names: Callable[[str], str]) -> None:
        self._own = request.dialect == GEMINI
        #: Ids are for models that know them.
        self._has_ids = self._own or target.thinking == "level"
        self._names = names

    def contents(self, turns: Sequence[Turn]) -> list[Wire]:
        """All contents of a request."""
        return [self._content(turn) for turn in turns]

    def _content(self, turn: Turn) -> Wire:
        role = "model" if turn.role == "assistant" else "user"
        return {"role": role, "parts": [self.part(part) for part in turn.parts], **turn.extras}

    def part(self, part: Part) -> Wire | Json:
        """One part."""
        return _WRITERS[type(part)](self, part)

    def _text(self, part: Text) -> Wire:
        body = {"text": part.text}
        return (
            body
            if part.signature is None and not part.extras
            else {**body, **_signature(part), **part.extras}
        )

    def _reasoning(self, part: Reasoning) -> Wire:
        return {"text": part.text, "thought": True, **_signature(part)}

    def _image(self, part: Image) -> Wire:
        extras = dict(part.extras)
        found = self._source(part.source, "image/jpeg", extras.pop("displayName", None))
        return {**found, **_signature(part), **extras}

    def _document(self, part: Document) -> Wire:
        assert part.source is not None
        return {**self._source(part.source, "application/pdf", part.name), **part.extras}

    def _audio(self, part: Audio) -> Wire:
        return self._source(part.source, "audio/wav", None)

    def _source(self, source: Source, usual: str, name: object) -> Wire:
        named = {} if name is None else {"displayName": name}
        if isinstance(source, Inline):
            return {"inlineData": {"mimeType": source.media_type, "data": source.data, **named}}
        uri, media = (
            (source.id, source.media_type) if isinstance(source, FileId) else (source.url, source.media_type)
        )
        file = {"fileUri": uri}
        if media is None and not isinstance(source, FileId):
            media = mimetypes.guess_type(uri.partition("?")[0])[0] or (None if self._own else usual)
        put(file, {"mimeType": media})
        return {"fileData": {**file, **named}}

    def _call(self, part: ToolCall) -> Wire:
        extras = dict(part.extras)
        more = loads(extras.pop("functionCall", EMPTY))
        args = raw_text(part.arguments)
        body = {**self._id(part.id), "name": self._names(part.name), "args": args, **more}
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
    Reasoning: ContentWriter._reasoning,
    Refusal: lambda self, part: {"text": part.text},
    Image: ContentWriter._image,
    Document: ContentWriter._document,
    Audio: ContentWriter._audio,
    Opaque: lambda self, part: part.raw,
    ToolCall: ContentWriter._call,
    ToolResult: ContentWriter._result,
}
