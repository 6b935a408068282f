"""What whole answers and chunks of the old completions have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.json import loads
from ampproxy.dialects.openai_answers import FINISH_WORDS, Form, reason_of
from ampproxy.model.base import COMPLETIONS
from ampproxy.model.events import Finished, TokenLogprob
from ampproxy.model.parts import Text

FORM: Final = Form(COMPLETIONS, "text_completion", "text_completion", "cmpl-")


class LogprobsWire(msgspec.Struct):
    """Parallel lists, one entry a token."""

    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None

    def logprobs(self) -> tuple[TokenLogprob, ...]:
        """As the vocabulary has them."""
        tokens, numbers, tops = self.tokens or [], self.token_logprobs or [], self.top_logprobs or []
        return tuple(
            TokenLogprob(
                token,
                (numbers[at] or 0.0) if at < len(numbers) else 0.0,
                tuple((tops[at] or {}).items()) if at < len(tops) else (),
            )
            for at, token in enumerate(tokens)
        )


class ChoiceWire(msgspec.Struct):
    """A choice, whole or in a chunk."""

    text: str | None = None
    index: int | None = None
    finish_reason: str | None = None
    logprobs: LogprobsWire | None = None


def logprobs_body(tokens: Sequence[TokenLogprob], offset: int = 0) -> dict[str, Any]:
    """``logprobs`` of a choice; ``offset``: where in its text the first token begins."""
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.token)
    return {
        "tokens": [token.token for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [dict(token.top) for token in tokens],
        "text_offset": offsets,
    }


def finished(word: str | None, choice: int) -> Finished:
    """The end of a choice; ``None``: the stream was ended without a word."""
    return Finished(reason_of(word), detail=word, choice=choice)


def finish_word(end: Finished | None) -> str:
    """``finish_reason``: there is no word for calls."""
    word = "stop" if end is None else FINISH_WORDS[end.reason]
    return "stop" if word == "tool_calls" else word


def echoed(context: AnswerContext) -> str:
    """The prompt, if the client wants it before the answer."""
    request = context.asked
    if request.dialect != COMPLETIONS or not loads(request.extras.get("echo", b"false")):
        return ""
    return "".join(part.text for turn in request.turns for part in turn.parts if isinstance(part, Text))
