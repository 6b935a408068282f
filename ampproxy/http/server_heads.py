"""Heads of requests: llhttp takes them apart, and what it lets through that can be read in two ways is
refused.

Bytes in, values out. A head that came in one read, as nearly all do, goes to llhttp as it is. Of one that
comes in pieces each line is looked at as soon as it is there, so that what can become no request is not
awaited; whole, it takes the same way. So it does not matter how a head was cut.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from ampproxy.http.headers import LowerHeaders
from ampproxy.wire.framing import (
    MAX_DIGITS,
    BadMessage,
    check_begun,
    check_field_line,
    check_request_coding,
    check_request_length,
    check_request_line,
    is_name,
)

_LF = 10
_VERSIONS = (b"HTTP/1.1", b"HTTP/1.0")
#: The largest length that llhttp can hold.
_MAX_LENGTH_BYTES = 2**64 - 1
_END = b"\r\n\r\n"


class HeadTooLarge(BadMessage):
    """A head has more lines, or more bytes, than it may have."""

    def __init__(self) -> None:
        super().__init__("headers that are too many or too large", 431)


class Head(NamedTuple):
    """What stands before the body of a request.

    :ivar target: as it came.
    :ivar version: ``HTTP/1.1`` or ``HTTP/1.0``.
    :ivar length: of its body, in bytes; ``None``: it comes in chunks.
    :ivar keeps: whether the connection may have another request after this one.
    """

    method: bytes
    target: bytes
    version: bytes
    headers: LowerHeaders
    length: int | None
    keeps: bool


class HeadReader:
    """Finds the heads of requests in what a client sends.

    :param most_bytes: of a head, its first line included.
    :param most_headers: lines that may follow its first.
    """

    __slots__ = ("_buffer", "_checked", "_lines", "_most_bytes", "_most_headers", "_skipped")

    def __init__(self, most_bytes: int, most_headers: int) -> None:
        self._most_bytes = most_bytes
        self._most_headers = most_headers
        self._clear()

    def _clear(self) -> None:
        self._buffer = bytearray()
        self._checked = 0
        self._lines: _Lines | None = None
        self._skipped = False

    @property
    def begun(self) -> bool:
        """Whether a part of a head has come."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> tuple[Head, bytes] | None:
        """Take more.

        :return: a head, and what is behind it; ``None``: it has not come whole.
        :raises BadMessage: it is none. Nothing is to be fed any more.
        """
        if not (self._buffer or self._skipped) and data[:1] != b"\r":
            end = data.find(_END) + 4
            if end > 3:
                return (self._read(data), b"") if end == len(data) else (self._read(data[:end]), data[end:])
        return self._add(data)

    def _add(self, data: bytes) -> tuple[Head, bytes] | None:
        buffer = self._buffer
        known = len(buffer)
        buffer += data
        while buffer[:1] == b"\r":
            if not self._skip_empty_line():
                return None
        end = buffer.find(_END, max(0, known - 3)) + 4
        if end > 3:
            head, rest = bytes(buffer[:end]), bytes(buffer[end:])
            self._clear()
            return self._read(head), rest
        if buffer:
            self._look(known)
        return None

    def _skip_empty_line(self) -> bool:
        """Drop the one empty line that may stand before a request (RFC 9112, section 2.2).

        :return: whether it was whole.
        """
        buffer = self._buffer
        if self._skipped or (len(buffer) > 1 and buffer[1] != _LF):
            raise BadMessage("more than one empty line before it")
        if len(buffer) < 2:
            return False
        del buffer[:2]
        self._skipped = True
        return True

    def _look(self, known: int) -> None:
        """Look at the lines that have come, and at the beginning of the one that has not.

        :param known: so many bytes were looked at before.
        """
        if self._lines is None:
            self._lines = _Lines(self._most_bytes, self._most_headers)
        buffer, at = self._buffer, self._checked
        end = buffer.find(b"\r\n", max(at, known - 1))
        while end >= 0:
            self._lines.take(bytes(buffer[at:end]))
            at = end + 2
            end = buffer.find(b"\r\n", at)
        self._checked = at
        # One byte more, for a CR may be half of a line's end.
        self._lines.begin(bytes(buffer[max(at, known - 1) :]), len(buffer) - at)

    def _read(self, head: bytes) -> Head:
        try:
            found, count = _parse(head)
        except BadMessage:
            self._explain(head)
            raise
        if count > self._most_headers or len(head) - 2 > self._most_bytes:
            self._explain(head)
        return found

    def _explain(self, head: bytes) -> None:
        """Find the first line that is wrong.

        :raises BadMessage: there is one.
        """
        lines = _Lines(self._most_bytes, self._most_headers)
        for line in head[:-4].split(b"\r\n"):
            lines.take(line)


