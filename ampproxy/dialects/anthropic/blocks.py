"""Content blocks of Messages, read into parts. Requests and answers share them.

A block type that is not in the table is kept whole as :class:`~ampproxy.model.parts.Opaque`, a member
that is not known to a type in the part's ``extras``: both go back untouched to the same dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import msgspec

from ampproxy.dialects.anthropic.blocks_fast import parse_plain
from ampproxy.dialects.common import (
    Members,
    bad_request,
    items,
    loads,
    members,
    raw_str,
    read_request,
    text_of,
    to_raw,
    without_nulls,
)
from ampproxy.dialects.places import Places
from ampproxy.dialects.proof import place_of, unseal
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
    Sealed,
    Source,
    Text,
    ToolCall,
    ToolResult,
)

T = TypeVar("T")

_STR: Final = msgspec.json.Decoder(str)
_BOOL: Final = msgspec.json.Decoder(bool)
_OBJECT: Final = msgspec.json.Decoder(Members)

#: Reads a block: its members without nulls (what the reader leaves becomes ``extras``), its whole JSON,
#: its place in the request.
Reader = Callable[[Members, Json, str], Part]


def take(block: Members, name: str, decoder: msgspec.json.Decoder[T], at: str) -> T | None:
    """Take an optional member out of an object; ``null`` counts as missing.

    :raises ampproxy.errors.ClientFault: it has the wrong type.
    """
    raw = block.pop(name, None)
    return None if raw is None else read_request(decoder, bytes(raw), f"{at}.{name}" if at else name)


def need(block: Members, name: str, decoder: msgspec.json.Decoder[T], at: str) -> T:
    """Take a required member out of an object.

    :raises ampproxy.errors.ClientFault: it is missing or has the wrong type.
    """
    value = take(block, name, decoder, at)
    if value is None:
        bad_request(f"{at}.{name}" if at else name, "This member is required.")
    return value


def parse_content(raw: Json, at: str) -> list[Part]:
    """The parts of a message's ``content``: a string or blocks.

    :raises ampproxy.errors.ClientFault: it is neither, or a block is not valid.
    """
    text = text_of(raw)
    if text is not None:
        return [Text(text)] if text else []
    plain = parse_plain(raw)
    if plain is not None:
        return plain
    return settle([parse_block(block, f"{at}[{number}]") for number, block in enumerate(items(raw, at))])


def parse_block(raw: Json, at: str) -> Part:
    """One block.

    :raises ampproxy.errors.ClientFault: it has no type, or a member that is needed is missing or wrong.
    """
    block = without_nulls(members(raw, at))
    kind = need(block, "type", _STR, at)
    reader = _READERS.get(kind)
    return reader(block, raw, at) if reader else Opaque(ANTHROPIC, kind, raw)


def _text(block: Members, raw: Json, at: str) -> Part:
    return Text(need(block, "text", _STR, at), block.pop("cache_control", None), extras=block)


def _image(block: Members, raw: Json, at: str) -> Part:
    cache = block.pop("cache_control", None)
    source = _source(need(block, "source", _OBJECT, at))
    if source is None:
        return Opaque(ANTHROPIC, "image", raw)
    return Image(source, cache=cache, extras=block)


def _document(block: Members, raw: Json, at: str) -> Part:
    cache = block.pop("cache_control", None)
    name = take(block, "title", _STR, at)
    members_of_source = need(block, "source", _OBJECT, at)
    if source := _source(members_of_source):
        return Document(source, None, name, cache, block)
    kind = text_of(members_of_source.get("type", b""))
    if kind == "text" and (text := text_of(members_of_source.get("data", b""))) is not None:
        return Document(None, text, name, cache, block)
    text = _words(members_of_source.get("content")) if kind == "content" else None
    if text is None:
        return Opaque(ANTHROPIC, "document", raw)
    return Document(None, text, name, cache, {**block, "source": to_raw(members_of_source)})


def _words(content: Json | None) -> str | None:
    """The text of a document's content blocks; ``None`` if there is anything but text."""
    value = loads(content) if content is not None else None
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return None
    texts = [block.get("text") for block in value if isinstance(block, dict)]
    words = [text for text in texts if isinstance(text, str)]
    return "\n".join(words) if len(words) == len(value) else None


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


