"""The parts of a message's content: from Chat Completions' JSON to the vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from ampproxy.dialects.json import (
    Decoder,
    Members,
    bad_request,
    members,
    raw_str,
    read_request,
    without_nulls,
)
from ampproxy.dialects.urls import file_source, source_of
from ampproxy.model.base import CHAT, Json
from ampproxy.model.parts import (
    Audio,
    Document,
    FileId,
    Image,
    Inline,
    Opaque,
    Part,
    Refusal,
    Source,
    Text,
    ToolCall,
    ToolResult,
)

#: ``format`` of ``input_audio`` -> media type; others are ``audio/<format>``.
AUDIO_TYPES: Final = {"mp3": "audio/mpeg", "wav": "audio/wav"}


class _Typed(msgspec.Struct):
    type: str


class _Text(msgspec.Struct):
    text: str


class _Refusal(msgspec.Struct):
    refusal: str


class _ImageUrl(msgspec.Struct):
    url: str
    detail: str | None = None


class _Image(msgspec.Struct):
    #: Some clients write the bare URL.
    image_url: _ImageUrl | str


class _AudioData(msgspec.Struct):
    data: str
    format: str = "wav"


class _Audio(msgspec.Struct):
    input_audio: _AudioData


class _FileData(msgspec.Struct):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class _File(msgspec.Struct):
    file: _FileData


_TYPED: Final = Decoder(_Typed)
_TEXT: Final = Decoder(_Text)
_REFUSAL: Final = Decoder(_Refusal)
_IMAGE: Final = Decoder(_Image)
_AUDIO: Final = Decoder(_Audio)
_FILE: Final = Decoder(_File)


def _extras(raw: Json, at: str, *known: str) -> tuple[Json | None, dict[str, Json]]:
    """The cache mark (Anthropic's, which servers that route to several vendors take) and what is
    left of a part when its known members are taken.
    """
    found: Members = without_nulls(members(raw, at))
    for name in ("type", *known):
        found.pop(name, None)
    return found.pop("cache_control", None), found


def _text(raw: Json, at: str) -> Part:
    text = read_request(_TEXT, bytes(raw), at).text
    cache, extras = _extras(raw, at, "text")
    return Text(text, cache=cache, extras=extras)


def _image(raw: Json, at: str) -> Part:
    image = read_request(_IMAGE, bytes(raw), at).image_url
    cache, extras = _extras(raw, at, "image_url")
    if isinstance(image, str):
        return Image(source_of(image), cache=cache, extras=extras)
    return Image(source_of(image.url), image.detail, cache=cache, extras=extras)


def _audio(raw: Json, at: str) -> Part:
    audio = read_request(_AUDIO, bytes(raw), at).input_audio
    extras = _extras(raw, at, "input_audio")[1]
    return Audio(Inline(AUDIO_TYPES.get(audio.format, f"audio/{audio.format}"), audio.data), extras=extras)


def _file(raw: Json, at: str) -> Part:
    file = read_request(_FILE, bytes(raw), at).file
    cache, extras = _extras(raw, at, "file")
    source: Source
    if file.file_id:
        source = FileId(CHAT, file.file_id)
    elif file.file_data:
        source = file_source(file.file_data)
    else:
        bad_request(f"{at}.file", "It needs 'file_data' or 'file_id'.")
    return Document(source, name=file.filename, cache=cache, extras=extras)


def _refusal(raw: Json, at: str) -> Part:
    return Refusal(read_request(_REFUSAL, bytes(raw), at).refusal)


class _Use(msgspec.Struct):
    id: str
    name: str
    input: Json = Json(b"{}")


class _Result(msgspec.Struct):
    tool_use_id: str
    content: str | list[Json] | None = None
    is_error: bool = False


class _Source(msgspec.Struct):
    type: str
    media_type: str = ""
    data: str = ""
    url: str = ""


class _Sourced(msgspec.Struct):
    source: _Source


_USE: Final = Decoder(_Use)
_RESULT: Final = Decoder(_Result)
_SOURCED: Final = Decoder(_Sourced)


def _tool_use(raw: Json, at: str) -> Part:
    """Anthropic's call, which Cursor writes among the parts here."""
    use = read_request(_USE, bytes(raw), at)
    return ToolCall(use.id, use.name, raw_str(use.input), cache=_extras(raw, at)[0])


def _tool_result(raw: Json, at: str) -> Part:
    """Anthropic's result of a call."""
    result = read_request(_RESULT, bytes(raw), at)
    parts = result_parts(result.content, f"{at}.content")
    return ToolResult(result.tool_use_id, parts, is_error=result.is_error, cache=_extras(raw, at)[0])


def _anthropic_image(raw: Json, at: str) -> Part:
    source = read_request(_SOURCED, bytes(raw), at).source
    cache = _extras(raw, at)[0]
    if source.type == "base64":
        return Image(Inline(source.media_type, source.data), cache=cache)
    if source.type == "url":
        return Image(source_of(source.url), cache=cache)
    return Opaque(CHAT, "image", raw)


def _input_image(raw: Json, at: str) -> Part:
    """Responses' image."""
    return _image(raw, at) if b'"image_url"' in bytes(raw) else Opaque(CHAT, "input_image", raw)


_PARTS: Final[dict[str, Callable[[Json, str], Part]]] = {
    "text": _text,
    "input_text": _text,
    "output_text": _text,
    "input_image": _input_image,
    "image": _anthropic_image,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
    "refusal": _refusal,
}


def content_parts(content: str | list[Json] | None, at: str) -> list[Part]:
    """A message's content.

    :param at: the path of the content, for complaints.
    :raises ampproxy.errors.ClientFault: a part is not what its type promises.
    """
    if not content:
        return []
    if isinstance(content, str):
        return [Text(content)]
    return [_part(raw, f"{at}[{number}]") for number, raw in enumerate(content)]


def _part(raw: Json, at: str) -> Part:
    kind = read_request(_TYPED, bytes(raw), at).type
    parse = _PARTS.get(kind)
    return Opaque(CHAT, kind, raw) if parse is None else parse(raw, at)


def text_parts(content: str | list[Json] | None, at: str) -> tuple[Text, ...]:
    """The content of a message that may only have words.

    :raises ampproxy.errors.ClientFault: there is something else in it.
    """
    return tuple(_only(Text, part, f"{at}[{n}]") for n, part in enumerate(content_parts(content, at)))


def result_parts(content: str | list[Json] | None, at: str) -> tuple[Text | Image | Document, ...]:
    """The content of a tool's message: words, and what some servers take beside them.

    :raises ampproxy.errors.ClientFault: there is something else in it.
    """
    parts: list[Text | Image | Document] = []
    for number, part in enumerate(content_parts(content, at)):
        if isinstance(part, Text | Image | Document):
            parts.append(part)
        elif isinstance(part, Opaque):
            # A result is data for the model: an unknown part of it is told as it stands.
            parts.append(Text(raw_str(part.raw)))
        else:
            bad_request(f"{at}[{number}]", "A tool's message has text parts only.")
    return tuple(parts)


def _only(wanted: Any, part: Part, at: str) -> Text:
    if not isinstance(part, wanted):
        bad_request(at, "Only text parts are allowed here.")
    assert isinstance(part, Text)
    return part
