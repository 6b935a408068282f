"""A vendor's stream, or its whole answer, as events.

A whole answer is read as a stream that has nothing but its terminal event, so the two cannot differ.
Sources: ``openai.types.responses.Response*Event``; what servers that follow OpenAI leave out
(``event:`` lines, deltas, ids, the output in the terminal event).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, repeat
from operator import itemgetter
from typing import Any

import msgspec

from ampproxy.dialects.ends import honest_end, read_end
from ampproxy.dialects.frames import Frame
from ampproxy.dialects.json import Decoder, encode, loads, no_answer, read_answer, read_or, to_raw
from ampproxy.dialects.monitor import is_sign_of_life
from ampproxy.dialects.openai import error_from, not_an_answer, parse_error, responses_usage
from ampproxy.dialects.openai_answers import TokenWire, read_logprobs
from ampproxy.dialects.openai_responses.answer_items import (
    ITEMS,
    AnnotationEvent,
    AnswerItem,
    CallItem,
    DeltaEvent,
    Head,
    ItemEvent,
    Lifecycle,
    MessageItem,
    Named,
    Part,
    PartEvent,
    ReasoningItem,
    ResponseWire,
    WholeEvent,
)
from ampproxy.dialects.openai_responses.repairs import TYPES
from ampproxy.dialects.streams import EventParser
from ampproxy.errors import UpstreamFault
from ampproxy.model.base import RESPONSES, Json
from ampproxy.model.events import (
    Completed,
    Delta,
    Event,
    Failed,
    Finished,
    FinishReason,
    Started,
    UsageReport,
    WireError,
)
from ampproxy.wire.json import BAD_JSON, members

_NO_LOGPROBS = Json(b"[]")
_delta = Decoder(DeltaEvent).decode
_named = Decoder(Named)
_lifecycle = Decoder(Lifecycle)


class _Type(msgspec.Struct):
    type: str = ""


_type = Decoder(_Type)
_head = Decoder(Head)
_logprobs = Decoder(list[TokenWire] | None)
_response = Decoder(ResponseWire)

_TEXT = b"response.output_text.delta"
_REFUSAL = b"response.refusal.delta"
_SUMMARY = b"response.reasoning_summary_text.delta"
#: The events that may be most of a stream.
_DELTAS = frozenset(
    (
        _TEXT,
        _REFUSAL,
        _SUMMARY,
        b"response.reasoning_text.delta",
        b"response.function_call_arguments.delta",
        b"response.custom_tool_call_input.delta",
    )
)
#: A message's content parts.
_WORDS = {"output_text": "text", "text": "text", "refusal": "refusal"}

_INCOMPLETE: dict[str | None, FinishReason] = {
    None: "length",
    "max_output_tokens": "length",
    "max_messages": "length",
    "content_filter": "blocked",
    # The client itself sent something that the vendor goes on with.
    "steered": "pause",
}
_NOT_COMPLETE = ("incomplete", "failed", "cancelled")
_FAILURES = {"failed": "The vendor's answer failed.", "cancelled": "The answer was cancelled."}


class ResponsesStreamParser(EventParser):
    """A :class:`~ampproxy.dialects.base.StreamParser`."""

    def __init__(self) -> None:
        super().__init__()
        self._items: dict[int, AnswerItem] = {}
        #: The first item of each type with an id, and with a call's id.
        self._known: dict[tuple[str, str, str], AnswerItem] = {}
        #: The largest output index.
        self._last = -1
        #: Where items are, by their ids and their calls'.
        self._places: dict[str, int] = {}
        #: Items that no other was announced after.
        self._newest: list[AnswerItem] = []
        #: What grows by deltas, by the event's name, output index and content or summary index.
        self._growing: dict[tuple[bytes, int, int], Part] = {}
        self._frame = Frame(b'"delta":')
        #: What a delta in that frame adds to.
        self._grows: Part | None = None
        # No method of ours: the items keep it, and we keep them.
        self._number = count().__next__
        self._started = False

    def whole(self, body: bytes) -> list[Event]:
        """The events of an answer that was not streamed.

        :raises ampproxy.errors.UnreadableAnswer: it is not one.
        """
        response = read_answer(_response, body)
        if response.error is not None:
            return [Failed(_failure(response, "failed"))]
        if response.output is None and not response.output_text and response.status not in _FAILURES:
            raise not_an_answer(loads(body), "The vendor's answer has no 'output'.")
        events = self._start(response)
        events += self._terminal(response, response.status or "completed")
        return events

    def _read(self, pieces: list[tuple[bytes, bytes]]) -> list[Event]:
        out: list[Event] = []
        datas, at = list(map(itemgetter(1), pieces)), 0
        while at < len(pieces) and not self._over:
            words = self._frame.words(datas, at)
            if words and self._grows is not None:
                out += self._grown(self._grows, words)
            else:
                self._frame.forget()
                out += self._delta(*pieces[at]) or self._one(*pieces[at])
            at += len(words) or 1
        return out

    def _grown(self, part: Part, words: list[str]) -> list[Delta]:
        """More words of a part."""
        part.sent_length += sum(map(len, words))
        if part.pieces is not None:
            part.pieces += words
        return list(map(Delta, repeat(part.index), words))

    def _delta(self, name: bytes, data: bytes) -> list[Delta]:
        """The common event: more words of a part that is open, and nothing else; nothing for any other."""
        if name not in _DELTAS:
            return []
        try:
            event = _delta(data)
        except BAD_JSON:
            return []
        # Only one of the two numbers is ever given.
        part = self._growing.get((name, event.output_index, event.content_index + event.summary_index))
        if part is None or part.closed or event.logprobs != _NO_LOGPROBS:
            return []
        if data.startswith(b'{"type":"%b"' % name) and self._frame.learn(data, event.delta):
            self._grows = part
        return self._grown(part, [event.delta])

    def _one(self, name: bytes, data: bytes) -> list[Event]:
        try:
            if name not in _EVENTS:
                if data == b"[DONE]" or is_sign_of_life(data):
                    return []
                kind = read_answer(_type, data, "event").type.encode()
                if not (name or kind):
                    # An object that names no type is no event.
                    fault = not_an_answer(loads(data), "The vendor's stream has an object without a type.")
                    return self._fail(fault.error)
                name = kind
            if name == b"error" and not data.startswith(b"{"):
                return self._fail(error_from(data.decode("utf-8", "replace")))
            if (known := _EVENTS.get(name)) is None:
                if not name.endswith(b".error"):
                    return []
                known = _EVENTS[b"error"]
            decode, step = known
            event = decode(data)
            if getattr(event, "output_index", 0) < 0:
                event.output_index = self._placed(event, name, data)
            events: list[Event] = step(self, event, name)
            self._over = self._over or bool(events and isinstance(events[-1], Failed))
        except UpstreamFault as fault:
            return self._fail(fault.error)
        return events

    def _placed(self, event: Any, name: bytes, data: bytes) -> int:
        """The place of an event's item, which some servers (llama.cpp) leave out: that of its id, or the last
        one.
        """
        if not isinstance(event, ItemEvent):
            return self._places.get(read_answer(_named, data).item_id or "", max(self._last, 0))
        head = _headed(event.item)
        for _, _, value in _keys(head):
            if value in self._places:
                return self._places[value]
        last = self._items.get(self._last)
        goes_on = name.endswith(b"done") and last is not None and not last.done
        return self._last if goes_on and last is not None and last.head.type == head.type else self._last + 1

    def _start(self, response: ResponseWire) -> list[Event]:
        if self._started:
            return []
        self._started = True
        created = int(response.created_at) if response.created_at is not None else None
        return [Started(response.id, response.model, created, RESPONSES)]

    def _lifecycle(self, response: ResponseWire, name: bytes) -> list[Event]:
        return self._start(response)

    def _end(self, response: ResponseWire, name: bytes) -> list[Event]:
        status = name.removeprefix(b"response.").decode()
        if status == "done":
            status = response.status or "completed"
        elif status == "completed" and response.status in _NOT_COMPLETE:
            # Servers that end every stream alike report it inside.
            status = response.status
        return [*self._start(response), *self._terminal(response, status)]

    def _terminal(self, response: ResponseWire, status: str) -> list[Event]:
        """What the terminal event is the first to report, and the end."""
        self._over = True
        reported = response.usage if isinstance(response.usage, dict) else None
        tier = response.service_tier
        usage: list[Event] = [UsageReport(responses_usage(reported, tier))] if reported else []
        if status not in ("completed", "incomplete") or response.error:
            return [*usage, Failed(_failure(response, status))]
        output = response.output or []
        if not (output or self._items) and isinstance(response.output_text, str) and response.output_text:
            # As SDKs show an answer, from servers that write down what one gave them.
            output = [to_raw({"type": "message", "content": response.output_text})]
        elif response.output is None and not self._items:
            return [*usage, Failed(no_answer().error)]
        events = self._remaining(output)
        if failed := next((event for event in events if isinstance(event, Failed)), None):
            return [*usage, failed]
        return [*events, *usage, self._finished(response, status), Completed()]

    def _remaining(self, output: list[Json]) -> list[Event]:
        events: list[Event] = []
        places = self._counted(output)
        for place, item in enumerate(output):
            head, position = _headed(item), places.get(place, place)
            known = self._match(position, head)
            if known is None:
                index = position if position not in self._items else self._last + 1
                known = self._new(index, head)
            if not known.done:
                events += known.finish(item)
        for known in self._items.values():
            if not known.done:
                events += known.left_out()
        return events

    def _counted(self, output: list[Json]) -> dict[int, int]:
        """The numbers of the items in the stream, by their places in the output: servers begin at one, or
        leave numbers out.
        """
        numbers = sorted(number for number in self._items if number >= 0)
        apart = bool(numbers) and numbers[-1] >= len(output)
        return dict(enumerate(numbers)) if apart else {number: number for number in numbers}

    def _match(self, position: int, head: Head) -> AnswerItem | None:
        """The item that was seen before, by its id, its call's id, or its place."""
        for key in _keys(head):
            if (known := self._known.get(key)) is not None:
                return known
        placed = self._items.get(position)
        return placed if placed is not None and placed.head.type == head.type else None

    def _finished(self, response: ResponseWire, status: str) -> Finished:
        if status == "incomplete":
            reason = response.incomplete_details.reason if response.incomplete_details else None
            return Finished(_incomplete(reason), detail=reason, extras=response.beside())
        items = self._items.values()
        calls = [item for item in items if isinstance(item, CallItem)]
        if calls:
            end = Finished("tool_calls", extras=response.beside())
            return honest_end(end, cut=any(call.cut for call in calls))
        refused = any(isinstance(item, MessageItem) and item.refused for item in items)
        return Finished("refusal" if refused else "stop", extras=response.beside())

    def _error(self, event: dict[str, Any], name: bytes) -> list[Event]:
        return self._fail(_wire_error({key: value for key, value in event.items() if key != "type"}))

    def _new(self, index: int, head: Head) -> AnswerItem:
        if (other := self._items.get(index)) is not None:
            # Servers that give every item the same number.
            self._items[-1 - len(self._items)] = other
        item = self._items[index] = ITEMS.get(head.type, AnswerItem)(head, self._number)
        self._last = max(self._last, index)
        self._newest.append(item)
        for key in _keys(head):
            self._known.setdefault(key, item)
            self._places.setdefault(key[-1], index)
        return item

    def _item_added(self, event: ItemEvent, name: bytes) -> list[Event]:
        head = _headed(event.item)
        known = self._items.get(event.output_index)
        if known is not None and not (known.done and _is_another(head, known.head)):
            return []
        events = self._start(ResponseWire())
        overtaken, self._newest = self._newest, []
        for item in overtaken:
            events += item.overtaken()
        return [*events, *self._new(event.output_index, head).add(event.item)]

    def _item_done(self, event: ItemEvent, name: bytes) -> list[Event]:
        head = _headed(event.item)
        item = self._items.get(event.output_index)
        if item is None or item.head.type != head.type:
            item = self._new(event.output_index, head)
        if item.done:
            return []
        return [*self._start(ResponseWire()), *item.finish(event.item)]

    def _message(self, index: int) -> MessageItem | None:
        """The message that a text belongs to; one that was never announced begins with it."""
        item = self._items.get(index)
        if item is None:
            item = self._new(index, Head("message"))
        return item if isinstance(item, MessageItem) and not item.done else None

    def _text(self, event: DeltaEvent, name: bytes) -> list[Event]:
        message = self._message(event.output_index)
        if message is None:
            return []
        events = self._start(ResponseWire())
        kind = "refusal" if name == _REFUSAL else "text"
        part = message.part(event.content_index, kind, events)
        if part.closed:
            return events
        self._growing[name, event.output_index, event.content_index] = part
        part.sent_length += len(event.delta)
        events.append(Delta(part.index, event.delta, read_logprobs(read_or(_logprobs, event.logprobs, None))))
        return events

    def _part_added(self, event: PartEvent, name: bytes) -> list[Event]:
        kind = _WORDS.get(event.part.type or "")
        message = self._message(event.output_index) if kind else None
        events = self._start(ResponseWire())
        if message is not None and kind is not None:
            delta = _REFUSAL if kind == "refusal" else _TEXT
            part = message.part(event.content_index, kind, events)
            self._growing[delta, event.output_index, event.content_index] = part
        return events

    def _part_done(self, event: PartEvent, name: bytes) -> list[Event]:
        if event.part.type not in _WORDS:
            return []
        message = self._message(event.output_index)
        return message.finish_part(event.content_index, event.part) if message is not None else []

    def _whole(self, event: WholeEvent, name: bytes) -> list[Event]:
        """The end of what grows by deltas: all of it, from servers that send none."""
        kind, source = _WHOLES[name]
        item = self._items.get(event.output_index)
        if item is None and source:
            item = self._new(event.output_index, Head(kind))
        words = event.text or event.refusal or event.arguments or event.input
        if item is None or item.done or item.head.type != kind or not words:
            return []
        number = event.content_index + event.summary_index
        return [*self._start(ResponseWire()), *item.whole(source, number, words)]

    def _annotation(self, event: AnnotationEvent, name: bytes) -> list[Event]:
        part = self._growing.get((_TEXT, event.output_index, event.content_index))
        if part is not None:
            part.annotations.append(event.annotation)
        return []

    def _arguments(self, event: DeltaEvent, name: bytes) -> list[Event]:
        item = self._items.get(event.output_index)
        if not isinstance(item, CallItem) or item.part is None or item.done:
            return []
        self._growing[name, event.output_index, 0] = item.part
        return [*self._grown(item.part, [event.delta])]

    def _thought(self, event: DeltaEvent, name: bytes) -> list[Event]:
        item = self._items.get(event.output_index)
        if item is None:
            item = self._new(event.output_index, Head("reasoning"))
        if not isinstance(item, ReasoningItem) or item.done:
            return []
        summary = name == _SUMMARY
        section = event.summary_index if summary else event.content_index
        events = self._start(ResponseWire())
        events += item.delta("summary" if summary else "content", section, event.delta)
        if (part := item.section(section)) is not None and events:
            self._growing[name, event.output_index, section] = part
        return events


