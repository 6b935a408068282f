"""What becomes of an answer's events before they are rendered, whatever the dialects: one answer where one
was asked for, and an end that says what happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ampproxy.dialects.ends import EMPTY, NAMELESS
from ampproxy.model.base import Json
from ampproxy.model.events import (
    Completed,
    Delta,
    Event,
    Failed,
    Finished,
    PartClosed,
    PartExtras,
    PartStarted,
    Started,
    Usage,
    UsageReport,
    WireError,
    others,
)
from ampproxy.model.loss import Loss
from ampproxy.model.parts import Opaque, Reasoning, Refusal, Text, ToolCall
from ampproxy.relay.foreign import explanation, page_notes, words_of
from ampproxy.wire.values import loads, to_raw

_GROWING: Final = (Text, Reasoning, Refusal, ToolCall)
UNENDED: Final = WireError(
    "unavailable",
    "The model's server ended its stream without a finish reason, so the answer may be cut off. If this "
    "server never sends one, set answers-without-end: true for its account.",
    502,
    "no_finish_reason",
)


class Settling:
    """Takes the events of one answer in order; gives those that are to be rendered.

    :param one: the client asked for one answer. What a vendor then gives as several candidates (Copilot: the
        text in one, the calls in another) is one.
    :param unended: take an answer for whole whose vendor does not say how it ended.
    :param client: the client's dialect, if it is another than the vendor's: parts that only the vendor's has
        become text. Empty: it is the same.
    :ivar content: whether anything of the answer itself came.
    :ivar losses: what had to be bent.
    """

    def __init__(self, *, one: bool, unended: bool = False, client: str = "") -> None:
        self._client = client
        self._one = one
        #: What the client's dialect has no part for, as long as it was shown nothing.
        self._unshown: list[str] = []
        self._shown = False
        self._next = 0
        self._dialect = ""
        self._left_out: set[int] = set()
        self._unended = unended
        self._called: set[int] = set()
        self._ends: dict[int, Finished] = {}
        self._usage = Usage()
        self.content = False
        self.losses: list[Loss] = []

    def feed(self, events: list[Event]) -> list[Event]:
        """The same list where nothing is to be changed."""
        if not self.content:
            self.content = any(map(_is_content, events))
        places = others(events)
        return self._each(events, places) if places else events

    def _each(self, events: list[Event], places: list[int]) -> list[Event]:
        """
        :param places: of those that are no deltas.
        """
        out: list[Event] = []
        last = 0
        for place in places:
            if last < place:
                out += self._deltas(events[last:place])
            last = place + 1
            out += self._other(events[place])
            if out and type(out[-1]) is Failed:
                return out
        return out + self._deltas(events[last:]) if last < len(events) else out

    def _deltas(self, events: list[Event]) -> list[Event]:
        """Those of parts that are not left out."""
        left_out = self._left_out
        return [event for event in events if event.index not in left_out] if left_out else events  # type: ignore[union-attr]

    def _other(self, event: Event) -> Sequence[Event]:
        kind = type(event)
        if kind is UsageReport:
            self._usage = event.usage  # type: ignore[union-attr]
        elif kind is Started:
            self._started(event)  # type: ignore[arg-type]
        elif kind is PartStarted:
            return self._opened(event)  # type: ignore[arg-type]
        elif self._left_out and getattr(event, "index", -1) in self._left_out:
            return ()
        elif kind is PartExtras:
            return (self._extended(event),)  # type: ignore[arg-type]
        elif kind is Finished:
            self._end(event)  # type: ignore[arg-type]
            return ()
        elif kind is Completed:
            return self._ended()
        return (event,)

    def _started(self, event: Started) -> None:
        self._dialect = event.dialect or ""
        if self._client and self._dialect != self._client:
            names = sorted(event.extras.keys() - _BOOKKEEPING)
            self.losses += [_extras(name) for name in names]

    def _opened(self, event: PartStarted) -> list[Event]:
        choice = 0 if self._one else event.choice
        part = event.part
        self._next = max(self._next, event.index + 1)
        if isinstance(part, ToolCall):
            if not part.name.strip():
                return [Failed(NAMELESS)]
            self._called.add(choice)
        if isinstance(part, Opaque) and self._client and part.dialect != self._client:
            return self._foreign(event, part, choice)
        if isinstance(part, Reasoning) and part.redacted:
            self._unshown.append("thinking that is not shown")
        else:
            self._shown = True
        if self._client and self._dialect != self._client:
            names = getattr(part, "extras", {}).keys() - _BOOKKEEPING
            self.losses += [_extras(name, f"parts[{event.index}]") for name in sorted(names)]
        return [event if choice == event.choice else msgspec.structs.replace(event, choice=choice)]

    def _extended(self, event: PartExtras) -> PartExtras:
        """Citations of pages in the form of annotations, which is what other dialects have of the kind."""
        if not self._client or self._dialect == self._client or "citations" not in event.extras:
            return event
        notes = page_notes(event.extras["citations"])
        path = f"parts[{event.index}].citations"
        self.losses.append(Loss("extras", path, "Only citations of pages are kept, by address and title."))
        rest = {name: raw for name, raw in event.extras.items() if name != "citations"}
        return PartExtras(event.index, {**rest, **({"annotations": to_raw(notes)} if notes else {})})

    def _foreign(self, event: PartStarted, part: Opaque, choice: int) -> list[Event]:
        """A part that the client's dialect does not have: its words, if it has any to read."""
        path, words = f"parts[{event.index}]", words_of(part)
        how = "sent as text" if words else "dropped"
        self.losses.append(Loss("opaque", path, f"{part.kind[:60]} is {part.dialect}'s own: {how}."))
        self._left_out.add(event.index)
        if not words:
            self._unshown.append(part.kind[:60])
            return []
        return self._text(event.index, words + "\n", choice)

    def _text(
        self, index: int, words: str, choice: int = 0, part: Text | Refusal | None = None
    ) -> list[Event]:
        self._shown = True
        opened = PartStarted(index, part or Text(""), choice)
        return [opened, Delta(index, words), PartClosed(index)]

    def _end(self, event: Finished) -> None:
        """Keep it until the answer is over: of several that are one, the call is what is to be acted on."""
        choice = 0 if self._one else event.choice
        known = self._ends.get(choice)
        if known is None or event.reason == "tool_calls" or known.reason == "stop":
            self._ends[choice] = msgspec.structs.replace(event, choice=choice)

    def _ended(self) -> list[Event]:
        if self._client and self._dialect != self._client:
            names = (name for name, raw in self._usage.extras.items() if _counts(name, raw))
            self.losses += [_extras(name, "usage") for name in sorted(names)]
        ends: list[Event] = []
        words: list[Event] = []
        for choice in sorted(self._ends):
            end = self._honest(self._ends[choice])
            if isinstance(end, Failed):
                return [end]
            words += self._explained(end)
            ends.append(end)
        if not (self._shown or words) and self._unshown:
            kinds = ", ".join(dict.fromkeys(self._unshown))
            words = self._text(self._next, f"(This answer has nothing but: {kinds}.)")
        return [*words, *ends, Completed()]

    def _explained(self, end: Finished) -> list[Event]:
        """The vendor's words on why it refused, for a client whose dialect has no place beside the end."""
        if not self._client or self._dialect == self._client:
            return []
        present = (name for name, raw in end.extras.items() if _is_something(loads(raw, default=True)))
        self.losses += [_extras(name) for name in sorted(present) if name not in _EXPLAINING]
        why = explanation(end.extras) if end.reason in ("refusal", "blocked") else ""
        if not why:
            return []
        self._next += 1
        return self._text(self._next - 1, why, end.choice, Refusal(""))

    def _honest(self, end: Finished) -> Finished | Failed:
        """An end as it may be told: one that is not known is never told as a good one."""
        if end.reason == "tool_calls" and end.choice not in self._called:
            if not self.content:
                return _failed("The vendor's answer ends with a tool call and has none.", "no_call")
            return msgspec.structs.replace(end, reason="stop")
        if end.reason != "unknown":
            nothing = end.reason == "stop" and not self.content and self._usage.answers_nothing
            return Failed(EMPTY) if nothing else end
        if end.detail is None and not self._unended:
            return Failed(UNENDED)
        word = (end.detail or "")[:100]
        if not self.content:
            return _failed(f"The vendor ended its answer without content: {word or 'no reason given'}.", word)
        why = f"The vendor sent {word}." if word else "None was given."
        self.losses.append(
            Loss("finish", "finish", f"The reason for the end of the answer is unknown. {why}")
        )
        return end if end.detail is not None else msgspec.structs.replace(end, reason="stop")


