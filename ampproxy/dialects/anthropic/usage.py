"""Token counts and the ends of answers, both ways."""

from __future__ import annotations

from typing import Any, Final

from ampproxy.dialects.common import Members, loads, without_nulls
from ampproxy.model.base import Json
from ampproxy.model.events import Finished, FinishReason, Usage

_KNOWN: Final = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens",
)

REASONS: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "refusal",
    "model_context_window_exceeded": "context",
}
_WORDS: Final[dict[FinishReason, str]] = {
    "blocked": "refusal",
    **{reason: word for word, reason in REASONS.items()},
}


def read_usage(found: Members) -> Usage:
    """Usage from its members. Input excludes what was read from or written to the cache, as here."""
    rest = without_nulls(found)
    fresh, read, written, output = (_count(rest.pop(name, None)) for name in _KNOWN)
    details = loads(rest.get("output_tokens_details", b"null"))
    thought = details.get("thinking_tokens") if isinstance(details, dict) else None
    if isinstance(details, dict) and set(details) <= {"thinking_tokens"}:
        del rest["output_tokens_details"]
    return Usage(fresh, read, written, output, _natural(thought), rest)


def _count(raw: Json | None) -> int:
    return _natural(loads(raw)) if raw is not None else 0


def _natural(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**63 else 0


def usage_members(usage: Usage, *, own: bool) -> dict[str, Any]:
    """Usage as its members.

    :param own: the answer came from this dialect: its further members go along.
    """
    told: dict[str, Any] = {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
    }
    if usage.reasoning:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return {**told, **usage.extras} if own else told


def read_finish(reason: str | None, sequence: str | None, extras: Members) -> Finished | None:
    """The end that a ``stop_reason`` tells; ``None``: not ended. An unknown word is kept as ``detail``."""
    if reason is None:
        return None
    known = REASONS.get(reason)
    return Finished(known or "stop", sequence, None if known else reason, 0, extras)


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
    told: dict[str, Any] = {
        "stop_reason": word,
        "stop_sequence": finish.stop_sequence if finish else None,
    }
    if own and finish:
        told.update(finish.extras)
    if word == "refusal" and finish and finish.detail and "stop_details" not in told:
        told["stop_details"] = {"type": "refusal", "category": None, "explanation": finish.detail}
    return told


#: Members of an answer, and of ``message_delta.delta``, that tell of its end.
END_MEMBERS: Final = ("stop_details", "container")


def ends(found: Members) -> Members:
    """Take what else tells of the end out of an answer's members."""
    return {name: found.pop(name) for name in END_MEMBERS if name in found}


#: No vendor's usage comes near these: so many members, and so many bytes of one. What is told over and over
#: must not grow without end.
_MOST_MEMBERS: Final = 64
_LONGEST_MEMBER: Final = 4096


def merged(before: Members, now: Members) -> Members:
    """Cumulative usage: what is told later overwrites, what is not told stays. Members beyond
    all measure are left out.
    """
    found = dict(before)
    for name, raw in without_nulls(now).items():
        if len(memoryview(raw)) <= _LONGEST_MEMBER and (name in found or len(found) < _MOST_MEMBERS):
            found[name] = raw
    return found


NO_USAGE: Final = Usage()
