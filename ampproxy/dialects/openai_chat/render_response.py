"""A whole answer for a client: from the vocabulary to Chat Completions' JSON."""

from __future__ import annotations

from typing import Any

from ampproxy.dialects._common import encode
from ampproxy.dialects._openai import chat_usage_body
from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.openai_chat.answer_parts import (
    annotations_body,
    answer_id,
    audio_body,
    image_body,
    legacy_functions,
)
from ampproxy.dialects.openai_chat.wire import finish_word, logprobs_body
from ampproxy.model.base import CHAT
from ampproxy.model.events import Candidate, ChatResponse
from ampproxy.model.parts import Audio, Image, Reasoning, Refusal, Text, ToolCall


def render_response(response: ChatResponse, context: AnswerContext) -> bytes:
    """Say a whole answer (:meth:`~ampproxy.dialects.base.Dialect.render_response`)."""
    same = response.dialect == CHAT
    body: dict[str, Any] = {
        "id": answer_id(response.id, response.dialect, context),
        "object": "chat.completion",
        "created": context.created if response.created is None else response.created,
        "model": context.model,
        "choices": [
            _choice(candidate, number, context) for number, candidate in enumerate(response.candidates)
        ],
    }
    if response.usage is not None:
        body["usage"] = chat_usage_body(response.usage, extras=same)
    if same:
        body.update(response.extras)
    return encode(body)


def _choice(candidate: Candidate, number: int, context: AnswerContext) -> dict[str, Any]:
    legacy = legacy_functions(context)
    calls = [part for part in candidate.parts if isinstance(part, ToolCall)]
    refusal = "".join(part.text for part in candidate.parts if isinstance(part, Refusal))
    texts = [part for part in candidate.parts if isinstance(part, Text)]
    said = bool(texts) and "text" if not refusal else texts and "text"
    logprobs = None
    if candidate.logprobs:
        logprobs = logprobs_body(candidate.logprobs, "content" if said or not refusal else "refusal")
    return {
        "index": number,
        "message": _message(candidate, calls, refusal, context, legacy=legacy),
        "logprobs": logprobs,
        "finish_reason": finish_word(
            candidate.finish, called=bool(calls), refused=bool(refusal), legacy=legacy
        ),
    }


def _message(
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
        message["tool_calls"] = [_call(call) for call in calls]
    return message


def _call(call: ToolCall) -> dict[str, Any]:
    if call.freeform:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function}
