"""Token counts and the ends of answers, both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from ampproxy.dialects.ends import read_end
from ampproxy.dialects.json import NULL, Decoder, Members, loads, read_or, without_nulls
from ampproxy.errors import UpstreamFault
from ampproxy.model.base import Json
from ampproxy.model.events import Beside, Finished, FinishReason, Usage, WireError, tier_of
from ampproxy.wire.json import string

_KNOWN: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")

REASONS: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    # A summary of the conversation was made, and the vendor waits to be asked again.
    "compaction": "pause",
    "refusal": "refusal",
    "model_context_window_exceeded": "context",
}
_WORDS: Final[dict[FinishReason, str]] = {
    "blocked": "refusal",
    "unknown": "max_tokens",
    **{reason: word for word, reason in REASONS.items() if word != "compaction"},
}


#: As many digits as are taken for a number of tokens.
_Tokens = Annotated[int, msgspec.Meta(ge=0, lt=10**18)]
#: Members of an answer, and of ``message_delta.delta``, that describe its end.
END_MEMBERS: Final = ("stop_details", "container")
#: No vendor's usage comes near these: so many members, and so many bytes of one. What is sent over and over
#: must not grow without end.
_MAX_MEMBERS: Final = 64
_MAX_MEMBER_BYTES: Final = 4096
#: One that grows with the number of times that the vendor asked its model.
_MAX_BYTES_OF: Final = {"iterations": 64 * 1024}
NO_USAGE: Final = Usage()


class _Kept(msgspec.Struct, frozen=True):
    ephemeral_1h_input_tokens: _Tokens = 0


class _Thought(msgspec.Struct, frozen=True):
    thinking_tokens: _Tokens = 0


class _Usual(msgspec.Struct):
    """A usage as nearly all are; what would be another is none of this type."""

    input_tokens: _Tokens
    output_tokens: _Tokens
    cache_read_input_tokens: _Tokens = 0
    cache_creation_input_tokens: _Tokens = 0
    output_tokens_details: _Thought = _Thought()
    cache_creation: _Kept = _Kept()
    service_tier: Literal["standard", "priority"] = "standard"
    speed: Literal["standard"] = "standard"
    iterations: None = None


_usual = Decoder(_Usual)


def usual_usage(raw: msgspec.Raw) -> Usage | None:
    """A usage in one look; ``None``: it has to be read member by member."""
    found = read_or(_usual, raw, None)
    if found is None:
        return None
    return Usage(
        found.input_tokens,
        found.cache_read_input_tokens,
        found.cache_creation_input_tokens,
        found.output_tokens,
        found.output_tokens_details.thinking_tokens,
        cache_write_1h=found.cache_creation.ephemeral_1h_input_tokens,
    )


def read_usage(found: Mapping[str, Json]) -> Usage:
    """Usage from its members. Input excludes what was read from or written to the cache, as here."""
    rest = without_nulls(dict(found))
    fresh, read, written, output = (_natural(loads(rest.pop(name, NULL))) for name in _KNOWN)
    details = loads(rest.get("output_tokens_details", b"null"))
    thought = details.get("thinking_tokens") if isinstance(details, dict) else None
    if isinstance(details, dict) and set(details) <= {"thinking_tokens"}:
        del rest["output_tokens_details"]
    return Usage(fresh, read, written, output, _natural(thought), rest, **billing(found))


class _Creation(msgspec.Struct):
    ephemeral_1h_input_tokens: int | None = 0


class _Iteration(msgspec.Struct):
    """One time that the vendor asked a model. ``type``: ``message``, ``compaction``, ``advisor_message``."""

    type: str = ""
    model: str | None = None
    input_tokens: int | None = 0
    cache_read_input_tokens: int | None = 0
    cache_creation_input_tokens: int | None = 0
    output_tokens: int | None = 0
    cache_creation: _Creation | None = None

    def usage(self) -> Usage:
        fresh, read, written, output = (_natural(getattr(self, name)) for name in _KNOWN)
        kept = 0 if self.cache_creation is None else _natural(self.cache_creation.ephemeral_1h_input_tokens)
        return Usage(fresh, read, written, output, cache_write_1h=min(kept, written))


_CREATION: Final = Decoder(_Creation)
_ITERATIONS: Final = Decoder(list[_Iteration])
#: Those that the top-level counts leave out (``BetaIterationsUsage``) -> whether another model is asked.
_BESIDE: Final = {"compaction": False, "advisor_message": True}


def billing(usage: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    """What else a usage reports of the bill, as further members of :class:`Usage`; what cannot be read is
    left out.
    """
    body: dict[str, Any] = {}
    if "cache_creation" in usage:
        kept = read_or(_CREATION, usage["cache_creation"], None)
        if kept is not None and (hour := _natural(kept.ephemeral_1h_input_tokens)):
            body["cache_write_1h"] = hour
    tier = "fast" if string(usage.get("speed", NULL)) == "fast" else ""
    # Anthropic's priority tier is capacity that is paid for beforehand; its tokens have no other price.
    if not tier and string(usage.get("service_tier", NULL)) == "batch":
        tier = "batch"
    if tier:
        body["tier"] = tier_of(tier)
    if "iterations" in usage:
        body.update(_iterated(read_or(_ITERATIONS, usage["iterations"], [])))
    return body


def _iterated(iterations: list[_Iteration]) -> dict[str, Any]:
    beside: list[Beside] = []
    prompts: list[int] = []
    for one in iterations:
        usage = one.usage()
        if one.type in _BESIDE:
            beside.append(Beside(usage, (one.model or "") if _BESIDE[one.type] else ""))
        else:
            prompts.append(usage.input + usage.cache_read + usage.cache_write)
    return {"beside": tuple(beside), "longest": max(prompts) if len(prompts) > 1 else 0}


def _natural(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**63 else 0


def usage_members(usage: Usage, *, own: bool) -> dict[str, Any]:
    """Usage as its members; ``own``: the answer came from this dialect, and its others go along."""
    body: dict[str, Any] = {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
    }
    if usage.reasoning:
        body["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return {**body, **usage.extras} if own else body


def read_finish(reason: str | None, sequence: str | None, extras: Members) -> Finished | None:
    """The end that a ``stop_reason`` declares; ``None``: not ended. An unknown word is kept as ``detail``.

    :raises ampproxy.errors.UpstreamFault: it reports that the answer broke.
    """
    if reason is None:
        return None
    if known := REASONS.get(reason):
        return Finished(known, sequence, reason if reason == "compaction" else None, 0, extras)
    meant = read_end(reason)
    if isinstance(meant, WireError):
        raise UpstreamFault(meant, retryable=True)
    return Finished(meant, sequence, reason, 0, extras)


def own_word(word: str) -> str:
    """This dialect's word for an end that a vendor calls by another; the same where it means none."""
    meant = read_end(word)
    return word if isinstance(meant, WireError) or meant == "unknown" else _WORDS[meant]


