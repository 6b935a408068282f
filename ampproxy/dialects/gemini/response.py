"""Writes the parts, ends and usage of an answer as ``GenerateContentResponse``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ampproxy.adapt.freeform import wrap
from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.gemini.answer import Answer
from ampproxy.dialects.gemini.wire import BLOCK_REASONS, CHUNK, as_gemini, given, reason_of, usage_members
from ampproxy.dialects.json import bad_answer, encode, object_or_empty, read_answer
from ampproxy.dialects.proof import Place, reasoning_place, wrap_signature
from ampproxy.model.base import GEMINI, Json
from ampproxy.model.events import AnswerPart, Candidate, ChatResponse, Event, Finished, TokenLogprob, Usage
from ampproxy.model.fold import fold
from ampproxy.model.loss import Losses
from ampproxy.model.parts import (
    Audio,
    FileId,
    Image,
    Inline,
    Opaque,
    Reasoning,
    Refusal,
    Signature,
    Source,
    Text,
    ToolCall,
)

Wire = dict[str, Any]
#: Details that are reported by a candidate, not by the prompt's feedback.
_ENDS_OF_ANSWER = (
    *("RECITATION", "SPII", "LANGUAGE"),
    *("ESCALATION", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
)


def proof_member(signature: Signature | None, place: Place) -> Wire:
    """The member that carries a proof; another vendor's is marked, so that it finds home again."""
    return {} if signature is None else {"thoughtSignature": wrap_signature(GEMINI, signature, place)}


def answer_part(part: AnswerPart, losses: Losses) -> list[Any]:
    """One part of an answer; none if it cannot be written, which is then a loss."""
    return _RENDERERS[type(part)](part, losses)


def call_part(part: ToolCall, losses: Losses) -> Wire:
    """A call, whole. Its arguments must be an object."""
    arguments = wrap(part.arguments) if part.freeform else part.arguments
    args = object_or_empty(arguments)
    if arguments.strip() and bytes(args).decode() != arguments:
        losses("arguments", part.id, "The arguments are not a JSON object and were wrapped in one.")
    call = {"id": part.id, "name": part.name, "args": args}
    return {"functionCall": call, **proof_member(part.signature, "call")}


def _text(part: Text, losses: Losses) -> list[Wire]:
    found = proof_member(part.signature, "text")
    return [{"text": part.text, **found}] if part.text or found else []


def _refusal(part: Refusal, losses: Losses) -> list[Wire]:
    losses("refusal", "", "A refusal becomes text.")
    return [{"text": part.text}] if part.text else []


def _image(part: Image, losses: Losses) -> list[Wire]:
    return [
        {**found, **proof_member(part.signature, "image")}
        for found in _media(part.source, "image/png", losses)
    ]


def _audio(part: Audio, losses: Losses) -> list[Wire]:
    if part.transcript:
        losses("audio", "", "The transcript of audio was dropped.")
    return _media(part.source, "audio/wav", losses)


def _opaque(part: Opaque, losses: Losses) -> list[Json]:
    if part.dialect == GEMINI:
        return [part.raw]
    losses("opaque", "", f"Gemini's answers have no equivalent of a part of the kind {part.kind}.")
    return []


def _media(source: Source, usual: str, losses: Losses) -> list[Wire]:
    if isinstance(source, Inline):
        return [{"inlineData": {"mimeType": source.media_type, "data": source.data}}]
    if isinstance(source, FileId) and source.vendor != GEMINI:
        losses("file", "", "A file stored at another vendor was dropped.")
        return []
    uri = source.id if isinstance(source, FileId) else source.url
    return [{"fileData": {"mimeType": source.media_type or usual, "fileUri": uri}}]


_RENDERERS: dict[type, Callable[[Any, Losses], list[Any]]] = {
    Text: _text,
    Reasoning: lambda part, losses: [
        {"text": part.text, "thought": True, **proof_member(part.signature, reasoning_place(part))}
    ],
    Refusal: _refusal,
    Image: _image,
    Audio: _audio,
    Opaque: _opaque,
    ToolCall: lambda part, losses: [call_part(part, losses)],
}


def logprobs_members(logprobs: Sequence[TokenLogprob]) -> Wire:
    """Log probabilities as a candidate has them."""
    return {
        "chosenCandidates": [_token(one.token, one.logprob) for one in logprobs],
        "topCandidates": [{"candidates": [_token(*pair) for pair in one.top]} for one in logprobs],
    }


def _token(token: str, logprob: float) -> Wire:
    return {"token": token, "logProbability": logprob}


def end_members(finish: Finished, *, own: bool) -> Wire:
    """How a candidate ended. ``own``: the answer is Gemini's, so what only it knows is written again."""
    found: Wire = {"finishReason": reason_of(finish.reason, finish.detail)}
    return {**found, **finish.extras} if own else found


def blocked_members(finish: Finished, extras: dict[str, Json]) -> Wire:
    """What stands in an answer to a prompt that was blocked; ``extras`` are the answer's."""
    reason = finish.detail if finish.detail in BLOCK_REASONS else "SAFETY"
    return {"promptFeedback": {"blockReason": reason}, **extras}


def tail_members(usage: Usage | None, model: str, answer: str, *, own: bool) -> Wire:
    """What stands after the candidates."""
    found: Wire = {} if usage is None else {"usageMetadata": usage_members(usage, own=own)}
    return {**found, "modelVersion": model, "responseId": answer}


def parse_response(body: bytes) -> ChatResponse:
    """Read a vendor's whole answer, which is one chunk; see :class:`~ampproxy.dialects.base.Dialect`."""
    answer, events, body = Answer(), list[Event](), as_gemini(body)
    chunk = read_answer(CHUNK, body)
    if chunk.candidates is None and not given(chunk.prompt_feedback) and not given(chunk.error):
        raise bad_answer("The vendor's answer has neither candidates nor a reason why there are none.")
    answer.take(chunk, body, events)
    if not answer.over:
        answer.finish(events)
    return fold(events)


def render_response(response: ChatResponse, context: AnswerContext) -> bytes:
    """Write a whole answer."""
    losses = Losses()
    own = response.dialect == GEMINI
    extras = response.extras if own else {}
    finish = response.candidates[0].finish if response.candidates else None
    silent = all(not candidate.parts for candidate in response.candidates)
    if finish is not None and finish.reason == "blocked" and silent and finish.detail not in _ENDS_OF_ANSWER:
        found: Wire = blocked_members(finish, extras)
    else:
        candidates = [_candidate(n, one, own, losses) for n, one in enumerate(response.candidates)]
        found = {"candidates": candidates, **extras}
    tail = tail_members(response.usage, context.model, response.id or context.new_id("resp_"), own=own)
    return encode({**found, **tail})


def _candidate(number: int, candidate: Candidate, own: bool, losses: Losses) -> Wire:
    parts = [wire for part in candidate.parts for wire in answer_part(part, losses)]
    # A content without parts makes Google's SDK leave the whole turn out of its chat's history.
    found: Wire = {"content": {"parts": parts or [{"text": ""}], "role": "model"}}
    if candidate.finish is not None:
        found |= end_members(candidate.finish, own=own)
    found["index"] = number
    if candidate.logprobs:
        found["logprobsResult"] = logprobs_members(candidate.logprobs)
    return found
