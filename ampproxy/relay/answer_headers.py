"""The headers of a vendor's answer that go to the client."""

from __future__ import annotations

from twisted.web.http_headers import Headers

from ampproxy.dialects.errors import retry_after
from ampproxy.http.headers import those_of
from ampproxy.wire.headers import vendor_headers
from ampproxy.wire.redact import Redactor

#: Response headers of a vendor that a client can use.
_USEFUL = (
    b"retry-after",
    b"retry-after-ms",
    b"request-id",
    b"x-request-id",
    b"x-should-retry",
    b"openai-processing-ms",
)
#: Has nginx pass the events of a stream on as they come, whatever its configuration says; it takes it out.
UNBUFFERED = b"X-Accel-Buffering", [b"no"]
#: Those that say how long to wait, and how many of their units are a second.
_WAITS = {b"retry-after": 1, b"retry-after-ms": 1000}


def useful_headers(headers: Headers, *, longest_wait: float, wall: float) -> list[tuple[bytes, bytes]]:
    """A vendor's headers that every client gets.

    :param longest_wait: seconds that a client may be told to wait, whatever the vendor says.
    :param wall: seconds since the epoch.
    """
    found = []
    for name, values in those_of(headers, _USEFUL):
        value = values[-1] if name not in _WAITS else _bounded(name, values[-1], longest_wait, wall)
        if value:
            found.append((name, value))
    return found


def _bounded(name: bytes, value: bytes, longest: float, wall: float) -> bytes:
    wait = retry_after({name.decode(): value.decode("latin-1")}, wall)
    if wait is None:
        return b""  # no time that anybody could read
    return value if wait <= longest else b"%d" % (longest * _WAITS[name])


def other_headers(headers: Headers, redactor: Redactor) -> list[tuple[bytes, bytes]]:
    """The rest of a vendor's headers, as far as they are for a client (setting: ``passthrough-headers``);
    names in lower case.
    """
    found = ((name, value) for name, values in headers.getAllRawHeaders() for value in values[-1:])
    return [
        (name.lower(), redactor.known(value.decode("latin-1")).encode("latin-1", "replace"))
        for name, value in vendor_headers(found)
        if name.lower() not in _USEFUL
    ]


def type_of_stream(headers: Headers, *, listed: bool) -> bytes:
    """What a stream is called: as its vendor says, unless that is what it is not.

    :param listed: whether it is a JSON list, as Gemini's streams may be, and not server-sent events.
    """
    kind = _kind(headers)
    if listed:
        return b"application/json" if not kind or _is_events(kind) else kind
    return kind if _is_events(kind) else b"text/event-stream"


def type_of_whole(headers: Headers) -> bytes:
    """What a whole answer is called: as its vendor says, unless that says that it is a stream."""
    kind = _kind(headers)
    return b"application/json" if not kind or _is_events(kind) else kind


def _kind(headers: Headers) -> bytes:
    values = headers.getRawHeaders(b"content-type")
    return values[-1] if values else b""


def _is_events(kind: bytes) -> bool:
    return kind.lstrip()[:17].lower() == b"text/event-stream"
