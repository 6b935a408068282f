"""A vendor's stream: from Chat Completions' chunks to events.

What open servers do differently is taken as it is meant: calls without index or id, several calls
under one index, whole calls in one chunk, reasoning under two names, usage in the last chunk of a
choice, no ``[DONE]``.
"""

from __future__ import annotations

from itertools import count, repeat
from typing import Any, Final

import msgspec

from ampproxy.dialects.base import Opening
from ampproxy.dialects.frames import Frame
from ampproxy.dialects.json import MEMBERS, NULL, Decoder, loads, no_answer, read_answer, read_or
from ampproxy.dialects.monitor import is_sign_of_life
from ampproxy.dialects.openai import SIGNS_OF_LIFE, chat_usage, error_from
from ampproxy.dialects.openai_answers import fault_in
from ampproxy.dialects.openai_chat.stream_choice import Choice, ChoiceWire
from ampproxy.dialects.openai_chat.wire import CallIds
from ampproxy.dialects.streams import Parser
from ampproxy.errors import TruncatedStream, UpstreamFault
from ampproxy.model.base import CHAT, Json
from ampproxy.model.events import Completed, Delta, Event, Started, UsageReport
from ampproxy.wire.json import BAD_JSON
from ampproxy.wire.sse import BlockSplitter, is_cut, parse_block, part, split_blocks

#: What may hold the whole answer so far, beside what a chunk adds or in its place.
_WHOLE: Final = b'"message":'


class _Tier(msgspec.Struct):
    service_tier: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[ChoiceWire] | None = None
    #: An object; what else stands there counts nothing, and is no reason to lose the answer.
    usage: Any = None
    error: Json = NULL
    #: Where Groq reports the usage.
    x_groq: Any = None

    def counted(self) -> dict[str, Any] | None:
        """The usage, wherever it is reported."""
        groq = self.x_groq.get("usage") if isinstance(self.x_groq, dict) else None
        for found in (self.usage, groq, *(choice.usage for choice in self.choices or ())):
            if isinstance(found, dict):
                return found
        return None


class _Head(msgspec.Struct):
    """What is the same in all chunks, read once."""

    id: str | int | None = None
    model: str | None = None
    created: float | None = None


#: The members that hold a chunk's words.
_KEYS: Final = (b'"content":', b'"reasoning_content":', b'"reasoning":', b'"arguments":', b'"refusal":')
_CHUNK: Final = Decoder(_Chunk)
_HEAD: Final = Decoder(_Head)
_TIER: Final = Decoder(_Tier)


_NOT_EXTRAS: Final = frozenset({*_Chunk.__struct_fields__, *_Head.__struct_fields__, "object", "obfuscation"})


def _is_whole(block: bytes) -> bool:
    data = parse_block(block)[1]
    return data.strip() == b"[DONE]" or loads(data) is not None


