"""The parts of a message's content: from the vocabulary to Chat Completions' JSON."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from ampproxy.dialects.common import Losses
from ampproxy.dialects.openai import SHARED_OF_PARTS
from ampproxy.dialects.openai_chat.arrange import Placed
from ampproxy.dialects.openai_chat.rules import Rules
from ampproxy.model.base import CHAT, RESPONSES, Json
from ampproxy.model.parts import Audio, Document, FileId, Image, Inline, Link, Opaque, Part, Refusal, Text

Rendered: TypeAlias = dict[str, Any] | Json | None

#: Media type -> ``format`` of ``input_audio``.
AUDIO_FORMATS: Final = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}

#: Files that were uploaded to OpenAI, by either of its dialects.
_OWN_FILES: Final = (CHAT, RESPONSES)


def data_url(source: Inline) -> str:
    """Bytes as a URL (RFC 2397)."""
    return f"data:{source.media_type};base64,{source.data}"


class PartWriter:
    """Writes parts, and notes what cannot be said."""

    def __init__(self, rules: Rules, losses: Losses) -> None:
        self.rules = rules
        self.losses = losses

    def content(self, placed: Iterable[Placed], role: str = "") -> str | list[Any]:
        """A content: a string where one says it, else a list of parts. Empty texts are left out.

        :param role: whose; that of some the server takes as one string alone.
        """
        parts = [rendered for each in placed if (rendered := self.part(each)) is not None]
        if not parts:
            return ""
        if role in self.rules.host.plain and (texts := _texts(parts)):
            return "\n\n".join(texts)
        if len(parts) == 1 and isinstance(parts[0], dict) and parts[0].keys() == {"type", "text"}:
            return str(parts[0]["text"])
        return parts

    def part(self, placed: Placed) -> Rendered:
        """One part; ``None`` if it cannot be said."""
        write = _WRITERS.get(type(placed.part))
        if write is None:
            self.losses("misplaced", placed.path, "Such a part has no place in this message.")
            return None
        return write(self, placed.part, placed.path)

    def text(self, part: Text, path: str) -> Rendered:
        """Words."""
        if not part.text and part.cache is None:
            return None
        if part.sealed is not None:
            self.foreign_proof(path)
        return self._finish({"type": "text", "text": part.text}, part, path)

    def refusal(self, part: Refusal, path: str) -> Rendered:
        """A refusal where a content part is wanted."""
        return {"type": "text", "text": part.text} if part.text else None

    def image(self, part: Image, path: str) -> Rendered:
        """A picture, inline or by its URL."""
        source = part.source
        if isinstance(source, Inline):
            url = data_url(source)
        elif isinstance(source, Link) and source.url.startswith(("https://", "http://", "data:")):
            url = source.url
        else:
            self.losses("image_source", path, "The picture lies where this vendor cannot fetch it.")
            return None
        if part.sealed is not None:
            self.foreign_proof(path)
        image = {"url": url} if part.detail is None else {"url": url, "detail": part.detail}
        return self._finish({"type": "image_url", "image_url": image}, part, path)

    def audio(self, part: Audio, path: str) -> Rendered:
        """Sound: wav and mp3 are taken."""
        source = part.source
        known = isinstance(source, Inline) and (
            AUDIO_FORMATS.get(source.media_type)
            or (self.rules.same and source.media_type.removeprefix("audio/"))
        )
        if known and isinstance(source, Inline):
            body = {"type": "input_audio", "input_audio": {"data": source.data, "format": known}}
            return self.extras(body, part.extras, path)
        self.losses("audio_format", path, "Only wav and mp3 sound, inline, can be sent.")
        return {"type": "text", "text": part.transcript} if part.transcript else None

    def document(self, part: Document, path: str) -> Rendered:
        """A file, or the words of a plain-text document."""
        text = part.text if part.text is not None else _inline_text(part.source)
        if text is not None:
            if part.name:
                self.losses("document_name", path, "A plain-text document is sent without its name.")
            return self._finish({"type": "text", "text": text}, part, path)
        source = part.source
        file: dict[str, str]
        if isinstance(source, Inline):
            file = {"filename": part.name or _file_name(source.media_type), "file_data": data_url(source)}
        elif isinstance(source, FileId) and source.vendor in _OWN_FILES:
            file = {"file_id": source.id}
        else:
            self.losses(
                "document_source", path, "A file is sent inline or named by its upload, not by a URL."
            )
            return None
        return self._finish({"type": "file", "file": file}, part, path)

    def opaque(self, part: Opaque, path: str) -> Rendered:
        """A part of one dialect only."""
        if part.dialect == CHAT and self.rules.same:
            return part.raw
        self.losses("opaque", path, f"A part '{part.kind}' means something to its own vendor only.")
        return None

    def foreign_proof(self, path: str) -> None:
        """Note that a proof was left out."""
        self.losses("foreign_proof", path, "A proof of reasoning is only for the vendor that issued it.")

    def cache(self, body: dict[str, Any], mark: Json | None, path: str) -> None:
        """A cache mark: for the client's own server, which takes it or not."""
        if mark is None:
            return
        if self.rules.same:
            body["cache_control"] = mark
        else:
            self.losses("cache_control", path, "OpenAI caches by itself and takes no marks.")

    def extras(self, body: dict[str, Any], extras: dict[str, Json], path: str) -> dict[str, Any]:
        """Members that only one dialect knows."""
        if extras and self.rules.same:
            body.update(extras)
        elif extras:
            shared = SHARED_OF_PARTS if self.rules.openai else frozenset()
            body.update({name: value for name, value in extras.items() if name in shared})
            if lost := sorted(extras.keys() - shared):
                self.losses("extras", path, f"Members of another dialect: {', '.join(lost)}.")
        return body

    def _finish(self, body: dict[str, Any], part: Text | Image | Document, path: str) -> dict[str, Any]:
        self.cache(body, part.cache, path)
        return self.extras(body, part.extras, path)


def _texts(parts: list[Any]) -> list[str]:
    """The texts of parts, if there is nothing else among them."""
    texts = [part["text"] for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    return texts if len(texts) == len(parts) else []


def _inline_text(source: object) -> str | None:
    """The words of an inline text file."""
    if not isinstance(source, Inline) or not source.media_type.startswith("text/"):
        return None
    try:
        return base64.b64decode(source.data, validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def _file_name(media_type: str) -> str:
    """A file needs a name; its ending tells the kind."""
    return f"document.{media_type.partition('/')[2].partition(';')[0] or 'pdf'}"


_WRITERS: Final[dict[type[Part], Callable[[PartWriter, Any, str], Rendered]]] = {
    Text: PartWriter.text,
    Refusal: PartWriter.refusal,
    Image: PartWriter.image,
    Audio: PartWriter.audio,
    Document: PartWriter.document,
    Opaque: PartWriter.opaque,
}
