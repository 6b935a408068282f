"""What happens in the stream of an answer, and the whole answer, which is the fold of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress, count, repeat
from operator import is_not
from typing import Any, Literal, TypeAlias

from ampproxy.model.base import Json, Value
from ampproxy.model.parts import Audio, Image, Opaque, Reasoning, Refusal, Signature, Text, ToolCall

#: ``blocked``: the prompt or the answer was withheld by the vendor's safety system. ``pause``: the
#: vendor stopped a long turn that the client may continue (Anthropic's ``pause_turn``). ``unknown``: the
#: vendor gave a word that nobody here knows, or none at all; it is never a good end.
FinishReason = Literal[
    "stop", "length", "tool_calls", "stop_sequence", "refusal", "blocked", "context", "pause", "unknown"
]

#: What went wrong, independent of any dialect.
ErrorKind = Literal[
    "invalid_request",
    "authentication",
    "billing",
    "permission",
    "not_found",
    "too_large",
    "rate_limit",
    "overloaded",
    "timeout",
    "unavailable",
    "internal",
    "not_implemented",
    "context_length",
]


class Usage(Value, frozen=True):
    """Tokens of one exchange. The four input and output classes do not overlap, but for
    ``reasoning``, which is the part of ``output`` that went into thinking.

    Total input is ``input + cache_read + cache_write``; total output is ``output``.

    :param cache_write_1h: the part of ``cache_write`` that the vendor keeps for an hour, which costs more.
    :param tier: how it was served where that has a price of its own, see :func:`tier_of`.
    :param longest: the tokens of the longest prompt where the vendor asked its model several times; 0: there
        was one, the whole input.
    :param beside: what the vendor bills beside these tokens: for a summary of the conversation, for the
        advice of another model.
    """

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    extras: dict[str, Json] = {}  # noqa: RUF012
    cache_write_1h: int = 0
    tier: str = ""
    longest: int = 0
    beside: tuple[Beside, ...] = ()

    @property
    def total(self) -> int:
        """All tokens that are billed, in and out."""
        own = self.input + self.cache_read + self.cache_write + self.output
        return own + sum(part.usage.total for part in self.beside) if self.beside else own

    @property
    def answers_nothing(self) -> bool:
        """Whether the vendor counted the question, and no token of an answer."""
        return self.output == 0 and not self.beside and self.total > 0


class Beside(Value, frozen=True):
    """Tokens that are billed beside those of an answer.

    :param model: who used them; empty: the model that answered.
    """

    usage: Usage
    model: str = ""


#: What vendors call the ways of serving that have prices of their own -> how these are called here.
_TIERS = {
    "batch": "batch",
    "flex": "flex",
    "priority": "priority",
    "fast": "fast",
    "ultrafast": "ultrafast",
    "on_demand_flex": "flex",
    "on_demand_priority": "priority",
}


def tier_of(word: str) -> str:
    """``batch``, ``flex``, ``priority``, ``fast`` or ``ultrafast``; empty: as usual.

    :param word: as a vendor says it, in any case.
    """
    return _TIERS.get(word.lower(), "")


class TokenLogprob(Value, frozen=True):
    """A token's log probability, and the likeliest others in its place."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


AnswerPart: TypeAlias = Text | Reasoning | ToolCall | Refusal | Image | Audio | Opaque


class Started(Value, frozen=True):
    """The vendor began to answer. ``created`` in seconds since the epoch.

    :param dialect: the dialect of the answer; all ``extras`` in it belong to that dialect alone.
    :param extras: members of the answer that only ``dialect`` knows, by wire name.
    """

    id: str | None = None
    model: str | None = None
    created: int | None = None
    dialect: str | None = None
    extras: dict[str, Json] = {}  # noqa: RUF012


class PartStarted(Value, frozen=True):
    """A part begins. ``part`` holds what is known at its start: a tool call's id and name (its
    ``arguments`` are empty), empty text, or a whole part that has no deltas (image, opaque).

    :param index: the part's number, unique in the answer.
    :param choice: which candidate it belongs to.
    """

    index: int
    part: AnswerPart
    choice: int = 0


class Delta(Value, frozen=True):
    """More text of a text, reasoning or refusal part, or more of a tool call's arguments."""

    index: int
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


class SectionBreak(Value, frozen=True):
    """A new paragraph of a reasoning summary begins in part ``index``."""

    index: int


