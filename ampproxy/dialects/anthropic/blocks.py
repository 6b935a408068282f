"""Content blocks of Messages, read into parts. Requests and answers share them.

A block type that is not in the table is kept whole as :class:`~ampproxy.model.parts.Opaque`, a member
that is not known to a type in the part's ``extras``: both go back untouched to the same dialect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from ampproxy.dialects.anthropic.repairs import TYPES
from ampproxy.dialects.json import (
    NULL,
    Decoder,
    Fields,
    Members,
    is_object,
    items,
    loads,
    members,
    raw_str,
    read_or,
    text_of,
    texts_in,
    to_raw,
)
from ampproxy.dialects.openai_requests import picture_in, source_of
from ampproxy.dialects.places import carried, settle
from ampproxy.dialects.proof import MARK, place_of, unwrap_signature
from ampproxy.model.base import ANTHROPIC, Json
from ampproxy.model.parts import (
    Document,
    FileId,
    Image,
    Inline,
    Link,
    Opaque,
    Part,
    Reasoning,
    Signature,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from ampproxy.model.request import Role, Turn
from ampproxy.wire.json import BAD_JSON

_EMPTY: Final = to_raw("")
_LEFT_OUT: Final = {"text": "text", "tool_use": "id"}

#: Reads a block: its members without nulls (what the reader leaves becomes ``extras``), and its whole JSON.
Reader = Callable[[Fields, Json], Part]


def parse_content(raw: Json, at: str) -> list[Part]:
    """The parts of a message's ``content``: a string or blocks.

    :raises ampproxy.errors.ClientFault: it is neither, or a block is not valid.
    """
    text = text_of(raw)
    if text is not None:
        return [Text(text)] if text else []
    if (found := read_or(_BLOCKS, raw, None)) is not None and (plain := _parts(found)) is not None:
        return plain
    blocks = enumerate(items(raw, at))
    return settle([parse_block(block, f"{at}[{number}]") for number, block in blocks])


def parse_block(raw: Json, at: str, *, answer: bool = False) -> Part:
    """One block.

    :param answer: of a vendor's answer, where other hosts of this dialect leave out an empty ``text``, the
        ids of calls and types.
    :raises ampproxy.errors.ClientFault: it has no type, or a member that is needed is missing or wrong.
    """
    block = Fields(raw, at, nulls=False)
    if answer and "type" not in block.left:
        block.left["type"] = to_raw(next((TYPES[name] for name in TYPES if name in block.left), None))
    kind = block.need("type", str)
    if answer and kind in _LEFT_OUT:
        block.left.setdefault(_LEFT_OUT[kind], _EMPTY)
    reader = _READERS.get(kind)
    return reader(block, raw) if reader else Opaque(ANTHROPIC, kind, raw)


def _text(block: Fields, raw: Json) -> Part:
    return Text(block.need("text", str), block.take_raw("cache_control"), extras=block.left)


def _image(block: Fields, raw: Json) -> Part:
    cache = block.take_raw("cache_control")
    source = _source(block.need_object("source").left)
    if source is None:
        return Opaque(ANTHROPIC, "image", raw)
    return Image(source, cache=cache, extras=block.left)


def _document(block: Fields, raw: Json) -> Part:
    cache = block.take_raw("cache_control")
    name = block.take("title", str)
    members_of_source = block.need_object("source").left
    if source := _source(members_of_source):
        return Document(source, None, name, cache, block.left)
    kind = text_of(members_of_source.get("type", b""))
    if kind == "text" and (text := text_of(members_of_source.get("data", b""))) is not None:
        return Document(None, text, name, cache, block.left)
    text = _words(members_of_source.get("content")) if kind == "content" else None
    if text is None:
        return Opaque(ANTHROPIC, "document", raw)
    return Document(None, text, name, cache, {**block.left, "source": to_raw(members_of_source)})


def _words(content: Json | None) -> str | None:
    """The text of a document's content blocks; ``None`` if there is anything but text."""
    value = loads(content) if content is not None else None
    if isinstance(value, str):
        return value
    words = texts_in(value) if isinstance(value, list) else None
    return None if words is None else "\n".join(words)


def _source(source: Members) -> Source | None:
    """Bytes, a link or an uploaded file; ``None``: something else, or with members unknown here."""
    fields = {name: text_of(raw) for name, raw in source.items()}
    match fields:
        case {"type": "base64", "media_type": str(media), "data": str(data)} if len(fields) == 3:
            return Inline(media, data)
        case {"type": "url", "url": str(url)} if len(fields) == 2:
            return Link(url)
        case {"type": "file", "file_id": str(file)} if len(fields) == 2:
            return FileId(ANTHROPIC, file)
    return None


def _input(block: Fields) -> Json | None:
    """The arguments of a call; ``None``: there are none. Some servers write the object as a text."""
    arguments = block.take_raw("input")
    text = None if arguments is None else text_of(arguments)
    if text is not None and (not text.strip() or is_object(text)):
        arguments = Json(text.encode()) if text.strip() else None
    if arguments is not None:
        members(arguments, block.path("input"))
    return arguments


