"""Gemini's answer as events: the one truth behind its streams and its whole answers."""

from __future__ import annotations

import hashlib
from itertools import repeat
from typing import Any

import msgspec
from msgspec.structs import replace

from ampproxy.dialects.gemini.errors import parse_error
from ampproxy.dialects.gemini.wire import (
    ABSENT,
    BROKEN,
    CANDIDATE_EXTRAS,
    CHUNK,
    MADE,
    RAW_CHUNK,
    Candidate,
    Chunk,
    FunctionCall,
    Part,
    RawCandidate,
    args_text,
    broken_end,
    camel,
    finish_of,
    given,
    standard_base64,
    usage_of,
)
from ampproxy.dialects.json import bad_answer, loads, read_answer, read_or, to_raw
from ampproxy.dialects.proof import SKIP_SIGNATURE, unwrap_signature
from ampproxy.model.base import GEMINI, Json
from ampproxy.model.events import (
    AnswerPart,
    Completed,
    Delta,
    Event,
    Failed,
    Finished,
    PartClosed,
    PartSigned,
    PartStarted,
    Started,
    TokenLogprob,
    UsageReport,
    WireError,
)
from ampproxy.model.parts import Audio, Image, Inline, Opaque, Reasoning, Signature, Text, ToolCall

_UNSPECIFIED = (None, "", "FINISH_REASON_UNSPECIFIED")
_TOP_EXTRAS = ("create_time", "model_status", "prompt_feedback")


class _Choice(msgspec.Struct):
    """One candidate while it grows.

    :ivar open: the number of the part that grows, or -1; ``thought``: whether it is one.
    :ivar held: a call that came without its signature, which the next part may bring, and its arguments.
    """

    number: int
    open: int = -1
    held: tuple[ToolCall, str] | None = None
    thought: bool = False
    called: bool = False
    has_content: bool = False
    detail: str | None = None
    extras: dict[str, Json] = {}