def _headed(item: Json) -> Head:
    """What identifies an item; its type by its members, where a server leaves it out."""
    head = read_answer(_head, item)
    if not head.type:
        found = members(item) or {}
        head.type = next((TYPES[name] for name in TYPES if name in found), "")
    return head


def _is_another(head: Head, known: Head) -> bool:
    """Whether an item that comes under a known one's number is another."""
    keys = _keys(head)
    return head.type != known.type or (bool(keys) and set(keys).isdisjoint(_keys(known)))


def _keys(head: Head) -> list[tuple[str, str, str]]:
    """What an item is known by, beside its place."""
    named = (("id", head.id), ("call_id", head.call_id))
    return [(head.type, name, value) for name, value in named if value]


def _incomplete(reason: str | None) -> FinishReason:
    """Why an answer is not complete; it has been sent so far, whatever the word."""
    known = _INCOMPLETE.get(reason)
    if known is not None or reason is None:
        return known or "length"
    meant = read_end(reason)
    return "unknown" if isinstance(meant, WireError) or meant == "stop" else meant


def _failure(response: ResponseWire, status: str) -> WireError:
    if isinstance(response.error, dict):
        return _wire_error(response.error)
    return WireError("unavailable", _FAILURES.get(status, f"The answer ended as {status[:40]}."), 502)


