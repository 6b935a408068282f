"""What all dialects share: reading JSON with errors that name the member, statuses, retry hints, names.

No wire format of any one dialect is known here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from ampproxy.errors import ClientFault, UnreadableAnswer
from ampproxy.model.base import Json
from ampproxy.model.events import ErrorKind
from ampproxy.model.loss import Losses as Losses
from ampproxy.wire.headers import http_date

T = TypeVar("T")

#: Writes JSON; ``encode(value) -> bytes``. ``Raw`` values are written as they came.
ENCODER: Final = msgspec.json.Encoder()
encode = ENCODER.encode

#: A JSON object of which no member is interpreted.
Members = dict[str, Json]

_MEMBERS: Final = msgspec.json.Decoder(Members)
_ITEMS: Final = msgspec.json.Decoder(list[Json])
_ANY: Final = msgspec.json.Decoder()
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_TEXT: Final = msgspec.json.Decoder(str)

#: All that msgspec raises for bad input: malformed or mistyped JSON, bad UTF-8, nesting without end.
_BAD_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)

# --------------------------------------------------------------------------------------- reading


def read_request(decoder: msgspec.json.Decoder[T], body: bytes | Json, at: str = "") -> T:
    """Decode a client's JSON, which is not copied.

    :param at: where ``body`` stands in the whole request (``messages[3]``), for the message.
    :raises ampproxy.errors.ClientFault: it is not JSON, or a member has the wrong type; ``param`` and
        the message name it.
    """
    try:
        if not at and not (whole := _bytes(body)).isascii():
            # What is not interpreted here would otherwise fail later, or reach a vendor as it is.
            whole.decode()
        return decoder.decode(body)
    except _BAD_JSON as problem:
        if fixed := _whole_surrogates(_bytes(body)):
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
    except _BAD_JSON as problem:
        if fixed := _whole_surrogates(body):
            return read_answer(decoder, fixed, what)
        path, why = explain(problem)
        where = f" at {path}" if path else ""
    raise bad_answer(f"The vendor's {what} could not be read{where}: {why}")


#: Backslashes that escape one another, a pair of surrogates, or half of one: in this order, so that a
#: half is one only where nothing else began.
_HALVES = re.compile(
    rb"(?:\\\\)+|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_INSTEAD: Final = rb"\ufffd"


def _whole_surrogates(body: bytes) -> bytes | None:
    """The JSON text with U+FFFD for every escaped half of a surrogate pair; ``None``: there is none.

    JavaScript cuts strings in the middle of a character and writes the halves as escapes. The decoder
    refuses them, and a whole thread must not fail for half an emoji.
    """
    first = _HALF.search(body)
    if first is None:
        return None
    # In place, one escape for another of its length: bodies are large, and may be made of nothing else.
    fixed = bytearray(body)
    for found in _HALVES.finditer(body):
        if found[1]:
            fixed[found.start() : found.end()] = _INSTEAD
    return bytes(fixed) if fixed != body else None


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
    except _BAD_JSON:
        return members(body)


def items(raw: bytes | Json, at: str = "") -> list[Json]:
    """The items of a JSON array, uninterpreted.

    :raises ampproxy.errors.ClientFault: it is not an array.
    """
    return read_request(_ITEMS, raw, at)


def loads(raw: bytes | Json, default: Any = None) -> Any:
    """Plain Python values of JSON text; ``default`` where it is not JSON. Never raises."""
    try:
        return _ANY.decode(raw)
    except _BAD_JSON:
        fixed = _whole_surrogates(_bytes(raw))
        return loads(fixed, default) if fixed else default


def text_of(raw: bytes | Json) -> str | None:
    """The text of a JSON string; ``None`` for anything else. Never raises."""
    try:
        return _TEXT.decode(raw)
    except _BAD_JSON:
        return None


def is_object(text: str | bytes) -> bool:
    """Whether this is the text of a JSON object."""
    try:
        _OBJECT.decode(text)
    except _BAD_JSON:
        return False
    return True


def object_or_empty(text: str) -> Json:
    """The text of a JSON object for a dialect that wants arguments as an object.

    Arguments that are not an object (a model's slip, cut off by a limit) are kept under ``_raw``,
    so that the vendor accepts the thread and the model sees what it wrote.
    """
    if not text.strip():
        return raw_text("{}")
    if is_object(text):
        return raw_text(text)
    fixed = (_whole_surrogates(text.encode("utf-8", "replace")) or b"").decode()
    return raw_text(fixed) if is_object(fixed) else to_raw({"_raw": text})


def to_raw(value: Any) -> Json:
    """A value as uninterpreted JSON."""
    return Json(encode(value))


def raw_text(text: str | bytes) -> Json:
    """JSON text as uninterpreted JSON."""
    return Json(text.encode() if isinstance(text, str) else text)


def raw_str(raw: Json) -> str:
    """The exact text of uninterpreted JSON."""
    return _bytes(raw).decode("utf-8", "replace")


def _bytes(raw: bytes | Json) -> bytes:
    return raw if isinstance(raw, bytes) else bytes(raw)


#: JSON's ``null`` as uninterpreted JSON compares by content.
NULL: Final = Json(b"null")


def without_nulls(found: Members) -> Members:
    """The members that are not ``null``."""
    return {name: value for name, value in found.items() if value != NULL}


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


# --------------------------------------------------------------------------------- names and ids


def shorten(text: str, limit: int) -> str:
    """At most ``limit`` characters: a long text keeps its beginning and gets a mark of the whole.

    The same text gives the same result, so that an id stays itself from request to request.
    """
    if len(text) <= limit:
        return text
    return f"{text[: limit - 9]}_{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:8]}"


class Unique:
    """Gives names of which no two are the same: ``name``, or ``name_2``, ``name_3``, ... : the first that
    was not given yet.

    :param limit: the longest name.
    """

    __slots__ = ("_given", "_limit", "_next")

    def __init__(self, limit: int = 64) -> None:
        self._limit = limit
        self._given: set[str] = set()
        #: The number to go on from, of each name that was asked for more than once: counting up from 2
        #: each time would make many namesakes quadratic.
        self._next: dict[str, int] = {}

    def __call__(self, name: str) -> str:
        """The name to use."""
        candidate = shorten(name, self._limit)
        if candidate in self._given:
            candidate = self._numbered(name)
        self._given.add(candidate)
        return candidate

    def _numbered(self, name: str) -> str:
        number = self._next.get(name, 2)
        while (candidate := self._with(name, f"_{number}")) in self._given:
            number += 1
        self._next[name] = number + 1
        return candidate

    def _with(self, name: str, suffix: str) -> str:
        return shorten(name, self._limit - len(suffix)) + suffix


class ToolNameMap:
    """Tool names that a vendor takes, one for each of the client's names, always the same.

    :param illegal: matches one character that the vendor refuses; each becomes ``_``.
    :param limit: the longest name.
    :param known: names that stay as they are if they are legal: a changed one never takes their place.
    :ivar changed: as sent -> as the client knows it (``Rendered.names``).
    """

    def __init__(self, illegal: str, limit: int, known: Iterable[str] = ()) -> None:
        self._illegal = re.compile(illegal)
        self._limit = limit
        self._sent: dict[str, str] = {}
        self._unique = Unique(limit)
        self.changed: dict[str, str] = {}
        for name in sorted(set(known), key=lambda name: self._legal(name) != name):
            self(name)

    def __call__(self, name: str) -> str:
        """The name to send."""
        sent = self._sent.get(name)
        if sent is None:
            sent = self._sent[name] = self._unique(self._legal(name))
            if sent != name:
                self.changed[sent] = name
        return sent

    def _legal(self, name: str) -> str:
        return shorten(self._illegal.sub("_", name) or "tool", self._limit)


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
        room -= len(name) + len(_bytes(raw))
        if room >= 0:
            kept[name] = raw
    return kept
