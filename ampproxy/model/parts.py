"""The parts a turn is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from ampproxy.model.base import Json, Value


class Signature(Value, frozen=True):
    """A vendor's opaque proof of its own reasoning; only that vendor may be given it back.

    :param vendor: the dialect that issued it (``anthropic``: ``signature`` or
        ``redacted_thinking.data``; ``openai-responses``: ``encrypted_content``; ``gemini``:
        ``thoughtSignature``).
    :param value: the proof, byte for byte as it was issued.
    :param item: the id of the item that it was issued under (Responses' ``rs_...``), which that
        vendor checks together with the value.
    """

    vendor: str
    value: str
    item: str | None = None


class Inline(Value, frozen=True):
    """Bytes carried in the message: base64 text (standard alphabet, kept as it came)."""

    media_type: str
    data: str


#: How base64 of a picture begins.
PICTURES: Final[Mapping[str, str]] = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}


def picture_type(data: str, media_type: str = "") -> str:
    """What a picture is by its bytes: clients call it otherwise, and vendors refuse that. One that is not
    known by them is what it is called.
    """
    known = next((kind for start, kind in PICTURES.items() if data.startswith(start)), None)
    return known or ("image/jpeg" if media_type.lower() == "image/jpg" else media_type)


class Link(Value, frozen=True):
    """Something to be fetched by the vendor. ``media_type`` where the sender said it."""

    url: str
    media_type: str | None = None


class FileId(Value, frozen=True):
    """A file that was uploaded to one vendor: meaningless to all others."""

    vendor: str
    id: str
    media_type: str | None = None


Source: TypeAlias = Inline | Link | FileId


class Text(Value, frozen=True):
    """Words. ``cache`` is Anthropic's ``cache_control``; ``extras`` are members one dialect knows
    (citations, annotations), by their wire name.

    ``signature`` is Gemini's proof where it sits on a text part.
    """

    text: str
    cache: Json | None = None
    signature: Signature | None = None
    extras: dict[str, Json] = {}  # noqa: RUF012 - msgspec copies an empty mutable default


class Image(Value, frozen=True):
    """A picture. ``detail`` is OpenAI's resolution hint (``low``, ``high``, ``auto``)."""

    source: Source
    detail: str | None = None
    cache: Json | None = None
    signature: Signature | None = None
    extras: dict[str, Json] = {}  # noqa: RUF012


class Document(Value, frozen=True):
    """A PDF or another file. A plain-text document has its words in ``text`` and no source."""

    source: Source | None
    text: str | None = None
    name: str | None = None
    cache: Json | None = None
    extras: dict[str, Json] = {}  # noqa: RUF012


class Audio(Value, frozen=True):
    """Sound; the format is told by the media type (``audio/wav``, ``audio/mpeg``)."""

    source: Source
    transcript: str | None = None
    extras: dict[str, Json] = {}  # noqa: RUF012


class ToolCall(Value, frozen=True):
    """The model wants a tool to run.

    :param id: the call's id as the client knows it; never empty (a dialect without ids makes one
        that is unique over the whole conversation).
    :param arguments: the arguments' exact JSON text (an object; ``{}`` for none), or the free text
        of a custom tool when ``freeform``.
    :param item: the id of the item that carried the call (Responses' ``fc_...``), where there is one.
    :param signature: Gemini's proof, which sits on the call itself.
    """

    id: str
    name: str
    arguments: str
    freeform: bool = False
    item: str | None = None
    signature: Signature | None = None
    cache: Json | None = None
    extras: dict[str, Json] = {}  # noqa: RUF012


class ToolResult(Value, frozen=True):
    """What a tool answered: text, images, documents or sound. ``name`` where the dialect tells it.

    ``structured`` is the result object of a dialect whose results are objects (Gemini), exact.
    """

    call: str
    parts: tuple[Text | Image | Document | Audio, ...]
    is_error: bool = False
    name: str | None = None
    freeform: bool = False
    structured: Json | None = None
    cache: Json | None = None
    extras: dict[str, Json] = {}  # noqa: RUF012


class Reasoning(Value, frozen=True):
    """Thinking: its text or a summary of it, with the proof that its vendor wants back.

    ``redacted`` is thinking of which there is a proof but no text to show. ``sections`` are the
    separate paragraphs of a summary, where the dialect keeps them apart; ``text`` is always all.
    ``bare`` is redacted thinking that came through another dialect, and is known to have had no text there.
    """

    text: str
    signature: Signature | None = None
    redacted: bool = False
    sections: tuple[str, ...] = ()
    bare: bool = False


class Refusal(Value, frozen=True):
    """The model's words of refusal, where the dialect sets them apart from its text."""

    text: str


class Opaque(Value, frozen=True):
    """A part that only one dialect knows (``server_tool_use``, ``executableCode``, ``item_reference``
    ...): carried untouched to the same dialect, a declared loss to any other.

    ``kind`` is its type in that dialect; ``raw`` its whole JSON text.
    """

    dialect: str
    kind: str
    raw: Json


Part: TypeAlias = Text | Image | Document | Audio | ToolCall | ToolResult | Reasoning | Refusal | Opaque