def _wire_error(value: dict[str, Any]) -> WireError:
    return parse_error(0, {}, encode(value))


def _life(data: bytes) -> ResponseWire:
    """The response of an event, whose members some servers write beside its type."""
    return read_answer(_lifecycle, data, "event").response or read_answer(_response, data, "event")


def _reader(kind: type[Any]) -> Callable[[bytes], Any]:
    decoder = Decoder(kind)
    return lambda data: read_answer(decoder, data, "event")


#: The events that repeat what came in deltas: the type of their item, and what of it.
_WHOLES = {
    b"response.output_text.done": ("message", "text"),
    b"response.refusal.done": ("message", "refusal"),
    b"response.reasoning_text.done": ("reasoning", "content"),
    b"response.reasoning_summary_text.done": ("reasoning", "summary"),
    b"response.function_call_arguments.done": ("function_call", ""),
    b"response.custom_tool_call_input.done": ("custom_tool_call", ""),
}

_Step = Callable[[ResponsesStreamParser, Any, bytes], list[Event]]
_item, _part, _words = _reader(ItemEvent), _reader(PartEvent), _reader(DeltaEvent)
#: What is known: how the data is read, and what is done with it. All else is left alone.
_EVENTS: dict[bytes, tuple[Callable[[bytes], Any], _Step]] = {
    b"response.created": (_life, ResponsesStreamParser._lifecycle),
    b"response.queued": (_life, ResponsesStreamParser._lifecycle),
    b"response.in_progress": (_life, ResponsesStreamParser._lifecycle),
    b"response.output_item.added": (_item, ResponsesStreamParser._item_added),
    b"response.output_item.done": (_item, ResponsesStreamParser._item_done),
    b"response.content_part.added": (_part, ResponsesStreamParser._part_added),
    b"response.content_part.done": (_part, ResponsesStreamParser._part_done),
    _TEXT: (_words, ResponsesStreamParser._text),
    b"response.output_text.annotation.added": (_reader(AnnotationEvent), ResponsesStreamParser._annotation),
    _REFUSAL: (_words, ResponsesStreamParser._text),
    b"response.function_call_arguments.delta": (_words, ResponsesStreamParser._arguments),
    b"response.custom_tool_call_input.delta": (_words, ResponsesStreamParser._arguments),
    _SUMMARY: (_words, ResponsesStreamParser._thought),
    b"response.reasoning_text.delta": (_words, ResponsesStreamParser._thought),
    **dict.fromkeys(_WHOLES, (_reader(WholeEvent), ResponsesStreamParser._whole)),
    b"response.completed": (_life, ResponsesStreamParser._end),
    # By that name it ends in WebSockets of some servers: the status says how.
    b"response.done": (_life, ResponsesStreamParser._end),
    b"response.incomplete": (_life, ResponsesStreamParser._end),
    b"response.failed": (_life, ResponsesStreamParser._end),
    b"response.cancelled": (_life, ResponsesStreamParser._end),
    b"error": (_reader(dict[str, Any]), ResponsesStreamParser._error),
}
