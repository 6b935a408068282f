"""What OpenAI's dialects have in common: errors, lists of models, the counting of tokens.

Sources: the types of the ``openai`` SDK, and the error bodies that OpenAI and the servers that follow
it (vLLM, Ollama, FastAPI ones, proxies in front of them) really send.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from ampproxy.dialects.base import ModelInfo
from ampproxy.dialects.errors import by_word, is_context_length, kind_of_status, plain_message, retry_after
from ampproxy.dialects.errors import parse_count as parse_count
from ampproxy.dialects.json import bad_answer, encode, loads, to_raw
from ampproxy.errors import STATUS, UpstreamFault
from ampproxy.model.base import Json
from ampproxy.model.events import ErrorKind, Usage, WireError, tier_of

_MEDIA = {"pdf": "file"}
#: Any of these makes an object a chunk, or an answer, of chat or of the old completions.
_OF_A_CHUNK: Final = frozenset(("choices", "usage", "x_groq", "error"))
#: Any of these makes an object without them an error's.
OF_AN_ERROR: Final = frozenset(("message", "detail", "msg", "error_msg", "error_message"))
#: Names of events that say no more than that the server is there, whatever their data.
SIGNS_OF_LIFE = frozenset((b"ping", b"heartbeat", b"keepalive", b"keep-alive"))
_DETAILS = ("prompt_tokens_details", "completion_tokens_details")
_OTHERS: Final = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
}
#: Members of requests that Chat Completions and Responses both have, and no other vendor: OpenAI's own models
#: take them from clients of either.
SHARED: Final = ("prompt_cache_options", "moderation")
#: Likewise of parts.
SHARED_OF_PARTS: Final = frozenset(("prompt_cache_breakpoint",))


def model_members(model: ModelInfo) -> dict[str, Any]:
    """One entry of a list of models (``openai.types.Model``), with the members that compatible servers have
    in common for what is known of it.
    """
    family, thinks = model.family, model.thinks
    known: dict[str, Any] = {
        "name": model.display_name,
        "context_length": family.context,
        "max_completion_tokens": family.max_output,
        # The media, as OpenRouter writes them.
        "architecture": _known(
            input_modalities=None if family.input is None else [_MEDIA.get(one, one) for one in family.input],
            output_modalities=None if family.output is None else list(family.output),
        ),
        "capabilities": _known(
            tools=family.tools,
            vision=None if family.input is None else "image" in family.input,
            reasoning=thinks,
        ),
        "reasoning_efforts": list(family.levels) if family.levels and thinks else None,
        "lifecycle": None if model.lifecycle == "active" else model.lifecycle,
        "shutdown_date": None if model.lifecycle == "active" else family.retires,
        "replacement": None if model.lifecycle == "active" else family.successor or None,
    }
    entry = {"id": model.id, "object": "model", "created": model.created, "owned_by": model.owned_by}
    return entry | (_known(**known) or {})


def _known(**members: Any) -> dict[str, Any] | None:
    """The members of which anything is known; ``None``: of none."""
    return {name: value for name, value in members.items() if value is not None} or None


def models_body(models: Sequence[ModelInfo]) -> bytes:
    """The answer to ``GET /v1/models``."""
    return encode({"object": "list", "data": [model_members(model) for model in models]})


def codex_models_body(models: Sequence[ModelInfo]) -> bytes:
    """The same with the list that Codex reads, which is empty: it then keeps what it knows of its models.

    An entry there takes the place of Codex's own, with the system prompt that belongs to the model, and in a
    ChatGPT login entries take the place of all of them; an answer without the list is logged as an error.
    Source: https://github.com/openai/codex, codex-rs/models-manager.
    """
    return encode({"object": "list", "data": [model_members(model) for model in models], "models": []})


#: How each kind is reported to a client: ``type`` and ``code``.
WORDS: dict[ErrorKind, tuple[str, str | None]] = {
    "invalid_request": ("invalid_request_error", None),
    "context_length": ("invalid_request_error", "context_length_exceeded"),
    "authentication": ("authentication_error", "invalid_api_key"),
    "billing": ("insufficient_quota", "insufficient_quota"),
    "permission": ("permission_error", "permission_denied"),
    "not_found": ("invalid_request_error", "model_not_found"),
    "too_large": ("invalid_request_error", "request_too_large"),
    "rate_limit": ("rate_limit_error", "rate_limit_exceeded"),
    "internal": ("server_error", "internal_server_error"),
    "not_implemented": ("server_error", "not_implemented"),
    "unavailable": ("server_error", "internal_server_error"),
    "overloaded": ("server_error", "server_is_overloaded"),
    "timeout": ("server_error", "request_timeout"),
}

#: Codes and types that are more exact than the status.
KIND_BY_WORD: dict[str, ErrorKind] = by_word(
    {
        "context_length": "context_length_exceeded",
        "authentication": "invalid_api_key authentication_error invalid_authentication_error",
        "billing": (
            "insufficient_quota billing_hard_limit_reached billing_not_active exceeded_current_quota_error"
        ),
        "permission": (
            "permission_error permission_denied permission_denied_error unsupported_country_region_territory"
        ),
        "not_found": "model_not_found not_found_error",
        "too_large": "request_too_large",
        "rate_limit": "rate_limit_exceeded rate_limit_error rate_limit_reached_error",
        "overloaded": "server_is_overloaded engine_overloaded_error overloaded_error slow_down",
        "timeout": "request_timeout timeout_error",
        # The request itself is refused: to repeat it, or to send it by another account, is no use.
        "invalid_request": (
            "cyber_policy bio_policy misalignment_policy_violation image_content_policy_violation "
            "content_policy_violation"
        ),
    }
)

#: Types that only repeat what a status means; they count where there is none (in mid-stream).
KIND_BY_BROAD_WORD: dict[str, ErrorKind] = by_word(
    {
        "invalid_request": "invalid_request_error invalid_prompt badrequesterror",
        "internal": "server_error internal_server_error internal_error api_error",
        "not_implemented": "not_implemented",
        "rate_limit": "tokens requests",
    }
)

_OVERLOADED = re.compile(r"overloaded", re.I)
_CODE = re.compile(r"(?!.*_error$)[a-z][a-z0-9_]*")
_WAIT = re.compile(r"try again in (?:(\d+)m(?!s))?\s*(?:(\d+(?:\.\d+)?)\s*(ms|s))?", re.I)
_MESSAGE_LIMIT = 4000


def error_object(error: WireError) -> dict[str, Any]:
    """The ``error`` member: ``message``, ``type``, ``param``, ``code``.

    A code that is another dialect's word (``RESOURCE_EXHAUSTED``, ``overloaded_error``) gives way to
    OpenAI's own for that kind.
    """
    type_, code = WORDS[error.kind]
    if error.code and _CODE.fullmatch(error.code):
        code = error.code
    return {"message": error.message, "type": type_, "param": error.param, "code": code}


def error_body(error: WireError) -> bytes:
    """``{"error": {...}}``, the body of an error response and of an error in a chat stream."""
    return encode({"error": error_object(error)})


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> WireError:
    """What an error response reports: OpenAI's envelope, its many imitations, plain text or a page.

    :param headers: with lower-case names; ``retry-after``, ``retry-after-ms`` and ``x-request-id`` count.
    """
    value = loads(body)
    error = error_from(plain_message(status, body) if value is None else value, status)
    wait = retry_after(headers)
    if wait is None and error.kind == "rate_limit":
        wait = _wait_in(error.message)
    return replace(error, retry_after=wait, request_id=headers.get("x-request-id") or None)


def error_from(value: object, status: int | None = None) -> WireError:
    """The error that a decoded body or the data of an event reports.

    :param status: of the response; ``None`` for one in mid-stream, where it follows from the words.
    """
    message, type_, code, param = _words(value)
    message = message[:_MESSAGE_LIMIT]
    if not message:
        summary = f"answered with status {status}" if status else "reported an error"
        message = f"The server {summary} and gave no reason."
    if status is None or status < 400:
        status = _status_in(value)
    kind = _kind(status, type_, code, message)
    return WireError(kind, message, STATUS[kind] if status is None else status, code or type_, param)


def _status_in(value: object) -> int | None:
    """The HTTP status that many servers repeat as a number in ``code`` or ``status``."""
    inner = value.get("error", value) if isinstance(value, dict) else None
    if not isinstance(inner, dict):
        return None
    numbers = (inner.get("code"), inner.get("status"), inner.get("status_code"))
    return next((n for n in map(_number, numbers) if 400 <= n < 600), None)


def _number(value: object) -> int:
    """A number, also one that is written as text; 0: it is none."""
    if isinstance(value, str):
        return int(value) if len(value) == 3 and value.isdecimal() else 0
    return value if isinstance(value, int) else 0


def _words(value: object) -> tuple[str, str | None, str | None, str | None]:
    """Message, type, code and param of whatever stands there."""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, str):
        return value.strip(), None, None, None
    if not isinstance(value, dict):
        return "", None, None, None
    inner = value.get("error")
    if isinstance(inner, dict):
        value = inner
    elif isinstance(inner, str):
        words = _word(value, "message", "error_description") or inner
        return words, _word(value, "type"), _word(value, "code"), None
    message = _word(value, "message", "msg", "detail", "error_msg", "title") or _validation(value)
    return message or "", _word(value, "type"), _word(value, "code", "status"), _word(value, "param")


def _word(value: dict[str, Any], *names: str) -> str | None:
    for name in names:
        found = value.get(name)
        if isinstance(found, str) and found:
            return found
    return None


def _validation(value: dict[str, Any]) -> str | None:
    """FastAPI's list of what was wrong with the request."""
    detail = value.get("detail")
    if not isinstance(detail, list):
        return None
    placed = [entry for entry in detail if isinstance(entry, dict) and isinstance(entry.get("loc"), list)]
    lines = [f"{'.'.join(map(str, entry['loc']))}: {entry.get('msg')}" for entry in placed]
    return "; ".join(lines) or None


