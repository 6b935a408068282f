"""What becomes of an answer's events before they are rendered, whatever the dialects: one answer where one
was asked for, and an end that says what happened.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ampproxy.model.events import (
    Completed,
    Delta,
    Event,
    Failed,
    Finished,
    PartOpened,
    WireError,
)
from ampproxy.model.loss import Loss
from ampproxy.model.parts import Reasoning, Refusal, Text, ToolCall

#: Events that are none of these need no look.
_LOOKED_AT: Final = frozenset((PartOpened, Finished, Completed))
_GROWING: Final = (Text, Reasoning, Refusal, ToolCall)
UNENDED: Final = WireError(
    "unavailable",
    "The model's server ended its stream without saying that the answer is whole (no finish reason), so that"
    " it may be cut off. If this server never gives one, set answers-without-end: true for its account.",
    502,
    "no_finish_reason",
)


class Settling:
    """Takes the events of one answer in order; gives those that are to be rendered.

    :param one: the client asked for one answer. What a vendor then gives as several candidates (Copilot: the
        text in one, the calls in another) is one.
    :param unended: take an answer for whole whose vendor does not say how it ended.
    :ivar content: whether anything of the answer itself came.
    :ivar losses: what had to be bent.
    """

    def __init__(self, *, one: bool, unended: bool = False) -> None:
        self._one = one
        self._unended = unended
        self._called: set[int] = set()
        self._ends: dict[int, Finished] = {}
        self.content = False
        self.losses: list[Loss] = []

    def feed(self, events: list[Event]) -> list[Event]:
        """The same list where nothing is to be changed."""
        if not self.content:
            self.content = any(map(_is_content, events))
        for event in events:
            if type(event) in _LOOKED_AT:
                return self._each(events)
        return events

    def _each(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            kind = type(event)
            if kind is PartOpened:
                out.append(self._opened(event))  # type: ignore[arg-type]
            elif kind is Finished:
                self._end(event)  # type: ignore[arg-type]
            elif kind is Completed:
                out += self._ended()
            else:
                out.append(event)
        return out

    def _opened(self, event: PartOpened) -> PartOpened:
        choice = 0 if self._one else event.choice
        if isinstance(event.part, ToolCall):
            self._called.add(choice)
        return event if choice == event.choice else msgspec.structs.replace(event, choice=choice)

    def _end(self, event: Finished) -> None:
        """Keep it until the answer is over: of several that are one, the call is what is to be acted on."""
        choice = 0 if self._one else event.choice
        known = self._ends.get(choice)
        if known is None or event.reason == "tool_calls" or known.reason == "stop":
            self._ends[choice] = msgspec.structs.replace(event, choice=choice)

    def _ended(self) -> list[Event]:
        ends: list[Event] = []
        for choice in sorted(self._ends):
            end = self._honest(self._ends[choice])
            if isinstance(end, Failed):
                return [end]
            ends.append(end)
        return [*ends, Completed()]

    def _honest(self, end: Finished) -> Finished | Failed:
        """An end as it may be told: one that is not known is never told as a good one."""
        if end.reason == "tool_calls" and end.choice not in self._called:
            if not self.content:
                return _failed("The vendor's answer ends with a tool call and has none.", "no_call")
            return msgspec.structs.replace(end, reason="stop")
        if end.reason != "unknown":
            return end
        if end.detail is None and not self._unended:
            return Failed(UNENDED)
        word = (end.detail or "")[:100]
        if not self.content:
            return _failed(f"The vendor ended its answer without content: {word or 'no reason given'}.", word)
        why = f"Its word is {word}." if word else "It gave none."
        self.losses.append(Loss("finish", "finish", f"How the vendor ended its answer is not known. {why}"))
        return end if end.detail is not None else msgspec.structs.replace(end, reason="stop")


def _failed(message: str, code: str) -> Failed:
    return Failed(WireError("unavailable", message, 502, code or "no_content"))


def _is_content(event: Event) -> bool:
    """Whether an event tells something of the answer itself, and not only that there will be one."""
    if isinstance(event, Delta):
        return bool(event.text)
    if isinstance(event, PartOpened):
        part = event.part
        grows = isinstance(part, _GROWING) and not isinstance(part, ToolCall)
        return not grows or bool(getattr(part, "text", "") or getattr(part, "redacted", False))
    return False
