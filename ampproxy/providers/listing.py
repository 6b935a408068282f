"""How vendors list their models: the three forms of that call's answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import msgspec

from ampproxy.catalog.families import Family
from ampproxy.model.base import Value
from ampproxy.providers.declared import Reads, anthropic, family, gemini, openai

T = TypeVar("T")


class Page(NamedTuple):
    """A part of a list. ``after``: what to ask the next part with; empty: this was the last.

    :ivar families: what it declares of models, also of those that are gone and not among the names.
    """

    names: tuple[str, ...]
    after: str = ""
    families: tuple[Family, ...] = ()


class Listing(Value, frozen=True):
    """A vendor's call that lists its models, ``GET BASE/models``.

    :param read: takes an answer; raises ``ValueError`` if it is no list of models.
    :param query: for as many as the vendor gives at once.
    :param cursor: the parameter that asks for the next part.
    """

    read: Callable[[bytes], Page]
    query: str = ""
    cursor: str = ""


class _Data(msgspec.Struct):
    data: list[dict[str, Any]]
    has_more: bool = False
    last_id: str | None = None


class _Models(msgspec.Struct, rename="camel"):
    models: list[dict[str, Any]]
    next_page_token: str = ""


_data = msgspec.json.Decoder(_Data)
#: Some compatible servers leave the envelope out.
_entries: msgspec.json.Decoder[_Data | list[dict[str, Any]]] = msgspec.json.Decoder(
    _Data | list[dict[str, Any]]
)
_models = msgspec.json.Decoder(_Models)


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # Their words may quote the body.
        raise ValueError("not a list of models") from None


def _page(
    entries: list[dict[str, Any]],
    name: str,
    reads: Reads,
    after: str = "",
    serves: Callable[[dict[str, Any]], bool] = lambda entry: True,
) -> Page:
    """:param name: the member that names a model."""
    named = [(_name(entry, name), entry) for entry in entries]
    named = [(model, entry) for model, entry in named if serves(entry)]
    families = tuple(filter(None, (family(model, reads(entry)) for model, entry in named)))
    gone = {found.names[0] for found in families if found.retired}
    return Page(tuple(model for model, _ in named if model not in gone), after, families)


def _name(entry: dict[str, Any], member: str) -> str:
    name = entry.get(member)
    if not isinstance(name, str):
        raise ValueError("not a list of models")
    return name.removeprefix("models/") if member == "name" else name


def anthropic_page(body: bytes) -> Page:
    """Anthropic's: ``GET /v1/models``, paged by ``after_id``.

    :raises ValueError: it is something else.
    """
    page = _decoded(_data, body)
    return _page(page.data, "id", anthropic, page.last_id if page.has_more and page.last_id else "")


def openai_page(body: bytes) -> Page:
    """OpenAI's and that of compatible servers, which is never paged.

    :raises ValueError: it is something else.
    """
    page = _decoded(_entries, body)
    return _page(page if isinstance(page, list) else page.data, "id", openai)


def gemini_page(body: bytes) -> Page:
    """Google's, paged by ``pageToken``; only models that take ``generateContent``.

    :raises ValueError: it is something else.
    """
    page = _decoded(_models, body)
    return _page(page.models, "name", gemini, page.next_page_token, _generates)


def _generates(model: dict[str, Any]) -> bool:
    methods = model.get("supportedGenerationMethods")
    return isinstance(methods, list) and "generateContent" in methods
