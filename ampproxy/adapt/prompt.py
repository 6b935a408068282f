"""A conversation as one prompt, for the dialect of old that has nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from ampproxy.model.loss import Losses
from ampproxy.model.parts import Text
from ampproxy.model.request import ChatRequest, Turn

#: Between the texts of a conversation.
_GAP: Final = "\n\n"
#: Fields of a request that a prompt has nothing for -> the kind of their loss, and what is there instead.
NO_PLACE: Final[Mapping[str, tuple[str, Any]]] = {
    "tools": ("tools", ()),
    "hosted": ("hosted_tool", ()),
    "choice": ("tool_choice", None),
    "thinking": ("thinking", None),
    "output": ("output_format", None),
}


def as_prompt(request: ChatRequest, losses: Losses) -> ChatRequest:
    """The request with one turn of the user's, which has all its words."""
    changed: dict[str, Any] = {}
    for field, (kind, nothing) in NO_PLACE.items():
        if getattr(request, field):
            losses(kind, field, "A prompt has no place for it.")
            changed[field] = nothing
    turn = Turn("user", (Text(_GAP.join(_texts(request, losses))),))
    return msgspec.structs.replace(request, system=(), turns=(turn,), **changed)


def _texts(request: ChatRequest, losses: Losses) -> Iterator[str]:
    yield from (text.text for text in request.system)
    for number, turn in enumerate(request.turns):
        for index, part in enumerate(turn.parts):
            if isinstance(part, Text):
                yield part.text
            else:
                losses("part", f"turns[{number}].parts[{index}]", "A prompt is text and nothing else.")
    if len(request.turns) > 1:
        losses("turns", "turns", "A prompt has no roles.")
