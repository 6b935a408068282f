"""Bodies in the chunked transfer coding (RFC 9112, section 7.1), of requests and of answers.

A vendor sends each event as a chunk of its own, and a read brings hundreds of them. llhttp decodes these
in one call. It reports neither where a chunk's line was nor how long, and takes lines that are refused here;
so its result counts only where the lengths prove that all chunks were plain. Everything else is taken line by
line.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from httptools import HttpParserError, HttpResponseParser

from ampproxy.http.heads import MAX_HEAD, MAX_LINES
from ampproxy.wire.framing import MAX_LENGTH, BadMessage, check_begun, check_trailer
from ampproxy.wire.late import LatePattern

#: Bytes of extensions that any chunk may have, beside twice its own size: some sign every chunk there.
_FREE = 16
#: Bytes that the line with a chunk's size may have.
_MAX_LINE_BYTES = 1024
#: So many chunks of one read are taken one by one before llhttp takes the others, if these are so many bytes.
_FEW = 4
_MANY_BYTES = 1024

#: A chunk's size of a length that fits in memory.
_SIZE = LatePattern(rb"[0-9a-fA-F]{1,7}")
#: Any line with a chunk's size, or the beginning of one.
_SIZE_LINE = LatePattern(rb"([0-9a-fA-F]{0,16})((?<=.);[\t\x20-\x7e\x80-\xff]*)?(\r\n?)?")
#: What llhttp's last whole chunk may be followed by: nothing, or a line that has not ended.
_LINE_BEGUN = LatePattern(rb"[0-9a-fA-F]{0,7}\r?")
#: The line before a chunk that is not whole yet.
_LINE = LatePattern(rb"[0-9a-fA-F]{1,7}\r\n")
#: How many digits the size of a chunk has, for all that come by the dozen.
_DIGITS = (
    b"\0" + b"".join(bytes([digits]) * (15 << 4 * (digits - 1)) for digits in range(1, 4)) + b"\4" * 12288
)

_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_LAST = b"0\r\n\r\n"


class BrokenChunks(Exception):
    """A body that is not in the chunked coding as it should be.

    :ivar words: what it has, as the end of a sentence that begins with ``It has``; public.
    """

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class _Sizes(dict[bytes, int]):
    """The digits of a plain chunk's size -> the size; -1: they are none."""

    def __missing__(self, digits: bytes) -> int:
        size = int(digits, 16) if _SIZE.fullmatch(digits) else -1
        if len(self) >= 4096:
            self.clear()
        self[digits] = size
        return size


_sizes = _Sizes()