class _Lines:
    """Looks at the lines of one head, one after another."""

    __slots__ = ("_count", "_framed", "_left", "_most", "_version")

    def __init__(self, most_bytes: int, most_headers: int) -> None:
        self._left = most_bytes
        self._most = most_headers
        self._count = -1
        self._framed = False
        self._version = b""

    def take(self, line: bytes) -> None:
        """The next line, without its end.

        :raises BadMessage: it has no place in a head.
        """
        if len(line) + 2 > self._left:
            # As before its end had come: what lies within the bounds is looked at first.
            check_begun((line + b"\r")[: self._left])
            raise HeadTooLarge
        self._left -= len(line) + 2
        # As before its end had come, and in the same words.
        check_begun(line + b"\r")
        if self._count < 0:
            check_request_line(line)
            self._version = line[-8:]
        elif not line:
            raise BadMessage("an empty line before its headers")
        else:
            self._field(line)
        self._count += 1
        if self._count > self._most:
            raise HeadTooLarge

    def begin(self, part: bytes, size: int) -> None:
        """The beginning of a line, or its last bytes.

        :param size: of the line, as far as it has come.
        :raises BadMessage: its end need not be awaited.
        """
        if part[-size:] == b"\r":
            return  # The line end of the head itself, which is no part of any line.
        over = max(0, size - self._left)
        check_begun(part[: len(part) - over] if over < len(part) else b"")
        if over:
            raise HeadTooLarge

    def _field(self, line: bytes) -> None:
        check_field_line(line)
        name, colon, value = line.partition(b":")
        if not colon or not is_name(name):
            raise BadMessage("a line among its headers that is not a header")
        lower = name.lower()
        if lower == b"content-length":
            check_request_length(value.strip(b" \t"))
            if int(value) > _MAX_LENGTH_BYTES:
                raise BadMessage("a Content-Length beyond all bounds", 413)
        elif lower == b"transfer-encoding":
            check_request_coding(value.strip(b" \t"), self._version)
        else:
            return
        if self._framed:
            raise _twice_framed()
        self._framed = True


def _twice_framed() -> BadMessage:
    return BadMessage("more than one Content-Length or Transfer-Encoding")


def _unreadable(why: object) -> BadMessage:
    return BadMessage(f"a head that cannot be read ({why})")


class _Pieces:
    """What llhttp finds in one head.

    It calls something for each header, and a function of Python's would cost more than all else of a head: so
    these are methods of lists and of a dict, which keeps the first of two headers with one name.

    :ivar begun: empty once all headers have been found.
    """

    __slots__ = ("begun", "found", "on_header", "on_headers_complete", "on_url", "target")

    def __init__(self) -> None:
        self.target: list[bytes] = []
        self.found: dict[bytes, bytes] = {}
        self.begun = [True]
        self.on_url = self.target.append
        self.on_header: Callable[[bytes, bytes], object] = self.found.setdefault
        self.on_headers_complete = self.begun.clear


def _all_pairs(head: bytes) -> list[tuple[bytes, bytes]]:
    """The headers of a head in which a name stands twice."""
    pairs: list[tuple[bytes, bytes]] = []
    pieces = _Pieces()
    pieces.on_header = lambda name, value: pairs.append((name, value))
    _feed(head, pieces)
    return pairs


def _parse(head: bytes) -> tuple[Head, int]:
    """A whole head, and the number of its headers.

    :raises BadMessage: it is none, or where its body ends can be seen in two ways.
    """
    pieces = _Pieces()
    method = _feed(head, pieces)
    # llhttp lets other versions and protocols through, none at all, and more spaces than one: only with two
    # the version is where it belongs.
    target = b"".join(pieces.target)
    at = len(method) + len(target) + 2
    version = head[at : at + 8]
    if not (not pieces.begun and version in _VERSIONS and head[at + 8 : at + 10] == b"\r\n"):
        raise _unreadable("Invalid first line")
    # Beside the headers' lines there are the first, and an empty one.
    count = head.count(b"\n") - 2
    found = pieces.found
    headers = LowerHeaders.of_pairs(found.items() if len(found) == count else _all_pairs(head))
    length = _length(headers, version)
    return Head(method, target, version, headers, length, _keeps(headers, version)), count


def _feed(head: bytes, pieces: _Pieces) -> bytes:
    """Have llhttp take a head apart; gives its method.

    :raises BadMessage: it is none.
    """
    parser = HttpRequestParser(pieces)
    try:
        parser.feed_data(head)
    except HttpParserUpgrade:
        pass  # An upgrade is the resource's to make; what follows is counted here, not there.
    except HttpParserError as error:
        method, _, rest = head.partition(b" ")
        if method != b"GET" and is_name(method):
            # llhttp knows the methods that there are; which of them are served, the resource says.
            # It may have seen a part of it.
            pieces.target.clear()
            _feed(b"GET " + rest, pieces)
            return method
        raise _unreadable(error) from None
    found: bytes = parser.get_method()
    return found


def _length(headers: LowerHeaders, version: bytes) -> int | None:
    codings = headers.by_name.get(b"transfer-encoding")
    lengths = headers.by_name.get(b"content-length")
    if lengths is None:
        if codings is None:
            return 0
        if len(codings) > 1:
            raise _twice_framed()
        check_request_coding(codings[0], version)
        return None
    if codings is not None or len(lengths) > 1:
        raise _twice_framed()
    length = lengths[0]
    if len(length) > MAX_DIGITS or not length.isdigit():
        check_request_length(length)  # which says what is wrong with it
    return int(length)


def _keeps(headers: LowerHeaders, version: bytes) -> bool:
    """Whether another request may follow: of each list of options (RFC 9112, section 9.6)."""
    if version != b"HTTP/1.1":
        return False
    values = headers.by_name.get(b"connection")
    if values is None:
        return True
    return not any(option.strip().lower() == b"close" for value in values for option in value.split(b","))
