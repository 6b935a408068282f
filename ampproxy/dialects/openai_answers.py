"""What the answers of OpenAI's dialects have in common.

Those of chat and of completions are alike but for their choices, whole and in chunks; the log
probabilities of tokens are written in one way in chat and in Responses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

import msgspec

from ampproxy.dialects.base import AnswerContext
from ampproxy.dialects.ends import broke, read_end
from ampproxy.dialects.errors import by_word
from ampproxy.dialects.json import MEMBERS, NULL, Decoder, encode, loads, read_answer
from ampproxy.dialects.monitor import NOTHING
from ampproxy.dialects.openai import (
    chat_usage,
    chat_usage_body,
    error_body,
    error_from,
    is_chunk,
    no_chunk,
    not_an_answer,
)
from ampproxy.dialects.streams import LONGEST_ID, Renderer, repeated
from ampproxy.errors import STATUS, UpstreamFault
from ampproxy.model.base import Json
from ampproxy.model.events import (
    Candidate,
    ChatResponse,
    Completed,
    ErrorKind,
    Finished,
    FinishReason,
    Started,
    TokenLogprob,
    WireError,
)

#: ``finish_reason`` of chat and completions -> ours; others are read by their words.
FINISH: Final[dict[str, FinishReason]] = by_word(
    {
        "stop": "stop end_turn stop_sequence",
        "length": "length max_tokens",
        "tool_calls": "tool_calls function_call",
        "blocked": "content_filter sensitive",
        "context": "model_length",
        "refusal": "refusal",
    }
)

#: ``finish_reason`` of an answer that did not come to its end: OpenRouter, DeepSeek, Zhipu.
BROKEN_ENDS: Final[dict[str, ErrorKind]] = {
    "error": "internal",
    "insufficient_system_resource": "overloaded",
    "network_error": "unavailable",
}

#: Ours -> ``finish_reason``.
FINISH_WORDS: Final[dict[str, str]] = by_word(
    {
        "stop": "stop stop_sequence pause",
        "length": "length context unknown",
        "tool_calls": "tool_calls",
        "content_filter": "refusal blocked",
    }
)
#: Its numbers (platform.minimax.io, "Error Code"); others are faults of its own.
_MINIMAX: Final[dict[str, ErrorKind]] = by_word(
    {
        "timeout": "1001",
        "rate_limit": "1002 1039 1041 2045 2056",
        "authentication": "1004 2049",
        "billing": "1008",
        "invalid_request": "1026 1027 1042 2013",
    }
)


def end_of(word: str | None) -> FinishReason | WireError:
    """What a ``finish_reason`` means; an error, if it reports an answer that did not come to its end.

    :param word: ``None``: the vendor gave none.
    """
    if not word:
        return "unknown"
    if known := FINISH.get(word):
        return known
    kind = BROKEN_ENDS.get(word)
    return read_end(word) if kind is None else broke(word, kind)


def broken_end(word: str | None) -> WireError | None:
    """The error that a ``finish_reason`` reports; ``None``: the answer has not broken."""
    meant = end_of(word)
    return meant if isinstance(meant, WireError) else None


def reason_of(word: str | None) -> FinishReason:
    """The reason in a ``finish_reason`` that is no word of a broken end."""
    meant = end_of(word)
    return "unknown" if isinstance(meant, WireError) else meant


class _TopWire(msgspec.Struct):
    token: str | None = ""
    logprob: float | None = 0.0


class TokenWire(msgspec.Struct):
    """A token's log probability."""

    token: str
    logprob: float = 0.0
    top_logprobs: list[_TopWire] | None = None


def read_logprobs(tokens: Iterable[TokenWire] | None) -> tuple[TokenLogprob, ...]:
    """Log probabilities as the vocabulary has them."""
    return tuple(
        TokenLogprob(
            token.token,
            token.logprob,
            tuple((other.token or "", other.logprob or 0.0) for other in token.top_logprobs or ()),
        )
        for token in tokens or ()
    )


def logprob_objects(tokens: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    """The same as they are sent; ``bytes`` are the token's own."""
    return [
        {**_token(one.token, one.logprob), "top_logprobs": [_token(*other) for other in one.top]}
        for one in tokens
    ]


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "replace"))}


class Form(NamedTuple):
    """How one of the two names its answers.

    :ivar whole: the ``object`` of a whole answer; ``chunk``: of a piece of a stream.
    :ivar prefix: how the ids of answers begin.
    """

    dialect: str
    whole: str
    chunk: str
    prefix: str

    def head(
        self, id_: str | None, created: int | None, dialect: str | None, context: AnswerContext, kind: str
    ) -> dict[str, Any]:
        """The members that an answer begins with. Its id is the vendor's where that spoke this dialect."""
        own = id_ and dialect == self.dialect and len(id_) <= LONGEST_ID
        return {
            "id": id_ if own else context.new_id(self.prefix),
            "object": kind,
            "created": context.created if created is None else created,
            "model": context.model,
        }


class AnswerWire(msgspec.Struct):
    """The members of a whole answer beside its choices."""

    id: str | int | None = None
    model: str | None = None
    created: float | None = None
    usage: Any = None
    service_tier: Any = None
    error: Json = NULL