class ChunkedBody:
    """Decodes one body, split anywhere, and each byte once.

    :param most_extra: bytes that trailers may have, and extensions beyond what is in keeping with their
        chunks.
    :param most_trailers: how many trailers there may be. They are dropped.
    :param bounds: what an error adds about these.
    :ivar ended: whether the body is whole.
    :ivar rest: what came behind it.
    :ivar fault: why the body is none, from the first wrong byte on; what was before it has been given out.
    """

    __slots__ = (
        "_bounds",
        "_extra",
        "_few",
        "_left",
        "_line",
        "_many",
        "_most_extra",
        "_most_trailers",
        "_step",
        "_trailers",
        "ended",
        "fault",
        "rest",
    )

    def __init__(self, most_extra: int = MAX_HEAD, most_trailers: int = MAX_LINES, bounds: str = "") -> None:
        self._most_extra = most_extra
        self._most_trailers = most_trailers
        self._bounds = bounds
        self._extra = self._trailers = self._left = 0
        self._line = bytearray()
        self._many: Many | None = None
        self._few = _FEW
        # Not bound, which would be a circle of references.
        self._step: Callable[[ChunkedBody, bytes, int, list[bytes]], int] = ChunkedBody._size
        self.ended = False
        self.rest = b""
        self.fault: BrokenChunks | None = None

    def feed(self, data: bytes) -> bytes:
        """The next bytes; gives those of the body."""
        out: list[bytes] = []
        at, size = 0, len(data)
        self._few = _FEW
        try:
            while at < size and not self.ended:
                at = self._step(self, data, at, out)
        except BadMessage as bad:
            self.fault = BrokenChunks(bad.words)
        if at < size and self.ended:
            self.rest = data[at:]
        return out[0] if len(out) == 1 else b"".join(out)

    def _size(self, data: bytes, at: int, out: list[bytes]) -> int:
        """The line before a chunk; plain whole chunks with it."""
        if not self._line:
            at = self._plain(data, at, out)
            if at == len(data):
                return at
        line, begun = self._line, len(self._line)
        end = data.find(b"\n", at, at + _MAX_LINE_BYTES)
        line += data[at : end + 1 if end >= 0 else at + _MAX_LINE_BYTES]
        parts = _SIZE_LINE.fullmatch(line)
        whole = end >= 0
        if parts is None or len(line) > _MAX_LINE_BYTES or (whole and not parts[1]):
            raise BadMessage("a chunk whose size is not a plain hexadecimal number, or too large")
        size = int(parts[1] or b"0", 16)
        if size > MAX_LENGTH:
            raise BadMessage("a chunk whose size is not a plain hexadecimal number, or too large")
        at += len(line) - begun
        if whole:
            self._extra = max(0, self._extra - _FREE - 2 * size)
            self._add_extra(len(parts[2] or b""))
            line.clear()
            self._left = size
            self._step = ChunkedBody._data if size else ChunkedBody._trailer
        return at

    def _plain(self, data: bytes, at: int, out: list[bytes]) -> int:
        """All chunks from there on that are whole and have nothing but their size before them."""
        find = data.find
        few = self._few
        while (end := find(b"\r\n", at, at + 9)) > 0:
            start = end + 2
            size = _sizes[data[at:end]]
            stop = start + size
            if size <= 0 or data[stop : stop + 2] != b"\r\n":
                break
            out.append(data[start:stop])
            at = stop + 2
            few -= 1
            if not few and len(data) - at > _MANY_BYTES:
                # Once for a read: whatever is not plain in the rest of it would be in the way again.
                self._few = 0
                at = self._at_once(data, at, out)
        return at

    def _at_once(self, data: bytes, at: int, out: list[bytes]) -> int:
        many = self._many or Many()
        end = many.decode(data, at, out)
        # A decoder that stopped within a chunk is of no more use.
        self._many = many if end == len(data) else None
        if end == at and data.endswith(b"\n"):
            # The line before the next chunk, or the end of the last one? Without it there is no such doubt.
            end = Many().decode(data[: data.rfind(b"\n", at, -1) + 1], at, out)
        return end

    def _data(self, data: bytes, at: int, out: list[bytes]) -> int:
        """More of a chunk."""
        size = len(data)
        if at == 0 and size <= self._left:
            piece = data
        else:
            piece = data[at : at + self._left]
        out.append(piece)
        self._left -= len(piece)
        if not self._left:
            self._step = ChunkedBody._line_end
        return at + len(piece)

    def _line_end(self, data: bytes, at: int, out: list[bytes]) -> int:
        """What follows a chunk."""
        line, begun = self._line, len(self._line)
        line += data[at : at + 2 - begun]
        if not b"\r\n".startswith(line):
            raise BadMessage("a chunk that no line end follows")
        at += len(line) - begun
        if len(line) == 2:
            line.clear()
            self._step = ChunkedBody._size
        return at

    def _trailer(self, data: bytes, at: int, out: list[bytes]) -> int:
        """What follows the last chunk: trailers, and an empty line."""
        line, begun = self._line, len(self._line)
        end = data.find(b"\n", at)
        line += data[at : end + 1 if end >= 0 else len(data)]
        if end < 0 or not line.endswith(b"\r\n"):
            check_begun(bytes(line[max(0, begun - 1) :]))
            self._check_extra(len(line))
            return len(data)
        if len(line) == 2:
            self.ended = True
        else:
            # As before its end had come, and in the same words.
            check_begun(bytes(line[:-1]))
            check_trailer(bytes(line[:-2]))
            self._trailers += 1
            self._add_extra(len(line) - 2)
        line.clear()
        return end + 1

    def _add_extra(self, size: int) -> None:
        self._extra += size
        self._check_extra(0)

    def _check_extra(self, more: int) -> None:
        if self._extra + more > self._most_extra or self._trailers > self._most_trailers:
            raise BadMessage(f"extensions and trailers that are too many or too large{self._bounds}")


class Many:
    """llhttp, at the beginning of a chunk."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        # llhttp's callbacks, without a call of ours for each.
        self.on_body: Any = self._pieces.append
        self._count = count()
        self.on_chunk_complete: Any = self._count.__next__
        self._parser = HttpResponseParser(self)
        self._parser.feed_data(_HEAD)

    def decode(self, data: bytes, at: int, out: list[bytes]) -> int:
        """Decode the chunks that are whole and plain, from ``at`` on; nothing, if any is not plain.

        :param out: gets their contents.
        :return: where the last of them ends. Unless it is the end of the data, this object is used up.
        """
        pieces = self._pieces
        before = next(self._count)
        try:
            self._parser.feed_data(memoryview(data)[at:])
        except HttpParserError:
            return at
        whole = next(self._count) - before - 1
        begun = pieces.pop() if len(pieces) == whole + 1 else b""
        if begun and data.endswith(b"\r") and not begun.endswith(b"\r"):
            # All of that chunk has come, and half of its line end.
            begun += b"\r"
        lengths = [*map(len, pieces)]
        if not lengths or max(lengths) >= len(_DIGITS):
            return at
        # The least that these chunks can take, each with the digits of its size and two line ends.
        end = at + sum(lengths) + sum(map(_DIGITS.__getitem__, lengths)) + 4 * len(lengths)
        if not self._proven(data[end : len(data) - len(begun)], bool(begun), whole - len(pieces)):
            return at
        out += pieces
        # The next read may be far away.
        pieces.clear()
        return end

    @staticmethod
    def _proven(between: bytes, begun: bool, more: int) -> bool:
        """Whether those chunks took no more than that: else bytes of the last of them, and its end, would be
        left over before what follows it.

        :param between: what is left over, without what came of a chunk that is not whole.
        :param begun: whether there is such a chunk.
        :param more: how many chunks without contents there were.
        """
        if more:
            return between == _LAST
        return (_LINE if begun else _LINE_BEGUN).fullmatch(between) is not None
