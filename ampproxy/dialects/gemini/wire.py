"""Gemini's answers as typed records, its tables of reasons, and its way of counting.

Sources: the reference of ``GenerateContentResponse`` of the Gemini API and of Vertex AI, and the types
of the ``google-genai`` SDK.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ampproxy.dialects.ends import read_end
from ampproxy.dialects.errors import by_word
from ampproxy.dialects.json import Decoder, Fields, encode, first, is_object, items, loads, raw_text, to_raw
from ampproxy.model.base import Json
from ampproxy.model.events import FinishReason, Usage, WireError, tier_of

#: Stands for a member that is not there.
ABSENT: Final = Json()
#: Members of a candidate that belong to Gemini alone.
CANDIDATE_EXTRAS: Final = (
    *("finish_message", "citation_metadata", "grounding_metadata", "url_context_metadata"),
    *("safety_ratings", "avg_logprobs", "token_count", "continuation_token"),
)
_COUNTS: Final = (
    *("promptTokenCount", "cachedContentTokenCount", "candidatesTokenCount"),
    *("thoughtsTokenCount", "toolUsePromptTokenCount", "totalTokenCount"),
)
_TOOL_USE: Final = "toolUsePromptTokenCount"
#: What shows that an answer has the names of the proto's fields, as SDKs for Python dump them, or another
#: word for its end than Gemini's: in lower case, OpenAI's, or the enum's number.
ODD: Final = re.compile(
    rb'"(?:finish_reason|finish_message|function_call|inline_data|thought_signature|usage_metadata'
    rb'|model_version|prompt_feedback|block_reason)"\s*:'
    rb'|"finishReason"\s*:\s*(?:[0-9]|"(?![A-Z_]+")|"FINISH_REASON_(?!UNSPECIFIED"))'
    rb'|"candidates"\s*:\s*\{|"parts"\s*:\s*[{"]|"content"\s*:\s*["\[]'
)
#: By their numbers, from one.
_NUMBERED: Final = (
    *("STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT"),
    *("SPII", "MALFORMED_FUNCTION_CALL"),
)
#: What holds names that are no proto's, and how deep others are.
_OF_FUNCTIONS: Final = ("args", "response")
_MAX_DEPTH: Final = 16
_REASON: Final = "finishReason"
EMPTY: Final = raw_text("{}")


def given(raw: Json) -> bool:
    """Whether a member is there and not null."""
    return raw is not ABSENT and bytes(raw) not in (b"", b"null")


class FunctionCall(msgspec.Struct, rename="camel"):
    """The model's wish to call a function."""

    name: str = ""
    id: str | None = None
    args: Json = ABSENT
    partial_args: Json = ABSENT
    will_continue: bool | None = None


class _Blob(msgspec.Struct, rename="camel"):
    mime_type: str = ""
    data: str = ""


