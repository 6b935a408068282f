"""Reads Gemini's streams: server-sent events (``alt=sse``) or one long JSON array."""

from __future__ import annotations

import re

from ampproxy.dialects.frames import Frame
from ampproxy.dialects.gemini.answer import Answer
from ampproxy.dialects.gemini.wire import CHUNK, ODD, as_gemini
from ampproxy.dialects.json import bad_answer, read_answer
from ampproxy.dialects.monitor import is_sign_of_life
from ampproxy.errors import TruncatedStream, UpstreamFault
from ampproxy.model.events import Delta, Event
from ampproxy.wire.sse import MAX_EVENT, EventReader, EventTooLargeError

#: What matters for finding the end of a JSON object: quotes, escapes, braces.
_MARKS = re.compile(rb'["\\{}]')
#: Behind these an event's words are all known: its counts are read when they are needed.
_COUNTS = b'"usageMetadata"'
_OPEN_AT = (_COUNTS, b'"modelVersion"')
#: What may stand between the objects.
_BETWEEN = b" \t\r\n,[]\xef\xbb\xbf"


class ArrayReader:
    """Cuts a JSON array of objects, or objects one after the other, into the objects' texts."""

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._at = 0
        self._depth = 0
        self._start = 0
        self._in_string = False
        self._brackets = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes, split anywhere; give the objects that are complete. What is between them and does not
        belong there is given, too: it cannot be read.

        :raises ampproxy.wire.sse.EventTooLargeError: an object grew past the limit.
        """
        self._buffer += data
        found: list[bytes] = []
        while (mark := _MARKS.search(self._buffer, self._at)) is not None:
            if not self._step(mark.group(), mark.start(), found):
                break
        else:
            self._at = len(self._buffer)
        self._trim(found)
        if len(self._buffer) > self._limit:
            raise EventTooLargeError(f"An event of the stream is larger than {self._limit} bytes.")
        return found

    @property
    def pending(self) -> bool:
        """Whether an object, or the array, began and did not end."""
        return self._depth > 0 or self._brackets > 0

    def _step(self, mark: bytes, at: int, found: list[bytes]) -> bool:
        """Take one mark; false if the next byte must be awaited."""
        self._at = at + 1
        if self._in_string:
            if mark == b"\\":
                if at + 1 >= len(self._buffer):
                    self._at = at
                    return False
                self._at = at + 2
            elif mark == b'"':
                self._in_string = False
        elif mark == b'"':
            self._in_string = True
        elif mark == b"{":
            if self._depth == 0:
                self._between(at, found)
                self._start = at
            self._depth += 1
        elif mark == b"}" and self._depth:
            self._depth -= 1
            if self._depth == 0:
                found.append(bytes(self._buffer[self._start : at + 1]))
                self._start = at + 1
        return True

    def _between(self, end: int, found: list[bytes]) -> None:
        gap = self._buffer[self._start : end]
        self._brackets += gap.count(b"[") - gap.count(b"]")
        if foreign := gap.strip(_BETWEEN):
            found.append(bytes(foreign))

    def _trim(self, found: list[bytes]) -> None:
        cut = self._start if self._depth else min(self._at, len(self._buffer))
        if not self._depth:
            self._between(cut, found)
        del self._buffer[:cut]
        self._at -= cut
        self._start = 0


class GeminiStreamParser:
    """Bytes of a Gemini stream in, events out; see :class:`ampproxy.dialects.base.StreamParser`.

    Gemini has no terminal event of its own. A stream is whole when each candidate declared its
    ``finishReason``, or the prompt was blocked, and the body ended; ``Completed`` is given then.
    """

    __slots__ = ("_answer", "_array", "_counts", "_frame", "_sse")

    def __init__(self) -> None:
        self._answer = Answer()
        self._frame = Frame(b'"text":', open_at=_OPEN_AT)
        #: Whether events in that frame have usage, which then is to be read from the last of them.
        self._counts = False
        self._sse: EventReader | None = None
        self._array: ArrayReader | None = None

    def feed(self, data: bytes) -> list[Event]:
        out: list[Event] = []
        if self._answer.over:
            return out
        try:
            payloads = self._payloads(data)
        except EventTooLargeError as problem:
            self._answer.fail(bad_answer(str(problem)).error, out)
            return out
        self._read(payloads, out)
        return out

    def _read(self, payloads: list[bytes], out: list[Event]) -> None:
        answer, frame, at = self._answer, self._frame, 0
        while at < len(payloads) and not answer.over:
            if words := frame.words(payloads, at):
                at += len(words)
                out += answer.grown(words, payloads[at - 1] if self._counts else None)
                continue
            frame.forget()
            before = len(out)
            self._chunk(payloads[at], out)
            delta = out[before] if len(out) == before + 1 else None
            if type(delta) is Delta and delta.index == answer.growing and not delta.logprobs:
                # It may be the first of many of its kind.
                frame.learn(payloads[at], delta.text)
                self._counts = _COUNTS in payloads[at]
            at += 1

    def end(self) -> list[Event]:
        out: list[Event] = []
        if self._answer.over:
            return out
        answer = self._answer
        for _, payload in self._sse.end() if self._sse is not None else ():
            self._chunk(payload, out)
        if answer.over:
            return out
        cut = (self._sse is not None and self._sse.cut) or (self._array is not None and self._array.pending)
        if cut or not answer.whole:
            raise TruncatedStream
        answer.finish(out)
        return out

    def _payloads(self, data: bytes) -> list[bytes]:
        if self._sse is not None:
            return self._sse.payloads(data)
        if self._array is not None:
            return self._array.feed(data)
        first = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        if not first:
            return []
        if first in b"[{":
            self._array = ArrayReader()
        else:
            self._sse = EventReader()
        return self._payloads(data)

    def _chunk(self, payload: bytes, out: list[Event]) -> None:
        if len(payload) < 64 and (payload.strip() == b"[DONE]" or is_sign_of_life(payload)):
            return
        if ODD.search(payload) is not None:
            payload = as_gemini(payload)
        try:
            chunk = read_answer(CHUNK, payload, "event")
        except UpstreamFault as problem:
            self._answer.fail(problem.error, out)
        else:
            self._answer.take(chunk, payload, out)
