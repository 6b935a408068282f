"""A whole answer: a vendor's, from Chat Completions' JSON to the vocabulary, and a client's, back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, Final

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.ends import NAMELESS
from ampproxy.dialects.json import Decoder, bad_answer
from ampproxy.dialects.openai_answers import AnswerWire, read_whole, whole_body, whole_of
from ampproxy.dialects.openai_chat.stream_choice import Choice, ChoiceWire, DeltaWire, as_delta
from ampproxy.dialects.openai_chat.thought_state import shown_beside
from ampproxy.dialects.openai_chat.wire import (
    FORM,
    CallIds,
    annotations_body,
    audio_body,
    finish_word,
    image_body,
    legacy_functions,
    logprobs_body,
)
from ampproxy.errors import UpstreamFault
from ampproxy.model.base import CHAT
from ampproxy.model.events import Candidate, ChatResponse, Event
from ampproxy.model.fold import fold
from ampproxy.model.parts import Audio, Image, Reasoning, Refusal, Text, ToolCall


class _Answer(AnswerWire):
    choices: list[ChoiceWire] | None = None


def _message(choice: ChoiceWire) -> DeltaWire:
    """The message of a whole answer, which has the members of a delta; some servers call it one.

    :raises ampproxy.errors.UpstreamFault: there is none.
    """
    message = choice.message or choice.delta
    if message is None and choice.text is not None:
        # As the older dialect has it.
        message = DeltaWire(choice.text)
    if message is None:
        raise bad_answer("The vendor's answer has a choice without a message.")
    return message


_ANSWER: Final = Decoder(_Answer)


def parse_response(body: bytes) -> ChatResponse:
    """Read a vendor's whole answer; see :class:`~ampproxy.dialects.base.Dialect`."""
    # Each of its choices is read as a stream of one chunk.
    answer = read_whole(_ANSWER, body)
    ids = CallIds()
    ids.answer(answer.id, answer.created)
    choices = _numbered(answer.choices or ())
    if max(choices) >= len(choices) + 128:
        raise bad_answer("The vendor's answer has a choice with an impossible index.")
    parts, events = count().__next__, list[Event]()
    for number, wires in choices.items():
        choice = Choice(number, parts, ids, {})
        for wire in _as_deltas(wires):
            if error := choice.take(wire, events):
                raise UpstreamFault(error, retryable=True)
        events.append(choice.finish(events, unnamed="stop"))
    return whole_of(answer, fold(events).candidates, body, CHAT)


def _numbered(choices: Sequence[ChoiceWire]) -> dict[int, list[ChoiceWire]]:
    """The choices of each candidate. Some servers (Copilot) put the text and the calls of one answer into two
    choices, of the same index or of none.
    """
    found: dict[int, list[ChoiceWire]] = {}
    one = sum(bool(message.content or message.refusal) for message in map(_message, choices)) < 2
    for place, choice in enumerate(choices):
        spare = 0 if one else place
        found.setdefault(spare if choice.index is None else choice.index, []).append(choice)
    return found


def _as_deltas(choices: Sequence[ChoiceWire]) -> Iterator[ChoiceWire]:
    """The choices of a candidate with their messages as deltas, whose calls are numbered.

    :raises ampproxy.errors.UpstreamFault: a call names no tool.
    """
    numbers = count()
    for choice in choices:
        choice.delta, choice.message = as_delta(_message(choice), numbers), None
        for call in choice.delta.tool_calls or ():
            named = call.function or call.custom
            if named is not None and not named.name:
                raise UpstreamFault(NAMELESS, retryable=True)
        yield choice


def render_response(response: ChatResponse, context: AnswerContext) -> bytes:
    """Write a whole answer (:meth:`~ampproxy.dialects.base.Dialect.render_response`)."""
    choices = [_choice_body(one, number, context) for number, one in enumerate(response.candidates)]
    return whole_body(response, context, FORM, choices)


def _choice_body(candidate: Candidate, number: int, context: AnswerContext) -> dict[str, Any]:
    legacy = legacy_functions(context)
    calls = [part for part in candidate.parts if isinstance(part, ToolCall)]
    refusal = "".join(part.text for part in candidate.parts if isinstance(part, Refusal))
    refuses = refusal and not any(isinstance(part, Text) for part in candidate.parts)
    logprobs = None
    if candidate.logprobs:
        logprobs = logprobs_body(candidate.logprobs, "refusal" if refuses else "content")
    word = finish_word(candidate.finish, called=bool(calls), refused=bool(refusal), legacy=legacy)
    message = _message_body(candidate, calls, refusal, context, legacy=legacy)
    return {"index": number, "message": message, "logprobs": logprobs, "finish_reason": word}


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
    return {"id": call.id, "type": "function", "function": function, **shown_beside(call.signature)}
