"""What all dialects share: reading JSON with errors that name the member, statuses, retry hints, names.

No wire format of any one dialect is known here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NoReturn, TypeVar

import msgspec

from ampproxy.adapt.names import ToolNameMap as ToolNameMap
from ampproxy.adapt.names import Unique as Unique
from ampproxy.adapt.names import shorten as shorten
from ampproxy.errors import ClientFault, UnreadableAnswer
from ampproxy.model.base import Json
from ampproxy.model.events import ErrorKind
from ampproxy.model.loss import Losses as Losses
from ampproxy.wire.headers import http_date
from ampproxy.wire.json import BAD_JSON
from ampproxy.wire.values import ENCODER as ENCODER
from ampproxy.wire.values import NULL as NULL
from ampproxy.wire.values import Members as Members
from ampproxy.wire.values import bytes_of, whole_surrogates
from ampproxy.wire.values import encode as encode
from ampproxy.wire.values import is_object as is_object
from ampproxy.wire.values import loads as loads
from ampproxy.wire.values import object_or_empty as object_or_empty
from ampproxy.wire.values import raw_str as raw_str
from ampproxy.wire.values import raw_text as raw_text
from ampproxy.wire.values import text_of as text_of
from ampproxy.wire.values import to_raw as to_raw
from ampproxy.wire.values import without_nulls as without_nulls

T = TypeVar("T")

_MEMBERS: Final = msgspec.json.Decoder(Members)
_ITEMS: Final = msgspec.json.Decoder(list[Json])

# --------------------------------------------------------------------------------------- reading


def read_request(decoder: msgspec.json.Decoder[T], body: bytes | Json, at: str = "") -> T:
    """Decode a client's JSON, which is not copied.

    :param at: where ``body`` stands in the whole request (``messages[3]``), for the message.
    :raises ampproxy.errors.ClientFault: it is not JSON, or a member has the wrong type; ``param`` and
        the message name it.
    """
    try:
        if not at and not (whole := bytes_of(body)).isascii():
            # What is not interpreted here would otherwise fail later, or reach a vendor as it is.
            whole.decode()
        return decoder.decode(body)
    except BAD_JSON as problem:
        if fixed := whole_surrogates(bytes_of(body)):
            return read_request(decoder, fixed, at)
        path, why = explain(problem, at)
    return bad_request(path, why)


def read_answer(decoder: msgspec.json.Decoder[T], body: bytes, what: str = "answer") -> T:
    """Decode a vendor's JSON.

    :param what: names the thing in the message: ``answer``, ``event``.
    :raises ampproxy.errors.UpstreamFault: it is not what the dialect promises.
    """
    try:
        return decoder.decode(body)
    except BAD_JSON as problem:
        if fixed := whole_surrogates(body):
            return read_answer(decoder, fixed, what)
        path, why = explain(problem)
        where = f" at {path}" if path else ""
    raise bad_answer(f"The vendor's {what} could not be read{where}: {why}")


def bad_request(path: str, why: str) -> NoReturn:
    """Refuse a client's request.

    :param path: the member, as the client wrote it; empty for the whole body.
    :param why: what is wrong and what was expected.
    :raises ampproxy.errors.ClientFault: always.
    """
    message = f"{path}: {why}" if path else f"The request body is not valid: {why}"
    raise ClientFault.of("invalid_request", message, param=path or None)


def bad_answer(message: str) -> UnreadableAnswer:
    """The fault of a vendor whose answer is not one; to be raised."""
    return UnreadableAnswer(message)


def no_answer() -> UnreadableAnswer:
    """The fault of a stream that ended in order, and told nothing; to be raised."""
    return bad_answer("The vendor ended its stream without an answer.")


def explain(problem: BaseException, at: str = "") -> tuple[str, str]:
    """The member and the reason, of anything that reading JSON raises.

    ``Expected `str`, got `int` - at `$.messages[0].role``` gives ``messages[0].role`` and the rest.
    """
    if isinstance(problem, RecursionError):
        return at, "It is nested too deeply."
    why, _, path = str(problem).partition(" - at `$")
    path = path.rstrip("`").replace("[...]", "[]")
    path = at + path if at else path.removeprefix(".")
    return path, why.replace("`", "'")


def members(raw: bytes | Json, at: str = "") -> Members:
    """The members of a JSON object, uninterpreted.

    :raises ampproxy.errors.ClientFault: it is not an object.
    """
    return read_request(_MEMBERS, raw, at)


def members_again(body: bytes) -> Members:
    """The members of a request that :func:`read_request` has found to be an object in UTF-8: it is not
    looked through for that a second time.
    """
    try:
        return _MEMBERS.decode(body)
    except BAD_JSON:
        return members(body)


def items(raw: bytes | Json, at: str = "") -> list[Json]:
    """The items of a JSON array, uninterpreted.

    :raises ampproxy.errors.ClientFault: it is not an array.
    """
    return read_request(_ITEMS, raw, at)


# ---------------------------------------------------------------------------- errors and statuses

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

#: Words by which vendors say that a prompt is too long; none of them has a status for it.
_TOO_LONG = re.compile(
    r"context[ _]length|context[ _]window|prompt is too long|maximum context"
    r"|input token count [^\n]{0,200}exceeds|exceeds? the maximum number of tokens"
    r"|input length and .?max_tokens.? exceed",
    re.IGNORECASE,
)
#: So much of a vendor's message is searched for words: its sentences begin with what they are about.
SEARCHED = 4096


def kind_of_status(status: int) -> ErrorKind:
    """What an HTTP status says."""
    if kind := KINDS.get(status):
        return kind
    return "invalid_request" if 400 <= status < 500 else "internal"


def is_context_length(message: str) -> bool:
    """Whether a vendor's refusal means that the prompt does not fit the model."""
    return _TOO_LONG.search(message, 0, SEARCHED) is not None


#: Characters of a foreign error body that are shown.
_LONGEST_SENTENCE: Final = 500

#: The title of a page; a title has no markup.
_TITLE = re.compile(r"<title(?:\s[^<>]*)?>([^<]*)", re.IGNORECASE)


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


#: A vendor's id that is longer is not taken over: each event of a stream may repeat it.
LONGEST_ID: Final = 256
#: Bytes of members that each event of a stream may repeat.
_MOST_REPEATED: Final = 2048


def repeated(extras: Mapping[str, Json]) -> dict[str, Json]:
    """Those of an answer's members that each event of its stream may repeat: all that any vendor gives.

    What is large and told once must not be sent ten thousand times.
    """
    kept: dict[str, Json] = {}
    room = _MOST_REPEATED
    for name, raw in extras.items():
        room -= len(name) + len(bytes_of(raw))
        if room >= 0:
            kept[name] = raw
    return kept
