"""Gemini's errors, both ways."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from ampproxy.dialects.gemini import DIALECT
from ampproxy.errors import STATUS, UpstreamFault
from ampproxy.model.events import ErrorKind, WireError


def body(code: Any, status: str | None, message: str = "m", details: Any = None) -> bytes:
    error: dict[str, Any] = {"code": code, "message": message, "status": status, "details": details}
    return json.dumps({"error": {name: value for name, value in error.items() if value is not None}}).encode()


@pytest.mark.parametrize(
    ("http", "error", "kind"),
    [
        (400, body(400, "INVALID_ARGUMENT"), "invalid_request"),
        (400, body(400, "FAILED_PRECONDITION"), "invalid_request"),
        (
            400,
            body(400, "INVALID_ARGUMENT", "API key not valid.", [{"reason": "API_KEY_INVALID"}]),
            "authentication",
        ),
        (
            400,
            body(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens"),
            "context_length",
        ),
        (401, body(401, "UNAUTHENTICATED"), "authentication"),
        (403, body(403, "PERMISSION_DENIED"), "permission"),
        (404, body(404, "NOT_FOUND"), "not_found"),
        (429, body(429, "RESOURCE_EXHAUSTED"), "rate_limit"),
        (500, body(500, "INTERNAL"), "internal"),
        (503, body(503, "UNAVAILABLE"), "overloaded"),
        (504, body(504, "DEADLINE_EXCEEDED"), "timeout"),
    ],
)
def test_kinds(http: int, error: bytes, kind: str) -> None:
    """Google's codes and reasons become kinds; a bad key is a 400 at Google."""
    found = DIALECT.parse_error(http, {}, error)
    assert (found.kind, found.status) == (kind, http)


def test_retry_info() -> None:
    """Google tells the delay in the body; a header counts when it does not."""
    info = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "38.5s"}]
    error = body(429, "RESOURCE_EXHAUSTED", details=info)
    assert DIALECT.parse_error(429, {"retry-after": "3"}, error).retry_after == 38.5
    assert DIALECT.parse_error(429, {"retry-after": "3"}, body(429, None)).retry_after == 3


@pytest.mark.parametrize("kind", get_args(ErrorKind))
def test_there_and_back(kind: ErrorKind) -> None:
    """Each kind is said with a number and a status that Google has, and its delay survives."""
    error = WireError(kind, "words", STATUS[kind], retry_after=7)
    sent = json.loads(DIALECT.error_body(error))
    assert isinstance(sent["error"]["code"], int)
    again = DIALECT.parse_error(error.status, {}, DIALECT.error_body(error))
    assert (again.message, again.retry_after, again.status) == ("words", 7, error.status)


def test_foreign_codes_are_not_said() -> None:
    """A code of another vendor is no status of Google's; Google's own goes through."""
    foreign = WireError("rate_limit", "m", 429, code="rate_limit_exceeded")
    own = WireError("invalid_request", "m", 400, code="FAILED_PRECONDITION")
    assert json.loads(DIALECT.error_body(foreign))["error"]["status"] == "RESOURCE_EXHAUSTED"
    assert json.loads(DIALECT.error_body(own))["error"]["status"] == "FAILED_PRECONDITION"


def test_keys_in_messages_are_hidden() -> None:
    """Google quotes a suspended key; nobody is shown it."""
    error = body(403, "PERMISSION_DENIED", "Consumer 'api_key:AIzaSyD-1234567890abcdef' has been suspended.")
    message = DIALECT.parse_error(403, {}, error).message
    assert "AIza" not in message
    assert "suspended" in message


def test_event_has_error_first() -> None:
    """Google's SDK looks at the first member."""
    event = DIALECT.error_event(WireError("internal", "m", 500))
    assert event.startswith(b'data: {"error":')
    assert event.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("answer", [b"", b"{}", b'{"totalTokens":"x"}', b'{"totalTokens":-1}', b"[1]"])
def test_counts_that_are_none(answer: bytes) -> None:
    """An answer without a count is the vendor's fault."""
    with pytest.raises(UpstreamFault):
        DIALECT.parse_count(answer)


@pytest.mark.parametrize("answer", [b"", b"{}", b"[]", b'{"candidates":5}'])
def test_answers_that_are_none(answer: bytes) -> None:
    """So is one that is no answer at all."""
    with pytest.raises(UpstreamFault):
        DIALECT.parse_response(answer)


def test_an_error_as_answer() -> None:
    """An error with status 200 is raised as what it says."""
    with pytest.raises(UpstreamFault) as caught:
        DIALECT.parse_response(body(503, "UNAVAILABLE", "Busy"))
    assert caught.value.error.status == 503
