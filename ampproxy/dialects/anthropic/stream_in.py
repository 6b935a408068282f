"""A stream of Messages, read into events."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from operator import itemgetter
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from ampproxy.dialects.anthropic.errors import read_error
from ampproxy.dialects.anthropic.response import answer_part, start_of
from ampproxy.dialects.anthropic.usage import ends, merged, read_finish, read_usage
from ampproxy.dialects.ends import CUT_CALL, NAMELESS, honest_end, is_cut_off
from ampproxy.dialects.frames import Frame
from ampproxy.dialects.json import (
    ITEMS,
    MEMBERS,
    NULL,
    Decoder,
    Members,
    bad_answer,
    encode,
    is_object,
    loads,
    no_answer,
    read_answer,
    read_or,
    to_raw,
    without_nulls,
)
from ampproxy.dialects.monitor import is_sign_of_life
from ampproxy.dialects.proof import unwrap_signature
from ampproxy.dialects.streams import EventParser
from ampproxy.errors import UpstreamFault
from ampproxy.model.base import ANTHROPIC, Json
from ampproxy.model.events import (
    Completed,
    Delta,
    Event,
    Finished,
    PartClosed,
    PartExtras,
    PartSigned,
    PartStarted,
    Ping,
    UsageReport,
    WireError,
)
from ampproxy.model.parts import Opaque, Reasoning, Text, ToolCall
from ampproxy.wire.json import BAD_JSON


class _Delta(msgspec.Struct):
    type: str = ""
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: Json = NULL


class _Block(msgspec.Struct):
    """``content_block_delta``, by far the commonest event: only what it has."""

    type: str = ""
    index: int = -1
    delta: _Delta | None = None


class _Wire(msgspec.Struct):
    """Any other event."""

    type: str = ""
    index: int = -1
    # Not optional: msgspec reads a union with Raw as ``null`` alone.
    delta: Json = NULL
    content_block: Json = NULL
    message: Json = NULL
    usage: Json = NULL


#: How a delta begins that its data alone shows to be one, and the members that hold its words.
_DELTA: Final = b'{"type":"content_block_delta",'
_KEYS: Final = (b'"text":', b'"thinking":', b'"partial_json":')
_NO_BLOCKS: Final = Json(b"[]")
_BLOCK: Final = Decoder(_Block)
_WIRE: Final = Decoder(_Wire)


def _block(data: bytes) -> _Block:
    """A delta, by the short way if it is in order.

    :raises ampproxy.errors.UpstreamFault: it is not valid.
    """
    try:
        return _BLOCK.decode(data)
    except BAD_JSON:
        return read_answer(_BLOCK, data, "event")


class _Open(msgspec.Struct):
    """A block while it grows: what must wait for its end."""

    part: Any
    opaque: Members | None
    signature: list[str] = []
    citations: list[Json] = []
    input: list[str] = []


class AnthropicStreamParser(EventParser):
    """Bytes of a Messages stream in, events out (:class:`~ampproxy.dialects.base.StreamParser`)."""

    def __init__(self) -> None:
        super().__init__()
        self._open: dict[int, _Open] = {}
        self._frame = Frame(*_KEYS)
        #: The block to which a delta in that frame adds.
        self._block = -1
        self._usage: Members = {}
        self._began = False
        #: The event that began the answer, and the blocks in it.
        self._start = b""
        self._first: list[Json] = []
        #: Whether a call came, and whether one of which the input is no object, or the beginning of one.
        self._called = False
        self._cut = False
        self._begins = False
        self._finished = False

    def _read(self, pieces: list[tuple[bytes, bytes]]) -> list[Event]:
        out: list[Event] = []
        datas, at = list(map(itemgetter(1), pieces)), 0
        while at < len(pieces) and not self._over:
            if words := self._frame.words(datas, at):
                at += len(words)
                self._grow(words, out)
                continue
            self._frame.forget()
            try:
                self._one(*pieces[at], out)
            except UpstreamFault as fault:
                out += self._fail(fault.error)
            at += 1
        return out

    def _one(self, name: bytes, data: bytes, out: list[Event]) -> None:
        if name != b"content_block_delta":
            self._other(name, data, out)
            return
        before = len(out)
        self._delta(_block(data), out)
        if len(out) == before + 1 and data.startswith(_DELTA):
            # It may be the first of many of its kind.
            event = out[before]
            if isinstance(event, Delta) and event.text and self._frame.learn(data, event.text):
                self._block = event.index

    def _grow(self, words: list[str], out: list[Event]) -> None:
        """Deltas that are like the one before; an empty one means something in a text alone."""
        block = self._open[self._block]
        if isinstance(block.part, ToolCall):
            block.input += words
        kept = words if isinstance(block.part, Text) else filter(None, words)
        out += map(Delta, repeat(self._block), kept)

    def _delta(self, event: _Block, out: list[Event]) -> None:
        delta = event.delta
        if delta is None:
            return
        block = self._open.get(event.index)
        if block is None and (block := self._unannounced(event.index, delta, out)) is None:
            return
        if delta.text is not None:
            if block.opaque is None:
                out.append(Delta(event.index, delta.text))
        else:
            self._rarer_delta(block, event.index, delta, out)

    def _unannounced(self, index: int, delta: _Delta, out: list[Event]) -> _Open | None:
        """A block of words that begins with them, from servers that leave its start out."""
        self._first = []
        part: Text | Reasoning
        if delta.text is not None:
            part = Text("")
        elif delta.thinking is not None:
            part = Reasoning("")
        else:
            if delta.partial_json:
                out += self._fail(NAMELESS)
            return None
        self._began = True
        block = self._open[index] = _Open(part, None)
        out.append(PartStarted(index, part))
        return block

    def _rarer_delta(self, block: _Open, index: int, delta: _Delta, out: list[Event]) -> None:
        if delta.partial_json is not None:
            block.input.append(delta.partial_json)
            if block.opaque is None and delta.partial_json:
                out.append(Delta(index, delta.partial_json))
        elif delta.thinking is not None:
            if delta.thinking:
                out.append(Delta(index, delta.thinking))
        elif delta.signature is not None:
            block.signature.append(delta.signature)
        elif delta.citation != NULL:
            block.citations.append(Json(bytes(delta.citation)))

    def _settle(self, out: list[Event]) -> None:
        if self._finished and self._began:
            self._stopped(_Wire(), b"", out)

    def _other(self, name: bytes, data: bytes, out: list[Event]) -> None:
        if not data.startswith(b"{"):
            if name == b"error":
                out += self._fail(WireError("internal", data.decode("utf-8", "replace")[:1000], 500))
                return
            # OpenAI's mark, from servers that have it for all dialects.
            if data.strip(b'" \t\r') == b"[DONE]" or is_sign_of_life(data):
                return
        event = read_answer(_WIRE, data, "event")
        kind = event.type or name.decode("utf-8", "replace")
        if not kind:
            if is_sign_of_life(data):
                return
            # An error in the form of other dialects has no type.
            error = read_error(data)
            raise bad_answer("The vendor's event has no type.") if error is None else UpstreamFault(error)
        if step := _STEPS.get(kind):
            step(self, event, data, out)

    def _started(self, event: _Wire, data: bytes, out: list[Event]) -> None:
        self._start = data
        message = _members(event.message)
        self._began = True
        self._usage = merged({}, _members(message.pop("usage", NULL)))
        if (content := message.get("content", _NO_BLOCKS)) != _NO_BLOCKS:
            self._first = read_or(ITEMS, content, [])
        out.append(start_of(message))
        if self._usage:
            out.append(UsageReport(read_usage(self._usage)))

    def _block_started(self, event: _Wire, data: bytes, out: list[Event]) -> None:
        if event.content_block == NULL:
            return
        self._first = []
        # A number that is given again is another block's: two parts of one number cannot be told apart.
        self._close(event.index, out)
        part = answer_part(Json(bytes(event.content_block)), event.index, self._start)
        self._began = True
        if isinstance(part, Opaque):
            # Its input may come in fragments, and an opaque part has none: reported when it is whole.
            self._open[event.index] = _Open(part, _members(part.raw))
            return
        bare, late = _bare(part)
        self._open[event.index] = block = _Open(part, None)
        block.signature += [late] if isinstance(late, str) else []
        out.append(PartStarted(event.index, bare))
        words = part.text if isinstance(part, Text | Reasoning) else ""
        if words:
            out.append(Delta(event.index, words))

    def _close(self, index: int, out: list[Event]) -> None:
        block = self._open.pop(index, None)
        if block is None:
            return
        if block.opaque is not None:
            if (text := "".join(block.input)) and is_object(text):
                # Its input came in fragments.
                raw = Json(encode({**block.opaque, "input": Json(text.encode())}))
                block.part = Opaque(block.part.dialect, block.part.kind, raw)
            out.append(PartStarted(index, block.part))
        elif isinstance(block.part, ToolCall):
            self._called = True
            text = "".join(block.input)
            if text and not is_object(text):
                self._cut, self._begins = True, self._begins or is_cut_off(text)
            if not any(block.input) and block.part.arguments != "{}":
                out.append(Delta(index, block.part.arguments))
        if signature := "".join(block.signature):
            out.append(PartSigned(index, unwrap_signature(signature, ANTHROPIC)))
        if block.citations:
            out.append(PartExtras(index, {"citations": to_raw(block.citations)}))
        out.append(PartClosed(index))

    def _close_all(self, out: list[Event]) -> None:
        """Close what is open; blocks that the beginning of the answer had, and no event, come now."""
        first, self._first = self._first, []
        for index, block in enumerate(first):
            self._block_started(_Wire(index=index, content_block=block), b"", out)
        for index in list(self._open):
            self._close(index, out)

    def _message_delta(self, event: _Wire, data: bytes, out: list[Event]) -> None:
        self._close_all(out)
        if event.usage != NULL:
            self._usage = merged(self._usage, _members(event.usage))
            out.append(UsageReport(read_usage(self._usage)))
        delta = _members(event.delta)
        reason = loads(delta.get("stop_reason", b"null"))
        sequence = loads(delta.get("stop_sequence", b"null"))
        if isinstance(reason, str) and not self._finished:
            self._finished = True
            finish = read_finish(reason, sequence if isinstance(sequence, str) else None, ends(delta))
            out.append(honest_end(finish or Finished("unknown"), cut=self._begins))

    def _stopped(self, event: _Wire, data: bytes, out: list[Event]) -> None:
        self._close_all(out)
        if not self._began:
            out += self._fail(no_answer().error)
            return
        if self._cut and not self._finished:
            out += self._fail(CUT_CALL)
            return
        if not self._finished:
            out.append(Finished("tool_calls" if self._called else "unknown"))
        self._over = True
        out.append(Completed())

    def _error(self, event: _Wire, data: bytes, out: list[Event]) -> None:
        error = read_error(data) or WireError("internal", "The vendor reported an error and no reason.", 500)
        out += self._fail(error)


_Step = Callable[[AnthropicStreamParser, _Wire, bytes, list[Event]], None]
_STEPS: Final[dict[str, _Step]] = {
    "message_start": AnthropicStreamParser._started,
    "content_block_start": AnthropicStreamParser._block_started,
    # Its ``event:`` line was missing.
    "content_block_delta": lambda parser, event, data, out: parser._delta(_block(data), out),
    "content_block_stop": lambda parser, event, data, out: parser._close(event.index, out),
    "message_delta": AnthropicStreamParser._message_delta,
    "message_stop": AnthropicStreamParser._stopped,
    "ping": lambda parser, event, data, out: out.append(Ping()),
    "error": AnthropicStreamParser._error,
}


def _members(raw: Json) -> Members:
    """The members of an object of an event, detached from its bytes; none of anything else."""
    return without_nulls(read_or(MEMBERS, bytes(raw), {}))


def _bare(part: Any) -> tuple[Any, str | None]:
    """A part as it opens, without what its deltas bring, and the signature that it opened with."""
    if isinstance(part, Text):
        return replace(part, text=""), None
    if isinstance(part, ToolCall):
        return replace(part, arguments=""), None
    if isinstance(part, Reasoning) and not part.redacted:
        return Reasoning(""), part.signature.value if part.signature else None
    return part, None