class PartSigned(Value, frozen=True):
    """The proof of reasoning (or the one on a call or text) of part ``index``."""

    index: int
    signature: Signature


class PartExtras(Value, frozen=True):
    """Members of part ``index`` that one dialect knows and that arrive late (citations)."""

    index: int
    extras: dict[str, Json]


class PartClosed(Value, frozen=True):
    """Part ``index`` is whole."""

    index: int


class UsageReport(Value, frozen=True):
    """Usage so far: cumulative, overwrites any earlier report."""

    usage: Usage


class Finished(Value, frozen=True):
    """A candidate ended. ``stop_sequence`` is the one that was hit; ``detail`` the vendor's own word;
    ``extras`` what only the answer's dialect says about the end (Anthropic's ``stop_details``).
    """

    reason: FinishReason
    stop_sequence: str | None = None
    detail: str | None = None
    choice: int = 0
    extras: dict[str, Json] = {}  # noqa: RUF012


class Completed(Value, frozen=True):
    """The dialect's own terminal event: the stream is whole."""


class WireError(Value, frozen=True):
    """An error as a vendor told it or as we tell it to a client.

    :param status: the HTTP status that says it best (also for one in mid-stream).
    :param code: the vendor's own code or type, exact, when there is one.
    :param retry_after: seconds until another try makes sense, when known.
    :param request_id: the vendor's id of the request, for its support.
    """

    kind: ErrorKind
    message: str
    status: int = 500
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None
    request_id: str | None = None


class Failed(Value, frozen=True):
    """The vendor reported an error after the stream began. Nothing follows."""

    error: WireError


class Ping(Value, frozen=True):
    """The vendor is alive and has nothing to say yet."""


Event: TypeAlias = (
    Started
    | PartStarted
    | Delta
    | SectionBreak
    | PartSigned
    | PartExtras
    | PartClosed
    | UsageReport
    | Finished
    | Completed
    | Failed
    | Ping
)

#: Each kind of event, and the method that takes it in classes which have one for each.
_METHODS: dict[type, str] = {
    Started: "_on_start",
    PartStarted: "_on_part",
    Delta: "_on_delta",
    SectionBreak: "_on_section",
    PartSigned: "_on_proof",
    PartExtras: "_on_extras",
    PartClosed: "_on_close",
    UsageReport: "_on_usage",
    Finished: "_on_finish",
    Completed: "_on_complete",
    Failed: "_on_failure",
    Ping: "_on_ping",
}


def steps_of(taker: type) -> dict[type, Callable[..., object]]:
    """For each kind of event the method of a class that takes it; the others mean nothing to it."""
    found = ((kind, getattr(taker, name, None)) for kind, name in _METHODS.items())
    return {kind: method for kind, method in found if method is not None}


def others(events: Sequence[Event]) -> list[int]:
    """The places of the events that are no deltas: few, in what one read brought."""
    # Nearly always there is none. Without a call of Python's for each.
    kinds = list(map(type, events))
    if kinds.count(Delta) == len(kinds):
        return []
    return list(compress(count(), map(is_not, kinds, repeat(Delta))))


def in_runs(
    events: Sequence[Event],
    deltas: Callable[[Sequence[Any], list[bytes]], object],
    other: Callable[[Event, list[bytes]], object],
    out: list[bytes],
) -> None:
    """Write what one read brought: each run of deltas by ``deltas``, any other event by ``other``."""
    last = 0
    for place in others(events):
        if last < place:
            deltas(events[last:place], out)
        other(events[place], out)
        last = place + 1
    if last < len(events):
        deltas(events[last:], out)


class Candidate(Value, frozen=True):
    """One of the answers that were asked for."""

    parts: tuple[AnswerPart, ...] = ()
    finish: Finished | None = None
    logprobs: tuple[TokenLogprob, ...] = ()


class ChatResponse(Value, frozen=True, kw_only=True):
    """A whole answer: the fold of its events (see :mod:`ampproxy.model.fold`).

    All ``extras`` in it belong to ``dialect`` alone.
    """

    id: str | None = None
    model: str | None = None
    created: int | None = None
    candidates: tuple[Candidate, ...] = (Candidate(),)
    usage: Usage | None = None
    dialect: str | None = None
    extras: dict[str, Json] = {}  # noqa: RUF012