def stop_members(finish: Finished | None, *, called: bool, own: bool) -> dict[str, Any]:
    """``stop_reason`` and what stands beside it.

    :param called: the answer has a tool call. Clients run tools only at ``tool_use``, and some
        vendors end such an answer as any other.
    :param own: the answer came from this dialect.
    """
    reason = finish.reason if finish else "stop"
    if called and reason == "stop" and not own:
        reason = "tool_calls"
    word = finish.detail if own and finish and finish.detail else _WORDS[reason]
    body: dict[str, Any] = {"stop_reason": word, "stop_sequence": finish.stop_sequence if finish else None}
    if own and finish:
        body.update(finish.extras)
    if word == "refusal" and finish and finish.detail and "stop_details" not in body:
        body["stop_details"] = {"type": "refusal", "category": None, "explanation": finish.detail}
    return body


def ends(found: Members) -> Members:
    """Take what else describes the end out of an answer's members."""
    return {name: found.pop(name) for name in END_MEMBERS if name in found}


def merged(before: Members, now: Members) -> Members:
    """Cumulative usage: what is reported later overwrites, what is not stays. Members beyond
    all measure are left out.
    """
    found = dict(before)
    for name, raw in without_nulls(now).items():
        longest = _MAX_BYTES_OF.get(name, _MAX_MEMBER_BYTES)
        if len(memoryview(raw)) <= longest and (name in found or len(found) < _MAX_MEMBERS):
            found[name] = raw
    return found
