"""Content parts: ``input_text``, ``input_image``, ``input_file``, ``output_text``, ``refusal``, both ways.

The type depends on the role: a user's and the system's text is ``input_text``, the assistant's
``output_text``; the wrong one for the role is refused (``ResponseInputMessageContentList`` and
``ResponseOutputMessage`` in the SDK's types).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ampproxy.dialects.json import NULL, Fields, bad_request, first, is_string, put, read
from ampproxy.dialects.openai_requests import (
    AUDIO_TYPES,
    file_source,
    media_in,
    picture_in,
    read_sound,
    source_of,
    url_of,
)
from ampproxy.model.base import RESPONSES, Json
from ampproxy.model.parts import (
    Audio,
    Document,
    FileId,
    Image,
    Inline,
    Link,
    Opaque,
    Part,
    Refusal,
    Source,
    Text,
)

_SUFFIXES = {
    "application/pdf": "pdf",
    "text/plain": "txt",
    "text/markdown": "md",
    "text/html": "html",
    "text/csv": "csv",
    "application/json": "json",
}


def parse_content(content: Json, at: str, extras: dict[str, Json] | None = None) -> tuple[Part, ...]:
    """A message's ``content``: a string or a list of parts.

    :param at: where it stands in the request.
    :param extras: what the message itself has beside its content; kept with each of its texts.
    :raises ClientFault: it is neither.
    """
    if is_string(content):
        return (Text(read(content, str, at) or "", extras=extras or {}),)
    parts = read(content, list[Json], at) or []
    return tuple(_parse_part(part, f"{at}[{n}]", extras or {}) for n, part in enumerate(parts))


def _parse_part(part: Json, at: str, extras: dict[str, Json]) -> Part:
    fields = Fields(part, at)
    kind = fields.need("type", str)
    parse = _PARTS.get(kind)
    return (None if parse is None else parse(fields, extras)) or Opaque(RESPONSES, kind, part)


def _parse_text(fields: Fields, extras: dict[str, Json]) -> Part:
    text = fields.need("text", str)
    kept = {name: value for name, value in fields.left.items() if bytes(value) not in (b"[]", b"null")}
    return Text(text, extras={**extras, **kept})


def _parse_image(fields: Fields, extras: dict[str, Json]) -> Part:
    if first(fields.left.get("image_url", NULL)) == b"{":
        # In Chat Completions' form.
        return _of_chat(fields, extras)
    detail = fields.take("detail", str)
    detail = None if detail == "auto" else detail  # the default, and the types require it
    url, file = fields.take("image_url", str), fields.take("file_id", str)
    if url is None and file is None:
        bad_request(fields.at, "It needs `image_url` or `file_id`.")
    source = source_of(url) if url is not None else FileId(RESPONSES, file or "")
    return Image(source, detail, extras=fields.left)


def _parse_file(fields: Fields, extras: dict[str, Json]) -> Part:
    name = fields.take("filename", str)
    data, url = fields.take("file_data", str), fields.take("file_url", str)
    file = fields.take("file_id", str)
    source: Source
    if data is not None:
        source = file_source(data)
    elif url is not None:
        source = source_of(url)
    elif file is not None:
        source = FileId(RESPONSES, file)
    else:
        bad_request(fields.at, "It needs `file_data`, `file_url` or `file_id`.")
    return Document(source, name=name, extras=fields.left)


def _of_chat(fields: Fields, extras: dict[str, Json]) -> Part:
    url, detail = picture_in(fields)
    return Image(source_of(url), detail)


#: Also as Chat Completions and Anthropic have them. ``None``: only its vendor knows it.
_PARTS: dict[str, Callable[[Fields, dict[str, Json]], Part | None]] = {
    "input_text": _parse_text,
    "output_text": _parse_text,
    "text": _parse_text,
    "refusal": lambda fields, extras: Refusal(fields.need("refusal", str)),
    "input_image": _parse_image,
    "input_file": _parse_file,
    "input_audio": lambda fields, extras: Audio(read_sound(fields)),
    "image_url": _of_chat,
    "image": lambda fields, extras: media_in(fields, Image),
    "document": lambda fields, extras: media_in(fields, Document),
    "file": lambda fields, extras: _parse_file(fields.take_object("file") or fields, extras),
}


def write_input(part: Part) -> dict[str, Any] | Json:
    """A part of a user's or the system's message, or of a tool's output."""
    return _WRITERS[type(part)](part)


def _write_text(part: Text) -> dict[str, Any]:
    own = {name: value for name, value in part.extras.items() if name not in ("id", "phase", "status")}
    return {"type": "input_text", "text": part.text, **own}


def _write_image(part: Image) -> dict[str, Any]:
    body: dict[str, Any] = {"type": "input_image", "detail": part.detail or "auto"}
    file = part.source.id if isinstance(part.source, FileId) else None
    put(body, {"image_url": url_of(part.source), "file_id": file})
    return {**body, **part.extras}


def _write_document(part: Document) -> dict[str, Any]:
    source = part.source
    if source is None:
        return {"type": "input_text", "text": part.text or ""}
    body: dict[str, Any] = {"type": "input_file"}
    if isinstance(source, Inline):
        # The service wants a name with a file's bytes.
        name = part.name or f"document.{_SUFFIXES.get(source.media_type, 'pdf')}"
        body |= {"filename": name, "file_data": url_of(source)}
    elif isinstance(source, Link):
        body["file_url"] = source.url
        put(body, {"filename": part.name})
    else:
        body["file_id"] = source.id
    return {**body, **part.extras}


def _write_audio(part: Audio) -> dict[str, Any]:
    assert isinstance(part.source, Inline)
    formats = {media: name for name, media in AUDIO_TYPES.items()}
    kind = formats[part.source.media_type]
    return {"type": "input_audio", "input_audio": {"data": part.source.data, "format": kind}}


_WRITERS: dict[type, Callable[[Any], dict[str, Any] | Json]] = {
    Text: _write_text,
    Image: _write_image,
    Document: _write_document,
    Audio: _write_audio,
    Refusal: lambda part: {"type": "input_text", "text": part.text},
    Opaque: lambda part: part.raw,
}
