"""Gemini's errors and lists of models: ``google.rpc.Status`` as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ampproxy.dialects.base import ModelInfo, at_midnight
from ampproxy.dialects.errors import by_word, is_context_length, kind_of_status, plain_message
from ampproxy.dialects.errors import retry_after as header_retry_after
from ampproxy.dialects.json import bad_answer, encode, loads
from ampproxy.model.events import ErrorKind, WireError

#: Google's codes (google.rpc.Code) and what they mean.
KINDS: dict[str, ErrorKind] = by_word(
    {
        "invalid_request": "INVALID_ARGUMENT FAILED_PRECONDITION OUT_OF_RANGE ALREADY_EXISTS",
        "authentication": "UNAUTHENTICATED",
        "permission": "PERMISSION_DENIED",
        "not_found": "NOT_FOUND",
        "rate_limit": "RESOURCE_EXHAUSTED",
        "internal": "INTERNAL UNKNOWN DATA_LOSS",
        "unavailable": "ABORTED CANCELLED",
        "overloaded": "UNAVAILABLE",
        "timeout": "DEADLINE_EXCEEDED",
        "not_implemented": "UNIMPLEMENTED",
    }
)
#: The other way round: the first of each, and kinds that have none of their own.
CODES: dict[ErrorKind, str] = {
    **{kind: code for code, kind in reversed(KINDS.items())},
    "context_length": "INVALID_ARGUMENT",
    "too_large": "INVALID_ARGUMENT",
    "billing": "FAILED_PRECONDITION",
    "unavailable": "UNAVAILABLE",
}
_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
_DELAY = re.compile(r"(\d{1,9}(?:\.\d+)?)s")
#: Reasons of ErrorInfo that are more exact than the status: a bad key is a 400 at Google.
_REASONS: dict[str, ErrorKind] = {
    "API_KEY_INVALID": "authentication",
    "ACCESS_TOKEN_EXPIRED": "authentication",
    "BILLING_DISABLED": "billing",
}
#: Google quotes the key itself in some refusals (``Consumer 'api_key:AIza...' has been suspended``).
_KEY = re.compile(r"AIza[0-9A-Za-z_-]{10,}|api_key:[0-9A-Za-z_-]{10,}")


#: Anthropic's status for an overload.
_NOT_GOOGLES = 529
_STAGES = {"deprecated": "DEPRECATED", "retired": "RETIRED"}


def error_body(error: WireError) -> bytes:
    """The JSON body of an error. ``code`` is a number: the SDK breaks on anything else."""
    found: dict[str, Any] = {
        "code": 503 if error.status == _NOT_GOOGLES else error.status,
        "message": error.message,
        "status": error.code if error.code in KINDS else CODES[error.kind],
    }
    if error.retry_after is not None:
        delay = f"{error.retry_after:.3f}".rstrip("0").rstrip(".")
        found["details"] = [{"@type": _RETRY_INFO, "retryDelay": f"{delay}s"}]
    # The SDK knows an error in mid-stream by its being the first member.
    return encode({"error": found})


def error_event(error: WireError, end: bytes = b"\r\n\r\n") -> bytes:
    """The event of an error in mid-stream."""
    return b"data: " + error_body(error) + end


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> WireError:
    """What an error of Google's reports. Never raises.

    :param status: the HTTP status; 0 for an error in mid-stream, which has its code inside.
    """
    found = loads(body)
    if isinstance(found, list) and found:
        found = found[0]
    error = found.get("error") if isinstance(found, dict) else None
    if isinstance(error, str):
        error = {"message": error}
    if not isinstance(error, dict):
        code = status or 502
        message = _KEY.sub("(key)", plain_message(code, body))
        return WireError(kind_of_status(code), message, code, None, None, header_retry_after(headers))
    number = error.get("code")
    if not status:
        status = number if isinstance(number, int) and 400 <= number < 600 else 500
    word = error.get("status") if isinstance(error.get("status"), str) else None
    message = _KEY.sub("(key)", str(error.get("message") or "")) or plain_message(status, b"")
    listed = error.get("details")
    details = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    delay = _delay(details)
    return WireError(
        _kind(status, word, details, message),
        message,
        status,
        word,
        None,
        header_retry_after(headers) if delay is None else delay,
    )


def _kind(status: int, word: str | None, details: list[dict[str, Any]], message: str) -> ErrorKind:
    for entry in details:
        reason = entry.get("reason")
        if isinstance(reason, str) and reason in _REASONS:
            return _REASONS[reason]
    by_status = kind_of_status(status)
    if by_status == "invalid_request" and is_context_length(message):
        return "context_length"
    return KINDS.get(word or "", by_status) if status == 400 else by_status


def _delay(details: list[dict[str, Any]]) -> float | None:
    for entry in details:
        delay = entry.get("retryDelay")
        if isinstance(delay, str) and (match := _DELAY.fullmatch(delay.strip())):
            return float(match.group(1))
    return None


def model_members(model: ModelInfo) -> dict[str, Any]:
    """A model as the API's list shows it."""
    return {
        "name": f"models/{model.id}",
        "baseModelId": model.id,
        "version": model.id,
        "displayName": model.display_name or model.id,
        "description": f"{model.display_name or model.id} ({model.owned_by})",
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
        **{name: value for name, value in _known(model).items() if value is not None},
    }


def _known(model: ModelInfo) -> dict[str, Any]:
    """What may be known of a model; what is not is left out, as the API does."""
    family = model.family
    status: dict[str, Any] = {"modelStage": _STAGES.get(model.lifecycle)}
    if model.lifecycle != "active":
        retires = None if family.retires is None else at_midnight(family.retires)
        status["retirementTime"] = None if retires is None else retires.strftime("%Y-%m-%dT%H:%M:%SZ")
        status["message"] = f"Its successor is {family.successor}." if family.successor else None
    return {
        "inputTokenLimit": family.context,
        "outputTokenLimit": family.max_output,
        "thinking": model.thinks,
        "modelStatus": {name: value for name, value in status.items() if value is not None} or None,
    }


def models_body(models: Sequence[ModelInfo]) -> bytes:
    """The list of models."""
    return encode({"models": [model_members(model) for model in models]})


def parse_count(body: bytes) -> int:
    """Input tokens, from a vendor's answer to a counting request."""
    found = loads(body)
    total = found.get("totalTokens") if isinstance(found, dict) else None
    if not isinstance(total, int) or isinstance(total, bool) or total < 0:
        raise bad_answer("The vendor's answer has no number in totalTokens.")
    return total


def count_body(tokens: int) -> bytes:
    """The answer to a client's counting request."""
    return encode({"totalTokens": tokens})
