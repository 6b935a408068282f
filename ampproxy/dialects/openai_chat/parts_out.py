"""The parts of a message's content: from the vocabulary to Chat Completions' JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from ampproxy.dialects.json import put
from ampproxy.dialects.openai_chat.profile import AUDIO_FORMATS
from ampproxy.dialects.urls import url_of
from ampproxy.model.base import Json
from ampproxy.model.parts import Audio, Document, FileId, Image, Inline, Opaque, Part, Refusal, Text

Rendered: TypeAlias = dict[str, Any] | Json | None


def content_of(parts: Iterable[Part], *, plain: bool = False) -> str | list[Any]:
    """A content: a string where that is enough, else a list of parts. Empty texts are left out.

    :param plain: whether the server takes one string alone.
    """
    found = [wire for part in parts if (wire := _WRITERS[type(part)](part)) is not None]
    if not found:
        return ""
    if plain and (texts := _texts(found)):
        return "\n\n".join(texts)
    if len(found) == 1 and isinstance(found[0], dict) and found[0].keys() == {"type", "text"}:
        return str(found[0]["text"])
    return found


def _texts(parts: list[Any]) -> list[str]:
    """The texts of parts, if there is nothing else among them."""
    texts = [part["text"] for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    return texts if len(texts) == len(parts) else []


def finished(body: dict[str, Any], part: Any) -> dict[str, Any]:
    """The JSON of a part with its mark for the cache and what else its client wrote there."""
    put(body, {"cache_control": part.cache})
    body.update(part.extras)
    return body


def _text(part: Text) -> Rendered:
    return (
        finished({"type": "text", "text": part.text}, part) if part.text or part.cache is not None else None
    )


def _image(part: Image) -> Rendered:
    image = {"url": url_of(part.source)}
    put(image, {"detail": part.detail})
    return finished({"type": "image_url", "image_url": image}, part)


def _audio(part: Audio) -> Rendered:
    source = part.source
    assert isinstance(source, Inline)
    kind = AUDIO_FORMATS.get(source.media_type) or source.media_type.removeprefix("audio/")
    return {"type": "input_audio", "input_audio": {"data": source.data, "format": kind}, **part.extras}


def _document(part: Document) -> Rendered:
    source = part.source
    if isinstance(source, Inline):
        file = {"filename": part.name or _file_name(source.media_type), "file_data": url_of(source)}
    else:
        file = {"file_id": source.id if isinstance(source, FileId) else ""}
    return finished({"type": "file", "file": file}, part)


def _file_name(media_type: str) -> str:
    """A file needs a name; its ending tells the kind."""
    return f"document.{media_type.partition('/')[2].partition(';')[0] or 'pdf'}"


_WRITERS: Final[dict[type[Part], Callable[[Any], Rendered]]] = {
    Text: _text,
    Refusal: lambda part: {"type": "text", "text": part.text} if part.text else None,
    Image: _image,
    Audio: _audio,
    Document: _document,
    Opaque: lambda part: part.raw,
}
