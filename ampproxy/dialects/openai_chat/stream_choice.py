"""One choice of a stream: its open parts and its calls."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Final, Literal

import msgspec

from ampproxy.dialects.base import Opening
from ampproxy.dialects.ends import CUT_CALL, NAMELESS, honest_end
from ampproxy.dialects.json import NULL, loads, text_of, to_raw
from ampproxy.dialects.openai import error_from
from ampproxy.dialects.openai_answers import broken_end, is_error
from ampproxy.dialects.openai_chat.calls import (
    Call,
    CallDelta,
    FunctionDelta,
    arguments_of,
    begins_another,
    is_cut,
)
from ampproxy.dialects.openai_chat.think_tags import Piece, ThinkTags
from ampproxy.dialects.openai_chat.thought_state import ThoughtState, words_of
from ampproxy.dialects.openai_chat.wire import (
    AudioWire,
    CallIds,
    LogprobsWire,
    audio_part,
    content_pieces,
    finished,
    image_part,
)
from ampproxy.model.base import Json
from ampproxy.model.events import (
    AnswerPart,
    Delta,
    Event,
    Finished,
    PartClosed,
    PartExtras,
    PartSigned,
    PartStarted,
    TokenLogprob,
    WireError,
)
from ampproxy.model.parts import Reasoning, Refusal, Text, ToolCall

Kind = Literal["text", "reasoning", "refusal"]
_EMPTY: Final[dict[Kind, AnswerPart]] = {"text": Text(""), "reasoning": Reasoning(""), "refusal": Refusal("")}


class DeltaWire(msgspec.Struct):
    """What a chunk adds to a choice."""

    content: str | list[Json] | None = None
    reasoning_content: str | None = None
    reasoning: Json = NULL
    reasoning_details: list[Json] | None = None
    reasoning_text: str | None = None
    thinking: Any = None
    reasoning_opaque: str | None = None
    thinking_blocks: list[Json] | None = None
    refusal: str | None = None
    tool_calls: list[CallDelta] | None = None
    function_call: FunctionDelta | None = None
    audio: AudioWire | None = None
    annotations: list[Json] | None = None
    images: list[Json] | None = None
    extra_content: Json = NULL


_NOTHING: Final = DeltaWire()


class ChoiceWire(msgspec.Struct):
    """A choice in a chunk."""

    delta: DeltaWire | None = None
    index: int | None = None
    finish_reason: str | bool | None = None
    logprobs: LogprobsWire | None = None
    #: Where Kimi reports the usage.
    usage: Any = None
    #: Where OpenRouter reports what broke this choice.
    error: Json = NULL
    #: A whole answer, from servers that send it as one event. Beside deltas it repeats them.
    message: DeltaWire | None = None
    text: str | None = None


class Choice:
    """The parts of one choice.

    :param arguments: where the arguments of the calls of all choices are gathered, by their parts' numbers.
    :param opening: how the model's thinking was seen to begin; ``None``: it is none that is known to think.
    :ivar open_kind: what kind of words is open, if any; ``open_index`` its part's number.
    :ivar ended: whether its ``finish_reason`` came.
    """

    def __init__(
        self,
        number: int,
        new_part: Callable[[], int],
        ids: CallIds,
        arguments: dict[int, list[str]],
        opening: Opening | None = None,
    ) -> None:
        self.number = number
        self._arguments = arguments
        self.open_kind: Kind | None = None
        self.open_index = self._text_index = -1
        self._new_part = new_part
        self._ids = ids
        self._word: str | None = None
        #: Of these the last: whether the last content was marked as thinking.
        self.ended = self._refused = self._marked = False
        #: ``None`` once it is known that no thinking stands in the content.
        self._tags: ThinkTags | None = ThinkTags(opening)
        #: By the index that the server gave, or a made one below zero.
        self._calls: dict[int, Call] = {}
        self._all_calls: list[Call] = []
        self._open_calls: list[Call] = []
        #: The newest call of each id that the server gave.
        self._by_id: dict[str, Call] = {}
        #: A call whose name came, and of its arguments nothing: servers send names in pieces.
        self._pending: Call | None = None
        self._sound: list[AudioWire] = []
        self._state = ThoughtState()

    def take(self, wire: ChoiceWire, out: list[Event]) -> WireError | None:
        """Read a chunk's part of this choice; give the error that it reports, if any."""
        delta = wire.delta
        if wire.message is not None and self._is_empty() and delta in (None, _NOTHING):
            delta = as_delta(wire.message, count())
        if delta is not None:
            self._delta(delta, wire.logprobs.tokens() if wire.logprobs else (), out)
        elif wire.text:
            # As the older dialect has it.
            self._delta(DeltaWire(wire.text), (), out)
        if wire.message is not None and wire.message.tool_calls and not self._all_calls:
            # Some servers report them in the whole message alone.
            self._delta(as_delta(DeltaWire(tool_calls=wire.message.tool_calls), count()), (), out)
        if is_error(wire.error):
            return error_from(loads(wire.error))
        word = "stop" if wire.finish_reason is True else wire.finish_reason
        if word and word != "null":
            if error := broken_end(word):
                return error
            self.ended = True
            self._word = self._word or word
            self._close_all(out)
        return None

    def _is_empty(self) -> bool:
        """Whether nothing of the answer came yet."""
        return self.open_kind is None and self._text_index < 0 and not (self._all_calls or self.ended)

    @property
    def thinks(self) -> bool:
        """Whether the content may be thinking, so that each piece of it has to be looked at."""
        return self._tags is not None

    def broken(self) -> WireError | None:
        """What is wrong with the choice as it stands, now that its stream is over."""
        if any(call.part < 0 and "".join(call.pieces).strip() for call in self._all_calls):
            return NAMELESS
        return CUT_CALL if not self.ended and any(map(is_cut, self._all_calls)) else None

    def finish(self, out: list[Event], unnamed: str | None = None) -> Finished:
        """Close what is open; gives how the choice ended.

        :param unnamed: what that is called where the vendor gave no word for it.
        """
        self._close_all(out)
        called = any(call.part >= 0 for call in self._all_calls)
        end = finished(self._word or unnamed, self.number, called=called, refused=self._refused)
        return honest_end(end, cut=called and any(call.cut() for call in self._all_calls))

    def _delta(self, delta: DeltaWire, logprobs: tuple[TokenLogprob, ...], out: list[Event]) -> None:
        words = delta.reasoning_content or delta.reasoning_text
        if not words and isinstance(delta.thinking, str):
            words = delta.thinking
        if not words and delta.reasoning is not NULL:
            words = text_of(delta.reasoning)
        if thought := words:
            self._untag(out)
            self._add_words("reasoning", thought, (), out)
        if delta.reasoning_details or delta.reasoning_opaque or delta.thinking_blocks:
            self._keep(delta, out, elsewhere=bool(thought))
        content = delta.content
        if isinstance(content, str) and (self._marked or delta.extra_content is not NULL):
            content = self._unmarked(content, delta.extra_content, out)
        for kind, words in self._pieces(content, out):
            self._add_words(kind, words, logprobs, out)
            logprobs = ()
        if delta.refusal:
            self._refused = True
            self._untag(out)
            self._add_words("refusal", delta.refusal, logprobs, out)
            logprobs = ()
        if logprobs and self.open_kind is not None:
            out.append(Delta(self.open_index, "", logprobs))
        if delta.annotations and self._text_index >= 0:
            out.append(PartExtras(self._text_index, {"annotations": to_raw(delta.annotations)}))
        for raw in (*(delta.images or ()), *(content if isinstance(content, list) else ())):
            if image := image_part(raw):
                index = self._new_part()
                out += (PartStarted(index, image, self.number), PartClosed(index))
        if delta.audio is not None:
            self._sound.append(delta.audio)
        for call in delta.tool_calls or ():
            self._call_delta(call, out)
        if delta.function_call is not None:
            self._call_delta(CallDelta(0, None, delta.function_call), out)

    def _unmarked(self, content: str, extra: Json, out: list[Event]) -> str:
        """The content without what Google's server marks as thinking beside it, with a tag of its own."""
        found = loads(extra)
        google = found.get("google") if isinstance(found, dict) else None
        marked, self._marked = self._marked, isinstance(google, dict) and google.get("thought") is True
        if not self._marked:
            return content.removeprefix("</thought>") if marked else content
        self._untag(out)
        if words := content.removeprefix("<thought>"):
            self._add_words("reasoning", words, (), out)
        return ""

    def _keep(self, delta: DeltaWire, out: list[Event], *, elsewhere: bool) -> None:
        """What is to be given back; thinking that stands nowhere else is read there."""
        details, blocks = delta.reasoning_details or [], delta.thinking_blocks or []
        self._state.add(details, delta.reasoning_opaque, blocks)
        if not elsewhere and (thought := words_of(details) or words_of(blocks)):
            self._untag(out)
            self._add_words("reasoning", thought, (), out)

    def _carry(self, out: list[Event]) -> None:
        """The state whose thinking is closed already, or has no words."""
        if (signature := self._state.take()) is not None:
            index = self._new_part()
            part = Reasoning("", signature, redacted=True)
            out += (PartStarted(index, part, self.number), PartClosed(index))

    def _pieces(self, content: str | list[Json] | None, out: list[Event]) -> list[Piece]:
        """The content, with the thinking that stands in it set apart."""
        tags = self._tags
        if tags is None or not content:
            return content_pieces(content)
        if not isinstance(content, str):
            self._untag(out)
            return content_pieces(content)
        pieces = tags.feed(content)
        if tags.settled:
            self._tags = None
        return pieces

    def _untag(self, out: list[Event]) -> None:
        """There is no thinking in the content, or no more of it."""
        tags, self._tags = self._tags, None
        for kind, words in tags.end(cut=self._word == "length") if tags is not None else ():
            self._add_words(kind, words, (), out)

    def _add_words(
        self, kind: Kind, words: str, logprobs: tuple[TokenLogprob, ...], out: list[Event]
    ) -> None:
        if self.open_kind != kind:
            if self._pending is not None:
                self._open_call(self._pending, out)
            self._close_words(out)
            self.open_kind, self.open_index = kind, self._new_part()
            if kind == "text":
                self._text_index = self.open_index
            out.append(PartStarted(self.open_index, _EMPTY[kind], self.number))
        out.append(Delta(self.open_index, words, logprobs))

    def _call_delta(self, wire: CallDelta, out: list[Event]) -> None:
        if wire.function is None and wire.name:
            wire.function = FunctionDelta(wire.name, wire.arguments)
        named = wire.function or wire.custom
        name = named.name if named else None
        piece = arguments_of(wire)
        index, id_ = wire.known()
        call = self._call_of(index, id_, name, piece)
        if call is not self._pending and self._pending is not None:
            self._open_call(self._pending, out)
        if id_ and not call.given:
            call.given = id_
            known = self._by_id.get(id_)
            if known is None or known.number < call.number:
                self._by_id[id_] = call
        if call.closed:
            return
        signature = wire.proof()
        call.begun = call.begun or bool(piece)
        if piece and call.repeats(piece):
            piece = ""
        if piece:
            if not call.pieces and piece[0] == '"' and wire.custom is None:
                call.encoded = True
            call.pieces.append(piece)
        if call.part >= 0:
            if piece and not call.encoded:
                out.append(Delta(call.part, piece))
            if signature is not None:
                out.append(PartSigned(call.part, signature))
            return
        if name:
            call.freeform = wire.custom is not None
            call.name = name if call.name in ("", name) else call.name + name
        call.signature = signature or call.signature
        if call.name:
            self._pending = call
            if call.pieces or call.signature is not None:
                self._open_call(call, out)

    def _open_call(self, call: Call, out: list[Event]) -> None:
        self._pending = None
        self._untag(out)
        self._close_words(out)
        self._carry(out)
        call.part = self._new_part()
        self._arguments[call.part] = call.pieces
        id_ = self._ids.take(call.given, self.number, call.number, call.name)
        part = ToolCall(id_, call.name, "", freeform=call.freeform, signature=call.signature)
        out.append(PartStarted(call.part, part, self.number))
        if call.pieces and not call.encoded:
            out.append(Delta(call.part, "".join(call.pieces)))

    def _call_of(self, index: int | None, id_: str | None, name: str | None, piece: str) -> Call:
        """The call that a piece belongs to: by index, else by id, else the last one; a new one where
        the piece begins another.
        """
        last = self._all_calls[-1] if self._all_calls else None
        if index is not None:
            call = self._calls.get(index) or self._under_another(id_, name, piece, last)
            if call is not None and id_ and not name and call.given not in (None, id_):
                # Servers with one number for all calls.
                call = self._by_id.get(id_, call)
        elif id_:
            call = self._by_id.get(id_)
        else:
            call = last
        if call is None or begins_another(call, id_, name, piece) or (not name and call.is_followed(piece)):
            of = "" if call is None or name else call.name
            call = Call(len(self._all_calls), of)
            self._all_calls.append(call)
            self._open_calls.append(call)
        self._calls[index if index is not None else -1 - call.number] = call
        return call

    def _under_another(self, id_: str | None, name: str | None, piece: str, last: Call | None) -> Call | None:
        """The call that a piece under a new number goes on with: servers number the pieces of one call
        otherwise than its beginning, or repeat it under a number of its own.
        """
        if id_:
            known = self._by_id.get(id_)
            if known is not None and name and (not piece or (known.whole() and not known.repeats(piece))):
                return None
            return known
        return last if last is not None and last.name and not name and not last.whole() else None

    def _close_words(self, out: list[Event]) -> None:
        if self.open_kind is None:
            return
        if self.open_kind == "reasoning" and (signature := self._state.take()) is not None:
            out.append(PartSigned(self.open_index, signature))
        out.append(PartClosed(self.open_index))
        self.open_kind = None

    def _close_all(self, out: list[Event]) -> None:
        self._untag(out)
        if self._pending is not None:
            self._open_call(self._pending, out)
        self._close_words(out)
        calls, self._open_calls = self._open_calls, []
        for call in calls:
            if call.part >= 0:
                if rest := call.rest():
                    out.append(Delta(call.part, rest))
                out.append(PartClosed(call.part))
            call.closed = True
        self._carry(out)
        self._close_sound(out)

    def _close_sound(self, out: list[Event]) -> None:
        """Sound has no deltas in the vocabulary: it is reported when it is whole."""
        if not self._sound:
            return
        pieces, self._sound = self._sound, []
        whole = AudioWire(
            next((piece.id for piece in pieces if piece.id), None),
            _joined_base64([piece.data for piece in pieces if piece.data]),
            next((piece.expires_at for piece in pieces if piece.expires_at), None),
            "".join(piece.transcript or "" for piece in pieces) or None,
        )
        index = self._new_part()
        out += (PartStarted(index, audio_part(whole), self.number), PartClosed(index))


def as_delta(message: DeltaWire, numbers: Iterator[int]) -> DeltaWire:
    """A whole message as a delta, whose calls are numbered."""
    if (called := message.function_call) is not None:
        message.function_call = None
        # Servers write an empty one where nothing is called.
        if called.name or text_of(called.arguments):
            message.tool_calls = message.tool_calls or [CallDelta(function=called)]
    for call in message.tool_calls or ():
        call.index = next(numbers)
    content = message.content
    if isinstance(content, str) and content.startswith("<thought>"):
        # Google's.
        message.content = content.replace("<thought>", "<think>", 1).replace("</thought>", "</think>", 1)
    return message


def _joined_base64(pieces: list[str]) -> str:
    """One base64 text of several, each of which may have its own padding."""
    try:
        return base64.b64encode(b"".join(base64.b64decode(piece) for piece in pieces)).decode()
    except (binascii.Error, ValueError):
        return "".join(pieces)