def _tool_use(block: Fields, raw: Json) -> Part:
    arguments = _input(block)
    return ToolCall(
        block.need("id", str),
        block.need("name", str),
        "{}" if arguments is None else raw_str(arguments),
        cache=block.take_raw("cache_control"),
        extras=block.left,
    )


def _tool_result(block: Fields, raw: Json) -> Part:
    call = block.need("tool_use_id", str)
    content = block.take_raw("content")
    known: list[Text | Image | Document] = []
    for part in () if content is None else parse_content(content, block.path("content")):
        if isinstance(part, Text | Image | Document):
            known.append(part)
        elif isinstance(part, Opaque) and content is not None:
            # A block that only this dialect knows is shown to others as its JSON.
            known.append(Text(raw_str(part.raw)))
            block.left["content"] = content
        else:
            known.append(Text(""))
    is_error, cache = block.take("is_error", bool) is True, block.take_raw("cache_control")
    return ToolResult(call, tuple(known), is_error, cache=cache, extras=block.left)


def _thinking(block: Fields, raw: Json) -> Part:
    text = block.take("signature", str)
    signature = unwrap_signature(text, ANTHROPIC) if text and text.strip() else None
    return Reasoning(block.take("thinking", str) or "", signature)


def _redacted(block: Fields, raw: Json) -> Part:
    data = block.need("data", str)
    return carried(Reasoning("", unwrap_signature(data, ANTHROPIC), redacted=True), place_of(data))


_READERS: Final[dict[str, Reader]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "tool_use": _tool_use,
    # As OpenAI's dialects have them.
    **dict.fromkeys(("input_text", "output_text"), _text),
    **dict.fromkeys(("image_url", "input_image"), lambda block, raw: Image(source_of(picture_in(block)[0]))),
    "tool_result": _tool_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
}


# A message that has only text, inline pictures, thinking, calls and results, and no member that is not known,
# is decoded in one go, which gives the same parts. Long threads are thousands of such blocks.


class _Block(msgspec.Struct, tag_field="type", forbid_unknown_fields=True):
    pass


class _Cached(_Block):
    cache_control: Json = NULL

    def cache(self) -> Json | None:
        return None if self.cache_control == NULL else self.cache_control


class _Text(_Cached, tag="text", kw_only=True):
    text: str

    def part(self) -> Part:
        return Text(self.text, None if self.cache_control == NULL else self.cache_control)


class _Bytes(msgspec.Struct, tag_field="type", tag="base64", forbid_unknown_fields=True):
    media_type: str
    data: str


class _Image(_Cached, tag="image", kw_only=True):
    source: _Bytes

    def part(self) -> Part:
        return Image(Inline(self.source.media_type, self.source.data), cache=self.cache())


class _Thinking(_Block, tag="thinking"):
    thinking: str
    signature: str

    def part(self) -> Part | None:
        signature = self.signature
        if signature.startswith(MARK) or not signature.strip():
            return None
        return Reasoning(self.thinking, Signature(ANTHROPIC, signature))


class _Redacted(_Block, tag="redacted_thinking"):
    data: str

    def part(self) -> Part | None:
        marked = self.data.startswith(MARK)
        return None if marked else Reasoning("", Signature(ANTHROPIC, self.data), redacted=True)


class _Call(_Cached, tag="tool_use", kw_only=True):
    id: str
    name: str
    input: Json

    def part(self) -> Part | None:
        arguments = bytes(self.input)
        if not arguments.startswith(b"{"):
            return None
        return ToolCall(self.id, self.name, arguments.decode(), cache=self.cache())


class _Result(_Cached, tag="tool_result", kw_only=True):
    tool_use_id: str
    content: str | list[_Text | _Image] = ""
    is_error: bool = False

    def part(self) -> Part:
        content = self.content
        if isinstance(content, str):
            parts: tuple[Any, ...] = (Text(content),) if content else ()
        else:
            parts = tuple([inner.part() for inner in content])
        return ToolResult(self.tool_use_id, parts, self.is_error, cache=self.cache())


_Blocks: TypeAlias = list[_Text | _Image | _Thinking | _Redacted | _Call | _Result]
_BLOCKS: Final = Decoder(_Blocks)


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    role: Role
    content: str | _Blocks


_MESSAGE: Final = Decoder(_Message)


def parse_message(raw: Json) -> Turn | None:
    """A message that holds nothing else; ``None``: read it the long way, which also names what is wrong."""
    try:
        found = _MESSAGE.decode(raw)
    except BAD_JSON:
        return None
    content = found.content
    if isinstance(content, str):
        return Turn(found.role, (Text(content),) if content else ())
    parts = _parts(content)
    return None if parts is None else Turn(found.role, tuple(parts))


def _parts(found: _Blocks) -> list[Part] | None:
    parts: list[Part] = []
    for block in found:
        part = block.part()
        if part is None:
            return None
        parts.append(part)
    return parts