class Answer:
    """Takes chunks, gives events; ``over``: an error was reported, and nothing follows."""

    def __init__(self) -> None:
        self.over = False
        self._started = False
        self._blocked: str | None = None
        self._choices: dict[int, _Choice] = {}
        self._parts = 0
        self._usage: Json = ABSENT
        self._counts: bytes | None = None
        #: What the ids of calls begin to be made of: the answer's own id, or its first chunk.
        self._seed = hashlib.sha256()
        #: The parts of the newest chunk as they came, once they were asked for.
        self._raw: tuple[bytes, list[RawCandidate]] = (b"", [])
        self._current: _Choice | None = None

    @property
    def whole(self) -> bool:
        """Whether every candidate declared its end, or the prompt was blocked."""
        if self._blocked is not None:
            return True
        return bool(self._choices) and all(choice.detail is not None for choice in self._choices.values())

    @property
    def growing(self) -> int:
        """The number of the part to which the newest chunk added, and that grows; -1: there is none."""
        return -1 if self._current is None else self._current.open

    def grown(self, words: list[str], counts: bytes | None) -> list[Delta]:
        """The events of chunks that are known to bring these words of the open part and nothing else.

        :param counts: the last of them, if it has usage, which is read when it is asked for.
        """
        assert self._current is not None  # nothing is known of a chunk before a part is open
        if counts is not None:
            self._counts = counts
        return list(map(Delta, repeat(self._current.open), words))

    def take(self, chunk: Chunk, payload: bytes, out: list[Event]) -> None:
        """Add the events of a chunk; ``payload``: as it came, for what its record does not hold."""
        if given(chunk.error):
            self.fail(parse_error(0, {}, payload), out)
            return
        if chunk.is_bare:
            self.fail(
                bad_answer("The vendor's stream has an object that is no part of an answer.").error, out
            )
            return
        if chunk.usage_metadata is not ABSENT:
            self._usage = chunk.usage_metadata
            self._counts = None
        if not self._started:
            self._start(chunk, payload, out)
        if given(chunk.prompt_feedback):
            feedback = loads(chunk.prompt_feedback)
            reason = feedback.get("blockReason") if isinstance(feedback, dict) else None
            if isinstance(reason, str):
                self._blocked = reason
        for place, candidate in enumerate(chunk.candidates or ()):
            self._candidate(candidate, place, payload, out)
            if self.over:
                break
        self._raw = b"", []

    def finish(self, out: list[Event]) -> None:
        """The answer is whole: close what is open, and report usage and ends."""
        choices = [self._choices[number] for number in sorted(self._choices)]
        for choice in choices:
            self._close(choice, out)
        self._report(out)
        if not choices:
            out.append(Finished("blocked", detail=self._blocked))
        for choice in choices:
            reason = finish_of(choice.detail or "", called=choice.called, has_content=choice.has_content)
            out.append(Finished(reason, None, choice.detail, choice.number, choice.extras))
        out.append(Completed())
        self.over = True

    def _start(self, chunk: Chunk, payload: bytes, out: list[Event]) -> None:
        self._started = True
        self._seed.update(b"%s|" % ((chunk.response_id or "").encode() or payload))
        extras = {camel(name): value for name in _TOP_EXTRAS if given(value := getattr(chunk, name))}
        out.append(Started(chunk.response_id, chunk.model_version, None, GEMINI, extras))
        if chunk.usage_metadata is not ABSENT:
            self._report(out)

    def _candidate(self, candidate: Candidate, place: int, payload: bytes, out: list[Event]) -> None:
        choice = self._choices.get(candidate.index)
        if choice is None:
            choice = self._choices[candidate.index] = _Choice(candidate.index)
        for attribute in CANDIDATE_EXTRAS:
            value = getattr(candidate, attribute)
            if value is None or value is ABSENT:
                continue
            if isinstance(value, str):
                choice.extras[camel(attribute)] = to_raw(value)
            elif given(value):
                choice.extras[camel(attribute)] = value
        if candidate.finish_reason and candidate.finish_reason.islower():
            candidate.finish_reason = candidate.finish_reason.upper()
        before = len(out)
        parts = candidate.content.parts if candidate.content is not None else None
        for number, part in enumerate(parts or ()):
            self._part(choice, part, (place, number), payload, out)
        if candidate.finish_reason not in _UNSPECIFIED:
            self._give(choice, None, out)
        if given(candidate.logprobs_result):
            _attach(_logprobs(candidate.logprobs_result), out, before)
        if candidate.finish_reason in BROKEN:
            why = f": {candidate.finish_message}" if candidate.finish_message else "."
            message = f"The model's output could not be used ({candidate.finish_reason}){why}"
            self.fail(WireError("unavailable", message, 502, candidate.finish_reason), out)
        elif candidate.finish_reason not in _UNSPECIFIED:
            choice.detail = candidate.finish_reason
            if error := broken_end(choice.detail or ""):
                self.fail(error, out)
        self._current = choice if choice.open >= 0 else None

    def _part(
        self, choice: _Choice, part: Part, place: tuple[int, int], payload: bytes, out: list[Event]
    ) -> None:
        if part.function_call is not None:
            self._call(choice, part.function_call, _signature(part), out)
        elif part.inline_data is not None:
            media, data = part.inline_data.mime_type, standard_base64(part.inline_data.data)
            if media.startswith("image/"):
                self._whole(choice, Image(Inline(media, data), signature=_signature(part)), out)
            elif media.startswith("audio/"):
                self._whole(choice, Audio(Inline(media, data)), out)
            else:
                self._other(choice, place, payload, out)
        elif part.text is not None or part.thought_signature is not None:
            self._words(choice, part, out)
        else:
            self._other(choice, place, payload, out)

    def _words(self, choice: _Choice, part: Part, out: list[Event]) -> None:
        """Text or thought. A signature ends its part; on an empty text it belongs to what came before."""
        thought = part.thought is True
        signature = _signature(part)
        text = part.text or ""
        if choice.held is not None:
            late = signature if not text and not thought else None
            self._give(choice, late, out)
            if late is not None:
                return
        if choice.open >= 0 and choice.thought is not thought:
            self._close(choice, out)
        if choice.open < 0:
            if not text and signature is None:
                return
            redacted = thought and not text
            empty = Reasoning("", signature if redacted else None, redacted=redacted) if thought else Text("")
            choice.open = self._open(choice, empty, out)
            choice.thought = thought
        if text:
            choice.has_content = True
            out.append(Delta(choice.open, text))
        if signature is not None:
            out.append(PartSigned(choice.open, signature))
            self._close(choice, out)

    def _call(
        self, choice: _Choice, call: FunctionCall, signature: Signature | None, out: list[Event]
    ) -> None:
        if given(call.partial_args) or call.will_continue:
            message = "Streamed function call arguments cannot be sent to this client."
            self.fail(WireError("not_implemented", message, 501), out)
            return
        self._close(choice, out)
        made = call.id or self._made(call.name)
        choice.called = choice.has_content = True
        choice.held = ToolCall(made, call.name, "", signature=signature), args_text(call.args)
        if signature is not None:
            self._give(choice, None, out)

    def _give(self, choice: _Choice, signature: Signature | None, out: list[Event]) -> None:
        """Give the call that was held back, if there is one.

        :param signature: its signature, where that came after it.
        """
        if choice.held is None:
            return
        (call, arguments), choice.held = choice.held, None
        number = self._open(choice, call if signature is None else replace(call, signature=signature), out)
        out += (Delta(number, arguments), PartClosed(number))

    def _other(self, choice: _Choice, place: tuple[int, int], payload: bytes, out: list[Event]) -> None:
        raw = self._raw_part(payload, place)
        found = loads(raw) if raw is not None else None
        # A member that is null is none.
        known = found.items() if isinstance(found, dict) else ()
        kinds = [name for name, value in known if name != "thought" and value is not None]
        if raw is not None and kinds:
            self._whole(choice, Opaque(GEMINI, kinds[0], raw), out)

    def _whole(self, choice: _Choice, part: AnswerPart, out: list[Event]) -> None:
        self._close(choice, out)
        choice.has_content = True
        out.append(PartClosed(self._open(choice, part, out)))

    def _open(self, choice: _Choice, part: AnswerPart, out: list[Event]) -> int:
        number = self._parts
        self._parts += 1
        out.append(PartStarted(number, part, choice.number))
        return number

    def _close(self, choice: _Choice, out: list[Event]) -> None:
        self._give(choice, None, out)
        if choice.open >= 0:
            out.append(PartClosed(choice.open))
            choice.open = -1
        if self._current is choice:
            self._current = None

    def _report(self, out: list[Event]) -> None:
        if self._counts is not None:
            # Of that chunk only the words were read.
            chunk, self._counts = read_or(CHUNK, self._counts, None), None
            self._usage = self._usage if chunk is None else chunk.usage_metadata
        found = loads(self._usage) if given(self._usage) else None
        if isinstance(found, dict):
            out.append(UsageReport(usage_of(found)))

    def fail(self, error: WireError, out: list[Event]) -> None:
        """The answer cannot be read any further."""
        self._report(out)
        out.append(Failed(error))
        self.over = True

    def _made(self, name: str) -> str:
        """An id for a call that has none: unique in the thread, the same however the stream is cut."""
        seed = self._seed.copy()
        seed.update(b"%d|%s" % (self._parts, name.encode("utf-8", "replace")))
        return MADE + seed.hexdigest()[:24]

    def _raw_part(self, payload: bytes, place: tuple[int, int]) -> Json | None:
        if self._raw[0] is not payload:
            self._raw = payload, read_answer(RAW_CHUNK, payload).candidates or []
        content = self._raw[1][place[0]].content
        parts = content.parts if content is not None else None
        return parts[place[1]] if parts else None


def _signature(part: Part) -> Signature | None:
    signature = part.thought_signature
    return unwrap_signature(signature, GEMINI) if signature and signature != SKIP_SIGNATURE else None


def _logprobs(raw: Json) -> tuple[TokenLogprob, ...]:
    found = loads(raw)
    if not isinstance(found, dict):
        return ()
    chosen = found.get("chosenCandidates") or []
    tops = found.get("topCandidates") or []
    return tuple(
        TokenLogprob(*_pair(token), tuple(_pair(one) for one in (top or {}).get("candidates") or ()))
        for token, top in zip(chosen, [*tops, *([None] * len(chosen))], strict=False)
    )


def _pair(token: dict[str, Any]) -> tuple[str, float]:
    return str(token.get("token", "")), float(token.get("logProbability", 0.0))


def _attach(logprobs: tuple[TokenLogprob, ...], out: list[Event], start: int) -> None:
    """Put logprobs on the last words of a chunk."""
    for place in range(len(out) - 1, start - 1, -1):
        event = out[place]
        if isinstance(event, Delta):
            out[place] = Delta(event.index, event.text, logprobs)
            return