def _kind(status: int | None, type_: str | None, code: str | None, message: str) -> ErrorKind:
    for word in (code, type_):
        if word and word.lower() in KIND_BY_WORD:
            return KIND_BY_WORD[word.lower()]
    if status is None:
        broad = (code or "").lower(), (type_ or "").lower()
        kind = next((KIND_BY_BROAD_WORD[word] for word in broad if word in KIND_BY_BROAD_WORD), None)
        kind = kind or ("overloaded" if _OVERLOADED.search(message) else "internal")
    else:
        kind = kind_of_status(status)
    if kind == "invalid_request" and is_context_length(message):
        return "context_length"
    return kind


def _wait_in(message: str) -> float | None:
    """Seconds, of OpenAI's sentence "Please try again in 1m7.66s."."""
    found = _WAIT.search(message)
    if found is None or not (found[1] or found[2]):
        return None
    part = float(found[2] or 0)
    return int(found[1] or 0) * 60 + (part / 1000 if (found[3] or "").lower() == "ms" else part)


def is_chunk(values: Mapping[str, object]) -> bool:
    """Whether an object of a stream is a chunk. One that has but an ``id``, or a ``type`` of its own, is
    taken for something new, unless it looks like an error.

    :param values: its members.
    """
    if not _OF_A_CHUNK.isdisjoint(values):
        return True
    return ("type" in values or "id" in values) and OF_AN_ERROR.isdisjoint(values)