class Part(msgspec.Struct, rename="camel"):
    """A part of an answer. One with none of these members is looked at again, as it came."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: _Blob | None = None


class Content(msgspec.Struct):
    """What a candidate sends in one chunk."""

    parts: list[Part] | None = None


class _RawContent(msgspec.Struct):
    parts: list[Json] | None = None


class Candidate(msgspec.Struct, rename="camel"):
    """One of the answers. What is not interpreted is kept for the end of the candidate."""

    content: Content | None = None
    finish_reason: str | None = None
    index: int = 0
    finish_message: str | None = None
    logprobs_result: Json = ABSENT
    citation_metadata: Json = ABSENT
    grounding_metadata: Json = ABSENT
    url_context_metadata: Json = ABSENT
    safety_ratings: Json = ABSENT
    avg_logprobs: Json = ABSENT
    token_count: Json = ABSENT
    continuation_token: Json = ABSENT


class RawCandidate(msgspec.Struct):
    """A candidate of which only the parts matter, as they came."""

    content: _RawContent | None = None


class Chunk(msgspec.Struct, rename="camel"):
    """One event of a stream, or a whole answer."""

    candidates: list[Candidate] | None = None
    usage_metadata: Json = ABSENT
    model_version: str | None = None
    response_id: str | None = None
    prompt_feedback: Json = ABSENT
    create_time: Json = ABSENT
    model_status: Json = ABSENT
    error: Json = ABSENT

    @property
    def is_bare(self) -> bool:
        """Whether nothing of an answer is in it."""
        return self.candidates is None and all(
            value is None or value is ABSENT for value in msgspec.structs.astuple(self)[1:]
        )


class _RawChunk(msgspec.Struct):
    candidates: list[RawCandidate] | None = None


CHUNK: Final = Decoder(Chunk)
RAW_CHUNK: Final = Decoder(_RawChunk)

#: Gemini's reasons, but for ``STOP``, which may also mean that a tool is wanted.
FINISH: Final[dict[str, FinishReason]] = by_word(
    {
        # The second one: there is more, which only Gemini's own clients can ask for.
        "length": "MAX_TOKENS CONTINUATION",
        "blocked": (
            "SAFETY RECITATION LANGUAGE BLOCKLIST PROHIBITED_CONTENT SPII MODEL_ARMOR ESCALATION "
            "IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT IMAGE_RECITATION PUP_LIMITED_DISABLED"
        ),
    }
)
#: The reasons of which it is known that the answer has not broken.
_REASONS_KNOWN: Final = frozenset((*FINISH, "STOP", "OTHER", "IMAGE_OTHER", "NO_IMAGE"))

#: Reasons that mean: the model's output could not be used. No other dialect has a word for it, and
#: a clean end would make an agent act on half an answer.
BROKEN: Final = frozenset(
    (
        *("MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE"),
        *("TOO_MANY_TOOL_CALLS", "UNEXPECTED_TOOL_CALL"),
    )
)

#: The other way round.
REASONS: Final[dict[str, str]] = by_word(
    {
        "STOP": "stop tool_calls stop_sequence pause",
        "MAX_TOKENS": "length context",
        "SAFETY": "refusal blocked",
        "OTHER": "unknown",
    }
)

#: What ``promptFeedback.blockReason`` may be.
BLOCK_REASONS: Final = frozenset(
    ("SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY", "MODEL_ARMOR", "JAILBREAK")
)


def finish_of(word: str, *, called: bool, has_content: bool) -> FinishReason:
    """What Gemini's reason means.

    :param called: a function call was seen, which Gemini's reason does not show.
    :param has_content: anything at all was sent; of an answer without content, an unknown reason is why.
    """
    if word == "STOP":
        return "tool_calls" if called else "stop"
    if word in FINISH:
        return FINISH[word]
    return "unknown" if has_content else "blocked"


def broken_end(word: str) -> WireError | None:
    """The error behind a reason that is in no table here."""
    meant = None if word in _REASONS_KNOWN else read_end(word)
    return meant if isinstance(meant, WireError) else None


def reason_of(reason: FinishReason, detail: str | None) -> str:
    """Gemini's word for an end: the vendor's own where it was Gemini's and means the same."""
    if detail is not None and FINISH.get(detail) == reason:
        return detail
    return REASONS[reason]


def usage_of(found: Mapping[str, Any]) -> Usage:
    """Read ``usageMetadata``. ``promptTokenCount`` includes what came from the cache, and
    ``candidatesTokenCount`` excludes the thoughts; tokens of the vendor's own tools are input.
    """
    prompt, cached, answered, thought, tools = (_count(found.get(name)) for name in _COUNTS[:5])
    extras = {name: to_raw(value) for name, value in found.items() if name not in _COUNTS}
    if tools:
        extras[_TOOL_USE] = to_raw(tools)
    return Usage(
        input=max(0, prompt - cached) + tools,
        cache_read=cached,
        output=answered + thought,
        reasoning=thought,
        extras=extras,
        tier=tier_of(str(found.get("serviceTier") or found.get("trafficType") or "")),
    )


def usage_members(usage: Usage, *, own: bool) -> dict[str, object]:
    """Write usage as ``usageMetadata``; ``own``: it is Gemini's, and its ``extras`` go along."""
    tools = _count(loads(usage.extras.get(_TOOL_USE, b"0"))) if own else 0
    total = usage.input + usage.cache_read + usage.cache_write
    thought = min(usage.reasoning, usage.output)
    found: dict[str, object] = {
        "promptTokenCount": max(0, total - tools),
        "candidatesTokenCount": usage.output - thought,
        "totalTokenCount": total + usage.output,
    }
    if usage.cache_read:
        found["cachedContentTokenCount"] = usage.cache_read
    if thought:
        found["thoughtsTokenCount"] = thought
    if own:
        found.update(usage.extras)
    return found


