"""Whole answers of the old completions, both ways."""

from __future__ import annotations

from typing import Any, Final

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.json import Decoder
from ampproxy.dialects.openai_answers import AnswerWire, broken_end, read_whole, whole_body, whole_of
from ampproxy.dialects.openai_completions.wire import (
    FORM,
    ChoiceWire,
    echoed,
    finish_word,
    finished,
    logprobs_body,
)
from ampproxy.errors import UpstreamFault
from ampproxy.model.base import COMPLETIONS
from ampproxy.model.events import Candidate, ChatResponse
from ampproxy.model.parts import Refusal, Text


class _Answer(AnswerWire):
    choices: list[ChoiceWire] | None = None


_ANSWER: Final = Decoder(_Answer)


def parse_response(body: bytes) -> ChatResponse:
    """Read a vendor's whole answer; see :class:`~ampproxy.dialects.base.Dialect`."""
    answer = read_whole(_ANSWER, body)
    candidates = tuple(_candidate(choice, number) for number, choice in enumerate(answer.choices or ()))
    return whole_of(answer, candidates, body, COMPLETIONS)


def _candidate(choice: ChoiceWire, number: int) -> Candidate:
    parts = (Text(choice.text),) if choice.text else ()
    logprobs = choice.logprobs.logprobs() if choice.logprobs else ()
    if error := broken_end(choice.finish_reason):
        raise UpstreamFault(error, retryable=True)
    return Candidate(parts, finished(choice.finish_reason or "stop", number), logprobs)


def render_response(response: ChatResponse, context: AnswerContext) -> bytes:
    """Write a whole answer."""
    before = echoed(context)
    choices = [_choice(candidate, number, before) for number, candidate in enumerate(response.candidates)]
    return whole_body(response, context, FORM, choices)


def _choice(candidate: Candidate, number: int, before: str) -> dict[str, Any]:
    text = before + "".join(part.text for part in candidate.parts if isinstance(part, Text | Refusal))
    logprobs = logprobs_body(candidate.logprobs, len(before)) if candidate.logprobs else None
    word = finish_word(candidate.finish)
    return {"text": text, "index": number, "logprobs": logprobs, "finish_reason": word}
