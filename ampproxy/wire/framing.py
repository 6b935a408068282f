"""The first lines of a message and where its body ends, as strictly as RFC 9112 allows.

Two servers that disagree about these take one message for two (request smuggling). Whatever could be read in
two ways is refused, never repaired.
"""

from __future__ import annotations

from collections.abc import Sequence

from ampproxy.wire.headers import CONNECTION, CREDENTIALS
from ampproxy.wire.late import LatePattern

#: The longest body that anybody can mean, in bytes: up to here JavaScript's numbers are exact.
MAX_LENGTH = 2**53
#: Digits of a length, leading zeros included, before it is looked at.
MAX_DIGITS = 20

#: A number with fewer digits is below :data:`MAX_LENGTH`.
_SURELY = 16

#: What is in no line: all of C0 but the tab, and DEL (RFC 9110, section 5.5).
CONTROLS = bytes(byte for byte in (*range(32), 127) if byte != 9)
_PRINTABLE = bytes(range(32, 127))
_VERSION = LatePattern(rb"HTTP/[0-9]\.[0-9]")
_NAME = LatePattern(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STATUS_LINE = LatePattern(rb"HTTP/1\.[0-9] [1-9][0-9][0-9](?: [^\x00-\x08\x0a-\x1f\x7f]*)?")
#: A carriage return at the end may be half of a line's end.
_CONTROL = LatePattern(rb"[\x00-\x08\x0a-\x0c\x0e-\x1f\x7f]|\r(?!\Z)")

#: What no trailer may bring: framing, routing, credentials, and how the body is to be read (RFC 9110,
#: section 6.5.1).
NO_TRAILERS = (
    CONNECTION
    | CREDENTIALS
    | {
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"cookie",
        b"expect",
        b"host",
    }
    | {b"proxy-authorization", b"set-cookie"}
)


class BadMessage(Exception):
    """A message that is not valid HTTP/1.1, or can be read in more ways than one.

    :ivar status: for a client that sent it.
    :ivar words: what it has, as the end of a sentence that begins with ``It has``; public.
    """

    def __init__(self, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.words = words
        self.status = status


def is_name(text: bytes) -> bool:
    """Whether a header may be called so."""
    return _NAME.fullmatch(text) is not None


def check_request_line(line: bytes) -> None:
    """Look at a request's first line, without its end.

    :raises BadMessage: it is none of HTTP/1.0 or HTTP/1.1 (status 505 for another version).
    """
    if line.translate(None, _PRINTABLE):
        raise BadMessage("bytes in its first line that are not printable ASCII")
    if line.endswith((b" HTTP/1.1", b" HTTP/1.0")):
        return
    if line.count(b" ") == 2 and _VERSION.fullmatch(line.rpartition(b" ")[2]):
        raise BadMessage("another version than HTTP/1.1 and HTTP/1.0", 505)
    raise BadMessage("a first line that does not end in HTTP/1.1 or HTTP/1.0")


def check_field_line(line: bytes) -> None:
    """Look at the line of one header, without its end. Its name is looked at only if something is wrong.

    :raises BadMessage: it continues the line before (RFC 9112, section 5.2), or holds a control character.
    """
    if line[0] in b" \t":
        raise BadMessage("a header that continues on a second line")
    if len(line.translate(None, CONTROLS)) != len(line):
        raise BadMessage("a control character, or a line end that is not CR LF, in a header")


def check_trailer(line: bytes) -> None:
    """Look at one trailer, without its line's end.

    :raises BadMessage: it is no header, or one that belongs before the body.
    """
    check_field_line(line)
    name, colon, _ = line.partition(b":")
    if not colon or not is_name(name):
        raise BadMessage("a trailer that is not a header")
    if name.lower() in NO_TRAILERS:
        raise BadMessage("a trailer that belongs before the body")


def check_begun(part: bytes) -> None:
    """Look at a line that has not ended yet, or at its last bytes.

    :raises BadMessage: it holds what no line may hold, so that its end need not be awaited.
    """
    if _CONTROL.search(part):
        raise BadMessage("a control character, or a line end that is not CR LF, before its body")


def check_request_length(value: bytes) -> None:
    """Look at a ``Content-Length`` of a request.

    :raises BadMessage: it is not one plain number (status 413 for one beyond all bounds).
    """
    if not value.isdigit():
        raise BadMessage("a Content-Length that is not one plain number")
    if len(value) > MAX_DIGITS:
        raise BadMessage(f"a Content-Length of more than {MAX_DIGITS} digits", 413)


def check_request_coding(value: bytes, version: bytes) -> None:
    """Look at a ``Transfer-Encoding`` of a request.

    :raises BadMessage: it is not ``chunked`` alone, or of HTTP/1.0, which has none (RFC 9112, section 6.1).
    """
    if value.lower() != b"chunked":
        raise BadMessage("a Transfer-Encoding that is not chunked alone")
    if version != b"HTTP/1.1":
        raise BadMessage("a Transfer-Encoding, which HTTP/1.0 does not have")


def check_status_line(line: bytes) -> None:
    """Look at the first line of an answer, without its end.

    :raises BadMessage: it is not HTTP/1's.
    """
    if not _STATUS_LINE.fullmatch(line):
        controls = len(line.translate(None, CONTROLS)) != len(line)
        raise BadMessage(f"a first line that {'has a control character' if controls else 'is not HTTP/1.1'}")


def answer_length(codings: Sequence[bytes], lengths: Sequence[bytes]) -> int | None:
    """The length that an answer gives of its body, in bytes; ``None``: chunked, or until the connection ends.

    :param codings: all values of ``Transfer-Encoding``.
    :param lengths: those of ``Content-Length``. One length may come several times (RFC 9112, section 6.3).
    :raises BadMessage: it has both, several lengths, or one that is no number, or a coding that is not
        ``chunked`` alone.
    """
    if not codings and len(lengths) == 1 and lengths[0].isdigit() and len(lengths[0]) < _SURELY:
        return int(lengths[0])
    values = {value.strip() for line in lengths for value in line.split(b",")}
    if codings and values:
        raise BadMessage("both a Transfer-Encoding and a Content-Length")
    if codings and [coding.lower() for coding in codings] != [b"chunked"]:
        raise BadMessage("a Transfer-Encoding that is not chunked alone")
    if not values:
        return None
    if len(values) > 1:
        raise BadMessage("several Content-Lengths")
    (value,) = values
    if not value.isdigit() or len(value) > MAX_DIGITS or int(value) > MAX_LENGTH:
        raise BadMessage("a Content-Length that is not one plain number")
    return int(value)
