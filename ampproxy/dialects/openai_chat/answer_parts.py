"""Parts of an answer that are not mere words, as Chat Completions writes them: for both kinds of answer."""

from __future__ import annotations

from typing import Any

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.json import loads
from ampproxy.dialects.openai_parts import url_of
from ampproxy.model.base import CHAT, Json
from ampproxy.model.parts import Audio, FileId, Image, Inline


def image_body(image: Image) -> dict[str, Any] | None:
    """An entry of ``images``, the member that routers use for pictures that a model made."""
    url = url_of(image.source)
    return None if url is None else {"type": "image_url", "image_url": {"url": url}}


def audio_body(audio: Audio, context: AnswerContext) -> dict[str, Any]:
    """``audio`` of a message; all four members are required by the SDK's type."""
    source = audio.source
    if isinstance(source, FileId):
        return {"id": source.id, "data": "", "expires_at": 0, "transcript": audio.transcript or ""}
    known = {name: loads(raw) for name, raw in audio.extras.items()}
    return {
        "id": known.get("id") or context.new_id("audio_"),
        "data": source.data if isinstance(source, Inline) else "",
        "expires_at": known.get("expires_at") or context.created + 3600,
        "transcript": audio.transcript or "",
    }


def annotations_body(extras: dict[str, Json]) -> list[Any]:
    """Citations of pages: chat's own, or Responses' flat ones put into chat's shape."""
    found = loads(extras["annotations"], []) if "annotations" in extras else []
    annotations: list[Any] = []
    for entry in found if isinstance(found, list) else []:
        if not isinstance(entry, dict):
            continue
        if "url_citation" in entry:
            annotations.append(entry)
        elif entry.get("type") == "url_citation":
            flat = {name: entry.get(name) for name in ("url", "title", "start_index", "end_index")}
            annotations.append({"type": "url_citation", "url_citation": flat})
    return annotations


def legacy_functions(context: AnswerContext) -> bool:
    """Whether the client declared ``functions`` and so expects ``function_call``."""
    request = context.request
    return request is not None and request.dialect == CHAT and "functions" in request.extras
