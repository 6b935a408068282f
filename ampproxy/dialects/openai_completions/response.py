"""Whole answers of the old completions, both ways."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.json import MEMBERS, NULL, Decoder, encode, loads, read_answer, without_nulls
from ampproxy.dialects.openai import chat_usage, chat_usage_body, error_from, not_an_answer
from ampproxy.dialects.openai_completions.wire import (
    ChoiceWire,
    answer_id,
    broken_end,
    echoed,
    finish_word,
    finished,
    logprobs_body,
)
from ampproxy.errors import UpstreamFault
from ampproxy.model.base import COMPLETIONS, Json
from ampproxy.model.events import Candidate, ChatResponse
from ampproxy.model.parts import Refusal, Text


class _Answer(msgspec.Struct):
    choices: list[ChoiceWire] | None = None
    id: str | None = None
    model: str | None = None
    created: int | None = None
    usage: dict[str, Any] | None = None
    error: Json = NULL


_ANSWER: Final = Decoder(_Answer)
_KNOWN: Final = frozenset({*_Answer.__struct_fields__, "object"})


def parse_response(body: bytes) -> ChatResponse:
    """Read a vendor's whole answer (:meth:`~ampproxy.dialects.base.Dialect.parse_response`).

    :raises ampproxy.errors.UpstreamFault: it is not one, or tells of an error.
    """
    answer = read_answer(_ANSWER, body)
    if answer.error != NULL:
        raise UpstreamFault(error_from(loads(body)), retryable=True)
    if not answer.choices:
        raise not_an_answer(loads(body), "The vendor's answer has no 'choices'.")
    members = without_nulls(read_answer(MEMBERS, body))
    return ChatResponse(
        id=answer.id,
        model=answer.model,
        created=answer.created,
        candidates=tuple(_candidate(choice, number) for number, choice in enumerate(answer.choices)),
        usage=None if answer.usage is None else chat_usage(answer.usage),
        dialect=COMPLETIONS,
        extras={name: raw for name, raw in members.items() if name not in _KNOWN},
    )


def _candidate(choice: ChoiceWire, number: int) -> Candidate:
    parts = (Text(choice.text),) if choice.text else ()
    logprobs = choice.logprobs.logprobs() if choice.logprobs else ()
    if error := broken_end(choice.finish_reason):
        raise UpstreamFault(error, retryable=True)
    return Candidate(parts, finished(choice.finish_reason or "stop", number), logprobs)


def render_response(response: ChatResponse, context: AnswerContext) -> bytes:
    """Say a whole answer (:meth:`~ampproxy.dialects.base.Dialect.render_response`)."""
    same = response.dialect == COMPLETIONS
    before = echoed(context)
    body: dict[str, Any] = {
        "id": answer_id(response.id, response.dialect, context),
        "object": "text_completion",
        "created": context.created if response.created is None else response.created,
        "model": context.model,
        "choices": [
            _choice(candidate, number, before) for number, candidate in enumerate(response.candidates)
        ],
    }
    if response.usage is not None:
        body["usage"] = chat_usage_body(response.usage, extras=same)
    if same:
        body.update(response.extras)
    return encode(body)


def _choice(candidate: Candidate, number: int, before: str) -> dict[str, Any]:
    text = before + "".join(part.text for part in candidate.parts if isinstance(part, Text | Refusal))
    logprobs = logprobs_body(candidate.logprobs, len(before)) if candidate.logprobs else None
    return {
        "text": text,
        "index": number,
        "logprobs": logprobs,
        "finish_reason": finish_word(candidate.finish),
    }