def not_an_answer(value: object, why: str) -> UpstreamFault:
    """The fault of an object that is no answer and no chunk: the error that it reports, if it has one.

    :param why: what is missing.
    """
    reports = isinstance(value, dict) and (value.get("error") or any(map(value.get, OF_AN_ERROR)))
    if reports and not (isinstance(value, dict) and _is_message(value.get("message"))):
        return UpstreamFault(error_from(value), retryable=True)
    return bad_answer(why)


def _is_message(value: object) -> bool:
    """Whether it is a model's message, and no sentence about an error."""
    return isinstance(value, dict) and "content" in value


def no_chunk(value: object) -> UpstreamFault:
    """The fault of an object in a stream for which :func:`is_chunk` is false."""
    return not_an_answer(value, "The vendor's stream has an object that is no part of an answer.")


def usage_of(
    body: Mapping[str, Any], prompt: str, answer: str, tier: object = None, *, extras: bool = False
) -> Usage:
    """OpenAI's counts, in which the input includes what was cached, as our disjoint classes.

    Also as DeepSeek (``prompt_cache_hit_tokens``) and Kimi (``cached_tokens``) report what was cached.
    Servers that leave reasoning out of the output (xAI, Gemini's compatible endpoint) are known by their
    total.

    :param prompt: the member that counts the input; ``answer``: the one that counts the output.
    :param tier: the answer's ``service_tier``.
    :param extras: whether counts that we have no place for are kept.
    """
    if prompt not in body and answer not in body:
        # Servers have the one dialect's names in the other's answers.
        prompt, answer = _OTHERS.get(prompt, prompt), _OTHERS.get(answer, answer)
    details = {name: _object(body.get(name)) for name in (f"{prompt}_details", f"{answer}_details")}
    before, after = details.values()
    cached = _count(before.pop("cached_tokens", None))
    cached = cached or _count(body.get("prompt_cache_hit_tokens")) or _count(body.get("cached_tokens"))
    written = _count(before.pop("cache_write_tokens", None))
    reasoning = _count(after.pop("reasoning_tokens", None))
    whole, output, total = _count(body.get(prompt)), _count(body.get(answer)), body.get("total_tokens")
    cached = min(cached, whole)
    written = min(written, whole - cached)
    if reasoning and total == whole + output + reasoning:
        output += reasoning
    rest: dict[str, Json] = {}
    if extras:
        known = (prompt, answer, "total_tokens", *details)
        rest = {name: to_raw(one) for name, one in body.items() if name not in known and one is not None}
        rest |= {name: to_raw(one) for name, one in details.items() if any(one.values())}
    served = tier_of(tier) if isinstance(tier, str) else ""
    return Usage(whole - cached - written, cached, written, output, min(reasoning, output), rest, tier=served)


