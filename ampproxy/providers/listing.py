"""How vendors list their models: the three forms of that call's answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import msgspec

T = TypeVar("T")


class Page(NamedTuple):
    """A part of a list. ``after``: what to ask the next part with; empty: this was the last."""

    names: tuple[str, ...]
    after: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """A vendor's call that lists its models, ``GET BASE/models``.

    :param read: takes an answer; raises ``ValueError`` if it is no list of models.
    :param query: for as many as the vendor gives at once.
    :param cursor: the parameter that asks for the next part.
    """

    read: Callable[[bytes], Page]
    query: str = ""
    cursor: str = ""


class _Entry(msgspec.Struct):
    id: str


class _Data(msgspec.Struct):
    data: list[_Entry]
    has_more: bool = False
    last_id: str | None = None


class _Model(msgspec.Struct, rename="camel"):
    name: str
    supported_generation_methods: list[str] = msgspec.field(default_factory=list)


class _Models(msgspec.Struct, rename="camel"):
    models: list[_Model]
    next_page_token: str = ""


_data = msgspec.json.Decoder(_Data)
#: Some compatible servers leave the envelope out.
_entries: msgspec.json.Decoder[_Data | list[_Entry]] = msgspec.json.Decoder(_Data | list[_Entry])
_models = msgspec.json.Decoder(_Models)


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # Their words may quote the body.
        raise ValueError("not a list of models") from None


def anthropic_page(body: bytes) -> Page:
    """Anthropic's: ``GET /v1/models``, paged by ``after_id``.

    :raises ValueError: it is something else.
    """
    page = _decoded(_data, body)
    after = page.last_id if page.has_more and page.last_id else ""
    return Page(tuple(entry.id for entry in page.data), after)


def openai_page(body: bytes) -> Page:
    """OpenAI's and that of compatible servers, which is never paged.

    :raises ValueError: it is something else.
    """
    page = _decoded(_entries, body)
    return Page(tuple(entry.id for entry in (page if isinstance(page, list) else page.data)))


def gemini_page(body: bytes) -> Page:
    """Google's, paged by ``pageToken``; only models that take ``generateContent``.

    :raises ValueError: it is something else.
    """
    page = _decoded(_models, body)
    talking = [model for model in page.models if "generateContent" in model.supported_generation_methods]
    return Page(tuple(model.name.removeprefix("models/") for model in talking), page.next_page_token)
