"""The parts of a message's content: from Chat Completions' JSON to the vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ampproxy.dialects.json import Fields, bad_request, is_string, loads, raw_str, text_of
from ampproxy.dialects.openai_requests import (
    file_source,
    media_in,
    picture_in,
    read_refusal,
    read_sound,
    source_of,
)
from ampproxy.model.base import CHAT, Json
from ampproxy.model.parts import (
    Audio,
    Document,
    FileId,
    Image,
    Opaque,
    Part,
    Reasoning,
    Source,
    Text,
    ToolCall,
    ToolResult,
)

#: A message's content.
_CONTENT: Final[Any] = str | list[Json]


def _cache(part: Fields) -> Json | None:
    """The cache mark: Anthropic's, which servers that route to several vendors take."""
    return part.take_raw("cache_control")


def _text(part: Fields) -> Part:
    text = part.take("text", str)
    if text is None:
        bad_request(part.at, "It needs 'text'.")
    return Text(text, _cache(part), extras=part.left)


def _image(part: Fields) -> Part:
    url, detail = picture_in(part)
    return Image(source_of(url), detail, _cache(part), extras=part.left)


def _audio(part: Fields) -> Part:
    _cache(part)
    return Audio(read_sound(part), extras=part.left)


def _file(part: Fields) -> Part:
    file = part.need_object("file")
    name, id_, data = (file.take(member, str) for member in ("filename", "file_id", "file_data"))
    source: Source
    if id_:
        source = FileId(CHAT, id_)
    elif data:
        source = file_source(data)
    else:
        bad_request(file.at, "It needs 'file_data' or 'file_id'.")
    return Document(source, name=name, cache=_cache(part), extras=part.left)


def _tool_use(part: Fields) -> Part:
    """Anthropic's call, which Cursor writes among the parts here."""
    arguments = part.take_raw("input")
    text = "{}" if arguments is None else raw_str(arguments)
    return ToolCall(part.need("id", str), part.need("name", str), text, cache=_cache(part))


def _tool_result(part: Fields) -> Part:
    """Anthropic's result of a call."""
    parts = result_parts(part.take("content", _CONTENT), part.path("content"))
    is_error = part.take("is_error", bool) is True
    return ToolResult(part.need("tool_use_id", str), parts, is_error=is_error, cache=_cache(part))


def _anthropic_document(part: Fields) -> Part | None:
    title = part.take("title", str)
    return media_in(part, lambda source: Document(source, name=title, cache=_cache(part)))


def _thinking(part: Fields) -> Part:
    """Anthropic's thinking, or Mistral's, which is a list; this dialect has no place for its proof."""
    raw = part.take_raw("thinking")
    text = "" if raw is None else text_of(raw)
    if raw is not None and text is None:
        text = "".join(str(one.get("text") or "") for one in loads(raw, []) if isinstance(one, dict))
    return Reasoning(text or "", redacted=not text)


def _input_file(part: Fields) -> Part | None:
    """Responses' file."""
    url, data, name = (part.take(member, str) for member in ("file_url", "file_data", "filename"))
    if not (url or data):
        return None
    return Document(source_of(url) if url else file_source(data or ""), name=name, cache=_cache(part))


#: ``None``: only the vendor has what the part names.
_PARTS: Final[dict[str, Callable[[Fields], Part | None]]] = {
    "text": _text,
    "input_text": _text,
    "output_text": _text,
    "input_image": lambda part: _image(part) if "image_url" in part.left else None,
    "input_file": _input_file,
    "image": lambda part: media_in(part, lambda source: Image(source, cache=_cache(part))),
    "document": _anthropic_document,
    "thinking": _thinking,
    "redacted_thinking": _thinking,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
    "refusal": read_refusal,
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


def pictures(raw: Json) -> list[Part]:
    """Those that stand beside a message's content, as Ollama has them."""
    found = loads(raw)
    urls = [url for url in found if isinstance(url, str)] if isinstance(found, list) else []
    return [Image(source_of(url)) for url in urls]


def _part(raw: Json, at: str) -> Part:
    if is_string(raw):
        # Clients leave the part around a text out.
        return Text(text_of(raw) or "")
    part = Fields(raw, at, nulls=False)
    kind = part.need("type", str)
    read = _PARTS.get(kind)
    return (None if read is None else read(part)) or Opaque(CHAT, kind, raw)


def text_parts(content: str | list[Json] | None, at: str) -> tuple[Text, ...]:
    """The content of a message that may only have words.

    :raises ampproxy.errors.ClientFault: there is something else in it.
    """
    texts: list[Text] = []
    for number, part in enumerate(content_parts(content, at)):
        if not isinstance(part, Text):
            bad_request(f"{at}[{number}]", "Only text parts are allowed here.")
        texts.append(part)
    return tuple(texts)


def result_parts(content: str | list[Json] | None, at: str) -> tuple[Text | Image | Document, ...]:
    """The content of a tool's message: words, and what some servers take beside them.

    :raises ampproxy.errors.ClientFault: there is something else in it.
    """
    parts: list[Text | Image | Document] = []
    for number, part in enumerate(content_parts(content, at)):
        if isinstance(part, Text | Image | Document):
            parts.append(part)
        elif isinstance(part, ToolResult):
            parts += [inner for inner in part.parts if not isinstance(inner, Audio)]
        elif isinstance(part, Opaque):
            # A result is data for the model: an unknown part of it is given as it stands.
            parts.append(Text(raw_str(part.raw)))
        else:
            bad_request(f"{at}[{number}]", "A tool's message has text parts only.")
    return tuple(parts)
