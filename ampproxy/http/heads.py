"""The head of an answer: where it ends, how large it may be, and what it declares.

One reader takes all heads, however they come, so that none is read in two ways. It takes what some servers
send beside the standard (lines that end in LF alone, headers that go on in a second line) and refuses what
two readers may understand differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from ampproxy.http.headers import LowerHeaders
from ampproxy.wire.framing import (
    CONTROLS,
    BadMessage,
    answer_length,
    check_status_line,
)
from ampproxy.wire.late import LatePattern

#: Bytes that the head of an answer may have, those of interim answers before it included.
MAX_HEAD = 64 * 1024
#: Lines that one head may have.
MAX_LINES = 500

SWITCHING_PROTOCOLS = HTTPStatus.SWITCHING_PROTOCOLS.value
#: Statuses of answers that end with their head (RFC 9112, section 6.3).
BODILESS = frozenset((HTTPStatus.NO_CONTENT.value, HTTPStatus.NOT_MODIFIED.value))

#: What is the connection's own, beside what ``Connection`` names: dropped.
_OF_CONNECTION = frozenset((b"keep-alive", b"proxy-connection", b"te", b"trailers", b"upgrade"))

#: First lines that were seen, taken apart: nearly all answers begin with one of few.
_MAX_REMEMBERED_LINES = 256
_known: dict[bytes, tuple[tuple[bytes, int, int], int, bytes]] = {}

_MAY_BE_HTTP = LatePattern(rb"HTTP/1\.|(?:H|HT|HTT|HTTP|HTTP/|HTTP/1)?\Z")
#: A CR at the end may be half of a line's end.
_NO_LINE = LatePattern(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n|\Z)")
_BARE_LF = LatePattern(rb"(?<!\r)\n")


class AnswerRefused(Exception):
    """The other side answers with what is no answer, or refuses.

    :param words: why, as the rest of a sentence that begins with its name; public.
    """


class HeadLimit:
    """Counts the head of one answer, with those of the interim ones before it.

    :param what: what was asked, as the end of ``answered ...``.
    """

    __slots__ = ("_bytes", "_lines", "_what")

    def __init__(self, what: str = "") -> None:
        self._what = f"answered {what} with" if what else "answered with"
        self._bytes = self._lines = 0

    def begin(self) -> None:
        """A head begins. Interim ones may be signs of life, of which there are many."""
        self._lines = 0

    def take(self, size: int, lines: int = 1) -> None:
        """More of it.

        :param size: bytes.
        :raises AnswerRefused: it is too much.
        """
        self._bytes += size
        self._lines += lines
        self.check()

    def check(self, more: int = 0, lines: int = 0) -> None:
        """See whether it is too much, together with ``more`` bytes in so many lines that are not complete.

        :raises AnswerRefused: it is.
        """
        if self._bytes + more > MAX_HEAD:
            raise AnswerRefused(f"{self._what} more than {MAX_HEAD} bytes of headers")
        if self._lines + lines > MAX_LINES:
            raise AnswerRefused(f"{self._what} more than {MAX_LINES} lines of headers")


class Head:
    """What an answer's head declares.

    :param lines: without their ends, the first of them included.
    :param bodiless: whether no body follows whatever it declares: it answers ``HEAD``.
    :ivar length: of the body, in bytes; ``None``: it is chunked, or ends with the connection.
    :ivar keep: whether the connection can be used again.
    :ivar headers: all but those of the connection.
    :raises AnswerRefused: it is not valid HTTP/1, or can be read in two ways.
    """

    __slots__ = ("chunked", "code", "headers", "keep", "length", "phrase", "version")

    def __init__(self, lines: list[bytes], *, bodiless: bool = False) -> None:
        try:
            self.version, self.code, self.phrase = _known.get(lines[0]) or _first_line(lines[0])
            del lines[0]
            headers = self.headers = LowerHeaders.of_lines(lines)
            self.chunked = False
            self.length: int | None = 0
            if bodiless or self.code in BODILESS:
                self._drop_framing(bodiless)
            else:
                self._read_framing()
        except BadMessage as bad:
            raise AnswerRefused(f"answered with {bad.words}") from None
        except ValueError:
            raise AnswerRefused("answered with a line among its headers that is not a header") from None
        by_name = headers.by_name
        options = by_name.pop(b"connection", ())
        if options or self.version[2] < 1:
            self._read_options(options)
        else:
            self.keep = True
        if not _OF_CONNECTION.isdisjoint(by_name):
            for name in _OF_CONNECTION:
                by_name.pop(name, None)

    def _drop_framing(self, bodiless: bool) -> None:
        # The length of an answer to HEAD is that of the body that GET would get.
        self.headers.by_name.pop(b"transfer-encoding", None)
        if not bodiless:
            self.headers.by_name.pop(b"content-length", None)

    def _read_framing(self) -> None:
        take = self.headers.by_name.pop
        codings, lengths = take(b"transfer-encoding", ()), take(b"content-length", ())
        if self.code < 200:
            return
        self.length = answer_length(codings, lengths)
        self.chunked = bool(codings)
        if codings and self.version[2] < 1:
            raise BadMessage("a Transfer-Encoding, which HTTP/1.0 does not have")

    def _read_options(self, values: Sequence[bytes]) -> None:
        options = {option.strip().lower() for value in values for option in value.split(b",")}
        self.keep = b"close" not in options if self.version[2] >= 1 else b"keep-alive" in options
        for option in options:
            # Whatever else it names belongs to the connection, too; what is no name is no header.
            self.headers.by_name.pop(option, None)


def _first_line(line: bytes) -> tuple[tuple[bytes, int, int], int, bytes]:
    check_status_line(line)
    found = (b"HTTP", 1, line[7] - 48), int(line[9:12]), line[13:]
    if len(line) <= 64:
        if len(_known) >= _MAX_REMEMBERED_LINES:
            _known.clear()
        _known[line] = found
    return found


class HeadReader:
    """Cuts the heads of one answer off what an upstream sends. Each byte is looked at once.

    :param bodiless: see :class:`Head`.
    :ivar rest: what came behind the head.
    """

    __slots__ = ("_bodiless", "_held", "_limit", "_lines", "_looked", "_newline", "rest")

    def __init__(self, *, bodiless: bool = False) -> None:
        self._bodiless = bodiless
        self._limit: HeadLimit | None = None
        self._held = bytearray()
        self._newline = b""
        self._looked = self._lines = 0
        self.rest = b""

    def feed(self, data: bytes) -> Head | None:
        """The next bytes, split anywhere; gives the head once it is whole.

        :raises AnswerRefused: this is not HTTP, or its head is too large.
        """
        if self._limit is None:
            end = data.find(b"\r\n\r\n")
            if 0 <= end <= MAX_HEAD and (head := self._at_once(data[:end])) is not None:
                self.rest = data[end + 4 :]
                return head
            self._limit = HeadLimit()
        self._held += data
        return self._cut(self._limit)

    def _at_once(self, raw: bytes) -> Head | None:
        """The head of an answer that came in one piece, if it has nothing odd about it."""
        lines = raw.split(b"\r\n")
        ends = 2 * len(lines) - 2
        if len(raw) - len(raw.translate(None, CONTROLS)) != ends or len(lines) >= MAX_LINES:
            return None
        if raw[9:10] == b"1" or b"\n " in raw or b"\n\t" in raw:
            return None
        return Head(lines, bodiless=self._bodiless)

    def _cut(self, limit: HeadLimit) -> Head | None:
        while True:
            end = self._end(limit)
            if end < 0:
                return None
            size = end + 2 * len(self._newline)
            raw = bytes(self._held[:end])
            limit.take(size, raw.count(b"\n") + 2)
            limit.begin()
            del self._held[:size]
            head = Head(_unfolded(raw.split(self._newline)), bodiless=self._bodiless)
            self._newline, self._looked, self._lines = b"", 0, 0
            if head.code >= 200:
                self.rest = bytes(self._held)
                return head
            if head.code == SWITCHING_PROTOCOLS:
                raise AnswerRefused("answered with another protocol that was not requested")

    def _end(self, limit: HeadLimit) -> int:
        """Where the head ends, -1 as long as that is not here; what is here is looked at."""
        held = self._held
        if not _MAY_BE_HTTP.match(held):
            raise AnswerRefused("answered with a first line that is not HTTP/1.1")
        if not self._newline:
            first = held.find(b"\n", self._looked)
            if first >= 0:
                self._newline = b"\r\n" if held[:first].endswith(b"\r") else b"\n"
        end = held.find(self._newline * 2, max(0, self._looked - 3)) if self._newline else -1
        self._look(max(0, self._looked - 1), len(held) if end < 0 else end + 2 * len(self._newline))
        if end < 0:
            self._lines += held.count(b"\n", self._looked)
            self._looked = len(held)
            limit.check(self._looked, self._lines)
        return end

    def _look(self, begin: int, end: int) -> None:
        """Refuse what is in no head, before the rest of it has come."""
        new = self._held[begin:end]
        if self._newline == b"\n":
            odd = b"\r" in new
        else:
            odd = bool(self._newline) and _BARE_LF.search(new, int(begin > 0)) is not None
        if odd or _NO_LINE.search(new):
            raise AnswerRefused("answered with a control character, or mixed line ends, in its headers")


def _unfolded(lines: list[bytes]) -> list[bytes]:
    """The lines, each that goes on in the next one put together (RFC 9112, section 5.2)."""
    whole = lines[:1]
    parts: list[list[bytes]] = []
    for line in lines[1:]:
        if line[:1] in (b" ", b"\t") and parts:
            parts[-1].append(line)
        else:
            parts.append([line])
    return whole + [b"".join(part) for part in parts]
