"""Thinking for a client of Messages that wants none, or that would stumble over it.

Anthropic's own models begin the answer to a demanded call with that call, and some clients take the first
block for it. Other vendors' models think as they please: there, and where a client turned thinking off, what
they thought and the proofs of it are left out. Elsewhere they stay, because the vendor wants its proofs back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec.structs import replace

from ampproxy.dialects.base import AnswerContext
from ampproxy.model.events import Delta, Event, PartClosed, PartSigned, PartStarted, SectionBreak
from ampproxy.model.parts import Audio, Opaque, Reasoning

_AnyPart = TypeVar("_AnyPart")

#: Why thinking, and proofs of it, are left out.
LOST: Final = "The client did not ask for thinking, so neither it nor its signature was sent."


def asks_for_none(context: AnswerContext) -> bool:
    """Whether the answer is to have no thinking; a request that is not known leaves it open."""
    request = context.request
    if request is None:
        return False
    if request.thinking is None:
        return request.choice is not None and request.choice.mode in ("required", "named")
    return request.thinking.mode == "off"


def without(parts: Iterable[_AnyPart]) -> list[_AnyPart]:
    """The parts of an answer but for thinking, and without proofs."""
    return [bare(part) for part in parts if not isinstance(part, Reasoning)]


def bare(part: _AnyPart) -> _AnyPart:
    """The part without a proof."""
    if isinstance(part, Audio | Opaque) or getattr(part, "signature", None) is None:
        return part
    stripped: _AnyPart = replace(part, signature=None)  # type: ignore[type-var]
    return stripped


class Unasked(msgspec.Struct):
    """Takes thinking and proofs out of the events of one answer; ``dropped``: there was some."""

    dropped: bool = False
    _thoughts: set[int] = set()

    def feed(self, events: Sequence[Event]) -> list[Event]:
        """The events that are left."""
        kept: list[Event] = []
        for event in events:
            if type(event) is Delta and not self._thoughts:
                kept.append(event)
            elif (left := self._left(event)) is not None:
                kept.append(left)
        return kept

    def _left(self, event: Event) -> Event | None:
        if isinstance(event, PartStarted):
            if isinstance(event.part, Reasoning):
                self._thoughts.add(event.index)
                self.dropped = True
                return None
            part = bare(event.part)
            self.dropped = self.dropped or part is not event.part
            return event if part is event.part else replace(event, part=part)
        if isinstance(event, PartSigned):
            self.dropped = True
            return None
        if isinstance(event, Delta | SectionBreak | PartClosed) and event.index in self._thoughts:
            return None
        return event
