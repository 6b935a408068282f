"""A whole answer: a vendor's, from Chat Completions' JSON to the vocabulary, and a client's, back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.ends import NAMELESS
from ampproxy.dialects.json import (
    NULL,
    Decoder,
    bad_answer,
    loads,
    read_or_none,
    to_raw,
)
from ampproxy.dialects.openai import error_from
from ampproxy.dialects.openai_answers import AnswerWire, broken_end, read_whole, whole_body, whole_of
from ampproxy.dialects.openai_chat.messages_in import CallMessage, FunctionCall, call_part, proof_of
from ampproxy.dialects.openai_chat.think_tags import ThinkTags
from ampproxy.dialects.openai_chat.wire import (
    FORM,
    CallIds,
    LogprobsWire,
    annotations_body,
    audio_body,
    content_pieces,
    finish_word,
    finished,
    image_body,
    legacy_functions,
    logprobs_body,
    reasoning_of,
)
from ampproxy.dialects.openai_parts import source_of
from ampproxy.errors import UpstreamFault
from ampproxy.model.base import CHAT, Json
from ampproxy.model.events import AnswerPart, Candidate, ChatResponse
from ampproxy.model.parts import Audio, Image, Inline, Reasoning, Refusal, Text, ToolCall


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
    error: Json = NULL

    @property
    def has_text(self) -> bool:
        """Whether it says something in words."""
        return bool(self.message.content or self.message.refusal)


class _Answer(AnswerWire):
    choices: list[_Choice] | None = None


_ANSWER: Final = Decoder(_Answer)
_IMAGE: Final = Decoder(_Image)


def parse_response(body: bytes) -> ChatResponse:
    """Read a vendor's whole answer (:meth:`~ampproxy.dialects.base.Dialect.parse_response`).

    :raises ampproxy.errors.UpstreamFault: it is not one, or tells of an error.
    """
    answer = read_whole(_ANSWER, body)
    ids = CallIds()
    ids.answer(answer.id, answer.created)
    choices = _numbered(answer.choices or ())
    count = max(choices, default=0) + 1
    if count > len(choices) + 128:
        raise bad_answer("The vendor's answer has a choice with an impossible index.")
    candidates = tuple(_candidate(choices.get(number, ()), number, ids) for number in range(count))
    return whole_of(answer, candidates, body, CHAT)


def _numbered(choices: Sequence[_Choice]) -> dict[int, list[_Choice]]:
    """The choices of each candidate. Some servers (Copilot) put the text and the calls of one answer into two
    choices, of the same index or of none.
    """
    found: dict[int, list[_Choice]] = {}
    one = sum(choice.has_text for choice in choices) < 2
    for place, choice in enumerate(choices):
        spare = 0 if one else place
        found.setdefault(spare if choice.index is None else choice.index, []).append(choice)
    return found


def _candidate(choices: Sequence[_Choice], number: int, ids: CallIds) -> Candidate:
    if not choices:
        return Candidate()
    for choice in choices:
        if choice.error != NULL:
            raise UpstreamFault(error_from(loads(choice.error)), retryable=True)
        if error := broken_end(choice.finish_reason):
            raise UpstreamFault(error, retryable=True)
    calls = _calls([choice.message for choice in choices], number, ids)
    spoken = [part for choice in choices for part in (*_words(choice.message), *_media(choice.message))]
    parts = (*spoken, *calls)
    word = next((choice.finish_reason for choice in choices if choice.finish_reason), "stop")
    refused = any(isinstance(part, Refusal) for part in parts)
    end = finished(word, number, called=bool(calls), refused=refused)
    logprobs = tuple(token for choice in choices if choice.logprobs for token in choice.logprobs.tokens())
    return Candidate(parts, end, logprobs)


def _pieces(message: _Message, thought: str) -> list[tuple[str, str]]:
    """The content, with the thinking that stands in it set apart."""
    if thought or not isinstance(message.content, str):
        return content_pieces(message.content)
    tags = ThinkTags()
    return [*tags.feed(message.content), *tags.end()]


def _words(message: _Message) -> list[AnswerPart]:
    thought = reasoning_of(message.reasoning_content, message.reasoning)
    pieces = _pieces(message, thought)
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
    found = read_or_none(_IMAGE, raw)
    return None if found is None else Image(source_of(found.image_url.url))


def audio_part(audio: AudioWire) -> Audio:
    """Sound. Its format is the one that the request asked for: the answer does not say."""
    extras = {
        name: to_raw(value)
        for name, value in (("id", audio.id), ("expires_at", audio.expires_at))
        if value is not None
    }
    return Audio(Inline("application/octet-stream", audio.data or ""), audio.transcript, extras)


def _calls(messages: Sequence[_Message], choice: int, ids: CallIds) -> list[AnswerPart]:
    """The calls of a candidate.

    :raises ampproxy.errors.UpstreamFault: one of them names no tool.
    """
    wire: list[CallMessage] = []
    for message in messages:
        wire += message.tool_calls or ()
        if message.function_call is not None and not message.tool_calls:
            wire.append(CallMessage(function=message.function_call))
    calls: list[AnswerPart] = []
    for number, call in enumerate(wire):
        named = call.function or call.custom
        if named is None:
            continue
        part = call_part(call, "")
        assert part is not None  # it has a function or a custom tool's input
        if not part.name:
            raise UpstreamFault(NAMELESS, retryable=True)
        id = ids.take(call.id, choice, number, part.name)
        calls.append(msgspec.structs.replace(part, id=id, signature=proof_of(call.extra_content)))
    return calls


def render_response(response: ChatResponse, context: AnswerContext) -> bytes:
    """Say a whole answer (:meth:`~ampproxy.dialects.base.Dialect.render_response`)."""
    choices = [
        _choice_body(candidate, number, context) for number, candidate in enumerate(response.candidates)
    ]
    return whole_body(response, context, FORM, choices)


def _choice_body(candidate: Candidate, number: int, context: AnswerContext) -> dict[str, Any]:
    legacy = legacy_functions(context)
    calls = [part for part in candidate.parts if isinstance(part, ToolCall)]
    refusal = "".join(part.text for part in candidate.parts if isinstance(part, Refusal))
    texts = [part for part in candidate.parts if isinstance(part, Text)]
    has_text = bool(texts) and "text" if not refusal else texts and "text"
    logprobs = None
    if candidate.logprobs:
        logprobs = logprobs_body(candidate.logprobs, "content" if has_text or not refusal else "refusal")
    return {
        "index": number,
        "message": _message_body(candidate, calls, refusal, context, legacy=legacy),
        "logprobs": logprobs,
        "finish_reason": finish_word(
            candidate.finish, called=bool(calls), refused=bool(refusal), legacy=legacy
        ),
    }


def _message_body(
    candidate: Candidate, calls: list[ToolCall], refusal: str, context: AnswerContext, *, legacy: bool
) -> dict[str, Any]:
    parts = candidate.parts
    text = "".join(part.text for part in parts if isinstance(part, Text))
    thought = "".join(part.text for part in parts if isinstance(part, Reasoning))
    sound = next((part for part in parts if isinstance(part, Audio)), None)
    images = [image for part in parts if isinstance(part, Image) and (image := image_body(part))]
    silent = bool(calls or refusal or sound)
    message: dict[str, Any] = {"role": "assistant", "content": text or (None if silent else "")}
    message["refusal"] = refusal or None
    if thought:
        message["reasoning_content"] = thought
    notes = [note for part in parts if isinstance(part, Text) for note in annotations_body(part.extras)]
    if notes:
        message["annotations"] = notes
    if images:
        message["images"] = images
    if sound is not None:
        message["audio"] = audio_body(sound, context)
    if calls and legacy:
        message["function_call"] = {"name": calls[0].name, "arguments": calls[0].arguments or "{}"}
    elif calls:
        message["tool_calls"] = [_call_body(call) for call in calls]
    return message


def _call_body(call: ToolCall) -> dict[str, Any]:
    if call.freeform:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function}
