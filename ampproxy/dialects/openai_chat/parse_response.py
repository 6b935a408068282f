"""A vendor's whole answer: from Chat Completions' JSON to the vocabulary."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ampproxy.dialects._common import Members, bad_answer, loads, read_answer, to_raw, without_nulls
from ampproxy.dialects._openai import chat_usage, error_from, not_an_answer
from ampproxy.dialects.openai_chat.parse_messages import CallMessage, FunctionCall, call_part
from ampproxy.dialects.openai_chat.wire import (
    NULL,
    CallIds,
    LogprobsWire,
    broken_end,
    content_pieces,
    finished,
    reasoning_of,
)
from ampproxy.dialects.urls import source_of
from ampproxy.errors import UpstreamFault
from ampproxy.model.base import CHAT, Json
from ampproxy.model.events import AnswerPart, Candidate, ChatResponse
from ampproxy.model.parts import Audio, Image, Inline, Reasoning, Refusal, Text


class AudioWire(msgspec.Struct):
    """Sound in an answer; in a stream it comes in pieces."""

    id: str | None = None
    data: str | None = None
    expires_at: int | None = None
    transcript: str | None = None


class _ImageUrl(msgspec.Struct):
    url: str


class _Image(msgspec.Struct):
    image_url: _ImageUrl


class _Message(msgspec.Struct):
    content: str | list[Json] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Json = NULL
    tool_calls: list[CallMessage] | None = None
    function_call: FunctionCall | None = None
    audio: AudioWire | None = None
    annotations: list[Json] | None = None
    images: list[Json] | None = None


class _Choice(msgspec.Struct):
    message: _Message
    index: int | None = None
    finish_reason: str | None = None
    logprobs: LogprobsWire | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice] | None = None
    id: str | None = None
    model: str | None = None
    created: float | None = None
    usage: dict[str, Any] | None = None
    error: Json = NULL


_ANSWER: Final = msgspec.json.Decoder(_Answer)
_MEMBERS: Final = msgspec.json.Decoder(Members)
_IMAGE: Final = msgspec.json.Decoder(_Image)
_KNOWN: Final = frozenset({*_Answer.__struct_fields__, "object"})


def parse_response(body: bytes) -> ChatResponse:
    """Read a vendor's whole answer (:meth:`~ampproxy.dialects.base.Dialect.parse_response`).

    :raises ampproxy.errors.UpstreamFault: it is not one, or tells of an error.
    """
    answer = read_answer(_ANSWER, body)
    if bytes(answer.error) != b"null":
        raise UpstreamFault(error_from(loads(body)), retryable=True)
    if not answer.choices:
        raise not_an_answer(loads(body), "The vendor's answer has no 'choices'.")
    ids = CallIds()
    ids.answer(answer.id, answer.created)
    choices = {
        number if choice.index is None else choice.index: choice
        for number, choice in enumerate(answer.choices)
    }
    count = max(choices, default=0) + 1
    if count > len(choices) + 128:
        raise bad_answer("The vendor's answer has a choice with an impossible index.")
    candidates = tuple(
        _candidate(choices[number], number, ids) if number in choices else Candidate()
        for number in range(count)
    )
    members = without_nulls(read_answer(_MEMBERS, body))
    return ChatResponse(
        id=answer.id,
        model=answer.model,
        created=None if answer.created is None else int(answer.created),
        candidates=candidates,
        usage=None if answer.usage is None else chat_usage(answer.usage),
        dialect=CHAT,
        extras={name: raw for name, raw in members.items() if name not in _KNOWN},
    )


def _candidate(choice: _Choice, number: int, ids: CallIds) -> Candidate:
    if error := broken_end(choice.finish_reason):
        raise UpstreamFault(error, retryable=True)
    message = choice.message
    calls = _calls(message, number, ids)
    parts = (*_words(message), *_media(message), *calls)
    end = finished(
        choice.finish_reason, number, called=bool(calls), refused=any(isinstance(p, Refusal) for p in parts)
    )
    return Candidate(parts, end, choice.logprobs.tokens() if choice.logprobs else ())


def _words(message: _Message) -> list[AnswerPart]:
    pieces = content_pieces(message.content)
    thought = reasoning_of(message.reasoning_content, message.reasoning)
    if thought:
        pieces.insert(0, ("reasoning", thought))
    parts: list[AnswerPart] = [
        Reasoning(words) if kind == "reasoning" else Text(words) for kind, words in pieces
    ]
    if message.annotations and parts and isinstance(parts[-1], Text):
        parts[-1] = Text(parts[-1].text, extras={"annotations": to_raw(message.annotations)})
    if message.refusal:
        parts.append(Refusal(message.refusal))
    return parts


def _media(message: _Message) -> list[AnswerPart]:
    parts: list[AnswerPart] = [image for raw in message.images or () if (image := image_part(raw))]
    if message.audio is not None:
        parts.append(audio_part(message.audio))
    return parts


def image_part(raw: Json) -> Image | None:
    """One of ``images``, where routers put the pictures that a model made."""
    try:
        return Image(source_of(_IMAGE.decode(raw).image_url.url))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def audio_part(audio: AudioWire) -> Audio:
    """Sound. Its format is the one that the request asked for: the answer does not say."""
    extras = {
        name: to_raw(value)
        for name, value in (("id", audio.id), ("expires_at", audio.expires_at))
        if value is not None
    }
    return Audio(Inline("application/octet-stream", audio.data or ""), audio.transcript, extras)


def _calls(message: _Message, choice: int, ids: CallIds) -> list[AnswerPart]:
    wire = list(message.tool_calls or ())
    if message.function_call is not None and not wire:
        wire.append(CallMessage(function=message.function_call))
    calls: list[AnswerPart] = []
    for number, call in enumerate(wire):
        named = call.function or call.custom
        if named is None:
            continue
        part = call_part(call, "")
        assert part is not None  # it has a function or a custom tool's input
        calls.append(msgspec.structs.replace(part, id=ids.take(call.id, choice, number, part.name)))
    return calls
