"""A whole answer from the events of its stream, and back.

``fold`` and ``unfold`` are what makes a streamed and a non-streamed answer one thing:
``fold(unfold(fold(events))) == fold(events)``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from ampproxy.errors import UpstreamFault
from ampproxy.model.base import Json
from ampproxy.model.events import (
    AnswerPart,
    Candidate,
    ChatResponse,
    Completed,
    Delta,
    Event,
    Failed,
    Finished,
    PartClosed,
    PartExtras,
    PartSigned,
    PartStarted,
    SectionBreak,
    Started,
    TokenLogprob,
    Usage,
    UsageReport,
    WireError,
    steps_of,
)
from ampproxy.model.parts import Reasoning, Refusal, Signature, Text, ToolCall

#: What stands between the sections of a reasoning summary where they are told as one text.
SECTION_GAP = "\n\n"

#: So many candidates may be missing among those of an answer: an index beyond is no number of a candidate.
_MAX_MISSING_CANDIDATES = 128
_IMPOSSIBLE = "The vendor's answer has a candidate with an impossible index."

_replace = msgspec.structs.replace


class _Open:
    """A part while it grows."""

    __slots__ = ("extras", "part", "sections", "signature")

    def __init__(self, part: AnswerPart) -> None:
        self.part = part
        self.sections: list[list[str]] = [[_words(part)]]
        if isinstance(part, Reasoning) and part.sections:
            self.sections = [[section] for section in part.sections]
        self.signature: Signature | None = None
        self.extras: dict[str, Json] = {}

    def whole(self) -> AnswerPart:
        """The part with everything that came."""
        fields: dict[str, Any] = _grown(self.part, self.sections)
        known = self.part.__struct_fields__
        if self.signature is not None and "signature" in known:
            fields["signature"] = self.signature
        if self.extras and "extras" in known:
            fields["extras"] = {**getattr(self.part, "extras", {}), **self.extras}
        return _replace(self.part, **fields) if fields else self.part


def _words(part: AnswerPart) -> str:
    """What deltas add to."""
    if isinstance(part, ToolCall):
        return part.arguments
    return part.text if isinstance(part, Text | Reasoning | Refusal) else ""


def _grown(part: AnswerPart, sections: list[list[str]]) -> dict[str, Any]:
    if isinstance(part, ToolCall):
        text = "".join(sections[-1])
        return {"arguments": text if text or part.freeform else "{}"}
    if isinstance(part, Reasoning):
        whole = [text for text in map("".join, sections) if text]
        return {"text": SECTION_GAP.join(whole), "sections": tuple(whole) if len(whole) > 1 else ()}
    return {"text": "".join(sections[-1])} if isinstance(part, Text | Refusal) else {}


class _Answer:
    """An answer while it grows: one method an event."""

    def __init__(self) -> None:
        self.started = Started()
        self.parts: dict[int, _Open] = {}
        self.choices: dict[int, list[_Open]] = {}
        self.choice_of: dict[int, int] = {}
        self.logprobs: dict[int, list[TokenLogprob]] = {}
        self.finished: dict[int, Finished] = {}
        self.usage: Usage | None = None

    def _on_start(self, event: Started) -> None:
        self.started = event

    def _on_part(self, event: PartStarted) -> None:
        part = self.parts[event.index] = _Open(event.part)
        self.choice_of[event.index] = event.choice
        self.choices.setdefault(event.choice, []).append(part)

    def _on_delta(self, event: Delta) -> None:
        if part := self.parts.get(event.index):
            part.sections[-1].append(event.text)
            if event.logprobs:
                self.logprobs.setdefault(self.choice_of[event.index], []).extend(event.logprobs)

    def _on_section(self, event: SectionBreak) -> None:
        part = self.parts.get(event.index)
        if part and isinstance(part.part, Reasoning):
            part.sections.append([])

    def _on_proof(self, event: PartSigned) -> None:
        if part := self.parts.get(event.index):
            part.signature = event.signature

    def _on_extras(self, event: PartExtras) -> None:
        if part := self.parts.get(event.index):
            part.extras.update(event.extras)

    def _on_usage(self, event: UsageReport) -> None:
        self.usage = event.usage

    def _on_finish(self, event: Finished) -> None:
        self.finished[event.choice] = event

    def _on_failure(self, event: Failed) -> None:
        raise UpstreamFault(event.error, retryable=True)

    def candidate(self, choice: int) -> Candidate:
        return Candidate(
            tuple(part.whole() for part in self.choices.get(choice, ())),
            self.finished.get(choice),
            tuple(self.logprobs.get(choice, ())),
        )

    def whole(self) -> ChatResponse:
        count = max([0, *self.choices, *self.finished]) + 1
        if count > len(self.choices) + len(self.finished) + _MAX_MISSING_CANDIDATES:
            raise UpstreamFault(WireError("unavailable", _IMPOSSIBLE, 502), retryable=True)
        started = self.started
        return ChatResponse(
            id=started.id,
            model=started.model,
            created=started.created,
            candidates=tuple(self.candidate(choice) for choice in range(count)),
            usage=self.usage,
            dialect=started.dialect,
            extras=started.extras,
        )


_STEPS = steps_of(_Answer)


def fold(events: Iterable[Event]) -> ChatResponse:
    """The whole answer that a stream of events tells.

    Parts stand in the order in which they were opened, each with its candidate. Proofs and extras
    may come after their part was closed. A section break stands *between* paragraphs: one before
    any text counts for nothing, and ``Reasoning.sections`` is set from two paragraphs on. A call
    whose arguments never came has ``{}``. Whether the stream is whole is the parser's to say.

    :raises ampproxy.errors.UpstreamFault: one of the events is ``Failed``, or a candidate's index is not
        one.
    """
    answer = _Answer()
    for event in events:
        if step := _STEPS.get(type(event)):
            step(answer, event)
    return answer.whole()


def unfold(response: ChatResponse) -> list[Event]:
    """The events of a whole answer: one part after the other, usage before the ends, ``Completed`` last."""
    events: list[Event] = [
        Started(response.id, response.model, response.created, response.dialect, response.extras)
    ]
    index = 0
    for choice, candidate in enumerate(response.candidates):
        logprobs = candidate.logprobs
        for part in candidate.parts:
            events += _unfold_part(index, choice, part, logprobs if _words(part) else ())
            logprobs = () if _words(part) else logprobs
            index += 1
    if response.usage is not None:
        events.append(UsageReport(response.usage))
    for choice, candidate in enumerate(response.candidates):
        if candidate.finish is not None:
            events.append(_replace(candidate.finish, choice=choice))
    events.append(Completed())
    return events


def _unfold_part(
    index: int, choice: int, part: AnswerPart, logprobs: tuple[TokenLogprob, ...]
) -> list[Event]:
    events: list[Event] = []
    sections: tuple[str, ...] = (_words(part),)
    late: list[Event] = []
    if isinstance(part, ToolCall):
        bare: AnswerPart = _replace(part, arguments="")
    elif isinstance(part, Reasoning):
        sections = part.sections or sections
        # Redacted thinking has no text in which its proof could come late.
        bare = _replace(part, text="", sections=(), signature=part.signature if part.redacted else None)
        if part.signature and not part.redacted:
            late.append(PartSigned(index, part.signature))
    elif isinstance(part, Text):
        bare = _replace(part, text="", extras={})
        if part.extras:
            late.append(PartExtras(index, part.extras))
    elif isinstance(part, Refusal):
        bare = Refusal("")
    else:
        bare = part
    events.append(PartStarted(index, bare, choice))
    for number, section in enumerate(sections):
        if number:
            events.append(SectionBreak(index))
        if section:
            events.append(Delta(index, section, logprobs))
            logprobs = ()
    return [*events, *late, PartClosed(index)]
