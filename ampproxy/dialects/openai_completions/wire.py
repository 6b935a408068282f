"""What whole answers and chunks of the old completions have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.json import loads
from ampproxy.dialects.openai_ends import FINISH_WORDS, end_of
from ampproxy.dialects.streams import LONGEST_ID
from ampproxy.model.base import COMPLETIONS
from ampproxy.model.events import Finished, TokenLogprob, WireError
from ampproxy.model.parts import Text


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
    """``logprobs`` of a choice.

    :param offset: where in the choice's text the first token begins.
    """
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
    reason = end_of(word)
    return Finished("unknown" if isinstance(reason, WireError) else reason, detail=word, choice=choice)


def broken_end(word: str | None) -> WireError | None:
    """The error that a ``finish_reason`` tells of."""
    meant = end_of(word)
    return meant if isinstance(meant, WireError) else None


def finish_word(end: Finished | None) -> str:
    """``finish_reason``: there is no word for calls."""
    word = "stop" if end is None else FINISH_WORDS[end.reason]
    return "stop" if word == "tool_calls" else word


def answer_id(id_: str | None, dialect: str | None, context: AnswerContext) -> str:
    """The answer's id: the vendor's where it spoke this dialect, else a new one of OpenAI's form."""
    return id_ if id_ and dialect == COMPLETIONS and len(id_) <= LONGEST_ID else context.new_id("cmpl-")


def echoed(context: AnswerContext) -> str:
    """The prompt, if the client wants it before the answer."""
    request = context.request
    if request is None or request.dialect != COMPLETIONS or not loads(request.extras.get("echo", b"false")):
        return ""
    return "".join(part.text for turn in request.turns for part in turn.parts if isinstance(part, Text))
