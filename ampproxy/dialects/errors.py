"""What the errors of all vendors have in common: statuses, words that mean the same, retry hints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, TypeVar

import msgspec

from ampproxy.dialects.json import Decoder, read_answer
from ampproxy.model.events import ErrorKind
from ampproxy.wire.headers import http_date

T = TypeVar("T")


def by_word(words: Mapping[T, str]) -> dict[str, T]:
    """What each word means, of the words of each meaning, with blanks between them."""
    return {word: meaning for meaning, listed in words.items() for word in listed.split()}


#: HTTP status -> kind; others by :func:`kind_of_status`.
KINDS: Final[dict[int, ErrorKind]] = {
    400: "invalid_request",
    401: "authentication",
    402: "billing",
    403: "permission",
    404: "not_found",
    405: "invalid_request",
    408: "timeout",
    409: "invalid_request",
    413: "too_large",
    422: "invalid_request",
    424: "unavailable",
    429: "rate_limit",
    499: "unavailable",
    500: "internal",
    501: "not_implemented",
    502: "unavailable",
    503: "overloaded",
    504: "timeout",
    524: "timeout",
    529: "overloaded",
}

#: Words by which vendors report that a prompt is too long; none of them has a status for it.
_TOO_LONG = re.compile(
    r"context[ _]length|context[ _]window|prompt is too long|maximum context"
    r"|input token count [^\n]{0,200}exceeds|exceeds? the maximum number of tokens"
    r"|input length and .?max_tokens.? exceed",
    re.IGNORECASE,
)
#: So much of a vendor's message is searched for words: its sentences begin with what they are about.
SEARCHED = 4096
#: Characters of a foreign error body that are shown.
_LONGEST_SENTENCE: Final = 500
#: The title of a page; a title has no markup.
_TITLE = re.compile(r"<title(?:\s[^<>]*)?>([^<]*)", re.IGNORECASE)


class _Count(msgspec.Struct):
    input_tokens: Annotated[int, msgspec.Meta(ge=0)]


_COUNT: Final = Decoder(_Count)


def parse_count(body: bytes) -> int:
    """Input tokens, of the answer to a counting request of Anthropic's or OpenAI's."""
    return read_answer(_COUNT, body, "token count").input_tokens


def kind_of_status(status: int) -> ErrorKind:
    """What an HTTP status means."""
    if kind := KINDS.get(status):
        return kind
    return "invalid_request" if 400 <= status < 500 else "internal"


def is_context_length(message: str) -> bool:
    """Whether a vendor's refusal means that the prompt does not fit the model."""
    return _TOO_LONG.search(message, 0, SEARCHED) is not None


def plain_message(status: int, body: bytes) -> str:
    """A public sentence for an error body that is not the dialect's (a gateway's HTML, nothing).

    Markup is left out: a client shows the message to a person.
    """
    text = body[:20_000].decode("utf-8", "replace")
    if text.lstrip().startswith("<"):
        found = _TITLE.search(text)
        text = found.group(1) if found else ""
    text = " ".join(text.split())[:_LONGEST_SENTENCE]
    return (
        f"HTTP {status}: {text}" if text else f"The vendor answered with HTTP status {status} and no reason."
    )


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds until another try makes sense, or ``None``. Never raises, never negative.

    Reads ``retry-after-ms``, and ``retry-after`` as seconds or as an HTTP date (RFC 9110, 10.2.3).

    :param headers: with lower-case names.
    :param now: seconds since the epoch, for a date; if ``None``, the answer's own ``date`` header.
    """
    if (millis := _number(headers.get("retry-after-ms"))) is not None:
        return max(0.0, millis / 1000)
    value = headers.get("retry-after")
    if (seconds := _number(value)) is not None:
        return max(0.0, seconds)
    until = http_date(value)
    start = http_date(headers.get("date")) if now is None else now
    return max(0.0, until - start) if until is not None and start is not None else None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if abs(number) < 1e12 else None