#: Members of an answer that tell nothing of what it says or cost.
_BOOKKEEPING: Final = frozenset(
    (
        "object",
        "service_tier",
        "system_fingerprint",
        "createTime",
        "modelStatus",
        "provider",
        "warnings",
        "phase",
        "annotations",
        "citations",
    )
)
#: Members beside an end that are given in words, where there are any.
_EXPLAINING: Final = frozenset(("stop_details", "finishMessage"))


#: Members of a usage that split what is counted anyway, or tell how it was served.
_SPLITTING: Final = frozenset(
    (
        "cache_creation",
        "inference_geo",
        "service_tier",
        "serviceTier",
        "speed",
        "toolUsePromptTokenCount",
        "trafficType",
    )
)


def _counts(name: str, raw: Json) -> bool:
    """Whether a member of a usage tells of something that the counts leave out."""
    splits = name in _SPLITTING or name.endswith(("TokensDetails", "_tokens_details"))
    return not splits and _is_something(loads(raw))


def _is_something(value: Any) -> bool:
    """Whether a value is anything but zeros and what is empty."""
    if isinstance(value, dict):
        return any(map(_is_something, value.values()))
    return bool(value)


def _extras(name: str, path: str = "answer") -> Loss:
    return Loss("extras", f"{path}.{name[:60]}", f"The client's dialect has no place for {name[:60]}.")


def _failed(message: str, code: str) -> Failed:
    return Failed(WireError("unavailable", message, 502, code or "no_content"))


def _is_content(event: Event) -> bool:
    """Whether an event tells something of the answer itself, and not only that there will be one."""
    if isinstance(event, Delta):
        return bool(event.text)
    if isinstance(event, PartStarted):
        part = event.part
        grows = isinstance(part, _GROWING) and not isinstance(part, ToolCall)
        return not grows or bool(getattr(part, "text", "") or getattr(part, "redacted", False))
    return False