class ChatStreamParser(Parser[bytes]):
    """See :class:`~ampproxy.dialects.base.StreamParser`.

    :param opening: how the model's thinking was seen to begin; ``None``: it is none that is known to think.
    """

    def __init__(self, opening: Opening | None = None) -> None:
        self._opening = opening
        self._splitter = BlockSplitter()
        super().__init__(self._splitter.feed)
        self._choices: dict[int, Choice] = {}
        self._arguments: dict[int, list[str]] = {}
        self._ids = CallIds()
        self._frame = Frame(*_KEYS)
        #: The part to which a chunk in that frame adds, and where else its words are kept.
        self._part = -1
        self._sink: list[str] | None = None
        # No method of ours: the choices keep it, and we keep them.
        self._new_part = count().__next__
        self._started = False

    def end(self) -> list[Event]:
        """See :class:`~ampproxy.dialects.base.StreamParser`.

        A stream in which every choice has its ``finish_reason`` is whole without ``[DONE]``.
        """
        rest = self._splitter.rest.strip(b"\n")
        # An event that was cut off counts for nothing; one that only lacks its blank line does.
        whole = _is_whole(rest)
        out = [] if self._over or not whole else self._read([rest])
        if not self._over:
            if is_cut(rest) and not whole:
                raise TruncatedStream
            if not self._ended():
                raise TruncatedStream
            self._complete(out)
        return out

    def _ended(self) -> bool:
        return bool(self._choices) and all(choice.ended for choice in self._choices.values())

    def _read(self, pieces: list[bytes]) -> list[Event]:
        out: list[Event] = []
        at = 0
        while at < len(pieces) and not self._over:
            words = self._frame.words(pieces, at)
            if words and self._sink is not None:
                # Up to a piece that may be all arguments once more, which has to be looked at.
                words = next((words[:n] for n, word in enumerate(words) if word[:1] == "{"), words)
            if words:
                at += len(words)
                out += map(Delta, repeat(self._part), filter(None, words))
                if self._sink is not None:
                    self._sink += words
                continue
            before = len(out)
            self._block(pieces[at], out)
            self._learn(pieces[at], out[before:])
            at += 1
        return out

    def _learn(self, block: bytes, given: list[Event]) -> None:
        """What one chunk gave: one delta may be the first of many of its kind."""
        if not given:
            return
        delta = given[0]
        if len(given) > 1 or type(delta) is not Delta or delta.logprobs or self._tagged() or _WHOLE in block:
            self._frame.forget()
        elif self._frame.learn(block, delta.text):
            self._part, self._sink = delta.index, self._arguments.get(delta.index)

    def _tagged(self) -> bool:
        """Whether the content may be thinking: then what repeats a chunk need not mean the same."""
        return any(choice.thinks for choice in self._choices.values())

    def _block(self, block: bytes, out: list[Event]) -> None:
        name, data = parse_block(block)
        if not data or name in SIGNS_OF_LIFE or (len(data) < 64 and is_sign_of_life(data)):
            return
        if b"\n" in data and len(blocks := split_blocks(part(block + b"\n\n"))) > 1:
            for one in blocks:
                self._block(one, out)
                if self._over:
                    return
        elif name == b"error":
            out += self._fail(error_from(loads(data, data.decode("utf-8", "replace"))))
        elif data.strip(b'" \t\r') == b"[DONE]":
            self._complete(out)
        else:
            self._data(data, out)

    def _data(self, data: bytes, out: list[Event]) -> None:
        try:
            chunk = _CHUNK.decode(data)
        except BAD_JSON:
            try:
                chunk = read_answer(_CHUNK, data, "event")
            except UpstreamFault as fault:
                # Behind the end of the answer nothing matters that is no chunk.
                if loads(data) is not None or not self._ended():
                    out += self._fail(fault.error)
                return
        self._chunk(chunk, data, out)

    def _chunk(self, chunk: _Chunk, data: bytes, out: list[Event]) -> None:
        if (chunk.error is not NULL or not chunk.choices) and (error := fault_in(chunk, data)):
            out += self._fail(error)
            return
        if not self._started and not self._start(chunk, data, out):
            return
        for wire in chunk.choices or ():
            number = wire.index or 0
            choice = self._choices.get(number)
            if choice is None:
                choice = Choice(number, self._new_part, self._ids, self._arguments, self._opening)
                self._choices[number] = choice
            if error := choice.take(wire, out):
                out += self._fail(error)
                return
        if (usage := chunk.counted()) is not None:
            # Other chunks need not be read for it.
            tier = read_or(_TIER, data, _Tier()).service_tier
            out.append(UsageReport(chat_usage(usage, tier)))

    def _start(self, chunk: _Chunk, data: bytes, out: list[Event]) -> bool:
        """The first chunk that names the model; Azure's very first only reports its filters."""
        try:
            head = read_answer(_HEAD, data, "event")
            members = MEMBERS.decode(data)
        except (UpstreamFault, ValueError, RecursionError):
            head, members = _Head(), {}
        if not chunk.choices and chunk.usage is None and not head.id:
            return False
        self._started = True
        self._ids.answer(head.id, head.created)
        extras = {name: raw for name, raw in members.items() if name not in _NOT_EXTRAS and raw != NULL}
        created = None if head.created is None else int(head.created)
        out.append(Started(None if head.id is None else str(head.id), head.model, created, CHAT, extras))
        return True

    def _complete(self, out: list[Event]) -> None:
        if not self._started or not self._choices:
            out += self._fail(no_answer().error)
            return
        choices = sorted(self._choices.values(), key=lambda choice: choice.number)
        if error := next((error for choice in choices if (error := choice.broken())), None):
            out += self._fail(error)
            return
        ends: list[Event] = []
        for choice in choices:
            ends.append(choice.finish(out))
        out += ends
        out.append(Completed())
        self._over = True
