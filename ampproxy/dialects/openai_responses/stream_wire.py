"""The events of a vendor's stream as they are read."""

from __future__ import annotations

from typing import Any

import msgspec

from ampproxy.dialects.json import NULL
from ampproxy.dialects.openai_responses.answer_items import Content
from ampproxy.model.base import Json

#: The place of an item whose event leaves it out.
NOWHERE = -1
_NOTHING = (b"null", b"[]", b"{}")


class DeltaEvent(msgspec.Struct):
    """More of a text."""

    delta: str = ""
    output_index: int = NOWHERE
    content_index: int = 0
    summary_index: int = 0
    logprobs: Json = msgspec.Raw(b"[]")


class ItemEvent(msgspec.Struct):
    """An item begins or ends."""

    item: Json
    output_index: int = NOWHERE


class PartEvent(msgspec.Struct):
    """A part of a message's content begins or ends."""

    part: Content
    output_index: int = NOWHERE
    content_index: int = 0


class WholeEvent(msgspec.Struct):
    """What grew by deltas, as a whole."""

    output_index: int = NOWHERE
    content_index: int = 0
    summary_index: int = 0
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    input: str | None = None


class AnnotationEvent(msgspec.Struct):
    """A note on a text."""

    annotation: Json
    output_index: int = NOWHERE
    content_index: int = 0


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class Beside(msgspec.Struct):
    """Reports beside the output."""

    access_programs: Json = NULL
    input_transformations: Json = NULL
    moderation: Json = NULL
    prompt_cache_diagnostics: Json = NULL
    tool_usage: Json = NULL


class ResponseWire(Beside):
    """A response, as far as it is read."""

    id: str | None = None
    model: str | None = None
    created_at: float | None = None
    status: str | None = None
    output: list[Json] | None = None
    usage: Any = None
    service_tier: Any = None
    incomplete_details: _Incomplete | None = None
    error: Any = None

    def beside(self) -> dict[str, Json]:
        """What it reports beside its output; the other members repeat the request."""
        found = {name: getattr(self, name) for name in Beside.__struct_fields__}
        return {name: raw for name, raw in found.items() if bytes(raw) not in _NOTHING}


class Lifecycle(msgspec.Struct):
    """An event that holds the response itself."""

    response: ResponseWire | None = None


class Named(msgspec.Struct):
    """What an event names its item by."""

    item_id: str | None = None