def _tool_use(block: Members, raw: Json, at: str) -> Part:
    arguments = block.pop("input", None)
    if arguments is not None:
        members(arguments, f"{at}.input")
    return ToolCall(
        need(block, "id", _STR, at),
        need(block, "name", _STR, at),
        "{}" if arguments is None else raw_str(arguments),
        cache=block.pop("cache_control", None),
        extras=block,
    )


def _tool_result(block: Members, raw: Json, at: str) -> Part:
    call = need(block, "tool_use_id", _STR, at)
    content = block.pop("content", None)
    parts = () if content is None else tuple(parse_content(content, f"{at}.content"))
    known = tuple(_as_result(part) for part in parts)
    if any(isinstance(part, Opaque) for part in parts) and content is not None:
        block["content"] = content
    return ToolResult(
        call,
        known,
        take(block, "is_error", _BOOL, at) is True,
        cache=block.pop("cache_control", None),
        extras=block,
    )


def _as_result(part: Part) -> Text | Image | Document:
    """What stands in a result; a block that only this dialect knows is shown to others as its JSON."""
    if isinstance(part, Text | Image | Document):
        return part
    return Text(raw_str(part.raw)) if isinstance(part, Opaque) else Text("")


def _thinking(block: Members, raw: Json, at: str) -> Part:
    signature = take(block, "signature", _STR, at)
    sealed = unseal(signature, ANTHROPIC) if signature and signature.strip() else None
    return Reasoning(take(block, "thinking", _STR, at) or "", sealed)


def _redacted(block: Members, raw: Json, at: str) -> Part:
    data = need(block, "data", _STR, at)
    place = place_of(data)
    sealed = unseal(data, ANTHROPIC)
    # A carrier of a proof that sat on another part; settle() puts it back there.
    return Reasoning("", sealed, redacted=True) if place == "reasoning" else _Carrier(sealed, place)  # type: ignore[return-value]


_READERS: Final[dict[str, Reader]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
}


class _Carrier:
    """A proof on its way to the part that it sat on."""

    def __init__(self, sealed: Sealed, place: str) -> None:
        self.sealed = sealed
        self.place = place


#: Where a carried proof belongs, and whether that part stands after its carrier (see response.carrier).
_PLACES: Final[dict[str, tuple[type[ToolCall | Text | Image], bool]]] = {
    "call": (ToolCall, True),
    "text": (Text, False),
    "image": (Image, False),
}


def settle(parts: Iterable[Part]) -> list[Part]:
    """Put carried proofs back onto their parts: Gemini's on the call after or the text before the
    carrier. One whose part is gone is dropped: its vendor would refuse it anywhere else.
    """
    found: list[Part | _Carrier] = list(parts)
    if not any(isinstance(part, _Carrier) for part in found):
        return found  # type: ignore[return-value]
    free = {kind: Places(_unproven(found, kind)) for kind, _ in _PLACES.values()}
    for at, carrier in enumerate(found):
        if isinstance(carrier, _Carrier):
            kind, after = _PLACES[carrier.place]
            home = _home(free[kind], at, after=after)
            if home is not None:
                found[home] = msgspec.structs.replace(found[home], sealed=carrier.sealed)  # type: ignore[type-var]
    return [part for part in found if not isinstance(part, _Carrier)]


def _unproven(found: Sequence[Part | _Carrier], kind: type[ToolCall | Text | Image]) -> list[int]:
    """Where the parts of a kind stand that have no proof."""
    return [at for at, part in enumerate(found) if isinstance(part, kind) and part.sealed is None]


def _home(free: Places, at: int, *, after: bool) -> int | None:
    """The nearest part on the side on which it belongs, else on the other."""
    first, second = (free.after, free.before) if after else (free.before, free.after)
    home = first(at)
    return second(at) if home is None else home