def _count(value: object) -> int:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return max(0, int(value)) if abs(value) < 1e15 else 0
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 16 else 0


#: Member of ``generationConfig`` -> field of ``Sampling``.
SAMPLING: Final = {
    "maxOutputTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "seed": "seed",
    "responseLogprobs": "logprobs",
    "logprobs": "top_logprobs",
    "candidateCount": "candidates",
}

#: What ids that were made here begin with: Gemini's own calls may have none.
MADE: Final = "call_g"

_TO_STANDARD = str.maketrans("-_", "+/")


def standard_base64(text: str) -> str:
    """Base64 in the standard alphabet: Google's own SDK writes the URL-safe one, others read only this."""
    return text.translate(_TO_STANDARD) if "-" in text or "_" in text else text


def camel(name: str) -> str:
    """The JSON name of a proto field; the API takes both spellings."""
    if "_" not in name:
        return name
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def as_gemini(payload: bytes) -> bytes:
    """An answer by its camelCase names, and with Gemini's words for its end; the same object where it has no
    others.
    """
    return encode(_shaped(_renamed(loads(payload), 0))) if ODD.search(payload) is not None else payload


def _shaped(answer: Any) -> Any:
    """An answer with lists where an object, or a text, stands alone in their place."""
    candidates = answer.get("candidates") if isinstance(answer, dict) else None
    if isinstance(candidates, dict):
        candidates = answer["candidates"] = [candidates]
    for candidate in candidates if isinstance(candidates, list) else ():
        content: Any = candidate.get("content") if isinstance(candidate, dict) else None
        if isinstance(content, list) and len(content) == 1:
            content = candidate["content"] = content[0]
        elif isinstance(content, str):
            content = candidate["content"] = {"parts": content, "role": "model"}
        if isinstance(content, dict) and isinstance(parts := content.get("parts"), (dict, str)):
            content["parts"] = [{"text": parts} if isinstance(parts, str) else parts]
    return answer


def _reason(value: Any) -> Any:
    """Gemini's word for an end; the same where none is known to mean it."""
    if isinstance(value, int) and 0 < value <= len(_NUMBERED):
        return _NUMBERED[value - 1]
    word = value.strip().upper().removeprefix("FINISH_REASON_") if isinstance(value, str) else ""
    if not word or word in _REASONS_KNOWN or word in BROKEN:
        return word or value
    meant = read_end(value)
    return value if isinstance(meant, WireError) or meant == "unknown" else REASONS[meant]


def _renamed(value: Any, depth: int) -> Any:
    if depth < _MAX_DEPTH and isinstance(value, list):
        return [_renamed(one, depth + 1) for one in value]
    if depth < _MAX_DEPTH and isinstance(value, dict):
        found = {
            camel(name): one if name in _OF_FUNCTIONS else _renamed(one, depth + 1)
            for name, one in value.items()
        }
        return {**found, _REASON: _reason(found[_REASON])} if _REASON in found else found
    return value


class CamelFields(Fields):
    """The members of an object by their camelCase names, without those that are null."""

    __slots__ = ()

    def __init__(self, text: bytes | Json, at: str = "", *, nulls: bool = False) -> None:
        super().__init__(text, at, nulls=nulls)
        self.left = {camel(name): value for name, value in self.left.items()}


def listed(raw: Json, at: str) -> list[Json]:
    """The items of a list. Google's API takes an object for a list of one, as its guides write it.

    :raises ampproxy.errors.ClientFault: it is neither.
    """
    return [raw] if first(raw) == b"{" else items(raw, at)


def args_text(raw: Json | None) -> str:
    """A call's arguments as JSON text."""
    text = bytes(raw or b"").decode("utf-8", "replace")
    if text[:1] == '"' and is_object(inner := str(loads(text.encode()))):
        # A text that holds the object.
        return inner
    return text if text not in ("", "null", '""') else "{}"