def total_input(usage: Usage) -> int:
    """All tokens of the prompt, as OpenAI counts them."""
    return usage.input + usage.cache_read + usage.cache_write


def chat_usage(body: Mapping[str, Any], tier: object = None) -> Usage:
    """``usage`` of chat and completions."""
    return usage_of(body, "prompt_tokens", "completion_tokens", tier, extras=True)


def _count(value: object) -> int:
    if isinstance(value, str) and value.isdecimal() and len(value) < 16:
        return int(value)
    return max(0, int(value)) if isinstance(value, int | float) else 0


def _object(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def chat_usage_body(usage: Usage, *, extras: bool = False) -> dict[str, Any]:
    """``usage`` as chat and completions report it; the prompt includes what was cached.

    :param extras: whether the usage's extras are this dialect's own.
    """
    prompt = total_input(usage)
    prompt_details: dict[str, Any] = {"cached_tokens": usage.cache_read}
    if usage.cache_write:
        prompt_details["cache_write_tokens"] = usage.cache_write
    body: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output,
        "total_tokens": prompt + usage.output,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
    for name, raw in usage.extras.items() if extras else ():
        body[name] = {**_object(loads(raw)), **body[name]} if name in _DETAILS else raw
    return body


def error_event(error: WireError) -> bytes:
    """``data: {"error": ...}``: chat and completions; Responses has its own."""
    return b"data: " + error_body(error) + b"\n\n"


def count_body(tokens: int) -> bytes:
    """The answer to a client's counting request (``InputTokenCountResponse``)."""
    return encode({"object": "response.input_tokens", "input_tokens": tokens})


def responses_usage(body: Mapping[str, Any], tier: object = None) -> Usage:
    """``usage`` of Responses."""
    return usage_of(body, "input_tokens", "output_tokens", tier)


def responses_usage_body(usage: Usage) -> dict[str, Any]:
    """``usage`` as Responses reports it; the types want all details."""
    given = total_input(usage)
    cached = {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write}
    return {
        "input_tokens": given,
        "input_tokens_details": cached,
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": given + usage.output,
    }
