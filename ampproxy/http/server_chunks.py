"""Bodies of requests that come in chunks (RFC 9112, section 7.1), as strictly as that allows.

Bytes in, bytes out. llhttp's decoder shows neither extensions nor how long they are, and takes trailers for
headers; here both have limits, and what two decoders could cut in two ways is refused before it has ended.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ampproxy.wire.framing import MAX_LENGTH, BadMessage, check_begun, check_trailer

#: A chunk's size line without extensions, of a size that fits in memory.
_SIZE = re.compile(rb"([0-9a-fA-F]{1,7})\r\n")
#: Any such line, or the beginning of one.
_SIZE_LINE = re.compile(rb"([0-9a-fA-F]{0,16})((?<=.);[\t\x20-\x7e\x80-\xff]*)?\r?")
#: The longest of them. Bytes.
_LONGEST = 1024
#: Bytes of extensions that any chunk may have, beside twice its own size.
_FREE = 16


def _bad_size() -> BadMessage:
    return BadMessage("a chunk whose size is no plain hexadecimal number, or too large")


class ChunkReader:
    """Takes one body apart.

    :param most_bytes: that its trailers may have, and its extensions beyond what is in keeping with their
        chunks.
    :param most_trailers: lines of trailers.
    """

    __slots__ = ("_extra", "_left", "_line", "_most_bytes", "_most_trailers", "_take", "_trailers", "rest")

    def __init__(self, most_bytes: int, most_trailers: int) -> None:
        self._most_bytes = most_bytes
        self._most_trailers = most_trailers
        self._extra = self._trailers = self._left = 0
        self._line = bytearray()
        # Not bound to this object, which would keep itself.
        self._take: _Take = ChunkReader._sizes
        self.rest: bytes | None = None

    def feed(self, data: bytes) -> bytes:
        """Take more.

        :return: what it has of the body. When that is whole, ``rest`` is what is behind it.
        :raises BadMessage: it is broken. Nothing is to be fed any more.
        """
        pieces: list[bytes] = []
        at, size = 0, len(data)
        while at < size and self.rest is None:
            at = self._take(self, data, at, pieces)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _sizes(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Where the size of a chunk stands: take all plain chunks that are here whole, or one line."""
        match = None if self._line else _SIZE.match(data, at)
        while match is not None:
            start = match.end()
            end = start + int(match[1], 16)
            if end == start or data[end : end + 2] != b"\r\n":
                break
            pieces.append(data[start:end])
            at = end + 2
            match = _SIZE.match(data, at)
        return self._line_of(data, at, self._size_begun, self._sized) if at < len(data) else at

    def _size_begun(self, known: int) -> None:
        line = self._line
        parts = _SIZE_LINE.fullmatch(line) if len(line) <= _LONGEST else None
        if parts is None or int(parts[1] or b"0", 16) > MAX_LENGTH:
            raise _bad_size()

    def _sized(self, line: bytes) -> None:
        digits, semicolon, extension = line.partition(b";")
        if not digits or line.endswith(b"\r"):
            raise _bad_size()
        self._left = int(digits, 16)
        # Some sign every chunk there: that is no more than the chunk.
        self._extra = max(0, self._extra - _FREE - 2 * self._left)
        self._add_extra(len(semicolon) + len(extension))
        self._take = ChunkReader._data if self._left else ChunkReader._trailer

    def _data(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        piece = data[at : at + self._left]
        pieces.append(piece)
        self._left -= len(piece)
        if not self._left:
            self._take = ChunkReader._end_of_data
        return at + len(piece)

    def _end_of_data(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        expected = b"\n" if self._line else b"\r\n"
        found = data[at : at + len(expected)]
        if not expected.startswith(found):
            raise BadMessage("a chunk that no line end follows")
        if found == expected:
            self._line.clear()
            self._take = ChunkReader._sizes
        else:
            self._line += found
        return at + len(found)

    def _trailer(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        end = self._line_of(data, at, self._trailer_begun, self._trailed)
        if self.rest is not None:
            self.rest = data[end:]
        return end

    def _trailer_begun(self, known: int) -> None:
        # One byte more, for a CR may be half of a line's end.
        check_begun(bytes(self._line[max(0, known - 1) :]))
        self._check_extra(len(self._line))

    def _trailed(self, line: bytes) -> None:
        if not line:
            self.rest = b""
            return
        # As before its end had come, and in the same words.
        check_begun(line + b"\r")
        check_trailer(line)
        self._trailers += 1
        self._add_extra(len(line))

    def _line_of(
        self, data: bytes, at: int, begun: Callable[[int], None], take: Callable[[bytes], None]
    ) -> int:
        """Take a line, or as much of it as there is.

        :param begun: looks at what there is of it, of which so many bytes were looked at before.
        :param take: gets it whole, without its end.
        """
        kept = self._line
        known = len(kept)
        end = (data.find(b"\n", at) + 1) or len(data)
        kept += data[at:end]
        ended = kept.endswith(b"\r\n")
        if ended:
            del kept[-2:]
        begun(known)
        if ended:
            line = bytes(kept)
            kept.clear()
            take(line)
        return end

    def _add_extra(self, size: int) -> None:
        self._extra += size
        self._check_extra(0)

    def _check_extra(self, more: int) -> None:
        if self._extra + more > self._most_bytes or self._trailers > self._most_trailers:
            raise BadMessage(
                "extensions and trailers that are too many or too large"
                f" (settings: limits.max-header-bytes, {self._most_bytes}; limits.max-headers,"
                f" {self._most_trailers})"
            )


#: Takes what stands at a place of what came, adds what that has of the body, and says where it ends.
_Take = Callable[[ChunkReader, bytes, int, list[bytes]], int]