#: What is taken of an answer; the rest is its extras.
_TAKEN: Final = frozenset({*AnswerWire.__struct_fields__, "choices", "object"} - {"service_tier"})

W = TypeVar("W", bound=AnswerWire)


def read_whole(decoder: Decoder[W], body: bytes) -> W:
    """A vendor's whole answer, which has choices.

    :raises ampproxy.errors.UpstreamFault: it is none, or reports an error.
    """
    answer = read_answer(decoder, body)
    if is_error(answer.error):
        raise UpstreamFault(error_from(loads(body)), retryable=True)
    if not answer.choices:  # type: ignore[attr-defined]
        found = loads(body)
        if error := error_in(found):
            raise UpstreamFault(error, retryable=True)
        raise not_an_answer(found, "The vendor's answer has no 'choices'.")
    return answer


def whole_of(
    answer: AnswerWire, candidates: tuple[Candidate, ...], body: bytes, dialect: str
) -> ChatResponse:
    """A vendor's whole answer in the vocabulary.

    :param body: its text, for the members that only its dialect knows.
    """
    members = read_answer(MEMBERS, body)
    return ChatResponse(
        id=None if answer.id is None else str(answer.id),
        model=answer.model,
        created=None if answer.created is None else int(answer.created),
        candidates=candidates,
        usage=chat_usage(answer.usage, answer.service_tier) if isinstance(answer.usage, dict) else None,
        dialect=dialect,
        extras={name: raw for name, raw in members.items() if name not in _TAKEN and raw != NULL},
    )


def whole_body(
    response: ChatResponse, context: AnswerContext, form: Form, choices: Sequence[dict[str, Any]]
) -> bytes:
    """A whole answer for a client."""
    own = response.dialect == form.dialect
    body = form.head(response.id, response.created, response.dialect, context, form.whole)
    body["choices"] = choices
    if response.usage is not None:
        body["usage"] = chat_usage_body(response.usage, extras=own)
    return encode(body | response.extras if own else body)


def is_error(member: Json) -> bool:
    """Whether an ``error`` reports one: servers send an empty one with every answer and chunk."""
    return member is not NULL and bytes(member) not in NOTHING


def fault_in(chunk: Any, data: bytes) -> WireError | None:
    """The error of an object in a stream that reports one, or that is no chunk; ``None``: it is one.

    :param chunk: a record with ``choices`` and ``error``.
    """
    if is_error(chunk.error):
        return error_from(loads(data))
    if chunk.choices:
        return None
    found = loads(data, {})
    if error := error_in(found):
        return error
    return no_chunk(found).error if chunk.choices is None and not is_chunk(found) else None


class ChunkRenderer(Renderer):
    """A renderer of chunks; ``FORM`` is how the dialect names its answers."""

    FORM: ClassVar[Form]

    def __init__(self, context: AnswerContext) -> None:
        super().__init__(context)
        self._wants_usage = context.asked.include_usage
        #: What every chunk begins with.
        self._head = b""

    def error(self, error: WireError) -> bytes:
        """See :class:`~ampproxy.dialects.base.StreamRenderer`. No ``[DONE]`` follows."""
        if self._over:
            return b""
        self._end()
        return b"data: " + error_body(error) + b"\n\n"

    def _end(self) -> None:
        self._over = True

    def _on_start(self, event: Started, out: list[bytes]) -> None:
        if self._head:
            return
        self._own = event.dialect == self.FORM.dialect
        head = self.FORM.head(event.id, event.created, event.dialect, self._context, self.FORM.chunk)
        if self._own:
            kept = repeated(event.extras)
            head.update(kept)
            for name in event.extras.keys() - kept.keys():
                self.losses("extras", "answer", f"'{name[:40]}' is too large for each chunk to repeat it.")
        self._head = b"data: " + encode(head)[:-1] + b',"choices":['

    def _begun(self) -> Iterable[int]:
        """The numbers of the choices that have begun."""
        raise NotImplementedError

    def _finish(self, number: int, end: Finished | None, out: list[bytes]) -> None:
        """The end of a choice, unless it was sent already."""
        raise NotImplementedError

    def _on_finish(self, event: Finished, out: list[bytes]) -> None:
        self._finish(event.choice, event, out)

    def _on_complete(self, event: Completed, out: list[bytes]) -> None:
        """The answer is whole: what has not ended ends; then the usage and the end mark."""
        for number in [*self._begun()] or [0]:
            self._finish(number, None, out)
        if self._wants_usage and self._usage is not None:
            usage = encode(chat_usage_body(self._usage, extras=self._own))
            out.append(self._head + b'],"usage":' + usage + b"}\n\n")
        out.append(b"data: [DONE]\n\n")
        self._end()


def error_in(value: object) -> WireError | None:
    """The error that an answer, or a chunk of one, reports in ``base_resp``; ``None``: it has none.

    :param value: the decoded object.
    """
    status = value.get("base_resp") if isinstance(value, dict) else None
    number = status.get("status_code") if isinstance(status, dict) else None
    if not isinstance(status, dict) or not isinstance(number, int) or not number:
        return None
    kind = _MINIMAX.get(str(number), "internal")
    message = status.get("status_msg")
    words = message[:1000] if isinstance(message, str) and message else "No reason was given."
    return WireError(kind, f"{words} (status_code {number})", STATUS[kind], str(number))
