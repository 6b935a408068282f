"""Errors, model lists and token counts of Messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Final

from msgspec.structs import replace

from ampproxy.dialects.base import ModelInfo, at_midnight
from ampproxy.dialects.errors import is_context_length, kind_of_status, plain_message, retry_after
from ampproxy.dialects.errors import parse_count as parse_count
from ampproxy.dialects.json import encode, loads
from ampproxy.model.base import ANTHROPIC
from ampproxy.model.events import ErrorKind, WireError

#: ``error.type`` -> kind and the HTTP status that goes with it (the SDK's error classes).
TYPES: Final[dict[str, tuple[ErrorKind, int]]] = {
    "invalid_request_error": ("invalid_request", 400),
    "authentication_error": ("authentication", 401),
    "billing_error": ("billing", 402),
    "permission_error": ("permission", 403),
    "not_found_error": ("not_found", 404),
    "request_too_large": ("too_large", 413),
    "rate_limit_error": ("rate_limit", 429),
    "api_error": ("internal", 500),
    "timeout_error": ("timeout", 504),
    "overloaded_error": ("overloaded", 529),
}

#: By these words agents know that they have to shorten a conversation.
_TOO_LONG: Final = "prompt is too long"
_TYPE_OF: Final[dict[ErrorKind, str]] = {
    "context_length": "invalid_request_error",
    "not_implemented": "api_error",
    "unavailable": "api_error",
    **{kind: name for name, (kind, _) in TYPES.items()},
}
#: Where servers that follow Anthropic write the sentence of an error that is none of its form.
_SENTENCES: Final = ("error", "message", "detail", "msg", "error_msg")
#: What only Anthropic's own models have, where this gateway passes it on.
_OWN = ("citations", "code_execution", "structured_outputs")
_EFFORTS = ("low", "medium", "high", "xhigh", "max")


def error_body(error: WireError) -> bytes:
    """The body of an error response."""
    # The vendor's own word, unless its status says something else.
    own = TYPES.get(error.code or "")
    kind = error.code if own is not None and own[0] == error.kind else _TYPE_OF[error.kind]
    message = error.message
    if error.kind == "context_length" and _TOO_LONG not in message.lower():
        message = f"{_TOO_LONG}: {message}"
    body: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": message}}
    if error.request_id is not None:
        body["request_id"] = error.request_id
    return encode(body)


def error_event(error: WireError) -> bytes:
    """The event that reports an error after the stream began."""
    return b"event: error\ndata: " + error_body(error) + b"\n\n"


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> WireError:
    """What a vendor's error response reports. Never raises.

    The message is the vendor's own sentence. A status of 400 is kept whatever the type is; a
    type that is known decides the kind.
    """
    found = read_error(body)
    if found is None:
        kind = kind_of_status(status)
        found = WireError(kind, plain_message(status, body), status)
    known = TYPES.get(found.code or "")
    kind = found.kind if known or found.kind == "context_length" else kind_of_status(status)
    return replace(
        found,
        kind=kind,
        status=status,
        retry_after=retry_after(headers),
        request_id=headers.get("request-id") or found.request_id,
    )


def read_error(body: bytes) -> WireError | None:
    """The error in an error body or an ``error`` event; ``None``: there is none. Never raises."""
    whole = loads(body)
    member = _error_in(whole)
    if member is None or not isinstance(message := member.get("message"), str):
        return None
    code = found if isinstance(found := member.get("type"), str) else None
    kind, status = TYPES.get(code or "", ("internal", 500))
    if kind == "invalid_request" and is_context_length(message):
        kind = "context_length"
    request = whole.get("request_id")
    if not message.strip():
        named = f" ({code[:60]})" if code else ""
        message = f"The vendor reported an error{named} and gave no reason."
    return WireError(kind, message, status, code, request_id=request if isinstance(request, str) else None)


def _error_in(whole: object) -> dict[str, Any] | None:
    """The ``error`` object, or one made of the sentence that another server wrote in its place."""
    if not isinstance(whole, dict) or isinstance(member := whole.get("error"), dict):
        return member if isinstance(whole, dict) else None
    sentence = next((found for name in _SENTENCES if isinstance(found := whole.get(name), str) and found), "")
    return {"message": sentence} if sentence and whole.get("type") in (None, "error") else None


def model_members(model: ModelInfo) -> dict[str, Any]:
    """A model as the list shows it."""
    created = datetime.fromtimestamp(max(0, min(model.created, 253402300799)), timezone.utc)
    family = model.family
    retires = None if model.lifecycle == "active" or family.retires is None else at_midnight(family.retires)
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.display_name or model.id,
        "created_at": _time(created),
        "lifecycle": model.lifecycle,
        "deprecated_at": None,
        "retires_at": None if retires is None else _time(retires),
        "line": None,
        "max_input_tokens": family.context,
        "max_tokens": family.max_output,
        "capabilities": None if family.input is None or model.thinks is None else _capabilities(model),
        "object": "model",
        "owned_by": model.owned_by,
    }


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _capabilities(model: ModelInfo) -> dict[str, Any]:
    """What a model takes of a client here: ``ModelCapabilities``, all of whose members are always there."""
    family, own = model.family, _supported(model.family.vendor == "anthropic")
    taken = family.input or ()
    return {
        # The gateway has no such calls.
        "batch": _supported(False),
        **dict.fromkeys(_OWN, own),
        "context_management": own,
        "effort": {
            **_supported(bool(family.levels) and bool(model.thinks)),
            **{level: _supported(level in (family.levels or ())) for level in _EFFORTS},
        },
        "image_input": _supported("image" in taken),
        "pdf_input": _supported("pdf" in taken),
        "server_tools": {**own, "code_execution": own, "web_search": own},
        "thinking": {**_supported(bool(model.thinks)), "types": _thinking_types(model)},
    }


def _thinking_types(model: ModelInfo) -> dict[str, Any]:
    """What ``thinking.type`` is taken: a model of another vendor is asked in its own way, whatever it is."""
    family, thinks = model.family, bool(model.thinks)
    own = family.holds_in(ANTHROPIC) and family.thinking is not None
    return {
        "adaptive": _supported(thinks and (not own or family.thinking in ("level", "both"))),
        "enabled": _supported(thinks and (not own or family.thinking in ("budget", "both"))),
        "disabled": _supported(not thinks or not own or family.can_disable is not False),
        "between_tools": _supported(thinks and bool(family.between_tools)),
    }


def _supported(whether: bool) -> dict[str, Any]:
    return {"supported": whether}


def models_body(models: Sequence[ModelInfo]) -> bytes:
    """The list of models, as one page."""
    return encode(
        {
            "data": [model_members(model) for model in models],
            "has_more": False,
            "first_id": models[0].id if models else None,
            "last_id": models[-1].id if models else None,
        }
    )


def count_body(tokens: int) -> bytes:
    """The answer to ``count_tokens``."""
    return encode({"input_tokens": tokens})
